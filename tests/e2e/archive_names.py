#!/usr/bin/env python3
"""What an import does to names: those of a volume's files come all at once,
as one step of its log; what the place says already of a commit, and names
that cannot be beside what is there, are found before anything is visible."""
import hashlib
import json
import os
import random
import shutil
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from archive_hostile import (MANIFEST, Bench, head, kit,  # noqa: E402
                             members, packed, sealed, write)


def mlfetch(b, *args):
    return kit.run(["mlfetch", *args], b.env, errors="surrogateescape")


def steps(b, volume):
    done = mlfetch(b, "log", volume, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["steps"]


def new_volume(b, name, **files):
    """A volume with these files, put one by one."""
    volume = os.path.join(b.home, name)
    for at, data in files.items():
        write(os.path.join(b.home, "one"), data)
        done = mlfetch(b, "put", volume, os.path.join(b.home, "one"),
                       at.replace("__", "/"))
        assert done.returncode == 0, done.stderr
    return volume


def names(volume):
    found = {}
    for where, _, here in os.walk(os.path.join(volume, "files")):
        for name in here:
            with open(os.path.join(where, name), "rb") as f:
                found[os.path.relpath(os.path.join(where, name), os.path.join(
                    volume, "files"))] = f.read()
    return found


HELD = {"p/one": b"one\n", "two": b"two\n"}


def one_step(b):
    tap = b.tap
    volume = os.path.join(b.home, "S")
    done = b.take(b.put, "--volume", volume)[0]
    tap.eq((done.returncode, names(volume)), (0, HELD), "files of a volume")
    log = steps(b, volume)
    tap.eq([(s["what"], len(s["changes"])) for s in log], [("import", 2)],
           "all of them are one step of the log")
    b.take(b.put, "--volume", volume)
    tap.eq(steps(b, volume), log, "what is held already is no step")
    done = mlfetch(b, "rollback", volume, "0")
    tap.eq((done.returncode, names(volume)), (0, {}), "it can be taken back")
    volume = new_volume(b, "F", two=b"mine", p__one=b"one\n")
    done = b.take(b.put, "--volume", volume, "--force")[0]
    log = steps(b, volume)[::-1]
    tap.eq((done.returncode, names(volume), [s["what"] for s in log],
            len(log[-1]["changes"])),
           (0, HELD, ["put", "put", "import"], 1),
           "--force replaces what differs, and only that is in the step")
    done = mlfetch(b, "rollback", volume, "2")
    tap.eq((done.returncode, names(volume)["two"]), (0, b"mine"),
           "and the old content comes back")


def in_the_way(b):
    for title, args, files in (
            ("a file where a folder is wanted", (), {"p": b"x"}),
            ("a folder where a file is wanted", (), {"two__x": b"x"}),
            ("a file where a folder is wanted, with --force", ("--force",),
             {"p": b"x"})):
        volume = new_volume(b, "C%d" % random.randrange(1 << 30), **files)
        before = names(volume)
        done = b.take(b.put, "--volume", volume, *args)[0]
        b.tap.ok(done.returncode == 8 and names(volume) == before and
                 len(steps(b, volume)) == 1 and
                 not os.path.exists(volume + "/tmp/ml-import.tmp"),
                 f"{title}: refused, and nothing is visible", done.stderr)


def cannot_be(b):
    """A name that no volume can hold."""
    parts = members(b.plain(b.put))
    text = parts[0][1].decode().replace('"p/one"', '"p/%s"' % ("n" * 255))
    digest = hashlib.sha256(b"one\n").hexdigest()
    assert digest in text
    rest = [(head("files/p/" + "n" * 255, 4), b"one\n")
            if data == b"one\n" else (h, data) for h, data in parts[1:]]
    long = sealed([(head(MANIFEST, len(text.encode())), text.encode())] + rest)
    done = b.take(packed(long), "--volume", os.path.join(b.home, "L"))[0]
    b.tap.ok(done.returncode == 8 and "unsafe file name" in done.stderr and
             not os.path.exists(os.path.join(b.home, "L")),
             "a name too long for a volume is refused before a byte lands",
             done.stderr)


def killed(b):
    """Between any two calls: none of the names, or all of them."""
    if not shutil.which("strace"):
        b.tap.skip("an import that is killed shows all names or none",
                   "no strace")
        return
    path = os.path.join(b.home, "k.tar.zst")
    write(path, b.put)
    env = dict(b.env, ASAN_OPTIONS="detect_leaks=0")
    bad, seen, kills = [], set(), 0
    for call in ("rename", "link", "fsync", "openat", "write"):
        last = 1000
        for k in range(1, last):
            if call in ("openat", "write", "fsync") and k % 7:
                continue
            volume = os.path.join(b.home, "K")
            shutil.rmtree(volume, ignore_errors=True)
            done = kit.subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                 f"inject={call}:signal=KILL:when={k}",
                 kit.program("mlcache"), "import", path, "--volume", volume],
                env=env, capture_output=True, text=True)
            if done.returncode == 0:
                break
            kills += 1
            listed = mlfetch(b, "ls", volume, "--json")
            n = listed.stdout.count('"sha256"')
            seen.add(n)
            if n not in (0, 2):
                bad.append((call, k, listed.stdout))
            done = kit.run(["mlcache", "import", path, "--volume", volume],
                           b.env)
            if done.returncode != 0 or names(volume) != HELD:
                bad.append((call, k, done.stderr))
    b.tap.eq((bad, seen), ([], {0, 2}),
             f"{kills} kills: all names or none, and a retry does it")


