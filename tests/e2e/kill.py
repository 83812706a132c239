#!/usr/bin/env python3
"""kill -9 at random moments of a pull: what was finished is kept, and the
result is right. A control without the journal keeps nothing."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, World, gets, good, kit, noise, write  # noqa: E402

REPO = "acme/large"
SIZE = 60 * MIB
RATE = 2 * MIB          # per connection
JOBS = 4
KILLS = 20
# Not yet noted, and what the server had sent but nobody had received.
LOST = JOBS * MIB


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def pull_and_kill(world, seconds):
    proc = subprocess.Popen(
        [kit.program("mlfetch"), "pull", REPO, "-j", str(JOBS)],
        env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        proc.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        proc.send_signal(signal.SIGKILL)
    proc.communicate()
    return proc.returncode


def vouched(world):
    """How many bytes the journals, on disk and live, say are there."""
    ranges = []
    for name in world.names(REPO, "ml/journal"):
        path = os.path.join(world.repo(REPO), "ml/journal", name)
        with open(path, encoding="utf-8") as f:
            lines = f.read().partition("sum ")[0].splitlines()
        ranges += [tuple(map(int, line.split()[1:])) for line in lines
                   if line.startswith("range ")]
    total = end = 0
    for a, b in sorted(ranges):
        total += max(0, b - max(a, end))
        end = max(end, b)
    return total


def kills(tap, hub, files):
    rng = random.Random(20)
    with World(hub.url) as w:
        hub.faults([{"host": "bytes", "rate": RATE, "times": -1}])
        hub.reset()
        kept, grew, survived, killed = 0, True, True, 0
        for _ in range(KILLS):
            if pull_and_kill(w, rng.uniform(0.05, 0.6)) == 0:
                break
            killed += 1
            now = vouched(w)
            grew = grew and now >= kept
            kept = now
            survived = survived and not any(
                n.endswith(".safetensors") for n in w.visible(REPO))
        tap.ok(killed >= KILLS // 2, f"killed {killed} times")
        tap.ok(grew, "a kill never costs what the journal had")
        tap.ok(survived, "a half file is never visible")
        tap.ok(kept > SIZE // 4, f"{kept // MIB} MiB were kept by then")
        hub.faults([])
        good(tap, w.pull(REPO), files, "the last pull ends it, all right")
        total = served(hub)
        tap.ok(total < SIZE + killed * LOST, "what the kills cost is small",
               f"{total} served for {SIZE}, {killed} kills")
        print(f"# {killed} kills, {total / SIZE:.2f} x the size was served")
        tap.eq([n for n in w.names(REPO, "blobs") if "." in n], [],
               "no partial is left")


def fetch_some(hub, world, seconds):
    """A pull that is killed when a good part is there."""
    hub.faults([{"host": "bytes", "rate": 4 * RATE, "times": -1}])
    pull_and_kill(world, seconds)
    hub.faults([])


def resumed(tap, hub, files):
    with World(hub.url) as w:
        fetch_some(hub, w, 1.6)
        kept = vouched(w)
        hub.reset()
        done = w.pull(REPO)
        good(tap, done, files, "a second run after a kill")
        tap.ok(kept > 16 * MIB and served(hub) == SIZE - kept,
               "fetches exactly what the journal does not have",
               f"{served(hub)} served, {kept} kept of {SIZE}")


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


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = {"model.safetensors": noise(SIZE, "large"),
             "config.json": b"{}\n"}
    for name, content in files.items():
        write(os.path.join(data, "large", name), content)
    with kit.Hub({REPO: {"dir": os.path.join(data, "large")}}) as hub:
        began = time.monotonic()
        kills(tap, hub, files)
        resumed(tap, hub, files)
        control(tap, hub, files)
        print(f"# {time.monotonic() - began:.1f} s")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
