#!/usr/bin/env python3
"""Volumes in s3://bucket/prefix, on two real servers: Ceph's radosgw, which
has conditional writes, and OpenStack Swift, which has none. What the commands
do, what they refuse, what faults, kills, damage and two writers at once leave
behind.

    s3_volume.py [--long]     --long: all of it on both, more kills and writers
"""
import email.utils
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "../server"))
import kit  # noqa: E402
import pulling  # noqa: E402
import radosgw  # noqa: E402
import s3_faults  # noqa: E402
import s3_plain  # noqa: E402
import swift  # noqa: E402

MIB = 1 << 20
LONG = "--long" in sys.argv
BUCKET = "models"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def slow_down(status=503, code="SlowDown"):
    return s3_faults.answer(status, code=code)


def skewed(seconds):
    """What a store says whose clock is off by so much."""
    then = email.utils.formatdate(time.time() + seconds, usegmt=True)
    return s3_faults.answer(403, code="RequestTimeTooSkewed",
                            headers={"Date": then})


def flipped(at):
    """One bit of an answer's body is another one."""
    def flip(answer):
        head, _, body = answer.partition(b"\r\n\r\n")
        body = bytearray(body)
        body[at] ^= 1
        return head + b"\r\n\r\n" + bytes(body)
    return s3_faults.changed(flip)


def meanwhile(function):
    """It happens between the store's answer and the client's reading it."""
    def act(request, forward):
        answer = forward()
        function()
        return answer
    return act


