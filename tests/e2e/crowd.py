#!/usr/bin/env python3
"""Sixteen processes pull one model at once: one transfer, and all succeed.
The same where every lock lies, and where the one at work is killed."""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, gets, good, kit, make_model,  # noqa: E402
                     shimmed)

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


def start(world, n=CROWD):
    return [subprocess.Popen([kit.program("mlfetch"), "pull", REPO],
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


def locks_lie(tap, hub, files):
    folder = kit.scratch()
    shim = shimmed(folder, LYING)
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
    shutil.rmtree(folder)


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"), SIZE)
    with kit.Hub({REPO: {"dir": os.path.join(data, "tiny")}}) as hub:
        one_transfer(tap, hub, files)
        one_is_killed(tap, hub, files)
        locks_lie(tap, hub, files)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
