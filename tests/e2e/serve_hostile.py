#!/usr/bin/env python3
"""Requests that no client sends: refused or answered in one way only, and the
mirror goes on, in little memory, without a secret in its log."""
import os
import random
import re
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import serving  # noqa: E402

tap = kit.Tap()
SECRET = "hf_" + "s" * 34
HOST = b"Host: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
NEXT = GET + HOST + b"\r\n"
POST = b"POST /api/models/acme/m/paths-info/main HTTP/1.1\r\n" + HOST
# name: request, statuses that are right, must the connection end?
REQUESTS = {
    "no Host": (GET + b"\r\n", 400),
    "two Hosts": (GET + HOST + HOST + b"\r\n", 400),
    "a request line that ends in LF": (b"GET /healthz HTTP/1.1\n" + HOST +
                                       b"\r\n", 400),
    "a field that ends in LF": (GET + b"Host: x\nA: b\r\n\r\n", 400),
    "lines that end in LF": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "a head that ends in LF": (GET + HOST + b"\n" + b"a" * 40, 400),
    "a line of NUL ends no head": (GET + HOST + b"\0: a\r\n\r\n", 400),
    "nor does NUL after LF": (b"GET /healthz HTTP/1.0\n\0A: b\r\n\r\n", 400),
    "NUL in the target": (b"GET /healthz\0x HTTP/1.1\r\n" + HOST + b"\r\n",
                          400),
    "CR in the target": (b"GET /healthz\rx HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "NUL in a field": (GET + HOST + b"A: b\0c\r\n\r\n", 400),
    "CR in a field": (GET + HOST + b"A: b\rc: d\r\n\r\n", 400),
    "a folded field": (GET + HOST + b"A: b\r\n c\r\n\r\n", 400),
    "a blank before the colon": (GET + HOST + b"Content-Length : 5\r\n\r\n"
                                 b"hello", 400),
    "two lengths, the same": (GET + HOST + b"Content-Length: 0\r\n" * 2 +
                              b"\r\n", 400),
    "two lengths": (GET + HOST + b"Content-Length: 0\r\nContent-Length: %d"
                    b"\r\n\r\n" % len(NEXT) + NEXT, 400),
    "a list of lengths": (GET + HOST + b"Content-Length: 0, 0\r\n\r\n", 400),
    "a signed length": (GET + HOST + b"Content-Length: +0\r\n\r\n", 400),
    "a length below nothing": (GET + HOST + b"Content-Length: -1\r\n\r\n",
                               400),
    "a length in hexadecimal": (GET + HOST + b"Content-Length: 0x5\r\n\r\n",
                                400),
    "a length of many digits": (GET + HOST + b"Content-Length: " + b"9" * 30 +
                                b"\r\n\r\n", 413),
    "chunks on GET": (GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
                      b"\r\n" + NEXT, 501),
    "an unknown encoding": (GET + HOST + b"Transfer-Encoding: xchunked\r\n\r\n"
                            + NEXT, 501),
    "chunks and a length": (GET + HOST + b"Transfer-Encoding: chunked\r\n"
                            b"Content-Length: 4\r\n\r\n0\r\n\r\n" + NEXT, 501),
    "a request in the body of a GET": (GET + HOST + b"Content-Length: %d\r\n"
                                       b"\r\n" % len(NEXT) + NEXT, 400),
    "another server's URL": (b"GET http://evil/healthz HTTP/1.1\r\n" + HOST +
                             b"\r\n", 400),
    "CONNECT": (b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/1.2": (b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "a target of 20 kB": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HOST +
                          b"\r\n", 414),
    "a target of 9 kB": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST +
                         b"\r\n", 400),
    "a field of 40 kB": (GET + HOST + b"A: " + b"b" * 40000 + b"\r\n\r\n",
                         431),
    "5,000 fields": (GET + HOST + b"A: b\r\n" * 5000 + b"\r\n", 431),
    "blanks in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a form without a length": (POST + b"\r\n", 411),
    "a form that is too long": (POST + b"Content-Length: 2000000\r\n\r\n" +
                                b"x" * 100, 413),
}
PATHS = ["/acme/m/resolve/main/../../../../secret",
         "/acme/m/resolve/main/%2e%2e/%2e%2e/%2e%2e/secret",
         "/acme/m/resolve/main/..%2f..%2f..%2fsecret",
         "/acme/m/resolve/main/%2e%2e%2f%2e%2e%2fblobs/x",
         "/acme/m/resolve/main//etc/passwd", "/acme/m/resolve/main/%2fetc%2fpasswd",
         "/acme/m/resolve/main/a%00b", "/acme/m/resolve/..%2f..%2f..%2fsecret/x",
         "/acme/m/resolve/%2e%2e/secret", "/..%2fsecret/x/resolve/main/x",
         "/../secret/resolve/main/x", "/api/models/..%2f../tree/main",
         "/api/models/acme/..", "/api/models/acme/m/tree/main/..%2f..",
         "/api/models/acme/m/revision/..%2f..%2fsecret",
         "/./resolve/main/x", "/.locks/resolve/main/x",
         "/acme/m/resolve/refs%2F..%2F..%2Fblobs/x"]


