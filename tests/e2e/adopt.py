#!/usr/bin/env python3
"""mlcache adopt on real file systems: killed at every step it goes on, a full
disk loses nothing, a move never loses the only copy, what shares its file
cannot be changed by accident, and a pull finds all of it held. With --long:
killed at every single step."""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import foreign  # noqa: E402
from foreign import COMMIT  # noqa: E402
from pulling import World, gets, kit, noise, write  # noqa: E402

MIB = 1 << 20
KILLED = -signal.SIGKILL
LONG = "--long" in sys.argv[1:]
WORKERS = 4
# of a call that comes often, so many places, evenly spread
MOST = 400 if LONG else 3
CALLS = ["linkat", "fchmod", "fsync", "rename", "symlink", "unlink",
         "unlinkat", "mkdir", "pwrite64"]
ERRORS = {"linkat": "EIO", "fchmod": "EPERM", "fsync": "EIO",
          "rename": "EIO", "symlink": "EIO", "mkdir": "EACCES",
          "unlinkat": "EIO", "pwrite64": "ENOSPC"}


class Bench:
    """A scratch folder with a source of every kind in it."""

    def __init__(self, where=None, size=60_000):
        self.dir = where or kit.scratch()
        self.own = where is None
        self.env = kit.clean_env(self.dir, MLFETCH_VOLUMES=self.at("vols"))
        self.files = foreign.model(size=size)
        self.repo = foreign.add_commit(self.at("old"), "acme/tiny",
                                       self.files)
        foreign.add_ollama(self.at("ollama"), "a", size=size)
        self.runs = {"final.pt": noise(size, "f"), "a/log.txt": b"log\n"}
        for name, data in self.runs.items():
            write(self.at("runs", name), data)
        self.bytes = {p: read(p) for p in files_below(self.dir)}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.own:
            shutil.rmtree(self.dir)

    def at(self, *parts):
        return os.path.join(self.dir, *parts)

    def args(self, *more, volume="v"):
        return [kit.program("mlcache"), "adopt", "--volume", volume, *more,
                "old", "ollama", "runs"]

    def adopt(self, *more, wrapped=(), volume="v"):
        return subprocess.run([*wrapped, *self.args(*more, volume=volume)],
                              env=self.env, cwd=self.dir, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=120)

    def volume(self, name="v"):
        return name if "/" in name else self.at("vols", name)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def files_below(root):
    found = []
    for folder, _, names in os.walk(root):
        found += [os.path.join(folder, n) for n in names
                  if not os.path.islink(os.path.join(folder, n))]
    return sorted(found)


def digest_is(path):
    data, name = read(path), os.path.basename(path)
    return name in (foreign.sha256(data), foreign.git_sha1(data))


def unsound(volume):
    """A name of the volume that leads to other bytes than it says, or None."""
    for part in ("store", "hub/models--acme--tiny/blobs"):
        for path in files_below(os.path.join(volume, part)):
            if not digest_is(path):
                return f"{path} holds other bytes"
    for path in files_below(os.path.join(volume, "names")):
        sha = json.loads(read(path))["sha256"]
        if not os.path.exists(f"{volume}/store/sha256/{sha[:2]}/{sha}"):
            return f"{path} leads nowhere"
    top = os.path.join(volume, "hub/models--acme--tiny")
    for folder, _, names in os.walk(os.path.join(top, "snapshots")):
        for name in names:
            if not os.path.exists(os.path.join(folder, name)):
                return f"{folder}/{name} leads nowhere"
    return None


def lost(b, volume):
    """A content of the sources that is nowhere any more, or None."""
    here = {foreign.sha256(read(p)) for root in
            (b.at("old"), b.at("ollama"), b.at("runs"), volume)
            for p in files_below(root)}
    for path, data in b.bytes.items():
        if "/refs/" in path or "/trees/" in path or path.endswith("TAG"):
            continue
        if foreign.sha256(data) not in here:
            return path
    return None


