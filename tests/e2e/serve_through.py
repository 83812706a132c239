#!/usr/bin/env python3
"""A mirror in front of a Hub: what it does not hold is fetched once for all
who ask, passed on while it comes, and kept. The Hub is slow, wrong, away;
clients leave; the mirror is killed. --long: 1 GB, in place of 64 MiB."""
import concurrent.futures
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disks import Disk, cannot  # noqa: E402
from pulling import (MIB, ODD, World, good, kit, make_model,  # noqa: E402
                     noise, write)

LONG = "--long" in sys.argv
BIG = (1000 if LONG else 64) * MIB
REPO = "acme/m"
FILE = "model.safetensors"
HELD_BACK = 64 << 10
CLIENTS = 32


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Mirror:
    """A mirror with a cache of its own; for `with`."""

    def __init__(self, upstream, *args, cache=None, **env):
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home, **env)
        if cache is not None:
            self.env["HF_HOME"] = cache  # on another disk
        self.root = os.path.join(self.env["HF_HOME"], "hub")
        self.args = ["--upstream", upstream, *args]
        self.port = 0

    def start(self):
        self.log = open(os.path.join(self.home, "log"), "a")
        self.proc = subprocess.Popen(
            [kit.program("mlfetch"), "serve", "--listen",
             f"127.0.0.1:{self.port}", "--name", "mill", *self.args],
            env=self.env, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = self.proc.stdout.readline().strip()
        self.port = urllib.parse.urlsplit(self.url).port
        return self

    __enter__ = start

    def stop(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        status = self.proc.wait(60)
        self.proc.stdout.close()
        self.log.close()
        return status

    ends = []  # of all mirrors that were not killed

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            Mirror.ends.append((self.stop(), self.said()[-2000:]))
        shutil.rmtree(self.home)

    def said(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8") as f:
            return f.read()

    def names(self, part, repo="acme/m"):
        folder = os.path.join(self.root, "models--" + repo.replace("/", "--"),
                              part)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def published(self, sha, repo="acme/m"):
        return soon(lambda: sha in self.names("blobs", repo))


def soon(what, wait=30):
    until = time.monotonic() + wait
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def summed(first, answer):
    """Of a body that would not fit into memory 32 times."""
    sha, n, room = hashlib.sha256(first), len(first), bytearray(MIB)
    while got := answer.readinto(room):
        sha.update(memoryview(room)[:got])
        n += got
    return sha.hexdigest(), n


class Answer:
    """One request, read to its end, or as far as it comes; hashed: its body
    is its digest and its length alone."""

    def __init__(self, url, path, method="GET", most=None, hashed=False,
                 **headers):
        parts = urllib.parse.urlsplit(url)
        self.conn = http.client.HTTPConnection(parts.hostname, parts.port,
                                               timeout=120)
        begin = time.monotonic()
        query = "?" + parts.query if parts.query else ""
        self.conn.request(method, parts.path + path + query,
                          headers={k.replace("_", "-"): v
                                   for k, v in headers.items()})
        answer = self.conn.getresponse()
        self.status = answer.status
        self.headers = dict(answer.getheaders())
        self.whole = True
        first = answer.read(1)
        self.first = time.monotonic() - begin
        try:
            if hashed:
                self.body = summed(first, answer)
            else:
                self.body = first + (answer.read() if most is None
                                     else answer.read(most))
        except http.client.IncompleteRead as e:
            self.body = first + e.partial
            self.whole = False
        except ConnectionError:
            self.body = first
            self.whole = False
        self.seconds = time.monotonic() - begin
        self.conn.close()

    def header(self, name):
        found = [v for k, v in self.headers.items()
                 if k.lower() == name.lower()]
        return found[0] if found else None


def resolve(name=FILE, rev="main", repo=REPO):
    return f"/{repo}/resolve/{rev}/{urllib.parse.quote(name)}"


def sent(hub, part=FILE):
    """Bytes of a file that the Hub gave out, from both of its hosts."""
    return sum(r["bytes"] for r in hub.log()
               if part in r["path"] and r["status"] in (200, 206))


class Relay:
    """A way to the Hub that can be cut, and come back."""

    def __init__(self, url):
        self.to = (urllib.parse.urlsplit(url).hostname,
                   urllib.parse.urlsplit(url).port)
        self.socks = set()
        self.lock = threading.Lock()
        self.passed = 0  # bytes, both ways
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, args=(self.listener,),
                         daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            other = socket.create_connection(self.to)
            with self.lock:
                self.socks |= {one, other}
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self.copy, args=(a, b),
                                 daemon=True).start()

    def copy(self, a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
                with self.lock:
                    self.passed += len(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for s in self.socks:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()
            self.socks.clear()


def cold(tap, hub, files):
    with Mirror(hub.url) as m:
        hub.reset()
        head = Answer(m.url, resolve(), "HEAD")
        tap.eq((head.status, head.header("Content-Length"),
                head.header("ETag"), head.header("X-Repo-Commit") is not None),
               (200, str(len(files[FILE])), f'"{digest(files[FILE])}"', True),
               "HEAD of what is not held is answered from the listing")
        tap.eq([r["path"] for r in hub.log() if "/resolve" in r["path"] or
                r["host"] == "bytes"], [], "without a byte of the file")
        tap.eq(m.names("blobs"), [], "nor is anything fetched")
        for name, data in files.items():
            got = Answer(m.url, resolve(name))
            tap.ok(got.status == 200 and got.body == data,
                   f"a cold {name} comes right", got.status)
        tap.ok(soon(lambda: m.names("refs") == ["main"]),
               "the branch is known here now")
        for name in m.names("trees"):
            write(os.path.join(m.root, "models--acme--m/trees", name), b"{")
        tap.ok(soon(lambda: Answer(m.url, resolve(), "HEAD").status == 200, 9),
               "a damaged listing is asked for anew", m.said())
        hub.reset()
        got = Answer(m.url, resolve())
        tap.eq((got.body == files[FILE], len(hub.log())), (True, 0),
               "what is held costs the Hub nothing, nor does its branch")
        asked = [Answer(m.url, "/api/models/acme/none").status for _ in "ab"]
        tap.eq((asked, len(hub.log())), ([404, 404], 1),
               "that there is no such repository is asked once")
        none = Answer(m.url, "/api/models/acme/none")
        tap.ok(none.header("X-Error-Code") == "RepoNotFound",
               "and is said as the Hub says it", none.headers)
        hub.reset()
        none = Answer(m.url, resolve("adapter_config.json"), "HEAD")
        tap.eq((none.status, none.header("X-Error-Code"), len(hub.log())),
               (404, "EntryNotFound", 0), "a file that is not listed: no "
               "question at all")
        gone = Answer(m.url, resolve(rev="nope"))
        tap.eq((gone.status, gone.header("X-Error-Code")),
               (404, "RevisionNotFound"), "so with a revision")
        hub.faults([{"host": "hub", "path": "/api/*", "status": 429,
                     "times": -1}])
        m.stop()
        m.start()
        got = Answer(m.url, resolve("config.json"))
        tap.ok(got.body == files["config.json"], "what is held is served while "
               "the Hub asks to wait", (got.status, got.headers))
        hub.faults([])


def streaming(tap, hub, files):
    """The first byte comes when the Hub's does, not when the last one has."""
    hub.faults([{"host": "bytes", "path": "*" + FILE, "rate": 6 * MIB,
                 "times": -1}])
    direct = Answer(hub.url, resolve())
    direct = Answer(direct.header("Location"), "") if direct.status == 302 \
        else direct
    with Mirror(hub.url) as m:
        Answer(m.url, resolve(), "HEAD")
        got = Answer(m.url, resolve())
        print(f"# first byte: {got.first * 1000:.0f} ms through the mirror, "
              f"{direct.first * 1000:.0f} ms from the Hub")
        tap.ok(got.body == files[FILE] and got.first < got.seconds / 2,
               "a file is passed on while it comes",
               f"{got.first} of {got.seconds} s")
    hub.faults([])


def joining(tap, hub, big):
    """Everybody wants the same large file at once."""
    path = resolve("big.safetensors", repo="acme/big")
    want = (digest(big), len(big))
    hub.faults([{"host": "bytes", "path": "*big.safetensors",
                 "rate": len(big) // 24, "times": -1}])
    with Mirror(hub.url) as m:
        hub.reset()
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            got = list(pool.map(lambda _: Answer(m.url, path, hashed=True),
                                range(CLIENTS)))
        seconds = time.monotonic() - begin
        tap.eq({g.body for g in got}, {want},
               f"{CLIENTS} who ask for one cold file get it")
        tap.ok(max(g.first for g in got) < seconds / 2,
               "each while it comes", [g.first for g in got] + [seconds])
        log = hub.log()
        n = sent(hub, "big.safetensors")
        tap.ok(len(big) <= n < len(big) + 2 * MIB,
               "from one transfer", f"{n} bytes of {len(big)}")
        tap.eq(len([r for r in log if "/revision/" in r["path"]]), 1,
               "and one question which commit it is")
        print(f"# {CLIENTS} clients, {len(big) // MIB} MiB each: {seconds:.1f} "
              f"s, {CLIENTS * len(big) / seconds / 1e6:.0f} MB/s to all of "
              f"them; first bytes after {min(g.first for g in got):.3f} to "
              f"{max(g.first for g in got):.3f} s; the Hub sent "
              f"{n / len(big):.4f} of the file in "
              f"{sum(r['bytes'] > 0 for r in log)} answers; "
              f"{peak(m) / 1e6:.0f} MB of memory at most")
    hub.faults([])


def peak(m):
    with open(f"/proc/{m.proc.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f
                    if line.startswith("VmHWM"))


def takes_anything(tap, hub, files):
    """The control: the same counter, and the same wrong byte, without a
    mirror in front."""
    hub.reset()
    for _ in range(2):
        follow(hub.url, resolve())
    tap.eq(sent(hub), 2 * len(files[FILE]),
           "control: two clients without a mirror are two transfers")
    hub.faults([flipped(1)])
    got = follow(hub.url, resolve())
    tap.ok(got.whole and got.body != files[FILE],
           "control: without a mirror a wrong byte is a success")
    hub.faults([])


def follow(url, path):
    got = Answer(url, path)
    return Answer(got.header("Location"), "") if got.status == 302 else got


def flipped(times):
    return {"host": "bytes", "path": "*" + FILE, "flip": 5 * MIB + 17,
            "times": times}


def wrong_bytes(tap, hub, files):
    want, sha = files[FILE], digest(files[FILE])
    with Mirror(hub.url) as m:
        hub.faults([flipped(-1)])
        got = Answer(m.url, resolve())
        tap.ok(got.status == 200 and not got.whole and
               len(got.body) <= len(want) - HELD_BACK,
               "who is sent wrong bytes sees a short body",
               f"{len(got.body)} of {len(want)}, whole: {got.whole}")
        tap.ok(soon(lambda: "digest" in m.said()) and
               sha not in m.names("blobs"),
               "and nothing is published", m.said())
        tap.ok(soon(lambda: "twice" in m.said()), "fetched twice, no more")
        again = Answer(m.url, resolve())
        tap.ok(again.status == 504 and
               "digest" in (again.header("X-Error-Message") or ""),
               "the next one is told why", again.headers)
    with Mirror(hub.url) as m:
        hub.faults([flipped(1)])
        got = Answer(m.url, resolve())
        tap.ok(not got.whole, "wrong once: who has read of it is cut off")
        rest = Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
        tap.ok(rest.status == 200 and rest.body == want,
               "who goes on from there gets all of it instead", rest.status)
        tap.ok(m.published(sha), "it was fetched anew, and is right")
        rest = Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
        tap.ok(rest.status == 200 and rest.body == want,
               "also when it is held, since he may come late", rest.status)
        part = Answer(m.url, resolve(), Range="bytes=5-9")
        tap.ok(part.status == 206 and part.body == want[5:10],
               "a part is a part still", part.status)
    with Mirror(hub.url) as m:
        hub.faults([flipped(1)])
        got = Answer(m.url, resolve())
        m.stop(signal.SIGKILL)
        m.start()
        rest = Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
        tap.ok(not got.whole and rest.status == 200 and rest.body == want,
               "also when the mirror was killed meanwhile", rest.status)
    with Mirror(hub.url) as m:
        note = os.path.join(m.root, ".locks/models--acme--m", sha + ".doubt")
        os.makedirs(os.path.join(note, "x"))
        os.utime(note, (1, 1))
        hub.faults([flipped(1)])
        got = Answer(m.url, resolve())
        rest = [Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
                for _ in range(2) if m.published(sha)]
        tap.ok(not got.whole and [(r.status, r.body == want) for r in rest] ==
               [(200, True)] * 2 and "could not be noted" in m.said(),
               "and where that cannot be noted", [r.status for r in rest])
    with Mirror(hub.url) as m:
        note = os.path.join(m.root, ".locks/models--acme--m", sha + ".doubt")
        hub.faults([dict(flipped(1), rate=8 * MIB),
                    {"host": "bytes", "path": "*" + FILE,
                     "rate": MIB // 4, "times": -1}])
        got = Answer(m.url, resolve())
        os.utime(note, (1, 1))
        rest = Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
        tap.ok(not got.whole and rest.status == 200 and rest.body == want,
               "and while it is fetched anew, however long that takes",
               rest.status)
    with Mirror(hub.url) as m:
        hub.faults([flipped(1)])
        rest = Answer(m.url, resolve(), Range=f"bytes={len(want) - 9}-")
        tap.ok(rest.status == 200 and rest.body == want,
               "so is who went on before anybody knew of it", rest.status)
        tail = Answer(m.url, resolve(), Range="bytes=-9")
        tap.ok(tail.status == 206 and tail.body == want[-9:],
               "who wants an end alone gets that", tail.status)
    with Mirror(hub.url) as m:
        hub.faults([flipped(-1)])
        rev = Answer(m.url, resolve(), "HEAD").header("X-Repo-Commit")
        part = Answer(m.url, resolve(rev=rev), Range="bytes=0-9")
        tap.eq(part.header("Cache-Control"), "no-store",
               "what nobody has proved is not for an HTTP cache")
    hub.faults([])
    with Mirror(hub.url) as m:
        Answer(m.url, resolve())
        rest = Answer(m.url, resolve(), Range=f"bytes={4 * MIB}-")
        tap.ok(rest.status == 206 and rest.body == want[4 * MIB:],
               "control: where all was right one goes on", rest.status)


def ahead(tap, hub, big):
    """A part far ahead, while another one reads from the start, slowly."""
    at = len(big) - 4 * MIB
    hub.faults([{"host": "bytes", "path": "*big.safetensors",
                 "rate": 3 * MIB, "times": -1}])
    path = resolve("big.safetensors", repo="acme/big")
    with Mirror(hub.url) as m, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(Answer, m.url, path)
        time.sleep(1)
        part = Answer(m.url, path, Range=f"bytes={at}-{at + MIB - 1}")
        early = not first.done()
        tap.ok(part.status == 206 and part.body == big[at:at + MIB],
               "a part far ahead comes right", part.status)
        tap.ok(early and part.seconds < 3,
               "and does not wait for what is in front of it",
               f"{part.seconds} s, {early}")
        hub.faults([])
        tap.ok(first.result().body == big, "and so does the whole")


def in_part(tap, hub, big):
    """A header is read of a file: the rest of it is not fetched."""
    path = resolve("big.safetensors", repo="acme/big")
    with Mirror(hub.url) as m:
        hub.reset()
        got = Answer(m.url, path, Range="bytes=0-99999")
        tap.ok(got.status == 206 and got.body == big[:100000],
               "a part of a cold file comes right", got.status)
        n = sent(hub, "big.safetensors")
        tap.ok(n <= 2 * MIB, "and nothing but the part", n)
        took = sum(os.stat(os.path.join(
            m.root, "models--acme--big/blobs", f)).st_blocks * 512
            for f in m.names("blobs", "acme/big"))
        tap.ok(took < BIG // 2, "nor does it take the whole file's room", took)
        time.sleep(6)  # it is left alone meanwhile
        got = Answer(m.url, path)
        tap.ok(got.status == 200 and got.body == big,
               "who comes when it was left gets all",
               (got.status, got.header("X-Error-Message")))


def one_broken(tap, hub):
    """The host of one file's bytes fails: not the whole upstream."""
    hub.faults([{"host": "bytes", "path": "*a.bin", "status": 500,
                 "times": -1}])
    with Mirror(hub.url) as m:
        got = Answer(m.url, resolve("a.bin", repo="acme/xet"))
        tap.eq(got.status, 504, "a file whose bytes nobody gives is 504")
        got = Answer(m.url, "/api/models/acme/m")
        tap.ok(got.status == 200, "all else can be had still",
               (got.status, got.header("X-Error-Message")))
    hub.faults([])


def leaving(tap, hub, files):
    hub.faults([{"host": "bytes", "path": "*" + FILE, "rate": 4 * MIB,
                 "times": -1}])
    hub.reset()
    with Mirror(hub.url) as m:
        got = Answer(m.url, resolve(), most=1000)
        tap.ok(len(got.body) == 1001 and
               digest(files[FILE]) not in m.names("blobs"),
               "a client leaves after the first bytes")
        hub.faults([])
        tap.ok(m.published(digest(files[FILE])), "the file is fetched on")
        tap.ok(sent(hub) < len(files[FILE]) + 2 * MIB, "and once", sent(hub))


def dies_half_way(tap, hub, big):
    """The way to the Hub is cut while clients read, and comes back."""
    relay = Relay(hub.url)
    path = resolve("big.safetensors", repo="acme/direct")
    want = (digest(big), len(big))
    hub.faults([{"host": "hub", "path": "*big.safetensors",
                 "rate": len(big) // 16, "times": -1}])
    with Mirror(relay.url) as m, \
            concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        hub.reset()
        start = time.monotonic()
        readers = [pool.submit(Answer, m.url, path, hashed=True)
                   for _ in range(CLIENTS)]
        soon(lambda: relay.passed > len(big) // 2, 60)
        relay.cut()
        cut = relay.passed
        tap.ok(len(big) // 2 < cut < len(big) * 3 // 4 and
               not any(r.done() for r in readers),
               "control: the way is cut half-way", f"{cut} of {len(big)}")
        held = Answer(m.url, resolve("config.json", repo="acme/direct"))
        tap.ok(held.status == 504 and relay.url in
               (held.header("X-Error-Message") or "") and
               "mill" in held.header("X-Error-Message"),
               "meanwhile: what is not held is 504, which names both",
               (held.status, held.headers))
        begin = time.monotonic()
        Answer(m.url, resolve("other.json", repo="acme/direct"), "HEAD")
        tap.ok(time.monotonic() - begin < 1, "and nobody waits for it")
        time.sleep(1)
        relay.open()
        hub.faults([])
        got = [r.result() for r in readers]
        tap.ok(all(g.body == want for g in got),
               f"{CLIENTS} clients wait for it, and get all",
               [(g.status, g.body, g.whole) for g in got])
        n = sent(hub, "big.safetensors")
        tap.ok(n < len(big) + 24 * MIB, "what had come was not lost", n)
        tap.ok(m.published(digest(big), "acme/direct"), "and it is kept")
        print(f"# {CLIENTS} clients, cut at {cut / len(big):.2f} of "
              f"{len(big) // MIB} MiB: {time.monotonic() - start:.1f} s in "
              f"all; {(n - len(big)) / MIB:.1f} MiB were sent twice")
    relay.cut()


def away(tap, hub, files):
    """The Hub is gone before the mirror starts: what it holds it serves."""
    relay = Relay(hub.url)
    with Mirror(relay.url) as m:
        Answer(m.url, resolve("config.json", repo="acme/direct"))
        relay.cut()
        m.stop()
        m.start()
        got = Answer(m.url, resolve("config.json", repo="acme/direct"))
        tap.ok(got.body == files["config.json"],
               "without a Hub what is held is served, by its branch", got.status)
        tree = Answer(m.url, "/api/models/acme/direct/tree/main?recursive=true")
        tap.ok(tree.status == 200 and len(json.loads(tree.body)) == 3,
               "and the listing", tree.status)
        got = Answer(m.url, resolve("big.safetensors", repo="acme/direct"))
        tap.ok(got.status == 504 and "mill" in
               (got.header("X-Error-Message") or ""), "what is not is 504",
               (got.status, got.headers))
        got = Answer(m.url, "/api/models/acme/other")
        tap.ok(got.status == 504, "as is a repository it never saw", got.status)
        # what was given up for a moment is asked for again
        relay.open()
        time.sleep(5.2)
        got = Answer(m.url, "/api/models/acme/m")
        tap.eq(got.status, 200, "and the Hub is asked again when it is back")
    relay.cut()


def unlisted(tap, hub, files):
    """A listing is removed (mlcache gc does it) while files of it come."""
    relay = Relay(hub.url)
    config = resolve("config.json", repo="acme/direct")
    other = resolve("other.json", repo="acme/direct")
    with Mirror(relay.url) as m:
        def remove():
            for name in m.names("trees", "acme/direct"):
                os.remove(os.path.join(m.root, "models--acme--direct/trees",
                                       name))

        def remove_all():  # it may be written to meanwhile
            path = os.path.join(m.root, "models--acme--direct")
            shutil.rmtree(path, ignore_errors=True)
            return not os.path.exists(path)

        got = Answer(m.url, config)
        commit = got.header("X-Repo-Commit")
        path = os.path.join(m.root, "models--acme--direct/snapshots", commit)
        tap.ok(soon(lambda: os.path.exists(path)), "a file is published")
        remove()
        relay.cut()
        got = [Answer(m.url, p.replace("main", commit)).status
               for p in (config, other)]
        tap.eq(got, [200, 504], "without a listing and without a Hub nobody "
               "knows that there is no such file")
        relay.open()
        other = other.replace("main", commit)
        tap.ok(soon(lambda: Answer(m.url, other).status == 200, 9),
               "the Hub is asked for it again")
        tap.eq(m.names("trees", "acme/direct"), [commit + ".json"],
               "and it is kept")
        remove()
        got = Answer(m.url, "/api/models/acme/direct/tree/" + commit)
        tap.eq((got.status, got.body.count(b'"path"')), (200, 3),
               "also where it came a moment ago")
        soon(remove_all)
        got = Answer(m.url, other)
        tap.eq((got.status, got.body), (200, b"{}"), "so is all of it")
        lease = os.path.join(m.root, ".locks/models--acme--direct/ml.lease")
        with open(lease, "r+b") as f, \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            fcntl.flock(f, fcntl.LOCK_EX)
            soon(remove_all)
            reader = pool.submit(Answer, m.url, other)
            time.sleep(0.7)
            early = m.names("trees", "acme/direct")
            fcntl.flock(f, fcntl.LOCK_UN)
            tap.eq((early, reader.result().status), ([], 200),
                   "nothing is written while somebody removes")
    relay.cut()


# What may stand between a mirror and its Hub, and what is answered where
# nothing is held.
VAGUE = [({"status": 401, "headers": {"X-Error-Message":
           "Invalid credentials in Authorization header"}}, 504),
         ({"status": 401, "body": "who are you?"}, 404),
         ({"status": 403, "body": "your address is blocked"}, 403),
         ({"status": 404, "body": "<html>maintenance"}, 404),
         ({"status": 407}, 504), ({"status": 451}, 504),
         ({"status": 200, "body": {}}, 504),
         ({"status": 200, "body": '{"sha":',
           "headers": {"Content-Type": "application/json"}}, 504)]


def vague(tap, hub, files):
    """Refusals that are no word of the Hub's about the repository."""
    with Mirror(hub.url, HF_TOKEN="hf_mirror") as m:
        Answer(m.url, resolve("config.json"))
        for rule, status in VAGUE:
            hub.faults([{"host": "hub", "path": "/api/*", "times": -1, **rule}])
            m.stop()
            m.start()
            held = Answer(m.url, resolve("config.json"))
            none = Answer(m.url, "/api/models/acme/big")
            tap.ok(held.body == files["config.json"] and none.status == status,
                   f"{rule['status']} {rule.get('body', '')!r}: what is held "
                   f"is served, the rest is {status}",
                   (held.status, none.status, none.headers))
        hub.faults([{"host": "hub", "path": "/api/*", "times": -1,
                     "status": 404, "headers": {"X-Error-Code":
                                                "RepoNotFound"}}])
        m.stop()
        m.start()
        tap.eq(Answer(m.url, resolve("config.json")).status, 404,
               "the Hub's own word counts")
    hub.faults([])


def renamed(tap, hub, files):
    """What the Hub calls by another name by now, and who may see that."""
    token = "hf_" + "o" * 34
    path = resolve("config.json", repo="acme/old")
    own = {"Authorization": "Bearer " + token}
    m = Mirror(hub.url, "--tokens", "")
    m.args[-1] = os.path.join(m.home, "tokens")
    write(m.args[-1], token.encode() + b" acme/old\n")
    os.chmod(m.args[-1], 0o600)
    with Mirror(hub.url) as open_, m:
        commit = Answer(open_.url, resolve(), "HEAD").header("X-Repo-Commit")
        hub.faults([{"host": "hub", "path": f"/api/models/acme/old/{what}*",
                     "times": -1, "status": 307, "headers": {
                         "Location": f"/api/models/acme/m/{what}{rest}"}}
                    for what, rest in (("revision/main", ""), (
                        "tree/", commit + "?recursive=true&expand=false"))])
        got = Answer(open_.url, path, "HEAD")
        tap.eq((got.status, got.header("X-Repo-Commit")), (200, commit),
               "control: another name of a repository is followed")
        for one in (path, path.replace("main", commit)):
            got = Answer(m.url, one, "HEAD", **own)
            tap.ok(got.status == 403 and
                   "acme/m" not in (got.header("X-Error-Message") or "acme/m"),
                   "not where tokens are about names", got.headers)
        tap.ok("acme/m" in m.said(), "the log has the other one", m.said())
    hub.faults([])


def flooded(tap, hub, files):
    """More questions about nothing than the Hub answers in a minute."""
    with Mirror(hub.url) as m:
        Answer(m.url, resolve("config.json"))
        Answer(m.url, resolve("config.json", repo="acme/direct"))
        m.stop()
        hub.faults([{"host": "hub", "path": "/api/models/flood/*",
                     "delay": 1.5, "times": -1}])
        m.start()
        crowd = [socket.create_connection(("127.0.0.1", m.port))
                 for _ in range(100)]
        for i, s in enumerate(crowd):
            s.sendall(b"GET /api/models/flood/n%d HTTP/1.1\r\nHost: x\r\n\r\n"
                      % i)
        time.sleep(0.3)
        took = [Answer(m.url, p).seconds for p in
                (resolve("config.json"), "/api/models/acme/m/refs")]
        # the flood takes 37 s; a busy machine is allowed for
        tap.ok(max(took) < 8, "a flood of questions stops nothing that is held",
               took)
        other = socket.create_connection(("127.0.0.1", m.port), 30,
                                         ("127.0.0.9", 0))
        begin = time.monotonic()
        other.sendall(b"GET /api/models/acme/big HTTP/1.1\r\nHost: x\r\n\r\n")
        got = other.recv(4096)
        took = time.monotonic() - begin
        tap.ok(b" 200 OK" in got and took < 18,
               f"nor does one address another one's question ({took:.1f} s)",
               got)
        for s in [*crowd, other]:
            s.close()
    hub.faults([])


def pinned(tap, hub, files):
    """What a pull beside the mirror has made of a branch stays so."""
    with Mirror(hub.url) as m:
        commit = Answer(m.url, resolve("config.json")).header("X-Repo-Commit")
        ref = os.path.join(m.root, "models--acme--m/refs/main")
        tap.ok(soon(lambda: os.path.exists(ref)), "a branch is noted")
        write(ref, b"b" * 40)
        got = Answer(m.url, resolve(FILE, rev=commit))
        tap.ok(got.body == files[FILE] and m.published(digest(files[FILE])),
               "a cold file of the commit that it was")
        time.sleep(0.2)
        with open(ref, "rb") as f:
            tap.eq(f.read(), b"b" * 40, "does not set the branch back")


def left(tap, hub, files):
    """Clients that leave while they wait keep no connection."""
    def ask(m, name, address):
        s = socket.create_connection(("127.0.0.1", m.port), 8, (address, 0))
        s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                  % resolve(name).encode())
        return s

    hub.faults([{"host": "bytes", "path": "*" + FILE, "rate": MIB // 8,
                 "times": -1}])
    with Mirror(hub.url, "--connections", "16", "--fetches", "1") as m:
        Answer(m.url, resolve("config.json"))
        first = ask(m, FILE, "127.0.0.2")
        first.recv(1)
        crowd = [ask(m, ODD, f"127.0.0.{2 + i % 2}") for i in range(15)]
        time.sleep(0.5)
        for s in crowd:
            s.close()
        begin = time.monotonic()
        try:
            got = ask(m, "config.json", "127.0.0.4").recv(4096)
        except OSError as e:
            got = repr(e).encode()
        took = time.monotonic() - begin
        tap.ok(b" 200 OK" in got and took < 4, "clients that have left leave "
               f"room for others ({took:.1f} s)", got)
        first.close()
    hub.faults([])


class Hole:
    """A host that drops what is sent to it: its queue is full."""

    def __init__(self, port):
        self.socks = [socket.socket()]
        self.socks[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socks[0].bind(("127.0.0.1", port))
        self.socks[0].listen(0)
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            self.socks.append(s)

    def close(self):
        for s in self.socks:
            s.close()


def silent(tap, hub, files):
    """Nothing comes back from the Hub, not even a refusal. What is returned
    waits for that beside the other tests, and asks the Hub for nothing."""
    relay = Relay(hub.url)
    m = Mirror(relay.url).start()
    Answer(m.url, resolve("config.json", repo="acme/direct"))
    relay.cut()
    m.stop()
    hole = Hole(relay.port)

    def go_on():
        with m:
            begin = time.monotonic()
            for most in (4, 1, 1):
                got = Answer(m.url, resolve("config.json", repo="acme/direct"))
                tap.ok(got.body == files["config.json"] and got.seconds < most,
                       f"nobody answers: what is held is served in {most} s",
                       f"{got.seconds} s, {got.status}")
            time.sleep(max(0, begin + 9 - time.monotonic()))
            for path in (resolve("other.json", repo="acme/direct"),
                         "/api/models/acme/none"):
                got = Answer(m.url, path)
                tap.ok(got.status == 504 and got.seconds < 1 and relay.url in
                       (got.header("X-Error-Message") or ""),
                       "and nobody waits for what is not",
                       (got.status, got.seconds, got.headers))
            time.sleep(5)  # that once is over
            got = Answer(m.url, "/api/models/acme/none")
            tap.ok(got.status == 504, "one finds out that it is so still",
                   got.status)
            time.sleep(6)
            got = Answer(m.url, "/api/models/acme/nobody")
            tap.ok(got.status == 504 and got.seconds < 1,
                   "and is not sent there again so soon", got.seconds)
        hole.close()
    return go_on


def slow_file(tap, top):
    """One file of a mirror of a mirror that does not come, beside the other
    tests."""
    for name in ("slow", "quick", "later"):
        write(os.path.join(top, f"chain/{name}.bin"), noise(MIB, name))
    repos = {"acme/chain": {"dir": os.path.join(top, "chain"), "direct": True}}
    with kit.Hub(repos) as hub, Mirror(hub.url) as near, \
            Mirror(near.url) as far, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        hub.faults([{"path": "*/slow.bin", "delay": 40, "times": -1}])
        path = "/acme/chain/resolve/main/%s.bin"
        slow = pool.submit(Answer, far.url, path % "slow")
        time.sleep(2)
        got = [Answer(far.url, path % "quick"), slow.result(),
               Answer(far.url, path % "later")]
        tap.eq([g.status for g in got], [200, 504, 200],
               "a file that does not come is that file's matter, where others "
               "came meanwhile")
        said = got[1].header("X-Error-Message")
        tap.ok("for 15 s" in said and "command" not in said,
               "how long was waited is said, and no word for who pulls", said)
        hub.faults([])


def dribbling(tap):
    """An upstream that never ends its answer, beside the other tests."""
    def serve(s):
        try:
            s.recv(1 << 16)
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 1000000\r\n\r\n")
            while True:
                s.sendall(b" " * 20)
                time.sleep(0.1)
        except OSError:
            s.close()

    def accept(listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(s,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    with Mirror(f"http://127.0.0.1:{listener.getsockname()[1]}") as m:
        got = Answer(m.url, "/api/models/acme/m")
        tap.ok(got.status == 504 and 25 < got.seconds < 45 and
               "not whole" in got.header("X-Error-Message"),
               "an answer of the Hub's that dribbles is not waited for",
               (got.status, got.seconds, got.headers))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def itself(tap):
    """A mirror that is its own upstream says so, and asks no further."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    m = Mirror(f"http://localhost:{port}")
    m.port = port
    with m:
        got = [Answer(m.url, "/api/models/acme/m/refs") for _ in "ab"]
        tap.eq([g.status for g in got], [504, 504],
               "a mirror that is its own upstream has nothing")
        tap.ok("is its own upstream" in (got[0].header("X-Error-Message") or "")
               and soon(lambda: "is this mirror itself" in m.said()),
               "and says so, to who asks and in its log",
               (got[0].headers, m.said()))
        tap.ok(soon(lambda: m.said().count(" 508 ") == 1),
               "one question, one round", m.said())


def rotated(tap, hub):
    """A token that is replaced while the mirror runs."""
    def gate(token):
        hub.control("config", {
            "tokens": {token: {"name": "mill"}},
            "repos": {"acme/gated": {
                "dir": gated_dir(hub), "gated": "auto", "tokens": [token]}}})

    with Mirror(hub.url) as m:
        path = os.path.join(m.env["HF_HOME"], "token")
        write(path, b"hf_mirror")
        got = Answer(m.url, resolve("a.json", repo="acme/gated"))
        tap.eq(got.status, 200, "the token of the file opens what it may")
        gate("hf_second")
        write(path, b"hf_second")
        got = [Answer(m.url, p).status for p in
               (resolve("a.bin", repo="acme/gated"),
                "/api/models/acme/gated/refs")]
        tap.eq(got, [200, 200], "a new one in it counts at once")
        gate("hf_mirror")


def gated_dir(hub):
    return hub.config["repos"]["acme/gated"]["dir"]


def killed(tap, hub, big):
    hub.faults([{"host": "bytes", "path": "*big.safetensors",
                 "rate": 3 * MIB, "times": -1}])
    path = resolve("big.safetensors", repo="acme/big")
    with Mirror(hub.url) as m, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        hub.reset()
        reader = pool.submit(Answer, m.url, path)
        time.sleep(1.5)
        m.stop(signal.SIGKILL)
        tap.ok(not reader.result().whole, "the mirror is killed in mid-fetch")
        had = sent(hub, "big.safetensors")
        hub.faults([])
        m.start()
        tap.ok(Answer(m.url, path).body == big, "another one goes on with it")
        lost = sent(hub, "big.safetensors") - len(big)
        tap.ok(had > 4 * MIB and lost < 12 * MIB, "with what had come",
               f"{had} bytes had come, {lost} came twice")


def chain(tap, hub, files):
    with Mirror(hub.url) as near, Mirror(near.url) as far:
        hub.reset()
        got = {n: Answer(far.url, resolve(n)).body for n in files}
        tap.ok(got == files, "a mirror of a mirror gives every file")
        n = sent(hub)
        tap.ok(n < len(files[FILE]) + 2 * MIB, "which came once", n)
        with World(far.url) as w:
            good(tap, w.pull(REPO), files, "mlfetch pulls through both")
    with Mirror(hub.url) as near, Mirror(near.url) as far, \
            World(far.url) as w:
        good(tap, w.pull(REPO), files, "also when both are cold")


def secrets(tap, hub):
    """Whose token goes where, what is passed on of a refusal, and that no
    answer leads away."""
    with Mirror(hub.url, HF_TOKEN="hf_mirror") as m:
        hub.reset()
        got = Answer(m.url, resolve("a.json", repo="acme/gated"),
                     Authorization="Bearer hf_client")
        tap.eq(got.status, 200, "the mirror's token opens what it may")
        tokens = {(r["host"], r["authorization"]) for r in hub.log()}
        tap.eq(tokens, {("hub", "Bearer hf_mirror")},
               "it goes to the Hub; a client's goes nowhere")
        got = Answer(m.url, resolve("a.bin", repo="acme/gated"))
        tokens = {r["authorization"] for r in hub.log()
                  if r["host"] == "bytes"}
        tap.eq((got.status, tokens), (200, {None}),
               "nor does it go to the host of the bytes")
        tap.ok("hf_" not in m.said(), "no token is in the log", m.said())
    with Mirror(hub.url) as m:
        got = Answer(m.url, resolve("a.json", repo="acme/gated"))
        tap.eq((got.status, got.header("X-Error-Code")), (403, "GatedRepo"),
               "without one the gate is shown")
    with Mirror(hub.url, HF_TOKEN="hf_mistyped") as m:
        got = Answer(m.url, resolve("a.json", repo="acme/m"))
        tap.ok(got.status == 504 and "HF_TOKEN" not in str(got.headers) and
               soon(lambda: "HF_TOKEN" in m.said()),
               "a token that the Hub does not know is the mirror's fault, and "
               "its log's matter", (got.status, got.headers))
        got = Answer(m.url, "/api/models/acme/none")
        tap.ok(got.status == 504 and "HF_TOKEN" not in str(got.headers),
               "nor does it mean that something does not exist", got.headers)
    with Mirror(hub.url, HF_TOKEN="hf_mirror") as m:
        got = Answer(m.url, "/api/models/acme/none")
        tap.ok(got.status == 404 and "HF_TOKEN" not in str(got.headers),
               "whose token it is nobody is told", got.headers)
    with Mirror(hub.url) as m:
        seen = []
        for target in ("/api/models/acme/xet", "/api/models/acme/xet?blobs=true",
                       "/api/models/acme/xet/revision/main",
                       "/api/models/acme/xet/tree/main?recursive=true",
                       resolve("a.bin", repo="acme/xet"),
                       resolve("a.bin", repo="acme/xet")):
            for method in ("HEAD", "GET"):
                a = Answer(m.url, target, method)
                seen.append(a)
                tap.ok(a.status == 200 and "xet_hash" not in str(a.body) and
                       not any(w in (str(a.headers) + str(a.body)).lower()
                               for w in ("xethash", "x-xet", "xet-auth")),
                       f"no Xet leaves with {method} {target}",
                       f"{a.status} {a.headers} {a.body[:300]}")
        tap.ok(all(a.header("Location") is None and a.header("Link") is None
                   for a in seen), "nor does anything lead elsewhere")
        direct = Answer(hub.url, resolve("a.bin", repo="acme/xet"), "HEAD")
        tap.ok("x-xet" in str(direct.headers).lower(),
               "control: the Hub itself speaks of it", direct.headers)


def full(tap, hub, files):
    """A disk with room for the small files only."""
    if cannot("ext4"):
        tap.skip("a full disk", cannot("ext4"))
        return
    disk = Disk("ext4", 16 * MIB)
    try:
        with Mirror(hub.url, cache=os.path.join(disk.mount_point, "hf")) as m:
            Answer(m.url, resolve("config.json"))
            got = Answer(m.url, resolve("big.safetensors", repo="acme/big"))
            tap.ok(got.status == 507 and "needed" in
                   (got.header("X-Error-Message") or ""),
                   "a file for which there is no room is 507, and says so",
                   (got.status, got.headers))
            got = Answer(m.url, resolve("config.json"))
            tap.eq(got.body, files["config.json"], "what is held is served")
            got = Answer(m.url, resolve(FILE))
            tap.eq(got.body, files[FILE], "what there is room for is fetched")
    finally:
        disk.close()


def main():
    tap = kit.Tap()
    with World("http://127.0.0.1:1") as place:
        top = place.home
        files = make_model(os.path.join(top, "m"))
        big = noise(BIG, "big")
        write(os.path.join(top, "big/big.safetensors"), big)
        write(os.path.join(top, "direct/config.json"), files["config.json"])
        write(os.path.join(top, "direct/other.json"), b"{}")
        os.link(os.path.join(top, "big/big.safetensors"),
                os.path.join(top, "direct/big.safetensors"))
        write(os.path.join(top, "gated/a.json"), b"{}")
        write(os.path.join(top, "gated/a.bin"), b"bytes")
        repos = {REPO: {"dir": os.path.join(top, "m")},
                 "acme/big": {"dir": os.path.join(top, "big")},
                 "acme/direct": {"dir": os.path.join(top, "direct"),
                                 "direct": True},
                 "acme/gated": {"dir": os.path.join(top, "gated"),
                                "gated": "auto", "tokens": ["hf_mirror"]},
                 "acme/xet": {"dir": os.path.join(top, "gated"), "xet": True}}
        with kit.Hub(repos, tokens={"hf_mirror": {"name": "mill"}}) as hub:
            pool = concurrent.futures.ThreadPoolExecutor(3)
            beside = [pool.submit(silent(tap, hub, files)),
                      pool.submit(dribbling, tap),
                      pool.submit(slow_file, tap, top)]
            cold(tap, hub, files)
            streaming(tap, hub, files)
            takes_anything(tap, hub, files)
            wrong_bytes(tap, hub, files)
            joining(tap, hub, big)
            ahead(tap, hub, big)
            in_part(tap, hub, big)
            one_broken(tap, hub)
            leaving(tap, hub, files)
            dies_half_way(tap, hub, big)
            away(tap, hub, files)
            unlisted(tap, hub, files)
            flooded(tap, hub, files)
            left(tap, hub, files)
            pinned(tap, hub, files)
            vague(tap, hub, files)
            renamed(tap, hub, files)
            killed(tap, hub, big)
            chain(tap, hub, files)
            secrets(tap, hub)
            rotated(tap, hub)
            itself(tap)
            full(tap, hub, files)
            for one in beside:
                one.result()
    tap.ok(all(status == 0 for status, _ in Mirror.ends),
           f"{len(Mirror.ends)} mirrors ended well when they were told to",
           [e for e in Mirror.ends if e[0] != 0])
    tap.done()


if __name__ == "__main__":
    main()
