#!/usr/bin/env python3
"""Every system call of a command that changes the disk fails, is cut short, or
is the last one before a kill. After each: what has a name is wholly old or
wholly new, every link leads to the right bytes, the message names the file,
what was being done and why it failed, the same command once more ends it, and
gc finds whatever was left lying about.

ROWS is the table of commands; a new command is a new row: what is there
before it, its words, and what is there after it. Calls are injected with
strace, short writes by a library that is preloaded, so that they are real.
A part of the places; with --long (`make inject`) all of them. --only WORD
runs the rows whose name has the word in it."""
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import kit, noise, shimmed, write  # noqa: E402

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

# ---- what is there before a command, and after it ----

SMALL = {"config.json": b'{"a": 1}\n', "sub/tok.json": b"[]\n", "empty": b""}
TINY = dict(SMALL, **{"model.bin": noise(90_000, "tiny")})
NEXT = dict(SMALL, **{"model.bin": noise(50_000, "next"),
                      "more.json": b"{}\n"})
OLD, NEW, KEPT, DEAD = (noise(n, str(n)) for n in
                        (70_000, 80_001, 3_000, 5_000))
PUTS = {"a": OLD, "d/kept": KEPT, "d/gone": DEAD}
HELD = {"acme/two@main": TINY, "acme/two@v2": NEXT}

Row = collections.namedtuple(
    "Row", "name args puts repos files damage tidy",
    defaults=({}, {}, {}, False, False))
# name    as it is shown
# args    the words; {vol}, {new}, {src} ... stand for folders, {dead} of a
#         repository that is held
# puts    put names that become other bytes, or None: gone
# repos   the same of "org/name@revision", with all its files
# files   the same of files outside, below {home}
# damage  a blob is damaged before: until it is repaired, links may lead
#         to it, or nowhere
# tidy    it leaves nothing dead: there is no dead content after it
ROWS = [
    Row("put, a new name", ["mlfetch", "put", "{vol}", "{src}/new.bin", "n"],
        puts={"n": NEW}),
    Row("put, another content", ["mlfetch", "put", "-f", "{vol}",
                                 "{src}/new.bin", "a"], puts={"a": NEW}),
    Row("put, a folder", ["mlfetch", "put", "{vol}", "{src}/folder", "f"],
        puts={"f/x": b"x\n", "f/s/y": b"y\n", "f/kept": KEPT}),
    Row("put, a new volume", ["mlfetch", "put", "{other}", "{src}/new.bin",
                              "n"]),
    Row("adopt, linked", ["mlcache", "adopt", "--volume", "{vol}",
                          "{src}/folder"],
        puts={"folder/x": b"x\n", "folder/s/y": b"y\n",
              "folder/kept": KEPT}),
    Row("adopt, copied", ["mlcache", "adopt", "--volume", "{vol}", "--copy",
                          "{src}/folder"],
        puts={"folder/x": b"x\n", "folder/s/y": b"y\n",
              "folder/kept": KEPT}),
    Row("get", ["mlfetch", "get", "-f", "{vol}", "a", "{home}/out.bin"],
        files={"out.bin": OLD}),
    Row("pull", ["mlfetch", "pull", "acme/tiny"],
        repos={"acme/tiny@main": TINY}),
    Row("rm of names", ["mlfetch", "rm", "-r", "{vol}", "a", "d"],
        puts={"a": None, "d/kept": None}),
    Row("mv of a folder", ["mlfetch", "mv", "{vol}", "d", "a", "e/"],
        puts={"a": None, "d/kept": None, "e/a": OLD, "e/d/kept": KEPT}),
    Row("cp over a name", ["mlfetch", "cp", "-f", "{vol}", "d/kept", "a"],
        puts={"a": KEPT}),
    Row("rollback", ["mlfetch", "rollback", "{vol}", "0"],
        puts={"a": None, "d/kept": None}),
    Row("rm of a put file", ["mlcache", "rm", "--yes", "{vol}:a"],
        puts={"a": None}, tidy=True),
    Row("rm of a revision", ["mlcache", "rm", "--yes", "acme/two@v2"],
        repos={"acme/two@v2": None}),
    Row("rm of a repository", ["mlcache", "rm", "--yes", "acme/two"],
        repos={"acme/two@main": None, "acme/two@v2": None}),
    Row("gc of a volume", ["mlcache", "gc", "--grace", "0", "--volume",
                           "{vol}"], tidy=True),
    Row("gc of a hub cache", ["mlcache", "gc", "--grace", "0"], tidy=True),
    Row("verify --repair", ["mlcache", "verify", "--repair"], damage=True),
]

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


def scratch():
    """Syncs cost nothing in memory, and prove nothing here anyway."""
    if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK):
        os.environ.setdefault("TMPDIR", "/dev/shm")
    return kit.scratch()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def below(root):
    return sorted(os.path.join(d, n) for d, _, names in os.walk(root)
                  for n in names)


