#!/usr/bin/env python3
"""The conformance checklist of the Hub's download protocol, point by point.

The same server has to satisfy the official client (tests/interop), so that
client and server do not share a misunderstanding. Point 8's large file is in
huge.py; what is tested at greater depth elsewhere is named there.
"""
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import nginx  # noqa: E402
from pulling import (MIB, ODD, World, gets, kit, make_model,  # noqa: E402
                     matches, noise, shimmed, write)

MB = 1000 * 1000
SIZE = 20 * MIB
TINY, LARGE = "acme/tiny", "acme/large"
GOOD, OTHER, GARBAGE = "hf_goodgood", "hf_otherother", "hf_garbage"
BYTES = {"host": "bytes", "path": "*/model.safetensors"}
VECTORS = ["README.md", "data/a.json", "data/sub/b.json", "onnx/model.onnx",
           ".gitattributes", "A.JSON", "x[1].txt", "dir/file", "dir2"]
PATTERNS = {
    "*.json": ["data/a.json", "data/sub/b.json"],
    "data/*.json": ["data/a.json", "data/sub/b.json"],
    "data/": ["data/a.json", "data/sub/b.json"],
    "data/**": ["data/a.json", "data/sub/b.json"],
    "data": [], "dir": [], "*.JSON": ["A.JSON"],
    "[!d]*": ["README.md", "onnx/model.onnx", ".gitattributes", "A.JSON",
              "x[1].txt"],
    "?ata/*": ["data/a.json", "data/sub/b.json"],
    "x[[]1].txt": ["x[1].txt"],
    "**/*.json": ["data/a.json", "data/sub/b.json"],
    "data\\a.json": ["data/a.json"],
    "./data/a.json": [], "/data/*": [],
}


class Points:
    """The checks, each named by its point, and the caches they left."""

    def __init__(self, hub, files, large):
        self.tap = kit.Tap()
        self.hub = hub
        self.files = files
        self.large = large
        self.point = 0
        self.stray = []   # what a scan of the caches found, for point 14
        self.scanned = 0

    def ok(self, cond, name, detail=""):
        return self.tap.ok(cond, f"point {self.point}: {name}", detail)

    def skip(self, name, why):
        self.tap.skip(f"point {self.point}: {name}", why)

    def right(self, done, files, name):
        bad = matches(done.stdout.strip(), files) if done.returncode == 0 \
            else f"status {done.returncode}\n{done.stderr}"
        return self.ok(bad is None, name, bad)

    def refused(self, done, status, text, name):
        return self.ok(done.returncode == status and text in done.stderr
                       and done.stdout == "", f"{name}: {status}",
                       f"status {done.returncode}, want '{text}'\n"
                       f"{done.stderr}")

    def pull(self, repo, rules=(), *args, **env):
        """One pull into a cache of its own; returns it, and the requests."""
        with World(self.hub.url, **env) as w:
            self.hub.reset()
            self.hub.faults(list(rules))
            done = w.pull(repo, *args)
            self.hub.faults([])
            self.keep(w, done)
            return done, self.hub.log()

    def survived(self, rules, name, repo=LARGE, **env):
        with World(self.hub.url, **env) as w:
            self.hub.reset()
            self.hub.faults(rules)
            done = w.pull(repo)
            seen = [r["seen"] for r in self.hub.control("faults")]
            self.hub.faults([])
            files = self.large if repo == LARGE else self.files
            self.right(done, files, name)
            if not any(seen):
                self.ok(False, f"{name}: the fault was met")
            self.scan(w)

    def keep(self, world, done):
        """The files go with the cache: what was right is said by now."""
        if done.returncode == 0:
            done.files = {}
            for where, _, names in os.walk(done.stdout.strip()):
                for n in names:
                    path = os.path.join(where, n)
                    with open(path, "rb") as f:
                        done.files[os.path.relpath(
                            path, done.stdout.strip())] = f.read()
        self.scan(world)

    def scan(self, world):
        """What the official scanner would stumble over, and more."""
        self.scanned += 1
        if not os.path.isdir(world.root):
            return
        for name in os.listdir(world.root):
            if name not in (".locks", "CACHEDIR.TAG") and not \
                    name.startswith(("models--", "datasets--", "spaces--")):
                self.stray.append(f"stray {name}")
        for name in os.listdir(world.root):
            if name.startswith("models--"):
                self.stray += scan_repo(os.path.join(world.root, name))


