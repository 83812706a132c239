#!/usr/bin/env python3
"""A place that strangers have a hand in: links planted where folders of ours
should be, files and folders of another user, other containers, tools that
take away what a pull counts on. Nothing outside is touched, nothing that is
needed is lost, and what is in order is looked after all the same."""
import os
import pty
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (World, good, kit, matches, noise,  # noqa: E402
                     shimmed, write)

REPO, OTHER = "acme/two", "acme/other"
FILES = {"old.bin": noise(60_000, "old"), "new.bin": noise(50_000, "new")}
LYING = "int flock(int fd, int op) { (void)fd; (void)op; return 0; }\n"


def mlcache(env, *args):
    return kit.run(["mlcache", *args], env)


def precious(home):
    """A folder that is nobody's business, with names that tempt."""
    top = os.path.join(home, "precious")
    for name in ("thesis.txt", "work.0123456789abcdef.tmp", "a" * 64, "b" * 40,
                 "a" * 64 + ".ml.incomplete", "ml-trash.x", "uniform/w.bin",
                 "quarantine/q.bin", "trash/t.bin", "journal/" + "a" * 64,
                 "a.bin", "key/ml-manifest.json"):
        write(os.path.join(top, name), name.encode())
    return top


def tree(top):
    return sorted(os.path.relpath(os.path.join(d, f), top)
                  for d, _, names in os.walk(top) for f in names)


def plant(path, target):
    if os.path.islink(path):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)


def planted(tap, hub):
    for part in ("ml", "ml/trash", "ml/quarantine", "ml/uniform",
                 "ml/journal", "ml/used", "../.locks"):
        with World(hub.url) as w:
            w.pull(REPO)
            w.pull(OTHER)
            top = precious(w.home)
            before = tree(top)
            stray = os.path.join(w.repo(OTHER), "blobs", "5" * 64)
            write(stray, b"stray")
            write(os.path.join(w.repo(REPO), "blobs", "6" * 64), b"stray")
            plant(os.path.join(w.repo(REPO), part), top)
            done = mlcache(w.env, "gc", "--grace", "0", "--partial",
                           "--quarantine")
            tap.ok(set(before) <= set(tree(top)), f"gc, {part} a link: "
                   "nothing outside is touched", done.stderr)
            tap.ok(done.returncode == 0 and not os.path.exists(stray),
                   "and the other repository is collected", done.stderr)
            blob = os.path.realpath(os.path.join(
                w.pull(REPO).stdout.strip() or w.root, "old.bin"))
            if os.path.isfile(blob):
                os.chmod(blob, 0o644)
                write(blob, b"bad")
            mlcache(w.env, "verify")
            mlcache(w.env, "rm", REPO + "@main", "--yes")
            mlcache(w.env, "rm", REPO, "--yes")
            tap.eq([n for n in before if n not in tree(top)], [],
                   "nor by verify and rm")


def planted_volume(tap):
    home = kit.scratch()
    env = kit.clean_env(home)
    vol = os.path.join(home, "vol")
    for part in ("tmp", "trash", "quarantine", "uniform"):
        write(os.path.join(home, "a"), b"a")
        kit.run(["mlfetch", "put", vol, os.path.join(home, "a"), "a"], env)
        top = precious(home)
        before = tree(top)
        plant(os.path.join(vol, part), top)
        done = mlcache(env, "gc", "--grace", "0", "--volume", vol,
                       "--quarantine")
        tap.ok(tree(top) == before, f"a volume, {part} a link", done.stderr)
        mlcache(env, "rm", "--yes", f"{vol}:a")
        tap.eq(tree(top), before, "nor by rm")
        shutil.rmtree(vol)
    write(os.path.join(home, "a"), b"a")
    kit.run(["mlfetch", "put", vol, os.path.join(home, "a"), "d/a.bin"], env)
    plant(os.path.join(vol, "files/d"), top)
    done = mlcache(env, "rm", "--yes", f"{vol}:d/a.bin")
    tap.ok(done.returncode == 0 and tree(top) == before,
           "the folder of a name in the view a link", done.stderr)
    shutil.rmtree(home)