def other_commit(b):
    """The same commit is here, with other files than the archive says."""
    parts = members(b.plain(b.good))
    mine = b"[]\n"
    etag = hashlib.sha1(b"blob 3\0" + mine).hexdigest()
    root = os.path.join(b.home, "hub/models--acme--tiny")
    link = os.path.join(root, "snapshots", b.commit, "a.json")
    write(os.path.join(root, "blobs", etag), mine)
    os.makedirs(os.path.dirname(link))
    os.symlink("../../blobs/" + etag, link)
    done, same = b.take(b.good)
    with open(link, "rb") as f:
        b.tap.ok(done.returncode == 8 and same and f.read() == mine and
                 "a.json" in done.stderr,
                 "other content in a commit that is here is refused",
                 done.stderr)
    done, same = b.take(b.good, "--dry-run")
    b.tap.ok(done.returncode == 8, "a dry run says so", done.stderr)
    os.unlink(os.path.join(root, "blobs", etag))
    done = b.take(b.good)[0]
    with open(link, "rb") as f:
        b.tap.eq((done.returncode, f.read()), (0, b"{}\n"),
                 "a link to nothing is mended")
    shutil.rmtree(root)
    text = parts[0][1].decode()
    at = text.index("\n  {\"repository\"")
    twin = text[at:text.index("]}", at) + 2]
    other = twin.replace(b.commit, "8" * 40)
    text = text.replace(twin, twin + "," + other)
    snap = [(h.replace(b.commit.encode(), b"8" * 40), d) for h, d in parts[1:]
            if b"snapshots/" in h]
    refs = [(h, d) for h, d in parts[1:] if b"/refs/" in h]
    both = parts[1:-1]
    data = sealed([(head(MANIFEST, len(text.encode())), text.encode())] +
                  both + [*snap, *refs, parts[-1]])
    done, same = b.take(packed(data))
    b.tap.ok(done.returncode == 8 and same and "main" in done.stderr and
             "twice" in done.stderr,
             "one branch of two commits is refused", done.stderr)


def refs_in_the_way(b):
    root = os.path.join(b.home, "hub/models--acme--tiny")
    write(os.path.join(root, "refs/main/x"), b"9" * 40)
    done, same = b.take(b.good)
    b.tap.ok(done.returncode == 8 and same and "main" in done.stderr,
             "a branch that is a folder here is refused before anything is "
             "visible", done.stderr)
    shutil.rmtree(root)


