#!/usr/bin/env python3
"""mlfetch pull when things go wrong: cuts, lies, stalls, limits, wrong bytes,
interrupts, two at once. Either every byte is right, or nothing is visible."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, fails, gets, good, kit,  # noqa: E402
                     make_model, noise, shimmed, write)

REPO = "acme/tiny"
SIZE = 9 * MIB
BYTES = {"host": "bytes", "path": "*/model.safetensors"}


def served(hub):
    return sum(r["bytes"] for r in gets(hub, "bytes"))


def start(world, *args):
    return subprocess.Popen([kit.program("mlfetch"), "pull", *args],
                            env=world.env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def when(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def survived(tap, hub, files, rules, name, *args, **env):
    """One pull in spite of the faults; returns the requests for bytes."""
    with World(hub.url, **env) as w:
        hub.faults(rules)
        hub.reset()
        good(tap, w.pull(REPO, *args), files, name)
        hub.faults([])
        return gets(hub, "bytes")


def cuts(tap, hub, files):
    for n in (1, 4095, 100_000, 3 * MIB):
        log = survived(tap, hub, files, [dict(BYTES, cut=n)],
                       f"cut after {n} bytes")
        again = [r for r in log if r["range"]
                 and int(r["range"][6:].split("-")[0]) % MIB == n % MIB]
        tap.ok(again, f"and asked for the rest behind byte {n}",
               [r["range"] for r in log])
        tap.ok(sum(r["bytes"] for r in log) <= SIZE + MIB,
               "nothing was fetched twice", [r["bytes"] for r in log])
    survived(tap, hub, files, [dict(BYTES, cut=300_000, times=12)],
             "cut twelve times", "-j", "2")
    survived(tap, hub, files, [dict(BYTES, hangup=True, times=3)],
             "closed without an answer, three times")
    survived(tap, hub, files, [dict(BYTES, short_length=True, times=3)],
             "half of what was asked for, three times")
    survived(tap, hub, files, [{"host": "hub", "path": "*/resolve-cache/*",
                                "cut": 1}], "a small file cut")
    survived(tap, hub, files, [{"path": "*/tree/*", "cut": 100}],
             "a listing cut")
    survived(tap, hub, files, [{"path": "*/revision/*", "hangup": True}],
             "the first request of all fails")


def statuses(tap, hub, files):
    for status in (500, 502, 503, 504, 408):
        log = survived(tap, hub, files, [dict(BYTES, status=status)],
                       f"{status} from the bytes host")
        tap.ok(any(r["status"] == status for r in log), "it was met")
    survived(tap, hub, files, [{"path": "*/resolve/*", "status": 503,
                                "times": 2}], "503 from the Hub")
    survived(tap, hub, files, [{"path": "*/tree/*", "status": 500}],
             "500 for the listing")
    with World(hub.url) as w:
        hub.faults([dict(BYTES, status=500, times=-1)])
        began = time.monotonic()
        done = w.pull(REPO, "--retry-time", "3")
        fails(tap, done, 5, "500", "500 for ever: 5")
        tap.ok(2 < time.monotonic() - began < 12, "after the time allowed")
        tap.ok("Signature" not in done.stderr and "?" not in done.stderr,
               "no query of a signed URL is shown", done.stderr)
        tap.eq([n for n in w.visible(REPO) if "model" in n], [],
               "and nothing of it is visible")
        hub.faults([])


def limits(tap, hub, files):
    rule = {"path": "*/resolve/*", "status": 429, "headers": {
        "RateLimit": '"resolvers";r=0;t=1', "Retry-After": None}}
    for name, change in (("RateLimit", {}),
                         ("Retry-After", {"headers": {
                             "RateLimit": None, "Retry-After": "1"}}),
                         ("another bucket's RateLimit", {"headers": {
                             "RateLimit": '"api";r=40;t=200'}})):
        with World(hub.url) as w:
            hub.faults([dict(rule, **change)])
            began = time.monotonic()
            done = w.pull(REPO)
            took = time.monotonic() - began
            good(tap, done, files, f"429 with {name}")
            if "another" in name:
                tap.ok(took < 2, "which is not waited for", took)
            else:
                tap.ok(took >= 2 and "2 s" in done.stderr,
                       "is waited for, and says how long",
                       f"{took} {done.stderr}")
    with World(hub.url) as w:
        hub.faults([{"path": "*/revision/*", "status": 429, "times": -1,
                     "headers": {"RateLimit": '"api";r=0;t=2000'}}])
        fails(tap, w.pull(REPO), 5, "2001 s", "a wait too long to wait: 5")
        hub.faults([])


def ranges(tap, hub, files):
    survived(tap, hub, files, [dict(BYTES, ignore_range=True, times=1)],
             "one range ignored")
    log = survived(tap, hub, files, [dict(BYTES, ignore_range=True,
                                          times=-1)], "all ranges ignored")
    tap.ok(sum(r["bytes"] for r in log) <= 3 * SIZE,
           "one stream is left of them", [r["bytes"] for r in log])
    survived(tap, hub, files, [dict(BYTES, ignore_range=True, cut=5 * MIB),
                               dict(BYTES, ignore_range=True, times=-1)],
             "all ranges ignored, and the stream cut")
    survived(tap, hub, files, [dict(BYTES, wrong_range=True, times=2)],
             "a wrong Content-Range, twice")
    survived(tap, hub, files, [dict(BYTES, wrong_range="bytes 0-9/10")],
             "the Content-Range of another file")
    survived(tap, hub, files, [dict(BYTES, wrong_range="bytes */9")],
             "a Content-Range that is none")
    with World(hub.url) as w:
        hub.faults([dict(BYTES, wrong_range=True, times=-1)])
        fails(tap, w.pull(REPO), 6, "another part",
              "a wrong Content-Range for ever: 6")
        hub.faults([])


class Endless(http.server.BaseHTTPRequestHandler):
    """A Hub of one file, which it refuses without ever coming to an end."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        known = {"/revision/": {"sha": "a" * 40}, "/tree/": [
            {"type": "file", "path": "f", "size": 1, "oid": "b" * 40}]}
        body = [v for k, v in known.items() if k in self.path]
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body[0] if body else "no").encode())
        try:
            while not body:
                self.wfile.write(b"no " * 1000)
        except OSError:
            pass


