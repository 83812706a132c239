#!/usr/bin/env python3
"""mlcache export and import: what one machine holds, another holds after;
any tar unpacks it; a lock's signature goes along; interruptions are gone on
with. What a hostile archive may be is in tests/e2e/archive_hostile.py."""
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, ODD, World, kit, make_model,  # noqa: E402
                     matches, write)

LONG = "--long" in sys.argv
DEEP = "/".join(["deep" * 10] * 6) + "/" + "n" * 120 + ".json"


def noise(size, seed):
    """Bytes that cannot be packed, the same on every run."""
    return random.Random(seed).randbytes(size)


def mlcache(w, *args, **more):
    return kit.run(["mlcache", *args], w.env, **more)


def mlfetch(w, *args, **more):
    return kit.run(["mlfetch", *args], w.env, **more)


def good(tap, done, name):
    return tap.ok(done.returncode == 0, name, done.stdout + done.stderr)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def below(root):
    """Every name below root and what it is; of files the digest."""
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            at = os.path.relpath(path, root)
            if os.path.islink(path):
                found[at] = os.readlink(path)
            elif os.path.exists(path):
                found[at] = digest(path)
    return found


def official(root):
    """What tools look at in a hub cache."""
    return {k: v for k, v in below(root).items()
            if "/ml/" not in k and not k.startswith(".locks")}


class Source(World):
    """A volume with two repositories, and files that were put."""

    def __init__(self, hub, folder):
        super().__init__(hub.url)
        self.folder = folder
        self.volume = os.path.join(self.home, "V")
        for text in (("acme/tiny",), ("acme/tiny@v2",),
                     ("acme/set", "--repo-type", "dataset")):
            done = self.pull(*text, "--volume", self.volume)
            assert done.returncode == 0, done.stderr
        for name in ("run", "twin.bin"):
            done = mlfetch(self, "put", self.volume,
                           os.path.join(folder, name))
            assert done.returncode == 0, done.stderr
        self.refs = ["acme/tiny", "datasets/acme/set", "run", "twin.bin"]

    def export(self, to, *args):
        return mlcache(self, "export", to, "--volume", self.volume, *args,
                       *self.refs)


def puts_of(volume):
    return {k: v for k, v in below(os.path.join(volume, "files")).items()}


def round_trip(tap, hub, folder):
    with Source(hub, folder) as w:
        out = os.path.join(w.home, "out.tar.zst")
        plan = w.export(out, "--dry-run", "--json")
        good(tap, plan, "what would be in it")
        plan = json.loads(plan.stdout)
        tap.ok(not os.path.exists(out), "nothing is written")
        tap.eq([(r["repository"], r["refs"]) for r in plan["repositories"]],
               [("acme/tiny", ["main"]), ("acme/tiny", ["v2"]),
                ("acme/set", ["main"])], "both revisions, and their names")
        done = w.export(out, "--json")
        good(tap, done, "an export")
        said = json.loads(done.stdout)
        tap.eq((said["bytes"], {k: said[k] for k in said if k != "bytes"}),
               (os.path.getsize(out),
                {k: plan[k] for k in plan if k != "bytes"}),
               "as large as it says, and what was planned")
        tap.eq(w.export(out).returncode, 2, "what is there is not replaced")
        same = []
        for n in (1, 2, 3, 7):
            other = os.path.join(w.home, f"{n}.tar.zst")
            w.export(other, "--threads", n)
            same.append(digest(other))
        tap.eq(same, [digest(out)] * 4, "the same bytes with 1, 2, 3, 7 "
               "threads")
        piped = subprocess.run([kit.program("mlcache"), "export", "-",
                                "--volume", w.volume, *w.refs], env=w.env,
                               capture_output=True)
        tap.eq(hashlib.sha256(piped.stdout).hexdigest(), digest(out),
               "and through a pipe")
        unpacked(tap, w, out, said)
        imported(tap, w, out)
        part_there(tap, w, out)


