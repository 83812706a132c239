#!/usr/bin/env python3
"""The official client and mlfetch against one hub with the same faults: what
each did, as a table in Markdown (docs/benchmarks.md). `make clients` runs it.

Both get the same repository, a small file and one of 24 MiB, into a new cache.
Every end is checked byte by byte; a run that does not end in CAP_S seconds is
stopped. What it prints are observations, and no test.
"""
# packages: safetensors huggingface_hub tokenizers gguf
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)
import run as venvs  # noqa: E402
from pulling import MIB, World, gets, kit, matches, noise, write  # noqa: E402

REPO = "acme/large"
SIZE = 24 * MIB
CAP_S = 90
BYTES = {"host": "bytes", "path": "*/model.safetensors"}
RESOLVE = {"path": "*/resolve/*"}
PAGE = "<html>Welcome to the hotel</html>"
OFFICIAL = """
import logging, sys, warnings
warnings.simplefilter("ignore")
from huggingface_hub import snapshot_download
from huggingface_hub.utils import logging as log
log.set_verbosity(logging.CRITICAL)
try:
    print(snapshot_download(sys.argv[1]))
except BaseException as e:
    sys.exit(type(e).__name__ + ": " + " ".join(str(e).split()))
"""

CASES = [
    ("no fault", []),
    ("503 from the bytes host, once", [dict(BYTES, status=503)]),
    ("503 from the Hub for a file, once",
     [dict(RESOLVE, status=503, method="GET"),
      dict(RESOLVE, status=503, method="HEAD")]),
    ("503 for the listing, once", [{"path": "*/tree/*", "status": 503}]),
    ("503 from the bytes host, for ever",
     [dict(BYTES, status=503, times=-1)]),
    ("every connection cut after 3 MiB", [dict(BYTES, cut=3 * MIB,
                                               times=-1)]),
    ("one cut after 15 MiB", [dict(BYTES, cut=15 * MIB)]),
    ("a stall of a minute", [dict(BYTES, stall=[MIB, 60])]),
    ("one bit wrong, once", [dict(BYTES, flip=5 * MIB)]),
    ("one bit wrong, always", [dict(BYTES, flip=5 * MIB, times=-1)]),
    ("one bit of a small file wrong, always",
     [{"host": "hub", "path": "*/resolve-cache/*config.json", "flip": 0,
       "times": -1}]),
    ("a signed address that has expired, once",
     [dict(BYTES, status=403)]),
    ("cut, then ranges are ignored", [dict(BYTES, cut=2 * MIB),
                                      dict(BYTES, ignore_range=True,
                                           times=-1)]),
    ("another part than asked for, once",
     [dict(BYTES, cut=11 * MIB), dict(BYTES, wrong_range=True)]),
    ("429 with a time, once", [dict(RESOLVE, status=429, headers={
        "RateLimit": '"resolvers";r=0;t=2'})]),
    ("429 for ever", [dict(RESOLVE, status=429, times=-1, headers={
        "RateLimit": '"resolvers";r=0;t=2'})]),
    ("no X-Repo-Commit", [dict(RESOLVE, times=-1,
                               headers={"X-Repo-Commit": None})]),
    ("a login page in place of the API", [
        {"path": "/api/*", "status": 200, "times": -1, "body": PAGE,
         "headers": {"Content-Type": "text/html"}}]),
    ("a login page in place of the bytes", [
        dict(BYTES, status=200, times=-1, body=PAGE,
             headers={"Content-Type": "text/html"})]),
    ("a redirect in a circle", [dict(RESOLVE, status=302, times=-1,
                                     headers={"Location": "?again=1"})]),
]


class Client:
    def __init__(self, name, connections, command):
        self.name = name
        self.connections = connections
        self.command = command

    def start(self, world):
        env = dict(world.env, HF_HUB_DISABLE_XET="1",
                   HF_HUB_DISABLE_TELEMETRY="1",
                   HF_HUB_DISABLE_PROGRESS_BARS="1")
        return subprocess.Popen([*self.command, REPO], env=env, text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)


def finish(proc, cap=CAP_S):
    """(status or None when it was stopped, stdout, stderr)"""
    try:
        out, err = proc.communicate(timeout=cap)
        return proc.returncode, out, err
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.communicate()
        return None, "", ""