def missing(b, volume):
    """What the volume has not of the sources, or None."""
    snapshot = os.path.join(volume, "hub/models--acme--tiny/snapshots", COMMIT)
    want = {os.path.join(snapshot, n): d for n, d in b.files.items()}
    want.update({os.path.join(volume, "files/runs", n): d
                 for n, d in b.runs.items()})
    for path, data in want.items():
        if not os.path.exists(path) or read(path) != data:
            return path
    if not os.path.exists(f"{volume}/files/ollama/a/latest/model.gguf"):
        return "ollama"
    ref = os.path.join(volume, "hub/models--acme--tiny/refs/main")
    return None if os.path.exists(ref) and read(ref) == COMMIT.encode() \
        else ref


# ---- killed, and failing calls ----

def strace(*args):
    return ["strace", "-f", "-qq", *args]


def counts(how):
    with Bench() as b:
        log = b.at("trace")
        b.adopt(how, wrapped=strace("-o", log, "-e", "trace=" +
                                    ",".join("?" + c for c in CALLS)))
        if not os.path.exists(log):
            return None
        with open(log, encoding="utf-8", errors="replace") as f:
            names = re.findall(r"^\d+\s+(\w+)\(", f.read(), re.M)
    return {c: names.count(c) for c in CALLS if c in names}


def step(how, call, k, what):
    """One injected kill or error, and the run that ends it: None, or what
    is wrong."""
    with Bench() as b:
        done = b.adopt(how, wrapped=strace(
            "-o", "/dev/null", "-e", f"inject={call}:{what}:when={k}"))
        bad = unsound(b.volume()) or lost(b, b.volume())
        if bad:
            return f"{call} {k} {what}: {bad}"
        if what.startswith("error") and done.returncode == 0 and \
                "not shown under files/" not in done.stderr and \
                missing(b, b.volume()):
            return f"{call} {k} {what}: 0, yet {missing(b, b.volume())}"
        again = b.adopt(how)
        # a name that cannot be had twice: the sources of a move are gone
        if again.returncode != 0 and not (how == "--move" and
                                          "nothing to adopt" in again.stderr):
            return f"{call} {k} {what}: then {again.returncode} {again.stderr}"
        bad = unsound(b.volume()) or lost(b, b.volume())
        if not bad and how != "--move":
            bad = missing(b, b.volume())
        return f"{call} {k} {what}: then {bad}" if bad else None


def test_steps(tap, how):
    n = counts(how)
    if not n:
        tap.skip(f"kills of {how}", "strace does not run here")
        return
    steps = []
    for call, count in n.items():
        for k in sorted({1 + i * (count - 1) // (MOST - 1)
                         for i in range(MOST)}):
            steps.append((how, call, k, "signal=SIGKILL"))
            if call in ERRORS:
                steps.append((how, call, k, f"error={ERRORS[call]}"))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as team:
        bad = [x for x in team.map(lambda s: step(*s), steps) if x]
    tap.ok(not bad, f"{how}: {len(steps)} kills and failed calls: nothing lost, "
           "nothing wrong, and the next run ends it", "\n".join(bad))


