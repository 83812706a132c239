#!/usr/bin/env python3
"""The log of a volume against kills, torn and damaged lines, many writers and
readers at once, a full disk and read-only media: a step is seen wholly or not
at all, and the log always comes to what the names say."""
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import kit, write  # noqa: E402
from states import scratch  # noqa: E402

LONG = "--long" in sys.argv[1:]
CALLS = ("write", "fsync", "rename", "unlink", "link", "rmdir", "mkdir",
         "openat", "pwrite64", "fchmod", "syncfs", "fallocate", "flock")
MANY = 20


class Volume:
    def __init__(self, home, name="vol"):
        self.home, self.path = home, os.path.join(home, name)
        self.env = kit.clean_env(home)

    def run(self, *args, front=(), program="mlfetch"):
        """args[0] is the command; the volume comes behind it."""
        return subprocess.run(
            [*front, kit.program(program), args[0], self.path, *args[1:]],
            env=self.env, cwd=self.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120)

    def names(self):
        done = self.run("ls", "--json")
        if done.returncode != 0 or done.stderr:
            raise RuntimeError(done.stderr)
        return {f["name"]: f["sha256"] for f in json.loads(done.stdout)["files"]}

    def steps(self):
        return json.loads(self.run("log", "--json").stdout)["steps"][::-1]

    def wrong(self):
        """None when the log comes to what ls says, and no name is alone."""
        state = {}
        for i, step in enumerate(self.steps()):
            if step["step"] != i + 1:
                return f"step {i + 1} is missing"
            for c in step["changes"]:
                before = c["before"] and c["before"]["sha256"]
                if state.pop(c["name"], None) != before:
                    return f"step {i + 1}: {c['name']} was something else"
                if c["after"]:
                    state[c["name"]] = c["after"]["sha256"]
        names = self.names()
        if names != state:
            return f"the log says {sorted(state)}, ls {sorted(names)}"
        for name, sha in names.items():
            kept = os.path.join(self.path, "store/sha256", sha[:2], sha)
            if not os.path.exists(kept):
                return f"{name} leads nowhere"
        return None

    def settled(self):
        """None when names/ and files/ are exactly what ls says."""
        names = self.names()
        for part, tail in (("names", ".json"), ("files", "")):
            top = os.path.join(self.path, part)
            found = {os.path.relpath(os.path.join(d, n), top)
                     for d, _, ns in os.walk(top) for n in ns}
            if found != {n + tail for n in names}:
                return f"{part}/ has {sorted(found)}, not {sorted(names)}"
        return None

    def log(self):
        return os.path.join(self.path, "log")


def made(home):
    """a, b, and a folder of many names."""
    v = Volume(home)
    for name in ("a", "b"):
        write(os.path.join(home, name), name.encode() * 100)
        v.run("put", name)
    for i in range(MANY):
        write(os.path.join(home, f"many/f{i:02}"), b"%d" % i)
    v.run("put", "many")
    return v


EDITS = [["rm", "a"], ["rm", "-r", "many", "b"], ["mv", "a", "many", "to/"],
         ["mv", "-f", "a", "b"], ["cp", "-r", "many", "twice"],
         ["rollback", "1"], ["put", "-f", "b", "a"],
         ["put", "many", "again/"]]


def counts(v, args):
    log = os.path.join(v.home, "trace")
    v.run(*args, front=["strace", "-f", "-qq", "-o", log])
    with open(log, encoding="utf-8", errors="replace") as f:
        names = [line.split(None, 1)[1].split("(", 1)[0] for line in f
                 if "(" in line]
    return {c: names.count(c) for c in CALLS if c in names}


def places(n):
    """The program's own calls come last, behind the loader's."""
    if LONG:
        return range(max(1, n - 200), n + 1)
    return sorted({max(1, n - d) for d in (0, 1, 5, 23)})


