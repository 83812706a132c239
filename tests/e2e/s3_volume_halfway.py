#!/usr/bin/env python3
"""Volumes in s3://bucket/prefix: what stops halfway. gc that fails or is
interrupted after it has moved something, repairs of what is damaged and of
what only cannot be read, and writers beside whoever takes things out. On both
servers of s3_volume.py.

    s3_volume_halfway.py [--long] [TEST...]     --long: all of it on both
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, ".."), os.path.join(HERE, "../server")]
import kit  # noqa: E402
import pulling  # noqa: E402
import s3_faults  # noqa: E402
from s3_volume import (BUCKET, DEAD, LONG, MIB, Machine,  # noqa: E402
                       benches, meanwhile, sha, sound, timed)

FREE = ("--grace", "0")


def direct(b):
    return kit.clean_env(b.dir, **b.server.env())


def cache(b, command, *args, env=None):
    return kit.run(["mlcache", command, "--volume", b.url, *args],
                   env or direct(b))


def through(b, faults):
    return kit.clean_env(b.dir, **dict(
        b.server.env(), AWS_ENDPOINT_URL_S3=faults.endpoint))


def put(b, *names):
    for name in names:
        b.write(name, name.encode())
        b.ml("put", name)


def tick():
    """The store tells seconds."""
    time.sleep(1.1)


def ref(b, name="files"):
    return sorted(b.keys(f"refs/{name}/"))[-1]


def catalog(b, name="files"):
    """The key of the one that counts."""
    h = b.plain.get(BUCKET, ref(b, name)).split(b"catalog ")[1][:64].decode()
    return f"{b.prefix}/v1/manifests/sha256/{h[:2]}/{h[2:4]}/{h}"


def point(b, at, text, move):
    """A move at that key as this one, but that it leads to another catalog."""
    h = sha(text)
    b.plain.put(BUCKET, f"{b.prefix}/v1/manifests/sha256/{h[:2]}/{h[2:4]}/{h}",
                text)
    body = re.sub(rb"\ncatalog .*", b"\ncatalog %s %d" % (
        h.encode(), len(text)), move.split(b"sum ")[0])
    b.plain.put(BUCKET, at, body + b"sum " + sha(body).encode() + b"\n")


def lie(b, change):
    """The put files' catalog is another one."""
    point(b, ref(b), change(b.plain.get(BUCKET, catalog(b))),
          b.plain.get(BUCKET, ref(b)))


class Beside:
    """A put of x that gc's first look does not see, and its second does: it
    begins when blobs are listed, and ends when told."""

    def __init__(self, b, name):
        self.b, self.name = b, name
        self.named, self.go_on = threading.Event(), threading.Event()
        self.done = None

    def __enter__(self):
        def hold(request, forward):
            self.named.set()
            self.go_on.wait(30)
            return forward()

        def begin(request, forward):
            self.thread.start()
            self.named.wait(30)
            return forward()

        self.thread = threading.Thread(target=self.put)
        self.b.harm(("PUT", "/refs/", hold))
        self.faults = s3_faults.Faults(self.b.server)
        self.faults.add("GET", "v1%2Fblobs%2F(&|$)", begin)
        return self

    def put(self):
        self.done = self.b.ml("put", self.name)

    def end(self):
        self.go_on.set()
        self.thread.join(30)
        self.b.harm()

    def __exit__(self, *exc):
        self.go_on.set()
        self.faults.stop()


def two_gone(b):
    """Names of two files without a name, in the order of their digests."""
    xs = sorted(("one", "two", "three", "four"), key=lambda n: sha(n.encode()))
    for name in (xs[0], xs[-1]):
        put(b, name)
        b.ml("rm", name)
    tick()
    return xs[0], xs[-1]


def test_gc_fails(tap, b):
    b.next("gc-fails")
    x, y = two_gone(b)
    with Beside(b, x) as beside:
        beside.faults.add("PUT", "/trash/.*" + sha(y.encode()),
                          s3_faults.answer(400, code="Odd"), 99)
        gc = cache(b, "gc", *FREE, env=through(b, beside.faults))
        beside.end()
        again = cache(b, "gc", *FREE, env=through(b, beside.faults))
    tap.ok(gc.returncode not in (0, 6) and again.returncode == gc.returncode
           and beside.done.returncode == 0 and
           b.bytes_of(x) == (0, x.encode()) and sound(b) == [],
           "a gc that fails after it has moved something puts back what is "
           "needed", f"{gc.stderr}{again.stderr}{b.bytes_of(x)}")
    b.next("gc-stuck")
    x, y = two_gone(b)
    with s3_faults.Faults(b.server) as f:
        f.add("PUT", "/trash/.*" + sha(y.encode()),
              s3_faults.answer(403, code="InvalidObjectState"), 99)
        gc = cache(b, "gc", *FREE, env=through(b, f))
    tap.ok(gc.returncode == 0 and "in an archive" in gc.stderr and
           b.blob(x.encode()) not in b.keys() and
           b.blob(y.encode()) in b.keys() and not b.keys("trash/"),
           "an object that cannot be moved stays, and is told; the others go",
           gc.stderr)
    b.next("gc-trash")
    x, y = two_gone(b)
    with Beside(b, y) as beside:
        beside.faults.add("DELETE", "/trash/.*" + sha(x.encode()),
                          s3_faults.answer(403, code="AccessDenied"), 99)
        gc = cache(b, "gc", *FREE, env=through(b, beside.faults))
        beside.end()
    tap.ok(gc.returncode not in (0, 6) and beside.done.returncode == 0 and
           b.bytes_of(y) == (0, y.encode()) and sound(b) == [],
           "nor does a trash that cannot be emptied keep it away", gc.stderr)
    b.next("gc-blind")
    x, y = two_gone(b)
    put(b, "keep")
    with s3_faults.Faults(b.server) as f:
        f.add("DELETE", "/blobs/.*" + sha(y.encode()), meanwhile(
            lambda: b.plain.flip(BUCKET, ref(b), 12)))
        gc = cache(b, "gc", *FREE, env=through(b, f))
    tap.ok(gc.returncode == 6 and "is put back" in gc.stderr and
           "nothing was removed" not in gc.stderr and
           {b.blob(x.encode()), b.blob(y.encode())} <= set(b.keys()),
           "where it can no longer be told what is needed all comes back",
           gc.stderr)


