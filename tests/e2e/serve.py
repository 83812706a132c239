#!/usr/bin/env python3
"""The mirror over what is held: every answer that a Hub's clients rely on
(1.11 of the reference), by requests as plain as they are sent."""
import base64
import concurrent.futures
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import serving  # noqa: E402

tap = kit.Tap()
ODD = ["a b.txt", "a+b.txt", "100%.txt", "c#d.txt", "e?f=g&h.txt", "é.txt",
       "🤗/🤗.bin", "x;y,z.txt", "~.txt", "sub dir/a/b/c.txt"]
FILES = {"config.json": b'{"a": 1}\n', "empty.txt": b"",
         "model.safetensors": bytes(range(256)) * 4000,
         "tiny.bin": b"0123456789", **{n: n.encode() for n in ODD}}
ALICE = "hf_" + "a" * 34
BOB = "hf_" + "b" * 40


def quote(path):
    return urllib.parse.quote(path, safe="/")


def etag_of(data):
    kind = serving.sha256 if len(data) >= 1000 else serving.git_sha1
    return f'"{kind(data)}"'


def files(m, commit):
    """HEAD and GET agree for every file, by branch, tag, pull request, commit."""
    odd = []
    for rev in ("main", "v1.0", "refs%2Fpr%2F1", commit):
        for path, data in FILES.items():
            url = f"/acme/m/resolve/{rev}/{quote(path)}"
            head, get = m.ask(url, "HEAD"), m.ask(url)
            want = {"x-repo-commit": commit, "etag": etag_of(data),
                    "content-length": str(len(data)), "accept-ranges": "bytes",
                    "x-linked-etag": etag_of(data),
                    "x-linked-size": str(len(data)),
                    "cache-control": "no-cache" if rev != commit else
                    "public, max-age=31536000, immutable"}
            for reply in (head, get):
                got = {k: reply[k] for k in want}
                if reply.status != 200 or got != want:
                    odd.append((url, reply.status, got))
            if get.body != data or "content-encoding" in get.fields or any(
                    "xet" in k for k in get.fields):
                odd.append((url, get.body[:40]))
    tap.eq(odd, [], "HEAD and GET agree for every file, name and revision")
    gz = m.ask("/acme/m/resolve/main/config.json",
               Accept_Encoding="gzip, deflate")
    tap.ok(gz.body == FILES["config.json"], "no resolve is compressed")


def ranges(m):
    url, data = "/acme/m/resolve/main/tiny.bin", FILES["tiny.bin"]
    odd = []
    for a in range(len(data)):
        for b in range(a, len(data) + 2):
            r = m_conn.ask(url, Range=f"bytes={a}-{b}")
            last = min(b, len(data) - 1)
            if (r.status, r.body, r["content-range"]) != (
                    206, data[a:b + 1], f"bytes {a}-{last}/{len(data)}"):
                odd.append((a, b, r.status, r.body))
        r = m_conn.ask(url, Range=f"bytes={a}-")
        if (r.status, r.body) != (206, data[a:]):
            odd.append((a, r.status))
        r = m_conn.ask(url, Range=f"bytes=-{a + 1}")
        if (r.status, r.body) != (206, data[-a - 1:]):
            odd.append((-a, r.status))
    tap.eq(odd, [], "206 for every range of a small file")
    for text in (f"bytes={len(data)}-", "bytes=100-200", "bytes=-0"):
        r = m_conn.ask(url, Range=text)
        tap.eq((r.status, r["content-range"]), (416, "bytes */10"),
               f"416 for {text}")
    r = m_conn.ask("/acme/m/resolve/main/empty.txt", Range="bytes=0-")
    tap.eq((r.status, r["content-range"]), (416, "bytes */0"),
           "416 of an empty file")
    r = m_conn.ask(url, Range="bytes=0-1,4-5")
    tap.eq((r.status, r.body), (200, data), "several ranges: 200, all of it")
    r = m_conn.ask(url, Range="bytes=2-3", If_Range=etag_of(data))
    tap.eq(r.status, 206, "If-Range of the same file")
    r = m_conn.ask(url, Range="bytes=2-3", If_Range='"other"')
    tap.eq((r.status, r.body), (200, data), "If-Range of another: all of it")
    r = m_conn.ask(url, If_None_Match=etag_of(data))
    tap.eq((r.status, r["etag"]), (304, etag_of(data)), "If-None-Match: 304")
    r = m_conn.ask(url, If_None_Match=etag_of(data), Range="bytes=99-")
    tap.eq((r.status, r["content-length"]), (304, str(len(data))),
           "which comes before any range, and tells no length but the file's")
    r = m_conn.ask(url)
    tap.eq(r.body, data, "and the connection goes on")
    big = FILES["model.safetensors"]
    r = m_conn.ask("/acme/m/resolve/main/model.safetensors",
                   Range="bytes=100000-900000")
    tap.ok(r.status == 206 and r.body == big[100000:900001],
           "a range of a large file")