def kills(tap, home):
    """Killed at a call: all of the step is there, or nothing of it; and the
    next edit leaves names/ and files/ as ls says."""
    v = made(home)
    safe = v.path + ".safe"
    os.rename(v.path, safe)
    for args in EDITS:
        shutil.copytree(safe, v.path, symlinks=True)
        before = v.names()
        found = counts(v, args)
        after, bad, seen = v.names(), [], [0, 0]
        for call, n in found.items():
            for k in places(n):
                shutil.rmtree(v.path)
                shutil.copytree(safe, v.path, symlinks=True)
                v.run(*args, front=["strace", "-f", "-qq", "-o", "/dev/null",
                                    "-e", f"inject={call}:signal=KILL:when={k}"])
                now = v.names()
                seen[now == after] += 1
                problem = v.wrong()
                if now not in (before, after) or problem:
                    bad.append((call, k, problem or "half a step"))
                    continue
                # one that has nothing to do ends what was killed
                v.run("rm", "no-such-name")
                if v.settled() or v.names() != now:
                    bad.append((call, k, v.settled() or "changed its mind"))
        shutil.rmtree(v.path)
        tap.ok(not bad and min(seen) > 0 and before != after,
               f"{' '.join(args)}: killed {sum(seen)} times, {seen[0]} times "
               f"before the step and {seen[1]} times behind it", bad[:5])


def torn(tap, home):
    """A log cut at every byte of its last step, names/ still as before."""
    v = made(home)
    with open(v.log(), "rb") as f:
        start = len(f.read())
    safe = v.path + ".safe"
    shutil.copytree(v.path, safe, symlinks=True)
    before = v.names()
    v.run("mv", "many", "moved")
    after = v.names()
    with open(v.log(), "rb") as f:
        log = f.read()
    end = log.index(b"done 4 ", start)
    shutil.rmtree(v.path)
    shutil.copytree(safe, v.path, symlinks=True)
    bad = []
    for n in [*range(start, end + 1, 1 if LONG else 97), end - 1, end,
              len(log) - 1]:
        with open(v.log(), "wb") as f:
            f.write(log[:n])
        if v.names() != (after if n >= end else before):
            bad.append(n)
    tap.eq(bad, [], "a log that is cut at any byte of a step: none of it, and "
           "with its last byte all of it, before names/ has followed")
    for n, state in ((start + 700, before), (end, after)):
        shutil.rmtree(v.path)
        shutil.copytree(safe, v.path, symlinks=True)
        with open(v.log(), "wb") as f:
            f.write(log[:n])
        done = v.run("cp", "a", "new")
        tap.eq((done.returncode, v.wrong(), v.settled(),
                v.names() == {**state, "new": state["a"]}),
               (0, None, None, True), "and the next edit goes on from there")


def damaged(tap, home):
    v = made(home)
    now = v.names()
    with open(v.log(), "r+b") as f:
        log = f.read()
        at = log.index(b"step 2 ") + 90
        f.seek(at)
        f.write(bytes([log[at] ^ 1]))
    tap.eq(([s["step"] for s in v.steps()], v.names()), ([1, 3], now),
           "a flipped bit costs the step that it is in, and no name")
    for args, status in ((["diff", "0"], 6), (["diff", "1", "2"], 6),
                         (["diff", "2"], 0), (["rollback", "1"], 6),
                         (["rollback", "2"], 0), (["rm", "a"], 0)):
        done = v.run(*args)
        tap.ok(done.returncode == status and
               (status == 0 or "step 2 " in done.stderr),
               f"{' '.join(args)} then: status {status}", done.stderr)
    os.unlink(v.log())
    left = v.names()
    tap.ok(left and v.run("mv", "b", "c").returncode == 0 and
           [s["step"] for s in v.steps()] == [1],
           "without its log a volume keeps its names, and begins another")
    os.unlink(v.log())
    os.mkfifo(v.log())
    done = v.run("rm", "c")
    tap.ok(done.returncode == 8 and "not a regular file" in done.stderr,
           "a log that is no file is refused", done.stderr)


