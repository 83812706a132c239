#!/usr/bin/env python3
"""mlcache verify: every flipped bit is found, what is wrong is moved aside
and never deleted, and --repair fetches exactly the damaged files again.
With --long: 1,000 flips."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, gets, kit, matches, noise, write  # noqa: E402

LONG = "--long" in sys.argv
REPO = "acme/many"
ODD = ["sub dir/[a]*?.bin", "sub dir/é #1%+.txt", "-x.bin", "empty.txt"]


def make_files(folder, n):
    """n files of their own contents, small and large, LFS and not."""
    files = {}
    for i in range(n):
        name = f"part{i % 7}/{i}.{'bin' if i % 3 else 'json'}"
        size = 1 + (i * 37) % 3000 if i % 20 else 300_000 + i
        files[name] = noise(max(size, 40), f"{n}.{i}")
    for i, name in enumerate(ODD):
        files[name] = b"" if name == "empty.txt" else noise(100, f"odd{i}")
    for name, data in files.items():
        write(os.path.join(folder, name), data)
    return files


def flip(path, rng):
    """One random bit of the file; its mode and its name stay."""
    mode = os.stat(path).st_mode
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        at = rng.randrange(os.path.getsize(path))
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << rng.randrange(8)]))
    os.chmod(path, mode)


def verify(env, *args):
    """(status, document, stderr) of `mlcache verify --json`."""
    done = kit.run(["mlcache", "verify", "--json", *args], env)
    doc = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, doc, done.stderr


def read(path):
    with open(path, "rb") as f:
        return f.read()


def snapshot(world, repo=REPO):
    top = os.path.join(world.repo(repo), "snapshots")
    return os.path.join(top, os.listdir(top)[0])


def all_right(tap, world, n, name):
    status, doc, said = verify(world.env)
    tap.ok(status == 0 and doc.get("wrong") == [] and
           doc.get("checked") == n, name, f"{status} {doc}\n{said}")


def flips(tap, hub, files, count, seed):
    """count flips in as many files: found, moved aside, repaired."""
    rng = random.Random(seed)
    with World(hub.url) as w:
        w.pull(REPO)
        all_right(tap, w, len(files), f"nothing is wrong in {len(files)}")
        folder = snapshot(w)
        chosen = rng.sample(sorted(n for n in files if files[n]), count)
        damaged = {}
        for name in chosen:
            path = os.path.realpath(os.path.join(folder, name))
            flip(path, rng)
            damaged[name] = read(path)
        tap.eq([n for n in files
                if os.path.getsize(os.path.join(folder, n)) !=
                len(files[n])], [], "control: their sizes show none of it")
        status, doc, said = verify(w.env)
        found = sorted(x["name"] for x in doc.get("wrong", []))
        tap.ok(status == 6 and "are wrong" in said, "status 6", said)
        tap.eq(found, sorted(chosen), f"all of {count} flips are found, and "
               "nothing else")
        kept = [x["name"] for x in doc["wrong"]
                if read(x["moved_to"]) == damaged[x["name"]]]
        tap.eq(sorted(kept), sorted(chosen), "all are moved aside as they are")
        tap.eq(sorted(n for n in files
                      if not os.path.exists(os.path.join(folder, n))),
               sorted(chosen), "their names lead nowhere, the others' do")
        status, again, _ = verify(w.env)
        tap.eq((status, sorted(x["name"] for x in again["wrong"]),
                {x["kind"] for x in again["wrong"]}),
               (6, sorted(chosen), {"missing"}), "a second look says so, too")
        repaired(tap, hub, w, files, chosen)


def repaired(tap, hub, w, files, chosen):
    hub.reset()
    status, doc, said = verify(w.env, "--repair")
    tap.ok(status == 0 and all(x["repaired"] for x in doc["wrong"]),
           "--repair brings all of them", f"{status}\n{said}")
    asked = sorted({r["path"].split("/resolve/")[1].partition("/")[2]
                    for r in gets(hub, part="/resolve/")})
    tap.eq(len(asked), len(chosen), "only their files are asked for")
    sent = sum(r["bytes"] for r in hub.log() if r["status"] in (200, 206))
    want = sum(len(files[n]) for n in chosen)
    tap.ok(want <= sent <= want + 2000 * len(chosen), "and only their bytes "
           f"come: {sent} for {want}")
    tap.eq(matches(snapshot(w), files), None, "every byte is right again")
    all_right(tap, w, len(files), "and verify says so")


def repair_at_once(tap, hub, files):
    """Damage, cut and loss, mended by one command; a put back blob, too."""
    with World(hub.url) as w:
        w.pull(REPO)
        folder = snapshot(w)
        a, b, c, d = sorted(n for n in files if files[n])[:4]
        flip(os.path.realpath(os.path.join(folder, a)), random.Random(1))
        path = os.path.realpath(os.path.join(folder, b))
        os.chmod(path, 0o644)
        os.truncate(path, len(files[b]) - 1)
        os.unlink(os.path.realpath(os.path.join(folder, c)))
        # a link that leads to the content of another file
        os.unlink(os.path.join(folder, d))
        os.symlink(os.path.relpath(
            os.path.realpath(os.path.join(folder, "-x.bin")),
            os.path.dirname(os.path.join(folder, d))),
            os.path.join(folder, d))
        status, doc, said = verify(w.env, "--repair", REPO)
        tap.eq((status, sorted((x["kind"], x["name"]) for x in doc["wrong"])),
               (0, [("damaged", a), ("damaged", b), ("missing", c),
                    ("other", d)]),
               "a flip, a cut, a loss and a wrong link, mended at once")
        tap.eq(matches(folder, files), None, "every byte is right")
        hub.faults([{"status": 503, "times": -1}])
        flip(os.path.realpath(os.path.join(folder, a)), random.Random(2))
        done = kit.run(["mlcache", "verify", "--repair", REPO],
                       dict(w.env, HF_HUB_OFFLINE="1"))
        tap.ok(done.returncode == 5 and "damaged" in done.stdout,
               "without the network: status 5, and what is wrong is told",
               f"{done.returncode}\n{done.stdout}{done.stderr}")
        hub.faults([])
        done = w.pull(REPO)
        tap.ok(done.returncode == 0 and matches(folder, files) is None,
               "the next pull fetches what was moved aside", done.stderr)


def nobody_needs(tap, hub):
    """A damaged blob that no name leads to."""
    with World(hub.url) as w:
        w.pull(REPO)
        stray = os.path.join(w.repo(REPO), "blobs", "ab" * 32)
        write(stray, b"something else")
        status, doc, _ = verify(w.env)
        tap.eq((status, doc["wrong"][0]["names"], os.path.exists(stray)),
               (6, 0, False), "a damaged blob that nobody needs is found")
        write(stray, b"something else")
        status, doc, _ = verify(w.env, "--repair")
        tap.eq((status, len(os.listdir(os.path.join(
            w.repo(REPO), "ml/quarantine")))), (0, 2),
            "it needs no repair, and no older one is overwritten")


def without_links(tap, hub, files):
    """Where there are no symbolic links the entries are hard links."""
    with World(hub.url, HF_HUB_DISABLE_SYMLINKS="1") as w:
        w.pull(REPO)
        folder = snapshot(w)
        name = sorted(n for n in files if files[n])[5]
        flip(os.path.join(folder, name), random.Random(5))
        status, doc, _ = verify(w.env)
        tap.eq((status, [x["name"] for x in doc["wrong"]],
                os.path.exists(os.path.join(folder, name))),
               (6, [name], False),
               "hard links: the damaged entry is out of sight, too")
        w.pull(REPO)
        tap.eq(matches(folder, files), None, "and comes back by a pull")
        # copies: the blobs are gone, the entries are files of their own
        shutil.rmtree(os.path.join(w.repo(REPO), "blobs"))
        flip(os.path.join(folder, name), random.Random(6))
        hub.reset()
        status, doc, said = verify(w.env, "--repair")
        tap.eq((status, [(x["name"], x["repaired"]) for x in doc["wrong"]]),
               (0, [(name, True)]), f"copies are checked by the listing {said}")
        tap.eq(matches(folder, files), None, "and mended")


def logged(log):
    """How many objects the interrupted check has noted."""
    return max(0, read(log).count(b"\n") - 1) if os.path.exists(log) else 0


def interrupted(tap, hub, files):
    """Killed on the way: the next one goes on, and misses nothing."""
    with World(hub.url) as w:
        w.pull("acme/large")
        folder = snapshot(w, "acme/large")
        log = os.path.join(w.root, ".locks/ml-verify.log")
        name = "part1/1.bin"
        flip(os.path.realpath(os.path.join(folder, name)), random.Random(9))
        lines = 0
        for _ in range(40):
            proc = subprocess.Popen([kit.program("mlcache"), "verify"],
                                    env=w.env, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            while proc.poll() is None and logged(log) < 4:
                pass
            proc.send_signal(signal.SIGKILL)
            proc.wait()
            lines = logged(log)
            if lines > 0:
                break
        tap.ok(0 < lines, f"killed after {lines} objects")
        with open(log, "ab") as f:
            f.write(b"\0\0 torn line without an end")
        flip(os.path.realpath(os.path.join(folder, "part1/8.bin")),
             random.Random(10))
        status, doc, said = verify(w.env)
        tap.ok(doc["resumed"] > 0 and
               doc["resumed"] + doc["checked"] >= len(files) - 1,
               f"the next goes on: {doc['resumed']} need no second look", said)
        found = {x["name"] for x in doc["wrong"]}
        tap.ok(status == 6 and "part1/8.bin" in found,
               "what was damaged between the two is found", str(found))
        tap.eq(os.path.exists(log), False, "a whole check leaves no memory")
        status, doc, _ = verify(w.env)
        tap.eq(doc["resumed"], 0, "the one after it looks at everything")


def samples(tap, hub, files):
    with World(hub.url) as w:
        w.pull(REPO)
        counts = [verify(w.env, "--sample", f"{k}/4")[1]["checked"]
                  for k in range(1, 5)]
        tap.ok(sum(counts) == len(files) and min(counts) > 0,
               f"the samples {counts} are everything together")
        for bad in ("0/4", "5/4", "x", "1/0", "1", "1/4x", "-1/4"):
            done = kit.run(["mlcache", "verify", "--sample", bad], w.env)
            tap.ok(done.returncode == 2, f"--sample {bad} is wrong usage",
                   done.stderr)


def system_fails(tap, hub, files):
    """A sector that cannot be read; a file that cannot be moved aside."""
    if shutil.which("strace") is None or "asan" in kit.BUILD:
        tap.skip("failing system calls", "no strace here")
        return
    with World(hub.url) as w:
        w.pull(REPO)
        name = "part1/1.bin"
        entry = os.path.join(snapshot(w), name)
        blob = os.path.realpath(entry)

        def traced(fault):
            return subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-P", blob, "-e",
                 "trace=pread64,renameat2", "-e", f"inject={fault}",
                 kit.program("mlcache"), "verify", "--json"], env=w.env,
                capture_output=True, text=True)
        done = traced("pread64:error=EACCES")
        tap.ok(done.returncode == 1 and os.path.exists(entry),
               "what may not be read is not called wrong", done.stderr)
        flip(blob, random.Random(4))
        done = traced("renameat2:error=EROFS")
        tap.ok(done.returncode == 6 and "left where it is" in done.stderr and
               os.path.exists(entry), "what cannot be moved is told",
               done.stderr)
        done = traced("pread64:error=EIO")
        wrong = json.loads(done.stdout)["wrong"]
        tap.ok(done.returncode == 6 and not os.path.exists(entry) and
               (wrong[0]["kind"], wrong[0]["why"]) ==
               ("unreadable", "could not be read"),
               "what the disk cannot read is moved aside",
               done.stdout + done.stderr)


def volumes(tap, files):
    """Put files: found, out of sight, mended by putting them again."""
    home = kit.scratch()
    env = kit.clean_env(home)
    source, vol = (os.path.join(home, n) for n in ("source", "vol"))
    for name, data in list(files.items())[:30]:
        write(os.path.join(source, name), data)
    kit.run(["mlfetch", "put", vol, source, "m"], env)
    status, doc, said = verify(env, "--volume", vol)
    tap.ok(status == 0 and doc["checked"] == 30, "a volume is all right",
           f"{doc}{said}")
    view = os.path.join(vol, "files/m/part1/1.bin")
    flip(view, random.Random(3))
    done = kit.run(["mlcache", "verify", f"{vol}:m/part2"], env)
    tap.eq(done.returncode, 0, "another folder of it is all right")
    status, doc, said = verify(env, "--repair", f"{vol}:m/part1")
    tap.eq((status, [(x["kind"], x["name"], x["repaired"])
                     for x in doc["wrong"]]),
           (6, [("damaged", "m/part1/1.bin", False)]),
           "a damaged put file is found, and no hub can mend it")
    tap.ok("put" in said and not os.path.exists(view),
           "that is said, and the view does not show it", said)
    done = kit.run(["mlfetch", "get", vol, "m/part1/1.bin", "-"], env)
    tap.eq(done.returncode, 6, "get refuses")
    kit.run(["mlfetch", "put", vol, os.path.join(source, "part1/1.bin"),
             "m/part1/1.bin"], env)
    tap.eq((verify(env, "--volume", vol)[0], read(view)),
           (0, files["part1/1.bin"]), "putting it again mends it")
    shutil.rmtree(home)


def halves(tap, hub):
    """mlcache path names no snapshot that is here in part only."""
    with World(hub.url) as w:
        hub.faults([{"host": "bytes", "path": "*/part1/8.bin", "status": 404,
                     "times": -1}])
        w.pull(REPO)
        tops = w.names(REPO, "snapshots")
        done = kit.run(["mlcache", "path", f"{REPO}@{tops[0]}"], w.env)
        tap.ok(done.returncode == 3 and "in part only" in done.stderr and
               done.stdout == "" and "mlfetch pull" in done.stderr,
               "a commit whose pull did not end is not held",
               done.stdout + done.stderr)
        hub.faults([])
        done = w.pull(f"{REPO}@{tops[0]}")
        folder = done.stdout.strip()
        for text in (REPO, f"{REPO}@{tops[0]}"):
            done = kit.run(["mlcache", "path", text], w.env)
            tap.eq(done.stdout.strip() if text != REPO else done.returncode,
                   folder if text != REPO else 3, f"after its pull: {text}")
        os.unlink(os.path.realpath(os.path.join(folder, "part1/8.bin")))
        done = kit.run(["mlcache", "path", f"{REPO}@{tops[0]}"], w.env)
        tap.ok(done.returncode == 3 and "part1/8.bin" in done.stderr,
               "nor is one with an entry that leads nowhere", done.stderr)


def refusals(tap, hub):
    with World(hub.url) as w:
        w.pull(REPO)
        done = kit.run(["mlcache", "verify", "acme/none"], w.env)
        tap.ok(done.returncode == 3 and "not held" in done.stderr,
               "a repository that is not held: status 3", done.stderr)
        done = kit.run(["mlcache", "verify", REPO + "@v9"], w.env)
        tap.eq(done.returncode, 3, "so a revision")
        ref = os.path.join(w.repo(REPO), "refs/main")
        with open(ref, "w", encoding="ascii") as f:
            f.write("nonsense")
        tap.eq(verify(w.env)[0], 0, "a ref that is being written says nothing")
        os.utime(ref, (time.time() - 600,) * 2)
        status, doc, _ = verify(w.env)
        tap.eq((status, doc["wrong"][0]["kind"], os.path.exists(ref)),
               (6, "ref", False), "an old one that names nothing is found")
    with World(hub.url) as w:
        status, doc, _ = verify(w.env)
        tap.eq((status, doc.get("checked")), (0, 0), "an empty cache is right")


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    many = os.path.join(folder, "many")
    files = make_files(many, 1300 if LONG else 160)
    large = {f"part1/{i}.bin": noise(6_000_000, i) for i in range(16)}
    for name, data in large.items():
        write(os.path.join(folder, "large", name), data)
    with kit.Hub({REPO: {"dir": many}}) as hub:
        flips(tap, hub, files, 1000 if LONG else 100, 11)
        repair_at_once(tap, hub, files)
        nobody_needs(tap, hub)
        without_links(tap, hub, files)
        hub.control("config", {"repos": {"acme/large": {
            "dir": os.path.join(folder, "large")}}})
        interrupted(tap, hub, large)
        samples(tap, hub, files)
        system_fails(tap, hub, files)
        refusals(tap, hub)
        halves(tap, hub)
    volumes(tap, files)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
