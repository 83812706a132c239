#!/usr/bin/env python3
"""mlfetch lock and what brings it: pull --lock, warm, offline proof, who
signed it; and the plan that pull --dry-run and info show."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, fails, gets, good, kit,  # noqa: E402
                     make_model, noise, write)

KEYS = {"repository", "revision", "commit", "path", "files", "bytes",
        "fetched_bytes", "requests"}


def fetch(w, *args, **more):
    return kit.run(["mlfetch", *args], w.env, **more)


def make_lock(w, name, *repos):
    path = os.path.join(w.home, name)
    done = fetch(w, "lock", *repos, "-o", path)
    assert done.returncode == 0 and done.stdout == path + "\n", done
    with open(path, encoding="utf-8") as f:
        return path, f.read()


def plans(tap, hub, files):
    with World(hub.url) as w:
        hub.reset()
        done = w.pull("acme/tiny", "--dry-run")
        tap.ok(done.returncode == 0 and "requests" in done.stdout
               and "space: " in done.stdout and "DIGEST" in done.stdout
               and not os.path.exists(w.root), "the plan as a table",
               done.stdout + done.stderr)
        tap.eq(len(hub.log()), 2, "made of two requests")
        plan = w.pull_json("acme/tiny", "--dry-run")
        tap.eq(set(plan), KEYS | {"fetch_bytes", "fetch_requests", "entries",
                                  "space_bytes", "free_bytes"},
               "the keys of --dry-run --json")
        tap.ok(set(plan["entries"][0]) == {"path", "size", "git_sha1",
                                           "state"}
               and plan["entries"][2]["sha256"], "and those of an entry",
               plan["entries"])
        hub.reset()
        done = w.pull_json("acme/tiny")
        made = len(gets(hub, part="/resolve")) + len(gets(hub, "bytes"))
        tap.ok(made <= plan["fetch_requests"] <= made + 2,
               "it foretells the number of requests",
               f"{plan['fetch_requests']} {made}")
        tap.eq(done["fetched_bytes"], plan["fetch_bytes"], "and of bytes")
        plan = w.pull_json("acme/tiny", "--dry-run")
        tap.ok({e["state"] for e in plan["entries"]} == {"held"} and
               plan["fetch_requests"] == plan["space_bytes"] == 0,
               "nothing is to come of what is held", plan)
        folder = plan["path"]
        os.unlink(os.path.join(folder, "config.json"))
        plan = w.pull_json("acme/tiny", "--dry-run")
        tap.eq([e["state"] for e in plan["entries"]].count("link"), 1,
               "a name that is missing is to be linked")


def foretold(tap, hub):
    """A dry run ends as the pull would, as far as is known."""
    with World(hub.url) as w:
        done = w.pull("acme/tiny", "--dry-run", "--offline")
        fails(tap, done, 5, "not held", "offline, nothing known: 5")
        w.pull("acme/tiny", "--include", "*.json")
        done = w.pull("acme/tiny", "--dry-run", "--offline")
        tap.ok(done.returncode == 5 and "missing" in done.stdout and
               "not held" in done.stderr,
               "offline, files are missing: the table, and 5", done)
        done = w.pull("acme/tiny", "--dry-run", "--offline", "--include",
                      "*.json")
        tap.eq(done.returncode, 0, "those that are held: 0")
        os.makedirs(os.path.join(w.home, "small"))
        small = os.path.join(w.home, "small")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none",
                           small], capture_output=True).returncode != 0:
            tap.skip("too little space is foretold", "cannot mount a tmpfs")
            return
        try:
            done = w.pull("acme/tiny", "--dry-run", "--volume",
                          os.path.join(small, "v"), "--json")
            plan = json.loads(done.stdout)[0]
            tap.ok(done.returncode == 7 and "too little" in done.stderr and
                   plan["space_bytes"] > plan["free_bytes"],
                   "too little space is foretold: the plan, and 7", done)
            tap.eq(os.listdir(small), [], "and nothing is written")
        finally:
            subprocess.run(["umount", small], check=True)


def proof(tap, hub, path):
    """warm --offline leaves everything as it is."""
    with World(hub.url) as w:
        folder = fetch(w, "warm", "--lock", path).stdout.split("\n")[0]
        ref = os.path.join(w.repo("acme/moving"), "refs/main")
        write(ref, b"0" * 40)
        done = fetch(w, "warm", "--lock", path, "--offline")
        with open(ref, encoding="utf-8") as f:
            tap.ok(done.returncode == 0 and f.read() == "0" * 40,
                   "a proof gives no name to a commit", done.stderr)
        os.unlink(os.path.join(folder, "f.txt"))
        fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 5,
              "'f.txt'", "bytes without their name: 5")
        tap.ok(not os.path.exists(os.path.join(folder, "f.txt")),
               "and a proof makes no name")
        tap.ok(fetch(w, "warm", "--lock", path).returncode == 0 and
               os.path.exists(os.path.join(folder, "f.txt")),
               "warm itself does")


def several(tap, hub):
    with World(hub.url) as w:
        hub.faults([{"host": "bytes", "rate": 6 * MIB, "times": -1}])
        done = w.pull("acme/llama", "acme/tiny", "--progress", "tty")
        hub.faults([])
        tap.ok("acme/tiny, 2 of 2 " in done.stderr,
               "of several repositories the progress names the one that comes",
               repr(done.stderr[-600:]))


def infos(tap, hub):
    with World(hub.url) as w:
        done = fetch(w, "info", "acme/gated")
        tap.ok(done.returncode == 0 and "gated: auto" in done.stdout and
               "modified" in done.stdout,
               "info of a gated repository", done.stdout + done.stderr)
        w.pull("acme/tiny", "--include", "*.json")
        done = fetch(w, "info", "acme/tiny", "--json")
        got = json.loads(done.stdout)
        tap.eq(set(got), {"repository", "type", "revision", "commit",
                          "modified", "private", "gated", "files", "bytes",
                          "held_files", "held_bytes", "entries"},
               "the keys of info --json")
        tap.ok(got["held_files"] == 2 and got["files"] == 5 and
               got["gated"] is False, "what is held", got)
        pinned = fetch(w, "info", "acme/tiny@" + got["commit"], "--json")
        tap.eq(json.loads(pinned.stdout)["modified"], got["modified"],
               "a commit is asked about, too")
        hub.reset()
        off = fetch(w, "info", "acme/tiny", "--json", "--offline")
        tap.ok(json.loads(off.stdout)["commit"] == got["commit"] and
               "modified" not in json.loads(off.stdout) and hub.log() == [],
               "offline: what is known here", off.stdout + off.stderr)
        tap.ok(fetch(w, "info", "acme/set", "--repo-type",
                     "dataset").stdout.startswith("repository  dataset"),
               "a dataset")
        fails(tap, fetch(w, "info", "acme/none"), 3, "acme/none",
              "info of what is not there: 3")


def locks(tap, hub, files, data):
    with World(hub.url) as w, World(hub.url) as other:
        path, text = make_lock(w, "a.lock", "acme/tiny", "acme/moving",
                               "hf://datasets/acme/set")
        _, again = make_lock(other, "b.lock", "hf://datasets/acme/set",
                             "acme/moving", "acme/tiny")
        tap.eq(text, again, "a lock is a function of what it locks")
        tap.ok(not os.path.exists(w.root), "nothing is written but the lock")
        got = json.loads(text)
        tap.eq([(r["repository"], r["type"]) for r in got["repositories"]],
               [("acme/moving", "model"), ("acme/tiny", "model"),
                ("acme/set", "dataset")], "in order")
        fails(tap, fetch(w, "lock", "acme/tiny", "acme/tiny@main"), 2,
              "twice", "one revision twice: 2")
        fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 5,
              "'f.txt'", "offline, and nothing is held: 5, a file is named")
        # the branch moves on; the lock does not
        hub.control("config", {"repos": {"acme/moving": {
            "dir": os.path.join(data, "moved"), "revisions": {
                got["repositories"][0]["commit"]:
                    {"dir": os.path.join(data, "moving")}}}}})
        hub.reset()
        done = w.pull("--lock", path)
        folders = done.stdout.split("\n")
        tap.ok(done.returncode == 0 and len(folders) == 4, "pull --lock",
               done.stderr)
        tap.eq([r for r in hub.log() if "/tree/" in r["path"]
                or "/revision/" in r["path"]], [],
               "no branch and no listing is asked for")
        with open(os.path.join(folders[0], "f.txt"), "rb") as f:
            tap.eq(f.read(), b"old", "the bytes are those of the lock")
        with open(os.path.join(w.repo("acme/moving"), "refs/main")) as f:
            tap.eq(f.read(), got["repositories"][0]["commit"],
                   "and the revision names them")
        hub.reset()
        done = fetch(w, "warm", "--lock", path, "--offline")
        tap.ok(done.returncode == 0 and done.stdout.split("\n") == folders
               and hub.log() == [], "proof that all of it is here",
               done.stderr)
        damaged(tap, hub, w, path, folders, files)
        proof(tap, hub, path)
        fails(tap, w.pull("--lock", path, "acme/tiny"), 2, "--lock",
              "a lock and a repository: 2")
        gone(tap, hub, path, got, data)


def damaged(tap, hub, w, path, folders, files):
    blob = os.path.realpath(os.path.join(folders[1], "model.safetensors"))
    os.chmod(blob, 0o644)
    with open(blob, "r+b") as f:
        f.seek(MIB)
        f.write(b"X")
    tap.ok(w.pull("--lock", path, "--offline").returncode == 0,
           "(pull looks at names and sizes only)")
    fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 6,
          "'model.safetensors' is damaged", "a flipped bit: 6, named")
    done = fetch(w, "warm", "--lock", path)
    tap.ok(done.returncode == 0 and "damaged" in done.stderr, "is mended",
           done.stderr)
    with open(blob, "rb") as f:
        tap.ok(f.read() == files["model.safetensors"], "by the right bytes")
    os.unlink(os.path.join(folders[2], "data.txt"))
    os.unlink(os.path.realpath(os.path.join(folders[1], "config.json")))
    fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 5,
          "config.json", "a file is not here: 5, named")


def gone(tap, hub, path, got, data):
    with World(hub.url) as w:
        hub.faults([{"path": "*/resolve/*/config.json", "status": 404,
                     "times": -1, "headers": {
                         "X-Error-Code": "EntryNotFound"}}])
        fails(tap, fetch(w, "warm", "--lock", path), 3, "config.json",
              "a file is gone: 3")
        hub.faults([])
    with World(hub.url) as w:
        text = open(path, encoding="utf-8").read()
        commit = got["repositories"][1]["commit"]
        lost = os.path.join(w.home, "lost.lock")
        write(lost, text.replace(commit, "ab" * 20).encode())
        fails(tap, fetch(w, "warm", "--lock", lost), 3, "acme/tiny",
              "a commit is gone: 3")
        digest = got["repositories"][1]["files"][2]["sha256"]
        other = os.path.join(w.home, "other.lock")
        write(other, text.replace(digest, "cd" * 32).encode())
        fails(tap, fetch(w, "warm", "--lock", other), 6, "model.safetensors",
              "other bytes than the lock says: 6")
        tap.ok("model.safetensors" not in w.visible("acme/tiny"),
               "and they are not visible")
    bad = [("not JSON", "{"), ("no lock", "{}"),
           ("another version", text.replace('"ml-lock": 1', '"ml-lock": 2')),
           ("an unknown member", text.replace('"type"', '"typo"')),
           ("an unsafe path", text.replace("config.json", "../c.json")),
           ("a short digest", text.replace(digest, digest[:63])),
           ("a revision that is a path", text.replace(
               '"revision": "main"', '"revision": "../../x"', 1)),
           ("a repository that is a path", text.replace(
               "acme/moving", "../moving")),
           ("cut", text[:-10])]
    with World(hub.url) as w:
        for name, content in bad:
            where = os.path.join(w.home, "bad.lock")
            write(where, content.encode())
            for args in (["warm", "--lock", where], ["pull", "--lock", where]):
                fails(tap, fetch(w, *args), 8, "bad.lock",
                      f"{args[0]}: {name}: 8")
        tap.ok(not os.path.exists(w.root), "nothing is written for them")
    with World(hub.url) as w:
        fails(tap, fetch(w, "warm", "--lock", "/no/such.lock"), 3,
              "/no/such.lock", "no such lock: 3")
        fails(tap, fetch(w, "warm"), 2, "--lock", "no lock: 2")


def sign(w, path, key, when=None):
    args = ["--comment", f"timestamp:{when}\tfile:{os.path.basename(path)}"
            "\thashed"] if when else []
    done = kit.run(["mlverify", "sign", "--key", key + ".key", *args, path],
                   w.env)
    assert done.returncode == 0, done.stderr


def keygen(w, name):
    where = os.path.join(w.home, name)
    done = kit.run(["mlverify", "keygen", "--no-password", "--secret",
                    where + ".key", "--public", where + ".pub"], w.env)
    assert done.returncode == 0, done.stderr
    return where


def opens(tap, w, path, warm):
    """Between two looks at a file somebody may put another one there."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    # Of equal events in a row the kernel keeps one: closing parts openings.
    opened, closed = 0x20, 0x10
    libc.inotify_add_watch(fd, path.encode(), opened | closed)
    done = fetch(w, *warm)
    events = os.read(fd, 4096)
    os.close(fd)
    masks = [int.from_bytes(events[i + 4:i + 8], sys.byteorder)
             for i in range(0, len(events), 16)]
    tap.ok(done.returncode == 0 and masks.count(opened) == 1,
           "the bytes that are signed are the bytes that are read",
           f"{masks} {done.stderr}")


