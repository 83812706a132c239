#!/usr/bin/env python3
"""A pull is killed at each system call that changes the disk, and each of them
fails in turn: whatever has a name then is right, and the next pull ends it.

Kills in the order of calls find names that come too early; missing syncs are
what power.py finds. Calls are injected with strace."""
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, World, kit, matches, noise, write  # noqa: E402

LONG = "--long" in sys.argv[1:]
REPO = "acme/tiny"
WORKERS = 4
# of a call that comes often, so many places, evenly spread
MOST = 400 if LONG else 6
CALLS = ["fsync", "fdatasync", "syncfs", "rename", "renameat", "renameat2",
         "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat",
         "ftruncate", "fallocate", "pwrite64", "pwritev", "fchmod", "mkdir"]
ERRORS = {"fsync": "EIO", "fdatasync": "EIO", "syncfs": "EIO",
          "pwrite64": "ENOSPC", "pwritev": "ENOSPC", "fallocate": "ENOSPC",
          "ftruncate": "EFBIG", "mkdir": "EACCES"}
INJECTED = "(INJECTED)"


def strace(*args):
    return ["strace", "-f", "-qq", *args]


def pull(world, *wrapped):
    """(status, stdout, stderr) of a pull under strace."""
    done = subprocess.run([*wrapped, kit.program("mlfetch"), "pull", REPO],
                          env=world.env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    return done


def counts(hub):
    """How often a whole pull makes each of the calls."""
    with World(hub.url) as w:
        log = os.path.join(w.home, "trace")
        done = pull(w, *strace("-o", log, "-e",
                               "trace=" + ",".join("?" + c for c in CALLS)))
        if done.returncode != 0:
            return None
        with open(log, encoding="utf-8", errors="replace") as f:
            names = re.findall(r"^\d+\s+(\w+)\(", f.read(), re.M)
    return {c: names.count(c) for c in CALLS if c in names}


def wrong(world, files):
    """Names that lead to other bytes than they should; None if none do."""
    for name in world.names(REPO, "blobs"):
        if "." in name:
            continue
        with open(os.path.join(world.repo(REPO), "blobs", name), "rb") as f:
            data = f.read()
        digest = hashlib.sha256(data) if len(name) == 64 else \
            hashlib.sha1(b"blob %d\0" % len(data) + data)
        if digest.hexdigest() != name:
            return f"blobs/{name} holds other bytes"
    ref = os.path.join(world.repo(REPO), "refs/main")
    if os.path.exists(ref):
        with open(ref, encoding="utf-8") as f:
            folder = os.path.join(world.repo(REPO), "snapshots", f.read())
        bad = matches(folder, files)
        return bad and f"there is a ref, yet {bad}"
    return None


def one(hub, files, call, k, how):
    with World(hub.url) as w:
        log = os.path.join(w.home, "trace")
        done = pull(w, *strace("-o", log, "-e", f"trace={call}", "-e",
                               f"inject={call}:{how}:when={k}"))
        with open(log, encoding="utf-8", errors="replace") as f:
            met = "signal" in how or INJECTED in f.read()
        bad = wrong(w, files)
        if bad:
            return bad
        if "signal" in how and done.returncode == 0:
            met = False      # this time there were fewer of them
        if done.returncode == 0 and met:
            bad = matches(done.stdout.strip(), files)
            if bad:
                return f"success, yet {bad}"
        again = kit.run(["mlfetch", "pull", REPO], w.env)
        bad = again.stderr if again.returncode else matches(
            again.stdout.strip(), files)
        left = [n for n in w.names(REPO, "blobs") if "." in n]
        return bad and f"and then: {bad}" or left and f"left behind: {left}"


def control(tap, hub, files):
    """What looks for wrong names must find one."""
    with World(hub.url) as w:
        folder = w.pull(REPO).stdout.strip()
        clean = wrong(w, files)
        blob = os.path.realpath(os.path.join(folder, "config.json"))
        os.chmod(blob, 0o644)
        with open(blob, "r+b") as f:
            f.write(b"?")
        damaged = wrong(w, files)
        os.unlink(blob)
        tap.ok(clean is None and "blobs/" in damaged and "ref" in
               wrong(w, files), "the control: damage is seen", damaged)


def places(n):
    step = max(1, n // MOST)
    return sorted(set(range(1, n + 1, step)) | {n})


def main():
    tap = kit.Tap()
    if shutil.which("strace") is None or "asan" in kit.BUILD:
        tap.skip("system calls that fail", "no strace, or a sanitized build")
        tap.done()
    data = kit.scratch()
    files = {"config.json": b"{}\n", "empty.txt": b"", "a/b.txt": b"b\n",
             "model.safetensors": noise(5 * MIB, "steps")}
    for name, content in files.items():
        write(os.path.join(data, "tiny", name), content)
    began = time.monotonic()
    with kit.Hub({REPO: {"dir": os.path.join(data, "tiny")}}) as hub:
        found = counts(hub)
        if found is None:
            tap.skip("system calls that fail", "strace cannot trace here")
            tap.done()
        control(tap, hub, files)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for call, n in found.items():
                for how in ["signal=KILL"] + [f"error={e}" for c, e in
                                              ERRORS.items() if c == call]:
                    at = places(n)
                    ends = list(pool.map(
                        lambda k, c=call, h=how: one(hub, files, c, k, h),
                        at))
                    bad = [f"{call} {k}: {b}" for k, b in zip(at, ends) if b]
                    tap.ok(not bad, f"{call}, {how}, at {len(at)} of {n} "
                           "places", "\n".join(bad))
    print(f"# {time.monotonic() - began:.0f} s")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
