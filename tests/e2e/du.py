#!/usr/bin/env python3
"""mlcache du against the file system: every content once, as many bytes as
are on the disk, and what rm says it frees is gone from there."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, World, kit, noise, write  # noqa: E402

# Notes beside the contents, of a few bytes each.
NOTES = ("names", "log", "names.index", "ml-volume.json", "CACHEDIR.TAG",
         ".locks", "ml", "trees", "refs")


def on_disk(root):
    """Bytes of all files below root that are contents, each inode once."""
    seen, total = set(), 0
    for where, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in NOTES]
        for name in names:
            st = os.lstat(os.path.join(where, name))
            if name in NOTES or os.path.islink(os.path.join(where, name)) or \
                    st.st_ino in seen:
                continue
            seen.add(st.st_ino)
            total += st.st_size
    return total


def du(world, volume):
    done = kit.run(["mlcache", "du", "--json", "--volume", volume], world.env)
    return json.loads(done.stdout)["total"]


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    shared = noise(3 * MIB, 1)
    one = {"a.bin": shared, "b.bin": noise(MIB, 2), "config.json": b"{}\n"}
    two = {"a.bin": shared, "b.bin": noise(2 * MIB, 3), "config.json": b"{}\n"}
    for name, files in (("one", one), ("two", two),
                        ("put", {"x.pt": noise(5 * MIB, 4), "y.pt": shared,
                                 "z/x.pt": noise(5 * MIB, 4)})):
        for file, data in files.items():
            write(os.path.join(folder, name, file), data)
    repos = {"acme/m": {"dir": os.path.join(folder, "one"),
                        "branches": {"main": None, "v2": "2" * 40},
                        "revisions": {"v2": {"dir":
                                             os.path.join(folder, "two")}}}}
    with kit.Hub(repos) as hub, World(hub.url) as w:
        volume = os.path.join(w.home, "V")
        for text in ("acme/m", "acme/m@v2"):
            tap.eq(w.pull(text, "--volume", volume).returncode, 0, text)
        tap.eq(du(w, volume), on_disk(volume),
               "two revisions: what is on the disk, what they share once")
        done = kit.run(["mlfetch", "put", volume, os.path.join(folder, "put")],
                       w.env)
        tap.eq((done.returncode, du(w, volume)), (0, on_disk(volume)),
               "with put files, one content under two names")
        before = on_disk(volume)
        done = kit.run(["mlcache", "rm", "--yes", "--json", "--volume", volume,
                        "acme/m@v2"], w.env)
        said = json.loads(done.stdout)
        freed = before - on_disk(volume)
        tap.eq((said["freed"], du(w, volume)), (freed, on_disk(volume)),
               "rm of a revision frees what it says")
        tap.eq(freed, 2 * MIB, "and that is what no other one has")
    tap.done()


if __name__ == "__main__":
    main()
