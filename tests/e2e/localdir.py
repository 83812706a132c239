#!/usr/bin/env python3
"""mlfetch pull --local-dir: plain files, where the official client would put
them; nothing of the user's is lost."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, ODD, World, fails, gets, kit,  # noqa: E402
                     make_model, matches, write)

NOBODY = 65534
# Names that would be records, on some file systems at least.
SLY = (".cache/huggingface/download/config.json.metadata",
       ".Cache/HUGGINGFACE/download/config.json.metadata", ".cache",
       ".cache/huggingface")


def files_of(folder):
    """Path to bytes of all but .cache."""
    found = {}
    for where, dirs, names in os.walk(folder):
        if ".cache" in dirs:
            dirs.remove(".cache")
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


def plain(tap, hub, files):
    with World(hub.url) as w:
        d = os.path.join(w.home, "out/model")
        plan = w.pull_json("acme/tiny", "--local-dir", d, "--dry-run")
        tap.ok(plan["fetch_bytes"] > 9 * MIB and not os.path.exists(d),
               "--dry-run writes nothing", plan)
        done = w.pull("acme/tiny", "--local-dir", d)
        tap.ok(done.stdout == d + "\n" and files_of(d) == files,
               "the files stand in the folder", done.stderr)
        tap.ok(all(not os.path.islink(os.path.join(d, n)) for n in files)
               and oct(os.stat(os.path.join(d, ODD)).st_mode & 0o777)
               == "0o644", "as plain files of the user's")
        tap.ok(not os.path.exists(w.root), "the hub cache is not touched")
        meta = os.path.join(d, ".cache/huggingface/download",
                            "config.json.metadata")
        with open(meta, encoding="utf-8") as f:
            lines = f.read().split("\n")
        tap.ok(lines[0] == plan["commit"] and len(lines[1]) == 40 and
               abs(float(lines[2]) - time.time()) < 60 and lines[3:] == [""],
               "with the official client's record", lines)
        blobs = os.path.join(d, ".cache/huggingface/ml/models--acme--tiny"
                             "/blobs")
        tap.eq(os.listdir(blobs), [], "nothing is kept twice")
        hub.reset()
        done = w.pull("acme/tiny", "--local-dir", d)
        tap.ok(done.returncode == 0 and len(hub.log()) == 1,
               "a second pull asks once", done.stderr)
        hub.reset()
        os.chdir(w.home)
        done = w.pull("acme/tiny", "--local-dir", "out/model/", "--offline")
        tap.ok(done.stdout == d + "\n" and hub.log() == [],
               "offline, by a relative name", done.stderr)
        own(tap, hub, w, d, files)


def own(tap, hub, w, d, files):
    """What the user changed or brought along stays."""
    mine = os.path.join(d, "config.json")
    time.sleep(2.1)
    write(mine, b'{"a": 2}\n')
    hub.reset()
    fails(tap, w.pull("acme/tiny", "--local-dir", d), 2, "config.json",
          "a file that was changed: 2")
    tap.ok(gets(hub, "bytes") == [] and files_of(d)["config.json"]
           == b'{"a": 2}\n', "and it stays")
    done = w.pull("acme/tiny", "--local-dir", d, "--exclude", "config.json")
    tap.ok(done.returncode == 0, "--exclude leaves it alone", done.stderr)
    done = w.pull("acme/tiny", "--local-dir", d, "--force")
    tap.ok(done.returncode == 0 and files_of(d) == files,
           "--force replaces it", done.stderr)
    shutil.rmtree(os.path.join(d, ".cache"))
    hub.reset()
    done = w.pull("acme/tiny", "--local-dir", d)
    tap.ok(done.returncode == 0 and gets(hub, "bytes") == [],
           "files without a record are hashed, and taken", done.stderr)
    shutil.rmtree(os.path.join(d, ".cache"))
    write(os.path.join(d, "onnx/copy.json"), b"other")
    fails(tap, w.pull("acme/tiny", "--local-dir", d), 2, "onnx/copy.json",
          "others are the user's: 2")
    os.unlink(os.path.join(d, "onnx/copy.json"))
    outside = os.path.join(w.home, "outside")
    os.makedirs(outside)
    os.rmdir(os.path.join(d, "onnx"))
    os.symlink(outside, os.path.join(d, "onnx"))
    for more in ([], ["--force"]):
        fails(tap, w.pull("acme/tiny", "--local-dir", d, *more), 8,
              "symbolic link", f"a folder that is a link: 8 {more}")
    tap.eq(os.listdir(outside), [], "and nothing is written through it")
    os.unlink(os.path.join(d, "onnx"))
    os.unlink(mine)
    os.symlink("/etc/hostname", mine)
    fails(tap, w.pull("acme/tiny", "--local-dir", d), 2, "config.json",
          "a file that is a link: 2")


def moves(tap, hub, data):
    with World(hub.url) as w:
        d = os.path.join(w.home, "m")
        w.pull("acme/moving", "--local-dir", d)
        hub.control("config", {"repos": {"acme/moving": {
            "dir": os.path.join(data, "moved")}}})
        done = w.pull("acme/moving", "--local-dir", d)
        tap.ok(done.returncode == 0 and files_of(d) ==
               {"f.txt": b"new", "g.txt": b"same"},
               "the branch moved: what is ours is replaced", done.stderr)
        for i, name in enumerate(SLY):
            fails(tap, w.pull(f"acme/sly{i}", "--local-dir", d), 8, "records",
                  f"a repository with {name}: 8")
        fails(tap, w.pull("acme/moving", "acme/tiny", "--local-dir", d), 2,
              "one repository", "two repositories in one folder: 2")
        fails(tap, w.pull("acme/moving", "--local-dir", d, "--volume", "v"),
              2, "two places", "a folder and a volume: 2")


def from_cache(tap, hub, files):
    """What the cache holds is not fetched."""
    with World(hub.url) as w:
        folder = w.pull("acme/tiny").stdout.strip()
        blob = os.path.realpath(os.path.join(folder, "model.safetensors"))
        d = os.path.join(w.home, "d")
        hub.reset()
        done = w.pull("acme/tiny", "--local-dir", d, "--offline")
        tap.ok(done.returncode == 0 and files_of(d) == files
               and hub.log() == [], "from the cache, offline", done.stderr)
        tap.ok(matches(folder, files) is None, "which keeps what it has")
        there = os.path.join(d, "model.safetensors")
        if os.getuid() == 0:
            tap.ok(os.stat(there).st_ino != os.stat(blob).st_ino,
                   "root, who may write through a link, gets none")
        linked(tap, hub, w, files)


def linked(tap, hub, w, files):
    name = "a user gets links into a cache that is read-only"
    if os.getuid() != 0:
        tap.skip(name, "needs root to be somebody else")
        return
    for where, dirs, names in os.walk(w.home):
        os.chown(where, NOBODY, NOBODY)
        for n in names:
            os.chown(os.path.join(where, n), NOBODY, NOBODY,
                     follow_symlinks=False)
    d = os.path.join(w.home, "theirs")
    if "/root" in kit.BUILD or os.stat(kit.program("mlfetch")).st_mode & 1 == 0:
        tap.skip(name, "the build is closed to others")
        return
    done = subprocess.run([kit.program("mlfetch"), "pull", "acme/tiny",
                           "--local-dir", d], env=w.env, capture_output=True,
                          text=True, user=NOBODY, group=NOBODY,
                          extra_groups=[], cwd=w.home)
    if done.returncode == 126 or "denied" in done.stderr:
        tap.skip(name, "the build is closed to others")
        return
    there = os.stat(os.path.join(d, "model.safetensors"))
    tap.ok(done.returncode == 0 and files_of(d) == files and
           (there.st_nlink == 2 and there.st_mode & 0o222 == 0
            or there.st_nlink == 1), name, f"{there} {done.stderr}")
    hub.reset()
    again = subprocess.run([kit.program("mlfetch"), "pull", "acme/tiny",
                            "--local-dir", d], env=w.env, text=True,
                           capture_output=True, user=NOBODY, group=NOBODY,
                           extra_groups=[], cwd=w.home)
    tap.ok(again.returncode == 0 and len(hub.log()) == 1,
           "which count as held", again.stderr)


def kept_times(tap, hub, data):
    """mv and cp -p bring a file with a time from before its record."""
    with World(hub.url) as w:
        d = os.path.join(w.home, "k")
        theirs, other = os.path.join(d, "f.txt"), os.path.join(d, "g.txt")
        w.pull("acme/moving", "--local-dir", d)
        was = files_of(d)

        def put(path, text):
            write(path + ".mine", text)
            os.utime(path + ".mine", (1e9, 1e9))
            os.rename(path + ".mine", path)

        put(other, b"mine")
        fails(tap, w.pull("acme/moving", "--local-dir", d), 2, "g.txt",
              "another file of that size, moved over it: 2")
        put(other, was["g.txt"])
        done = w.pull("acme/moving", "--local-dir", d)
        tap.ok(done.returncode == 0, "the same bytes under another time",
               done.stderr)
        put(theirs, b"mine, long kept")
        now = "moved" if was["f.txt"] == b"old" else "moving"
        hub.control("config", {"repos": {"acme/moving": {
            "dir": os.path.join(data, now)}}})
        fails(tap, w.pull("acme/moving", "--local-dir", d), 2, "f.txt",
              "the branch moved, and an old file of the user's is there: 2")
        tap.eq(files_of(d)["f.txt"], b"mine, long kept", "it stays")
        put(theirs, was["f.txt"])
        done = w.pull("acme/moving", "--local-dir", d)
        tap.ok(done.returncode == 0 and
               files_of(d)["f.txt"] not in (was["f.txt"], b"mine, long kept"),
               "what was recorded, under another time, is ours to replace",
               done.stderr)


def meanwhile(tap, hub, files):
    """What comes to be while the bytes come is the user's, too."""
    with World(hub.url) as w:
        d = os.path.join(w.home, "mw")
        outside = os.path.join(w.home, "outside")
        os.makedirs(outside)
        for name, change in (
                ("a file", lambda: write(os.path.join(d, "config.json"),
                                         b"mine")),
                ("a link", lambda: os.symlink(outside,
                                              os.path.join(d, "onnx")))):
            hub.faults([{"host": "bytes", "rate": 4 * MIB, "times": -1}])
            proc = subprocess.Popen(
                [kit.program("mlfetch"), "pull", "acme/tiny", "--local-dir",
                 d, "-j", "2"], env=w.env, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)
            blobs = os.path.join(d, ".cache/huggingface/ml/models--acme--tiny"
                                 "/blobs")
            until = time.time() + 10
            while time.time() < until and not os.path.isdir(blobs):
                time.sleep(0.02)
            change()
            out, err = proc.communicate()
            hub.faults([])
            tap.ok(proc.returncode in (2, 8) and out == "",
                   f"{name} that came meanwhile stops it",
                   f"{proc.returncode} {err}")
            tap.ok(os.listdir(outside) == [] and (
                name == "a link" or files_of(d)["config.json"] == b"mine"),
                "and is left alone")
            shutil.rmtree(d)
            hub.reset()