def statuses(data):
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d+) [A-Z]", data)]


def refused(m):
    for name, (data, status) in REQUESTS.items():
        got, ended = m.raw(data)
        said = statuses(got)
        # what was in a body, or behind a broken line, is no request
        tap.ok(said and set(said) == {status} and ended,
               f"{name}: {status}, and the end", (said, ended, got[-300:]))
    got, ended = m.raw(NEXT * 3)
    tap.eq((statuses(got), ended), ([200] * 3, False), "control: three at once")
    got, _ = m.raw(POST + b"Content-Length: 17\r\n\r\npaths=config.json" + NEXT)
    tap.eq(statuses(got), [200, 200], "control: a form, and one more")


def expecting(m):
    """Who asks before he sends his form is told so, or refused at once."""
    ask = POST + b"Expect: 100-continue\r\nContent-Length: "
    with m.connect() as s:
        s.sendall(ask + b"17\r\n\r\n")
        first = s.recv(1000)
        tap.ok(first.startswith(b"HTTP/1.1 100 ") and
               first.endswith(b"\r\n\r\n"), "Expect: to go on", first)
        s.sendall(b"paths=config.json")
        tap.eq(serving.Conn(s).read().status, 200, "and the form is taken")
    for name, data, status in (
            ("a form that is too long", ask + b"2000000\r\n\r\n", 413),
            ("a GET with a body", GET + HOST + b"Expect: 100-continue\r\n"
             b"Content-Length: 5\r\n\r\n", 400)):
        got, ended = m.raw(data)
        tap.eq((statuses(got), ended), ([status], True),
               f"Expect with {name}: {status}, before it is sent")
    got, ended = m.raw(GET + HOST + b"Expect: 100-continue\r\n\r\n")
    tap.eq((statuses(got)[-1:], ended), ([200], False),
           "Expect without a body is answered")


def inside(m):
    for path in PATHS:
        r = m.ask(path)
        tap.ok(r.status in (400, 404, 501) and b"secret text" not in r.body,
               f"{path}: {r.status}")


def noise(m):
    """Nothing that can be sent ends it."""
    luck = random.Random(5)
    parts = [b"GET ", b"/", b"acme", b"m", b"/resolve/", b"main", b"%2e", b"%",
             b"\r\n", b"\n", b"\0", b"HTTP/1.1", b" ", b":", b"Host: x",
             b"Range: bytes=", b"Content-Length: ", b"9" * 20, b"\xff\xfe",
             b"Transfer-Encoding: chunked", b"?", b"&", b"a=b", b"\r\n\r\n"]
    for _ in range(300):
        with m.connect() as s:
            try:
                s.sendall(b"".join(luck.choices(parts, k=luck.randint(1, 40))))
                s.setblocking(False)
                s.recv(100)
            except OSError:
                pass
    tap.eq(m.ask("/healthz").status, 200, "noise: it goes on")


def ending(cache):
    """Bad requests while it ends: its library answers some out of nothing."""
    ends = []
    for _ in range(4 if kit.BRIEF else 10):
        with serving.Mirror(cache.root, "-q") as m:
            every = [m.connect() for _ in range(250)]
            for s in every:
                s.sendall(GET)
            m.ask("/healthz")
            end = threading.Thread(target=lambda m=m: ends.append(m.stop()))
            end.start()
            for s in every:
                try:
                    s.sendall(HOST + b"no colon\r\n\r\n")
                except OSError:
                    pass
                time.sleep(.0002)
            end.join()
            for s in every:
                s.close()
    tap.eq(set(ends), {0}, "it ends well while bad requests come")


