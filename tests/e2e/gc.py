#!/usr/bin/env python3
"""mlcache rm, pin and gc: what they free is what they said, what others need
stays, what is pinned or in use is left alone; and a kill or a failure at any
step leaves nothing visible that is wrong, and nothing that gc does not find.
With --long: every step of every command."""
import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, World, kit, matches, noise, write  # noqa: E402

LONG = "--long" in sys.argv
REPO = "acme/two"
SHARED, OLD, NEW = (noise(n, n) for n in (300_000, 200_000, 100_000))
MAIN = {"shared.bin": SHARED, "model.bin": OLD, "config.json": b"{}\n"}
NEXT = {"shared.bin": SHARED, "model.bin": NEW, "config.json": b"{}\n",
        "sub/more.json": b"[1]\n"}
CALLS = "rename,renameat2,unlink,unlinkat,rmdir,fsync,fdatasync,mkdir"


def mlcache(world, *args, **more):
    return kit.run(["mlcache", *args], world.env, **more)


def doc(world, *args):
    done = mlcache(world, *args, "--json")
    return json.loads(done.stdout) if done.stdout else {"failed": done.stderr}


def du(world, *args):
    return doc(world, "du", *args)["total"]


def sound(world):
    """No name leads nowhere, no byte is wrong."""
    return doc(world, "verify").get("wrong")


def both(world):
    """The two revisions, pulled; their commits."""
    paths = [world.pull(text).stdout.strip() for text in (REPO, REPO + "@v2")]
    return [os.path.basename(p) for p in paths]


def blobs(world):
    return sorted(os.path.getsize(os.path.join(world.repo(REPO), "blobs", n))
                  for n in world.names(REPO, "blobs"))


def sizes(files):
    return sorted(len(x) for x in set(files.values()))


def revisions(tap, hub):
    with World(hub.url) as w:
        main, new = both(w)
        before = du(w)
        plan = doc(w, "rm", REPO + "@main", "--dry-run")
        row = plan["removed"][0]
        tap.eq((row["commit"], row["freed"], row["shared"], row["files"]),
               (main, len(OLD), len(SHARED) + 3, 3),
               "what a revision frees, and what stays, is known before")
        tap.eq((du(w), sound(w)), (before, []), "--dry-run changes nothing")
        done = mlcache(w, "rm", REPO + "@main")
        tap.ok(done.returncode == 2 and "--yes" in done.stderr and
               du(w) == before, "nobody can be asked: nothing is done",
               done.stderr)
        done = mlcache(w, "rm", REPO + "@main", "--yes")
        tap.ok(done.returncode == 0 and "freed" in done.stdout,
               "the revision is removed", done.stderr)
        tap.eq(before - du(w), row["freed"], "and frees what was said")
        tap.eq((blobs(w), sound(w)), (sizes(NEXT), []),
               "what the other revision needs is there")
        tap.eq((w.names(REPO, "refs"), w.names(REPO, "snapshots"),
                w.names(REPO, "trees"), w.names(REPO, "ml/trash")),
               (["v2"], [new], [new + ".json"], []),
               "its branch, folder and listing are gone")
        tap.eq(mlcache(w, "path", REPO).returncode, 3, "it is not held")
        done = w.pull(REPO)
        tap.eq(matches(done.stdout.strip(), MAIN), None, "a pull brings it")
        mlcache(w, "rm", REPO + "@main", REPO + "@v2", "--yes")
        tap.ok(not os.path.exists(w.repo(REPO)) and du(w) == 0,
               "with the last revision the repository is gone")


def whole(tap, hub):
    with World(hub.url) as w:
        both(w)
        before = du(w)
        plan = doc(w, "rm", REPO, "--dry-run")
        tap.ok(before <= plan["freed"] < before + 10_000,
               f"a repository: {plan['freed']} bytes of {before}")
        for answer, left in (("n\n", True), ("y\n", False)):
            master, slave = pty.openpty()
            os.write(master, answer.encode())
            done = subprocess.run([kit.program("mlcache"), "rm", REPO],
                                  env=w.env, stdin=slave, text=True,
                                  capture_output=True)
            os.close(master)
            os.close(slave)
            tap.ok(done.returncode == 0 and "acme/two: 7 files" in done.stderr
                   and os.path.exists(w.repo(REPO)) == left,
                   f"asked, and answered {answer!r}", done.stderr)
        tap.eq([n for n in os.listdir(os.path.join(w.root, ".locks"))
                if "trash" in n], [], "nothing of it is left")
        done = mlcache(w, "rm", REPO, "--yes")
        tap.eq(done.returncode, 3, "what is not held cannot be removed")


