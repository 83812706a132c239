#!/usr/bin/env python3
"""The client of object storage against two real servers, and against harm.

Every operation of the client on Ceph's radosgw and on OpenStack Swift, told
to a small program over the room's headers (s3ask.c), checked by a client of
the test's own; then a proxy that answers SlowDown, cuts, loses answers, has
another clock, another region, and errors in a 200.
"""
import concurrent.futures
import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "server"))
import kit                                                    # noqa: E402
import radosgw                                                # noqa: E402
import s3_faults as faults                                    # noqa: E402
import s3_plain                                               # noqa: E402
import swift                                                  # noqa: E402

tap = kit.Tap()
MIB = 1 << 20
ODD = ["a b", "a+b", "ü/ß", "x%2Fy", "q?a=b&c", "h#1", "'\"<>&", "a//b", "~",
       "dots/../x", "./y", "[1]{2}|^`", "\x01\x7f", "z" * 700, "日本語", "a=b;c"]


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Ask:
    """The program, line in, rows out."""

    def __init__(self, env, bucket, *options, home="/nonexistent"):
        env = kit.clean_env(home, **env)
        self.log = tempfile.TemporaryFile("w+")
        self.p = subprocess.Popen(
            [kit.program("tests/e2e/s3ask"), bucket, *options], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            encoding="utf-8", errors="surrogateescape")

    def __call__(self, *words):
        """(rows, last): last is ["ok", ...] or ["err", kind, exit, ...]."""
        if words:
            print("\t".join(map(str, words)), file=self.p.stdin, flush=True)
        rows = []
        for line in self.p.stdout:
            row = line.rstrip("\n").split("\t")
            if row[0] in ("ok", "err"):
                return rows, row
            rows.append(row)
        return rows, ["dead", str(self.p.wait())]

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        self.p.stdin.close()
        self.p.stdout.read()
        return self.p.wait()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        status = self.close()
        if status != 0:
            tap.ok(False, f"the program ends well, not with {status}",
                   self.said())


# ---- every operation ----

def objects(ask, plain, name, folder):
    data = os.urandom(3 * MIB + 17)
    path = os.path.join(folder, "data")
    with open(path, "wb") as f:
        f.write(data)
    tap.eq(ask("check")[1][:3], ["err", "6", "3"],
           f"{name}: a bucket that is not there is missing")
    tap.eq(ask("head", "k")[1][:3], ["err", "6", "3"],
           f"{name}: so is a key in it, and it says which")
    tap.eq([ask("make")[1], ask("make")[1], ask("check")[1]], [["ok"]] * 3,
           f"{name}: a bucket is made; making it again is fine")
    tap.eq(ask("head", "none")[1][:2], ["ok", "missing"],
           f"{name}: a key that is not there")
    tap.eq(ask("get", "plain", "none")[1][:2], ["ok", "missing"],
           f"{name}: neither to get")
    got = ask("put", "k", "always", path, 5, 2 * MIB)[1]
    tap.eq(got, ["ok", "done", hashlib.md5(data[5:5 + 2 * MIB]).hexdigest(),
                 str(2 * MIB)], f"{name}: a part of a file is put")
    tap.ok(plain.get(ask.bucket, "k") == data[5:5 + 2 * MIB],
           f"{name}: and there for another client")
    now = time.time()
    head = ask("head", "k")[1]
    tap.ok(head[:3] == ["ok", "found", str(2 * MIB)] and
           abs(int(head[4]) - now) < 60, f"{name}: its size and time", head)
    for how in ("plain", "room"):
        tap.eq(ask("get", how, "k")[1][:4],
               ["ok", "found", str(2 * MIB), sha(data[5:5 + 2 * MIB])],
               f"{name}: it is got ({how})")
        tap.eq(ask("get", how, "k", 1000, MIB)[1][:4],
               ["ok", "found", str(2 * MIB), sha(data[1005:5 + MIB])],
               f"{name}: a range of it ({how})")
    tap.eq(ask("get", "plain", "k", 2 * MIB - 1, 2 * MIB)[1][3],
           sha(data[4 + 2 * MIB:5 + 2 * MIB]), f"{name}: its last byte")
    tap.eq(ask("get", "plain", "k", MIB, 2 * MIB + 1)[1][:3],
           ["err", "7", "6"], f"{name}: a range over its end is corrupt")
    tap.eq(ask("get", "plain", "k", 3 * MIB, 4 * MIB)[1][:3],
           ["err", "7", "6"], f"{name}: and one behind it")
    tap.eq(ask("get", "refuse", "k")[1][1:4],
           ["8", "7", f"s3://{ask.bucket}/k: the taker has enough"],
           f"{name}: the taker's error comes out")
    tap.eq(ask("put", "empty", "always", "text", "")[1][:2], ["ok", "done"],
           f"{name}: an object of no bytes")
    tap.eq(ask("get", "plain", "empty")[1][:4],
           ["ok", "found", "0", sha(b"")], f"{name}: is got")
    lie = ask("put", "lie", "lie", "text", "truth")[1]
    tap.eq(lie[:3], ["err", "7", "6"],
           f"{name}: bytes of another digest are not taken")
    tap.eq(ask("head", "lie")[1][1], "missing", f"{name}: and not there")
    tap.eq(ask("put", "x", "always", path, 3 * MIB, 18)[1][:3],
           ["err", "7", "6"], f"{name}: a file that is too short")
    tap.eq([ask("delete", "k")[1], ask("delete", "k")[1]], [["ok"]] * 2,
           f"{name}: deleted, twice")
    tap.eq(ask("head", "k")[1][1], "missing", f"{name}: and gone")