def forms(cache):
    """Forms are kept until they are whole: not all that could come."""
    many = {f"d/f{i:05}": b"x" for i in range(1900)}
    cache.add("acme/many", many)
    url = "/api/models/acme/many/paths-info/main"
    with serving.Mirror(cache.root, "-q") as m:
        r = m.ask(url, "POST", b"&".join([b"paths=d"] * 20000))
        tap.ok(r.status == 200 and len(r.json()) == 20000,
               "a folder, 20,000 times: each costs nothing", r.status)
        every = []

        def begin():
            s = m.connect()
            s.sendall(POST + b"Content-Length: 1000000\r\n\r\n" +
                      b"x" * 999_000)
            every.append(s)

        for _ in range(120):
            begin()
        with open(f"/proc/{m.proc.pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1000
        if "asan" in kit.BUILD:
            tap.skip("120 forms of 1 MB in 100 MB", "a sanitizer has its own")
        else:
            tap.ok(rss < 100, f"120 forms of 1 MB in 100 MB: {rss:.0f}", rss)
        tap.eq(m.ask(url, "POST", b"paths=d").json()[0]["path"], "d",
               "and a short one is answered")
        for want, name in ((503, "a long one is to come again"),
                           (200, "which it can when the others are gone")):
            for _ in range(100):
                r = m.ask(url, "POST", b"paths=d&a=" + b"x" * 900_000)
                if r.status == want:
                    break
                if want == 503:
                    begin()  # who was let go has left room
                time.sleep(0.1)
            tap.eq(r.status, want, name)
            for s in every:
                s.close()


def links(cache):
    """Who may write to the cache is not given what the mirror may read."""
    text = b"secret text"
    outside = os.path.join(os.path.dirname(cache.root), "secret")
    commit = cache.add("acme/link", {"f": text, "g": text}, hold=())
    snapshot = os.path.join(cache.folder("acme/link"), "snapshots", commit)
    os.makedirs(snapshot)
    os.symlink(outside, os.path.join(snapshot, "f"))
    serving.write(os.path.join(snapshot, "g"), text)
    with serving.Mirror(cache.root, "-q") as m:
        for method in ("GET", "HEAD"):
            tap.eq(m.ask("/acme/link/resolve/main/f", method).status, 504,
                   f"{method}: a link out of the cache leads nowhere")
        tap.eq(m.ask("/acme/link/resolve/main/g").body, text,
               "control: a file in the snapshot")
        blob = cache.blob("acme/link", "f", text)
        os.makedirs(os.path.dirname(blob))
        os.symlink(outside, blob)
        tap.eq(m.ask("/acme/link/resolve/main/f").status, 504,
               "nor does a blob that is one")
        os.unlink(blob)
        kept = os.path.join(os.path.dirname(cache.root), "disk",
                            os.path.basename(blob))
        serving.write(kept, text)
        os.symlink(kept, blob)
        tap.eq(m.ask("/acme/link/resolve/main/f").body, text,
               "control: a blob that is kept on another disk")


def short(cache):
    """No descriptor left is not "not held"."""
    with serving.Mirror(cache.root, "-q") as m, m.connect() as s:
        conn = serving.Conn(s)
        url = "/acme/m/resolve/main/config.json"
        tap.eq(conn.ask(url, "HEAD").status, 200, "control: it is held")
        used = {int(n) for n in os.listdir(f"/proc/{m.proc.pid}/fd")}
        least = next(i for i in range(4096) if i not in used)
        old = resource.prlimit(m.proc.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(m.proc.pid, resource.RLIMIT_NOFILE, (least, old[1]))
        for method in ("GET", "HEAD"):
            r = conn.ask(url, method)
            tap.eq((r.status, r["retry-after"]), (429, "5"),
                   f"{method} without descriptors: come again")
        resource.prlimit(m.proc.pid, resource.RLIMIT_NOFILE, old)
        tap.eq(conn.ask(url).status, 200, "and it is there again")


def slow(cache):
    """Who sends a head byte by byte, or takes an answer so, is let go."""
    with serving.Mirror(cache.root, "--timeout", 2, "-q") as m:
        dribble, stare, sip = m.connect(), m.connect(), socket.socket()
        sip.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sip.settimeout(30)
        sip.connect((m.host, m.port))
        sip.sendall(b"GET /acme/m/resolve/main/big HTTP/1.1\r\n" + HOST +
                    b"\r\n")
        start, ended = time.monotonic(), {}
        while time.monotonic() - start < 12 and len(ended) < 3:
            for name, s, send in (("a head byte by byte", dribble, b"G"),
                                  ("nothing at all", stare, b"")):
                if name in ended:
                    continue
                try:
                    if send:
                        s.send(send)
                    s.settimeout(0.05)
                    if s.recv(1) == b"":
                        ended[name] = time.monotonic() - start
                except TimeoutError:
                    pass
                except OSError:
                    ended[name] = time.monotonic() - start
            text = m.ask("/metrics").body.decode()
            if "mlfetch_mirror_connections 1\n" in text:
                ended["an answer that is not taken"] = time.monotonic() - start
            time.sleep(0.2)
        for name in ("a head byte by byte", "nothing at all",
                     "an answer that is not taken"):
            tap.ok(ended.get(name, 99) < 8, f"{name}: let go", ended)
        for s in (dribble, stare, sip):
            s.close()


def crowd(cache):
    """No more connections than are allowed; and they do not stay open."""
    with serving.Mirror(cache.root, "--connections", 40, "--timeout", 3,
                        "-q") as m:
        every = []
        for _ in range(120):
            s = socket.create_connection((m.host, m.port), timeout=5)
            s.sendall(b"GET /health")
            every.append(s)
        time.sleep(0.5)
        open_files = len(os.listdir(f"/proc/{m.proc.pid}/fd"))
        tap.ok(open_files < 90, "120 connections: a limit", open_files)
        for _ in range(40):
            time.sleep(0.3)
            try:
                if m.ask("/healthz").status == 200:
                    break
            except OSError:
                continue
        else:
            tap.ok(False, "and then it serves again")
            return
        tap.ok(True, "and then it serves again")
        for s in every:
            s.close()


def memory(cache):
    """A thousand in the middle of a file, and as many broken heads."""
    with serving.Mirror(cache.root, "-q", "--connections", 5000) as m:
        every = []
        for i in range(1000):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((m.host, m.port))
            s.sendall(b"GET /acme/m/resolve/main/big HTTP/1.1\r\n" + HOST +
                      b"\r\n" if i % 2 else GET + b"A: " + b"b" * 9000)
            every.append(s)
        time.sleep(1)
        with open(f"/proc/{m.proc.pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1000
        if "asan" in kit.BUILD:
            tap.skip("1,000 connections in 64 MB", "a sanitizer has its own")
        else:
            tap.ok(rss < 64, f"1,000 connections in 64 MB: {rss:.0f}", rss)
        tap.eq(m.ask("/healthz").status, 200, "and it serves")
        for s in every:
            s.close()


with serving.Cache() as hub:
    serving.write(os.path.join(hub.root, "secret"), b"secret text")
    serving.write(os.path.join(os.path.dirname(hub.root), "secret"),
                  b"secret text")
    hub.add("acme/m", {"config.json": b"{}", "big": os.urandom(30 << 20)})
    with serving.Mirror(hub.root) as mirror:
        refused(mirror)
        expecting(mirror)
        inside(mirror)
        noise(mirror)
        mirror.ask(f"/acme/m/resolve/main/config.json?token={SECRET}",
                   Authorization=f"Bearer {SECRET}", Cookie=SECRET)
        mirror.ask("/%1b%5b31m/\x1b".encode())
        tap.eq(mirror.stop(), 0, "it ends well")
        LOG = "".join(mirror.log)
        tap.ok(SECRET not in LOG and "\x1b" not in LOG and "GET /acme/m" in LOG,
               "no secret, and nothing for a terminal, in its log", LOG[-800:])
    ending(hub)
    forms(hub)
    links(hub)
    short(hub)
    if not kit.BRIEF:
        slow(hub)
        crowd(hub)
        memory(hub)
tap.done()