def puts(tap):
    home = kit.scratch()
    env = kit.clean_env(home)
    vol = os.path.join(home, "vol")
    for name, data in (("d/a.bin", OLD), ("d/b.bin", OLD), ("c.bin", NEW)):
        write(os.path.join(home, "in", name), data)
        kit.run(["mlfetch", "put", vol, os.path.join(home, "in", name), name],
                env)

    class Volume:
        pass
    w = Volume()
    w.env = env
    done = mlcache(w, "pin", f"{vol}:c.bin")
    tap.eq(done.returncode, 2, "put files need no pin")
    plan = doc(w, "rm", f"{vol}:d/a.bin", "--dry-run")
    tap.eq((plan["freed"], plan["removed"][0]["shared"]), (0, len(OLD)),
           "one of two names of a content frees nothing")
    tap.eq(doc(w, "rm", f"{vol}:d", "-n")["freed"], len(OLD),
           "both of them do")
    mlcache(w, "rm", f"{vol}:d/a.bin", "--yes")
    tap.eq((du(w, "--volume", vol), doc(w, "verify", "--volume", vol)["wrong"]),
           (len(OLD) + len(NEW), []), "the content stays for the other")
    done = mlcache(w, "rm", "d", "--volume", vol, "-y")
    tap.eq((done.returncode, du(w, "--volume", vol)), (0, len(NEW)),
           "with the last name it goes")
    tap.eq([os.listdir(os.path.join(vol, n)) for n in ("names", "files")],
           [["c.bin.json"], ["c.bin"]], "and the empty folders")
    stray = os.path.join(vol, "store/sha256/ab", "ab" * 32)
    write(stray, b"stray")
    write(os.path.join(vol, "tmp/content.0123456789abcdef.tmp"), b"x")
    mlcache(w, "gc", "--volume", vol)
    tap.ok(os.path.exists(stray), "gc leaves content that is young")
    mlcache(w, "gc", "--volume", vol, "--grace", "0")
    tap.ok(not os.path.exists(stray) and
           os.listdir(os.path.join(vol, "tmp")) == [] and
           du(w, "--volume", vol) == len(NEW),
           "and removes what is old enough, and what a killed put left")
    shutil.rmtree(home)


def pins(tap, hub):
    with World(hub.url) as w:
        main, new = both(w)
        done = mlcache(w, "pin", REPO)
        tap.eq(done.stdout.strip(), f"{REPO}@{main}", "pin tells the commit")
        rows = {r["commit"]: r["pinned"] for r in
                doc(w, "ls")["repositories"][0]["revisions"]}
        tap.eq(rows, {main: True, new: False}, "ls shows it")
        for text in (REPO, REPO + "@main", f"{REPO}@{main}"):
            done = mlcache(w, "rm", text, "--yes")
            tap.ok(done.returncode == 8 and "unpin" in done.stderr,
                   f"rm {text[:14]}: pinned", done.stderr)
        tap.eq(mlcache(w, "gc", "--max-size", "1", "--grace", "0").returncode,
               0, "gc with room for nothing")
        tap.eq((w.names(REPO, "snapshots"), sound(w)), ([main], []),
               "leaves what is pinned, whole")
        mlcache(w, "unpin", REPO)
        tap.eq(mlcache(w, "rm", REPO, "--yes").returncode, 0, "unpinned")