def crowd(tap, home):
    """Writers of all kinds at once, and readers that must never see a half:
    the many names are always all of them under one of two names."""
    v = made(home)
    many = {f"f{i:02}" for i in range(MANY)}
    end = time.monotonic() + (60 if LONG else 6)
    bad, done = [], {"edits": 0, "reads": 0, "lost": 0}
    guard = threading.Lock()

    def note(key, what=None):
        with guard:
            done[key] += 1
            if what:
                bad.append(what)

    def writer(k):
        rng = random.Random(k)
        mine = f"own{k}"
        write(os.path.join(home, mine), mine.encode())
        while time.monotonic() < end:
            args = rng.choice([["put", mine, f"{mine}/x{rng.random()}"],
                               ["put", "-f", rng.choice("ab"), "shared"],
                               ["mv", "many", "other/"], ["mv", "other/many", "/"],
                               ["cp", "-f", "a", f"{mine}/copy"],
                               ["rm", "-r", mine], ["rm", "shared"]])
            got = v.run(*args)
            if got.returncode not in (0, 1, 2, 3) or (
                    got.returncode == 1 and "another process" not in
                    got.stderr):
                note("lost", (args, got.returncode, got.stderr))
            note("edits" if got.returncode == 0 else "lost")

    def reader():
        while time.monotonic() < end:
            names = v.names()
            for top in ("many/", "other/many/"):
                part = {n[len(top):] for n in names if n.startswith(top)}
                if part and part != many:
                    note("reads", f"half of {top}: {len(part)}")
            if not any("many/" in n for n in names):
                note("reads", "none of many/")
            note("reads")

    threads = [threading.Thread(target=writer, args=(k,)) for k in range(4)]
    threads += [threading.Thread(target=reader) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.ok(not bad and done["edits"] > 10 and done["reads"] > 10,
           f"four writers and two readers: {done['edits']} edits, "
           f"{done['reads']} readings, none of half a step", bad[:5])
    tap.eq((v.wrong(), v.settled()), (None, None),
           "and the log comes to what is there")


def mounted(tap, home, test, what):
    point = os.path.join(home, "small")
    os.makedirs(point, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none",
                           point], capture_output=True)
    if done.returncode != 0:
        tap.skip(what, "cannot mount a small file system")
        return
    try:
        test(tap, home, point)
    finally:
        subprocess.run(["umount", point], check=True)


def full(tap, home, point):
    v = Volume(home, "small/vol")
    for name in ("a", "b"):
        write(os.path.join(home, name), name.encode() * 100)
        v.run("put", name)
    try:
        with open(os.path.join(point, "fill"), "wb") as f:
            while True:
                f.write(bytes(4096))
                f.flush()
    except OSError:
        pass
    write(os.path.join(home, "c"), b"c" * 5000)
    done = v.run("put", "c")
    tap.eq((done.returncode, sorted(v.names())), (7, ["a", "b"]),
           "a full disk: put is told, nothing changes")
    done = v.run("rm", "a")
    tap.ok(done.returncode == 0 and sorted(v.names()) == ["b"],
           "but a name can be removed", done.stderr)
    done = subprocess.run([kit.program("mlcache"), "rm", "--yes",
                           f"{v.path}:b"], env=v.env, capture_output=True,
                          text=True)
    tap.ok(done.returncode == 0 and v.names() == {}, "also by mlcache rm",
           done.stderr)
    os.unlink(os.path.join(point, "fill"))
    v.run("put", "c")
    tap.eq((v.wrong(), v.settled()), (None, None),
           "with room again all is as it should be")


def read_only(tap, home, point):
    """A step that names/ does not show yet, on media that nobody can write."""
    v = made(home)
    safe = v.path + ".safe"
    shutil.copytree(v.path, safe, symlinks=True)
    v.run("mv", "many", "moved")
    after = v.names()
    with open(v.log(), "rb") as f:
        log = f.read()
    v = Volume(home, "small/vol")
    shutil.copytree(safe, v.path, symlinks=True)
    with open(v.log(), "wb") as f:
        f.write(log[:log.index(b"done 4 ")])
    subprocess.run(["mount", "-o", "remount,ro", point], check=True)
    tap.eq((v.names(), v.wrong()), (after, None),
           "read-only: the step is seen all the same")
    tap.eq(v.run("get", "moved/f07", "-").stdout, "7", "and its names lead on")
    tap.eq(len(v.run("log").stdout.splitlines()), 5, "log lists it")
    for args in (["rm", "a"], ["mv", "a", "x"], ["cp", "a", "x"],
                 ["rollback", "1"], ["put", "a", "x"]):
        done = v.run(*args)
        tap.ok(done.returncode == 1 and "Read-only" in done.stderr,
               f"{args[0]} says why it cannot", done.stderr)


def main():
    tap = kit.Tap()
    if "asan" not in kit.BUILD and shutil.which("strace"):
        homes = [kills]
    else:
        tap.skip("killed edits", "no strace, or a sanitized build")
        homes = []
    for test in [*homes, torn, damaged, crowd]:
        home = scratch()
        test(tap, home)
        shutil.rmtree(home)
    for test, what in ((full, "a full disk"), (read_only, "read-only media")):
        home = scratch()
        mounted(tap, home, test, what)
        shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