def keep_alive(m):
    s = m.connect()
    conn = serving.Conn(s)
    bad = [r.status for r in (conn.ask("/acme/m/resolve/main/config.json",
                                       "HEAD" if i % 3 else "GET")
                              for i in range(1000)) if r.status != 200]
    s.close()
    tap.eq(bad, [], "1,000 requests on one connection")


def half_closed(m):
    """Who sends no more may have asked for much."""
    got, begin = [], time.monotonic()
    for _ in range(2):
        with m.connect() as s:
            s.sendall(b"GET /acme/m/resolve/main/config.json HTTP/1.1\r\n"
                      b"Host: x\r\n\r\n" * 40)
            s.shutdown(socket.SHUT_WR)
            got.append(s.makefile("rb").read().count(b" 200 OK"))
    took = time.monotonic() - begin
    tap.ok(got == [40] * 2 and took < 8, "who says that these are all his "
           "requests gets all answers, and an end", (got, took))


def not_there(m, commit):
    cases = [("/acme/none/resolve/main/a", 404, "RepoNotFound", None),
             ("/api/models/acme/none", 404, "RepoNotFound", None),
             ("/api/models/acme/none/refs", 404, "RepoNotFound", None),
             ("/api/models/no--such/name", 404, "RepoNotFound", None),
             ("/acme/m/resolve/none/config.json", 404, "RevisionNotFound",
              None),
             ("/api/models/acme/m/revision/none", 404, "RevisionNotFound",
              None),
             (f"/acme/m/resolve/{'0' * 40}/config.json", 404,
              "RevisionNotFound", None),
             ("/acme/m/resolve/main/none.txt", 404, "EntryNotFound", commit),
             ("/acme/m/resolve/main/sub%20dir", 404, "EntryNotFound", commit),
             ("/api/models/acme/m/tree/main/none", 404, "EntryNotFound",
              commit),
             ("/api/models/acme/m/xet-read-token/main", 404, "EntryNotFound",
              commit)]
    for url, status, code, told in cases:
        for method in ("HEAD", "GET"):
            r = m.ask(url, method)
            tap.eq((r.status, r["x-error-code"], r["x-repo-commit"]),
                   (status, code, told), f"{method} {url}: {code}")
            if method == "GET":
                tap.ok(r.json()["error"], f"{url}: says why, in JSON")
    start = time.monotonic()
    for i in range(200):
        m_conn.ask(f"/acme/m/resolve/main/adapter_{i}.json", "HEAD")
    tap.ok(time.monotonic() - start < 10, "what is not there is said fast")