def fetched(url):
    where = urllib.parse.urlsplit(url)
    conn = http.client.HTTPConnection(where.netloc, timeout=30)
    conn.request("GET", where.path + ("?" + where.query if where.query else ""))
    answer = conn.getresponse()
    got = answer.status, answer.read()
    conn.close()
    return got


def keys(ask, plain, name):
    ok = 0
    for i, key in enumerate(ODD):
        text = f"text {i}"
        if ask("put", key, "always", "text", text)[1][:2] == ["ok", "done"] \
                and ask("get", "room", key)[1][3] == sha(text.encode()):
            ok += 1
        else:
            print("# key", repr(key))
    tap.eq(ok, len(ODD), f"{name}: keys of all kinds go in and out")
    tap.eq([fetched(ask("url", key, 60)[1][1]) for key in ODD],
           [(200, f"text {i}".encode()) for i in range(len(ODD))],
           f"{name}: each is at the address that is signed for it")
    url = ask("url", "~", 60)[1][1]
    tap.ok(200 not in (fetched(url.split("?")[0])[0],
                       fetched(url[:-1] + "01"[url[-1] == "0"])[0]),
           f"{name}: and nothing is, unless it is signed")
    rows, last = ask("list", "", "flat", 0, 0)
    want = sorted([k.encode() for k in ODD] + [b"empty"])
    tap.eq([r[4].encode("utf-8", "surrogateescape") for r in rows], want,
           f"{name}: and are listed as they are")
    paged = ask("list", "", "flat", 3, 0)[0]
    tap.eq(paged, rows, f"{name}: the same from pages of three")
    after = ask("list", "", "flat", 2, 0, "h#1")[0]
    tap.eq([r[4] for r in after],
           [r[4] for r in rows if r[4].encode() > b"h#1"],
           f"{name}: from behind a key on")
    tap.eq(ask("list", "", "flat", 2, 5)[0], rows[:5],
           f"{name}: no more than enough")
    tap.eq([r[4] for r in ask("list", "a", "flat", 0, 0)[0]],
           ["a b", "a+b", "a//b", "a=b;c"], f"{name}: below a prefix")
    folders = ask("list", "", "folders", 0, 0)[0]
    tap.eq([r[4] for r in folders if r[0] == "folder"],
           ["./", "a/", "dots/", "ü/"], f"{name}: folders")
    tap.eq(ask("list", "nothing", "flat", 0, 0), ([], ["ok"]),
           f"{name}: a list of nothing")
    tap.eq(ask("copy", "a b", "ü/copy+1")[1], ["ok"], f"{name}: a copy")
    tap.eq(ask("get", "plain", "ü/copy+1")[1][3], sha(b"text 0"),
           f"{name}: has the same bytes")
    tap.eq(ask("copy", "none", "x")[1][:3], ["err", "6", "3"],
           f"{name}: a copy of what is not there")
    tap.eq(ask("put", "k" * 1025, "always", "text", "x")[1][:3],
           ["err", "1", "2"], f"{name}: a key that is too long is not sent")