def error_line(text):
    lines = [x for x in text.splitlines() if x.strip()]
    lines = [x for x in lines if "error" in x.lower()] or lines or ["silent"]
    line = re.sub(r"mlfetch: error: ", "", lines[-1].strip())
    line = re.sub(r"(127\.0\.0\.\d):\d+", r"\1", line)
    line = re.sub(r"\(Request ID: [^)]*\)\s*", "", line)
    line = re.sub(r"\?\S*", "", line)
    return line[:110].replace("|", "/") + ("..." if len(line) > 110 else "")


def describe(status, out, err, files, seconds, served):
    if status is None:
        return f"no end in {CAP_S} s"
    if status != 0:
        return f"gave up: {error_line(err)} ({seconds:.0f} s)"
    wrong = matches(out.strip().splitlines()[-1], files)
    word = "**WRONG BYTES, as success**" if wrong else "right"
    times = served / SIZE
    return f"{word} ({seconds:.0f} s, {times:.2f} x the bytes)"


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def one(hub, client, rules, files):
    with World(hub.url) as w:
        hub.reset()
        hub.faults(rules)
        began = time.monotonic()
        status, out, err = finish(client.start(w))
        seconds = time.monotonic() - began
        return describe(status, out, err, files, seconds, served(hub))


def warm(hub, client, files):
    with World(hub.url) as w:
        hub.faults([])
        finish(client.start(w))
        hub.reset()
        began = time.monotonic()
        finish(client.start(w))
        seconds = time.monotonic() - began
        return f"{len(hub.log())} request, {seconds:.2f} s"


def killed(hub, client, files):
    """kill -9 at about the half; what the next run fetches."""
    with World(hub.url) as w:
        hub.reset()
        hub.faults([dict(BYTES, rate=MIB, times=-1)])
        proc = client.start(w)
        while not gets(hub, "bytes") and proc.poll() is None:
            time.sleep(0.05)
        time.sleep(SIZE / 2 / MIB / client.connections)
        proc.send_signal(signal.SIGKILL)
        proc.communicate()
        first = served(hub)
        hub.faults([])
        hub.reset()
        status, out, err = finish(client.start(w))
        text = describe(status, out, err, files, 0, 0).partition(" (")[0]
        return (f"{text}; {served(hub) / SIZE:.2f} x the bytes again, after "
                f"{first / SIZE:.2f}")


def together(hub, client, files):
    with World(hub.url) as w:
        hub.reset()
        hub.faults([dict(BYTES, rate=8 * MIB, times=-1)])
        procs = [client.start(w) for _ in range(4)]
        done = [finish(p) for p in procs]
        good = sum(d[0] == 0 and not matches(d[1].strip().splitlines()[-1],
                                             files) for d in done)
        return f"{good} of 4 right, {served(hub) / SIZE:.2f} x the bytes"


def main():
    python, why = venvs.make_venv(venvs.packages_of(__file__)) \
        if len(sys.argv) < 2 else (sys.argv[1], "")
    if python is None:
        sys.exit(f"no virtual environment: {why}")
    version = subprocess.run(
        [python, "-c", "import huggingface_hub as h; print(h.__version__)"],
        capture_output=True, text=True).stdout.strip()
    clients = [Client(f"huggingface_hub {version}", 1,
                      [python, "-c", OFFICIAL]),
               Client("mlfetch", 4, [kit.program("mlfetch"), "pull"])]
    data = kit.scratch()
    files = {"model.safetensors": noise(SIZE, "large"),
             "config.json": b'{"a": 1}\n'}
    for name, content in files.items():
        write(os.path.join(data, "large", name), content)
    print(f"| fault | {clients[0].name} | {clients[1].name} |")
    print("|---|---|---|")
    with kit.Hub({REPO: {"dir": os.path.join(data, "large")}}) as hub:
        rows = [(name, lambda c, r=rules: one(hub, c, r, files))
                for name, rules in CASES]
        rows += [("all is held already", lambda c: warm(hub, c, files)),
                 ("kill -9 in the middle, then again",
                  lambda c: killed(hub, c, files)),
                 ("four processes at once",
                  lambda c: together(hub, c, files))]
        for name, call in rows:
            cells = [call(c) for c in clients]
            print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)
    shutil.rmtree(data)


if __name__ == "__main__":
    main()