def scan_repo(folder):
    found = []
    snapshots = os.path.join(folder, "snapshots")
    commits = os.listdir(snapshots) if os.path.isdir(snapshots) else []
    for where, _, names in os.walk(os.path.join(folder, "refs")):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                if f.read().decode() not in commits:
                    found.append(f"the ref {name} names no snapshot")
    for where, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(where, name)
            if not os.path.exists(path):
                found.append(f"broken link {path}")
    for part, mode in (("refs", 0o644), ("trees", 0o644), ("blobs", 0o444)):
        top = os.path.join(folder, part)
        for where, _, names in os.walk(top):
            for name in names:
                got = stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode)
                if got != mode and not name.endswith(".incomplete"):
                    found.append(f"{part}/{name} has mode {got:o}")
    return found


def p01(p):
    """A small file: 307, 200, git SHA-1, the token on both hops."""
    with World(p.hub.url, HF_TOKEN=GOOD) as w:
        p.hub.reset()
        done = w.pull(TINY, "--include", "config.json")
        p.right(done, {"config.json": p.files["config.json"]}, "the bytes")
        hops = gets(p.hub, "hub", "config.json")
        p.ok([r["status"] for r in hops] == [307, 200], "307, then 200", hops)
        p.ok(all(r["authorization"] == f"Bearer {GOOD}" for r in hops),
             "the token on both", hops)
        p.ok([len(n) for n in w.names(TINY, "blobs")] == [40],
             "stored under its git SHA-1", w.names(TINY, "blobs"))
        p.scan(w)


def p02(p):
    """A large file: 302 to another host, X-Linked-Etag, no token there."""
    with World(p.hub.url, HF_TOKEN=GOOD) as w:
        p.hub.reset()
        done = w.pull(LARGE)
        p.right(done, p.large, "the bytes")
        away = gets(p.hub, "bytes")
        p.ok(away and not any(r["authorization"] for r in away),
             "no token at the second host", away)
        sizes = sorted(len(n) for n in w.names(LARGE, "blobs"))
        blob = [n for n in w.names(LARGE, "blobs") if len(n) == 64]
        p.ok(sizes == [40, 64] and not any(blob[0] in r["path"]
                                           for r in away),
             "stored under X-Linked-Etag, not the CDN's", blob)
        p.scan(w)


def p03(p):
    """Etags and header names in every form; HTTP/1.1 and h2."""
    with World(p.hub.url) as w:
        done = w.pull(TINY)
        small, = [n for n in w.names(TINY, "blobs") if
                  os.path.getsize(os.path.join(w.repo(TINY), "blobs", n))
                  == len(p.files["config.json"])]
        large, = [n for n in w.names(TINY, "blobs") if len(n) == 64]
        p.scan(w)
    for name, text in (("weak", 'W/"%s"'), ("bare", "%s")):
        rules = [{"path": f"*/resolve/*/{path}", "times": -1, "headers": {
            "X-Linked-Etag": text % digest}}
            for path, digest in (("model.safetensors", large),
                                 ("config.json", small))]
        done, _ = p.pull(TINY, rules)
        p.ok(done.returncode == 0 and done.files == p.files,
             f"a {name} etag", done.stderr)
    commit = {"X-REPO-COMMIT": None}
    with World(p.hub.url) as w:
        commit["X-REPO-COMMIT"] = w.pull_json(TINY, "--dry-run")["commit"]
    rule = {"path": "*/resolve/*", "times": -1, "headers": commit}
    done, _ = p.pull(TINY, [rule])
    p.ok(done.returncode == 0 and done.files == p.files,
         "header names in upper case", done.stderr)
    behind_h2(p)


NGINX = """log_format proto '$server_protocol'; access_log proto.log proto;
  server { listen 127.0.0.1:PORT ssl http2; ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    location / { proxy_pass %s; proxy_set_header Host $http_host;
      proxy_http_version 1.1; } }"""


def behind_h2(p):
    name = "a server that offers h2 gets HTTP/1.1"
    if not nginx.installed() or shutil.which("openssl") is None:
        p.skip(name, "no nginx or openssl program")
        return
    folder = kit.scratch()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True)
    proc, port = nginx.start(folder, NGINX % p.hub.url)
    with World(f"https://127.0.0.1:{port}",
               SSL_CERT_FILE=os.path.join(folder, "cert.pem")) as w:
        done = w.pull("acme/direct")
        p.right(done, {"m.bin": b"direct"}, name)
    with open(os.path.join(folder, "proto.log"), encoding="utf-8") as f:
        spoken = set(f.read().split())
    p.ok(spoken == {"HTTP/1.1"}, "so that ranges have connections of "
         "their own", spoken)
    proc.terminate()
    proc.wait()
    shutil.rmtree(folder)