def unpacked(tap, w, out, said):
    """Stock programs."""
    for tool in ("zstd", "tar"):
        if not shutil.which(tool):
            tap.skip("other programs read it", f"no {tool}")
            return
    tap.eq(subprocess.run(["zstd", "-q", "-t", out]).returncode, 0, "zstd -t")
    plain = subprocess.run(["zstdcat", out], capture_output=True).stdout
    tap.eq(len(plain), said["tar_bytes"], "zstdcat gives the bytes of the tar")
    listed = subprocess.run(["tar", "--zstd", "-tf", out],
                            capture_output=True, text=True)
    names = listed.stdout.splitlines()
    tap.ok(listed.returncode == 0 and listed.stderr == "" and
           names[0] == "ml-archive/manifest.json" and
           names[-1] == "ml-archive/seal.json", "tar lists it", listed.stderr)
    into = os.path.join(w.home, "x")
    os.mkdir(into)
    done = subprocess.run(["tar", "--zstd", "-xf", out], cwd=into,
                          capture_output=True, text=True)
    tap.ok(done.returncode == 0 and done.stderr == "",
           "tar unpacks it without a word", done.stderr)
    tap.eq(official(os.path.join(into, "hub")),
           official(os.path.join(w.volume, "hub")),
           "what it unpacks is the hub cache that was exported")
    tap.eq(below(os.path.join(into, "files")), puts_of(w.volume),
           "and the files of the volume")
    env = dict(w.env, HF_HUB_CACHE=os.path.join(into, "hub"))
    done = kit.run(["mlfetch", "pull", "--offline", "acme/tiny"], env)
    tap.ok(done.returncode == 0 and into in done.stdout,
           "mlfetch pull --offline finds it", done.stderr)
    path = os.path.join(w.home, "plain.tar")
    write(path, plain)
    with tarfile.open(path) as t:
        tap.eq({(m.uid, m.gid, m.uname, m.mtime) for m in t},
               {(0, 0, "", 315532800)}, "Python reads it: nobody's, one time")
    tap.ok(any("k/" * 3 in n or len(n) > 255 for n in names),
           "a name that needs a pax header is among them")


def held(tap, w, volume, name):
    """Is all of it found by the programs?"""
    tap.eq(official(os.path.join(volume, "hub")),
           official(os.path.join(w.volume, "hub")), f"{name}: the hub cache")
    tap.eq(puts_of(volume), puts_of(w.volume), f"{name}: the files")
    for text in (("acme/tiny",), ("acme/tiny@v2",),
                 ("acme/set", "--repo-type", "dataset")):
        done = w.pull("--offline", *text, "--volume", volume)
        tap.ok(done.returncode == 0 and volume in done.stdout,
               f"{name}: pull --offline finds {text[0]}", done.stderr)
    done = mlcache(w, "verify", "--volume", volume, "--json")
    tap.eq(json.loads(done.stdout)["wrong"], [], f"{name}: mlcache verify")
    tap.ok(not [n for n in below(volume) if "ml-import" in n],
           f"{name}: nothing is left aside")


def imported(tap, w, out):
    there = os.path.join(w.home, "W")
    done = mlcache(w, "import", out, "--volume", there, "--dry-run", "--json")
    good(tap, done, "a dry run")
    tap.ok(json.loads(done.stdout)["fresh"] > 5 and
           not os.path.exists(there), "proves it and changes nothing")
    done = mlcache(w, "import", out, "--volume", there)
    good(tap, done, "an import")
    held(tap, w, there, "imported")
    done = mlcache(w, "import", out, "--volume", there, "--json")
    said = json.loads(done.stdout)
    tap.eq((said["fresh"], said["fresh_bytes"]), (0, 0),
           "a second one brings nothing new")
    back = os.path.join(w.home, "back.tar.zst")
    mlcache(w, "export", back, "--volume", there, *w.refs)
    tap.eq(digest(back), digest(out),
           "an export of what was imported is the same file")
    piped = subprocess.run(
        f"cat '{out}' | '{kit.program('mlcache')}' import - --volume "
        f"'{w.home}/P'", shell=True, env=w.env, capture_output=True, text=True)
    good(tap, piped, "an import from a pipe")
    tap.eq(puts_of(os.path.join(w.home, "P")), puts_of(w.volume),
           "brings the same")
    done = mlcache(w, "import", out)
    tap.ok(done.returncode == 2 and "--volume" in done.stderr,
           "files of a volume need one", done.stderr)