def conditions(ask, server, name):
    first = ask("put", "c", "absent", "text", "1")[1]
    if not server.conditional:
        tap.eq(first[:2], ["ok", "unable"], f"{name}: has no conditions")
        tap.eq(ask("head", "c")[1][1], "missing", f"{name}: nothing is written")
        tap.eq(ask("put", "c", "match:abc", "text", "1")[1][:2],
               ["ok", "unable"], f"{name}: nor compares it")
        return
    tap.eq(first[1], "done", f"{name}: put where nothing is")
    tap.eq(ask("put", "c", "absent", "text", "2")[1][1], "not-so",
           f"{name}: not twice")
    second = ask("put", "c", "match:" + first[2], "text", "2")[1]
    tap.eq(second[1], "done", f"{name}: put over what is known")
    tap.eq(ask("put", "c", "match:" + first[2], "text", "3")[1][1], "not-so",
           f"{name}: not over what has changed")
    tap.eq(ask("put", "never", "match:" + first[2], "text", "3")[1][1],
           "not-so", f"{name}: not over nothing")
    tap.eq(ask("put", "c", "match:", "text", "3")[1][:3], ["err", "9", "8"],
           f"{name}: nor without a tag")
    tap.eq(ask("get", "plain", "c")[1][3], sha(b"2"),
           f"{name}: and the second is there")


def multipart(ask, plain, name, folder):
    data = os.urandom(11 * MIB)
    path = os.path.join(folder, "parts")
    with open(path, "wb") as f:
        f.write(data)
    upload = ask("begin", "big ü")[1][1]
    cuts = [(3, 10 * MIB, MIB), (1, 0, 5 * MIB), (2, 5 * MIB, 5 * MIB)]
    parts = {}
    for n, at, size in cuts:
        parts[n] = ask("part", "big ü", upload, n, path, at, size)[1]
    tap.eq([p[:2] for p in parts.values()],
           [["ok", str(s)] for _, _, s in cuts],
           f"{name}: parts go in any order")
    again = ask("part", "big ü", upload, 2, path, 5 * MIB, 5 * MIB)[1]
    tap.eq(again, parts[2], f"{name}: and once more")
    rows = ask("parts", "big ü", upload)[0]
    tap.eq(rows, [["part", str(n), parts[n][1], parts[n][2]] for n in (1, 2, 3)],
           f"{name}: the parts are listed by number")
    rows = ask("uploads", "big")[0]
    tap.ok([r[1::2] for r in rows] == [[upload, "big ü"]] and
           abs(int(rows[0][2]) - time.time()) < 60,
           f"{name}: the upload is listed", rows)
    tap.eq(ask("uploads", "other")[0], [], f"{name}: below its prefix only")
    tap.eq(ask("head", "big ü")[1][1], "missing",
           f"{name}: there is no object before the end")
    words = [w for n in (1, 2, 3) for w in (n, parts[n][1], parts[n][2])]
    wrong = words[:-1] + ["0" * 32]
    tap.eq(ask("end", "big ü", upload, *wrong)[1][:3], ["err", "7", "6"],
           f"{name}: a part of another tag is corrupt")
    tap.eq(ask("end", "big ü", upload, *words)[1], ["ok"],
           f"{name}: the end")
    tap.eq(ask("get", "room", "big ü")[1][2:4], [str(len(data)), sha(data)],
           f"{name}: all of it is there")
    words[1] = "7"
    row = ask("end", "big ü", "nosuch", *words)[1]
    tap.ok(row[:3] in (["err", "6", "3"], ["err", "7", "6"]),
           f"{name}: an upload that never was", row)
    upload = ask("begin", "copied")[1][1]
    one = ask("partcopy", "copied", upload, 1, "big ü", 0, 5 * MIB)[1]
    two = ask("partcopy", "copied", upload, 2, "big ü", 7 * MIB, 11 * MIB)[1]
    tap.eq(ask("end", "copied", upload, 1, *one[1:], 2, *two[1:])[1], ["ok"],
           f"{name}: an object of copied parts")
    tap.eq(ask("get", "plain", "copied")[1][3],
           sha(data[:5 * MIB] + data[7 * MIB:]), f"{name}: has their bytes")
    upload = ask("begin", "small")[1][1]
    small = [ask("part", "small", upload, n, "text", "x")[1] for n in (1, 2)]
    tap.eq(ask("end", "small", upload, 1, *small[0][1:], 2,
               *small[1][1:])[1][:3], ["err", "9", "8"],
           f"{name}: parts that are too small")
    tap.eq([ask("abort", "small", upload)[1], ask("abort", "small", upload)[1]],
           [["ok"]] * 2, f"{name}: given up, twice")
    tap.eq(ask("uploads", "")[0], [], f"{name}: and no upload is left")
    tap.eq(ask("part", "small", upload, 1, "text", "x")[1][:3],
           ["err", "6", "3"], f"{name}: it takes no more parts")


