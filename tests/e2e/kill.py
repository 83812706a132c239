#!/usr/bin/env python3
"""kill -9 at random moments of a pull: what was received is kept, and the
result is right. A control without the journal keeps nothing.

What a kill cost is what the server had sent by then less what `--dry-run`
says is still to come. With --long: 200 kills over 8 connections and 256 MB,
and one in a download of 1 GB (`make kills`).
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, gets, good, kit, noise,  # noqa: E402
                     shimmed, write)

LONG = "--long" in sys.argv[1:]
REPO, HUGE, MANY = "acme/large", "acme/huge", "acme/many"
SIZE = 60 * MIB
RATE = 2 * MIB          # per connection
# (bytes, connections, kills in all, how long a run may live)
RUNS = [(SIZE, 4, 20, 0.6)]
if LONG:
    RUNS += [(256 * 1000 * 1000, 8, 200, 0.8)]
HUGE_SIZE = (1000 if LONG else 300) * 1000 * 1000


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def start(world, repo, jobs):
    return subprocess.Popen(
        [kit.program("mlfetch"), "pull", repo, "-j", str(jobs)],
        env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)


def pull_and_kill(world, seconds, repo=REPO, jobs=4):
    """How it ended, and what it said."""
    proc = start(world, repo, jobs)
    try:
        proc.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        proc.send_signal(signal.SIGKILL)
    return proc.returncode, proc.communicate()[1]


def kept(world, size, repo=REPO):
    """The bytes of the large file that the next run will not ask for."""
    done = world.pull_json(repo, "--dry-run", "--include", "*.safetensors")
    return size - done["fetch_bytes"]


class Killing:
    """Runs that are killed, one after the other, and what each one cost."""

    def __init__(self, hub, files, size, jobs, longest):
        self.hub, self.files = hub, files
        self.size, self.jobs = size, jobs
        self.longest = longest
        self.rng = random.Random(size)
        self.killed = self.sent = 0
        self.worst = self.total = 0
        self.visible = self.mistrusted = False

    def once(self, world):
        """Whether this run was killed before its end."""
        before = kept(world, self.size)
        self.hub.reset()
        status, said = pull_and_kill(
            world, self.rng.uniform(0.05, self.longest), jobs=self.jobs)
        sent = served(self.hub)
        self.sent += sent
        # a digest that is wrong would mean the journal claimed too much
        self.mistrusted = self.mistrusted or "again" in said
        if status == 0:
            return False
        self.killed += 1
        lost = before + sent - kept(world, self.size)
        self.worst = max(self.worst, lost)
        self.total += lost
        self.visible = self.visible or self.half_visible(world)
        return True

    def half_visible(self, world):
        """Is there a name that leads to less than all of the file?"""
        top = os.path.join(world.repo(REPO), "snapshots")
        for where, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(where, name), "rb") as f:
                    if f.read() != self.files[name]:
                        return True
        return False


def kills(tap, hub, files, size, jobs, want, longest):
    name = f"{jobs} connections, {size // MIB} MiB"
    k = Killing(hub, files, size, jobs, longest)
    began = time.monotonic()
    while k.killed < want:
        with World(hub.url) as w:
            hub.faults([{"host": "bytes", "rate": RATE, "times": -1}])
            before = k.killed
            while k.killed < want and k.once(w):
                pass
            hub.faults([])
            done = w.pull(REPO)
            good(tap, done, files, f"{name}: after {k.killed - before} kills, "
                 "all is right")
            k.mistrusted = k.mistrusted or "again" in done.stderr
            tap.eq([n for n in w.names(REPO, "blobs") if "." in n], [],
                   f"{name}: no partial is left")
    tap.eq(k.killed, want, f"{name}: killed that often")
    tap.ok(k.worst <= jobs * MIB, f"{name}: no kill costs more than 1 MiB "
           "per connection", f"{k.worst} bytes")
    tap.ok(not k.visible, f"{name}: a half file is never visible")
    tap.ok(not k.mistrusted, f"{name}: the journal never claims too much")
    print(f"# {k.killed} kills; {k.worst} bytes lost at worst, "
          f"{k.total // k.killed} on average; "
          f"{time.monotonic() - began:.0f} s")


# At full speed the sockets hold tens of megabytes that were sent and never
# received: what the program itself has read is counted, in a file that
# outlives it.
COUNTING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
ssize_t recv(int fd, void *p, size_t n, int flags)
{
    static long *count;
    static ssize_t (*real)(int, void *, size_t, int);
    ssize_t got;

    if (count == 0) {
        int f = open(getenv("COUNT_FILE"), O_RDWR);
        count = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
        real = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT,
                                                            "recv");
    }
    got = real(fd, p, n, flags);
    if (got > 0)
        __atomic_fetch_add(count, got, __ATOMIC_RELAXED);
    return got;
}
"""