def listings(m, commit):
    info = m.ask("/api/models/acme/m?blobs=true").json()
    for key in ("_id", "id", "modelId", "sha", "private", "gated", "disabled",
                "downloads", "likes", "tags", "siblings"):
        tap.ok(key in info, f"a repository has '{key}'")
    tap.eq((info["id"], info["sha"], {s["rfilename"] for s in info["siblings"]}),
           ("acme/m", commit, set(FILES)), "which it is, and its files")
    big = next(s for s in info["siblings"]
               if s["rfilename"] == "model.safetensors")
    data = FILES["model.safetensors"]
    tap.eq((big["size"], big["lfs"], big["blobId"]),
           (len(data), {"sha256": serving.sha256(data), "size": len(data),
                        "pointerSize": len(serving.pointer(data))},
            serving.git_sha1(serving.pointer(data))), "with blobs: sizes")
    plain = m.ask("/api/models/acme/m/revision/v1.0").json()
    tap.eq(set(plain["siblings"][0]), {"rfilename"}, "without: names alone")
    reply = m.ask("/api/models/acme/m/tree/main?recursive=true&expand=false")
    tree = reply.json()
    tap.eq({e["path"]: e["size"] for e in tree if e["type"] == "file"},
           {p: len(d) for p, d in FILES.items()}, "the whole tree in one page")
    tap.ok("link" not in reply.fields and "xetHash" not in reply.body.decode(),
           "nothing leads elsewhere")
    folders = {e["path"] for e in tree if e["type"] == "directory"}
    tap.eq(folders, {"🤗", "sub dir", "sub dir/a", "sub dir/a/b"},
           "with its folders")
    tap.ok(all(re.fullmatch("[0-9a-f]{40}", e["oid"]) for e in tree),
           "each with a digest")
    top = m.ask("/api/models/acme/m/tree/main?recursive=false").json()
    tap.eq({e["path"] for e in top},
           {p.split("/")[0] for p in FILES}, "one level of it")
    below = m.ask("/api/models/acme/m/tree/main/sub%20dir%2Fa").json()
    tap.eq([e["path"] for e in below], ["sub dir/a/b"], "one folder of it")
    last = m.ask("/api/models/acme/m/tree/main?expand=true").json()[0]
    tap.eq(last["lastCommit"]["id"], commit, "expanded: its last commit")
    refs = m.ask("/api/models/acme/m/refs").json()
    tap.eq(sorted((b["name"], b["ref"], b["targetCommit"])
                  for b in refs["branches"]),
           [("main", "refs/heads/main", commit),
            ("v1.0", "refs/heads/v1.0", commit)], "its branches")
    form = "paths=config.json&paths=sub%20dir%2Fa&paths=none&expand=false"
    found = m.ask("/api/models/acme/m/paths-info/main", "POST",
                  form.encode()).json()
    tap.eq([(e["type"], e["path"]) for e in found],
           [("file", "config.json"), ("directory", "sub dir/a")],
           "paths-info: those that exist")
    for url, method, allow in (
            ("/api/models/acme/m/paths-info/main", "GET", "POST"),
            ("/api/models/acme/m/tree/main", "POST", "GET, HEAD"),
            ("/acme/m/resolve/main/config.json", "DELETE", "GET, HEAD"),
            ("/healthz", "PUT", "GET, HEAD")):
        r = m.ask(url, method)
        tap.eq((r.status, r["allow"]), (405, allow),
               f"{method} {url}: what it takes is said")
    tap.eq(m.ask("/api/models/acme/m/commits/main").json()[0]["id"], commit,
           "commits")
    tap.eq(m.ask("/api/models/acme/m/auth-check").status, 200, "auth-check")
    tap.eq(m.ask("/api/whoami-v2").json()["type"], "user", "whoami")
    tap.eq(m.ask("/api/telemetry/x/y", "HEAD").status, 204, "telemetry: 204")
    r = m.ask("/api/models?search=bert")
    tap.ok(r.status == 501 and "testmirror" in r.json()["error"],
           "what no mirror does is refused in the mirror's name")
    tap.eq(m.ask("/api/datasets/acme/d").json().get("modelId"), None,
           "a data set is no model")
    tap.eq(m.ask("/gpt2/resolve/main/config.json").body, b"{}",
           "a bare name")
    tap.eq(m.ask("/api/models/gpt2").json()["id"], "gpt2", "and its listing")


def half(cache, m):
    """What is listed and not there whole is never served."""
    name, path = "acme/half", "model.safetensors"
    data = os.urandom(100_000)
    commit = cache.add(name, {path: data, "b": b"b"}, hold=("b",))
    url = f"/{name}/resolve/main/{path}"
    r = m.ask(url, "HEAD")
    tap.eq((r.status, "testmirror" in r["x-error-message"],
            r["x-repo-commit"]), (504, True, commit),
           "a file that is not held: 504, in the mirror's name")
    tap.eq(m.ask(f"/{name}/resolve/main/b").body, b"b", "the others are served")
    blob = cache.blob(name, path, data)
    serving.write(blob, data[:50_000])
    tap.eq(m.ask(url).status, 504, "nor is half of it")
    serving.write(blob + ".incomplete", data[:50_000])
    serving.write(blob, data + b"x")
    tap.eq(m.ask(url).status, 504, "nor one that is longer")
    serving.write(blob, data)
    tap.eq(m.ask(url).body, data, "and then it is whole")
    os.unlink(blob)
    os.mkfifo(blob)
    tap.eq(m.ask(url).status, 504, "no pipe is waited for")
    os.unlink(blob)
    serving.write(os.path.join(cache.folder(name), "trees", commit + ".json"),
                  b'{"format_version": 1, "files": {"../x": {}}}')
    r = m.ask(f"/{name}/resolve/main/b")
    tap.eq(r.status, 500, "a listing that is damaged is not believed")