def what_no_import_takes(b):
    """Is told by the export, not behind the air gap."""
    hub = os.path.join(b.home, "from")
    root = os.path.join(hub, "models--acme--tiny")
    env = dict(b.env, HF_HUB_CACHE=hub)
    out = os.path.join(b.home, "odd.tar.zst")
    for name in ("odd name", "8" * 40, "x\\y"):
        write(os.path.join(root, "refs", name), b.commit.encode())
    done = kit.run(["mlcache", "export", out, "acme/tiny"], env)
    done = kit.run(["mlcache", "import", out, "--dry-run", "--json"], b.env)
    b.tap.eq((done.returncode, done.stdout and json.loads(done.stdout)
              ["repositories"][0]["refs"]), (0, ["main"]),
             "files in refs/ that are no references are left out")
    folder = os.path.join(root, "snapshots", b.commit)
    link = os.readlink(os.path.join(folder, "a.json"))
    volume = new_volume(b, "O", **{"x\udcff": b"x"})
    os.unlink(out)
    for title, name in (("a name with a backslash", "a\\b"),
                        ("a name that is not UTF-8", "a\udcff")):
        os.symlink(link, os.path.join(folder, name))
        done = kit.run(["mlcache", "export", out, "acme/tiny"], env)
        b.tap.ok(done.returncode == 8 and not os.path.exists(out) and
                 "acme/tiny" in done.stderr, f"{title} is refused",
                 done.stderr)
        os.unlink(os.path.join(folder, name))
    done = kit.run(["mlcache", "export", out, "x\udcff", "--volume", volume],
                   b.env)
    b.tap.ok(done.returncode == 8 and not os.path.exists(out),
             "and so is one of a volume", done.stderr)


def not_replaced(b):
    """What came there while the export ran is not replaced without -f."""
    fifo = os.path.join(b.home, "new.tar.zst")
    write(os.path.join(b.home, "in/big"), random.randbytes(1 << 20))
    volume = os.path.join(b.home, "V")
    proc = kit.subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
         "inject=pread64:delay_enter=200000",
         kit.program("mlcache"), "export", fifo, "p", "two", "--volume",
         volume], env=dict(b.env, ASAN_OPTIONS="detect_leaks=0"),
        stdout=kit.subprocess.PIPE, stderr=kit.subprocess.PIPE, text=True)
    for _ in range(3000):
        if any(n.startswith("new.tar.zst") or n.endswith(".tmp")
               for n in os.listdir(b.home)):
            break
        time.sleep(0.01)
    write(fifo, b"another's")
    said = proc.communicate()[1]
    with open(fifo, "rb") as f:
        b.tap.ok(proc.returncode == 2 and f.read() == b"another's",
                 "what came there during an export is not replaced", said)
    b.tap.eq([n for n in os.listdir(b.home) if n.endswith(".tmp")], [],
             "and nothing is left of the other")
    os.unlink(fifo)
    os.mkfifo(fifo)
    done = kit.run(["mlcache", "export", "--force", fifo, "p", "--volume",
                    volume], b.env)
    b.tap.ok(done.returncode == 2 and stat.S_ISFIFO(os.stat(fifo).st_mode),
             "nor what is no file, with --force", done.stderr)


def main():
    tap = kit.Tap()
    random.seed(5)
    if not shutil.which("zstd"):
        tap.skip("names that an import gives", "no zstd to look inside")
        tap.done()
    b = Bench(tap)
    try:
        for test in (one_step, in_the_way, cannot_be, other_commit,
                     refs_in_the_way, what_no_import_takes, killed):
            test(b)
        if shutil.which("strace"):
            not_replaced(b)
        else:
            tap.skip("what came there during an export is not replaced",
                     "no strace")
    finally:
        shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