def signed(tap, hub):
    with World(hub.url) as w:
        ours, theirs = keygen(w, "ours"), keygen(w, "theirs")
        path, text = make_lock(w, "s.lock", "acme/moving")
        warm = ["warm", "--lock", path, "--key", ours + ".pub",
                "--volume", os.path.join(w.home, "vol")]

        def no(what, name):
            fails(tap, fetch(w, *warm), 9, what, name)
            tap.ok(not os.path.exists(os.path.join(w.home, "vol/hub/models--"
                                                   "acme--moving")),
                   "and nothing is brought")

        no("no signature", "an unsigned lock: 9")
        sign(w, path, theirs)
        no("not with", "signed by another key: 9")
        sign(w, path, ours)
        write(path, text.replace("g.txt", "h.txt").encode())
        no("not valid", "changed after it was signed: 9")
        write(path, text.encode())
        shutil.copy(path, os.path.join(w.home, "t.lock"))
        sign(w, os.path.join(w.home, "t.lock"), ours)
        os.rename(os.path.join(w.home, "t.lock.minisig"), path + ".minisig")
        no("signed as 't.lock'", "signed under another name: 9")
        kit.run(["mlverify", "sign", "--key", ours + ".key", "--comment",
                 "hello", path], w.env)
        no("when it was made", "a comment without a time: 9")
        sign(w, path, ours, 2000)
        done = fetch(w, *warm)
        tap.ok(done.returncode == 0, "signed by the right key", done.stderr)
        with open(path + ".minisig", "rb") as f:
            newer = f.read()
        tap.ok(fetch(w, *warm, "--offline").returncode == 0, "and again")
        opens(tap, w, path, warm)
        sign(w, path, ours, 1000)
        for more in ([], ["--offline"]):
            fails(tap, fetch(w, *warm, *more), 9, "before",
                  f"an older one: 9 {more}")
        tap.ok(fetch(w, "warm", "--lock", path, "--key", ours + ".pub",
                     ).returncode == 0, "elsewhere it is the first one")
        write(path + ".minisig", newer)
        tap.ok(fetch(w, *warm).returncode == 0, "the newer one still counts")
        with open(ours + ".pub", encoding="utf-8") as f:
            key = f.read().split("\n")[1]
        tap.ok(fetch(w, *[key if a.endswith(".pub") else a for a in warm])
               .returncode == 0, "the key itself instead of its file")
        if shutil.which("minisign") is None:
            tap.skip("a signature by minisign", "no minisign")
            return
        subprocess.run(["minisign", "-S", "-W", "-s", ours + ".key", "-m",
                        path], check=True, capture_output=True,
                       stdin=subprocess.DEVNULL)
        done = fetch(w, *warm)
        tap.ok(done.returncode == 0, "a signature by minisign", done.stderr)