class Bench:
    """A scratch folder, a server, a prefix for each test; and a proxy, which
    is in between while there are rules."""

    def __init__(self, server):
        self.server = server
        self.dir = kit.scratch()
        self.faults = s3_faults.Faults(server)
        self.plain = s3_plain.Plain(server)
        self.plain.make_bucket(BUCKET)
        self.next("start")

    def harm(self, *rules):
        """(method, pattern of the target, act[, times])"""
        self.faults.clear()
        for rule in rules:
            self.faults.add(*rule)
        more = dict(self.server.env())
        if rules:
            more["AWS_ENDPOINT_URL_S3"] = self.faults.endpoint
        self.env = kit.clean_env(self.dir, **more)

    def watch(self):
        """No harm, but the proxy sees all."""
        self.harm(("NONE", "", None))

    def seen(self, method, part):
        return sum(m == method and part in target
                   for m, target, _ in self.faults.seen)

    def next(self, name):
        self.prefix = name
        self.url = f"s3://{BUCKET}/{name}"
        self.harm()
        self.cwd = os.path.join(self.dir, name)
        os.makedirs(self.cwd, exist_ok=True)

    def at(self, *parts):
        return os.path.join(self.cwd, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def run(self, *args, **more):
        return kit.run(args, self.env, cwd=self.cwd, **more)

    def ml(self, command, *args, **more):
        return self.run("mlfetch", command, self.url, *args, **more)

    def start(self, *args):
        return subprocess.Popen([kit.program("mlfetch"), *args], env=self.env,
                                cwd=self.cwd, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def bytes_of(self, name):
        """(status, bytes) of `get URL NAME -`."""
        done = subprocess.run([kit.program("mlfetch"), "get", self.url, name,
                               "-"], env=self.env, cwd=self.cwd,
                              stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stdout

    def names(self):
        """{name: sha256} as ls tells."""
        done = self.ml("ls", "--json")
        if done.returncode == 3:
            return {}
        doc = json.loads(done.stdout)
        return {f["name"]: f["sha256"] for f in doc["files"]}

    def keys(self, below=""):
        return self.plain.keys(BUCKET, f"{self.prefix}/v1/{below}")

    def blob(self, data):
        h = sha(data)
        return f"{self.prefix}/v1/blobs/sha256/{h[:2]}/{h[2:4]}/{h}"

    def close(self):
        self.faults.stop()
        shutil.rmtree(self.dir)


def sound(b):
    """What is wrong in the bucket: every blob is its name, every ref that
    counts leads to a catalog, every name to a blob, every branch to a listing.
    Without the suite's help."""
    bad = []
    commits = {}
    keys = sorted(b.keys())
    counts = {k.rsplit("/", 1)[0]: k.rsplit("/", 1)[1][:20] for k in keys}
    for key in keys:
        tail = key.split("/v1/")[1]
        if tail.startswith(("blobs/", "manifests/")):
            if sha(b.plain.get(BUCKET, key)) != key.rsplit("/", 1)[1]:
                bad.append(key + ": not what its name says")
        elif tail.startswith("refs/") and \
                key.rsplit("/", 1)[1][:20] == counts[key.rsplit("/", 1)[0]]:
            text = b.plain.get(BUCKET, key).decode()
            h = text.split("catalog ")[1][:64]
            where = f"{b.prefix}/v1/manifests/sha256/{h[:2]}/{h[2:4]}/{h}"
            lines = b.plain.get(BUCKET, where).decode().splitlines()
            number = int(lines[1].split(" ")[1])
            name = tail.rsplit("/", 1)[0]
            commits[name] = max(commits.get(name, (0, "")),
                                (number, lines[6].split(" ")[1]))
            for line in lines[8:]:
                word = line.split(" ", 6)
                if word[0] in ("piece", "move", "beside") or word[5] != "+":
                    continue
                d = word[0]
                blob = f"{b.prefix}/v1/blobs/sha256/{d[:2]}/{d[2:4]}/{d}"
                if b.keys("blobs/sha256/" + d[:2] + "/").get(blob) != \
                        int(word[1]):
                    bad.append(f"{key}: {word[6]} is not there")
    for name, (_, commit) in commits.items():
        at = f"{name.rsplit('/', 1)[0]}/{commit}"
        if name != "refs/files" and commit != "-" and \
                commits.get(at, (0, "-"))[1] == "-":
            bad.append(f"{name}: its commit is not there")
    return bad


def test_everyday(tap, b):
    b.next("everyday")
    a, c = noise(300_000, 1), noise(70, 2)
    b.write("run/a.bin", a)
    b.write("run/sub/c.json", c)
    b.write("run/empty", b"")
    done = b.ml("ls")
    tap.ok(done.returncode == 3 and "no volume" in done.stderr,
           "ls of a prefix without a volume says so", done.stderr)
    done = b.ml("put", "run", "--json")
    doc = json.loads(done.stdout or "{}")
    tap.ok(done.returncode == 0 and doc["step"] == 1 and
           doc["volume"] == b.url and len(doc["files"]) == 3 and
           all(f["copied"] for f in doc["files"]),
           "a folder is put as one step", done.stderr)
    tap.eq(b.names(), {"run/a.bin": sha(a), "run/empty": sha(b""),
                       "run/sub/c.json": sha(c)}, "ls lists it")
    done = b.ml("get", "run", "back")
    tap.ok(done.returncode == 0 and read(b.at("back/a.bin")) == a and
           read(b.at("back/sub/c.json")) == c and
           read(b.at("back/empty")) == b"", "get brings it back", done.stderr)
    tap.eq(b.bytes_of("run/a.bin"), (0, a), "get to a pipe")
    b.watch()
    done = b.ml("put", "run", "again/", "--json")
    tap.ok(done.returncode == 0 and
           not any(f["copied"] for f in json.loads(done.stdout)["files"]) and
           b.seen("HEAD", "/blobs/") == 3 and b.seen("PUT", "/blobs/") == 0,
           "bytes that the bucket has are not sent again", done.stderr)
    b.harm()
    done = b.ml("rm", "run/empty", "--json")
    tap.ok(done.returncode == 0 and
           json.loads(done.stdout)["changes"][0]["name"] == "run/empty" and
           "run/empty" not in b.names(), "rm takes a name out", done.stderr)
    done = b.ml("rm", "again")
    tap.ok(done.returncode == 2 and "-r" in done.stderr,
           "rm of a folder wants -r", done.stderr)
    tap.ok(b.ml("rm", "-r", "again").returncode == 0 and
           set(b.names()) == {"run/a.bin", "run/sub/c.json"}, "rm -r")
    done = b.ml("log", "--json")
    steps = json.loads(done.stdout or '{"steps": []}')["steps"]
    tap.ok([(s["step"], s["what"], len(s["changes"])) for s in steps] ==
           [(4, "rm", 3), (3, "rm", 1), (2, "put", 3), (1, "put", 3)] and
           steps[1]["changes"][0]["before"]["sha256"] == sha(b"") and
           b.ml("log", "-n", "1", "run/empty").stdout.count("\n") == 2 and
           b.ml("log", "nobody").returncode == 3,
           "log lists the steps", f"{done.stderr}{steps}")
    done = b.ml("rollback", "2", "run", "--json")
    tap.ok(done.returncode == 0 and json.loads(done.stdout)["step"] == 5 and
           set(b.names()) == {"run/a.bin", "run/sub/c.json", "run/empty"} and
           b.bytes_of("run/empty") == (0, b""),
           "rollback brings a name back", done.stderr)
    done = b.ml("rollback", "0")
    back = b.ml("rollback", "5")
    tap.ok(done.returncode == 0 and back.returncode == 0 and
           len(b.names()) == 3 and b.ml("rollback", "99").returncode == 3 and
           b.ml("rollback", "0", "nobody").returncode == 3,
           "to nothing, and from there", done.stderr + back.stderr)
    tap.eq(sound(b), [], "the bucket is sound")


def test_refused(tap, b):
    b.next("refused")
    b.write("x", b"one")
    b.write("y", b"four")
    b.ml("put", "x", "name")
    done = b.ml("put", "y", "name")
    tap.ok(done.returncode == 2 and "-f" in done.stderr and
           b.bytes_of("name") == (0, b"one"),
           "a name with other content is left alone", done.stderr)
    done = b.ml("put", "y", "name", "-f")
    tap.ok(done.returncode == 0 and b.bytes_of("name") == (0, b"four"),
           "-f replaces it", done.stderr)
    before = b.keys("blobs/")
    b.write("z", b"not there yet")
    done = b.ml("put", "z", "name/below")
    tap.ok(done.returncode == 8 and b.keys("blobs/") == before,
           "nothing goes below a file, and nothing is sent", done.stderr)
    for name in ("../up", "a/../b", "/abs", "a//b"):
        done = b.ml("put", "x", name)
        tap.ok(done.returncode in (2, 8), f"the name {name} is refused",
               done.stderr)
    done = b.run("mlfetch", "put", "s3://no-such-bucket-here/p", "x")
    tap.ok(done.returncode == 3 and "no such bucket" in done.stderr,
           "a bucket that is not there", done.stderr)
    tap.ok(b.run("mlfetch", "ls", "s3://").returncode == 2 and
           b.run("mlfetch", "ls", f"s3://{BUCKET}/a/../b").returncode == 2,
           "what is no bucket's name is bad usage")
    os.mkdir(b.at("there"))
    done = b.ml("get", "name", "x")
    tap.ok(done.returncode == 2 and read(b.at("x")) == b"one",
           "a file that is there is left alone", done.stderr)
    env = dict(b.env, AWS_SECRET_ACCESS_KEY="WRONGSECRET")
    done = kit.run(["mlfetch", "ls", b.url], env)
    tap.ok(done.returncode == 4 and "WRONGSECRET" not in done.stderr,
           "a wrong secret is status 4, and not shown", done.stderr)


def test_begun(tap, b):
    """What a store can do is noted for good: a lost answer proves nothing."""
    want = "conditional" if b.server.conditional else "lineage"
    b.next("begun")
    b.write("x", b"x")
    for skip in (0, 2):
        b.prefix = f"begun-{skip}"
        b.url = f"s3://{BUCKET}/{b.prefix}"
        b.harm(("PUT", "/probe/", s3_faults.lost, 1, skip))
        done = b.ml("put", "x")
        b.harm()
        tap.ok(done.returncode == 0 and b.bytes_of("x") == (0, b"x") and
               b.plain.get(BUCKET, f"{b.prefix}/v1/store") ==
               f"ml-bucket 1\nrefs {want}\n".encode() and
               not b.keys("probe/"),
               f"the answer to probe {skip + 1} is lost: refs {want}",
               done.stderr)


def test_long_file(tap, b):
    b.next("long")
    data = noise(64 * MIB + 5, 3)
    b.write("long.bin", data)
    b.harm(("PUT", "partNumber=1", slow_down(), 2),
           ("PUT", "partNumber=2", s3_faults.lost),
           ("POST", "uploadId=", s3_faults.instead(200, code="InternalError")))
    done = b.ml("put", "long.bin")
    tap.ok(done.returncode == 0 and b.names() == {"long.bin": sha(data)},
           "a long file goes in parts, past a SlowDown, a lost answer and an "
           "error in a 200", done.stderr)
    tap.eq(b.plain.uploads(BUCKET), [], "no upload is left behind")
    b.harm(("GET", "/blobs/", s3_faults.cut(9_000_000)),
           ("GET", "/blobs/", s3_faults.reset))
    done = b.ml("get", "long.bin", "back.bin")
    tap.ok(done.returncode == 0 and read(b.at("back.bin")) == data,
           "and comes back over cut connections", done.stderr)
    b.harm()
    # a damaged piece: nothing of it, or behind it, goes out
    b.plain.flip(BUCKET, b.blob(data), 64 * MIB + 2)
    status, out = b.bytes_of("long.bin")
    tap.ok(status == 6 and out == data[:64 * MIB],
           "of a damaged file only pieces that are right reach a pipe",
           f"status {status}, {len(out)} bytes")
    done = b.ml("get", "long.bin", "bad.bin")
    tap.ok(done.returncode == 6 and
           sorted(os.listdir(b.cwd)) == ["back.bin", "long.bin"],
           "and no file appears", done.stderr)


def test_faults(tap, b):
    b.next("faults")
    b.write("f/one", noise(200_000, 4))
    b.write("f/two", noise(100, 5))
    want = {"f/one": sha(noise(200_000, 4)), "f/two": sha(noise(100, 5))}
    every = [("SlowDown", slow_down()), ("a lost answer", s3_faults.lost)]
    if LONG or b.server.conditional:
        every += [("InternalError", slow_down(500, "InternalError")),
                  ("a reset", s3_faults.reset)]
    places = [("PUT", "/blobs/"), ("PUT", "/manifests/"), ("PUT", "/refs/"),
              ("GET", "v1/refs/|v1%2Frefs%2F"), ("HEAD", "/blobs/")]
    for name, act in every:
        b.prefix = "faults-" + name.replace(" ", "-")
        b.url = f"s3://{BUCKET}/{b.prefix}"
        b.harm(*[(m, p, act) for m, p in places])
        done = b.ml("put", "f")
        left = [r.target.pattern for r in b.faults.rules if r.times > 0]
        b.harm()
        tap.ok(done.returncode == 0 and b.names() == want and not left and
               sound(b) == [], f"put goes through {name} at every place",
               f"{done.stderr}{left}")
    b.harm(("*", "", skewed(600)))
    done = b.ml("put", "f", "again/")
    tap.ok(done.returncode == 0 and len(b.names()) == 4,
           "and by the clock of the store", done.stderr)
    b.harm(("GET", "/blobs/", flipped(50)))
    tap.eq(b.bytes_of("f/two"), (0, noise(100, 5)),
           "a bit that flipped on the way is asked for again")
    b.harm(("GET", "/manifests/", flipped(50)))
    tap.eq(b.names(), want | {"again/" + n: h for n, h in want.items()},
           "in a catalog, too")
    b.harm(("GET", "v1/refs/files/", flipped(50)))
    tap.eq(len(b.names()), 4, "and in a ref")


def test_damage(tap, b):
    b.next("damage")
    data = noise(100_000, 6)
    b.write("d", data)
    b.ml("put", "d")
    b.plain.flip(BUCKET, b.blob(data), 777)
    tap.ok(b.plain.get(BUCKET, b.blob(data)) != data,
           "control: a plain client gets the flipped bit")
    status, out = b.bytes_of("d")
    tap.eq((status, out), (6, b""), "get to a pipe gives none of it, status 6")
    done = b.ml("get", "d", "out")
    tap.ok(done.returncode == 6 and not os.path.exists(b.at("out")) and
           "wrong" in done.stderr, "get to a file makes none", done.stderr)
    b.plain.remove(BUCKET, b.blob(data))
    done = b.ml("get", "d", "out")
    tap.ok(done.returncode == 6 and "gone" in done.stderr,
           "bytes that are gone are told as that", done.stderr)
    tap.ok(b.ml("put", "d").returncode == 0 and b.bytes_of("d") == (0, data),
           "putting it again mends it")
    ref = sorted(b.keys("refs/"))[-1]
    b.plain.flip(BUCKET, ref, 12)
    done = b.ml("ls")
    tap.ok(done.returncode == 6 and "ref 'files'" in done.stderr,
           "a damaged ref is not believed", done.stderr)
    b.plain.flip(BUCKET, ref, 12)
    for manifest in b.keys("manifests/"):
        b.plain.flip(BUCKET, manifest, 30)
    done = b.ml("ls")
    tap.ok(done.returncode == 6, "nor is a damaged catalog", done.stderr)


def test_writers(tap, b):
    """Everybody's files are there at the end, and who lost is told."""
    b.next("writers")
    n, each = (8, 6) if LONG else (4, 2)
    said = []

    def write_some(w):
        for k in range(each):
            done = b.ml("put", b.write(f"{w}-{k}", f"{w}.{k}".encode()))
            said.append((f"{w}-{k}", done.returncode, done.stderr))

    teams = [threading.Thread(target=write_some, args=(w,)) for w in range(n)]
    for t in teams:
        t.start()
    for t in teams:
        t.join()
    failed = [s for s in said if s[1] != 0]
    names = b.names()
    tap.ok(not failed and len(names) == n * each and sound(b) == [],
           f"{n} writers at once: each name is there", f"{failed}\n{names}")
    # both read the same, and the slower one is told
    b.write("mine", b"mine")
    b.write("theirs", b"theirs")
    b.harm(("PUT", "/leases/", meanwhile(
        lambda: b.ml("put", "theirs", "same"))))
    done = b.ml("put", "mine", "same")
    b.harm()
    tap.ok(done.returncode == 1 and "another process" in done.stderr and
           b.bytes_of("same") == (0, b"theirs"),
           "two writers of one name: the second one is told, status 1",
           f"{done.returncode} {done.stderr}")


def test_both_refs(tap, b):
    """A store without conditions: two refs of one number, both killed."""
    if b.server.conditional:
        return
    b.next("both")
    b.write("base", b"base")
    b.ml("put", "base")
    for name in ("one", "two"):
        b.write(name, name.encode())
        keep = sorted(b.keys("refs/"))
        b.ml("put", name)
        new = (set(b.keys("refs/")) - set(keep)).pop()
        text = b.plain.get(BUCKET, new)
        b.plain.remove(BUCKET, new)
        b.write("kept-" + name, text)
        b.write("key-" + name, new.encode())
    for name in ("one", "two"):
        b.plain.put(BUCKET, read(b.at("key-" + name)).decode(),
                    read(b.at("kept-" + name)))
    tap.eq(set(b.names()), {"base", "one", "two"},
           "what two killed writers left is read together")
    time.sleep(1.1)         # the store tells seconds
    done = b.run("mlcache", "gc", "--volume", b.url, "--grace", "0")
    tap.ok(done.returncode == 0 and set(b.names()) == {"base", "one", "two"},
           "also after gc", done.stderr)
    b.write("three", b"three")
    b.ml("put", "three")
    tap.eq(set(b.names()), {"base", "one", "two", "three"},
           "and the next writer puts it together")


def killed(b, method, part, *args):
    """Start it, and kill -9 when the store has done such a request."""
    box = []
    ready = threading.Event()

    def act(request, forward):
        forward()
        ready.wait(20)
        box[0].kill()
        raise s3_faults.Drop

    b.harm((method, part, act))
    p = b.start(*args)
    box.append(p)
    ready.set()
    p.communicate(timeout=60)
    b.harm()
    return p.returncode


def test_kill(tap, b):
    b.next("kill")
    old, new = noise(100_000, 7), noise(120_000, 8)
    b.write("old", old)
    b.write("new", new)
    b.ml("put", "old", "file")
    places = [("PUT", "/leases/"), ("HEAD", "/blobs/"), ("PUT", "/blobs/"),
              ("PUT", "/manifests/"), ("PUT", "/refs/"),
              ("DELETE", "/leases/")]
    bad = []
    for method, part in places * (5 if LONG else 1):
        if (method, part) == ("PUT", "/blobs/") and b.blob(new) in b.keys():
            b.plain.remove(BUCKET, b.blob(new))
        status = killed(b, method, part, "put", b.url, "new", "file", "-f")
        got = b.bytes_of("file")
        after = part == "/refs/" or method == "DELETE"
        if status != -signal.SIGKILL or got[0] != 0 or \
                got[1] != (new if after else old):
            bad.append((method, part, status, got[0], len(got[1])))
        if after:
            b.ml("put", "old", "file", "-f")
    tap.eq(bad + sound(b), [], "kill -9 at every request of a put: the old "
           "file, or the new one once its ref is written")
    done = b.ml("put", "new", "file", "-f")
    tap.ok(done.returncode == 0 and b.bytes_of("file") == (0, new),
           "and the next put goes through", done.stderr)
    killed(b, "GET", "/blobs/", "get", b.url, "file", "back")
    tap.ok(not os.path.exists(b.at("back")), "a killed get leaves no file of "
           "the name")


def gc_in_between(b, lease_lost):
    """A put finds its bytes there, and gc runs at that moment."""
    name = f"x-{lease_lost}"
    b.write(name, b"gone and back " + name.encode())
    b.ml("put", name)
    b.ml("rm", name)
    time.sleep(1.1)         # the store tells seconds

    def gc():
        if lease_lost:
            for key in b.keys("leases/"):
                b.plain.remove(BUCKET, key)
        kit.run(["mlcache", "gc", "--volume", b.url, "--grace", "0"],
                kit.clean_env(b.dir, **b.server.env()))

    b.harm(("HEAD", "/blobs/", meanwhile(gc)))
    done = b.ml("put", name)
    b.harm()
    return done.returncode, b.bytes_of(name)[0]


def gc_looks(b, name, where):
    """gc has looked at refs and claims before a put begins, and moves what the
    put has found; and the put ends at gc's second look, at refs or claims."""
    b.write(name, name.encode())
    b.ml("put", name)
    b.ml("rm", name)
    time.sleep(1.1)         # the store tells seconds
    named, go_on, said = threading.Event(), threading.Event(), []
    put = threading.Thread(target=lambda: said.append(b.ml("put", name)))

    def hold(request, forward):
        named.set()
        go_on.wait(30)
        return forward()

    def begin(request, forward):
        put.start()
        named.wait(30)
        return forward()

    def end(request, forward):
        go_on.set()
        put.join(30)
        return forward()

    b.harm(("PUT", "/refs/", hold))
    with s3_faults.Faults(b.server) as between:
        between.add("GET", "v1%2Fblobs%2F(&|$)", begin)
        between.add("GET", f"v1%2F{where}%2F(&|$)", end, 1, 1)
        env = kit.clean_env(b.dir, **dict(
            b.server.env(), AWS_ENDPOINT_URL_S3=between.endpoint))
        gc = kit.run(["mlcache", "gc", "--volume", b.url, "--grace", "0"], env)
        go_on.set()
        put.join(30)
    b.harm()
    return gc.returncode, said[0].returncode, b.bytes_of(name)


def test_gc(tap, b):
    b.next("gc")

    def gc(*args):
        return b.run("mlcache", "gc", "--volume", b.url, *args)

    b.write("keep", b"keep")
    b.write("drop", b"drop it")
    b.ml("put", "keep")
    b.ml("put", "drop")
    b.ml("rm", "drop")
    done = gc()
    tap.ok(done.returncode == 0 and b.blob(b"drop it") in b.keys(),
           "gc leaves what went within a day", done.stderr)
    # of content without a name, with one, and of a gc's own
    for key in (b.blob(b"never"), b.blob(b"keep"),
                f"{b.prefix}/v1/trash/blobs-{sha(b'keep')}"):
        b.plain.ask("POST", BUCKET, key, {"uploads": ""})
    time.sleep(1.1)
    before = b.keys()
    done = gc("--grace", "0", "--dry-run")
    tap.ok(done.returncode == 0 and "would be freed" in done.stdout and
           b.keys() == before, "--dry-run changes nothing",
           done.stderr)
    done = gc("--grace", "0", "--json")
    gone = json.loads(done.stdout or '{"removed": []}')["removed"]
    tap.ok(done.returncode == 0 and b.blob(b"drop it") not in b.keys() and
           b.plain.uploads(BUCKET) == [] and not b.keys("trash/") and
           {x["kind"] for x in gone} == {"object", "leftover"},
           "--grace 0 frees it, and ends uploads that were left",
           f"{done.stderr}{gone}")
    tap.ok(b.bytes_of("keep") == (0, b"keep") and sound(b) == [],
           "what has a name stays")
    tap.eq(gc_in_between(b, False), (0, 0),
           "gc beside a put leaves what the put counts on")
    tap.eq(gc_in_between(b, True), (0, 6),
           "control: without its lease that would be gone")
    b.ml("rm", "x-True")
    for where in ("refs", "leases") if LONG else ("leases",):
        tap.eq(gc_looks(b, "found-" + where, where),
               (0, 0, (0, b"found-" + where.encode())),
               f"a put that ends while gc reads {where} again loses nothing")
    b.write("late", b"late")

    def gc_first(request, forward):
        time.sleep(1.1)
        kit.run(["mlcache", "gc", "--volume", b.url, "--grace", "0"],
                kit.clean_env(b.dir, **b.server.env()))
        return forward()

    b.harm(("PUT", "/refs/", gc_first))
    done = b.ml("put", "late")
    b.harm()
    tap.ok(done.returncode == 0 and b.bytes_of("late") == (0, b"late") and
           sound(b) == [], "and a catalog that no ref names yet", done.stderr)
    # a gc that was killed: what it had moved is put back if it is needed
    key = b.blob(b"keep")
    b.plain.put(BUCKET, f"{b.prefix}/v1/trash/blobs-{key[-64:]}", b"keep")
    b.plain.remove(BUCKET, key)
    done = gc()
    tap.ok(done.returncode == 0 and b.bytes_of("keep") == (0, b"keep") and
           len(b.keys("trash/")) == 1, "what a killed gc had moved comes back, "
           "and a copy stays for a day", done.stderr)
    ref = sorted(k for k in b.keys("refs/files/"))[-1]
    b.plain.flip(BUCKET, ref, 12)
    before = b.keys()
    done = gc("--grace", "0")
    tap.ok(done.returncode == 6 and "nothing was removed" in done.stderr and
           {k for k in before if "/leases/" not in k} <= set(b.keys()),
           "with a damaged ref gc removes nothing", done.stderr)


def turn_text(state, seconds, name="0" * 16):
    return (f"ml-turn 1\nid {name}\nstate {state}\nwhat gc\nwho eve@afar\n"
            f"since {int(time.time()) - 3}\nfor {seconds}\n").encode()


def turn_key(b):
    tail = "head" if b.server.conditional else "0" * 16
    return f"{b.prefix}/v1/turn/{tail}"


def held_at(event, go_on):
    """A request that the store sees when the test wants it."""
    def act(request, forward):
        event.set()
        go_on.wait(120)
        return forward()
    return act


def test_turn(tap, b):
    """One collector at a time; and one that stands still does no harm."""
    b.next("turn")

    def collect(*args, env=None):
        return kit.run(["mlcache", "gc", "--volume", b.url, "--grace", "0",
                        *args], env or b.env)

    def beside(method, part, function):
        """A gc that stands still there, while something happens."""
        there, go_on, said = threading.Event(), threading.Event(), []
        with s3_faults.Faults(b.server) as between:
            between.add(method, part, held_at(there, go_on))
            env = kit.clean_env(b.dir, **dict(
                b.server.env(), AWS_ENDPOINT_URL_S3=between.endpoint))
            gc = threading.Thread(target=lambda: said.append(collect(env=env)))
            gc.start()
            arrived = there.wait(120)
            function()
            go_on.set()
            gc.join(120)
        return said[0] if arrived else None

    b.write("x", b"x it is")
    b.ml("put", "x")
    second = []
    first = beside("GET", "v1%2Fblobs%2F(&|$)",
                   lambda: second.append(collect()))
    tap.ok(first.returncode == 0 and second[0].returncode == 1 and
           "mlcache gc of " in second[0].stderr and
           time.strftime("since %Y-") in second[0].stderr,
           "a second gc is told whose turn it is, status 1",
           first.stderr + second[0].stderr)
    before = set(b.keys("blobs/"))
    b.plain.put(BUCKET, turn_key(b), turn_text("held", 900))
    b.write("y", b"y")
    b.ml("put", "y")
    b.plain.flip(BUCKET, b.blob(b"y"), 0)
    done = collect()
    verify = b.run("mlcache", "verify", "--volume", b.url)
    dry = collect("--dry-run")
    tap.ok(done.returncode == 1 and "eve@afar" in done.stderr and
           dry.returncode == 0 and verify.returncode == 6 and
           "stays where it is" in verify.stderr and "eve@" in verify.stderr and
           before < set(b.keys("blobs/")),
           "in another's turn neither gc nor verify takes anything out",
           done.stderr + verify.stderr + dry.stderr)
    b.plain.put(BUCKET, turn_key(b), b"\x00 ml-turn 1 held")
    done = collect()
    tap.ok(done.returncode == 1 and "somebody is at work" in done.stderr,
           "nor where that cannot be read", done.stderr)
    b.plain.put(BUCKET, turn_key(b), turn_text("held", 0))
    time.sleep(1.1)         # the store tells seconds
    verify = b.run("mlcache", "verify", "--volume", b.url)
    tap.ok(verify.returncode == 6 and len(b.keys("quarantine/")) == 1,
           "the turn of one that crashed ends", verify.stderr)
    b.ml("rm", "y")
    b.ml("rm", "x")
    time.sleep(1.1)         # the store tells seconds
    seen = []

    def overtaken():
        """Its turn is over, x is named again, another gc comes and goes."""
        for key in b.keys("turn/"):
            b.plain.remove(BUCKET, key)
        seen.append(b.ml("put", "x").returncode)
        seen.append(collect().returncode)

    late = beside("DELETE", "/blobs/.*" + sha(b"x it is"), overtaken)
    tap.ok(late is not None and late.returncode == 1 and seen == [0, 0] and
           "longer than its turn" in late.stderr and
           b.bytes_of("x") == (0, b"x it is") and sound(b) == [],
           "a gc that deletes after its turn puts back what is needed",
           f"{seen} {late and late.stderr} {b.bytes_of('x')}")


def test_verify(tap, b):
    b.next("verify")

    def verify(*args):
        return b.run("mlcache", "verify", "--volume", b.url, *args)

    for name in ("right", "flipped", "lost"):
        b.write(name, name.encode() * 9)
        b.ml("put", name)
    done = verify()
    tap.ok(done.returncode == 0 and "all right" in done.stdout,
           "verify of what is right", done.stderr)
    b.plain.flip(BUCKET, b.blob(b"flipped" * 9), 3)
    b.plain.remove(BUCKET, b.blob(b"lost" * 9))
    done = verify("--json")
    wrong = json.loads(done.stdout or '{"wrong": []}')["wrong"]
    tap.ok(done.returncode == 6 and
           sorted((w["kind"], w["name"]) for w in wrong) ==
           [("damaged", "flipped"), ("missing", "lost")],
           "it tells what is damaged and what is gone, status 6", wrong)
    tap.ok(len(b.keys("quarantine/")) == 1 and
           b.blob(b"flipped" * 9) not in b.keys(),
           "what is damaged is set aside")
    b.ml("put", "flipped")
    b.ml("put", "lost")
    tap.ok(verify().returncode == 0, "putting it again mends both")
    good = b"flipped" * 9
    b.plain.flip(BUCKET, b.blob(good), 3)
    b.harm(("PUT", "/quarantine/", s3_faults.answer(403, code="AccessDenied")))
    done = verify("--json")
    b.harm()
    tap.ok(done.returncode == 6 and "stays where it is" in done.stderr and
           [w["name"] for w in json.loads(done.stdout)["wrong"]] ==
           ["flipped"], "who may not set it aside is told of it all the same",
           done.stderr)

    def mend():
        time.sleep(1.1)         # the store tells seconds
        b.plain.put(BUCKET, b.blob(good), good)

    b.harm(("GET", b.blob(good), meanwhile(mend), 1, 1))
    done = verify()
    b.harm()
    tap.ok(done.returncode == 6 and b.bytes_of("flipped") == (0, good),
           "what was sent again since it was read is not set aside",
           done.stderr)
    for args in (("verify", "--volume", b.url, "name"),
                 ("verify", "--volume", b.url, "--sample", "1/2"),
                 ("gc", "--volume", b.url, "--partial"),
                 ("du", "--volume", b.url)):
        done = b.run("mlcache", *args)
        tap.ok(done.returncode == 2 and b.url in done.stderr,
               f"mlcache {args[0]} {' '.join(args[3:])}: not on a bucket, "
               "status 2", done.stderr)
    for args in (("mv", b.url, "a", "b"), ("diff", b.url, "1"),
                 ("volume", "create", b.url),
                 ("warm", "--lock", "l", "--volume", b.url, "--from", b.url),
                 ("pull", "o/m", "--volume", b.url, "--dry-run")):
        done = b.run("mlfetch", *args)
        tap.ok(done.returncode == 2 and b.url in done.stderr,
               f"mlfetch {args[0]}: not on a bucket, status 2", done.stderr)


class Machine:
    """One of several machines: a home of its own, the same bucket."""

    def __init__(self, b, name, hub):
        self.home = os.path.join(b.dir, "machines", b.prefix, name)
        os.makedirs(self.home)
        self.b, self.hub = b, hub

    def run(self, *args, **more):
        env = dict(self.b.env, HOME=self.home, HF_ENDPOINT=self.hub,
                   HF_HOME=self.home + "/hf")
        return kit.run(["mlfetch", *args], env, cwd=self.home, **more)

    def snapshot(self):
        top = os.path.join(self.home, "hf/hub/models--org--m/snapshots")
        return os.path.join(top, os.listdir(top)[0])


DEAD = "http://127.0.0.1:9"     # no hub


def test_models(tap, b):
    b.next("models")
    model = b.at("model")
    files = pulling.make_model(model, 3 * MIB)
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        one = Machine(b, "one", hub.url)
        done = one.run("pull", "org/m", "--volume", b.url, "--include",
                       "*.json")
        two = Machine(b, "two", DEAD)
        part = two.run("pull", "org/m", "--from", b.url)
        tap.ok(done.returncode == 0 and part.returncode == 3 and
               "is not in it" in part.stderr,
               "a part of a repository in a bucket is not the whole",
               done.stderr + part.stderr)
        done = one.run("pull", "org/m", "--volume", b.url, "--json")
        doc = json.loads(done.stdout or "[{}]")[0]
        tap.ok(done.returncode == 0 and doc["volume"] == b.url and
               0 < doc["sent_bytes"] < doc["bytes"],
               "the next pull brings the rest", done.stderr)
        hub.reset()
        again = one.run("pull", "org/m", "--volume", b.url, "--json")
        tap.ok(again.returncode == 0 and len(hub.log()) <= 2 and
               json.loads(again.stdout)[0]["sent_bytes"] == 0,
               "what the bucket has is not fetched again", again.stderr)
        left = [f for _, _, fs in os.walk(one.home + "/.cache") for f in fs
                if not f.endswith(".lock")]
        tap.ok(left == [] and sound(b) == [], "and nothing is left on disk",
               left)
        tap.ok(one.run("lock", "org/m", "-o", "hub.lock").returncode == 0,
               "a lock from the hub")
        for path, method, part in ((b.url + "-k1", "PUT", "/blobs/"),
                                   (b.url + "-k2", "PUT", "/refs/hub/")):
            third = Machine(b, path[-2:], hub.url)
            env = b.env
            status = killed_pull(b, third, method, part, path)
            none = two.run("pull", "org/m", "--from", path)
            done = third.run("pull", "org/m", "--volume", path)
            tap.ok(status == -signal.SIGKILL and none.returncode == 3 and
                   done.returncode == 0 and b.env == env,
                   f"a pull killed at {method} {part} is not there, and goes "
                   "on", none.stderr + done.stderr)
    done = two.run("pull", "org/m", "--from", b.url)
    tap.ok(done.returncode == 0 and
           pulling.matches(two.snapshot(), files) is None and
           two.run("pull", "org/m", "--offline").returncode == 0,
           "another machine pulls it from there without the hub", done.stderr)
    done = two.run("lock", "org/m", "--from", b.url, "-o", "s3.lock")
    tap.ok(done.returncode == 0 and read(two.home + "/s3.lock") ==
           read(one.home + "/hub.lock"), "and locks it, to the same bytes",
           done.stderr)
    lock = one.home + "/hub.lock"
    three = Machine(b, "three", DEAD)
    done = three.run("warm", "--lock", lock, "--from", b.url)
    tap.ok(done.returncode == 0 and
           pulling.matches(three.snapshot(), files) is None and
           three.run("warm", "--lock", lock, "--offline").returncode == 0,
           "a third one is warmed by the lock", done.stderr)
    big = os.path.realpath(three.snapshot() + "/model.safetensors")
    os.chmod(big, 0o644)
    data = bytearray(read(big))
    data[99] ^= 1
    with open(big, "wb") as f:
        f.write(data)
    done = three.run("warm", "--lock", lock, "--from", b.url)
    tap.ok(done.returncode == 0 and
           pulling.matches(three.snapshot(), files) is None,
           "and mended by it", done.stderr)
    b.plain.flip(BUCKET, b.blob(files["model.safetensors"]), 1234)
    four = Machine(b, "four", DEAD)
    done = four.run("pull", "org/m", "--from", b.url)
    tap.ok(done.returncode == 6 and not os.path.exists(
        os.path.join(four.home, "hf/hub/models--org--m/refs/main")),
        "a flipped bit in the bucket is not delivered", done.stderr)


def beside_removal(tap, b, commit):
    """A removal and a pull of one number, both killed before they looked."""
    moves = sorted(b.keys(f"refs/hub/models--org--m/{commit}/"))
    twin = moves[-1][:-16] + "0" * 16
    b.plain.put(BUCKET, twin, b.plain.get(BUCKET, moves[0]))
    done = Machine(b, "beside", DEAD).run(
        "pull", f"org/m@{commit}", "--from", b.url)
    b.plain.remove(BUCKET, twin)
    tap.eq(done.returncode, 0,
           "a listing beside its removal counts, and all of it")


def held(b):
    """The repositories that mlcache ls tells of."""
    done = b.run("mlcache", "ls", "--volume", b.url, "--json")
    doc = json.loads(done.stdout or '{"repositories": [{"id": 1}]}')
    return [(r["id"], r.get("bytes"), r.get("revisions"))
            for r in doc["repositories"]]


def test_warm(tap, b):
    """Two machines warm from one bucket, and the hub is gone."""
    b.next("warm")
    model = b.at("model")
    files = pulling.make_model(model, MIB)
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        one = Machine(b, "one", hub.url)
        done = one.run("lock", "org/m", "-o", "m.lock")
        lock = one.home + "/m.lock"
        done = one.run("warm", "--lock", lock, "--volume", b.url, "--offline")
        tap.ok(done.returncode == 5 and "no volume" in done.stderr,
               "no bucket is warm before", done.stderr)
        ask = ("--lock", lock, "--volume", b.url, "--json")
        done = one.run("warm", *ask)
        doc = json.loads(done.stdout or "[{}]")[0]
        tap.ok(done.returncode == 0 and doc["volume"] == b.url and
               doc["files"] == len(files) and doc["sent_bytes"] > 0 and
               sound(b) == [], "a bucket is warmed by a lock", done.stderr)
        tap.eq(held(b), [("org/m", sum(map(len, set(files.values()))), [{
            "commit": doc["commit"], "refs": ["main"], "files": doc["files"],
            "missing": 0, "bytes": doc["bytes"], "pinned": False}])],
               "mlcache ls tells what it has")
        hub.reset()
        done = one.run("warm", *ask)
        tap.ok(done.returncode == 0 and hub.log() == [] and
               json.loads(done.stdout)[0]["sent_bytes"] == 0,
               "and when it is, nobody is asked", done.stderr)
        blobs = set(b.keys("blobs/"))

        def rm(*args):
            return b.run("mlcache", "rm", "--volume", b.url, *args)

        done = rm("org/m@main", "--dry-run", "--json")
        gone = json.loads(done.stdout or '{"removed": [{}]}')["removed"]
        tap.ok(done.returncode == 0 and gone[0]["files"] == doc["files"] and
               0 < gone[0]["shared"] <= doc["bytes"] and gone[0]["commit"] ==
               doc["commit"] and rm("org/m").returncode == 2,
               "rm says what would go, and asks", done.stderr)
        done = rm("org/m@main", "--yes")
        none = Machine(b, "none", DEAD).run("pull", "org/m", "--from", b.url)
        again = rm("org/m", "-y")
        tap.ok(done.returncode == 0 and none.returncode == 3 and
               again.returncode == 3 and "no org/m there" in again.stderr and
               held(b) == [] and
               set(b.keys("blobs/")) == blobs and sound(b) == [],
               "a revision is removed, and its bytes stay for now",
               done.stderr + none.stderr + again.stderr)
        if not b.server.conditional:
            beside_removal(tap, b, doc["commit"])
        done = one.run("warm", *ask)
        tap.ok(done.returncode == 0 and
               json.loads(done.stdout)[0]["sent_bytes"] == 0 and
               set(b.keys("blobs/")) == blobs and sound(b) == [],
               "and brought again, without sending them", done.stderr)
        if not b.server.conditional and not LONG:
            return
        other = json.loads(read(lock))
        other["repositories"][0]["files"][0]["size"] += 1
        with open(lock + "2", "w") as f:
            json.dump(other, f)
        done = one.run("warm", "--lock", lock + "2", "--volume", b.url)
        tap.ok(done.returncode in (6, 8) and sound(b) == [],
               "another file than the lock's is not taken for it",
               f"{done.returncode} {done.stderr}")
    # the hub is gone
    warm_alone(tap, b, files, ask, doc)
    done = b.run("mlcache", "rm", "--volume", b.url, "org/m", "-y")
    time.sleep(1.1)         # the store tells seconds
    gc = [b.run("mlcache", "gc", "--volume", b.url, *more).returncode
          for more in ((), ("--grace", "0"))]
    none = Machine(b, "last", DEAD).run("pull", "org/m", "--from", b.url)
    tap.ok(done.returncode == 0 and gc == [0, 0] and none.returncode == 3 and
           not b.keys("blobs/"), "a repository is removed, and gc frees it",
           f"{done.stderr}{gc}{none.stderr}{b.keys('blobs/')}")


def warm_alone(tap, b, files, ask, doc):
    """What the bucket alone is good for; ask: the lock, and the bucket."""
    lock = ask[1]
    one = Machine(b, "one-again", DEAD)
    done = one.run("warm", *ask, "--offline")
    tap.ok(done.returncode == 0 and one.run("warm", *ask).returncode == 0 and
           json.loads(done.stdout)[0]["bytes"] == doc["bytes"],
           "without the hub the bucket is proven to have it", done.stderr)
    two = [Machine(b, name, DEAD) for name in ("two", "three")]
    teams = [threading.Thread(target=lambda m=m: said.append(
        m.run("warm", "--lock", lock, "--from", b.url))) for m in two]
    said = []
    for t in teams:
        t.start()
    for t in teams:
        t.join()
    tap.ok([d.returncode for d in said] == [0, 0] and
           all(pulling.matches(m.snapshot(), files) is None for m in two),
           "and two machines are warmed from it at once",
           "".join(d.stderr for d in said))
    done = two[0].run("lock", "org/m", "--volume", b.url)
    tap.eq((done.returncode, done.stdout.encode()), (0, read(lock)),
           "which lock what they see there")
    key = b.blob(files["model.safetensors"])
    good = b.plain.get(BUCKET, key)
    b.plain.flip(BUCKET, key, 77)
    done = one.run("warm", *ask, "--offline")
    tap.ok(done.returncode == 6 and "model.safetensors" in done.stderr,
           "a flipped bit is no proof, status 6", done.stderr)
    b.plain.remove(BUCKET, key)
    done = one.run("warm", *ask, "--offline")
    bad = one.run("warm", *ask, "--retry-time", "0")
    tap.ok(done.returncode == 5 and bad.returncode == 5 and
           "model.safetensors" in done.stderr,
           "nor is a file that is gone, and it cannot come, status 5",
           done.stderr + bad.stderr)
    b.plain.put(BUCKET, key, good)


def test_mend(tap, b):
    """A damaged ref, or catalog, falls back to what is whole."""
    b.next("mend")

    def verify(*args):
        return b.run("mlcache", "verify", "--volume", b.url, *args)

    for name in ("one", "two"):
        b.write(name, name.encode())
        b.ml("put", name)
    both = b.names()
    ref = sorted(b.keys("refs/files/"))[-1]
    digest = b.plain.get(BUCKET, ref).index(b"catalog ") + 8
    places = (12, digest + 5) if b.server.conditional else (digest + 5,)
    for nth, at in enumerate(places):
        ref = sorted(b.keys("refs/files/"))[-1]
        b.plain.flip(BUCKET, ref, at)
        told = verify()
        done = verify("--repair")
        tap.ok(told.returncode == 6 and "--repair" in told.stderr and
               done.returncode == 0 and "which was the last" in done.stdout and
               b.names() == both and verify().returncode == 0 and
               len(b.keys("quarantine/refs/files/")) == nth + 1,
               f"a ref whose byte {at} is damaged is mended, and nothing is "
               "lost", told.stderr + done.stdout + done.stderr)
    b.write("three", b"three")
    b.ml("put", "three")
    ref = b.plain.get(BUCKET, sorted(b.keys("refs/files/"))[-1])
    h = ref[digest:digest + 64].decode()
    catalog = f"{b.prefix}/v1/manifests/sha256/{h[:2]}/{h[2:4]}/{h}"
    b.plain.flip(BUCKET, catalog, -2)
    put = b.ml("put", "two", "x")
    done = verify("--repair")
    tap.ok(put.returncode == 6 and done.returncode == 6 and
           "what came later is lost" in done.stdout and b.names() == both and
           len(b.keys("quarantine/manifests/")) == 1,
           "a damaged catalog: the one before it counts, and that is said",
           put.stderr + done.stdout + done.stderr)
    if not b.server.conditional and not LONG:
        return
    done = b.ml("put", "three")
    time.sleep(1.1)         # the store tells seconds
    gc = b.run("mlcache", "gc", "--volume", b.url, "--grace", "0")
    tap.ok(done.returncode == 0 and gc.returncode == 0 and
           len(b.names()) == 3 and verify().returncode == 0 and
           sound(b) == [], "and what is lost is put again, and gc goes on",
           done.stderr + gc.stderr)
    for key in b.keys("manifests/"):
        b.plain.flip(BUCKET, key, 3)
    before = {k for k in b.keys() if "/quarantine/" not in k}
    done = verify("--repair")
    tap.ok(done.returncode == 6 and "ref  files" in done.stdout and
           "repaired" not in done.stdout and
           before == {k for k in b.keys() if "/quarantine/" not in k and
                      "/turn/" not in k} | {k for k in before if "/turn/" in k},
           "with nothing whole it is left as it is", done.stdout + done.stderr)


def killed_pull(b, machine, method, part, url):
    box = []
    ready = threading.Event()

    def act(request, forward):
        ready.wait(20)
        box[0].kill()
        forward()
        raise s3_faults.Drop

    before = b.env
    b.harm((method, part, act))
    env = dict(b.env, HOME=machine.home, HF_ENDPOINT=machine.hub,
               HF_HOME=machine.home + "/hf")
    p = subprocess.Popen([kit.program("mlfetch"), "pull", "org/m", "--volume",
                          url], env=env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    box.append(p)
    ready.set()
    p.communicate(timeout=60)
    b.harm()
    assert b.env == before
    return p.returncode


# what does not depend on how a store keeps refs or puts parts together
ONCE = [test_refused, test_damage, test_verify]
TESTS = [test_everyday, test_begun, test_refused, test_faults, test_damage, test_writers,
         test_both_refs, test_kill, test_gc, test_turn, test_verify, test_models, test_warm, test_mend,
         test_long_file]


def benches(tap, what):
    """A bench on each kind of server, in turn; one that is not there is said
    to be skipped."""
    for kind in (radosgw.Radosgw, swift.Swift):
        why = kind.missing()
        if why:
            tap.skip(f"{what} on {kind.name}", why)
            continue
        with kind() as server:
            b = Bench(server)
            print(f"# {kind.name}", flush=True)
            yield b
            b.close()


def timed(test, *args):
    start = time.monotonic()
    test(*args)
    print(f"# {test.__name__}: {time.monotonic() - start:.1f} s", flush=True)


def main():
    tap = kit.Tap()
    for b in benches(tap, "volumes"):
        for test in TESTS:
            if test not in ONCE or LONG or b.server.conditional:
                timed(test, tap, b)
    tap.done()


if __name__ == "__main__":
    main()
