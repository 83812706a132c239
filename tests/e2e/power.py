#!/usr/bin/env python3
"""Simulated power cuts: after each, every blob is what its name says.

A loop-mounted ext4 and xfs is shut down without flushing its log while pulls
run on it, then mounted again. Another program syncs a file of its own all the
time: without it the journal commits so little that any writer looks good. A
control whose syncs do nothing has to fail in the same run, or the test proves
nothing. Three cuts each; with --long 50 (`make powercuts`). Needs root and
loop devices.
"""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disks import (FILE_SYSTEMS, NOISE, NO_SYNC, Disk, cannot)  # noqa: E402
from pulling import (MIB, World, kit, matches, noise, shimmed,  # noqa: E402
                     write)

LONG = "--long" in sys.argv[1:]
CUTS = 50 if LONG else 3
CONTROL_CUTS = 12        # at the most; the first corrupt blob is enough
MODELS = 6


def repo(i):
    return f"acme/m{i}"


def models(data):
    """A few models, each of small files and one that takes a moment."""
    found = {}
    for i in range(MODELS):
        files = {f"f{k}.json": b'{"n": %d, "m": %d}\n' % (k, i)
                 for k in range(20)}
        files["model.safetensors"] = noise((2 + 3 * i) * MIB, f"m{i}")
        for name, content in files.items():
            write(os.path.join(data, f"m{i}", name), content)
        found[repo(i)] = files
    return found


class Worker:
    """Pulls model after model on the disk; knows what was announced."""

    def __init__(self, url, disk, shim):
        self.world = World(url, **({"LD_PRELOAD": shim} if shim else {}))
        self.world.env["HF_HOME"] = os.path.join(disk.mount_point, "hf")
        self.world.root = os.path.join(disk.mount_point, "hf/hub")

    def run(self, seconds, first, cut):
        """Pull until the power goes; the repositories that were announced."""
        end = time.monotonic() + seconds
        announced = []
        for k in range(MODELS * 100):
            name = repo((first + k) % MODELS)
            args = ["--force"] if k >= MODELS else []
            proc = subprocess.Popen(
                [kit.program("mlfetch"), "pull", name, *args],
                env=self.world.env, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True)
            try:
                proc.wait(timeout=max(0, end - time.monotonic()))
                # what was printed before the cut must be there after it
                if proc.communicate()[0] and proc.returncode == 0:
                    announced.append(name)
            except subprocess.TimeoutExpired:
                cut()
                proc.send_signal(signal.SIGKILL)
                proc.communicate()
                return announced
        return announced


def bad_blobs(world):
    """(how many blobs there are, those that are not what they are named)."""
    total, bad = 0, []
    for name in map(repo, range(MODELS)):
        for blob in world.names(name, "blobs"):
            if "." in blob:
                continue
            total += 1
            with open(os.path.join(world.repo(name), "blobs", blob),
                      "rb") as f:
                data = f.read()
            digest = hashlib.sha256(data) if len(blob) == 64 else \
                hashlib.sha1(b"blob %d\0" % len(data) + data)
            if digest.hexdigest() != blob:
                bad.append(f"{name} {blob[:12]} ({len(data)} bytes)")
    return total, bad


def bad_names(world, files, announced):
    """Refs without a snapshot; announced models that are not whole."""
    wrong = []
    for name in map(repo, range(MODELS)):
        ref = os.path.join(world.repo(name), "refs/main")
        if not os.path.exists(ref):
            if name in announced:
                wrong.append(f"{name} was announced and has no ref")
            continue
        with open(ref, "rb") as f:
            commit = f.read().decode("utf-8", "replace")
        bad = matches(os.path.join(world.repo(name), "snapshots", commit),
                      files[name])
        if bad:
            wrong.append(f"{name} has a ref, yet {bad}")
    return wrong


class Sum:
    def __init__(self):
        self.cuts = self.blobs = self.announced = 0
        self.corrupt, self.names, self.after = [], [], []


def power_cut(hub, disk, files, shim, rng, out):
    """One life of the machine, its end, and the next start."""
    worker = Worker(hub.url, disk, shim)
    noise_maker = subprocess.Popen(
        [sys.executable, "-c", NOISE,
         os.path.join(disk.mount_point, "noise")],
        stderr=subprocess.DEVNULL)
    announced = worker.run(rng.uniform(0.3, 1.5), rng.randrange(MODELS),
                           disk.cut)
    noise_maker.kill()
    noise_maker.wait()
    disk.unmount()
    disk.mount()
    total, bad = bad_blobs(worker.world)
    out.cuts += 1
    out.blobs += total
    out.announced += len(announced)
    out.corrupt += bad
    if shim is None:
        out.names += bad_names(worker.world, files, announced)
        for name in map(repo, range(MODELS)):
            done = worker.world.pull(name)
            wrong = matches(done.stdout.strip(), files[name]) \
                if done.returncode == 0 else done.stderr
            # "again": a journal vouched for bytes that were not there
            if wrong or "again" in done.stderr:
                out.after.append(f"{name}: {wrong}\n{done.stderr}")
    shutil.rmtree(worker.world.env["HF_HOME"], ignore_errors=True)
    shutil.rmtree(worker.world.home, ignore_errors=True)


def cuts(tap, hub, files, kind, shim):
    rng = random.Random(kind)
    disk = Disk(kind)
    out, control = Sum(), Sum()
    try:
        for _ in range(CUTS):
            power_cut(hub, disk, files, None, rng, out)
        while control.cuts < CONTROL_CUTS and not control.corrupt:
            power_cut(hub, disk, files, shim, rng, control)
    finally:
        disk.close()
    print(f"# {kind}: {out.cuts} cuts, {out.blobs} blobs, {out.announced} "
          f"models announced before them; without fsync: {control.cuts} "
          f"cuts, {len(control.corrupt)} of {control.blobs} blobs corrupt")
    tap.ok(not out.corrupt and out.blobs > out.cuts,
           f"{kind}: {out.cuts} power cuts, no blob differs from its name",
           f"{out.blobs} blobs\n" + "\n".join(out.corrupt))
    tap.ok(not out.names, f"{kind}: every ref leads to a whole snapshot, and "
           "what was announced is there", "\n".join(out.names))
    tap.ok(not out.after, f"{kind}: the next pull ends it, and no journal "
           "had claimed too much", "\n".join(out.after))
    tap.ok(control.corrupt, f"{kind}: the control without fsync fails",
           f"{control.cuts} cuts, {control.blobs} blobs, none corrupt")


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    shim = shimmed(folder, NO_SYNC)
    files = models(folder)
    config = {r: {"dir": os.path.join(folder, r.partition("/")[2])}
              for r in files}
    with kit.Hub(config) as hub:
        for kind in FILE_SYSTEMS:
            why = cannot(kind) if shim else "cannot preload a control here"
            if why:
                tap.skip(f"{kind}: {CUTS} power cuts", why)
                continue
            began = time.monotonic()
            cuts(tap, hub, files, kind, shim)
            print(f"# {time.monotonic() - began:.0f} s")
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
