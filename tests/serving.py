"""What the tests of the mirror share: a hub cache made by hand, a mirror of
it, and requests as plain as they are sent."""
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.parse

import kit


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def pointer(data):
    return (b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\n"
            b"size %d\n" % (sha256(data).encode(), len(data)))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


class Cache:
    """A hub cache, in the official layout, without any program's help."""

    def __init__(self):
        self.root = os.path.join(kit.scratch(), "hub")
        os.makedirs(self.root)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(os.path.dirname(self.root))

    def folder(self, name, kind="model"):
        return os.path.join(self.root, f"{kind}s--" + name.replace("/", "--"))

    def blob(self, name, path, data, kind="model", lfs_from=1000):
        lfs = len(data) >= lfs_from
        etag = sha256(data) if lfs else git_sha1(data)
        return os.path.join(self.folder(name, kind), "blobs", etag)

    def add(self, name, files, refs=("main",), commit=None, kind="model",
            lfs_from=1000, listing=True, hold=None):
        """A commit; hold: the files of which there are bytes (all)."""
        top = self.folder(name, kind)
        commit = commit or hashlib.sha1(repr((name, sorted(
            files.items()))).encode()).hexdigest()
        tree = {}
        for path, data in files.items():
            lfs = len(data) >= lfs_from
            etag = sha256(data) if lfs else git_sha1(data)
            entry = {"size": len(data),
                     "blob_id": git_sha1(pointer(data) if lfs else data)}
            if lfs:
                entry.update(lfs_sha256=etag, lfs_size=len(data))
            tree[path] = entry
            if hold is not None and path not in hold:
                continue
            write(os.path.join(top, "blobs", etag), data)
            link = os.path.join(top, "snapshots", commit, path)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if not os.path.lexists(link):
                up = "../" * (2 + path.count("/"))
                os.symlink(f"{up}blobs/{etag}", link)
        if listing:
            write(os.path.join(top, "trees", commit + ".json"), json.dumps(
                {"format_version": 1, "files": tree}).encode())
        for ref in refs:
            write(os.path.join(top, "refs", ref), commit.encode())
        return commit


class Mirror:
    """mlfetch serve, running; for `with`."""

    def __init__(self, cache, *args, env=None, prefix=(), **more):
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home, HF_HUB_CACHE=cache, **more)
        self.env.update(env or {})
        self.args = args
        self.prefix = list(prefix)  # of the command: strace ...
        self.log = []
        self.reading = threading.Lock()  # held: nobody reads its log

    def __enter__(self):
        self.proc = subprocess.Popen(
            [*self.prefix, kit.program("mlfetch"), "serve", "--listen",
             "127.0.0.1:0", "--name", "testmirror", *map(str, self.args)],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.url = self.proc.stdout.readline().strip()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.url:
            self.reader.join()
            raise RuntimeError("the mirror did not start: " +
                               "".join(self.log))
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port
        return self

    def _read(self):
        for line in self.proc.stderr:
            with self.reading:
                self.log.append(line)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        status = self.proc.wait(timeout=60)
        self.reader.join(timeout=10)
        return status

    def __exit__(self, *exc):
        self.stop()
        self.proc.stdout.close()
        self.proc.stderr.close()
        shutil.rmtree(self.home)

    def connect(self):
        s = socket.create_connection((self.host, self.port), timeout=30)
        s.settimeout(30)
        return s

    def raw(self, data, quiet=0.5):
        """What comes back for these bytes, until the end or a silence."""
        with self.connect() as s:
            s.sendall(data)
            s.settimeout(quiet)
            out = b""
            try:
                while True:
                    part = s.recv(1 << 16)
                    if not part:
                        return out, True
                    out += part
            except ConnectionResetError:
                return out, True
            except TimeoutError:
                return out, False

    def ask(self, target, method="GET", body=b"", **fields):
        """One request on a connection of its own."""
        with self.connect() as s:
            return Conn(s).ask(target, method, body, **fields)


class Reply:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields
        self.body = body

    def __getitem__(self, name):
        return self.fields.get(name.lower())

    def json(self):
        return json.loads(self.body)


class Conn:
    """A connection that is kept; nothing is decoded for anybody."""

    def __init__(self, s):
        self.s = s
        self.f = s.makefile("rb")

    def ask(self, target, method="GET", body=b"", **fields):
        if isinstance(target, str):
            target = target.encode()
        head = b"%s %s HTTP/1.1\r\nHost: mirror.test\r\n" % (
            method.encode(), target)
        if body or method == "POST":
            head += b"Content-Length: %d\r\n" % len(body)
        for name, value in fields.items():
            head += f"{name.replace('_', '-')}: {value}\r\n".encode()
        self.s.sendall(head + b"\r\n" + body)
        return self.read(method)

    def read(self, method="GET"):
        line = self.f.readline()
        if not line:
            return Reply(0, {}, b"")
        status = int(line.split()[1])
        fields = {}
        while True:
            line = self.f.readline().rstrip(b"\r\n")
            if not line:
                break
            name, value = line.decode("latin-1").split(":", 1)
            fields[name.lower()] = value.strip()
        body = b""
        if method != "HEAD" and status not in (204, 304):
            body = self.f.read(int(fields.get("content-length", 0)))
        return Reply(status, fields, body)
