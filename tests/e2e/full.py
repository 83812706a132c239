#!/usr/bin/env python3
"""A disk on which not one block is left: removing is what helps then, so rm
and gc succeed, and what has a name stays whole. On ext4, where a new folder
takes a block, and on xfs, which lends none. Needs root and loop devices."""
import hashlib
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disks import FILE_SYSTEMS, MIB, Disk, cannot  # noqa: E402
from pulling import World, kit, matches, noise, write  # noqa: E402

REPO = "acme/two"
MAIN = {"config.json": b'{"a": 1}\n', "model.bin": noise(300_000, "main")}
NEXT = {"config.json": b'{"a": 1}\n', "model.bin": noise(200_000, "next"),
        "more.json": b"[]\n"}
KEPT, DEAD, GOES = (noise(n, str(n)) for n in (50_000, 60_000, 70_000))


def has_room(disk):
    """For a folder."""
    try:
        os.rmdir(tempfile.mkdtemp(dir=disk.mount_point))
        return True
    except OSError:
        return False


class Machine:
    """A volume and a hub cache on a disk of its own."""

    def __init__(self, url, kind):
        self.disk = Disk(kind, (64 if kind == "ext4" else 320) * MIB)
        self.world = World(url)
        self.world.env["HF_HOME"] = os.path.join(self.disk.mount_point, "hf")
        self.world.root = os.path.join(self.disk.mount_point, "hf/hub")
        self.vol = os.path.join(self.disk.mount_point, "vol")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.disk.close()
        shutil.rmtree(self.world.home)

    def run(self, *args):
        return kit.run(args, self.world.env)

    def put(self, name, data):
        path = os.path.join(self.world.home, "one")
        write(path, data)
        self.run("mlfetch", "put", self.vol, path, name)

    def stored(self, data):
        sha = hashlib.sha256(data).hexdigest()
        return os.path.join(self.vol, "store/sha256", sha[:2], sha)

    def pulled(self):
        """Both revisions, as the official client leaves them: no ml/."""
        for rev in ("main", "v2"):
            self.world.pull(f"{REPO}@{rev}")
        shutil.rmtree(os.path.join(self.world.repo(REPO), "ml"))

    def blob(self, data):
        return os.path.join(self.world.repo(REPO), "blobs",
                            hashlib.sha256(data).hexdigest())

    def whole(self, rev, files):
        ref = os.path.join(self.world.repo(REPO), "refs", rev)
        with open(ref, encoding="ascii") as f:
            return matches(os.path.join(self.world.repo(REPO), "snapshots",
                                        f.read()), files)


def freed(tap, kind, machine, what, args, gone):
    """The disk is filled; the command succeeds, what is to go is gone."""
    machine.disk.fill()
    full = not has_room(machine.disk)
    done = machine.run(*args)
    tap.ok(full and done.returncode == 0 and
           not any(map(os.path.lexists, gone)), f"{kind}, full: {what}",
           f"full: {full}\n{done.returncode} {done.stderr}")


def volumes(tap, hub, kind):
    with Machine(hub.url, kind) as m:
        for name, data in (("kept", KEPT), ("dead", DEAD), ("goes", GOES)):
            m.put(name, data)
        for part in ("names/dead.json", "files/dead"):
            os.unlink(os.path.join(m.vol, part))
        shutil.rmtree(os.path.join(m.vol, "trash"), ignore_errors=True)
        gc = ["mlcache", "gc", "--grace", "0", "--volume", m.vol]
        freed(tap, kind, m, "gc of a volume", gc, [m.stored(DEAD)])
        out = os.path.join(m.world.home, "out")
        tap.eq([m.run("mlfetch", "get", "-f", m.vol, n, out).returncode
                for n in ("kept", "goes")], [0, 0],
               f"{kind}: what has a name is whole")


def hubs(tap, hub, kind):
    with Machine(hub.url, kind) as m:
        m.pulled()
        dead = os.path.join(m.world.repo(REPO), "blobs", "9" * 64)
        write(dead, b"dead" * 100_000)
        freed(tap, kind, m, "gc of a hub cache",
              ["mlcache", "gc", "--grace", "0"], [dead])
        tap.eq((m.whole("main", MAIN), m.whole("v2", NEXT)), (None, None),
               f"{kind}: both revisions are whole")
        shutil.rmtree(os.path.join(m.world.repo(REPO), "ml"),
                      ignore_errors=True)
        freed(tap, kind, m, "rm of a revision",
              ["mlcache", "rm", "--yes", REPO + "@v2"],
              [m.blob(NEXT["model.bin"])])
        tap.eq(m.whole("main", MAIN), None, f"{kind}: the other is whole")
        freed(tap, kind, m, "rm of a repository",
              ["mlcache", "rm", "--yes", REPO], [m.world.repo(REPO)])


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    for name, files in (("main", MAIN), ("v2", NEXT)):
        for path, data in files.items():
            write(os.path.join(folder, name, path), data)
    repos = {REPO: {"dir": os.path.join(folder, "main"),
                    "branches": {"main": None, "v2": "2" * 40},
                    "revisions": {"v2": {"dir": os.path.join(folder, "v2")}}}}
    with kit.Hub(repos) as hub:
        for kind in FILE_SYSTEMS:
            why = cannot(kind)
            if why:
                tap.skip(f"{kind}, full", why)
                continue
            volumes(tap, hub, kind)
            hubs(tap, hub, kind)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