def converted(tap, hub):
    with World(hub.url) as w:
        done = w.pull("acme/llama", "--bf16")
        folder = done.stdout.strip()
        tap.ok(done.returncode == 0 and "/ml/uniform/" in folder and
               "model.safetensors" in os.listdir(folder),
               "pull --bf16 prints the converted form", done.stderr)
        fails(tap, w.pull("acme/set", "--repo-type", "dataset", "--fp16"), 2,
              "models", "a dataset is not converted: 2")
        path = os.path.join(w.home, "c.lock")
        done = fetch(w, "lock", "--fp16", "acme/llama", "-o", path)
        tap.ok(done.returncode == 0 and
               json.load(open(path))["repositories"][0]["convert"] == "fp16",
               "a recipe in the lock", done.stderr)
        fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 5,
              "the fp16 form", "offline, and the form is not held: 5")
        got = json.loads(fetch(w, "warm", "--lock", path, "--json").stdout)[0]
        tap.ok(got["converted"] != folder and got["fetched_bytes"] == 0,
               "warm converts", got)
        done = fetch(w, "warm", "--lock", path, "--offline")
        tap.eq(done.stdout, got["converted"] + "\n", "proof of both")
        weights = os.path.join(got["converted"], "model.safetensors")
        os.chmod(weights, 0o644)
        with open(weights, "r+b") as f:
            f.seek(-1, 2)
            f.write(b"\x7f")
        fails(tap, fetch(w, "warm", "--lock", path, "--offline"), 6,
              "model.safetensors", "a damaged form: 6")
        eight = w.pull("acme/llama", "--int8").stdout.strip()
        tap.ok(eight not in ("", folder, got["converted"]),
               "pull --int8 is a form of its own", eight)
        short_digest(tap, w, path, got["converted"])
        with open(path + ".8", "w", encoding="utf-8") as f:
            f.write(fetch(w, "lock", "--int8", "acme/llama").stdout)
        done = fetch(w, "warm", "--lock", path + ".8", "--offline")
        tap.eq(done.stdout, eight + "\n", "and a recipe of a lock")
        shutil.rmtree(got["converted"])
        done = kit.run(["mlfetch", "pull", "--lock", path, "--volume",
                        os.path.join(w.home, "v")], w.env)
        tap.ok(done.returncode == 0 and done.stdout.startswith(
            os.path.join(w.home, "v/hub/")), "in a volume", done.stderr)
    with World(hub.url) as w:
        done = w.pull("acme/tiny", "--fp16")
        tap.ok(done.returncode in (6, 8) and "not converted" in done.stderr
               and done.stdout == "", "what cannot be converted says so",
               f"{done.returncode} {done.stderr}")