def in_use(tap, hub):
    """A pull at work: rm is refused, gc passes by, the pull succeeds."""
    with World(hub.url) as w:
        w.pull(REPO)
        mlcache(w, "rm", REPO + "@main", "--yes")
        # content of an older run that nothing leads to now, but the pull
        # that has just begun: it only has to link it
        both(w)
        top = os.path.join(w.repo(REPO), "snapshots")
        for name in os.listdir(top):
            shutil.rmtree(os.path.join(top, name))
        shutil.rmtree(os.path.join(w.repo(REPO), "refs"))
        for path in os.listdir(os.path.join(w.repo(REPO), "blobs")):
            full = os.path.join(w.repo(REPO), "blobs", path)
            if os.path.getsize(full) == len(OLD):
                os.unlink(full)
        hub.faults([{"host": "bytes", "rate": 100_000, "times": -1}])
        proc = subprocess.Popen([kit.program("mlfetch"), "pull", REPO],
                                env=w.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        blob_dir = os.path.join(w.repo(REPO), "blobs")
        while proc.poll() is None and not any(
                n.endswith(".incomplete") for n in os.listdir(blob_dir)):
            time.sleep(0.01)
        done = mlcache(w, "rm", REPO, "--yes")
        tap.ok(done.returncode == 1 and f"process {proc.pid}" in done.stderr,
               "rm names the process that is at work", done.stderr)
        plan = doc(w, "gc", "--grace", "0", "--partial", "--max-size", "1")
        tap.eq((plan["busy"] > 0, plan["removed"], proc.poll()),
               (True, [], None), "gc passes by, whatever it was asked for")
        hub.faults([])
        out, said = proc.communicate(timeout=60)
        tap.ok(proc.returncode == 0 and
               matches(out.strip(), MAIN) is None and sound(w) == [],
               "the pull has lost nothing", said)
        lock = os.path.join(w.root, ".locks/models--acme--two", "e" * 40 +
                            ".lock")
        write(lock, b"")
        with open(lock, "r+b") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            done = mlcache(w, "rm", REPO, "--yes")
            tap.ok(done.returncode == 1 and "being fetched" in done.stderr,
                   "the lock of an official client is heeded", done.stderr)


def reader_holds(tap):
    """mlconvert, made slow while it works: rm and gc leave it alone."""
    if shutil.which("strace") is None or "asan" in kit.BUILD:
        tap.skip("a reader holds a lease", "no strace here")
        return
    model = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    with kit.Hub({"acme/neox": {"dir": model}}) as hub, World(hub.url) as w:
        w.pull("acme/neox")
        proc = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync",
             "-e", "inject=fsync:delay_enter=250000:when=1..6",
             kit.program("mlconvert"), "--fp16", "acme/neox"], env=w.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while proc.poll() is None and not w.names("acme/neox", "ml/uniform"):
            time.sleep(0.01)
        done = mlcache(w, "rm", "acme/neox", "--yes")
        plan = doc(w, "gc", "--grace", "0", "--max-size", "1")
        out, said = proc.communicate()
        tap.ok(done.returncode == 1 and "in use" in done.stderr and
               plan["busy"] > 0 and plan["removed"] == [],
               "a model that is being converted is in use", done.stderr)
        tap.ok(proc.returncode == 0 and os.path.isdir(out.strip()),
               "the conversion succeeds", said)
        freed = doc(w, "rm", "acme/neox@main", "--yes")["freed"]
        tap.ok(freed > 2 * 100_000 and not os.path.exists(
            w.repo("acme/neox")), "it goes with its conversion")


def leftovers(tap, hub):
    with World(hub.url) as w:
        both(w)
        repo = w.repo(REPO)
        held = du(w)
        etag = w.names(REPO, "blobs")[0]
        made = ["ml/config.json.0123456789abcdef.tmp",
                "ml/uniform/key.0123456789abcdef.tmp/model.safetensors",
                f"ml/journal/{'a' * 64}", f"ml/journal/{'a' * 64}.live",
                f"ml/journal/{'b' * 64}.0123456789abcdef.tmp",
                f"blobs/{etag}.ml.incomplete",
                f"blobs/{'c' * 64}.ml.incomplete.0badcafe.incomplete",
                "../.locks/ml-trash/blobs/x",
                "../.locks/CACHEDIR.TAG.0123456789abcdef.tmp",
                f"blobs/{'d' * 64}"]
        for name in made:
            write(os.path.join(repo, name), b"left")
        mlcache(w, "gc")
        left = [n for n in made if os.path.exists(os.path.join(repo, n))]
        tap.eq(len(left), len(made) - 1, "what is young stays, but for what "
               "was being removed")
        plan = doc(w, "gc", "--grace", "0", "--dry-run")
        tap.eq(len([n for n in made if os.path.exists(os.path.join(repo, n))]),
               len(left), "--dry-run changes nothing")
        real = doc(w, "gc", "--grace", "0")
        tap.eq(sorted(x["name"] for x in plan["removed"]),
               sorted(x["name"] for x in real["removed"]),
               "and says what will go")
        tap.eq([n for n in made if os.path.exists(os.path.join(repo, n))], [],
               "leftovers of killed runs go")
        tap.eq((du(w), sound(w)), (held, []), "nothing else does")
        write(os.path.join(repo, "ml/quarantine", "e" * 64), b"bad")
        tap.eq(du(w), held + 3, "du counts the quarantine")
        mlcache(w, "gc", "--grace", "0")
        tap.eq(w.names(REPO, "ml/quarantine"), ["e" * 64],
               "gc leaves the quarantine alone")
        mlcache(w, "gc", "--quarantine")
        tap.eq(du(w), held, "but with --quarantine")
        write(os.path.join(repo, "ml/trash", "e" * 64), b"trash")
        tap.eq(du(w), held + 5, "du counts the trash")