def changes(cache, m):
    """A mirror need not be told of what is pulled."""
    name = "acme/moves"
    first = cache.add(name, {"a": b"one"})
    tap.eq(m.ask(f"/{name}/resolve/main/a").body, b"one", "a new repository")
    second = cache.add(name, {"a": b"two"})
    r = m.ask(f"/{name}/resolve/main/a")
    tap.eq((r.body, r["x-repo-commit"]), (b"two", second), "a moved branch")
    tap.eq(m.ask(f"/{name}/resolve/{first}/a").body, b"one", "the old commit")
    cache.add(name, {"a": b"two", "b": b"b"}, commit=second)
    tap.eq(m.ask(f"/{name}/resolve/main/b").body, b"b", "a new listing")
    old = cache.add("acme/old", {"a": b"a", "d/big": b"b" * 5000},
                    listing=False)
    tree = m.ask("/api/models/acme/old/tree/main?recursive=1").json()
    tap.eq([(e["path"], e["size"], e.get("lfs", {}).get("oid"), e["oid"])
            for e in tree if e["type"] == "file"],
           [("a", 1, None, serving.git_sha1(b"a")),
            ("d/big", 5000, serving.sha256(b"b" * 5000),
             serving.git_sha1(serving.pointer(b"b" * 5000)))],
           "a snapshot without a listing tells its files")
    tap.eq(m.ask("/acme/old/resolve/main/d/big")["x-repo-commit"], old,
           "and they are served")
    many = {f"f/{i:05}.txt": b"x" for i in range(5000)}
    cache.add("acme/many", many)
    tree = m.ask("/api/models/acme/many/tree/main?recursive=true").json()
    tap.eq(len(tree), 5001, "5,000 files in one page")


def used(cache):
    """What is served is used; but what only others used is theirs."""
    for noted in (True, False):
        name = f"acme/used{int(noted)}"
        commit = cache.add(name, {"a": b"a"})
        mark = os.path.join(cache.folder(name), "ml", "used", commit)
        if noted:
            serving.write(mark, b"")
            os.utime(mark, (1, 1))
        with serving.Mirror(cache.root, "-q") as m:
            m.ask(f"/{name}/resolve/main/a")
        tap.eq(os.path.exists(mark) and os.stat(mark).st_mtime > 1, noted,
               f"a use is noted: {noted}")


def prefixed(cache):
    with serving.Mirror(cache.root, "--path-prefix", "/hub/one/", "-q") as m:
        tap.ok(m.url.endswith("/hub/one"), "the URL has the prefix")
        tap.eq(m.ask("/hub/one/gpt2/resolve/main/config.json").body, b"{}",
               "a file below a prefix")
        tap.eq(m.ask("/hub/one/healthz").status, 200, "its health")
        tap.eq(m.ask("/gpt2/resolve/main/config.json").status, 404,
               "nothing outside of it")
        tap.eq(m.log, [], "-q: no line for a request")


def unread(cache):
    """Nobody reads its log: it serves on, and ends when it is told to."""
    def ask():
        return {conn.ask("/x/" + "y" * 390).status for _ in range(1500)}

    with serving.Mirror(cache.root) as m, m.connect() as s:
        conn = serving.Conn(s)
        with m.reading:
            tap.eq(ask(), {501}, "nobody reads its log: it serves on")
        for _ in range(100):
            m.ask("/healthz")
            if any("lines were lost here" in line for line in m.log):
                break
            time.sleep(0.05)
        tap.ok(any("lines were lost here" in line for line in m.log),
               "what was lost is said when somebody does", m.log[-3:])
        with m.reading:
            ask()
            m.proc.terminate()
            tap.eq(m.proc.wait(20), 0, "and it can be ended meanwhile")


def soon(mirror, url, token, status, tries):
    """The status of the answer, once it is that one or tries are spent."""
    for _ in range(tries):
        if mirror.ask(url, Authorization=token).status == status:
            break
        time.sleep(0.1)
    return mirror.ask(url, Authorization=token).status


