#!/usr/bin/env python3
"""Collectors in a loop against sixteen writers and readers: nothing that has a
name is ever lost, and in the end nothing is kept that has none.

A worker owns its repository, or its put names, and is the only one to remove
any of them; contents are shared by all, so that one removes what another is
just adding. Pulls are killed now and then, and snapshots torn away, so that
there is always something to collect. The control: a collector that is blind
to the leases of others takes away what a pull was about to name, which notices
that, and fetches it again.

With --long: ten minutes. With SECONDS=n: so many seconds."""
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, kit, matches, noise, shimmed, write  # noqa: E402

LONG = "--long" in sys.argv
SECONDS = float(os.environ.get("SECONDS", 600 if LONG else 12))
PULLERS, PUTTERS, COLLECTORS = 10, 6, 2
CONTENTS = [noise(2000 + 1500 * i, f"content{i}") for i in range(8)]

# flock as this process alone sees it: the locks of others do not count
BLIND = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
static ino_t held[4096];
int flock(int fd, int op)
{
    struct stat st;
    if (fd < 0 || fd >= 4096 || fstat(fd, &st) != 0)
        return 0;
    for (int i = 0; i < 4096; i++)
        if (i != fd && held[i] == st.st_ino) {
            errno = EWOULDBLOCK;
            return -1;
        }
    held[fd] = op & LOCK_UN ? 0 : st.st_ino;
    return 0;
}
int close(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < 4096)
        held[fd] = 0;
    return real(fd);
}
"""


# and one that says yes to everybody, as some file systems do
LYING = "int flock(int fd, int op) { (void)fd; (void)op; return 0; }\n"


class Battle:
    """What all workers share."""

    def __init__(self, hub, folder):
        self.env = kit.clean_env(folder, HF_ENDPOINT=hub.url)
        self.volume = os.path.join(folder, "vol")
        self.folder = folder
        self.end = time.monotonic() + SECONDS
        self.bad = []
        self.counts = {}
        self.lock = threading.Lock()

    def run(self, *args):
        return kit.run(args, self.env)

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def check(self, ok, text):
        if not ok:
            with self.lock:
                self.bad.append(text)

    def going(self):
        return time.monotonic() < self.end and not self.bad


def puller(battle, k, repos, rng):
    """Pulls, is killed, is torn, removes; and looks at every byte."""
    name = f"acme/r{k}"
    home = os.path.join(battle.volume, "hub", f"models--acme--r{k}")
    while battle.going():
        rev = rng.choice(["main", "v2"])
        args = ["pull", "--volume", battle.volume, f"{name}@{rev}"]
        if rng.random() < 0.2:
            proc = subprocess.Popen([kit.program("mlfetch"), *args],
                                    env=battle.env, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.05)
            proc.send_signal(signal.SIGKILL)
            proc.wait()
            battle.count("kills")
            continue
        done = battle.run("mlfetch", *args)
        wrong = done.returncode or matches(done.stdout.strip(), repos[k][rev])
        battle.check(not wrong, f"{name}@{rev}: {wrong} {done.stderr}")
        battle.count("pulls")
        act = rng.random()
        if act < 0.3:
            done = battle.run("mlcache", "rm", "--yes", "--volume",
                              battle.volume, f"{name}@{rev}")
            # a collector may be at it: that is an answer, too
            battle.check(done.returncode in (0, 1, 3), done.stderr)
            battle.count("removals")
        elif act < 0.6:
            # no other tool takes care, either: names go, blobs stay
            shutil.rmtree(os.path.join(home, "snapshots"), ignore_errors=True)
            shutil.rmtree(os.path.join(home, "refs"), ignore_errors=True)
            battle.count("torn")


def putter(battle, k, rng):
    """Puts contents that others put, too; gets them back; removes them."""
    names = [f"p{k}/n{i}" for i in range(3)]
    held = {}
    source = os.path.join(battle.folder, f"source{k}")
    while battle.going():
        name = rng.choice(names)
        data = rng.choice(CONTENTS)
        write(source, data)
        done = battle.run("mlfetch", "put", "-f", battle.volume, source, name)
        battle.check(done.returncode == 0, f"put: {done.stderr}")
        held[name] = data
        battle.count("puts")
        for name, data in held.items():
            done = subprocess.run([kit.program("mlfetch"), "get",
                                   battle.volume, name, "-"], env=battle.env,
                                  capture_output=True)
            battle.check(done.returncode == 0 and done.stdout == data,
                         f"get {name}: {done.stderr}")
            battle.count("gets")
        if rng.random() < 0.5:
            name = rng.choice(sorted(held))
            done = battle.run("mlcache", "rm", "--yes",
                              f"{battle.volume}:{name}")
            if done.returncode == 0:
                del held[name]
            battle.check(done.returncode in (0, 1), done.stderr)
            battle.count("removals")


def collector(battle, rng):
    while battle.going():
        args = ["gc", "--volume", battle.volume, "--grace", "0"]
        if rng.random() < 0.3:
            args.append("--partial")
        done = battle.run("mlcache", *args)
        battle.check(done.returncode == 0, f"gc: {done.stderr}")
        battle.count("collections")


def battle_of_all(tap, hub, repos, folder):
    b = Battle(hub, folder)
    write(os.path.join(folder, "first"), b"x")
    b.run("mlfetch", "put", b.volume, os.path.join(folder, "first"), "first")
    threads = [threading.Thread(target=puller, args=(b, k, repos,
                                                     random.Random(k)))
               for k in range(PULLERS)]
    threads += [threading.Thread(target=putter, args=(b, k, random.Random(-k)))
                for k in range(PUTTERS)]
    threads += [threading.Thread(target=collector, args=(b, random.Random(k)))
                for k in range(COLLECTORS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.eq(b.bad, [], f"nothing live is lost: {b.counts}")
    tap.ok(all(b.counts.get(n, 0) > 0 for n in (
        "pulls", "puts", "gets", "removals", "kills", "torn", "collections")),
        "all of them were at work", str(b.counts))
    done = b.run("mlcache", "gc", "--volume", b.volume, "--grace", "0",
                 "--partial")
    tap.ok(done.returncode == 0, "a last collection", done.stderr)
    tap.eq(dead(b.volume), [], "nothing dead is kept")
    done = b.run("mlcache", "verify", "--volume", b.volume)
    tap.ok(done.returncode == 0, "every byte is right, every name leads to "
           "its bytes", done.stdout + done.stderr)


def dead(volume):
    """Bytes that nothing leads to, and what should not be there."""
    found = []
    hub = os.path.join(volume, "hub")
    for repo in os.listdir(hub):
        if not repo.startswith("models--"):
            continue
        top = os.path.join(hub, repo)
        live = {os.path.realpath(os.path.join(d, f))
                for d, _, names in os.walk(os.path.join(top, "snapshots"))
                for f in names}
        for d, _, names in os.walk(os.path.join(top, "blobs")):
            found += [os.path.join(d, f) for f in names
                      if os.path.realpath(os.path.join(d, f)) not in live]
        found += [os.path.join(d, f)
                  for part in ("ml/trash", "ml/journal")
                  for d, _, names in os.walk(os.path.join(top, part))
                  for f in names]
    live = set()
    for d, _, names in os.walk(os.path.join(volume, "names")):
        for f in names:
            with open(os.path.join(d, f), encoding="utf-8") as file:
                live.add(file.read().split('"')[3])
    for part in ("store", "tmp", "trash"):
        for d, _, names in os.walk(os.path.join(volume, part)):
            found += [os.path.join(d, f) for f in names if f not in live]
    return found + [n for n in os.listdir(os.path.join(hub, ".locks"))
                    if "trash" in n or n.endswith(".tmp")]


def one_pull(tap, hub, files, gc_env, lost, name, **env):
    """A slow pull that is going to link an old blob; gc while it is slow."""
    with World(hub.url, **env) as w:
        w.pull("acme/slow")
        repo = w.repo("acme/slow")
        for part in ("snapshots", "refs", "trees"):
            shutil.rmtree(os.path.join(repo, part))
        for blob in os.listdir(os.path.join(repo, "blobs")):
            path = os.path.join(repo, "blobs", blob)
            if os.path.getsize(path) == len(files["new.bin"]):
                os.unlink(path)
        hub.faults([{"host": "bytes", "path": "*/new.bin", "delay": 1.5,
                     "times": 1}])
        proc = subprocess.Popen([kit.program("mlfetch"), "pull", "acme/slow"],
                                env=w.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        while proc.poll() is None and not [
                n for n in os.listdir(os.path.join(repo, "blobs"))
                if n.endswith(".incomplete")]:
            time.sleep(0.01)
        done = kit.run(["mlcache", "gc", "--grace", "0"], {**w.env, **gc_env})
        out, said = proc.communicate()
        wrong = matches(out.strip(), files) if out.strip() else said
        tap.ok(done.returncode == 0 and proc.returncode == 0 and
               wrong is None and ("meanwhile" in said) == lost, name,
               f"{wrong}\n{done.stderr}{said}")


def dead_owner(tap, hub, shim):
    """Where locks lie: a killed pull leaves its file, which counts no more;
    and what is collected stays in the trash until it is old."""
    with World(hub.url, LD_PRELOAD=shim) as w:
        w.pull("acme/slow")
        stray = os.path.join(w.repo("acme/slow"), "blobs", "5" * 64)
        write(stray, b"stray")
        hub.faults([{"host": "bytes", "delay": 5, "times": -1}])
        proc = subprocess.Popen([kit.program("mlfetch"), "pull", "--force",
                                 "acme/slow"], env=w.env,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        locks = os.path.join(w.root, ".locks/models--acme--slow")

        def notes():
            return [n for n in os.listdir(locks) if n.startswith("ml.lease.")
                    and not n.endswith(".tmp")]
        while proc.poll() is None and not notes():
            time.sleep(0.01)
        # stopped for a long time, say: it lives
        os.utime(os.path.join(locks, notes()[0]), (time.time() - 9e5,) * 2)
        done = kit.run(["mlcache", "gc", "--grace", "0"], w.env)
        tap.ok("in use" in done.stderr and os.path.exists(stray),
               "where locks lie a file tells who is at work", done.stderr)
        proc.kill()
        proc.wait()
        hub.faults([])
        tap.eq(len(notes()), 1, "a kill leaves it")
        done = kit.run(["mlcache", "gc", "--grace", "0"], w.env)
        tap.ok(done.returncode == 0 and not os.path.exists(stray) and
               notes() == [], "its owner is dead: it counts no more",
               done.stderr)


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    repos, config = [], {}
    for k in range(PULLERS):
        mine = {"main": {"a.bin": CONTENTS[k % 8], "b.json": b"{}",
                         "sub/c.bin": CONTENTS[(k + 1) % 8]},
                "v2": {"a.bin": CONTENTS[k % 8], "b.json": b"[]",
                       "d.bin": CONTENTS[(k + 2) % 8]}}
        repos.append(mine)
        for rev, files in mine.items():
            for name, data in files.items():
                write(os.path.join(folder, "hub", str(k), rev, name), data)
        top = os.path.join(folder, "hub", str(k))
        config[f"acme/r{k}"] = {
            "dir": os.path.join(top, "main"),
            "branches": {"main": None, "v2": f"{k:040x}"},
            "revisions": {"v2": {"dir": os.path.join(top, "v2")}}}
    slow = {"old.bin": CONTENTS[7], "new.bin": CONTENTS[3]}
    for name, data in slow.items():
        write(os.path.join(folder, "hub/slow", name), data)
    config["acme/slow"] = {"dir": os.path.join(folder, "hub/slow")}
    with kit.Hub(config) as hub:
        one_pull(tap, hub, slow, {}, False, "what a pull is about to name is "
                 "not collected")
        shim = shimmed(folder, BLIND)
        if shim is None:
            tap.skip("control: a blind collector", "nothing can be preloaded")
        else:
            one_pull(tap, hub, slow, {"LD_PRELOAD": shim}, True, "control: a "
                     "collector that is blind to leases takes it away")
        hub.faults([])
        shim = shimmed(folder, LYING)
        if shim is None:
            tap.skip("where locks lie", "nothing can be preloaded")
        else:
            one_pull(tap, hub, slow, {}, False, "nor where locks lie",
                     LD_PRELOAD=shim)
            dead_owner(tap, hub, shim)
        hub.faults([])
        battle_of_all(tap, hub, repos, folder)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