# ---- who and where ----

def access(server, bucket, name):
    def fails(why, kind, status, words, **env):
        with Ask(dict(server.env(), **env), bucket, "retry=2") as ask:
            for what in (("get", "plain", "k"), ("head", "k"), ("check",)):
                row = ask(*what)[1]
                tap.ok(row[:3] == ["err", kind, status] and
                       all(w in row[3] + row[4] for w in words),
                       f"{name}: {why} ({what[0]})", row)
            secret = env.get("AWS_SECRET_ACCESS_KEY") or server.secret
            tap.ok(secret not in ask.said(), f"{name}: {why}: no secret is told")

    fails("a key id nobody has", "5", "4", ["nobody", "AWS_ACCESS_KEY_ID"],
          AWS_ACCESS_KEY_ID="nobody")
    fails("a wrong secret", "5", "4", ["AWS_ACCESS_KEY_ID", "secret key"],
          AWS_SECRET_ACCESS_KEY="wr0ngs3cr3t")
    fails("no credentials", "5", "4", ["no credentials"],
          AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    with Ask(dict(server.env(), AWS_REGION="eu-west-9"), bucket) as ask:
        tap.eq([ask("head", "empty")[1][1], ask("get", "plain", "empty")[1][1],
                ask("put", "region", "always", "text", "x")[1][1]],
               ["found", "found", "done"],
               f"{name}: a wrong region is put right")
        tap.eq(ask("again")[1], ["ok"], f"{name}: another client like it")
        tap.eq(ask("head", "region")[1][1], "found",
               f"{name}: knows the region")
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(home + "/.aws")
        with open(home + "/.aws/credentials", "w", encoding="utf-8") as f:
            f.write(f"[mine]\naws_access_key_id = {server.key}\n"
                    f"aws_secret_access_key = {server.secret}\n")
        with open(home + "/.aws/config", "w", encoding="utf-8") as f:
            f.write(f"[profile mine]\nendpoint_url = {server.endpoint}\n")
        with Ask({"AWS_PROFILE": "mine"}, bucket, home=home) as ask:
            tap.eq(ask("head", "empty")[1][1], "found",
                   f"{name}: a profile of the files")


def dead_end():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
           "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    with Ask(env, "bucket", "retry=1") as ask:
        start = time.monotonic()
        row = ask("get", "plain", "k")[1]
        tap.ok(row[:3] == ["err", "4", "5"] and
               f"127.0.0.1:{port}" in row[3] and
               time.monotonic() - start < 20, "nobody listens: network", row)


def styles(server, bucket, plain, name):
    """https, trusted or not; the bucket in the host's name."""
    plain.put(bucket, "tls", b"x" * (3 * MIB))
    with tempfile.TemporaryDirectory() as folder:
        pem = folder + "/pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        pem, "-out", folder + "/cert"], check=True,
                       capture_output=True)
        with open(pem, "a", encoding="utf-8") as f, \
                open(folder + "/cert", encoding="utf-8") as cert:
            f.write(cert.read())
        with faults.Faults(server, pem) as f:
            env = dict(server.env(), AWS_ENDPOINT_URL_S3=f.endpoint)
            with Ask(env, bucket, "retry=5") as ask:
                row = ask("get", "room", "tls")[1]
                tap.ok(row[:3] == ["err", "4", "5"] and
                       "SSL_CERT_FILE" in row[4],
                       f"{name}: a certificate nobody trusts", row)
            env["SSL_CERT_FILE"] = folder + "/cert"
            with Ask(env, bucket) as ask:
                for how in ("plain", "room"):
                    tap.eq(ask("get", how, "tls")[1][3],
                           sha(b"x" * (3 * MIB)), f"{name}: https ({how})")
                tap.eq(ask("put", "tls2", "always", "text", "y")[1][1], "done",
                       f"{name}: https up")
    with faults.Faults(server) as f:
        env = dict(server.env(),
                   AWS_ENDPOINT_URL_S3=f"http://localhost:{f.port}/pre")
        f.add("*", ".", faults.answer(200), -1)
        with Ask(env, bucket, "virtual") as ask:
            ask("put", "k/ü", "always", "text", "x")
            ask("check")
        tap.eq([(t.split("?")[0], h["host"]) for _, t, h in f.seen],
               [("/pre/k/%C3%BC", f"{bucket}.localhost:{f.port}"),
                ("/pre/", f"{bucket}.localhost:{f.port}")],
               f"{name}: the bucket in the host's name")