def removed(done):
    """What gc says that it has removed, and freed."""
    doc = json.loads(done.stdout or '{"removed": [], "freed": 0}')
    return {r["name"] for r in doc["removed"]}, doc["freed"]


class Ending:
    """A put that fails, of a store that then has no answer any more; other
    tests go on meanwhile."""

    def __init__(self, b):
        b.next("ending")
        b.write("x", b"x")
        self.faults = s3_faults.Faults(b.server)
        self.faults.add("PUT", "/refs/",
                        s3_faults.answer(403, code="AccessDenied"), 99)
        self.faults.add("DELETE", "/leases/",
                        s3_faults.answer(503, code="SlowDown"), 999)
        self.begun = time.monotonic()
        self.put = subprocess.Popen(
            [kit.program("mlfetch"), "put", b.url, "x"], cwd=b.cwd,
            env=through(b, self.faults), stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def end(self, tap):
        status = self.put.wait()
        took = time.monotonic() - self.begun
        self.faults.stop()
        tap.ok(status == 4 and took < 30, "what is only given back is not "
               "tried for long", f"{status} {took}")


def test_gc_refused(tap, b):
    """Rights that are missing."""
    ending = Ending(b)
    b.next("gc-hold")
    x, y = two_gone(b)
    b.harm(("DELETE", "/blobs/.*" + sha(y.encode()),
            s3_faults.answer(403, code="AccessDenied"), 99),
           ("GET", "[?&]uploads", s3_faults.answer(403, code="AccessDenied"),
            99))
    gc = cache(b, "gc", "--json", *FREE, env=b.env)
    b.harm()
    names, freed = removed(gc)
    tap.ok(gc.returncode == 0 and "stays that nobody needs" in gc.stderr and
           b.blob(y.encode()) in b.keys() and not b.keys("trash/") and
           b.blob(x.encode()).split("/v1/")[1] in names and
           not any(sha(y.encode()) in n for n in names),
           "what may not be deleted stays once, and is not called freed",
           f"{gc.stderr}{names}{b.keys('trash/')}")
    tap.ok("s3:ListBucketMultipartUploads" in gc.stderr,
           "nor is a list of uploads that is refused the end of it", gc.stderr)
    b.next("gc-append")
    two_gone(b)
    before = set(b.keys("blobs/"))
    b.harm(("DELETE", "", s3_faults.answer(403, code="AccessDenied"), 99))
    gc = cache(b, "gc", "--json", *FREE, env=b.env)
    b.harm()
    tap.ok(gc.returncode == 4 and removed(gc) == (set(), 0) and
           before <= set(b.keys("blobs/")) and len(b.keys("trash/")) == 1,
           "without the right to delete no more than one copy is made",
           f"{gc.returncode} {gc.stderr}{b.keys('trash/')}")
    b.next("gc-told")
    x, y = two_gone(b)
    b.harm(("DELETE", "/trash/.*" + sha(y.encode()),
            s3_faults.answer(403, code="AccessDenied"), 99))
    gc = cache(b, "gc", "--json", *FREE, env=b.env)
    b.harm()
    tap.eq((gc.returncode, gc.stderr.count("s3://"), removed(gc)),
           (4, 1, ({b.blob(x.encode()).split("/v1/")[1]}, len(x))),
           "what went is told, also when the rest did not")
    gc_copies(tap, b)
    ending.end(tap)


def gc_copies(tap, b):
    b.next("gc-again")
    put(b, "keep")
    b.write("x", b"x")
    b.plain.put(BUCKET, b.blob(b"x"), b"short")
    tick()
    said = []
    b.harm(("PUT", "/trash/.*" + sha(b"x"), meanwhile(lambda: said.append(
        kit.run(["mlfetch", "put", b.url, "x"], direct(b),
                cwd=b.cwd).returncode))))
    gc = cache(b, "gc", *FREE, env=b.env)
    b.harm()
    tap.ok(said == [0] and gc.returncode == 0 and
           b.bytes_of("x") == (0, b"x") and sound(b) == [],
           "what was sent again since gc has copied it stays",
           f"{said}{gc.stderr}{b.bytes_of('x')}")
    b.next("gc-late")
    put(b, "keep")
    data = bytes(64 * MIB + 1)
    b.plain.put(BUCKET, b.blob(data), data)
    tick()
    b.harm(("PUT", "/trash/[^?]*$", s3_faults.answer(504), 99))
    gc = cache(b, "gc", *FREE, env=b.env)
    late = [t for m, t, _ in b.faults.seen
            if m == "PUT" and "/trash/" in t and "?" not in t]
    b.harm()
    tap.ok(gc.returncode == 0 and len(late) == 1 and
           b.blob(data) not in b.keys() and not b.keys("trash/"),
           "a copy that takes the store too long is made in parts", gc.stderr)


def interrupted(b, env, args, set_pid):
    p = subprocess.Popen(args, env=env, cwd=b.cwd, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    set_pid.append(p.pid)
    said = p.communicate(timeout=60)
    return p.returncode, said[1]


def test_interrupt(tap, b):
    b.next("interrupt")
    x, _ = two_gone(b)
    pid = []

    def stop(request, forward):
        answer = forward()
        os.kill(pid[0], signal.SIGINT)
        time.sleep(0.3)
        return answer

    with Beside(b, x) as beside:
        beside.faults.add("DELETE", "/blobs/", stop)
        status, said = interrupted(
            b, through(b, beside.faults),
            [kit.program("mlcache"), "gc", "--volume", b.url, *FREE], pid)
        beside.end()
    leases = b.keys("leases/")
    tap.ok(status == 130 and beside.done.returncode == 0 and
           b.bytes_of(x) == (0, x.encode()) and sound(b) == [] and
           not leases, "gc that is interrupted puts back what is needed",
           f"{status} {said} {b.bytes_of(x)} {leases}")
    done = cache(b, "gc", *FREE)
    tap.ok(done.returncode == 0, "and gives its turn back", done.stderr)
    pid.clear()
    b.harm(("PUT", "/turn/", stop))
    status, said = interrupted(
        b, b.env, [kit.program("mlcache"), "gc", "--volume", b.url, *FREE],
        pid)
    b.harm()
    done = cache(b, "gc", *FREE)
    tap.ok(status == 130 and done.returncode == 0,
           "also one that it was just taking", said + done.stderr)
    b.write("new", b"new")
    pid.clear()
    b.harm(("PUT", "/blobs/", stop))
    status, said = interrupted(
        b, b.env, [kit.program("mlfetch"), "put", b.url, "new"], pid)
    b.harm()
    tap.ok(status == 130 and not b.keys("leases/"),
           "an interrupted put takes its claim back", said)
    pid.clear()
    b.harm(("PUT", "/refs/", stop))
    status, said = interrupted(
        b, b.env, [kit.program("mlfetch"), "put", b.url, "new"], pid)
    b.harm()
    tap.ok(status == 130 and "may have been done" in said and
           "new" in b.names(), "one whose last answer is lost says so", said)


def test_dry(tap, b):
    b.next("dry")
    two_gone(b)
    old = f"{b.prefix}/v1/leases/" + "0" * 16
    b.plain.put(BUCKET, old, b"ml-lease 1\nwho eve\n" + b"0" * 64 + b"\n")
    before = b.keys()
    tick()
    b.watch()
    done = cache(b, "gc", "--dry-run", *FREE,
                 env=through(b, b.faults))
    asked = {method for method, _, _ in b.faults.seen}
    tap.ok(done.returncode == 0 and b.keys() == before and
           "object " in done.stdout and asked == {"GET", "HEAD"},
           "gc --dry-run changes nothing, and writes nothing",
           f"{asked}{done.stdout}{done.stderr}")
    b.plain.put(BUCKET, old, b"ml-lease 2\nwho eve\n" + b"0" * 64 + b"\n")
    blobs = b.keys("blobs/")
    done = cache(b, "gc", *FREE)
    tap.ok(done.returncode == 6 and "leases/" in done.stderr and
           b.keys("blobs/") == blobs, "with a damaged claim gc removes nothing",
           done.stderr)


def test_refused(tap, b):
    """Odd answers are not damage."""
    b.next("refused")
    put(b, "one", "two")
    both = b.names()
    for key in (catalog(b), ref(b)):
        b.harm(("GET", key.split("/v1/")[1],
                s3_faults.answer(400, b"<html>proxy"), 4))
        done = cache(b, "verify", "--repair", env=b.env)
        b.harm()
        tap.ok(done.returncode not in (0, 6) and b.names() == both and
               not b.keys("quarantine/"), "what the store only refuses is not "
               "damage: verify --repair leaves it as it is",
               done.stdout + done.stderr)


def test_repair(tap, b):
    b.next("repair-unproven")
    put(b, "a")
    b.plain.flip(BUCKET, ref(b), 12)
    b.plain.remove(BUCKET, b.blob(b"a"))
    done = cache(b, "verify", "--repair")
    tap.ok(done.returncode == 6 and "which was the last" in done.stdout and
           "missing" in done.stdout, "what a ref falls back to is proven, too",
           done.stdout + done.stderr)
    b.next("repair-two")
    model = b.at("m")
    pulling.make_model(model, 1 << 16)
    put(b, "one", "two")
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        Machine(b, "h", hub.url).run("pull", "org/m", "--volume", b.url)
    b.plain.flip(BUCKET, catalog(b), -2)
    b.plain.flip(BUCKET, sorted(b.keys("refs/hub/"))[-1], 12)
    b.harm(("PUT", "/quarantine/refs/hub",
            s3_faults.answer(403, code="AccessDenied"), 9))
    done = cache(b, "verify", "--repair", "--json", env=b.env)
    b.harm()
    wrong = json.loads(done.stdout or '{"wrong": []}')["wrong"]
    by = {w["ref"].split("/")[0]: w for w in wrong}
    tap.ok(done.returncode == 6 and by["files"]["repaired"] and
           by["files"]["last"] is False and by["files"]["step"] == 1 and
           not by["hub"]["repaired"] and "denied" in by["hub"]["why"] and
           set(b.names()) == {"one"},
           "one that cannot be mended does not hide what another lost",
           f"{done.stderr}{wrong}")
    before = len(b.keys("quarantine/"))
    for key in b.keys("manifests/"):
        b.plain.flip(BUCKET, key, 3)
    done = cache(b, "verify", "--repair")
    tap.ok(done.returncode == 6 and len(b.keys("quarantine/")) == before,
           "what cannot be mended is copied nowhere", done.stdout)
    b.next("repair-size")
    put(b, "a", "b")
    lie(b, lambda text: re.sub(
        rb" 1 (\d+ -)", rb" 2 \1", text, count=1))
    done = cache(b, "verify")
    tap.ok(done.returncode == 6 and not b.keys("quarantine/") and
           "catalog says" in done.stdout,
           "right bytes under a wrong size are moved nowhere",
           done.stdout + done.stderr)


def test_both_damaged(tap, b):
    """Two moves of one number, one of them damaged: both count."""
    b.next("both")
    put(b, "base")
    kept = []
    for name in ("one", "two"):
        b.write(name, name.encode())
        before = set(b.keys("refs/"))
        b.ml("put", name)
        new = (set(b.keys("refs/")) - before).pop()
        kept.append((new, b.plain.get(BUCKET, new)))
        b.plain.remove(BUCKET, new)
    for key, text in kept:
        b.plain.put(BUCKET, key, text)
    b.plain.flip(BUCKET, sorted(k for k, _ in kept)[0], 12)
    done = cache(b, "verify", "--repair")
    tap.ok(done.returncode == 0 and "which was the last" in done.stdout and
           set(b.names()) == {"base", "one", "two"} and sound(b) == [],
           "two writers' moves beside each other, one damaged: both count",
           done.stdout + done.stderr + str(b.names()))
    b.next("below")
    put(b, "base")
    below, text = ref(b), catalog(b)
    late, move = aside(b, "one")
    put(b, "two")
    b.plain.put(BUCKET, late, move)
    b.plain.flip(BUCKET, below, 12)
    b.plain.remove(BUCKET, text)
    tap.ok(set(b.names()) == {"base", "one", "two"} and sound(b) == [],
           "what both were made from is not needed any more", str(b.names()))
    b.next("both-order")
    put(b, "base")
    moves = []
    for data, tail in ((b"older", "f" * 16), (b"newer", "0" * 16)):
        b.write("a", data)
        before = set(b.keys("refs/"))
        b.ml("put", "a")
        new = (set(b.keys("refs/")) - before).pop()
        is_ = new[new.rindex("/") + 22:][:16]
        moves.append((new.replace("-" + is_, "-" + tail),
                      b.plain.get(BUCKET, catalog(b)).replace(
                          is_.encode(), tail.encode()),
                      b.plain.get(BUCKET, new)))
        b.plain.remove(BUCKET, new)
    for move in moves:
        point(b, *move)
        tick()
    before = b.bytes_of("a")
    b.plain.flip(BUCKET, moves[1][0], -3)
    done = cache(b, "verify", "--repair")
    tap.ok(done.returncode == 0 and before == (0, b"older") == b.bytes_of("a"),
           "and of a name that both have changed the older one, as before",
           f"{done.stdout}{done.stderr}{before}{b.bytes_of('a')}")


def aside(b, name):
    """Put it, and take its move away again: the key, and the text."""
    put(b, name)
    key, text = ref(b), b.plain.get(BUCKET, ref(b))
    b.plain.remove(BUCKET, key)
    return key, text


def a_year_old(b):
    """The list says that its objects were written a year ago."""
    year = int(time.strftime("%Y", time.gmtime()))
    b.harm(("GET", "refs%2F", s3_faults.changed(lambda a: a.replace(
        b"<LastModified>%d" % year, b"<LastModified>%d" % (year - 1))), 99))


def test_tidy(tap, b):
    """gc beside moves that did not know of each other."""
    b.next("tidy")
    put(b, "one")
    first = ref(b)
    late, text = aside(b, "two")
    put(b, "three")
    b.plain.put(BUCKET, late, text)
    both = {late, ref(b)} | set(b.keys("refs/")) - {first}
    tick()
    done = cache(b, "gc", *FREE)
    tap.ok(done.returncode == 0 and set(b.keys("refs/")) == both | {first},
           "gc leaves moves that have not stood for a day", done.stderr)
    a_year_old(b)
    done = cache(b, "gc", *FREE, env=b.env)
    b.harm()
    tap.ok(done.returncode == 0 and set(b.keys("refs/")) == both | {first} and
           set(b.names()) == {"one", "two", "three"},
           "nor what several that count have in common", done.stderr)
    put(b, "four")
    a_year_old(b)
    done = cache(b, "gc", *FREE, env=b.env)
    b.harm()
    tap.ok(done.returncode == 0 and len(b.keys("refs/")) == 1 and
           set(b.names()) == {"one", "two", "three", "four"} and
           sound(b) == [], "once one covers both they go", done.stderr)


def test_unseen(tap, b):
    """Moves that others did not know of."""
    b.next("unseen")
    put(b, "one")
    late, text = aside(b, "late")
    put(b, "seen")

    def meanwhile(request, forward):
        b.plain.put(BUCKET, late, text)
        return forward()

    b.harm(("PUT", "/refs/", meanwhile, 1))
    done = b.ml("put", b.write("next", b"next"))
    b.harm()
    tap.ok(done.returncode == 0 and
           set(b.names()) == {"one", "late", "seen", "next"},
           "a move that comes late, two others behind it, is not lost",
           f"{done.stderr}{b.names()}")
    b.next("hidden")
    put(b, "one", "two")
    hidden = ref(b).rsplit("/", 1)[1].encode()
    b.harm(("GET", "refs%2F", s3_faults.changed(lambda a: re.sub(
        rb"<Contents>(?:(?!</Contents>).)*" + hidden + rb".*?</Contents>",
        lambda m: b" " * len(m[0]), a, flags=re.S)), 99))
    done = kit.run(["mlfetch", "put", b.url, b.write("three", b"three")],
                   b.env, cwd=b.cwd)
    b.harm()
    tap.ok(done.returncode == 0 and set(b.names()) == {"one", "two", "three"},
           "nor one that a late list hides from the next writer",
           f"{done.stderr}{b.names()}")
    b.ml("rm", "two")
    tap.eq(set(b.names()), {"one", "three"}, "and what goes then is gone")


def beside(b, *args):
    """The same command line by somebody else."""
    return kit.run(["mlfetch", args[0], b.url, *args[1:]], direct(b),
                   cwd=b.cwd).returncode


def put_beside(b, name):
    b.write(name, name.encode())
    return beside(b, "put", name)


def ahead(b, said, *args):
    """Another one's move is made right before the next one through b."""
    def act(request, forward):
        said.append(beside(b, *args))
        tick()
        return forward()

    b.harm(("PUT", "/refs/", act, 1))


def test_crossed(tap, b):
    """Each of two covers what two others have left: two moves in common."""
    b.next("crossed")
    put(b, "base")
    for name in "xyp":
        b.write(name, name.encode())
    said = []
    ahead(b, said, "put", "x")
    said.append(b.ml("put", "y").returncode)
    ahead(b, said, "put", "p")
    said.append(b.ml("rm", "x").returncode)
    b.harm()
    tap.ok(said == [0] * 4 and set(b.names()) == {"base", "y", "p"},
           "what goes beside another's put is gone, whatever both were made of",
           f"{said}{b.names()}{b.keys('refs/')}")
    said.clear()
    put(b, "x")
    for name, data in (("x", b"new"), ("z", b"z"), ("q", b"q")):
        b.write(name, data)
    ahead(b, said, "put", "-f", "x")
    said.append(b.ml("put", "z").returncode)
    b.write("x", b"newest")
    ahead(b, said, "put", "q")
    said.append(b.ml("put", "-f", "x").returncode)
    b.harm()
    tap.ok(said == [0] * 4 and b.bytes_of("x") == (0, b"newest") and
           sound(b) == [], "and what is put is what counts",
           f"{said}{b.bytes_of('x')}{b.keys('refs/')}")


def test_slow_beside(tap, b):
    """B reads, A moves, A2 reads; B moves, A2 moves: gc may take nothing."""
    b.next("slow-beside")
    put(b, "g", "f")
    b.write("f", b"new")
    b.write("b", b"b")
    said, read, moved = [], threading.Event(), threading.Event()
    slow = s3_faults.Faults(b.server)

    def wait(request, forward):
        read.set()
        moved.wait(60)
        tick()
        return forward()

    slow.add("PUT", "/refs/", wait, 1)
    a2 = threading.Thread(target=lambda: said.append(kit.run(
        ["mlfetch", "rm", b.url, "g"], through(b, slow)).returncode))

    def between(request, forward):
        said.append(beside(b, "put", "-f", "f"))
        tick()
        a2.start()
        read.wait(60)
        return forward()

    b.harm(("PUT", "/refs/", between, 1))
    said.append(b.ml("put", "b").returncode)
    b.harm()
    moved.set()
    a2.join()
    slow.stop()
    before = b.names()
    tick()
    a_year_old(b)
    done = cache(b, "gc", *FREE, env=b.env)
    b.harm()
    tap.ok(said == [0] * 3 and done.returncode == 0 and
           set(before) == {"b", "f"} and b.names() == before and
           b.bytes_of("f") == (0, b"new") and sound(b) == [],
           "what a move beside others was made from stays",
           f"{said}{done.stderr}{before}{b.names()}{b.keys('refs/')}")


def test_last(tap, b):
    """A number behind which there is none."""
    b.next("last")
    put(b, "one")
    key, text = ref(b), b.plain.get(BUCKET, ref(b))
    folder = key.rsplit("/", 1)[0]
    b.plain.put(BUCKET, f"{folder}/{2 ** 64 - 1:020}-{'f' * 16}", text)
    tap.ok(b.ml("put", b.write("two", b"2")).returncode == 0 and
           set(b.names()) == {"one", "two"}, "what is no move is passed over")
    b.plain.put(BUCKET, f"{folder}/{2 ** 60:020}-{'f' * 16}", text)
    done = b.ml("put", b.write("three", b"3"))
    tap.ok(done.returncode == 8 and "no numbers left" in done.stderr and
           set(b.names()) == {"one", "two"}, "and behind the last none is made",
           f"{done.returncode}{done.stderr}{b.names()}")


def test_clash(tap, b):
    """Two who do not know of each other mean different things by one name."""
    b.next("clash")
    put(b, "base")
    b.write("in/one", b"one")
    b.write("in/same", b"mine")
    theirs = b.write("theirs", b"theirs")
    said = []

    def first(request, forward):
        said.append(kit.run(["mlfetch", "put", b.url, theirs, "in/same"],
                            direct(b), cwd=b.cwd).returncode)
        return forward()

    b.harm(("PUT", "/refs/", first, 1))
    done = b.ml("put", "in")
    b.harm()
    tap.ok(said == [0] and done.returncode == 1 and
           "another process" in done.stderr and
           "the rest was done" in done.stderr and
           set(b.names()) == {"base", "in/one", "in/same"} and
           b.bytes_of("in/same") == (0, b"theirs"),
           "who sees the other's leaves it, and is told",
           f"{said}{done.returncode}{done.stderr}{b.names()}")
    for third in ("before its second move", "before its second look"):
        b.next("clash-" + third[-4:])
        put(b, "base")
        said.clear()
        for who, files in (("a", "xy"), ("b", "x"), ("c", "yz")):
            for name in files:
                b.write(f"{who}/in/{name}",
                        who.encode() if name == "x" else name.encode())

        def other(who):
            said.append(kit.run(["mlfetch", "put", b.url, "in"], direct(b),
                                cwd=b.at(who)).returncode)
            tick()

        def before(who):
            def act(request, forward):
                other(who)
                return forward()
            return act

        def around(request, forward):
            other("b")
            answer = forward()
            other("c")
            return answer

        b.harm(*([("PUT", "/refs/", before("b"), 1),
                  ("PUT", "/refs/", before("c"), 1)] if "move" in third else
                 [("PUT", "/refs/", around, 1)]))
        done = kit.run(["mlfetch", "put", b.url, "in"], b.env, cwd=b.at("a"))
        b.harm()
        tap.ok(said == [0] * 2 and done.returncode == 1 and
               set(b.names()) == {"base", *(f"in/{n}" for n in "xyz")} and
               b.bytes_of("in/x") == (0, b"b") and sound(b) == [],
               f"what a third one puts {third} stays", f"{said}{done.stderr}"
               f"{b.names()}")
    b.next("clash-last")
    put(b, "base")
    b.harm(("GET", "refs%2F", s3_faults.answer(403, code="AccessDenied"), 9,
            2))
    done = b.ml("put", b.write("one", b"one"))
    b.harm()
    tap.ok(done.returncode == 4 and "done, but what others did" in done.stderr
           and set(b.names()) == {"base", "one"},
           "an error after the move says that it was made", done.stderr)


def test_asleep(tap, b):
    """gc takes what a writer has read, before that one moves."""
    b.next("asleep")
    put(b, "base")
    b.write("slept", b"slept")

    def act(request, forward):
        put_beside(b, "beside")
        tick()
        year = b"%d" % int(time.strftime("%Y", time.gmtime()))
        aged = s3_faults.Faults(b.server)
        aged.add("GET", "refs%2F", s3_faults.changed(lambda a: a.replace(
            b"<LastModified>" + year, b"<LastModified>2000")), 99)
        said.append(cache(b, "gc", *FREE, env=through(b, aged)).returncode)
        aged.stop()
        said.append(len(b.keys("refs/")))
        return forward()

    said = []
    b.harm(("PUT", "/refs/", act, 1))
    done = b.ml("put", "slept")
    b.harm()
    tap.ok(said == [0, 1] and done.returncode == 0 and
           set(b.names()) == {"base", "beside", "slept"},
           "what it put is beside what others did", f"{said}{done.stderr}"
           f"{b.names()}{b.keys('refs/')}")
    b.ml("rm", "beside")
    tap.ok(set(b.names()) == {"base", "slept"} and sound(b) == [],
           "and the next one goes on from both")


def test_layers(tap, b):
    """Eight writers each, again and again beside each other."""
    b.next("layers")
    put(b, "x")
    own = ref(b)
    folder, below = own.rsplit("/", 1)[0], [own.rsplit("-", 1)[1]]
    move, text = b.plain.get(BUCKET, own), b.plain.get(BUCKET, catalog(b))
    head, line = text.split(b"files 1\n")
    lines = [line]
    for number in range(2, 6):
        ids = [f"{number:08x}{i:08x}" for i in range(8)]
        each = [b"move %d %s\n%s" % (
            number, i.encode(), line.split(b"\n")[1].replace(
                b" + x", b" + x%d-%d" % (number, k)) + b"\n")
            for k, i in enumerate(ids)]
        for i, mine in zip(ids, each):
            names = sorted(lines + [mine], key=lambda l: l.split(b" + ")[1])
            point(b, f"{folder}/{number:020}-{i}-" + "-".join(below),
                  head + b"files %d\n" % len(names) + b"".join(names), move)
        below = ids
        lines += each
    b.watch()
    names = set(kit.run(["mlfetch", "ls", b.url, "--json"], b.env,
                        cwd=b.cwd).stdout.split('"'))
    n = len(b.faults.seen)
    b.harm()
    tap.ok(n < 30 and all(f"x{d}-{i}" in names for d in range(2, 6)
                          for i in range(8)),
           f"are read with {n} requests")


def test_crowd(tap, b):
    """More moves beside each other than one can cover."""
    b.next("crowd")
    put(b, "x")
    own = ref(b)
    move, text = b.plain.get(BUCKET, own), b.plain.get(BUCKET, catalog(b))
    for i in range(50):
        point(b, f"{own[:-16]}{i:016x}", text.replace(
            b" + x\n", b" + x%d\n" % i).replace(
                own[-16:].encode(), b"%016x" % i), move)
    all_of_them = {"x", *(f"x{i}" for i in range(50))}
    tap.eq(set(b.names()), all_of_them,
           "what 51 writers have begun is read together")
    done = b.ml("put", "x", "y")
    tap.ok(done.returncode == 0 and set(b.names()) == all_of_them | {"y"},
           "and the next one puts it together", done.stderr)
    a_year_old(b)
    cache(b, "gc", *FREE, env=b.env)
    b.harm()
    tap.ok(len(b.keys("refs/")) == 1 and
           set(b.names()) == all_of_them | {"y"}, "all of it",
           str(b.keys("refs/")))


def test_unread(tap, b):
    """One object that the store does not hand out."""
    b.next("unread")
    for name in ("one", "two", "six"):
        b.write("in/" + name, name.encode())
    b.ml("put", "in")
    b.plain.put(BUCKET, b.blob(b"two"), b"TWO")
    rule = ("GET", "/blobs/.*" + sha(b"one"),
            s3_faults.answer(403, code="InvalidObjectState"), 9)
    b.harm(rule)
    done = cache(b, "verify", "--json", env=b.env)
    doc = json.loads(done.stdout or '{"wrong": [], "unreadable": 0}')
    kinds = {w["name"]: (w["kind"], bool(w["moved_to"])) for w in doc["wrong"]}
    tap.ok(done.returncode == 6 and doc["unreadable"] == 1 and
           kinds == {"in/one": ("unreadable", False),
                     "in/two": ("damaged", True)},
           "what cannot be read does not hide what is wrong",
           f"{done.stderr}{kinds}")
    b.ml("put", "in")
    b.harm(rule)
    done = cache(b, "verify", env=b.env)
    b.harm()
    tap.ok(done.returncode == 1 and "in an archive" in done.stdout and
           "could not be read" in done.stderr, "and is no damage",
           f"{done.returncode}{done.stdout}{done.stderr}")


def test_pipe(tap, b):
    """What cannot be proven on its way."""
    b.next("pipe")
    put(b, "a", "b")
    b.plain.put(BUCKET, b.blob(b"b"), bytes(64 * MIB + 1))
    tap.eq(b.bytes_of("b"), (6, b""), "an object that is far too long is wrong")
    lie(b, lambda text: re.sub(
        rb" 1 (\d+ -)", rb" 67108865 \1", text, count=1))
    done = b.ml("get", "a", "-")
    other = b.ml("get", "b", "-")
    tap.ok("get it to a file" in done.stderr + other.stderr,
           "one without digests of its pieces is not called wrong",
           f"{done.stderr}{other.stderr}")


def test_verify_beside(tap, b):
    """A put mends what verify is about to set aside."""
    b.next("verify-beside")
    put(b, "a")
    good = b.blob(b"a")
    said = []

    def mend():
        said.append(kit.run(["mlfetch", "put", b.url, "a", "again"], direct(b),
                            cwd=b.cwd).returncode)

    b.plain.put(BUCKET, good, b"short")
    b.harm(("PUT", "/quarantine/", meanwhile(mend)))
    done = cache(b, "verify", env=b.env)
    b.harm()
    tap.ok(said == [0] and done.returncode == 6 and
           b.bytes_of("again") == (0, b"a") and sound(b) == [],
           "what a put has just sent is not deleted by verify",
           f"{said}{done.stdout}{done.stderr}")


def test_main_beside(tap, b):
    """A pull that asked the Hub before another one, and ends after it."""
    b.next("main-beside")
    model = b.at("m")
    pulling.make_model(model, 1 << 16)
    said = []

    def later(request, forward):
        with open(model + "/NEW", "w") as f:
            f.write("new")
        with kit.Hub({"org/m": {"dir": model}}) as hub:
            two = Machine(b, "two", hub.url)
            env = dict(direct(b), HOME=two.home, HF_ENDPOINT=hub.url,
                       HF_HOME=two.home + "/hf")
            said.append(kit.run(["mlfetch", "pull", "org/m", "--volume",
                                 b.url], env, cwd=two.home))
        return forward()

    with kit.Hub({"org/m": {"dir": model}}) as hub:
        one = Machine(b, "one", hub.url)
        spool = one.home + "/.cache/mlfetch/spool/"
        for name, age in (("0" * 16, 8), ("1" * 16, 6)):
            os.makedirs(spool + name)
            with open(spool + name + "/part", "w"):
                pass
            with open(spool + name + ".lock", "w") as f:
                os.utime(f.fileno(), (time.time() - age * 86400,) * 2)
        b.harm(("PUT", "/refs/hub/models--org--m/[0-9a-f]{40}/", later))
        done = one.run("pull", "org/m", "--volume", b.url)
        b.harm()
    tap.eq(sorted(os.listdir(spool)), ["1" * 16, "1" * 16 + ".lock"],
           "a spool goes at the end, and when nobody has used it for a week")
    back = Machine(b, "back", DEAD)
    last = back.run("pull", "org/m", "--from", b.url).stdout.strip()
    tap.ok(done.returncode == 0 and [d.returncode for d in said] == [0] and
           "another pull" in done.stderr and os.path.exists(last + "/NEW") and
           sound(b) == [], "a branch does not go back to an older commit",
           f"{done.stderr}{said}{last}")
    tap.eq([back.run("pull", "org/m", "--from", b.url, *more).returncode
            for more in (("--jobs", "2"), ("--limit-rate", "1M"))], [2, 2],
           "--from takes no option that it does not heed")


def test_rm_beside(tap, b):
    b.next("rm-beside")
    model = b.at("m")
    pulling.make_model(model, 1 << 16)
    said = []
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        one = Machine(b, "one", hub.url)
        one.run("lock", "org/m", "-o", "l")
        with open(one.home + "/l") as f:
            commit = json.load(f)["repositories"][0]["commit"]
        one.run("pull", "org/m@" + commit, "--volume", b.url)

        def rm(request, forward):
            said.append(cache(b, "rm", "org/m@" + commit, "-y").returncode)
            return forward()

        b.harm(("PUT", "/refs/hub/models--org--m/main/", rm))
        done = one.run("pull", "org/m", "--volume", b.url)
        b.harm()
    back = Machine(b, "back", DEAD).run("pull", "org/m", "--from", b.url)
    tap.ok((done.returncode, said, back.returncode) == (0, [0], 0) and
           sound(b) == [], "a pull beside the removal of its commit is there",
           done.stderr + back.stderr)
    with open(model + "/NEW", "w") as f:
        f.write("new")
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        two = Machine(b, "two", hub.url)

        def pull():
            env = dict(direct(b), HOME=two.home, HF_ENDPOINT=hub.url,
                       HF_HOME=two.home + "/hf")
            said.append(kit.run(["mlfetch", "pull", "org/m", "--volume",
                                 b.url], env, cwd=two.home).returncode)

        b.harm(("PUT", "/leases/", meanwhile(pull)))
        done = cache(b, "rm", "org/m@" + commit, "-y", env=b.env)
        b.harm()
    back = Machine(b, "back2", DEAD).run("pull", "org/m", "--from", b.url)
    old = Machine(b, "old", DEAD).run("pull", "org/m@" + commit, "--from",
                                      b.url)
    tap.ok((done.returncode, said, back.returncode, old.returncode) ==
           (0, [0, 0], 0, 3), "the removal of an old commit leaves a branch "
           "that has moved on", done.stderr + back.stderr + old.stderr)
    said.clear()
    with kit.Hub({"org/m": {"dir": model}}) as hub:
        three = Machine(b, "three", hub.url)

        def first(request, forward):
            env = dict(direct(b), HOME=three.home, HF_ENDPOINT=hub.url,
                       HF_HOME=three.home + "/hf")
            said.append(kit.run(["mlfetch", "pull", "org/m", "--volume",
                                 b.url], env, cwd=three.home).returncode)
            return forward()

        b.harm(("PUT", "/refs/hub/models--org--m/[0-9a-f]{40}/", first))
        done = cache(b, "rm", "org/m", "-y", env=b.env)
        b.harm()
    tap.ok((done.returncode, said) == (0, [0]) and sound(b) == [],
           "nor does one leave a branch that a pull has written meanwhile",
           f"{done.stderr}{said}{sound(b)}")
    done = cache(b, "rm", "org/m@v1", "-y")
    tap.ok(done.returncode == 3 and "brings it there" not in done.stderr,
           "who removes what is not there is not told to bring it",
           done.stderr)


def test_rollback(tap, b):
    """gc has taken what was before the last put."""
    b.next("rollback")
    put(b, "one", "two")
    tick()
    cache(b, "gc", *FREE)
    tick()
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    log = b.ml("log")
    done = b.ml("rollback", when)
    tap.ok(log.returncode == 0 and "2" in log.stdout and
           done.returncode == 0 and set(b.names()) == {"one", "two"},
           "log and a rollback to a moment after the last put, after gc",
           f"{log.stdout!r}{log.stderr}{done.returncode}{done.stderr}")
    b.write("three", b"three")
    b.ml("put", "three")
    lie(b, lambda text: re.sub(rb"\nwhen \d+", lambda m: b"\nwhen %d" % (
        int(m[0].split()[1]) - 7200), text, count=1))
    done = b.ml("rollback", when)
    early = b.ml("rollback", "2000-01-01")
    tap.ok(done.returncode == 0 and set(b.names()) == {"one", "two"} and
           early.returncode == 3, "and before the next one, of a clock that is behind",
           done.stderr + early.stderr)


APPEND = [test_both_damaged, test_tidy, test_unseen, test_crossed,
          test_slow_beside, test_asleep, test_layers, test_last, test_clash,
          test_crowd]
# on the slower one, too, what depends on how a store keeps refs and turns
BOTH = [test_interrupt, test_both_damaged, test_tidy, test_unseen, test_crossed,
        test_asleep, test_layers, test_clash]
TESTS = [test_gc_fails, test_gc_refused, test_interrupt, test_dry,
         test_refused, test_repair, test_both_damaged, test_tidy, test_unseen,
         test_crossed, test_slow_beside, test_asleep, test_layers, test_last,
         test_clash, test_crowd, test_unread, test_pipe, test_verify_beside,
         test_main_beside, test_rm_beside, test_rollback]


def main():
    tap = kit.Tap()
    wanted = [a for a in sys.argv[1:] if a != "--long"]
    for b in benches(tap, "volumes"):
        for test in TESTS:
            if (test in APPEND if b.server.conditional
                    else test not in BOTH and not (LONG or wanted)) or \
                    (wanted and test.__name__ not in wanted):
                continue
            timed(test, tap, b)
    tap.done()


if __name__ == "__main__":
    main()