def endless(tap):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with World(f"http://127.0.0.1:{server.server_port}") as w:
        began = time.monotonic()
        fails(tap, w.pull(REPO, timeout=60), 3, "404", "an endless refusal: 3")
        tap.ok(time.monotonic() - began < 30, "of which the front is enough")
    server.shutdown()


def refusals(tap, hub):
    with World(hub.url) as w:
        hub.faults([{"path": "*/resolve/*", "status": 429, "times": -1,
                     "headers": {"RateLimit": '"resolvers";r=0;t=2000'}}])
        done = w.pull(REPO)
        fails(tap, done, 5, "2001 s", "a wait for files too long to wait: 5")
        tap.ok("no new byte" not in done.stderr, "and nothing else is said",
               done.stderr)
        hub.faults([])
    with World(hub.url.replace("http:", "https:")) as w:
        began = time.monotonic()
        fails(tap, w.pull(REPO), 5, "SSL", "TLS where there is none: 5")
        tap.ok(time.monotonic() - began < 20, "before the minute is over")


def addresses(tap, hub, files):
    hub.control("config", {"url_ttl": 1})
    survived(tap, hub, files, [dict(BYTES, rate=MIB, times=-1)],
             "addresses that expire on the way", "-j", "2")
    hub.control("config", {"url_ttl": 0})
    with World(hub.url) as w:
        fails(tap, w.pull(REPO), 5, "403", "addresses that never work: 5")
    hub.control("config", {"url_ttl": 3600})
    survived(tap, hub, files, [dict(BYTES, status=403)],
             "403 from the bytes host, once")
    with World(hub.url) as w:
        hub.faults([{"path": "*/resolve/*/model.safetensors", "headers": {
            "Location": "http://127.0.0.1:1/gone"}}])
        good(tap, w.pull(REPO), files, "the Hub is asked again when the "
             "bytes host is down")
        hub.faults([dict(BYTES, wrong_range=True, times=-1)])
        done = w.pull(REPO, "--force")
        tap.ok("model.safetensors" in done.stderr and "127.0.0.2" in
               done.stderr, "an error names file and host", done.stderr)
    with World(hub.url) as w:
        hub.faults([{"path": "*/resolve/*", "status": 302, "times": -1,
                     "headers": {"Location": "/acme/tiny/resolve/x/y"}}])
        fails(tap, w.pull(REPO), 5, "circle", "redirects in a circle: 5")
        hub.faults([{"path": "*/resolve/*", "status": 302, "times": -1}])
        fails(tap, w.pull(REPO), 5, "nowhere", "redirects to nowhere: 5")
        hub.faults([dict(BYTES, status=302, times=-1,
                         headers={"Location": "file:///etc/passwd"})])
        done = w.pull(REPO, "--retry-time", "2")
        tap.ok(done.returncode == 5 and "root:" not in done.stderr
               and "model.safetensors" not in w.visible(REPO),
               "a redirect to a file of this machine: 5", done.stderr)
        hub.faults([])