def part_there(tap, w, out):
    """Into a volume with some of it, some damaged, and one in the way."""
    there = os.path.join(w.home, "Q")
    w.pull("acme/tiny", "--volume", there)
    mlfetch(w, "put", there, os.path.join(w.folder, "twin.bin"))
    store = os.path.join(there, "store/sha256")
    kept = {p: os.stat(os.path.join(store, p)).st_ino for p in below(store)}
    blobs = os.path.join(there, "hub/models--acme--tiny/blobs")
    hurt = max(os.listdir(blobs),
               key=lambda n: os.path.getsize(os.path.join(blobs, n)))
    os.chmod(os.path.join(blobs, hurt), 0o644)
    with open(os.path.join(blobs, hurt), "r+b") as f:
        f.seek(2 * MIB)
        f.write(b"damage")
    done = mlcache(w, "import", out, "--volume", there, "--json")
    good(tap, done, "an import into a volume that has some of it")
    tap.eq({p: os.stat(os.path.join(store, p)).st_ino for p in kept}, kept,
           "what was there is not written again")
    held(tap, w, there, "into a part")
    tap.ok(json.loads(done.stdout)["fresh_bytes"] >= 9 * MIB,
           "a damaged blob is replaced", done.stdout)
    write(os.path.join(w.home, "other"), b"mine")
    mlfetch(w, "put", os.path.join(w.home, "R"), os.path.join(w.home, "other"),
            "twin.bin")
    done = mlcache(w, "import", out, "--volume", os.path.join(w.home, "R"))
    tap.ok(done.returncode == 2 and "'twin.bin'" in done.stderr and
           list(puts_of(os.path.join(w.home, "R"))) == ["twin.bin"],
           "a file of the same name is in the way, and nothing is done",
           done.stderr)
    done = mlcache(w, "import", out, "--force", "--volume",
                   os.path.join(w.home, "R"))
    tap.eq((done.returncode, puts_of(os.path.join(w.home, "R"))),
           (0, puts_of(w.volume)), "--force replaces it")


# ---- locks ----

def locks(tap, hub):
    with World(hub.url) as w:
        lock = os.path.join(w.home, "models.lock")
        for args in (["lock", "acme/tiny", "acme/tiny@v2", "-o", lock],
                     ["pull", "acme/tiny"], ["pull", "acme/tiny@v2"]):
            assert mlfetch(w, *args).returncode == 0
        out = os.path.join(w.home, "l.tar.zst")
        done = mlcache(w, "export", out, "--lock", lock)
        good(tap, done, "an export of a lock")
        for name in ("ci", "other"):
            kit.run(["mlverify", "keygen", "--no-password", "-p",
                     os.path.join(w.home, name + ".pub"), "-s",
                     os.path.join(w.home, name + ".key")], w.env)
        key = os.path.join(w.home, "ci.pub")
        fresh = {"n": 0}

        def take(path, *args):
            fresh["n"] += 1
            env = dict(w.env, HF_HUB_CACHE=f"{w.home}/c{fresh['n']}")
            done = kit.run(["mlcache", "import", path, *args], env)
            return done, env

        done, env = take(out)
        good(tap, done, "it is taken without a signature")
        done, env = take(out, "--key", key)
        tap.ok(done.returncode == 9 and
               not os.path.exists(env["HF_HUB_CACHE"]),
               "but not where one is demanded", done.stderr)
        sign = kit.run(["mlverify", "sign", lock, "--key",
                        os.path.join(w.home, "ci.key")], w.env)
        if sign.returncode != 0:
            tap.ok(False, "a lock is signed", sign.stderr)
            return
        signed = os.path.join(w.home, "signed.tar.zst")
        good(tap, mlcache(w, "export", signed, "--lock", lock),
             "the signature goes along")
        done, env = take(signed, "--key", key)
        good(tap, done, "and is demanded with success")
        offline = kit.run(["mlfetch", "warm", "--offline", "--lock", lock,
                           "--key", key], env)
        good(tap, offline, "mlfetch warm --offline proves what was imported")
        offline = kit.run(["mlfetch", "pull", "--offline", "acme/tiny@v2"],
                          env)
        good(tap, offline, "pull --offline finds it")
        done, env = take(signed, "--key", os.path.join(w.home, "other.pub"))
        tap.ok(done.returncode == 9 and
               not os.path.exists(env["HF_HUB_CACHE"]),
               "another key: nothing is done", done.stderr)
        more = os.path.join(w.home, "more.tar.zst")
        w.pull("acme/set", "--repo-type", "dataset")
        mlcache(w, "export", more, "--lock", lock, "datasets/acme/set")
        done, env = take(more, "--key", key)
        tap.ok(done.returncode == 9 and "acme/set" in done.stderr and
               not os.path.exists(env["HF_HUB_CACHE"]),
               "what the lock does not list is not vouched for", done.stderr)
        part = os.path.join(w.home, "part.lock")
        mlfetch(w, "lock", "acme/tiny", "--include", "config.json", "-o", part)
        done = mlcache(w, "export", os.path.join(w.home, "p.tar.zst"),
                       "--lock", part)
        good(tap, done, "a lock of some files")
        done, env = take(os.path.join(w.home, "p.tar.zst"))
        seen = matches(done.stdout.strip(), {"config.json": b'{"a": 1}\n'})
        tap.eq((done.returncode, seen), (0, None), "brings these")
        shutil.rmtree(w.repo("acme/tiny"))
        done = mlcache(w, "export", os.path.join(w.home, "q.tar.zst"),
                       "--lock", lock)
        tap.ok(done.returncode == 3 and "mlfetch pull" in done.stderr and
               not [n for n in os.listdir(w.home) if n.startswith("q.")],
               "what is not here cannot be exported", done.stderr)