# ---- harm ----

def shifted(seconds):
    """A server whose clock is so far off: both ways."""
    def date(data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n")
                 if not line.lower().startswith(b"date:")]
        when = time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                             time.gmtime(time.time() + seconds))
        lines.append(b"Date: " + when.encode())
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def act(request, forward):
        stamp = request.headers.get("x-amz-date", "")
        theirs = time.strftime("%Y%m%dT%H%M", time.gmtime(
            time.time() + seconds))
        if stamp[:11] == theirs[:11]:
            return date(faults.compose(200, {}, b""))
        body = b"" if request.method == "HEAD" else faults.error_body(
            "RequestTimeTooSkewed")
        return date(faults.compose(403, {}, body))
    return act


def harm(server, bucket, plain, name, folder):
    data = os.urandom(6 * MIB)
    path = os.path.join(folder, "harm")
    with open(path, "wb") as f:
        f.write(data)
    with faults.Faults(server) as f:
        env = dict(server.env(), AWS_ENDPOINT_URL_S3=f.endpoint)
        with Ask(env, bucket, "retry=20") as ask:
            passing(ask, f, plain, bucket, name, path, data)
            doubts(ask, f, bucket, name, path, data)
            lasting(ask, f, name)
        with Ask(env, bucket, "retry=1") as ask:
            f.add("*", ".", faults.answer(503, code="SlowDown"), -1)
            row = ask("get", "plain", "k")[1]
            tap.ok(row[:3] == ["err", "4", "5"] and "SlowDown" in row[3],
                   f"{name}: SlowDown for ever: network", row)
        for off in (-3600, 7200):
            f.clear()
            f.add("*", ".", shifted(off), -1)
            with Ask(env, bucket, "retry=2") as ask:
                rows = [ask("put", "k", "always", "text", "x")[1][:2],
                        ask("head", "k")[1][:2], ask("head", "k")[1][:2]]
                tap.eq(rows, [["ok", "done"]] + [["ok", "found"]] * 2,
                       f"{name}: a clock {off} s off is learned")
                tap.eq(len(f.seen), 4, f"{name}: once")


def passing(ask, f, plain, bucket, name, path, data):
    """Faults that pass: the second or third time is good."""
    for why, act in (
            ("503 SlowDown", faults.answer(503, code="SlowDown")),
            ("500", faults.answer(500, code="InternalError")),
            ("502 without a word", faults.answer(502)),
            ("504", faults.answer(504)), ("429", faults.answer(429)),
            ("400 RequestTimeout", faults.answer(400, code="RequestTimeout")),
            ("a reset", faults.reset)):
        f.clear()
        f.add("*", ".", act, 2)
        done = ask("put", "p", "always", path, 0, 6 * MIB)[1]
        tap.ok(done[:2] == ["ok", "done"] and done[3] == str(6 * MIB) and
               plain.get(bucket, "p") == data,
               f"{name}: {why} twice, then it is put", done)
        f.clear()
        f.add("*", ".", act, 2)
        tap.eq(ask("get", "room", "p")[1][3], sha(data),
               f"{name}: {why} twice, then it is got")
        tap.eq(len(f.seen), 3, f"{name}: {why}: three requests")
    for how in ("plain", "room"):
        f.clear()
        f.add("GET", ".", faults.cut(MIB + 5), 1)
        f.add("GET", ".", faults.cut(2 * MIB), 1)
        got = ask("get", how, "p")[1]
        tap.ok(got[3] == sha(data), f"{name}: two cuts ({how}), and all of it",
               got)
        ranges = [h.get("range") for _, _, h in f.seen]
        tap.ok(ranges[0] is None and len(ranges) == 3 and
               all(r and r.endswith(f"-{6 * MIB - 1}") and r[6] != "0"
                   for r in ranges[1:]),
               f"{name}: nothing is got twice ({how})", ranges)
    f.clear()
    f.add("GET", ".", faults.cut(MIB), 1)
    f.add("GET", ".", faults.changed(
        lambda d: d.replace(b"Tag: ", b"Tag: \"other\"\r\nX-Was: ")
        .replace(b"tag: ", b"tag: \"other\"\r\nX-Was: ")), 1)
    tap.eq(ask("get", "plain", "p")[1][:3], ["err", "7", "6"],
           f"{name}: an object that is replaced meanwhile is not mixed")
    f.clear()
    f.add("PUT", ".", faults.answer(
        409, code="ConditionalRequestConflict"), 2)
    tap.eq(ask("put", "q", "always", "text", "x")[1][1], "done",
           f"{name}: a conflict of conditions passes")
    f.clear()
    f.add("GET", "list-type", faults.cut(40), 2)
    tap.ok(ask("list", "p", "flat", 0, 0)[1] == ["ok"],
           f"{name}: a list that was cut")