def stalls(tap, hub, files):
    began = time.monotonic()
    survived(tap, hub, files, [dict(BYTES, stall=[MIB, 30])],
             "a connection that stalls is replaced",
             HF_HUB_DOWNLOAD_TIMEOUT=2)
    tap.ok(time.monotonic() - began < 15, "in time")


def wrong_bytes(tap, hub, files):
    survived(tap, hub, files, [dict(BYTES, flip=5 * MIB + 3)],
             "one bit flipped, once: fetched again")
    small = {"host": "hub", "path": "*/resolve-cache/*config.json"}
    for rule, name in ((dict(BYTES, flip=5 * MIB + 3), "model.safetensors"),
                       (dict(BYTES, flip=0), "model.safetensors"),
                       (dict(small, flip=3), "config.json")):
        with World(hub.url) as w:
            hub.faults([dict(rule, times=-1)])
            done = w.pull(REPO)
            fails(tap, done, 6, "digest", f"one bit of {name} flipped, "
                  "always: 6")
            tap.ok(name in done.stderr, "names the file", done.stderr)
            tap.ok(name not in w.visible(REPO), "it is not visible",
                   w.visible(REPO))
            tap.ok(not os.path.exists(os.path.join(w.repo(REPO),
                                                   "refs/main")),
                   "the ref is not written")
            hub.faults([])
            good(tap, w.pull(REPO), files, "the next pull fetches it again")


def damaged_partial(tap, hub, files):
    """The journal's word is not enough: the digest of all of it counts."""
    with World(hub.url) as w:
        hub.faults([dict(BYTES, rate=2 * MIB, times=-1)])
        proc = start(w, REPO, "-j", "1")
        when(lambda: w.names(REPO, "ml/journal"))
        proc.send_signal(signal.SIGINT)
        proc.communicate()
        tap.eq(proc.returncode, 130, "interrupted: 130")
        hub.faults([])
        blobs = os.path.join(w.repo(REPO), "blobs")
        name, = [n for n in os.listdir(blobs) if n.endswith(".incomplete")]
        with open(os.path.join(blobs, name), "r+b") as f:
            f.seek(1000)
            f.write(b"damage")
        done = w.pull(REPO)
        good(tap, done, files, "a partial that was damaged on disk")
        tap.ok("again" in done.stderr, "is noticed", done.stderr)


def interrupts(tap, hub, files):
    with World(hub.url) as w:
        hub.faults([dict(BYTES, rate=MIB, times=-1)])
        hub.reset()
        proc = start(w, REPO, "-j", "2")
        time.sleep(2.5)
        proc.send_signal(signal.SIGINT)
        out, said = proc.communicate()
        tap.ok(proc.returncode == 130 and out == "", "SIGINT: 130", said)
        hub.faults([])
        first = served(hub)
        hub.reset()
        done = w.pull(REPO)
        good(tap, done, files, "what was fetched before is kept")
        tap.ok(first > 3 * MIB and first + served(hub) < SIZE + MIB,
               "all of it", f"{first} + {served(hub)} of {SIZE}")
        hub.reset()
        got = w.pull_json(REPO, "--dry-run")
        tap.eq(got["fetch_bytes"], 0, "nothing is left to do")


def together(tap, hub, files):
    with World(hub.url) as w:
        hub.faults([dict(BYTES, rate=3 * MIB, times=-1)])
        hub.reset()
        procs = [start(w, REPO) for _ in range(3)]
        done = [p.communicate() for p in procs]
        folders = {out.strip() for out, _ in done}
        tap.ok([p.returncode for p in procs] == [0, 0, 0]
               and len(folders) == 1, "three at once all succeed", done)
        tap.ok(served(hub) <= SIZE + MIB, "and the bytes come once",
               served(hub))
        good(tap, w.pull(REPO), files, "and are right")
        hub.faults([])


LYING = "int flock(int fd, int op) { (void)fd; (void)op; return 0; }"


SLOW = ("#include <netdb.h>\n#include <unistd.h>\n"
        "int getaddrinfo(const char *n, const char *s,"
        " const struct addrinfo *h, struct addrinfo **r)"
        "{ (void)n; (void)s; (void)h; (void)r; sleep(15); return EAI_AGAIN; }")