def p04(p):
    """A missing X-Repo-Commit is named, and so is the host."""
    done, _ = p.pull("acme/nocommit")
    p.refused(done, 5, "X-Repo-Commit", "the header is named")
    p.ok(p.hub.url.partition("//")[2] in done.stderr, "and the host",
         done.stderr)


def p05(p):
    """Refusals, each with a message of its own."""
    said = set()
    entry = {"path": "*/resolve/*config.json", "times": -1, "status": 404,
             "body": "Entry not found", "headers": {
                 "X-Error-Code": "EntryNotFound"}}
    with World(p.hub.url) as w:
        p.hub.faults([entry])
        done = w.pull(TINY)
        p.hub.faults([])
        p.refused(done, 3, "config.json", "EntryNotFound")
        said.add(done.stderr.splitlines()[-1])
        p.ok(not os.path.exists(os.path.join(w.repo(TINY), ".no_exist")),
             "without X-Repo-Commit no .no_exist is written")
        p.scan(w)
    cases = [
        ("RevisionNotFound", TINY + "@nope", None, 3, "'nope'"),
        ("GatedRepo, 401", "acme/gated", None, 4, "gated"),
        ("GatedRepo, 403", "acme/gated", OTHER, 4, "no access"),
        ("RepoNotFound, 404", "acme/none", OTHER, 3, "may not see it"),
        ("a bare 401", "acme/none", None, 3, "no token was found"),
        ("a bad token", TINY, GARBAGE, 4, "not accept"),
        ("disabled", "acme/disabled", None, 4, "disabled"),
    ]
    for name, repo, token, status, text in cases:
        done, _ = p.pull(repo, (), **({"HF_TOKEN": token} if token else {}))
        p.refused(done, status, text, name)
        said.add(next((x for x in done.stderr.splitlines() if "error" in x),
                      ""))
    p.ok(len(said) == len(cases) + 1, "no two of them alike", said)


def p06(p):
    """A renamed repository: API and resolve, kept under the name asked."""
    with World(p.hub.url) as w:
        p.hub.reset()
        done = w.pull("acme/renamed")
        p.right(done, p.files, "is found")
        moved = [r for r in gets(p.hub, "hub", "acme/renamed")
                 if r["status"] == 307]
        kinds = {r["path"].split("/")[1] == "api" for r in moved}
        p.ok(kinds == {True, False}, "by redirects of API and resolve", moved)
        p.ok(w.names("acme/renamed", "blobs"), "and kept under the old name")
        p.scan(w)


def p07(p):
    """Revisions and paths that need care."""
    with World(p.hub.url) as w:
        commit = w.pull_json("acme/revs@v1", "--dry-run")["commit"]
        for rev in ("refs/pr/1", "v1", commit[:9], commit):
            text = b"pr" if rev == "refs/pr/1" else b"v1"
            p.right(w.pull(f"acme/revs@{rev}"), {"f.txt": text},
                    "a short hash" if rev == commit[:9] else
                    "a commit" if rev == commit else rev)
        p.scan(w)
    done, log = p.pull(TINY, (), "--include", "sub dir/*")
    p.ok(done.returncode == 0 and done.files == {ODD: p.files[ODD]},
         f"the path {ODD!r}", done.stderr)
    asked = [r["path"] for r in log if "/resolve/" in r["path"]]
    p.ok("sub%20dir/nested%20%C3%A9%20%231%25%2B.txt" in asked[0],
         "encoded as the protocol has it", asked)


def p08(p):
    """A file of no bytes."""
    done, log = p.pull(TINY, (), "--include", "empty.txt")
    p.ok(done.returncode == 0 and done.files == {"empty.txt": b""},
         "zero bytes", done.stderr)


def p09(p):
    """Connections that end early, lie, expire or stall."""
    for name, n in (("1 byte", 1), ("9 MB", 9 * MB), ("15 MB", 15 * MB)):
        p.survived([dict(BYTES, cut=n), dict(BYTES, ignore_range=True,
                                             cut=n)],
                   f"cut at {name}")
    p.survived([dict(BYTES, ignore_range=True, times=-1)],
               "a server that ignores Range")
    p.survived([dict(BYTES, wrong_range=True)], "a wrong Content-Range")
    p.survived([dict(BYTES, status=503, after=1)], "503 in mid-transfer")
    p.survived([dict(BYTES, status=403, after=1)], "403 of an expired URL")
    p.survived([dict(BYTES, rate=10, times=2)], "a slow drip",
               HF_HUB_DOWNLOAD_TIMEOUT=1)