def doubts(ask, f, bucket, name, path, data):
    """Answers that are no answers, and answers that are lost."""
    f.clear()
    f.add("PUT", "/copy", faults.answer(200, code="InternalError"), 2)
    tap.eq(ask("copy", "p", "copy")[1], ["ok"],
           f"{name}: a copy with an error in a 200, twice, then well")
    f.clear()
    f.add("PUT", "/copy", faults.answer(200, code="AccessDenied"), 9)
    row = ask("copy", "p", "copy")[1]
    tap.ok(row[0] == "err", f"{name}: an error in a 200 is one", row)
    f.clear()
    upload = ask("begin", "m")[1][1]
    part = ask("part", "m", upload, 1, path, 0, 6 * MIB)[1]
    f.add("POST", "uploadId", faults.answer(200, code="InternalError"), 1)
    f.add("POST", "uploadId", faults.lost, 1)
    tap.eq(ask("end", "m", upload, 1, *part[1:])[1], ["ok"],
           f"{name}: an end whose answer is lost is an end")
    tap.eq(ask("get", "plain", "m")[1][3], sha(data), f"{name}: all is there")
    f.clear()
    f.add("PUT", "/once", faults.lost, 1)
    row = ask("put", "once", "absent", "text", "x")[1]
    if row[1] != "unable":
        tap.eq(row[1], "unsure",
               f"{name}: a condition after a lost answer is not sure")
    f.clear()
    f.add("GET", ".", faults.answer(200, body=b"<html>hello"), 1)
    row = ask("list", "", "flat", 0, 0)[1]
    tap.eq(row[:3], ["err", "9", "8"], f"{name}: a list that is a web page")


def lasting(ask, f, name):
    """Refusals of a kind of their own, each in the user's words."""
    for status, code, kind, leaves, words in (
            (403, "QuotaExceeded", "8", "7", "quota"),
            (403, "AccessDenied", "5", "4", "access denied"),
            (403, "ExpiredToken", "5", "4", "session"),
            (403, "Unheard", "5", "4", "access denied"),
            (400, "Unheard", "9", "8", "Unheard"),
            (501, "NotImplemented", "10", "8", "cannot do that"),
            (301, "PermanentRedirect", "1", "2", "region"),
            (404, "NoSuchBucket", "6", "3", "no such bucket")):
        f.clear()
        f.add("*", ".", faults.answer(status, code=code), -1)
        row = ask("put", "k", "always", "text", "x")[1]
        tap.ok(row[:3] == ["err", kind, leaves] and words in row[3],
               f"{name}: {status} {code}", row)
    f.clear()
    f.add("PUT", ".", faults.answer(
        301, code="PermanentRedirect",
        headers={"x-amz-bucket-region": "mars-1"}), -1)
    ask("put", "k", "always", "text", "x")
    tap.ok(len(f.seen) == 2 and "/mars-1/s3/" in f.seen[1][2]["authorization"],
           f"{name}: a region that is named is tried once", f.seen)
    f.clear()
    f.add("PUT", ".", faults.answer(
        301, code="PermanentRedirect",
        headers={"x-amz-bucket-region": "us-east-1"}), 1)
    ask("put", "k", "always", "text", "x")
    f.clear()


LENGTH = 20 * MIB