class Place:
    """A home with a volume and a hub cache, made once and copied."""

    def __init__(self, url, home):
        self.home = home
        self.vol = os.path.join(home, "vol")
        self.hub = os.path.join(home, "hf/hub")
        self.env = kit.clean_env(home, HF_ENDPOINT=url)
        self.words = {"home": home, "vol": self.vol,
                      "src": os.path.join(home, "src"),
                      "other": os.path.join(home, "other")}

    def run(self, args, front=(), **env):
        args = [a.format(**self.words) for a in args]
        return subprocess.run(
            [*front, kit.program(args[0]), *args[1:]],
            env=dict(self.env, **env), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120)

    def repo(self, name):
        return os.path.join(self.hub, "models--" + name.replace("/", "--"))

    def make(self):
        for name, data in (("new.bin", NEW), ("folder/x", b"x\n"),
                           ("folder/s/y", b"y\n"), ("folder/kept", KEPT),
                           ("a", OLD)):
            write(os.path.join(self.home, "src", name), data)
        for name, data in PUTS.items():
            write(os.path.join(self.home, "src/one"), data)
            self.run(["mlfetch", "put", "{vol}", "{src}/one", name])
        for name in HELD:
            self.run(["mlfetch", "pull", name])
        # what gc is for: content and blobs without a name, what kills left
        for part in ("names/d/gone.json", "files/d/gone"):
            os.unlink(os.path.join(self.vol, part))
        write(os.path.join(self.vol, "tmp/content.1.tmp"), b"left")
        sha = hashlib.sha256(DEAD).hexdigest()
        write(os.path.join(self.repo("acme/two"), "blobs", sha), DEAD)
        write(os.path.join(self.repo("acme/two"), "ml/x.tmp"), b"left")

    def damage(self):
        path = os.path.join(self.repo("acme/two"), "blobs",
                            hashlib.sha256(TINY["model.bin"]).hexdigest())
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.write(b"?")
        os.chmod(path, 0o444)


BEFORE = {n: d for n, d in PUTS.items() if d is not DEAD}


def store_wrong(vol):
    for path in below(os.path.join(vol, "store")):
        if hashlib.sha256(read(path)).hexdigest() != os.path.basename(path):
            yield f"{path} is not its name"


def names_of(vol):
    """name -> SHA-256: what the log says counts, also where names/ could not
    follow it yet."""
    if not os.path.exists(os.path.join(vol, "ml-volume.json")):
        return {}
    done = subprocess.run([kit.program("mlfetch"), "ls", vol, "--json"],
                          capture_output=True, text=True, timeout=60)
    if done.returncode != 0 or done.stderr:
        raise OSError(done.stderr)
    return {f["name"]: f["sha256"] for f in json.loads(done.stdout)["files"]}


def volume_wrong(vol, allowed):
    """Names of a volume that mean neither the old bytes nor the new."""
    yield from store_wrong(vol)
    found = {}
    for path in below(os.path.join(vol, "names")):
        try:
            json.loads(read(path))
        except ValueError as problem:
            yield f"{path}: {problem}"
    for name, sha in names_of(vol).items():
        try:
            found[name] = read(os.path.join(vol, "store/sha256", sha[:2],
                                            sha))
        except OSError as problem:
            yield f"{name} leads nowhere: {problem}"
            found[name] = None
    for name in set(found) | set(allowed):
        if found.get(name) not in allowed.get(name, (None,)):
            yield f"'{name}' is neither old nor new"
    top = os.path.join(vol, "files")
    for path in below(top):
        name = os.path.relpath(path, top)
        if not os.path.exists(path):
            yield f"files/{name} leads nowhere"
        elif read(path) not in allowed.get(name, ()):
            yield f"files/{name} is neither old nor new"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def blob_wrong(path):
    data = read(path)
    name = os.path.basename(path)
    want = hashlib.sha256(data).hexdigest() if len(name) == 64 \
        else git_sha1(data)
    return want != name


def tree(folder, lost_is_fine):
    """name -> bytes of a snapshot; a link to nowhere is None, or left out."""
    found = {}
    for path in below(folder):
        name = os.path.relpath(path, folder)
        if os.path.exists(path):
            found[name] = read(path)
        elif not lost_is_fine:
            found[name] = None
    return found


