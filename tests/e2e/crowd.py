#!/usr/bin/env python3
"""Sixteen processes pull one model at once: one transfer, and all succeed.
The same where every lock lies, and where the one at work is killed. A lock
that another has holds up its own file and nothing else; a partial that waits
on a server's word stays its owner's."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, gets, good, kit, make_model,  # noqa: E402
                     noise, shimmed, write)

CROWD = 16
REPO = "acme/tiny"
SIZE = 24 * MIB
SLOW = {"host": "bytes", "path": "*/model.safetensors", "rate": 4 * MIB,
        "times": -1}
LYING = ("#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <stdarg.h>\n"
         "#include <sys/syscall.h>\n#include <unistd.h>\n"
         "int flock(int fd, int op) { (void)fd; (void)op; return 0; }\n"
         "int fcntl(int fd, int cmd, ...)\n"
         "{ va_list v; va_start(v, cmd); void *a = va_arg(v, void *);"
         " va_end(v);\n"
         "  if (cmd == F_SETLK || cmd == F_SETLKW || cmd == F_OFD_SETLK ||"
         " cmd == F_OFD_SETLKW) return 0;\n"
         "  return (int)syscall(SYS_fcntl, fd, cmd, a); }\n"
         "int fcntl64(int fd, int cmd, ...)\n"
         "{ va_list v; va_start(v, cmd); void *a = va_arg(v, void *);"
         " va_end(v); return fcntl(fd, cmd, a); }\n")


def start(world, n=CROWD, repo=REPO):
    return [subprocess.Popen([kit.program("mlfetch"), "pull", repo],
                             env=world.env, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
            for _ in range(n)]


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def all_well(tap, hub, world, procs, files, name, most):
    """All ended well, in one folder, and the bytes came at most that often."""
    done = [p.communicate(timeout=300) for p in procs]
    said = "\n".join(err for _, err in done)
    tap.ok([p.returncode for p in procs] == [0] * len(procs) and
           len({out for out, _ in done}) == 1, f"{name}: all succeed", said)
    times = served(hub) / SIZE
    tap.ok(served(hub) <= most * SIZE + MIB, f"{name}: {times:.2f} transfers, "
           f"at most {most}", said)
    hub.faults([])
    hub.reset()
    good(tap, world.pull(REPO), files, f"{name}: and every byte is right")
    tap.eq(served(hub), 0, f"{name}: nothing is fetched again")
    tap.eq([n for n in world.names(REPO, "blobs") if "." in n], [],
           f"{name}: no partial is left")


def one_transfer(tap, hub, files):
    with World(hub.url) as w:
        hub.reset()
        hub.faults([SLOW])
        all_well(tap, hub, w, start(w), files, f"{CROWD} at once", 1)


def one_is_killed(tap, hub, files):
    with World(hub.url) as w:
        hub.reset()
        hub.faults([SLOW])
        first, = start(w, 1)
        while served(hub) == 0 and first.poll() is None:
            time.sleep(0.05)
        time.sleep(0.7)
        others = start(w, CROWD - 1)
        time.sleep(0.3)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        # the killed one had 4 connections: 1 MiB of each may come again
        all_well(tap, hub, w, others, files, "the one at work is killed",
                 1 + 4 * MIB / SIZE)


def locks_lie(tap, hub, files, shim):
    if shim is None:
        tap.skip(f"{CROWD} at once, where locks lie",
                 "no library can be preloaded here")
        return
    for rules in ([SLOW], []):
        with World(hub.url, LD_PRELOAD=shim) as w:
            hub.reset()
            hub.faults(rules)
            name = f"{CROWD} at once, where locks lie" + \
                ("" if rules else ", at full speed")
            all_well(tap, hub, w, start(w), files, name, CROWD)


def lock_of_another(tap, hub, data):
    """The larger file's lock is held: the smaller one is not held up."""
    files = {"a.bin": noise(6 * MIB, "a"), "b.bin": noise(8 * MIB, "b")}
    for name, content in files.items():
        write(os.path.join(data, "two", name), content)
    hub.control("config", {"repos": {"acme/two": {
        "dir": os.path.join(data, "two")}}})
    a, b = (hashlib.sha256(files[n]).hexdigest() for n in sorted(files))
    with World(hub.url) as w:
        path = os.path.join(w.root, ".locks/models--acme--two", b + ".lock")
        write(path, b"")
        hub.reset()
        hub.faults([{"host": "bytes", "rate": MIB, "times": -1}])
        with open(path, "r+b") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            proc, = start(w, 1, "acme/two")
            blob = os.path.join(w.repo("acme/two"), "blobs", a)
            end = time.monotonic() + 20
            while not os.path.exists(blob) and time.monotonic() < end:
                time.sleep(0.05)
            tap.ok(os.path.exists(blob) and proc.poll() is None,
                   "a lock that another has does not hold up other files")
            tap.eq(gets(hub, "bytes", "b.bin"), [], "nor is it passed by")
            hub.faults([])
        proc.communicate()
        good(tap, w.pull("acme/two"), files, "and its own file comes next")


class Silence:
    """A pull whose server asks for silence, where locks lie."""

    def __init__(self, config, shim):
        self.hub = kit.Hub(config)
        self.hub.__enter__()
        self.world = World(self.hub.url, LD_PRELOAD=shim)
        self.hub.faults([
            dict(SLOW, cut=MIB, times=4),
            {"host": "bytes", "status": 429, "times": 4,
             "headers": {"Retry-After": "12"}}])
        self.ages = []
        self.proc, = start(self.world, 1)
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        """How long ago the partial was touched, while it waits."""
        top = os.path.join(self.world.repo(REPO), "blobs")
        while self.proc.poll() is None:
            time.sleep(0.5)
            for name in self.world.names(REPO, "blobs"):
                if name.endswith(".incomplete"):
                    with contextlib.suppress(FileNotFoundError):
                        info = os.stat(os.path.join(top, name))
                        self.ages.append(time.time() - info.st_mtime)

    def end(self, tap, files):
        self.watcher.join()
        tap.ok(len(self.ages) > 10 and max(self.ages) < 8, "locks lie, and "
               "the server asks for 12 s of silence: the partial stays its "
               "owner's", self.ages)
        self.proc.communicate()
        good(tap, self.world.pull(REPO), files, "and all is right after it")
        self.world.__exit__()
        self.hub.__exit__()


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"), SIZE)
    config = {REPO: {"dir": os.path.join(data, "tiny")}}
    shim = shimmed(data, LYING)
    silence = Silence(config, shim) if shim else None
    with kit.Hub(config) as hub:
        lock_of_another(tap, hub, data)
        one_transfer(tap, hub, files)
        one_is_killed(tap, hub, files)
        locks_lie(tap, hub, files, shim)
    if silence is None:
        tap.skip("locks lie, and the server asks for silence",
                 "no library can be preloaded here")
    else:
        silence.end(tap, files)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