def guarded(cache):
    folder = kit.scratch()
    path = os.path.join(folder, "guests")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{ALICE} acme/*\n{BOB} *\n")
    os.chmod(path, 0o600)
    with serving.Mirror(cache.root, "--tokens", path) as m:
        url = "/acme/m/resolve/main/config.json"
        tap.eq(m.ask("/healthz").status, 200, "health needs no token")
        r = m.ask(url)
        tap.ok(r.status == 401 and "testmirror" in r["x-error-message"],
               "without a token: 401, in the mirror's name")
        r = m.ask(url, Authorization="Bearer " + "hf_" + "x" * 34)
        tap.eq((r.status, r["x-error-message"]),
               (401, "Invalid credentials in Authorization header"),
               "a wrong token: what clients know")
        alice = f"Bearer {ALICE}"
        tap.eq(m.ask(url, Authorization=alice).status, 200, "hers")
        r = m.ask(f"/acme/m/resolve/{COMMIT}/config.json",
                  Authorization=alice)
        tap.eq(r["cache-control"], "private, max-age=31536000, immutable",
               "no cache that others use may keep what is hers")
        r = m.ask("/gpt2/resolve/main/config.json", Authorization=alice)
        tap.ok(r.status == 403 and r["x-error-message"].startswith(
            "blocked by mirror policy: "), "not hers: 403")
        r = m.ask("/api/models/acme-not/m", Authorization=alice)
        tap.eq(r.status, 403, "nor what only begins so")
        tap.eq([m.ask(u, Authorization=alice).status for u in ("/", "/metrics")],
               [403, 403], "what names everything is for who may have it")
        tap.eq(m.ask("/", Authorization=f"Bearer {BOB}").status, 200, "his page")
        basic = base64.b64encode(f"bob:{BOB}".encode()).decode()
        tap.eq(m.ask("/", Authorization=f"Basic {basic}").status, 200,
               "in a browser the token is the password")
        tap.eq(m.ask("/")["www-authenticate"].split()[0], "Basic",
               "which is asked for it")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"{BOB} *\n")
        tap.eq(soon(m, url, alice, 401, 100), 401,
               "a changed file is read again")
        st = os.stat(path)
        with open(path + "-new", "w", encoding="utf-8") as f:
            f.write(f"{ALICE} *\n{BOB} *\n")
        os.chmod(path + "-new", 0o600)
        os.utime(path + "-new", ns=(st.st_atime_ns, st.st_mtime_ns))
        os.rename(path + "-new", path)
        tap.eq(soon(m, url, alice, 200, 30), 200,
               "so is another one of the same time")
        with open(path, "w", encoding="utf-8") as f:
            f.write("nonsense\n")
        time.sleep(1.5)
        tap.eq(m.ask(url, Authorization=f"Bearer {BOB}").status, 200,
               "a wrong one is not taken")
        os.remove(path)
        time.sleep(1.5)
        tap.ok(m.ask(url, Authorization=f"Bearer {BOB}").status == 200 and
               any("not there any more" in line for line in m.log),
               "nor does one that is gone end anything, but that is said")
        m.ask(url + f"?token={BOB}", Authorization=f"Bearer {BOB}")
        m.stop()
        log = "".join(m.log)
    tap.ok(ALICE not in log and BOB not in log and "GET /acme/m" in log,
           "the log has requests, and no token", log)


def secured(cache):
    folder = kit.scratch()
    cert, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                    cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True,
                   capture_output=True)
    with serving.Mirror(cache.root, "--tls-cert", cert, "--tls-key", key) as m:
        trust = ssl.create_default_context(cafile=cert)
        big = "/acme/m/resolve/main/model.safetensors"
        with urllib.request.urlopen(m.url + big, context=trust) as r:
            tap.eq(r.read(), FILES["model.safetensors"], "a file over TLS")
        page = urllib.request.urlopen(m.url + "/", context=trust).read()
        tap.ok(f"HF_ENDPOINT={m.url}<".encode() in page, "its URL is https")
    for bad in (("--tls-cert", cert), ("--tls-cert", cert, "--tls-key", cert),
                ("--tls-cert", key + "x", "--tls-key", key)):
        done = kit.run(["mlfetch", "serve", "--listen", "127.0.0.1:0", *bad],
                       kit.clean_env(folder), timeout=20)
        tap.ok(done.returncode in (2, 3, 8) and done.stderr.count("error:") == 1,
               f"{bad[0]} alone or wrong: {done.returncode}", done.stderr)


def watched(m):
    page = m.ask("/").body.decode()
    tap.ok("acme/m" in page and "<svg" in page, "a page tells what is held")
    outside = [u for u in re.findall(r"""(?:src|href)=["']?([^"'> ]+)""", page)]
    tap.ok(not outside and "@import" not in page and "url(" not in page and
           "<script" not in page, "and loads nothing", outside)
    evil = m.ask("/", Host="<script>alert(1)</script>").body
    tap.ok(b"<script" not in evil, "nothing of a request gets into it")
    text = m.ask("/metrics").body.decode()
    value = {}
    for line in text.splitlines():
        found = re.fullmatch(r'([a-z_]+)(\{[^}]*\})? ([0-9.e+]+)', line)
        if not line.startswith("#"):
            if found is None:
                value["odd"] = line
            else:
                value[found[1] + (found[2] or "")] = float(found[3])
    tap.ok("odd" not in value, "metrics are lines of Prometheus'", value)
    tap.ok(value['mlfetch_mirror_requests_total{route="resolve",code="206"}'] > 50
           and value["mlfetch_mirror_hits_total"] > 50 and
           value["mlfetch_mirror_misses_total"] == 0, "and count")
    tap.eq(m.ask("/healthz").body, b"ok\n", "healthy")


def crowd(m):
    """Many at once, each with all of a file."""
    data = FILES["model.safetensors"]

    def one(i):
        r = m.ask("/acme/m/resolve/main/model.safetensors",
                  Range=f"bytes={i}-")
        return r.status == 206 and r.body == data[i:]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tap.eq([i for i, ok in enumerate(pool.map(one, range(200))) if not ok],
               [], "200 ranges by 16 clients at once")


def ends(cache):
    """SIGTERM: what is under way has a moment, no more begins."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        with serving.Mirror(cache.root) as m:
            held = m.connect()
            held.sendall(b"GET /acme/m/resolve/main/model.safetensors "
                         b"HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)
            idle = m.connect()
            m.proc.send_signal(sig)
            time.sleep(1.2)
            with socket.socket() as late:
                late.settimeout(0.3)
                tap.ok(late.connect_ex(("127.0.0.1", m.port)) != 0,
                       f"{sig.name}: nobody connects any more")
            size = len(FILES["model.safetensors"])
            got = b""
            while b"\r\n\r\n" not in got or \
                    len(got.split(b"\r\n\r\n", 1)[1]) < size:
                part = held.recv(1 << 16)
                if not part:
                    break
                got += part
            tap.ok(got.endswith(FILES["model.safetensors"]),
                   f"{sig.name}: an answer that is under way is finished")
            start = time.monotonic()
            status = m.proc.wait(timeout=30)
            tap.ok(status == 0 and time.monotonic() - start < 8,
                   f"{sig.name}: a clean end", (status, m.log))
            idle.close()
            held.close()


def refused_options(cache):
    folder = kit.scratch()
    env = kit.clean_env(folder, HF_HUB_CACHE=cache.root)
    for args, status in (
            ([], 2), (["--listen", "127.0.0.1"], 2),
            (["--listen", "127.0.0.1:99999"], 2),
            (["--listen", "127.0.0.1:0", "--path-prefix", "a/b"], 2),
            (["--listen", "127.0.0.1:0", "--path-prefix", "/a/../b"], 2),
            (["--listen", "127.0.0.1:0", "--volume", "none"], 3),
            (["--listen", "127.0.0.1:0", "--tokens", folder + "/none"], 3),
            (["--listen", "203.0.113.7:80"], 1)):
        done = kit.run(["mlfetch", "serve", *args], env, timeout=20)
        tap.eq((done.returncode, done.stderr.count("error:"), done.stdout),
               (status, 1, ""), f"serve {' '.join(args)}: status {status}")


with serving.Cache() as hub:
    COMMIT = hub.add("acme/m", FILES, refs=("main", "v1.0", "refs/pr/1"))
    hub.add("gpt2", {"config.json": b"{}"})
    hub.add("acme/d", {"data.csv": b"a,b\n"}, kind="dataset")
    with serving.Mirror(hub.root) as mirror:
        kept = mirror.connect()
        m_conn = serving.Conn(kept)
        files(mirror, COMMIT)
        ranges(mirror)
        keep_alive(mirror)
        half_closed(mirror)
        not_there(mirror, COMMIT)
        listings(mirror, COMMIT)
        half(hub, mirror)
        changes(hub, mirror)
        watched(mirror)
        crowd(mirror)
        kept.close()
        tap.eq(mirror.stop(), 0, "it ends well")
    used(hub)
    prefixed(hub)
    unread(hub)
    guarded(hub)
    secured(hub)
    ends(hub)
    refused_options(hub)
tap.done()
