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
from pulling import MIB, World, gets, good, kit, noise, write  # noqa: E402

LONG = "--long" in sys.argv[1:]
REPO, HUGE = "acme/large", "acme/huge"
SIZE = 60 * MIB
RATE = 2 * MIB          # per connection
# (bytes, connections, kills in all, how long a run may live)
RUNS = [(SIZE, 4, 20, 0.6)]
if LONG:
    RUNS += [(256 * 1000 * 1000, 8, 200, 0.8)]
HUGE_SIZE = 1000 * 1000 * 1000


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def pull_and_kill(world, seconds, repo=REPO, jobs=4):
    """How it ended, and what it said."""
    proc = subprocess.Popen(
        [kit.program("mlfetch"), "pull", repo, "-j", str(jobs)],
        env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
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

    def __init__(self, hub, size, jobs, longest):
        self.hub, self.size, self.jobs = hub, size, jobs
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
        self.visible = self.visible or any(
            n.endswith(".safetensors") for n in world.visible(REPO))
        return True


def kills(tap, hub, files, size, jobs, want, longest):
    name = f"{jobs} connections, {size // MIB} MiB"
    k = Killing(hub, size, jobs, longest)
    began = time.monotonic()
    while k.killed < want:
        with World(hub.url) as w:
            hub.faults([{"host": "bytes", "rate": RATE, "times": -1}])
            start = k.killed
            while k.killed < want and k.once(w):
                pass
            hub.faults([])
            done = w.pull(REPO)
            good(tap, done, files, f"{name}: after {k.killed - start} kills, "
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


def one_kill(tap, hub):
    """1 GB at full speed, killed in the middle."""
    with World(hub.url) as w:
        hub.reset()
        seconds = 0.3
        while True:
            pull_and_kill(w, seconds, HUGE, 8)
            have = kept(w, HUGE_SIZE, HUGE)
            if have > HUGE_SIZE // 4:
                break
            shutil.rmtree(w.root, ignore_errors=True)
            hub.reset()
            seconds += 0.2
        done = w.pull(HUGE, "-j", "8")
        total = served(hub)
        tap.ok(done.returncode == 0 and have < HUGE_SIZE,
               f"one kill at {have * 100 // HUGE_SIZE} % of 1 GB: goes on",
               done.stderr)
        tap.ok(total <= HUGE_SIZE * 1.02, f"{total / HUGE_SIZE:.4f} x the "
               "bytes were sent, at most 1.02", total)


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
    with open(path, "r+b") as f:
        f.seek(20)  # the end of a live journal may be an older one's
        f.write(b"?")


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
        if LONG:
            hub.control("config", {"repos": serve(data, HUGE, HUGE_SIZE)[0]})
            one_kill(tap, hub)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