def p10(p):
    """Wrong bytes of the right size must fail."""
    done, _ = p.pull(LARGE, [dict(BYTES, flip=7 * MB, times=-1)])
    p.refused(done, 6, "digest", "wrong bytes of the right size")


def p11(p):
    """429 in its three forms."""
    for name, head, seconds in (
            ("r=0;t=1", {"RateLimit": '"resolvers";r=0;t=1',
                         "Retry-After": None}, 2),
            ("Retry-After alone", {"RateLimit": None, "Retry-After": "1"}, 2),
            ("r>0, not our bucket", {"RateLimit": '"api";r=9;t=200'}, 0)):
        began = time.monotonic()
        done, _ = p.pull(TINY, [{"path": "*/resolve/*", "status": 429,
                                 "headers": head}])
        took = time.monotonic() - began
        p.ok(done.returncode == 0 and done.files == p.files and
             (took >= seconds if seconds else took < 20) and
             ("2 s" in done.stderr) == bool(seconds), f"429 with {name}",
             f"{took:.1f} s\n{done.stderr}")


def p12(p):
    """A listing of pages; a foreign next page never gets the token."""
    with World(p.hub.url, HF_TOKEN=GOOD) as w:
        p.hub.reset()
        done = w.pull("acme/many", "--dry-run", "--json")
        p.ok(json.loads(done.stdout)[0]["files"] == 2500 and
             len(gets(p.hub, "hub", "/tree/")) == 3, "2500 files on 3 pages",
             done.stderr)
        p.hub.reset()
        p.hub.faults([{"path": "*/tree/*", "headers": {
            "Link": '<{bytes}/api/models/x/y/tree/z>; rel="next"'}}])
        p.refused(w.pull(TINY), 8, "another server", "a foreign next page")
        p.ok(gets(p.hub, "bytes") == [], "and gets no request at all")
        p.hub.faults([])


def start(world, *args):
    return subprocess.Popen([kit.program("mlfetch"), "pull", *args],
                            env=world.env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def p13(p):
    """Two processes; kill -9 and resume; a full disk (more: kill.py)."""
    slow = [dict(BYTES, rate=4 * MIB, times=-1)]
    with World(p.hub.url) as w:
        p.hub.reset()
        p.hub.faults(slow)
        procs = [start(w, LARGE) for _ in range(2)]
        out = [q.communicate() for q in procs]
        served = sum(r["bytes"] for r in gets(p.hub, "bytes"))
        p.ok([q.returncode for q in procs] == [0, 0] and
             served <= SIZE + MIB, "two processes, one transfer",
             f"{served} bytes {out}")
        p.hub.faults([])
        p.right(w.pull(LARGE), p.large, "and all is right")
        p.scan(w)
    with World(p.hub.url) as w:
        p.hub.faults(slow)
        proc = start(w, LARGE)
        time.sleep(1)
        proc.send_signal(signal.SIGKILL)
        proc.communicate()
        p.hub.faults([])
        p.hub.reset()
        p.right(w.pull(LARGE), p.large, "kill -9, then resume")
        served = sum(r["bytes"] for r in gets(p.hub, "bytes"))
        p.ok(served < SIZE - MIB, "and not from the start", served)
        p.scan(w)
    with World(p.hub.url) as w:
        name = "a full disk"
        os.makedirs(w.root)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none",
                           w.root], capture_output=True).returncode != 0:
            p.skip(name, "cannot mount a tmpfs (not root?)")
            return
        p.refused(w.pull(LARGE), 7, "too little", name)
        subprocess.run(["umount", w.root], check=True)


def p14(p):
    """What all of it left: refs, entries, links, modes."""
    p.ok(p.stray == [], f"a scan of {p.scanned} caches finds nothing",
         "\n".join(p.stray))


NO_LINKS = ("#include <errno.h>\n"
            "int symlink(const char *a, const char *b)"
            "{ (void)a; (void)b; errno = EPERM; return -1; }\n"
            "int symlinkat(const char *a, int d, const char *b)"
            "{ (void)a; (void)d; (void)b; errno = EPERM; return -1; }\n")