def slow_names(tap):
    name = "an interrupt does not wait for a name server"
    folder = kit.scratch()
    shim = shimmed(folder, SLOW)
    if shim is None:
        tap.skip(name, "cannot preload a slow one here")
        return
    with World("http://no.such.host", LD_PRELOAD=shim) as w:
        proc = start(w, REPO)
        time.sleep(1)
        began = time.monotonic()
        proc.send_signal(signal.SIGINT)
        proc.communicate()
        tap.ok(proc.returncode == 130 and time.monotonic() - began < 5, name,
               f"{proc.returncode} {time.monotonic() - began}")
    shutil.rmtree(folder)


def lying_locks(tap, hub, files):
    """Everybody gets every lock: a second download, never a wrong byte."""
    name = "two at once, where locks lie"
    folder = kit.scratch()
    shim = shimmed(folder, LYING)
    if shim is None:
        tap.skip(name, "cannot preload a lying flock here")
        return
    for rules in ([], [dict(BYTES, flip=MIB, after=1)]):
        with World(hub.url, LD_PRELOAD=shim) as w:
            hub.faults(rules + [dict(BYTES, rate=3 * MIB, times=-1)])
            hub.reset()
            procs = [start(w, REPO, "-j", "2") for _ in range(2)]
            done = [p.communicate() for p in procs]
            tap.ok([p.returncode for p in procs] == [0, 0], name, done)
            tap.ok(served(hub) <= 3 * SIZE, "at the cost of a second "
                   "download", served(hub))
            hub.faults([])
            good(tap, w.pull(REPO), files, "and every byte is right")
            tap.eq([n for n in w.names(REPO, "blobs") if "." in n], [],
                   "no partial is left")
    with World(hub.url, LD_PRELOAD=shim) as w:
        hub.faults([dict(BYTES, rate=2 * MIB, times=-1)])
        hub.reset()
        proc = start(w, REPO, "-j", "2")
        when(lambda: w.names(REPO, "ml/journal"))
        time.sleep(0.5)
        proc.send_signal(signal.SIGINT)
        proc.communicate()
        hub.faults([])
        good(tap, w.pull(REPO), files, "an interrupted one is gone on with")
        tap.ok(served(hub) < SIZE + MIB, "and what it had is kept",
               served(hub))
    shutil.rmtree(folder)


def many_files(tap, hub):
    with World(hub.url) as w:
        hub.reset()
        done = w.pull("acme/some", "-j", "8")
        good(tap, done, {f"f{i}.txt": b"%d\n" % i for i in range(300)},
             "300 small files over 8 connections")
        tap.eq(len(gets(hub, "hub", "resolve")), 600, "two requests each")
        used = {r["connection"] for r in hub.log()}
        tap.ok(len(used) <= 10, "connections are used again", len(used))


def connections(tap, hub, files):
    log = survived(tap, hub, files, [dict(BYTES, rate=8 * MIB, times=-1)],
                   "one file over several connections", "-j", "3")
    tap.ok(len({r["connection"] for r in log}) == 3, "three of them",
           [r["connection"] for r in log])


def progress(tap, hub):
    with World(hub.url) as w:
        hub.faults([dict(BYTES, rate=8 * MIB, times=-1)])
        done = w.pull(REPO, "--progress", "json")
        events = [json.loads(line) for line in done.stderr.splitlines()]
        tap.ok(done.returncode == 0 and events
               and events[-1]["event"] in ("done", "progress"),
               "--progress json is one event per line", done.stderr)
        hub.faults([])


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"), SIZE)
    assert files["model.safetensors"] != noise(SIZE, "other")
    for i in range(300):
        write(os.path.join(data, f"some/f{i}.txt"), b"%d\n" % i)
    repos = {REPO: {"dir": os.path.join(data, "tiny")},
             "acme/some": {"dir": os.path.join(data, "some")}}
    with kit.Hub(repos) as hub:
        cuts(tap, hub, files)
        statuses(tap, hub, files)
        limits(tap, hub, files)
        ranges(tap, hub, files)
        endless(tap)
        refusals(tap, hub)
        addresses(tap, hub, files)
        slow_names(tap)
        stalls(tap, hub, files)
        wrong_bytes(tap, hub, files)
        damaged_partial(tap, hub, files)
        interrupts(tap, hub, files)
        together(tap, hub, files)
        lying_locks(tap, hub, files)
        many_files(tap, hub)
        connections(tap, hub, files)
        progress(tap, hub)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