def test_kill(tap):
    with Bench(size=8 * MIB) as b:
        killed = 0
        for ms in (5, 15, 30, 60, 100):
            with subprocess.Popen(b.args("--copy"), env=b.env, cwd=b.dir,
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as proc:
                time.sleep(ms / 1000)
                proc.kill()
            killed += proc.returncode == KILLED
            bad = unsound(b.volume()) if os.path.isdir(b.volume()) else None
            if bad:
                break
        tap.ok(not bad, f"{killed} kills on the way: no name is wrong", bad)
        done = b.adopt("--copy")
        tap.ok(done.returncode == 0 and not missing(b, b.volume()),
               "and the next run ends it", done.stderr)


# ---- resuming ----

def test_resume(tap):
    with Bench(size=4 * MIB) as b:
        args = [kit.program("mlcache"), "adopt", "--link", "old"]
        traced = strace("-o", "/dev/null", "-e",
                        "inject=linkat:signal=SIGKILL:when=2")
        done = subprocess.run([*traced, *args], env=b.env, cwd=b.dir,
                              capture_output=True)
        if done.returncode != KILLED:
            tap.skip("a killed adopt goes on", "strace does not run here")
            return
        log = b.at("trace")
        done = subprocess.run([*strace("-y", "-o", log, "-e",
                                       "trace=pread64"), *args],
                              # nobody looks for leaks while being traced
                              env=dict(b.env, ASAN_OPTIONS="detect_leaks=0"),
                              cwd=b.dir, capture_output=True, text=True)
        text = read(log).decode(errors="replace")
        got = sum(int(n) for n in re.findall(r"/old/.* = (\d+)$", text, re.M))
        all_of = sum(map(len, b.files.values()))
        tap.ok(done.returncode == 0 and got < all_of and
               "already held" in done.stdout,
               f"what was in is not read again: {got} of {all_of}",
               done.stdout)
        bad = [n for n, d in b.files.items() if read(os.path.join(
            b.dir, "hf/hub/models--acme--tiny/snapshots", COMMIT, n)) != d]
        tap.eq(bad, [], "and all of it is there")


# ---- file systems ----

class Mount:
    """A file system of its own; None in `with` where it cannot be had."""

    def __init__(self, kind, size):
        self.kind, self.size = kind, size
        self.folder = kit.scratch()
        self.at = os.path.join(self.folder, "mnt")
        os.mkdir(self.at)

    def __enter__(self):
        image = os.path.join(self.folder, "image")
        if self.kind == "tmpfs":
            steps = [["mount", "-t", "tmpfs", "-o", f"size={self.size}",
                      "none", self.at]]
        else:
            with open(image, "wb") as f:
                f.truncate(self.size)
            steps = [[f"mkfs.{self.kind}", "-q", image],
                     ["mount", "-o", "loop", image, self.at]]
        try:
            for s in steps:
                subprocess.run(s, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return self.at

    def __exit__(self, *exc):
        subprocess.run(["umount", self.at], capture_output=True)
        shutil.rmtree(self.folder)


def sums(done):
    doc = json.loads(done.stdout)
    return {k: sum(s[k] for s in doc["sources"])
            for k in ("linked", "cloned", "copied", "held", "removed")}


def test_other_disk(tap):
    with Mount("tmpfs", 64 * MIB) as mnt:
        if mnt is None:
            tap.skip("another file system", "cannot mount a tmpfs (not root?)")
            return
        volume = os.path.join(mnt, "v")
        with Bench() as b:
            done = b.adopt("--link", volume=volume)
            tap.ok(done.returncode == 8 and "another file system" in
                   done.stdout and "unfit" in done.stdout,
                   "--link to another file system: 8, and why", done.stdout)
            done = b.adopt("--json", volume=volume)
            tap.ok(done.returncode == 0 and sums(done)["copied"] == 14 and
                   not missing(b, volume), "without an option it is copied",
                   done.stdout)
        with Bench() as b:
            volume = os.path.join(mnt, "w")
            done = b.adopt("--json", "--move", volume=volume)
            tap.ok(done.returncode == 0 and sums(done)["copied"] == 14 and
                   not missing(b, volume), "--move copies, then removes",
                   done.stdout)
            left = [p for p in files_below(b.dir) if "/hf/" not in p]
            tap.eq([os.path.relpath(p, b.dir) for p in left],
                   ["old/CACHEDIR.TAG"], "nothing is left at the source")
        with Bench() as b:
            path = foreign.blob_of(b.repo, "model-1.safetensors")
            data = bytes([read(path)[0] ^ 1]) + read(path)[1:]
            write(path, data)
            volume = os.path.join(mnt, "x")
            done = b.adopt("--move", volume=volume)
            tap.ok(done.returncode == 6 and read(path) == data and
                   os.path.exists(os.path.join(
                       b.repo, "snapshots", COMMIT, "model-1.safetensors")),
                   "control: a flipped byte is not moved, and stays",
                   done.stdout)
            tap.ok(os.path.exists(os.path.join(b.repo, "refs/main")),
                   "nor is the branch that names it")


def test_full_disk(tap):
    with Mount("tmpfs", 8 * MIB) as mnt:
        if mnt is None:
            tap.skip("a full disk", "cannot mount a tmpfs (not root?)")
            return
        volume = os.path.join(mnt, "v")
        with Bench(size=3 * MIB) as b:
            done = b.adopt("--move", volume=volume)
            tap.ok(done.returncode == 7 and "more than is free" in done.stderr
                   and "hint: " in done.stderr, "too little space is foretold",
                   f"{done.returncode} {done.stderr}")
            tap.eq((unsound(volume), lost(b, volume)), (None, None),
                   "nothing is lost, nothing is wrong")
    if os.geteuid() != 0:
        tap.skip("a disk that fills", "not root")
        return
    # what is not foreseen: another user's files are copied, not linked
    with Mount("tmpfs", 16 * MIB) as mnt:
        b = Bench(where=mnt, size=2 * MIB)
        for path in b.bytes:
            os.chown(path, 12345, 12345)
        volume = os.path.join(mnt, "v")
        done = b.adopt(volume=volume)
        tap.eq((done.returncode, unsound(volume), lost(b, volume)),
               (7, None, None), "a disk that fills: 7, and nothing lost")
        shutil.rmtree(b.at("runs"))
        shutil.rmtree(b.at("ollama"))
        done = subprocess.run([kit.program("mlcache"), "adopt", "--move",
                               "--volume", volume, "old"], env=b.env, cwd=mnt,
                              capture_output=True, text=True)
        tap.eq((done.returncode, unsound(volume)), (0, None),
               "with room again it goes on")


def test_clone(tap):
    with Mount("xfs", 400 * MIB) as mnt:
        if mnt is None:
            tap.skip("clones", "cannot mount an xfs")
            return
        b = Bench(where=mnt)
        volume = os.path.join(mnt, "v")
        done = b.adopt("--json", volume=volume)
        tap.ok(done.returncode == 0 and sums(done)["cloned"] == 14 and
               not missing(b, volume), "where there are clones they are taken",
               f"{done.stdout}{done.stderr}")
        tap.ok(all(stat.S_IMODE(os.stat(p).st_mode) & 0o200 for p in b.bytes),
               "and the source stays writable")
        path = b.at("runs/final.pt")
        with open(path, "r+b") as f:
            f.write(b"changed")
        tap.eq(read(os.path.join(volume, "files/runs/final.pt")),
               b.runs["final.pt"], "a change of the source changes nothing")


# ---- what a link promises ----

def test_link(tap):
    with Bench() as b:
        path = b.at("runs/final.pt")
        with open(path, "r+b"):
            done = b.adopt("--link")
            tap.ok(done.returncode == 8 and
                   "a program has it open for writing" in done.stdout,
                   "what is open for writing is not linked", done.stdout)
            done = b.adopt("--json")
        tap.ok(done.returncode == 0 and sums(done)["copied"] == 1,
               "without --link it is copied", done.stdout)
        tap.ok(os.stat(path).st_ino != os.stat(os.path.join(
            b.volume(), "files/runs/final.pt")).st_ino, "so that it is apart")
        tap.eq(missing(b, b.volume()), None, "and all the rest is linked")
    if os.geteuid() != 0:
        tap.skip("another user's file", "not root")
        return
    with Bench() as b:
        os.chown(b.at("runs/final.pt"), 12345, 12345)
        done = b.adopt("--link")
        tap.ok(done.returncode == 8 and "another user" in done.stdout,
               "another user's file is not linked", done.stdout)
        done = b.adopt("--move", "--json")
        tap.ok(done.returncode == 0 and sums(done)["copied"] == 1 and
               not os.path.exists(b.at("runs/final.pt")) and
               not missing(b, b.volume()), "nor moved: copied, and removed",
               done.stdout)


def test_changed_behind(tap):
    """The documented limit, and who finds it."""
    with Bench() as b:
        b.adopt("--link")
        path = foreign.blob_of(b.repo, "model-1.safetensors")
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.write(b"changed")
        done = kit.run(["mlcache", "verify", "--volume", "v"], b.env)
        tap.ok(done.returncode == 6 and "model-1.safetensors" in done.stdout,
               "control: who makes it writable and writes is found by verify",
               done.stdout)


def test_bind(tap):
    """The place under another path is no source: a move would lose it."""
    with Mount("tmpfs", MIB), Bench() as b:
        b.adopt("--copy")
        before = {p: read(p) for p in files_below(b.volume())}
        os.mkdir(b.at("again"))
        if subprocess.run(["mount", "--bind", b.volume(), b.at("again")],
                          capture_output=True).returncode != 0:
            tap.skip("a second path", "cannot mount (not root?)")
            return
        try:
            said = []
            for inside in ("again", "again/hub", "again/files",
                           "again/store", "again/hub/models--acme--tiny"):
                kind = "hub" if "hub" in inside else "folder"
                said.append(subprocess.run(
                    [kit.program("mlcache"), "adopt", "--volume", "v",
                     "--move", "--kind", kind, inside], env=b.env, cwd=b.dir,
                    capture_output=True).returncode)
            tap.eq(said, [8] * 5, "the place is not taken by another path")
        finally:
            subprocess.run(["umount", b.at("again")], check=True)
        now = {p: read(p) for p in files_below(b.volume())}
        tap.eq([p for p in before if now.get(p) != before[p]], [],
               "and loses nothing by such a move")
        tap.eq(unsound(b.volume()), None, "and nothing is wrong")


def test_bind_above(tap):
    """A folder that has the volume in it, by another path."""
    with Mount("tmpfs", MIB), Bench() as b:
        b.adopt("--copy")
        shutil.rmtree(b.at("old"))
        before = {p: read(p) for p in files_below(b.volume())}
        os.mkdir(b.at("again"))
        if subprocess.run(["mount", "--bind", b.at("vols"), b.at("again")],
                          capture_output=True).returncode != 0:
            tap.skip("a volume in its source", "cannot mount (not root?)")
            return
        try:
            done = subprocess.run(
                [kit.program("mlcache"), "adopt", "--volume", "v", "--move",
                 "again"], env=b.env, cwd=b.dir, capture_output=True, text=True)
            tap.ok(done.returncode == 8 and "is a volume" in done.stderr,
                   "a volume is not moved into itself by another path",
                   done.stdout + done.stderr)
        finally:
            subprocess.run(["umount", b.at("again")], check=True)
        now = {p: read(p) for p in files_below(b.volume())}
        tap.eq([p for p in before if now.get(p) != before[p]], [],
               "and loses no name")


# ---- a pull ----

def test_pull(tap):
    files = foreign.model()
    source = kit.scratch()
    for name, data in files.items():
        write(os.path.join(source, name), data)
    with kit.Hub({"acme/tiny": {"dir": source}}) as hub, \
            World(hub.url) as w, World(hub.url) as theirs:
        theirs.pull("acme/tiny")
        commit = theirs.names("acme/tiny", "snapshots")[0]
        shutil.rmtree(os.path.join(theirs.repo("acme/tiny"), "trees"))
        damaged = foreign.blob_of(theirs.repo("acme/tiny"), "config.json",
                                  commit)
        os.chmod(damaged, 0o644)
        write(damaged, bytes(len(files["config.json"])))
        done = kit.run(["mlcache", "adopt", theirs.root], w.env)
        tap.ok(done.returncode == 6 and "nothing but zeros" in done.stdout,
               "a zeroed blob is refused", done.stdout)
        looked = kit.run(["mlverify", "check", "acme/tiny@" + commit], w.env)
        tap.ok(looked.returncode != 0, "what is here in part is not whole",
               looked.stdout + looked.stderr)
        hub.reset()
        done = w.pull("acme/tiny")
        asked = {r["path"].rpartition("/")[2]
                 for r in gets(hub, part="/resolve/")}
        tap.eq((done.returncode, asked), (0, {"config.json"}),
               "a pull fetches that one, and finds the rest held")
        hub.reset()
        done = w.pull("acme/tiny")
        tap.eq((done.returncode, gets(hub, part="/resolve/")), (0, []),
               "and then nothing")
    shutil.rmtree(source)


def main():
    tap = kit.Tap()
    test_link(tap)
    test_changed_behind(tap)
    test_other_disk(tap)
    test_full_disk(tap)
    test_clone(tap)
    test_bind(tap)
    test_bind_above(tap)
    test_pull(tap)
    test_resume(tap)
    test_kill(tap)
    test_steps(tap, "--link")
    test_steps(tap, "--copy")
    test_steps(tap, "--move")
    tap.done()


if __name__ == "__main__":
    main()