def slow_answer(c):
    """An answer that never ends, though something comes all the time; one
    that is long, and stands still in its middle; one that begins late; one
    that asks for a wait; a list that always has one more page."""
    asked = c.recv(65536)
    if b"list-type" in asked:
        body = (b"<ListBucketResult><IsTruncated>true</IsTruncated>"
                b"<NextContinuationToken>%d</NextContinuationToken>"
                b"</ListBucketResult>" % time.monotonic_ns())
        c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return
    if b"/named" in asked:
        c.sendall(b"HTTP/1.1 503 X\r\nRetry-After: 30\r\n"
                  b"Content-Length: 0\r\n\r\n")
        return
    if b"/late" in asked:
        time.sleep(3)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                  b"ETag: \"a\"\r\n\r\nx")
        return
    m = re.search(rb"(?i)range: bytes=(\d+)-", asked)
    if b"/long" in asked and m:
        at = int(m[1])
        c.sendall(b"HTTP/1.1 206 X\r\nContent-Length: %d\r\nETag: \"a\"\r\n"
                  b"Content-Range: bytes %d-%d/%d\r\n\r\n" % (
                      LENGTH - at, at, LENGTH - 1, LENGTH))
        c.sendall(b"x" * (LENGTH - at))
        return
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"
              b"ETag: \"a\"\r\n\r\n" % LENGTH)
    if b"/long" in asked:
        c.sendall(b"x" * (LENGTH - MIB))
    while True:
        c.sendall(b"x" * 100)
        time.sleep(0.1)


def dribble(listener):
    def one(c):
        with c:
            try:
                slow_answer(c)
            except OSError:
                pass

    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(c,), daemon=True).start()


def slow_end():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=dribble, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        env = {"AWS_ENDPOINT_URL_S3": url}
        with Ask(env, "bucket", "retry=9", "answer=2") as ask:
            begin = time.monotonic()
            row = ask("get", "plain", "k")[1]
            took = time.monotonic() - begin
            tap.ok(row[:3] == ["err", "4", "5"] and "not whole" in row[3] and
                   took < 6, "an answer that does not end is left in time",
                   f"{took:.1f} s: {row}")
            row = ask("get", "plain", "long")[1]
            tap.eq(row[:4], ["ok", "found", str(LENGTH),
                             hashlib.sha256(b"x" * LENGTH).hexdigest()],
                   "a long one has more time while enough of it comes")
            begin = time.monotonic()
            row = ask("head", "named")[1]
            took = time.monotonic() - begin
            tap.ok(row[:3] == ["err", "4", "5"] and took < 3,
                   "who wants his answer in time does not wait for a store "
                   "that asks for half a minute", f"{took:.1f} s: {row}")
            begin = time.monotonic()
            row = ask("list", "p", "flat", 0, 0)[1]
            took = time.monotonic() - begin
            tap.ok(row[:3] == ["err", "4", "5"] and took < 6,
                   "nor for the end of a list that has none",
                   f"{took:.1f} s: {row}")
        with Ask(env, "bucket", "retry=4", "answer=9", "silent=4") as ask:
            tap.eq(ask("head", "late")[1][:2], ["ok", "found"],
                   "a store may be silent for as long as is said")
        listener.shutdown(socket.SHUT_RDWR)


def whole(kind):
    name = kind.name
    why = kind.missing()
    if why:
        tap.skip(f"{name}: the client against it", why)
        return
    with kind() as server, tempfile.TemporaryDirectory() as folder:
        bucket = "bucket-" + os.urandom(4).hex()
        plain = s3_plain.Plain(server)
        with Ask(server.env(), bucket) as ask:
            ask.bucket = bucket
            objects(ask, plain, name, folder)
            keys(ask, plain, name)
            conditions(ask, server, name)
            multipart(ask, plain, name, folder)
            tap.ok(server.secret not in ask.said(),
                   f"{name}: the log has no secret")
            tap.ok("/big%20" in ask.said() and "uploadId" not in ask.said(),
                   f"{name}: nor a query")
        if kit.BRIEF:
            return
        access(server, bucket, name)
        if kind is radosgw.Radosgw:
            styles(server, bucket, plain, name)
        harm(server, bucket, plain, name, folder)


if not os.path.exists(kit.program("tests/e2e/s3ask")):
    tap.skip("the client of object storage", "tests/e2e/s3ask is not built")
else:
    dead_end()
    slow_end()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(whole, k) for k in
                (radosgw.Radosgw, swift.Swift)[:1 if kit.BRIEF else 2]]
    for run in runs:
        run.result()
tap.done()
