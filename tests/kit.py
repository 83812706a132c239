"""What the Python tests share: TAP, the programs, the test hub."""
import atexit
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
# tests/all.py runs some again under the sanitizers: without what only waits
BRIEF = BUILD.endswith("/asan")
# the models to prove the path on, when they are there (see docs/design)
STORIES = os.path.join(ROOT, "../shared/models/stories260k")


class Tap:
    """The test protocol; from any thread."""

    def __init__(self):
        self.n = 0
        self.failed = 0
        self.lock = threading.Lock()

    def say(self, cond, rest, lines=()):
        with self.lock:
            self.n += 1
            self.failed += not cond
            text = f"{'' if cond else 'not '}ok {self.n} - {rest}\n"
            sys.stdout.write(text + "".join(f"#   {x}\n" for x in lines))
            sys.stdout.flush()

    def ok(self, cond, name, detail=""):
        self.say(cond, name,
                 () if cond else str(detail).splitlines()[-20:])
        return cond

    def eq(self, got, want, name):
        return self.ok(got == want, name, f"got  {got!r}\nwant {want!r}")

    def skip(self, name, why):
        self.say(True, f"{name} # SKIP {why}")

    def done(self):
        print(f"1..{self.n}")
        sys.exit(1 if self.failed else 0)


def program(name):
    return os.path.join(BUILD, name)


def clean_env(home, **more):
    """An environment in which nothing of the user's is found."""
    keep = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
    env = {k: os.environ[k] for k in keep if k in os.environ}
    env.update(HOME=home, HF_HOME=os.path.join(home, "hf"), TERM="dumb")
    env.update({k: str(v) for k, v in more.items()})
    return env


def run(args, env, timeout=300, **more):
    """A program by its name, with text output; never raises on failure."""
    return subprocess.run([program(args[0]), *map(str, args[1:])], env=env,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, **more)


def scratch():
    """A new folder, which goes when this program ends, if not before."""
    folder = tempfile.mkdtemp(prefix="mltest.")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def journal(sha, size, there):
    """The journal of a file of which the first so many bytes are there."""
    text = (f"ml-journal 1\netag {sha}\nsize {size}\n"
            f"range 0 {there}\n")
    return text + f"sum {hashlib.sha256(text.encode()).hexdigest()}\n"


class Hub:
    """The test hub of tests/server, running; for `with`."""

    def __init__(self, repos, **config):
        self.folder = scratch()
        self.config = dict(config, repos=repos)

    def __enter__(self):
        path = os.path.join(self.folder, "hub.json")
        ready = os.path.join(self.folder, "ready.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.config, f)
        self.proc = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tests/server/hub.py"),
             "--config", path, "--ready", ready])
        for _ in range(600):
            if os.path.exists(ready):
                break
            if self.proc.poll() is not None:
                raise RuntimeError("the test hub did not start")
            time.sleep(0.1)
        with open(ready, encoding="utf-8") as f:
            self.urls = json.load(f)
        self.url = self.urls["hub"]
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.folder)

    def control(self, route, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_test/{route}",
                                         data=data,
                                         method="POST" if data else "GET")
        trust = ssl.create_default_context()
        trust.check_hostname = False  # it may be out of date on purpose
        trust.verify_mode = ssl.CERT_NONE
        with urllib.request.urlopen(request, context=trust) as answer:
            return json.load(answer)

    def faults(self, rules):
        self.control("faults", rules)

    def log(self):
        return self.control("log")

    def reset(self):
        self.control("reset", {})