# ---- what goes wrong ----

def damaged_source(tap, hub, folder):
    with Source(hub, folder) as w:
        store = os.path.join(w.volume, "store/sha256")
        path = os.path.join(store, max(
            below(store), key=lambda n: os.path.getsize(
                os.path.join(store, n))))
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.write(b"damage")
        out = os.path.join(w.home, "d.tar.zst")
        done = w.export(out)
        tap.ok(done.returncode == 6 and path in done.stderr and
               not [n for n in os.listdir(w.home) if n.startswith("d.")],
               "a damaged store is not exported", done.stderr)


def sound(w, volume):
    """What no kill may leave: a name without its bytes, or wrong ones."""
    if not os.path.exists(os.path.join(volume, "ml-volume.json")):
        return []
    done = mlcache(w, "verify", "--volume", volume, "--json")
    return json.loads(done.stdout)["wrong"] if done.stdout else [done.stderr]


def killed(tap, hub, folder):
    """At many moments, one after the other, until an import is done."""
    with Source(hub, folder) as w:
        out = os.path.join(w.home, "k.tar.zst")
        w.export(out)
        bad, rounds, kills = [], 30 if LONG else 2, 0
        went_on = 0
        for i in range(rounds):
            there = os.path.join(w.home, "K")
            shutil.rmtree(there, ignore_errors=True)
            for _ in range(1000):
                proc = subprocess.Popen(
                    [kit.program("mlcache"), "import", out, "--volume", there,
                     "--json"], env=w.env, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
                try:
                    proc.wait(random.random() * 0.1 + 0.002 * kills % 0.3)
                except subprocess.TimeoutExpired:
                    proc.kill()
                    kills += 1
                said = proc.communicate()[0]
                if proc.returncode == 0:
                    break
                bad += sound(w, there)
            if not said or sound(w, there) or \
                    puts_of(there) != puts_of(w.volume):
                bad.append(i)
            went_on += bool(said) and json.loads(said)["fresh"] < 8
        tap.eq(bad, [], f"{kills} kills in {rounds} imports: nothing wrong "
               "was visible, and each came to its end")


CALLS = "openat,pwrite64,write,fsync,fchmod,rename,symlink,link,mkdir,unlink," \
    "fallocate,pread64,read,close,newfstatat,fstat,flock,readlink,utimensat"


def each_call(tap, hub, folder):
    """One call fails, or is the last; then a clean retry."""
    if not shutil.which("strace"):
        tap.skip("every system call of an import fails", "no strace")
        return
    with Source(hub, folder) as w:
        out = os.path.join(w.home, "e.tar.zst")
        mlcache(w, "export", out, "--volume", w.volume, "acme/tiny@v2",
                "twin.bin")
        there = os.path.join(w.home, "E")
        log = os.path.join(w.home, "calls")
        env = dict(w.env, ASAN_OPTIONS="detect_leaks=0")
        args = [kit.program("mlcache"), "import", out, "--volume", there,
                "--threads", "1", "--progress", "none"]
        subprocess.run(["strace", "-f", "-qq", "-o", log, *args], env=env,
                       capture_output=True)
        with open(log, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        start = next((i for i, x in enumerate(lines) if out in x), 0)
        counts = {}
        for i, line in enumerate(lines):
            m = re.match(r"^\d+ +(\w+)\(", line)
            if m and m.group(1) in CALLS.split(","):
                first, last = counts.get(m.group(1), (None, 0))
                last += 1
                if first is None and i >= start:
                    first = last
                counts[m.group(1)] = (first, last)
        bad, runs, reported = [], 0, 0
        rng = random.Random(5)
        for call, (first, last) in sorted(counts.items()):
            for fault in ("error=EIO", "error=ENOSPC", "error=EDQUOT",
                          "error=EINTR", "signal=KILL")[::1 if LONG else 2]:
                if first is None:
                    continue
                where = list(range(first, last + 1))
                if not LONG:
                    where = rng.sample(where, 1)
                for k in where:
                    shutil.rmtree(there, ignore_errors=True)
                    done = subprocess.run(
                        ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                         f"inject={call}:{fault}:when={k}", *args], env=env,
                        capture_output=True, text=True)
                    runs += 1
                    reported += done.returncode not in (0, -9)
                    got = subprocess.run(
                        [kit.program("mlfetch"), "get", there, "twin.bin",
                         "-"], env=w.env, capture_output=True).stdout
                    whole = got == noise(2 * MIB, 5)
                    wrong = sound(w, there)
                    if wrong or (done.returncode == 0 and not whole):
                        bad.append((call, k, fault, done.returncode, wrong,
                                    done.stderr))
                    again = subprocess.run(args, env=env, capture_output=True,
                                           text=True)
                    if again.returncode != 0 or sound(w, there):
                        bad.append((call, k, fault, "retry", again.stderr))
        tap.eq(bad, [], f"{runs} runs, a system call failed or was the last "
               f"({reported} said so): nothing wrong, and a retry does it")


def full_disk(tap, hub, folder):
    with Source(hub, folder) as w:
        out = os.path.join(w.home, "f.tar.zst")
        w.export(out)
        small = os.path.join(w.home, "small")
        os.mkdir(small)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m",
                               "none", small], capture_output=True)
        if done.returncode != 0:
            tap.skip("a full disk", "cannot mount a small file system")
            return
        try:
            write(os.path.join(small, "fill"), bytes(16 * MIB))
            done = mlcache(w, "import", out, "--volume", small + "/V")
            tap.ok(done.returncode == 7 and "more than is free" in done.stderr
                   and not os.path.exists(small + "/V"),
                   "too little room is told before the first byte",
                   done.stderr)
            with open(out, "rb") as f:
                front = f.read()[:8 * MIB]
            write(os.path.join(small, "o"), front[:4 * MIB])
            done = w.export(os.path.join(small, "full.tar.zst"))
            tap.ok(done.returncode == 7 and os.listdir(small) == ["fill", "o"]
                   or sorted(os.listdir(small)) == ["fill", "o"],
                   "an export to a full disk leaves nothing", done.stderr)
            os.unlink(os.path.join(small, "o"))
            os.unlink(os.path.join(small, "fill"))
            done = mlcache(w, "import", out, "--volume", small + "/V")
            tap.ok(done.returncode in (0, 7), "with more room", done.stderr)
            tap.eq(sound(w, small + "/V"), [], "the volume is sound")
        finally:
            subprocess.run(["umount", "-l", small], check=True)


