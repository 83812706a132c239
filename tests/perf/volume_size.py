#!/usr/bin/env python3
"""A volume of 100,000 put files: what ls and gc --dry-run take.

    BUILD_DIR=build/release python3 tests/perf/volume_size.py [--files N]
                                 [--folder DIR] [--rounds N] [--keep]

Makes N small contents with their names and views, in 100 folders and, a
second volume, all in one, as mlfetch put would have left them (and proves it
by mlcache verify of a sample), then runs each command some rounds in turn:
wall, user and system time, the smallest and the median of each. Beside them
what no program can avoid that reads every name: open, read and close of every
file of names/ in a loop in C (the floor).

The bars: ls 0.2 s, gc --dry-run 2 s (issue of volumes); everything is in the
page cache.
"""
import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
FOLDERS = 100
FIRST = "mlfetch ls, the first"  # which leaves an index for those after it
FLOOR = r"""
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static long walk(int dir)
{
    DIR *d = fdopendir(dir);
    struct dirent *e;
    char text[4096];
    long n = 0;
    while (d != NULL && (e = readdir(d)) != NULL) {
        int fd;
        if (e->d_name[0] == '.')
            continue;
        fd = openat(dirfd(d), e->d_name, O_RDONLY);
        if (e->d_type == DT_DIR) {
            n += walk(fd);
            continue;
        }
        n += read(fd, text, sizeof(text)) > 0;
        close(fd);
    }
    if (d != NULL)
        closedir(d);
    return n;
}
int main(int argc, char **argv)
{
    printf("%ld\n", argc > 1 ? walk(open(argv[1], O_RDONLY)) : 0);
    return 0;
}
"""


def put(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, data)
    os.close(fd)


def make(root, files, flat):
    """The volume, by hand: a put of each would take minutes."""
    for folder in ["names", "files", "store/sha256", "tmp"]:
        os.makedirs(os.path.join(root, folder))
    for i in range(256):
        os.mkdir(os.path.join(root, f"store/sha256/{i:02x}"))
    for i in range(0 if flat else FOLDERS):
        for part in ("names", "files"):
            os.mkdir(os.path.join(root, f"{part}/run{i:02d}"))
    put(os.path.join(root, "ml-volume.json"), b'{"ml-volume": 1}\n')
    now = int(time.time())
    for i in range(files):
        data = b"content %d\n" % i
        sha = hashlib.sha256(data).hexdigest()
        name = f"step-{i:07d}.pt"
        if not flat:
            name = f"run{i % FOLDERS:02d}/{name}"
        stored = os.path.join(root, "store/sha256", sha[:2], sha)
        put(stored, data)
        os.link(stored, os.path.join(root, "files", name))
        put(os.path.join(root, "names", name + ".json"),
            b'{"sha256": "%s", "size": %d, "mtime": %d}\n'
            % (sha.encode(), len(data), now))


def timed(args):
    """(wall, user, system) in milliseconds, and what was printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(args, capture_output=True, check=True)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (wall * 1e3, (after.ru_utime - before.ru_utime) * 1e3,
            (after.ru_stime - before.ru_stime) * 1e3), done.stdout


def measure(root, files, rounds, floor):
    mlfetch = os.path.join(BUILD, "mlfetch")
    mlcache = os.path.join(BUILD, "mlcache")
    rows = {
        "floor: read all names": [floor, os.path.join(root, "names")],
        FIRST: [mlfetch, "ls", root],
        "mlfetch ls": [mlfetch, "ls", root],
        "mlfetch ls --json": [mlfetch, "ls", root, "--json"],
        "mlcache ls": [mlcache, "ls", "--volume", root],
        "mlcache du": [mlcache, "du", "--volume", root],
        "mlcache gc --dry-run": [mlcache, "gc", "--dry-run", "--volume",
                                 root],
    }
    times = {name: [] for name in rows}
    for k in range(rounds + 1):
        for name, args in rows.items():
            index = os.path.join(root, "names.index")
            if name == FIRST and os.path.exists(index):
                os.unlink(index)
            t, said = timed(args)
            if k > 0:
                times[name].append(t)
            if name == "mlfetch ls" and said.count(b"\n") != files + 1:
                sys.exit("ls does not list them all")
    for name, all_of in times.items():
        least = [min(t[i] for t in all_of) for i in range(3)]
        middle = statistics.median(t[0] for t in all_of)
        print(f"{name:24} wall {least[0]:6.0f} (median {middle:6.0f})  "
              f"user {least[1]:6.0f}  system {least[2]:6.0f}  ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    o = parser.parse_args()
    top = tempfile.mkdtemp(prefix="volume_size.", dir=o.folder)
    floor = os.path.join(top, "floor")
    subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", floor], text=True,
                   input=FLOOR, check=True)
    for flat in (False, True):
        root = os.path.join(top, "flat" if flat else "folders")
        began = time.monotonic()
        make(root, o.files, flat)
        subprocess.run([os.path.join(BUILD, "mlcache"), "verify", "--sample",
                        "1/100", "--volume", root], check=True,
                       capture_output=True)
        print(f"{o.files} files in {1 if flat else FOLDERS} folders, made in "
              f"{time.monotonic() - began:.0f} s")
        measure(root, o.files, o.rounds, floor)
    if o.keep:
        print(top)
    else:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