def together(tap, hub, files):
    with World(hub.url) as w:
        d = os.path.join(w.home, "two")
        hub.reset()
        hub.faults([{"host": "bytes", "rate": 8 * MIB, "times": -1}])
        procs = [subprocess.Popen(
            [kit.program("mlfetch"), "pull", "acme/tiny", "--local-dir", d],
            env=w.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) for _ in range(3)]
        ends = [(p.communicate(), p.returncode) for p in procs]
        hub.faults([])
        tap.ok(all(rc == 0 for _, rc in ends) and files_of(d) == files,
               "three at once in one folder", ends)
        came = sum(r["bytes"] for r in gets(hub, "bytes"))
        tap.ok(came < 11 * MIB, "share what one of them fetches", came)


def resumes(tap, hub, files):
    with World(hub.url) as w:
        d = os.path.join(w.home, "r")
        hub.faults([{"host": "bytes", "rate": MIB, "times": -1}])
        hub.reset()
        proc = subprocess.Popen([kit.program("mlfetch"), "pull", "acme/tiny",
                                 "--local-dir", d, "-j", "2"], env=w.env,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        time.sleep(2)
        proc.send_signal(signal.SIGKILL)
        proc.communicate()
        tap.eq(sorted(files_of(d)), [], "killed: no file is there yet")
        hub.faults([])
        first = sum(r["bytes"] for r in gets(hub, "bytes"))
        hub.reset()
        done = w.pull("acme/tiny", "--local-dir", d)
        second = sum(r["bytes"] for r in gets(hub, "bytes"))
        tap.ok(done.returncode == 0 and files_of(d) == files,
               "the next one goes on", done.stderr)
        tap.ok(first > MIB and first + second < 11 * MIB,
               "with what had come", f"{first} {second}")


def small_disk(tap, hub):
    name = "no space for a copy of what the cache holds: 7"
    with World(hub.url) as w:
        d = os.path.join(w.home, "small")
        os.makedirs(d)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none",
                           d], capture_output=True).returncode != 0:
            tap.skip(name, "cannot mount a tmpfs (not root?)")
            return
        try:
            w.pull("acme/tiny")
            fails(tap, w.pull("acme/tiny", "--local-dir", d), 7,
                  "too little", name)
            tap.eq(sorted(files_of(d)), [], "and nothing is begun")
        finally:
            subprocess.run(["umount", d], check=True)


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"))
    for name, text in (("moving", b"old"), ("moved", b"new")):
        write(os.path.join(data, name, "f.txt"), text)
        write(os.path.join(data, name, "g.txt"), b"same")
    repos = {"acme/tiny": {"dir": os.path.join(data, "tiny")},
             "acme/moving": {"dir": os.path.join(data, "moving")}}
    for i, name in enumerate(SLY):
        repos[f"acme/sly{i}"] = {
            "dir": os.path.join(data, "tiny"), "extra_tree": [
                {"type": "file", "size": 1, "oid": "ab" * 20, "path": name}]}
    with kit.Hub(repos) as hub:
        plain(tap, hub, files)
        moves(tap, hub, data)
        kept_times(tap, hub, data)
        meanwhile(tap, hub, files)
        together(tap, hub, files)
        from_cache(tap, hub, files)
        resumes(tap, hub, files)
        small_disk(tap, hub)
    os.chdir("/")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