def collected(tap, hub, folder):
    """What an interrupted import left is gone on with, or collected."""
    with Source(hub, folder) as w:
        out = os.path.join(w.home, "g.tar.zst")
        w.export(out)
        there = os.path.join(w.home, "G")
        with open(out, "rb") as f:
            front = f.read()[:-MIB]
        done = subprocess.run(
            [kit.program("mlcache"), "import", "-", "--volume", there],
            env=w.env, input=front, capture_output=True)
        aside = os.path.join(there, "tmp/ml-import.tmp")
        tap.ok(done.returncode == 6 and os.listdir(aside) and
               not os.path.exists(os.path.join(there, "names")),
               "a pipe that breaks leaves contents aside, and no name",
               done.stderr)
        kept = len(os.listdir(aside))
        done = mlcache(w, "import", out, "--volume", there, "--json")
        said = json.loads(done.stdout)
        tap.eq((done.returncode, said["contents"] - said["fresh"]), (0, kept),
               f"the next import goes on with these {kept}")
        shutil.rmtree(there)
        subprocess.run([kit.program("mlcache"), "import", "-", "--volume",
                        there], env=w.env, input=front, capture_output=True)
        mlcache(w, "gc", "--volume", there)
        tap.ok(os.path.exists(aside), "gc leaves them for a day")
        mlcache(w, "gc", "--volume", there, "--grace", "0")
        tap.ok(not os.path.exists(aside), "and then not")
        broken = os.path.join(w.home, "b.tar.zst")
        write(broken, front)
        shutil.rmtree(there)
        done = mlcache(w, "import", broken, "--volume", there)
        tap.ok(done.returncode == 6 and broken in done.stderr and
               not os.path.exists(there),
               "a file that is cut off leaves nothing", done.stderr)