def p15(p):
    """A read-only cache, no symbolic links, two-hop links."""
    with World(p.hub.url) as w:
        folder = w.pull(TINY).stdout.strip()
        blob = os.path.realpath(os.path.join(folder, "model.safetensors"))
        shared = os.path.join(w.root, "blobs/ab/" + "ab" * 32)
        os.makedirs(os.path.dirname(shared))
        os.rename(blob, shared)
        os.symlink(os.path.relpath(shared, os.path.dirname(blob)), blob)
        p.hub.reset()
        p.right(w.pull(TINY), p.files, "a cache with links of two hops")
        p.ok(len(p.hub.log()) == 1, "is held", p.hub.log())
        name = "a read-only cache"
        if subprocess.run(["mount", "--bind", "-o", "ro", w.root, w.root],
                          capture_output=True).returncode != 0:
            p.skip(name, "cannot mount (not root?)")
        else:
            p.right(w.pull(TINY), p.files, name)
            subprocess.run(["umount", w.root], check=True)
    with World(p.hub.url, HF_HUB_DISABLE_SYMLINKS="1") as w:
        done = w.pull(TINY)
        p.right(done, p.files, "HF_HUB_DISABLE_SYMLINKS")
        p.ok(no_links(done.stdout.strip()), "makes no symbolic link")
    folder = kit.scratch()
    shim = shimmed(folder, NO_LINKS)
    if shim is None:
        p.skip("a file system without them", "cannot preload here")
        return
    with World(p.hub.url, LD_PRELOAD=shim) as w:
        done = w.pull(TINY)
        p.right(done, p.files, "a file system without symbolic links")
        p.ok(no_links(done.stdout.strip()), "really had none")
    shutil.rmtree(folder)


def no_links(folder):
    return not any(os.path.islink(os.path.join(where, n))
                   for where, _, names in os.walk(folder) for n in names)


def p16(p):
    """The vectors of the patterns."""
    for pattern, want in PATTERNS.items():
        with World(p.hub.url) as w:
            done = w.pull("acme/vectors", "--dry-run", "--json", "--include",
                          pattern)
            got = [e["path"] for e in json.loads(done.stdout)[0]["entries"]] \
                if done.returncode == 0 else []
            p.ok(sorted(got) == sorted(want) and
                 done.returncode == (0 if want else 3), f"{pattern}",
                 f"{got}, want {want}\n{done.stderr}")


def repos(data):
    def at(*parts):
        return os.path.join(data, *parts)

    for rev in ("v1", "pr"):
        write(at("rev", rev, "f.txt"), rev.encode())
    write(at("w/w.bin"), b"weights")
    write(at("direct/m.bin"), b"direct")
    for name in VECTORS:
        write(at("vectors", name), b"x")
    for i in range(2500):
        write(at(f"many/d{i % 7}/f{i}.txt"), b"%d" % i)
    tiny = {"dir": at("tiny")}
    return {
        TINY: tiny, LARGE: {"dir": at("large")}, "acme/new-name": tiny,
        "acme/nocommit": dict(tiny, headers_drop=["X-Repo-Commit"]),
        "acme/disabled": tiny, "acme/many": {"dir": at("many")},
        "acme/gated": {"dir": at("w"), "gated": "auto", "tokens": [GOOD]},
        "acme/direct": {"dir": at("direct"), "direct": True},
        "acme/vectors": {"dir": at("vectors")},
        "acme/revs": {"dir": at("rev/v1"), "tags": {"v1": None},
                      "refs": {"refs/pr/1": None},
                      "revisions": {"refs/pr/1": {"dir": at("rev/pr")}}},
    }


def main():
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"), 3 * MIB)
    large = {"model.safetensors": noise(SIZE, "large"),
             "config.json": b"{}\n"}
    for name, content in large.items():
        write(os.path.join(data, "large", name), content)
    with kit.Hub(repos(data), tokens={OTHER: {"name": "bob"}},
                 renamed={"acme/renamed": "acme/new-name"},
                 disabled=["acme/disabled"]) as hub:
        points = Points(hub, files, large)
        checks = [p01, p02, p03, p04, p05, p06, p07, p08, p09, p10, p11, p12,
                  p13, p15, p16, p14]
        for check in checks:
            points.point = int(check.__name__[1:])
            check(points)
    shutil.rmtree(data)
    points.tap.done()


if __name__ == "__main__":
    main()