def taken_away(tap, hub):
    """What the plan counted on goes while the rest is being fetched."""
    with World(hub.url) as w:
        w.pull(REPO)
        repo = w.repo(REPO)
        for part in ("snapshots", "refs", "trees"):
            shutil.rmtree(os.path.join(repo, part))
        kept = None
        for name in w.names(REPO, "blobs"):
            path = os.path.join(repo, "blobs", name)
            if os.path.getsize(path) == len(FILES["new.bin"]):
                os.unlink(path)
            elif os.path.getsize(path) == len(FILES["old.bin"]):
                kept = path
        hub.faults([{"host": "bytes", "path": "*/new.bin", "delay": 1.5,
                     "times": 1}])
        proc = subprocess.Popen([kit.program("mlfetch"), "pull", REPO],
                                env=w.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        while proc.poll() is None and not [
                n for n in w.names(REPO, "blobs") if "incomplete" in n]:
            time.sleep(0.01)
        os.unlink(kept)
        out, said = proc.communicate()
        hub.faults([])
        good(tap, subprocess.CompletedProcess([], proc.returncode, out, said),
             FILES, "what was taken away on the way is fetched again")


def odd_links(tap, hub):
    """Names that do not lead straight to their blobs."""
    with World(hub.url) as w:
        top = w.pull(REPO).stdout.strip()
        name = os.path.join(top, "old.bin")
        os.symlink(os.path.relpath(os.path.realpath(name), w.repo(REPO)),
                   os.path.join(w.repo(REPO), "hop"))
        os.unlink(name)
        os.symlink("../../hop", name)
        done = mlcache(w.env, "gc", "--grace", "0")
        tap.eq(matches(top, FILES), None, "by way of another link")
        os.symlink(os.path.basename(top), os.path.dirname(top) + "/latest")
        write(os.path.join(w.repo(REPO), "blobs", "5" * 64), b"stray")
        done = mlcache(w.env, "gc", "--grace", "0")
        tap.eq((done.returncode, matches(top, FILES),
                "5" * 64 in w.names(REPO, "blobs")), (0, None, False),
               "another name of a snapshot does no harm")
        tap.eq(mlcache(w.env, "verify").returncode, 0, "nor to verify")
        away = os.path.join(w.home, "away")
        os.makedirs(away)
        for n in FILES:
            os.symlink(os.path.realpath(os.path.join(top, n)),
                       os.path.join(away, n))
        plant(top, away)
        done = mlcache(w.env, "gc", "--grace", "0")
        tap.ok(matches(away, FILES) is None and "link" in done.stderr and
               done.returncode == 0, "a snapshot that has been moved away "
               "needs its blobs", done.stderr)


def lost_content(tap):
    """A content in a folder of the store where it does not belong."""
    home = kit.scratch()
    env = kit.clean_env(home)
    vol = os.path.join(home, "vol")
    for i in range(16):
        write(os.path.join(home, "in"), noise(1000, i))
        kit.run(["mlfetch", "put", vol, os.path.join(home, "in"), f"n{i}"], env)
    store = os.path.join(vol, "store/sha256")
    for front in sorted(os.listdir(store))[::2]:
        for digit in "0f":
            if front != 2 * digit:
                write(os.path.join(store, front, 64 * digit), b"x")
    done = mlcache(env, "verify", "--volume", vol)
    tap.ok(done.returncode == 0, "content in the wrong folder hides none",
           done.stdout + done.stderr)
    mlcache(env, "gc", "--grace", "0", "--volume", vol)
    tap.eq([i for i in range(16) if kit.run(
        ["mlfetch", "get", vol, f"n{i}", os.path.join(home, f"out{i}")],
        env).returncode], [], "and gc takes none")
    shutil.rmtree(home)


def flipped_listing(tap, hub):
    """One digit of a listing: the bytes are right, it says they are not."""
    with World(hub.url) as w:
        top = w.pull(REPO).stdout.strip()
        path = os.path.join(w.repo(REPO), "trees", w.names(REPO, "trees")[0])
        digest = os.path.basename(os.path.realpath(top + "/old.bin"))
        with open(path, "rb") as f:
            text = f.read()
        os.chmod(path, 0o644)
        digit = "0" if digest[0] != "0" else "1"
        bad = text.replace(digest.encode(), (digit + digest[1:]).encode())
        write(path, bad)
        done = kit.run(["mlcache", "verify", "--repair"],
                       {**w.env, "HF_HUB_OFFLINE": "1"})
        with open(path, "rb") as f:
            tap.ok(done.returncode != 0 and f.read() == bad, "without the Hub "
                   "nobody knows which is wrong", done.stderr)
        done = mlcache(w.env, "verify", "--repair")
        tap.ok(done.returncode == 0 and
               mlcache(w.env, "verify").returncode == 0 and
               w.pull(REPO).returncode == 0 and matches(top, FILES) is None,
               "a damaged listing is fetched again", done.stderr)


def pinned_meanwhile(tap, hub):
    with World(hub.url) as w:
        w.pull(REPO)
        master, slave = pty.openpty()
        proc = subprocess.Popen([kit.program("mlcache"), "rm", REPO],
                                env=w.env, stdin=slave, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        asked = ""
        while proc.poll() is None and "[y/N]" not in asked:
            asked += proc.stderr.read(1)
        mlcache(w.env, "pin", REPO)
        os.write(master, b"y\n")
        said = proc.communicate()[1]
        tap.ok(proc.returncode == 8 and "is pinned" in said and
               os.path.exists(w.repo(REPO)),
               "pinned while the user was asked", said)
        os.close(master)
        os.close(slave)
        shutil.rmtree(os.path.join(w.repo(REPO), "snapshots"))
        tap.eq(mlcache(w.env, "pin", REPO).returncode, 3,
               "what is not here cannot be pinned")


def theirs(tap, hub):
    """A download of the official client, between two of its steps."""
    with World(hub.url) as w:
        w.pull(REPO)
        path = os.path.join(w.repo(REPO), "blobs", "c" * 64)
        for end in (".incomplete", ".0badcafe.incomplete", ".ml.incomplete"):
            write(path + end, b"some")
        mlcache(w.env, "gc", "--partial")
        tap.eq([n[64:] for n in w.names(REPO, "blobs") if "incomp" in n],
               [".0badcafe.incomplete", ".incomplete"], "a young unfinished "
               "download of another tool stays, also with --partial")
        mlcache(w.env, "gc", "--partial", "--grace", "0")
        tap.eq([n for n in w.names(REPO, "blobs") if "incomp" in n], [],
               "an old one goes")
        shutil.rmtree(os.path.join(w.repo(REPO), "ml/used"))
        done = mlcache(w.env, "gc", "--max-size", "1")
        tap.ok(len(w.names(REPO, "snapshots")) == 1 and done.returncode == 0,
               "a revision that another tool may be filling stays",
               done.stderr)
        tap.eq(mlcache(w.env, "gc", "--max-size", "0").returncode, 2,
               "no size is no size")
        mlcache(w.env, "gc", "--max-size", "1", "--grace", "0")
        tap.eq(w.names(REPO, "snapshots"), [], "with no grace it goes")


def container(tap, hub, folder):
    """Where locks lie, a pull in a container: the same machine, and a process
    number that means nothing outside."""
    shim = shimmed(folder, LYING)
    probe = ["unshare", "-r", "-p", "-f", "--mount-proc"]
    if shim is None or shutil.which("unshare") is None or subprocess.run(
            [*probe, "true"], capture_output=True).returncode != 0:
        tap.skip("a pull in a container", "no such thing here")
        return
    with World(hub.url, LD_PRELOAD=shim) as w:
        w.pull(REPO)
        stray = os.path.join(w.repo(REPO), "blobs", "5" * 64)
        write(stray, b"stray")
        hub.faults([{"host": "bytes", "delay": 5, "times": -1}])
        proc = subprocess.Popen(
            [*probe, kit.program("mlfetch"), "pull", "--force", REPO],
            env=w.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        locks = os.path.join(w.root, ".locks/models--acme--two")
        notes = []
        while proc.poll() is None and not notes:
            time.sleep(0.01)
            notes = [n for n in os.listdir(locks) if n.startswith("ml.lease.")
                     and not n.endswith(".tmp")]
        # what the pull wrote, with a number that is free here
        path = os.path.join(locks, notes[0])
        with open(path, encoding="ascii") as f:
            words = f.read().split()
        words[-1] = "4194303"
        write(path, (" ".join(words) + "\n").encode())
        done = mlcache(w.env, "gc", "--grace", "0")
        tap.ok("in use" in done.stderr and os.path.exists(stray),
               "a pull in a container is at work", done.stderr)
        proc.kill()
        proc.wait()
        hub.faults([])


def read_only(tap, hub):
    """A reader that has the cache read-only holds a lease all the same."""
    probe = ["unshare", "-r", "-m"]
    if shutil.which("strace") is None or shutil.which("unshare") is None or \
            subprocess.run([*probe, "true"],
                           capture_output=True).returncode != 0:
        tap.skip("a reader of a read-only cache", "no such thing here")
        return
    model = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    with kit.Hub({"acme/neox": {"dir": model}}) as hub, World(hub.url) as w:
        w.pull("acme/neox")
        out = os.path.join(w.home, "out")
        ready = os.path.join(w.home, "ready")
        proc = subprocess.Popen(
            [*probe, "sh", "-c", 'mount --bind "$1" "$1" && '
             'mount -o remount,ro,bind "$1" && touch "$2" && shift 2 && '
             'exec "$@"', "sh", w.root, ready, "strace", "-f", "-qq", "-o",
             "/dev/null", "-e", "trace=fsync", "-e",
             "inject=fsync:delay_enter=400000:when=1..6",
             kit.program("mlconvert"), "--fp16", "-o", out, "acme/neox"],
            env=w.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        while proc.poll() is None and not [
                n for n in os.listdir(w.home) if n.startswith("out")]:
            time.sleep(0.01)
        if not os.path.exists(ready):
            tap.skip("a reader of a read-only cache", "no mount here")
            return
        done = mlcache(w.env, "rm", "acme/neox", "--yes")
        said = proc.communicate()[1]
        tap.ok(done.returncode == 1 and "in use" in done.stderr,
               "a reader of a read-only cache is heeded",
               f"{done.returncode} {done.stderr}\n{said}")


def other_user(tap, hub):
    """One repository of a shared cache is another user's."""
    if os.geteuid() != 0:
        tap.skip("a cache of two users", "not root")
        return
    with World(hub.url) as w:
        w.pull(REPO)
        w.pull(OTHER)
        strays = [os.path.join(w.repo(r), "blobs", "5" * 64)
                  for r in (OTHER, REPO)]
        for path in strays:
            write(path, b"stray")
        for top in (w.root, w.repo(REPO), os.path.join(
                w.root, ".locks"), os.path.join(
                    w.root, ".locks/models--acme--two")):
            for where, dirs, names in os.walk(top):
                for n in [where, *(os.path.join(where, x)
                                   for x in dirs + names)]:
                    if "acme--other" not in n:
                        os.chown(n, 65534, 65534, follow_symlinks=False)
        os.chmod(w.home, 0o755)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534",
             "--clear-groups", kit.program("mlcache"), "gc", "--grace", "0"],
            env=w.env, capture_output=True, text=True)
        tap.ok(done.returncode == 0 and os.path.exists(strays[0]) and
               not os.path.exists(strays[1]) and "acme--other" in done.stderr,
               "another user's repository is passed by, and told; one's own "
               "is collected", f"{done.returncode} {done.stderr}")


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    for name, data in FILES.items():
        write(os.path.join(folder, "two", name), data)
        write(os.path.join(folder, "other", name), data)
    with kit.Hub({REPO: {"dir": os.path.join(folder, "two")},
                  OTHER: {"dir": os.path.join(folder, "other")}}) as hub:
        planted(tap, hub)
        planted_volume(tap)
        taken_away(tap, hub)
        odd_links(tap, hub)
        lost_content(tap)
        flipped_listing(tap, hub)
        pinned_meanwhile(tap, hub)
        theirs(tap, hub)
        container(tap, hub, folder)
        read_only(tap, hub)
        other_user(tap, hub)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
