#!/usr/bin/env python3
"""mlfetch put, get, ls and mlcache on a volume: what they print, what they
refuse, and that no kill, no failed system call and no full disk leaves
anything but the old content or the new one."""
import hashlib
import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

MIB = 1 << 20


class Bench:
    """A scratch folder with files, and the programs running in it."""

    def __init__(self):
        self.dir = kit.scratch()
        self.env = kit.clean_env(self.dir, MLFETCH_VOLUMES=self.at("volumes"))

    def at(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def run(self, *args):
        return kit.run(args, self.env, cwd=self.dir)

    def bytes_of(self, volume, name):
        """(status, bytes) of `get VOLUME NAME -`."""
        done = subprocess.run([kit.program("mlfetch"), "get", volume, name,
                               "-"], env=self.env, cwd=self.dir,
                              stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stdout

    def close(self):
        shutil.rmtree(self.dir)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def files_below(root):
    found = []
    for folder, _, names in os.walk(root):
        found += [os.path.join(folder, n) for n in names]
    return sorted(found)


def sound(volume):
    """Every content has its name, every name its content; [] when so."""
    bad = []
    for path in files_below(os.path.join(volume, "store")):
        if hashlib.sha256(read(path)).hexdigest() != os.path.basename(path):
            bad.append(f"store: {path} is not its name")
    for path in files_below(os.path.join(volume, "names")):
        entry = json.loads(read(path))
        sha = entry["sha256"]
        kept = os.path.join(volume, "store", "sha256", sha[:2], sha)
        if not os.path.exists(kept):
            bad.append(f"names: {path} leads nowhere")
        elif os.path.getsize(kept) != entry["size"]:
            bad.append(f"names: {path} has another size")
    for path in files_below(os.path.join(volume, "files")):
        if not os.path.exists(path):
            bad.append(f"files: {path} leads nowhere")
    return bad


def test_everyday(tap, b):
    data = random.randbytes(2 * MIB + 7)
    b.write("model.pt", data)
    put = b.run("mlfetch", "put", "v", "model.pt")
    tap.eq((put.returncode, put.stdout), (0, "model.pt\n"), "put prints names")
    tap.ok("made the volume" in put.stderr, "a new volume is told", put.stderr)
    put = b.run("mlfetch", "put", "v", "model.pt", "a/b.pt")
    tap.ok("made the volume" not in put.stderr, "an old one is not")
    tap.eq(b.bytes_of("v", "a/b.pt"), (0, data), "get - gives the bytes")
    os.mkdir(b.at("out"))
    got = b.run("mlfetch", "get", "v", "model.pt", "out")
    tap.eq((got.returncode, got.stdout, read(b.at("out/model.pt"))),
           (0, "out/model.pt\n", data), "get into a folder")
    got = b.run("mlfetch", "get", "v", "model.pt", "out/model.pt")
    tap.ok(got.returncode == 2 and "-f" in got.stderr,
           "an existing file is not overwritten", got.stderr)
    b.write("out/model.pt", b"old")
    got = b.run("mlfetch", "get", "-f", "v", "model.pt", "out/model.pt")
    tap.eq((got.returncode, read(b.at("out/model.pt"))), (0, data),
           "but with -f")
    got = b.run("mlfetch", "get", "v", "model.pt", "made/")
    tap.eq((got.returncode, got.stdout, read(b.at("made/model.pt"))),
           (0, "made/model.pt\n", data), "DEST/ makes the folder")
    os.remove(b.at("model.pt"))
    got = b.run("mlfetch", "get", "v", "model.pt")
    tap.eq((got.returncode, read(b.at("model.pt"))), (0, data),
           "without DEST it goes to the current folder")
    view = b.at("volumes/v/files/a/b.pt")
    tap.eq(read(view), data, "files/ shows it under its name")


def test_listing(tap, b):
    rows = b.run("mlfetch", "ls", "v").stdout.splitlines()
    tap.ok(len(rows) == 3 and rows[0].split() == ["NAME", "SIZE", "SHA256",
                                                  "DATE"]
           and rows[1].startswith("a/b.pt "), "ls is a table", rows)
    sha = hashlib.sha256(read(b.at("model.pt"))).hexdigest()
    tap.ok(sha[:12] in rows[1] and sha[:13] not in rows[1],
           "with 12 digits of the SHA-256")
    doc = json.loads(b.run("mlfetch", "ls", "v", "a", "--json").stdout)
    tap.eq([(f["name"], f["size"], f["sha256"]) for f in doc["files"]],
           [("a/b.pt", 2 * MIB + 7, sha)], "ls --json of a folder")
    tap.ok(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
                    doc["files"][0]["date"]), "its date")
    tap.eq(b.run("mlfetch", "ls", "v", "none").returncode, 3,
           "ls of a name that is not there")
    gone = b.run("mlfetch", "ls", "nowhere")
    tap.ok(gone.returncode == 3 and "hint: " in gone.stderr,
           "ls of a volume that is not there", gone.stderr)
    doc = json.loads(b.run("mlcache", "ls", "--volume", "v", "--json").stdout)
    tap.eq([f["name"] for f in doc["files"]], ["a/b.pt", "model.pt"],
           "mlcache ls shows put files")
    tap.eq(b.run("mlcache", "path", "v:a/b.pt").stdout,
           b.at("volumes/v/files/a/b.pt") + "\n", "mlcache path VOLUME:NAME")
    kept = b.at("volumes/v/uniform/key/model.safetensors")
    os.makedirs(os.path.dirname(kept))
    with open(kept, "wb") as f:
        f.write(bytes(1000))
    doc = json.loads(b.run("mlcache", "du", "--volume", "v", "--json").stdout)
    tap.eq(doc, {"repositories": 0, "files": 2 * MIB + 7, "conversions": 1000,
                 "quarantine": 0, "trash": 0, "total": 2 * MIB + 1007},
           "mlcache du counts all of a volume")
    os.makedirs(b.at("hf/hub/models--good--one"))
    b.write("hf/hub/models--bad--one/blobs", b"a file where a folder should be")
    ls = b.run("mlcache", "ls")
    tap.ok(ls.returncode == 0 and "good/one" in ls.stdout and
           "bad/one" in ls.stderr,
           "mlcache ls: one broken repository does not hide the others",
           ls.stderr)
    gone = b.run("mlcache", "path", "acme/none")
    tap.ok(gone.returncode == 3 and "mlfetch pull acme/none" in gone.stderr,
           "mlcache path of what is not held says how to get it", gone.stderr)


def test_folders(tap, b):
    for name in ("x", "sub/y", "sub/deep/z"):
        b.write("run/" + name, name.encode())
    os.symlink("sub/y", b.at("run/link"))
    put = b.run("mlfetch", "put", "v", "run", "n/", "--json")
    doc = json.loads(put.stdout)
    tap.eq([f["name"] for f in doc["files"]],
           ["n/run/link", "n/run/sub/deep/z", "n/run/sub/y", "n/run/x"],
           "put DIR NAME/ --json")
    got = b.run("mlfetch", "get", "v", "n/run", "back")
    tap.eq((got.returncode, read(b.at("back/sub/deep/z"))), (0, b"sub/deep/z"),
           "get of a folder")
    tap.eq(b.run("mlfetch", "get", "v", "n/run", "-").returncode, 2,
           "a folder does not go to stdout")
    os.symlink("/etc/passwd", b.at("run/leak"))
    before = b.run("mlfetch", "ls", "v").stdout
    put = b.run("mlfetch", "put", "v", "run", "m")
    tap.ok(put.returncode == 8 and "run/leak" in put.stderr,
           "a link out of the folder is refused by name", put.stderr)
    tap.eq(b.run("mlfetch", "ls", "v").stdout, before, "nothing was put")
    os.remove(b.at("run/leak"))


def test_refused(tap, b):
    for name in ("../x", "/tmp/x", "a/../../x", "a\\b", "a/./b", "a\nb", "."):
        put = b.run("mlfetch", "put", "v", "model.pt", name)
        got = b.run("mlfetch", "get", "v", name, "leak")
        tap.eq((put.returncode, got.returncode), (8, 8),
               f"the name {name!r} is refused")
        tap.ok("\nb" not in put.stderr.replace("\nhint", ""),
               "and shown without control characters", put.stderr)
    tap.ok(not os.path.exists(b.at("volumes/x")) and
           not os.path.exists(b.at("leak")), "nothing was written elsewhere")
    tap.eq(b.run("mlfetch", "put", "v", "none").returncode, 3, "no such file")
    tap.eq(b.run("mlfetch", "put", "v", "/dev/zero").returncode, 8,
           "a device is refused")
    tap.eq(b.run("mlfetch", "put", "v").returncode, 2, "arguments missing")
    got = b.run("mlfetch", "get", "v", "", "leak")
    tap.ok(got.returncode == 8 and
           not [n for n in os.listdir(b.dir) if n.startswith("leak")],
           "an empty name is refused", got.stderr)
    os.mkfifo(b.at("pipe"))
    got = b.run("mlfetch", "get", "-f", "v", "model.pt", "pipe")
    tap.ok(got.returncode == 2 and stat.S_ISFIFO(os.stat(b.at("pipe")).st_mode),
           "what is no file is not replaced, -f or not", got.stderr)
    put = b.run("mlfetch", "put", "unmade", "pipe")
    tap.eq((put.returncode, os.path.exists(b.at("volumes/unmade"))),
           (8, False), "a pipe is refused before a volume is made")
    put = b.run("mlfetch", "-q", "put", "v", "model.pt")
    tap.ok(put.returncode == 2 and "put" in put.stderr,
           "options before the command: told what to do", put.stderr)
    b.write("mine/notes.txt", b"mine")
    put = b.run("mlfetch", "put", "./mine", "model.pt")
    tap.ok(put.returncode == 8 and os.listdir(b.at("mine")) == ["notes.txt"],
           "a folder with other things in it is not made a volume",
           put.stderr)


def test_damage(tap, b):
    data = random.randbytes(3 * MIB)
    b.write("d.bin", data)
    b.run("mlfetch", "put", "dv", "d.bin")
    kept = files_below(b.at("volumes/dv/store"))[0]
    for at in (0, len(data) // 2, len(data) - 1):
        os.chmod(kept, 0o644)
        with open(kept, "r+b") as f:
            f.seek(at)
            f.write(bytes([data[at] ^ 1]))
        os.remove(b.at("d.bin"))
        got = b.run("mlfetch", "get", "dv", "d.bin")
        tap.ok(got.returncode == 6 and "d.bin" in got.stderr,
               f"byte {at} flipped: get says so", got.stderr)
        left = [n for n in os.listdir(b.dir) if n.startswith("d.bin")]
        tap.eq(left, [], "and leaves no file")
        tap.eq(b.bytes_of("dv", "d.bin")[0], 6, "on stdout too")
        b.write("d.bin", data)
        b.run("mlfetch", "put", "dv", "d.bin")
        tap.eq(b.bytes_of("dv", "d.bin"), (0, data), "put again repairs it")


def test_limits(tap, b):
    name = "n" * 250
    b.run("mlfetch", "put", "v", "model.pt", name)
    got = b.run("mlfetch", "get", "v", name)
    tap.eq((got.returncode, read(b.at(name))), (0, read(b.at("model.pt"))),
           "the longest name a volume takes comes out again")
    deep = os.path.join(*["d"] * 2020, "v")
    put = b.run("mlfetch", "put", "./" + deep, "model.pt")
    tap.eq(put.returncode, 2, "a volume as deep as a path can be: no crash")
    subprocess.run(["rm", "-rf", b.at("d")], check=True)
    limit = ["sh", "-c", 'ulimit -f 8; exec "$0" "$@"']
    got = subprocess.run([*limit, kit.program("mlfetch"), "get", "v",
                          "model.pt", "limited"], env=b.env, cwd=b.dir,
                         stdin=subprocess.DEVNULL, capture_output=True,
                         text=True)
    left = [n for n in os.listdir(b.dir) if n.startswith("limited")]
    tap.ok(got.returncode == 1 and "too large" in got.stderr and left == [],
           "a limit on file sizes is an error, not a death", got.stderr)


def test_held_is_synced(tap, b):
    if not shutil.which("strace"):
        tap.skip("held content is synced", "strace is not installed")
        return
    log = b.at("syncs")
    traced(b, ["-o", log, "-y", "-e", "trace=fsync,rename"],
           "put", "v", "model.pt", "twice")
    lines = read(log).decode("utf-8", "replace").splitlines()
    name = [i for i, s in enumerate(lines) if "names/twice.json" in s]
    store = [i for i, s in enumerate(lines)
             if re.search(r"fsync\(\d+<.*/store/sha256/..>", s)]
    tap.ok(name and store and store[0] < name[0],
           "the folder of content that is held is synced before a name leads "
           "to it", "\n".join(lines))


def test_many_are_synced_together(tap, b):
    """Of a folder: each content once, then each of their folders once."""
    if not shutil.which("strace"):
        tap.skip("many are synced together", "strace is not installed")
        return
    n, log = 100, b.at("syncs")
    for i in range(n):
        b.write(f"lots/{i:03}", b"%d\n" % (i // 2))
    traced(b, ["-o", log, "-y", "-e", "trace=fsync,rename"], "put", "lv",
           "lots")
    lines = read(log).decode("utf-8", "replace").splitlines()
    contents = re.findall(r"fsync\(\d+<.*/tmp/(content\.[^>]*)>",
                          "\n".join(lines))
    folders = re.findall(r"fsync\(\d+<(.*/store/sha256/..)>",
                         "\n".join(lines))
    tap.eq((len(contents), len(set(contents))), (n // 2, n // 2),
           "a folder of files that are alike in pairs: one sync for each pair")
    tap.ok(folders and len(folders) == len(set(folders)),
           "one for each folder of the store", str(folders))

    def lines_of(pattern):
        return [i for i, s in enumerate(lines) if re.search(pattern, s)]
    moved = lines_of(r"rename\(.*store/sha256")
    synced = lines_of(r"fsync\(\d+<.*/store/sha256/..>")
    named = lines_of(r"rename\(.*names/")
    tap.ok(moved and synced and named and moved[-1] < synced[0] and
           synced[-1] < named[0], "contents, then folders, then names")
    got = b.run("mlfetch", "get", "lv", "lots/099", "-")
    tap.eq(got.stdout, "49\n", "and all of them are there")


def old_or_new(b, volume, old, new):
    """Which of the two the name holds; None when neither."""
    status, data = b.bytes_of(volume, "k")
    return "old" if (status, data) == (0, old) else \
        "new" if (status, data) == (0, new) else None


def test_kill(tap, b):
    old, new = random.randbytes(MIB), random.randbytes(24 * MIB)
    b.write("old", old)
    b.write("new", new)
    seen, bad = {"old": 0, "new": 0}, []
    for i in range(30):
        shutil.rmtree(b.at("volumes/k"), ignore_errors=True)
        b.run("mlfetch", "put", "k", "old", "k")
        proc = subprocess.Popen([kit.program("mlfetch"), "put", "-f", "k", "new",
                                 "k"], env=b.env, cwd=b.dir,
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.12))
        proc.kill()
        proc.wait()
        which = old_or_new(b, "k", old, new)
        seen[which or "old"] += 1
        view = read(b.at("volumes/k/files/k"))
        if which is None or view not in (old, new) or sound(b.at("volumes/k")):
            bad.append((i, which, sound(b.at("volumes/k"))))
        if proc.returncode == 0 and which != "new":
            bad.append((i, "reported done, is not there"))
    tap.eq(bad, [], f"kill -9 at 30 random moments: {seen['old']} times the "
           f"old content, {seen['new']} times the new, never a half")
    b.run("mlfetch", "put", "-f", "k", "new", "k")
    tap.eq(old_or_new(b, "k", old, new), "new", "a put afterwards succeeds")


SWEEP = ("openat", "pwrite64", "write", "fsync", "fchmod", "rename", "link",
         "mkdir", "unlink", "fallocate", "pread64", "close", "newfstatat")


def traced(b, what, *args):
    env = dict(b.env, ASAN_OPTIONS="detect_leaks=0")
    return subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", *what,
                           kit.program("mlfetch"), *args], env=env, cwd=b.dir,
                          stdin=subprocess.DEVNULL, capture_output=True)


def calls_of(b, *args):
    """How often each system call happens in one run."""
    log = b.at("calls")
    env = dict(b.env, ASAN_OPTIONS="detect_leaks=0")
    subprocess.run(["strace", "-f", "-qq", "-o", log, kit.program("mlfetch"),
                    *args], env=env, cwd=b.dir, stdin=subprocess.DEVNULL,
                   capture_output=True)
    text = read(log).decode("utf-8", "replace")
    return {c: len(re.findall(rf"^\d+ +{c}\(", text, re.M)) for c in SWEEP}


def test_system_calls(tap, b):
    if not shutil.which("strace"):
        tap.skip("every system call of a put fails or is the last",
                 "strace is not installed")
        return
    old, new = b"old" * 1000, random.randbytes(MIB + 1)
    b.write("old", old)
    b.write("new", new)
    b.run("mlfetch", "put", "fresh", "old", "k")
    shutil.copytree(b.at("volumes/fresh"), b.at("volumes/s"))
    counts = calls_of(b, "put", "-f", "s", "new", "k")
    tap.ok(counts["fsync"] >= 4 and counts["rename"] >= 3,
           "a put syncs and renames", counts)
    bad, runs = [], 0
    for call, n in counts.items():
        faults = ["error=EIO", "error=ENOSPC", "signal=KILL"]
        # the program's own calls come last, behind the loader's
        for k in range(max(1, n - 24), n + 1):
            for fault in faults:
                shutil.rmtree(b.at("volumes/s"), ignore_errors=True)
                shutil.copytree(b.at("volumes/fresh"), b.at("volumes/s"))
                done = traced(b, ["-e", f"inject={call}:{fault}:when={k}"],
                              "put", "-f", "s", "new", "k", "--progress", "none")
                which = old_or_new(b, "s", old, new)
                runs += 1
                if which is None or sound(b.at("volumes/s")) or \
                        (done.returncode == 0 and which != "new"):
                    bad.append((call, k, fault, done.returncode, which,
                                sound(b.at("volumes/s"))))
    tap.eq(bad, [], f"{runs} runs, a system call failed or was the last in "
           "each: the old content or the new, and success only for the new")


def test_full_disk(tap, b):
    small = b.at("small")
    os.mkdir(small)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none",
                           small], capture_output=True)
    if done.returncode != 0:
        tap.skip("a full disk", "cannot mount a small file system")
        return
    try:
        b.write("small1", random.randbytes(MIB))
        b.write("big", random.randbytes(8 * MIB))
        b.write("twins/a", random.randbytes(2 * MIB))
        b.write("twins/b", random.randbytes(2 * MIB))
        first = b.run("mlfetch", "put", small + "/v", "small1")
        tap.eq(first.returncode, 0, "what fits is put")
        put = b.run("mlfetch", "put", small + "/v", "big")
        tap.ok(put.returncode == 7 and re.search(r"\d MB more", put.stderr),
               "what does not fit is told before the first byte: how much is "
               "missing", put.stderr)
        put = b.run("mlfetch", "put", small + "/v", "twins")
        tap.eq(put.returncode, 7, "also when only all files together do not")
        tap.eq((sound(small + "/v"), b.bytes_of(small + "/v", "small1")[0]),
               ([], 0), "the volume is sound")
        tap.eq(os.listdir(small + "/v/tmp"), [], "nothing is left in tmp/")
        got = b.run("mlfetch", "put", small + "/v", "small1", "again")
        tap.eq(got.returncode, 0, "content that is held needs no room")
        b.run("mlfetch", "put", "dv", "big")
        got = b.run("mlfetch", "get", "dv", "big", small)
        tap.ok(got.returncode == 7 and
               not os.path.exists(small + "/big"),
               "get asks for room too", got.stderr)
    finally:
        subprocess.run(["umount", small], check=True)


def test_at_once(tap, b):
    data = random.randbytes(MIB)
    b.write("same", data)
    bad = []
    for i in range(20):
        shutil.rmtree(b.at("volumes/two"), ignore_errors=True)
        procs = [subprocess.Popen([kit.program("mlfetch"), "put", "two",
                                   "same", f"n{k}"], env=b.env, cwd=b.dir,
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE) for k in range(6)]
        said = [p.communicate()[1] for p in procs]
        if any(p.returncode for p in procs) or sound(b.at("volumes/two")) or \
                len(files_below(b.at("volumes/two/store"))) != 1 or \
                len(files_below(b.at("volumes/two/names"))) != 6:
            bad.append((i, said))
    tap.eq(bad, [], "six puts of one content into a new volume, 20 times: all "
           "succeed, kept once")


def main():
    tap, b = kit.Tap(), Bench()
    random.seed(7)
    try:
        for test in (test_everyday, test_listing, test_folders, test_refused,
                     test_limits, test_damage, test_held_is_synced,
                     test_many_are_synced_together, test_at_once, test_kill,
                     test_system_calls, test_full_disk):
            test(tap, b)
    finally:
        b.close()
    tap.done()


if __name__ == "__main__":
    main()