def short_digest(tap, w, lock, folder):
    """The manifest has a SHA-1 where a SHA-256 should stand."""
    path = os.path.join(folder, "ml-manifest.json")
    with open(path, encoding="utf-8") as f:
        manifest = json.load(f)
    manifest["files"]["model.safetensors"]["sha256"] = "a" * 40
    os.chmod(path, 0o644)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(manifest, f)
    fails(tap, fetch(w, "warm", "--lock", lock, "--offline"), 8,
          "'model.safetensors' has no digest", "half a digest is none: 8")
    done = kit.run(["mlcache", "verify", "--json"], w.env)
    tap.ok(json.loads(done.stdout)["unknown"] == 1,
           "nor is it one for mlcache verify", done.stdout)


class Alone:
    """A copy of mlfetch that nothing is installed beside."""

    def __init__(self, w):
        self.w = w
        self.folder = os.path.join(w.home, "bin")
        self.path = os.path.join(self.folder, "mlfetch")
        os.makedirs(self.folder)
        shutil.copy(kit.program("mlfetch"), self.path)

    def beside(self, name, script):
        path = os.path.join(self.w.home, name)
        write(path, b"#!/bin/sh\n" + script.encode())
        os.chmod(path, 0o755)

    def start(self, *args, **env):
        return subprocess.Popen(
            [self.path, "pull", *args], env={**self.w.env, **env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=self.w.home)

    def run(self, *args, **env):
        proc = self.start(*args, **env)
        out, err = proc.communicate(timeout=60)
        return subprocess.CompletedProcess(args, proc.returncode, out, err)


def converters(tap, hub):
    """Which mlconvert is run, on what, and how it ends."""
    with World(hub.url) as w:
        one = Alone(w)
        hub.reset()
        fails(tap, one.run("acme/llama", "--fp16", PATH=":.:bin2"), 3,
              "mlconvert", "no mlconvert: 3")
        tap.eq(gets(hub, "bytes"), [], "found before the first byte")
        one.beside("mlconvert", ": > ran; exit 0\n")
        one.beside("bin2/mlconvert", ": > ran; exit 0\n")
        fails(tap, one.run("acme/llama", "--fp16", PATH=":.:bin2"), 3,
              "mlconvert", "one in the current folder is none: 3")
        tap.ok(not os.path.exists(os.path.join(w.home, "ran")),
               "and is not run")
        one.beside("bin/mlconvert", "echo no such option >&2; exit 2\n")
        fails(tap, one.run("acme/llama", "--fp16"), 1, "another version",
              "one that does not understand: 1")
        one.beside("bin/mlconvert", "echo $$ > pid; exec sleep 60\n")
        pid = os.path.join(w.home, "pid")
        proc = one.start("acme/llama", "--fp16")
        until = time.time() + 20
        while time.time() < until and not (os.path.exists(pid) and
                                           os.path.getsize(pid)):
            time.sleep(0.02)
        begun = time.time()
        proc.send_signal(signal.SIGTERM)
        proc.communicate(timeout=70)
        tap.ok(proc.returncode == 130 and time.time() - begun < 10,
               "a signal to mlfetch ends mlconvert, too",
               f"{proc.returncode} {time.time() - begun}")
        with open(pid, encoding="utf-8") as f:
            child = int(f.read())
        tap.ok(not os.path.exists(f"/proc/{child}"), "which is gone")
    with World(hub.url) as w:
        got = w.pull_json("acme/llama")
        trap = os.path.join(w.home, f"acme/llama@{got['commit']}")
        write(os.path.join(trap, "model.safetensors"), b"not this")
        done = w.pull("acme/llama", "--bf16", cwd=w.home)
        tap.ok(done.returncode == 0 and "/ml/uniform/" in done.stdout,
               "a folder of that name here is not taken for it",
               done.stderr)


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"))
    for name, text in (("moving", b"old"), ("moved", b"new")):
        write(os.path.join(data, name, "f.txt"), text)
        write(os.path.join(data, name, "g.txt"), b"same")
    write(os.path.join(data, "set/data.txt"), b"rows\n")
    write(os.path.join(data, "w/w.bin"), noise(100, "w"))
    repos = {"acme/tiny": {"dir": os.path.join(data, "tiny")},
             "acme/moving": {"dir": os.path.join(data, "moving")},
             "acme/gated": {"dir": os.path.join(data, "w"), "gated": "auto"},
             "acme/llama": {"dir": os.path.join(
                 kit.ROOT, "tests/fixtures/llama/safetensors")},
             "acme/set": {"dir": os.path.join(data, "set"),
                          "type": "dataset"}}
    with kit.Hub(repos) as hub:
        converted(tap, hub)
        converters(tap, hub)
        plans(tap, hub, files)
        several(tap, hub)
        foretold(tap, hub)
        infos(tap, hub)
        signed(tap, hub)
        locks(tap, hub, files, data)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
