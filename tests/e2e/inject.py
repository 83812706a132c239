#!/usr/bin/env python3
"""Every system call of a command that changes the disk fails, is cut short, or
is the last one before a kill. After each: what has a name is wholly old or
wholly new, every link leads to the right bytes, the message names the file,
what was being done and why it failed, the same command once more ends it, and
gc finds whatever was left lying about.

The commands are the rows of tests/states.py. Calls are injected with
strace, short writes by a library that is preloaded, so that they are real.
A part of the places; with --long (`make inject`) all of them. --only WORD
runs the rows whose name has the word in it."""
import collections
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import kit, shimmed, write  # noqa: E402
from states import (NEW, OLD, ROWS, Place, Row, again, git_sha1,  # noqa: E402
                    read, repositories, scratch, wrong, TINY)

LONG = "--long" in sys.argv[1:]
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
WORKERS = 3
MOST = 10 ** 6 if LONG else 3       # places of one call of one row
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR")
SAID = {"EIO": "Input/output error", "ENOSPC": "No space left on device",
        "EDQUOT": "Disk quota exceeded", "EINTR": "Interrupted system call"}
CALLS = ["openat", "write", "pwrite64", "pwritev", "fsync", "fdatasync",
         "syncfs", "sync_file_range", "rename", "renameat", "renameat2",
         "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat",
         "rmdir", "mkdir", "mkdirat", "fchmod", "chmod", "fchmodat",
         "ftruncate", "fallocate", "copy_file_range", "ioctl", "flock",
         "fcntl", "utimensat"]
# What a message says when one of these has failed: one of these words.
WORDS = {"openat": "create|open|making room", "write": "writ", "pwrite64":
         "writ", "pwritev": "writ", "fsync": "durable|sync",
         "fdatasync": "durable|sync", "syncfs": "durable|sync",
         "rename": "rename|move", "renameat": "rename|move",
         "renameat2": "rename|move|aside", "link": "link|name",
         "linkat": "link|name", "symlink": "create|link",
         "symlinkat": "create|link", "unlink": "remove|unlink",
         "unlinkat": "remove|unlink", "rmdir": "remove",
         "mkdir": "create folder", "mkdirat": "create folder",
         "fchmod": "durable|mode|read-only", "ftruncate": "room|size|truncat",
         "fallocate": "room|reserv", "flock": "lock", "fcntl": "lock"}