def partials(tap, hub):
    with World(hub.url) as w:
        hub.faults([{"host": "bytes", "path": "*/model.bin", "cut": 150_000,
                     "times": -1}])
        w.pull(REPO, "--retry-time", "0")
        row = doc(w, "ls")["repositories"][0]
        n = row["partial_files"]
        tap.ok(n >= 1, "ls shows an unfinished download",
               str(row))
        done = mlcache(w, "gc", "--grace", "0")
        tap.ok("--partial" in done.stderr and doc(w, "ls")["repositories"][0]
               ["partial_files"] == n, "gc keeps it, and says so", done.stderr)
        plan = doc(w, "gc", "--partial")
        tap.eq([x["kind"] for x in plan["removed"]], ["partial"] * n,
               "with --partial it goes")
        tap.eq(w.names(REPO, "ml/journal"), [], "and its journals")
        hub.faults([])
        done = w.pull(REPO)
        tap.eq(matches(done.stdout.strip(), MAIN), None, "a pull brings all")


def least_recent(tap, hub):
    names = ["acme/a", "acme/b", "acme/c"]
    with World(hub.url) as w:
        for i, name in enumerate(names):
            commit = os.path.basename(w.pull(name).stdout.strip())
            used = os.path.join(w.repo(name), "ml/used", commit)
            # the first was used last
            os.utime(used, (time.time() - 1000 * i - 1000,) * 2)
        total = du(w)
        mlcache(w, "pin", "acme/c")
        limit = str(total - 1)
        plan = doc(w, "gc", "--max-size", limit, "--dry-run")
        tap.eq([(x["kind"], x["repository"]) for x in plan["removed"]],
               [("revision", "acme/b")], "the one used longest ago, of those "
               "that are not pinned, would go")
        real = doc(w, "gc", "--max-size", limit)
        tap.eq((real["removed"], real["left"]),
               (plan["removed"], plan["left"]), "and it goes")
        tap.eq((du(w), os.path.exists(w.repo("acme/b"))),
               (real["left"], False), "what is left is what was said")
        tap.eq(mlcache(w, "path", "acme/a").returncode, 0, "a use is noted")
        used = os.path.join(w.repo("acme/a"), "ml/used")
        tap.ok(time.time() - os.path.getmtime(
            os.path.join(used, os.listdir(used)[0])) < 60, "at its time")
        done = mlcache(w, "gc", "--max-size", "1")
        tap.ok(done.returncode == 0 and "pinned" in done.stderr and
               os.path.exists(w.repo("acme/c")), "a size that cannot be "
               "reached is told", done.stderr)


def recovered(tap, hub):
    """A collector that was killed between its two looks."""
    with World(hub.url) as w:
        both(w)
        trash = os.path.join(w.repo(REPO), "ml/trash")
        os.makedirs(trash)
        for name in w.names(REPO, "blobs"):
            os.rename(os.path.join(w.repo(REPO), "blobs", name),
                      os.path.join(trash, name))
        write(os.path.join(trash, "f" * 64), b"not needed")
        write(os.path.join(trash, "snapshot/config.json"), b"{}")
        mlcache(w, "gc")
        tap.eq((sound(w), os.path.exists(trash)), ([], False),
               "what is needed goes back, the rest goes")


def begun(tap, hub):
    """A removal that was killed behind its first step, and what comes of it
    when the revision has come back meanwhile."""
    def state(name, spoil, gone):
        with World(hub.url) as w:
            main, new = both(w)
            # A use in the same tick of the clock counts as a later one.
            os.utime(os.path.join(w.repo(REPO), "ml/used", new), (1, 1))
            write(os.path.join(w.repo(REPO), "ml/removing", new), b"")
            ref = os.path.join(w.repo(REPO), "refs/v2")
            os.rename(ref, ref + ".was")
            os.unlink(ref + ".was")
            spoil(w, new)
            done = mlcache(w, "gc", "--grace", "0")
            held = [main] if gone else sorted([main, new])
            tap.ok(done.returncode == 0 and sound(w) == [] and
                   w.names(REPO, "snapshots") == held and
                   w.names(REPO, "ml/removing") == [] and
                   blobs(w) == (sizes(MAIN) if gone else
                                sizes({**MAIN, "b": NEW, "c": b"[1]\n"})),
                   name, done.stderr)

    def used(w, new):
        os.utime(os.path.join(w.repo(REPO), "ml/used", new))

    def at_once(w, new):
        at = os.stat(os.path.join(w.repo(REPO), "ml/removing", new)).st_mtime_ns
        os.utime(os.path.join(w.repo(REPO), "ml/used", new), ns=(at, at))

    state("a removal that was killed is ended by gc", lambda w, new: None,
          True)
    state("not of what a ref names again", lambda w, new: write(
        os.path.join(w.repo(REPO), "refs/v2"), new.encode()), False)
    state("nor of what was used since", used, False)
    state("or at the same moment", at_once, False)
    state("nor of what is being pulled", lambda w, new: write(
        os.path.join(w.repo(REPO), "ml/pulling", new), b""), False)