def at_work(tap, hub, folder):
    """Who removes things waits for an export; an interrupt ends either."""
    with Source(hub, folder) as w:
        args = [kit.program("mlcache"), "export", "-", "--volume", w.volume,
                *w.refs]
        proc = subprocess.Popen(args, env=w.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        proc.stdout.read(1)  # and no more: the pipe fills up
        for args in (["rm", "--yes", "acme/tiny"], ["rm", "--yes", "run"]):
            done = mlcache(w, *args, "--volume", w.volume)
            tap.ok(done.returncode == 1 and f"process {proc.pid}" in
                   done.stderr, f"{args[2]} is not removed under an export",
                   done.stderr)
        proc.stdout.close()
        said = proc.stderr.read().decode()
        tap.ok(proc.wait() == 1 and "stdout" in said and
               "Broken pipe" in said, "a pipe that nobody reads", said)
        out = os.path.join(w.home, "i.tar.zst")
        w.export(out)
        there = os.path.join(w.home, "I")
        proc = subprocess.Popen(
            [kit.program("mlcache"), "import", "-", "--volume", there],
            env=w.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        with open(out, "rb") as f:
            proc.stdin.write(f.read()[:-MIB])
        proc.stdin.flush()
        time.sleep(1)
        proc.send_signal(signal.SIGINT)
        tap.eq(proc.wait(30), 130, "an interrupt of an import that waits for "
               "its pipe")
        done = mlcache(w, "import", out, "--volume", there, "--json")
        said = json.loads(done.stdout)
        tap.ok(said["fresh"] < said["contents"],
               "what had come is gone on with", said)


def main():
    tap = kit.Tap()
    random.seed(11)
    folder = kit.scratch()
    make_model(os.path.join(folder, "main"))
    write(os.path.join(folder, "main/model.safetensors"), noise(9 * MIB, 1))
    two = os.path.join(folder, "v2")
    write(os.path.join(two, "config.json"), b'{"a": 2}\n')
    write(os.path.join(two, DEEP), b"{}\n")
    write(os.path.join(two, "small.safetensors"), noise(MIB // 2, 3))
    data = os.path.join(folder, "set")
    shared = noise(2 * MIB, 5)
    write(os.path.join(data, "rows.bin"), shared)
    write(os.path.join(folder, "twin.bin"), shared)
    write(os.path.join(folder, "run/a.bin"), noise(3 * MIB + 7, 6))
    write(os.path.join(folder, "run/empty"), b"")
    write(os.path.join(folder, "run", ODD), b"odd\n")
    write(os.path.join(folder, "run/again.bin"), shared)
    repos = {"acme/tiny": {"dir": os.path.join(folder, "main"),
                           "branches": {"main": None, "v2": "2" * 40},
                           "revisions": {"v2": {"dir": two}}},
             "acme/set": {"dir": data, "type": "dataset"}}
    start = time.monotonic()
    with kit.Hub(repos) as hub:
        for test in ((round_trip, folder), (locks,), (damaged_source, folder),
                     (collected, folder), (full_disk, folder),
                     (at_work, folder), (killed, folder),
                     (each_call, folder)):
            test[0](tap, hub, *test[1:])
            print(f"# {test[0].__name__}: {time.monotonic() - start:.1f} s")
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
