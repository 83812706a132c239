#!/usr/bin/env python3
"""Power cuts under every command that changes what is held: what it had
reported as done is there after them, nothing that has a name is anything but
wholly old or wholly new, the same command once more succeeds, and gc finds
what was left lying about.

The commands are the rows of tests/states.py, each on a loop-mounted ext4 and
xfs that is shut down without flushing its log at any moment of it, or right
after it. Another program syncs a file of its own all the time: without it the
journal commits so little that any writer looks good. The control, whose syncs
do nothing, has to fail in the same run. Every command once; with --long
(`make powercuts`) 100 cuts on each file system. Needs root and loop devices."""
import collections
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disks import FILE_SYSTEMS, NOISE, NO_SYNC, Disk, cannot  # noqa: E402
from pulling import kit, shimmed  # noqa: E402
from states import ROWS, Place, again, repositories, scratch, wrong  # noqa: E402

LONG = "--long" in sys.argv[1:]
CONTROL_CUTS = 3 * len(ROWS)    # at the most; the first wrong state is enough


class Machine:
    """A disk, and the lives of a machine on it."""

    def __init__(self, url, kind, made):
        self.url, self.made = url, made
        self.disk, self.rng = Disk(kind), random.Random(kind)
        self.lives = 0
        self.took = {}          # row -> how long it takes

    def prepare(self, row):
        """A home of its own; all of it is on the disk."""
        self.lives += 1
        place = Place(self.url, os.path.join(self.disk.mount_point,
                                             str(self.lives)))
        subprocess.run(["cp", "-a", self.made.home, place.home], check=True)
        if row.damage:
            place.damage()
        subprocess.run(["sync", "-f", place.home], check=True)
        return place

    def noise(self):
        path = os.path.join(self.disk.mount_point, f"noise{self.lives}")
        proc = subprocess.Popen([sys.executable, "-c", NOISE, path],
                                stderr=subprocess.DEVNULL)
        while not os.path.exists(path):
            time.sleep(0.001)
        return proc

    def time(self, row):
        """How long it takes here."""
        if row.name not in self.took:
            place = self.prepare(row)
            began = time.monotonic()
            place.run(row.args)
            self.took[row.name] = time.monotonic() - began
            shutil.rmtree(place.home)
        return self.took[row.name]

    def run(self, place, row, limit, **env):
        """Until the cut; did it end well before that?"""
        proc = subprocess.Popen(place.filled(row.args),
                                env=dict(place.env, **env),
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            ended = proc.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            ended = None
        self.disk.cut()
        if ended is None:
            proc.kill()
            proc.wait()
        return ended == 0

    def life(self, row, **env):
        """One life, its end and the next start: (ended before the cut, what
        is wrong or None, the home)."""
        limit = self.time(row) * self.rng.uniform(0, 1.5)
        place = self.prepare(row)
        noise = self.noise()
        done = self.run(place, row, limit, **env)
        noise.kill()
        noise.wait()
        self.disk.unmount()
        self.disk.mount()
        try:
            return done, wrong(place, row, done, done), place
        except OSError as problem:
            return done, str(problem), place


def cuts(tap, kind, machine, rows):
    """Each row is cut once; True: it had ended before."""
    ended, bad, after = 0, [], []
    for row in rows:
        done, what, place = machine.life(row)
        ended += done
        word = "ended" if done else "cut"
        if what:
            bad.append(f"{row.name}, {word}: {what}")
            continue
        what = again(place, row, word)
        if what:
            after.append(f"{row.name}: {what}")
        shutil.rmtree(place.home)
    verbs = collections.Counter(row.name.split()[0].strip(",") for row in rows)
    print(f"# {kind}: {len(rows)} cuts, {ended} of them after the end: " +
          ", ".join(f"{n} of {verb}" for verb, n in sorted(verbs.items())))
    tap.ok(not bad, f"{kind}: {len(rows)} power cuts: what was reported done "
           "is there, and nothing is in part", "\n".join(bad))
    tap.ok(not after, f"{kind}: the same once more succeeds, and gc leaves "
           "nothing", "\n".join(after))


def control(tap, kind, machine, shim):
    n, what = 0, None
    while n < CONTROL_CUTS and not what:
        row = ROWS[n % len(ROWS)]
        _, what, _ = machine.life(row, LD_PRELOAD=shim)
        n += 1
    print(f"# {kind}, without fsync: {n} cuts, then {row.name}: {what}")
    tap.ok(what, f"{kind}: the control without fsync fails")


def main():
    tap = kit.Tap()
    data = scratch()
    shim = shimmed(data, NO_SYNC)
    with kit.Hub(repositories(data)) as hub:
        made = Place(hub.url, os.path.join(data, "made"))
        made.make()
        for k, kind in enumerate(FILE_SYSTEMS):
            why = cannot(kind) if shim else "cannot preload a control here"
            if why:
                tap.skip(f"{kind}: power cuts", why)
                continue
            began = time.monotonic()
            machine = Machine(hub.url, kind, made)
            rows = (ROWS * (100 // len(ROWS) + 1))[:100] if LONG \
                else ROWS[k::len(FILE_SYSTEMS)]
            try:
                cuts(tap, kind, machine, rows)
                control(tap, kind, machine, shim)
            finally:
                machine.disk.close()
            print(f"# {time.monotonic() - began:.0f} s")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