def torn(world):
    """Names that are not all there: a snapshot is whole, or it is gone."""
    bad = []
    for commit in world.names(REPO, "snapshots"):
        folder = os.path.join(world.repo(REPO), "snapshots", commit)
        if matches(folder, MAIN) and matches(folder, NEXT):
            bad.append(commit)
    for ref in world.names(REPO, "refs"):
        with open(os.path.join(world.repo(REPO), "refs", ref),
                  encoding="ascii") as f:
            if f.read() not in world.names(REPO, "snapshots"):
                bad.append(ref)
    return bad


def each_step(tap, hub, fault, title):
    """The fault at each call of rm and gc, from the first to the last."""
    if shutil.which("strace") is None or "asan" in kit.BUILD:
        tap.skip(title, "no strace here")
        return
    bad, steps = [], 0
    with World(hub.url) as w:
        both(w)
        safe = w.repo(REPO) + ".safe"
        shutil.copytree(w.repo(REPO), safe, symlinks=True)
        shutil.move(safe, w.home)
        for command in (["rm", REPO + "@main", "--yes"],
                        ["rm", REPO, "--yes"],
                        ["gc", "--grace", "0", "--max-size", "350k"]):
            k = 0
            while True:
                k += 1 if LONG or k < 12 else 5
                shutil.rmtree(w.repo(REPO), ignore_errors=True)
                shutil.copytree(os.path.join(w.home, os.path.basename(safe)),
                                w.repo(REPO), symlinks=True)
                write(os.path.join(w.repo(REPO), "blobs", "9" * 64), b"dead")
                log = os.path.join(w.home, "strace.log")
                done = subprocess.run(
                    ["strace", "-f", "-qq", "-o", log, "-e", f"trace={CALLS}",
                     "-e", f"inject={CALLS}:{fault}:when={k}",
                     kit.program("mlcache"), *command], env=w.env,
                    capture_output=True, text=True)
                with open(log, encoding="utf-8") as f:
                    hit = "INJECTED" in (text := f.read()) or \
                        "killed by" in text
                wrong = torn(w)
                if wrong or (hit and done.returncode == 0 and
                             "KILL" in fault):
                    bad.append(f"{command} step {k}: {wrong} {done.stderr}")
                steps += 1
                doc(w, "gc", "--grace", "0")
                if torn(w) or sound(w) != [] or "9" * 64 in \
                        w.names(REPO, "blobs") or w.names(REPO, "ml/trash") \
                        or [n for n in os.listdir(os.path.join(
                            w.root, ".locks")) if "trash" in n]:
                    bad.append(f"{command} step {k}: not cleared up")
                if not hit:
                    break
        tap.eq(bad, [], f"{title}, at each of {steps} steps: no half name is "
               "seen, and gc clears up")


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    for name, files in (("main", MAIN), ("v2", NEXT)):
        for path, data in files.items():
            write(os.path.join(folder, name, path), data)
    repos = {REPO: {"dir": os.path.join(folder, "main"),
                    "branches": {"main": None, "v2": "2" * 40},
                    "revisions": {"v2": {"dir": os.path.join(folder, "v2")}}}}
    for n in "abc":
        write(os.path.join(folder, n, "model.bin"), noise(MIB // 4, n))
        repos[f"acme/{n}"] = {"dir": os.path.join(folder, n)}
    with kit.Hub(repos) as hub:
        revisions(tap, hub)
        whole(tap, hub)
        pins(tap, hub)
        in_use(tap, hub)
        leftovers(tap, hub)
        partials(tap, hub)
        least_recent(tap, hub)
        recovered(tap, hub)
        begun(tap, hub)
        each_step(tap, hub, "signal=KILL", "killed")
        each_step(tap, hub, "error=EIO", "the disk fails")
        each_step(tap, hub, "error=ENOSPC", "the disk is full")
    reader_holds(tap)
    puts(tap)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