SHORT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/types.h>
/* The n-th write of more than one byte to a file writes a half of it. */
static int turn(void)
{
    static int n;
    const char *at = getenv("SHORT_WRITE");
    return at != NULL && __sync_add_and_fetch(&n, 1) == atoi(at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL)
        real = (ssize_t (*)(int, const void *, size_t, off_t))
            dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, p, n > 1 && turn() ? n / 2 : n, at);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return pwrite64(fd, p, n, at);
}
ssize_t write(int fd, const void *p, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL)
        real = (ssize_t (*)(int, const void *, size_t))
            dlsym(RTLD_NEXT, "write");
    return real(fd, p, fd > 2 && n > 1 && turn() ? n / 2 : n);
}
"""


# ---- one run ----

class Trial:
    """A row, prepared; its runs."""

    def __init__(self, url, row, shim):
        self.url, self.row, self.shim = url, row, shim
        self.top = scratch()
        self.safe = Place(url, os.path.join(self.top, "safe"))

    def prepare(self, made):
        subprocess.run(["cp", "-a", made.home, self.safe.home], check=True)
        if self.row.damage:
            self.safe.damage()

    def close(self):
        shutil.rmtree(self.top)

    def copy(self, name):
        place = Place(self.url, os.path.join(self.top, name))
        subprocess.run(["cp", "-a", self.safe.home, place.home], check=True)
        return place

    def calls(self):
        """For each call, at which of its times it changes the disk."""
        place = self.copy("count")
        log = os.path.join(self.top, "count.log")
        done = place.run(self.row.args, [
            "strace", "-f", "-qq", "-s", "0", "-o", log, "-e",
            "trace=" + ",".join("?" + c for c in CALLS)])
        if done.returncode != 0:
            raise RuntimeError(f"{self.row.name}: {done.stderr}")
        turns, found = collections.Counter(), {}
        with open(log, encoding="utf-8", errors="replace") as f:
            for pid, call, rest in re.findall(r"^(\d+)\s+(\w+)\((.*)$",
                                              f.read(), re.M):
                turns[pid, call] += 1
                if call == "openat" and "O_CREAT" not in rest:
                    continue
                if call == "ioctl" and "FICLONE" not in rest:
                    continue
                if call == "fcntl" and "LK" not in rest:
                    continue
                if call == "write" and re.match(r"[012],", rest):
                    continue
                found.setdefault(call, set()).add(turns[pid, call])
        shutil.rmtree(place.home)
        return {c: sorted(n) for c, n in found.items()}

    def one(self, job):
        """None, or what is wrong."""
        call, n, how = job
        place = self.copy(f"{call}.{n}.{how}")
        log = os.path.join(self.top, f"{call}.{n}.{how}.log")
        try:
            return self.check(place, call, n, how, log)
        finally:
            shutil.rmtree(place.home)
            if os.path.exists(log):
                os.unlink(log)

    def check(self, place, call, n, how, log):
        if how == "short":
            done = place.run(self.row.args, LD_PRELOAD=self.shim,
                             SHORT_WRITE=str(n))
            if done.returncode != 0:
                return f"a short write is an error: {done.stderr}"
            return wrong(place, self.row, True, True)
        fault = "signal=KILL" if how == "KILL" else f"error={how}"
        done = place.run(self.row.args, [
            "strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e",
            f"inject={call}:{fault}:when={n}"])
        traced = read(log).decode("utf-8", "replace")
        hit = how == "KILL" or "INJECTED" in traced
        bad = wrong(place, self.row)
        if bad:
            return bad
        # the n-th of every thread fails: the message's own write, too
        mute = re.search(r"write\(2, .*INJECTED", traced)
        # what only reads cannot meet a full disk, whatever thread it is in
        full = how in ("ENOSPC", "EDQUOT") and not re.search(
            r"openat\((?!.*O_CREAT).*O_RDONLY.*INJECTED", traced)
        if hit and how != "KILL" and not mute:
            bad = self.message(done, call, how, full)
            if bad:
                return bad
        if done.returncode == 0 and how != "KILL" and \
                not re.search("files/ (does not show it|could not follow)",
                              done.stderr):
            bad = wrong(place, self.row, True, True)
            if bad:
                return f"success, yet {bad}"
        return again(place, self.row, f"status {done.returncode}")

    def message(self, done, call, how, full):
        """Does it say what failed, at which file, and why?"""
        said = done.stderr
        if done.returncode == 0:
            return None
        if done.returncode < 0 or "error: " not in said:
            return f"it ends with {done.returncode}: {said}"
        if SAID[how] not in said:
            return f"does not say '{SAID[how]}': {said}"
        # the error is what the status is about; a warning may be the cause
        error = said[said.index("error: "):]
        if full and SAID[how] in error and done.returncode != 7:
            return f"status {done.returncode} is not 7: {said}"
        if not re.search(WORDS.get(call, "."), said):
            return f"does not say what failed ({call}): {said}"
        if not re.search(re.escape(self.top) +
                         r"|acme/|'[adfn]'|standard output", said):
            return f"names no file: {said}"
        return None


def places(at):
    """All, or the first, the last and some between."""
    if len(at) <= MOST:
        return at
    step = (len(at) - 1) / (MOST - 1)
    return sorted({at[round(i * step)] for i in range(MOST)})


def jobs_of(trial):
    jobs = []
    for call, at in trial.calls().items():
        jobs += [(call, n, how) for n in places(at)
                 for how in (*ERRORS, "KILL")]
    if trial.shim:
        jobs += [("write", n, "short") for n in range(1, 31 if LONG else 4)]
    return jobs


def run_row(tap, hub, row, made, shim):
    trial = Trial(hub.url, row, shim)
    began = time.monotonic()
    trial.prepare(made)
    jobs = jobs_of(trial)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        ends = list(pool.map(trial.one, jobs))
    bad = [f"{j[0]} {j[1]} {j[2]}: " + " | ".join(str(b).splitlines())
           for j, b in zip(jobs, ends) if b]
    seen = collections.Counter(j[0] for j in jobs)
    tap.ok(not bad and jobs, f"{row.name}: {len(jobs)} failures of "
           f"{len(seen)} calls", "\n".join(bad))
    print(f"# {time.monotonic() - began:.0f} s")
    trial.close()


def control(tap, hub, made):
    """What looks for wrong states must find each of them."""
    row = ROWS[0]
    trial = Trial(hub.url, row, None)
    trial.prepare(made)
    tap.eq(wrong(trial.safe, row), None, "the state before is right")

    def spoilt(name, spoil):
        place = trial.copy("spoilt")
        spoil(place)
        tap.ok(wrong(place, row), f"the control: {name} is seen")
        shutil.rmtree(place.home)

    sha = hashlib.sha256(OLD).hexdigest()
    spoilt("content that is gone", lambda p: os.unlink(os.path.join(
        p.vol, "store/sha256", sha[:2], sha)))
    spoilt("half a view", lambda p: (os.unlink(os.path.join(
        p.vol, "files/a")), write(os.path.join(p.vol, "files/a"), OLD[:99])))
    spoilt("half a name", lambda p: write(os.path.join(
        p.vol, "names/a.json"), b'{"sha256": "'))
    spoilt("another's bytes", lambda p: write(os.path.join(
        p.vol, "names/a.json"),
        read(os.path.join(p.vol, "names/d/kept.json"))))
    spoilt("a blob cut short", Place.damage)
    spoilt("a missing blob", lambda p: os.unlink(os.path.join(
        p.repo("acme/two"), "blobs", git_sha1(TINY["config.json"]))))
    spoilt("half a snapshot under a ref", lambda p: os.unlink(os.path.join(
        p.repo("acme/two"), "snapshots", read(os.path.join(
            p.repo("acme/two"), "refs/v2")).decode(), "more.json")))
    trial.close()
    # a program that takes no care, under the same eyes
    trial = Trial(hub.url, Row("cp", ["/bin/cp", "{src}/new.bin",
                                      "{vol}/files/a"]), None)
    trial.prepare(made)
    bad = [b for b in map(trial.one, jobs_of(trial)) if b]
    tap.ok(bad, f"the control: cp over a file of a volume is caught "
           f"{len(bad)} times")
    trial.close()


def main():
    tap = kit.Tap()
    if shutil.which("strace") is None or "asan" in kit.BUILD:
        tap.skip("system calls that fail", "no strace, or a sanitized build")
        tap.done()
    data = scratch()
    shim = shimmed(data, SHORT)
    with kit.Hub(repositories(data)) as hub:
        made = Place(hub.url, os.path.join(data, "made"))
        made.make()
        control(tap, hub, made)
        for row in ROWS:
            if ONLY in row.name:
                run_row(tap, hub, row, made, shim)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