class Counter:
    def __init__(self, folder):
        self.path = os.path.join(folder, "count")
        self.shim = shimmed(folder, COUNTING)
        self.reset()

    def reset(self):
        write(self.path, bytes(8))

    def value(self):
        with open(self.path, "rb") as f:
            return int.from_bytes(f.read(8), "little")


def one_kill(tap, hub, data):
    """At full speed, killed in the middle."""
    counter = Counter(data)
    if counter.shim is None:
        tap.skip("one kill at full speed", "no library can be preloaded here")
        return
    with World(hub.url, LD_PRELOAD=counter.shim,
               COUNT_FILE=counter.path) as w:
        proc = start(w, HUGE, 8)
        while counter.value() < HUGE_SIZE // 2 and proc.poll() is None:
            time.sleep(0.005)
        proc.kill()
        proc.communicate()
        first = counter.value()
        done = w.pull(HUGE, "-j", "8")
        total = counter.value()
        tap.ok(done.returncode == 0 and first < HUGE_SIZE,
               f"one kill at {first * 100 // HUGE_SIZE} % of "
               f"{HUGE_SIZE // 10 ** 6} MB: goes on",
               done.stderr)
        tap.ok(total <= HUGE_SIZE * 1.02, f"{total / HUGE_SIZE:.4f} x the "
               "bytes were received, at most 1.02", total)


def unnamed(tap, hub, data):
    """Small files that are there, and wait for others to be named with."""
    folder = os.path.join(data, "many")
    for n in range(60):
        write(os.path.join(folder, f"{n}.safetensors"), noise(900_000, n))
    hub.control("config", {"repos": {MANY: {"dir": folder}}})
    with World(hub.url) as w:
        hub.faults([{"host": "bytes", "rate": 6 * MIB, "times": -1}])
        hub.reset()
        pull_and_kill(w, 0.8, MANY)
        hub.faults([])
        sent, have = served(hub), kept(w, 60 * 900_000, MANY)
        tap.ok(sent > 6 * MIB, f"{sent} bytes of small files came", sent)
        tap.ok(sent - have < 5 * MIB,
               f"of which {sent - have} were lost by a kill", have)


def fetch_some(hub, world, seconds):
    """A pull that is killed when a good part is there."""
    hub.faults([{"host": "bytes", "rate": 4 * RATE, "times": -1}])
    pull_and_kill(world, seconds)
    hub.faults([])


def resumed(tap, hub, files):
    with World(hub.url) as w:
        fetch_some(hub, w, 1.6)
        have = kept(w, SIZE)
        hub.reset()
        done = w.pull(REPO)
        good(tap, done, files, "a second run after a kill")
        tap.ok(have > 16 * MIB and served(hub) == SIZE - have,
               "fetches exactly what the journal does not have",
               f"{served(hub)} served, {have} kept of {SIZE}")


def control(tap, hub, files):
    """Were it not for the journal, the test above would fail."""
    for what, spoil in (("removed", os.unlink), ("damaged", damage)):
        with World(hub.url) as w:
            fetch_some(hub, w, 1.2)
            folder = os.path.join(w.repo(REPO), "ml/journal")
            for name in os.listdir(folder):
                spoil(os.path.join(folder, name))
            hub.reset()
            good(tap, w.pull(REPO), files, f"with the journal {what}")
            tap.eq(served(hub), SIZE, "nothing is kept: the control")
    with World(hub.url) as w:
        fetch_some(hub, w, 1.2)
        blobs = os.path.join(w.repo(REPO), "blobs")
        for name in os.listdir(blobs):
            os.truncate(os.path.join(blobs, name), 3 * MIB)
        hub.reset()
        good(tap, w.pull(REPO), files, "a partial that became shorter")


def damage(path):
    """One digit of the sum; a live journal may have an old tail behind it."""
    with open(path, "r+b") as f:
        at = f.read().index(b"sum ") + 4
        f.seek(at)
        digit = f.read(1)
        f.seek(at)
        f.write(b"1" if digit == b"0" else b"0")


def serve(data, repo, size):
    folder = os.path.join(data, f"{repo.replace('/', '-')}-{size}")
    files = {"model.safetensors": noise(size, "large"),
             "config.json": b"{}\n"}
    for name, content in files.items():
        write(os.path.join(folder, name), content)
    return {repo: {"dir": folder}}, files


def main():
    tap = kit.Tap()
    data = kit.scratch()
    config, files = serve(data, REPO, SIZE)
    with kit.Hub(config) as hub:
        resumed(tap, hub, files)
        control(tap, hub, files)
        for size, jobs, want, longest in RUNS:
            config, files = serve(data, REPO, size)
            hub.control("config", {"repos": config})
            kills(tap, hub, files, size, jobs, want, longest)
        unnamed(tap, hub, data)
        hub.control("config", {"repos": serve(data, HUGE, HUGE_SIZE)[0]})
        one_kill(tap, hub, data)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
