"""A running test hub with known contents, a bare HTTP client, and the list of checks."""

import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse

CHECKS = []
SERVER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hub.py")
START_LIMIT = 30

SMALL = b"hello\n"
SMALL_GIT = "ce013625030ba8dba906f756967f9e9ca394464a"
EMPTY_GIT = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
BIG = bytes(range(256)) * 4096    # 1 MiB
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()
ODD_NAME = "sub dir/n\u00e9sted #1%+.txt"
PINNED = "0123456789abcdef0123456789abcdef01234567"
COMMIT_OF_PR = "fedcba9876543210fedcba9876543210fedcba98"
GOOD, OTHER, GARBAGE = "hf_good", "hf_other", "hf_garbage"


def check(function):
    CHECKS.append(function)
    return function


def expect(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r}, not {wanted!r}")


class Reply:
    def __init__(self, status, headers, body, complete):
        self.status = status
        self.headers = headers
        self.body = body
        self.complete = complete    # the body had the announced length

    def header(self, name):
        return self.headers.get(name)

    def json(self):
        return json.loads(self.body)


def request(url, method="GET", token=None, headers=None, body=None, timeout=20, trust=None):
    """One request on a connection of its own; redirects are not followed."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=trust)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = "Bearer " + token
    target = url[len(parts.scheme) + 3 + len(parts.netloc):]
    try:
        connection.request(method, target, body=body, headers=sent)
        response = connection.getresponse()
        try:
            return Reply(response.status, response.headers, response.read(), True)
        except http.client.IncompleteRead as partial:
            return Reply(response.status, response.headers, partial.partial, False)
    finally:
        connection.close()


class World:
    """One test hub in a folder of its own."""

    def __init__(self, folder, config, name="main"):
        self.folder = folder
        self.ready_path = os.path.join(folder, name + ".ready")
        self.log_path = os.path.join(folder, name + ".log")
        config_path = os.path.join(folder, name + ".json")
        with open(config_path, "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        self.process = subprocess.Popen([sys.executable, SERVER, "--config", config_path,
                                         "--ready", self.ready_path, "--log", self.log_path])
        self.hub, self.bytes = self._wait_until_ready()
        self.trust = None
        if self.hub.startswith("https"):
            self.trust = ssl.create_default_context(cafile=os.path.join(folder, "cert.pem"))

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            if os.path.exists(self.ready_path):
                with open(self.ready_path, encoding="utf-8") as stream:
                    ready = json.load(stream)
                expect(ready["pid"], self.process.pid, "pid in the ready file")
                return ready["hub"], ready["bytes"]
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError("the test hub did not start")

    def stop(self):
        self.process.terminate()
        return self.process.wait(10)

    def ask(self, target, method="GET", **options):
        """A request to the hub host, or to a full URL."""
        url = target if target.startswith("http") else self.hub + target
        return request(url, method, trust=self.trust, **options)

    def post(self, target, value):
        return self.ask(target, "POST", body=json.dumps(value).encode(),
                        headers={"Content-Type": "application/json"})

    def faults(self, *rules):
        expect(self.post("/_test/faults", list(rules)).status, 200, "posting faults")

    def knobs(self, **changes):
        expect(self.post("/_test/config", changes).status, 200, "posting knobs")

    def log(self):
        return self.ask("/_test/log").json()

    def signed(self, target="/acme/tiny/resolve/main/model.safetensors", **options):
        """The URL on the bytes host that a resolve redirects to."""
        reply = self.ask(target, **options)
        expect(reply.status, 302, "status of " + target)
        return reply.header("Location")

    def commit(self, repo="acme/tiny", revision="main"):
        return self.ask(f"/api/models/{repo}/revision/{revision}").json()["sha"]


def write(folder, path, data):
    full = os.path.join(folder, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as stream:
        stream.write(data)


def make_contents(folder):
    tiny = os.path.join(folder, "tiny")
    write(tiny, "config.json", SMALL)
    write(tiny, "empty.txt", b"")
    write(tiny, "empty.bin", b"")
    write(tiny, "model.safetensors", BIG)
    write(tiny, "onnx/deep/model.bin", SMALL)
    write(tiny, ODD_NAME, SMALL)
    write(os.path.join(folder, "next"), "config.json", b"changed\n")
    # git sorts "a.txt" before the folder "a"
    write(os.path.join(folder, "sorted"), "top/a/x", SMALL)
    write(os.path.join(folder, "sorted"), "top/a.txt", SMALL)
    for number in range(2500):
        write(os.path.join(folder, "many"), f"part-{number:04}.json", b"%d" % number)


def make_config():
    tiny = {"dir": "tiny"}
    return {
        "tokens": {GOOD: {"name": "alice"}, OTHER: {"name": "bob"}},
        "renamed": {"old/name": "acme/tiny"},
        "disabled": ["acme/disabled"],
        "repos": {
            "acme/tiny": {**tiny, "branches": {"main": None, "feature/x": PINNED},
                          "tags": {"v1": "main", "pinned": PINNED},
                          "refs": {"refs/pr/1": COMMIT_OF_PR, "refs/convert/parquet": None},
                          "revisions": {"next": {"dir": "next"}, PINNED: {"dir": "next"}}},
            "acme/sorted": {"dir": "sorted"},
            "acme/moving": tiny,
            "gpt2": tiny,
            "acme/data": {**tiny, "type": "dataset"},
            "acme/many": {"dir": "many"},
            "acme/gated": {**tiny, "gated": "auto", "tokens": [GOOD]},
            "acme/private": {**tiny, "private": True, "tokens": [GOOD]},
            "acme/disabled": tiny,
            "acme/direct": {**tiny, "direct": True},
            "acme/xet": {**tiny, "xet": True},
            "acme/bare": {**tiny, "headers_drop": ["x-repo-commit"]},
            "acme/evil": {**tiny, "extra_tree": [
                {"type": "file", "oid": EMPTY_GIT, "size": 0, "path": "../evil"}],
                "patch_tree": {"config.json": {"size": 7}}},
        }}