def repo_wrong(repo, allowed, damaged):
    """allowed: for each revision, the sets of files it may have."""
    blobs = os.path.join(repo, "blobs")
    for path in below(blobs):
        if "." not in os.path.basename(path) and blob_wrong(path) and \
                not damaged:
            yield f"{path} is not its name"
    commits = {}
    snapshots = os.path.join(repo, "snapshots")
    for commit in os.listdir(snapshots) if os.path.isdir(snapshots) else []:
        commits[commit] = tree(os.path.join(snapshots, commit), damaged)
    every = [files for sets in allowed.values() for files in sets if files]
    for commit, files in commits.items():
        # while it is being pulled a snapshot has a part of its files
        if not any(set(files.items()) <= set(full.items())
                   for full in every) and not damaged:
            yield f"{commit}: a file of it is neither old nor new"
    for rev, sets in allowed.items():
        ref = os.path.join(repo, "refs", rev)
        files = None
        if os.path.exists(ref):
            files = commits.get(read(ref).decode())
            if files is None:
                yield f"refs/{rev} names nothing"
        if files not in sets and not damaged:
            yield f"{rev} is there in part"


def allowed_of(row, done):
    """What each name may mean: the old or the new; done: the new alone."""
    puts = {n: {d, row.puts.get(n, d)} for n, d in BEFORE.items()}
    for name, data in row.puts.items():
        puts[name] = {data} if done else puts.get(name, {None}) | {data}
    repos = {}
    for full, files in {**HELD, **{k: None for k in row.repos
                                   if k not in HELD}}.items():
        name, _, rev = full.partition("@")
        new = row.repos.get(full, files)
        repos.setdefault(name, {})[rev] = [new] if done else [files, new]
    return puts, repos


def wrong(place, row, done=False, repaired=False):
    """The first thing that is not as it may be, or None."""
    puts, repos = allowed_of(row, done)
    for bad in volume_wrong(place.vol, puts):
        return bad
    for name, allowed in repos.items():
        for bad in repo_wrong(place.repo(name), allowed,
                              row.damage and not repaired):
            return f"{name}: {bad}"
    for name, data in row.files.items():
        path = os.path.join(place.home, name)
        if (read(path) if os.path.exists(path) else None) not in \
                ([data] if done else [None, data]):
            return f"{path} is there in part"
    other = place.words["other"]
    if "{other}" in row.args:
        for bad in volume_wrong(other, {"n": {NEW} if done else {None, NEW}}):
            return bad
    return None


def litter(place):
    """What nothing leads to after gc."""
    vol, found = place.vol, []
    live = set(names_of(vol).values())
    for part in ("store", "tmp", "trash"):
        found += [p for p in below(os.path.join(vol, part))
                  if os.path.basename(p) not in live]
    for path in below(place.hub):
        name = os.path.relpath(path, place.hub)
        if "/ml/trash" in name or name.endswith(".tmp") or \
                ".incomplete" in name:
            found.append(path)
    return [p for p in found if "ml/used" not in p]


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

    def again(self, place, what):
        """The same once more, and then the state that was wanted."""
        args = list(self.row.args)
        done = place.run(args)
        fine = (0, 3) if args[1] in ("rm", "mv") else (0,)
        if done.returncode not in fine:
            return f"{what}; and again: status {done.returncode}: " \
                   f"{done.stderr.strip()}"
        # status 3: what was to go is gone; a collector clears up after it
        bad = done.returncode == 0 and wrong(place, self.row, True, True)
        if bad:
            return f"{what}; and again, yet {bad}"
        for where in (["--volume", "{vol}"], []):
            done = place.run(["mlcache", "gc", "--grace", "0", *where])
            if done.returncode != 0:
                return f"{what}; and gc: {done.stderr.strip()}"
        left = litter(place)
        if left:
            return f"{what}; and gc leaves {left}"
        bad = wrong(place, self.row, True, True)
        return bad and f"{what}; and after gc {bad}"

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
        hit = how == "KILL" or "INJECTED" in read(log).decode(
            "utf-8", "replace")
        bad = wrong(place, self.row)
        if bad:
            return bad
        if hit and how != "KILL":
            bad = self.message(done, call, how)
            if bad:
                return bad
        if done.returncode == 0 and how != "KILL" and \
                not re.search("files/ (does not show it|could not follow)",
                              done.stderr):
            bad = wrong(place, self.row, True, True)
            if bad:
                return f"success, yet {bad}"
        return self.again(place, f"status {done.returncode}")

    def message(self, done, call, how):
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
        if how in ("ENOSPC", "EDQUOT") and SAID[how] in error and \
                done.returncode != 7:
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
    for name, files in (("tiny", TINY), ("next", NEXT)):
        for path, content in files.items():
            write(os.path.join(data, name, path), content)
    repos = {"acme/tiny": {"dir": os.path.join(data, "tiny")},
             "acme/two": {"dir": os.path.join(data, "tiny"),
                          "branches": {"main": None, "v2": "2" * 40},
                          "revisions": {"v2": {
                              "dir": os.path.join(data, "next")}}}}
    shim = shimmed(data, SHORT)
    with kit.Hub(repos) as hub:
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
