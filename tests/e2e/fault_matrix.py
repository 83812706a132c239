#!/usr/bin/env python3
"""The fault matrix of mlfetch pull: every fault, at every place where it can
happen, once, often and for ever.

Each case is one pull with a time it may take at the most. It ends with every
byte right, or with the exit status and the word that names the cause; then
nothing wrong has a name in the cache, and with the fault gone the same
command succeeds. Without --long a part of the cases is run: every fault, every
place and every "how often" is among them. `make faults` runs all.
"""
import concurrent.futures
import hashlib
import os
import queue
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, World, gets, kit, make_model, matches  # noqa: E402

LONG = "--long" in sys.argv[1:]
WORKERS = 8
REPO = "acme/tiny"
SIZE = 9 * MIB
LARGE = "model.safetensors"
# How long a case may take: what it waits for by contract, and room to run.
ROOM_S = 25
RETRY_S = 2
STALL_S = 1              # given, or the half of --retry-time

PLACES = {
    "revision": {"path": "/api/models/*/revision/*"},
    "listing": {"path": "/api/models/*/tree/*"},
    "resolve": {"host": "hub", "path": f"*/resolve/*/{LARGE}"},
    "small file": {"host": "hub", "path": "*/resolve-cache/*config.json"},
    "first byte": {"host": "bytes", "holds": 0},
    "middle byte": {"host": "bytes", "holds": SIZE // 2},
    "last byte": {"host": "bytes", "holds": SIZE - 1},
}
API = ["revision", "listing"]
PARTS = ["first byte", "middle byte", "last byte"]
BODIES = API + ["small file"] + PARTS
ALL = list(PLACES)
OFTEN = {"once": 1, "often": 3, "for ever": -1}
PAGE = "<html><body>Welcome to the hotel. Room number?</body></html>"


class Fault:
    """What goes wrong, where, and what has to come of it."""

    def __init__(self, name, action, places, status, text, **more):
        self.name = name
        self.action = action      # of a rule; or a function of the place
        self.places = places
        self.status = status      # for ever: the exit status, 0 is success
        self.text = text          # for ever: one of these words is said
        self.limit = more.get("limit", 99)  # times that are survived
        self.env = more.get("env", {})
        self.wait = more.get("wait", 0)     # seconds the server asks for
        self.check = more.get("check")      # (log, stderr) -> complaint
        self.fixed = more.get("fixed", {})  # place -> (status, text), always

    def rule(self, place, times):
        act = self.action(place, times) if callable(self.action) \
            else self.action
        return dict(PLACES[place], times=times, **act)

    def expected(self, place, often):
        if place in self.fixed:
            return self.fixed[place]
        times = OFTEN[often]
        if 0 < times <= self.limit:
            return 0, [""]
        status = self.status
        if isinstance(status, dict):
            status = status.get(place, status.get("else"))
        return status, self.text


STALLING = {"HF_HUB_DOWNLOAD_TIMEOUT": STALL_S}


def cut(place, times):
    """In front of the first byte where it must not get further each time."""
    return {"cut": 5 if place in API else 0 if times < 0 else 1}


def cut_by_reset(place, times):
    return dict(cut(place, times), reset=True)


def headers(status=None, **more):
    act = {"headers": {k.replace("_", "-"): v for k, v in more.items()}}
    return dict(act, status=status) if status else act


def circle(place, _):
    query = "recursive=true&expand=false&" if place == "listing" else ""
    return headers(302, Location=f"?{query}again=1")


def resolved_again(log, _):
    asked = [r for r in log if "/resolve/" in r["path"] and LARGE in r["path"]]
    return None if len(asked) > 1 else "the Hub was not asked again"


def told(log, said):
    return None if "2 s" in said else "the seconds are not said"


FAULTS = [
    Fault("503", {"status": 503}, ALL, 5, ["503"]),
    Fault("500", {"status": 500}, ALL, 5, ["500"]),
    Fault("closed without an answer", {"hangup": True}, ALL, 5,
          ["Empty reply", "closed"]),
    Fault("reset without an answer", {"hangup": True, "reset": True}, ALL, 5,
          ["reset", "Empty reply", "closed"]),
    Fault("cut", cut, BODIES, 5, ["closed", "ended early", "remaining"]),
    Fault("reset in the body", cut_by_reset, BODIES, 5, ["reset", "closed"]),
    Fault("no answer", {"delay": 60}, ALL, 5,
          [f"nothing came for {STALL_S} s"], env=STALLING),
    Fault("a stall", {"stall": [0, 60]}, BODIES, 5,
          [f"nothing came for {STALL_S} s"], env=STALLING),
    Fault("a head byte by byte", {"drip": 0.05}, ALL, 5,
          [f"nothing came for {STALL_S} s"], env=STALLING),
    Fault("half the length", {"short_length": True}, BODIES,
          {"small file": 6, "else": (0, 5)}, ["bytes of it", "ended early", "closed"],
          fixed={"revision": (8, ["does not answer like a Hub"]),
                 "listing": (8, ["the listing of"])}),
    Fault("a length too long", headers(Content_Length=str(64 * MIB)),
          BODIES, {**{p: 5 for p in API}, "small file": 6, "else": 0},
          ["nothing came", "bytes of it"], env=STALLING),
    Fault("wrong bytes", lambda place, _: {"flip": {
        "first byte": 0, "middle byte": SIZE // 2, "last byte": SIZE - 1,
        "small file": 3}[place]}, ["small file"] + PARTS, 6, ["digest"],
        limit=1),
    Fault("a wrong Content-Range", {"wrong_range": True}, PARTS, 6,
          ["another part"]),
    Fault("200 to a range", {"ignore_range": True}, PARTS, 0, [""]),
    Fault("416", {"status": 416}, PARTS, 5, ["416"]),
    Fault("429 with RateLimit", headers(429, RateLimit='"x";r=0;t=1',
                                        Retry_After=None),
          ALL, 5, ["2 s"], wait=2, check=told),
    Fault("429 with Retry-After", headers(429, RateLimit=None,
                                          Retry_After="1"),
          ALL, 5, ["2 s"], wait=2, check=told),
    Fault("429 without a time", headers(429, RateLimit=None,
                                        Retry_After=None), ALL, 5, ["429"]),
    Fault("an expired address: 403", {"status": 403}, PARTS, 5, ["403"],
          check=resolved_again),
    Fault("an expired address: 401", {"status": 401}, PARTS, 5, ["401"],
          check=resolved_again),
    Fault("401", {"status": 401}, API + ["resolve"], 3, ["private"],
          limit=0),
    Fault("403", {"status": 403}, API + ["resolve"], 4, ["forbids"],
          limit=0),
    Fault("a redirect in a circle", circle, ALL, 5, ["circle", "403"], limit=3),
    Fault("a redirect to nowhere", {"status": 302}, PARTS + ["resolve"], 5,
          ["nowhere"]),
    Fault("a redirect of the API to another host",
          headers(302, Location="http://127.0.0.1:1/x"), API, 5,
          ["another server, http://127.0.0.1:1"], limit=0),
    Fault("a redirect to a host that is down",
          headers(302, Location="http://127.0.0.1:1/x"), PARTS, 5,
          ["127.0.0.1:1"]),
    Fault("a redirect to a file",
          headers(302, Location="file:///etc/passwd"), PARTS, 5,
          ["127.0.0.2", "file"]),
    Fault("no X-Repo-Commit", headers(X_Repo_Commit=None), ["resolve"], 5,
          ["X-Repo-Commit"], limit=0),
    Fault("no X-Linked-Etag", headers(X_Linked_Etag=None), ["resolve"], 5,
          ["X-Linked-Etag"], limit=0),
    Fault("another commit", headers(X_Repo_Commit="ab" * 20), ["resolve"], 6,
          ["commit"], limit=0),
    Fault("another digest", headers(X_Linked_Etag=f'"{"ab" * 32}"'),
          ["resolve"], 6, ["listing said"], limit=0),
    Fault("a page of a captive portal",
          dict(headers(200, Content_Type="text/html; charset=utf-8"),
               body=PAGE), ALL, 5, ["web page"],
          fixed={p: (5, ["web page"]) for p in API}),
    Fault("a page without a length",
          dict(headers(200, Content_Type="text/html", Content_Length=None,
                       Connection="close"), body=PAGE), PARTS, 5,
          ["web page"], env=STALLING),
    Fault("compressed bytes", headers(Content_Encoding="gzip"), BODIES, 5,
          ["compressed"], fixed={p: (5, ["compressed"]) for p in API}),
    Fault("a header of 400 kB", headers(X_Bomb="x" * 400_000), ALL, 5,
          ["header", "too large", "Too large"]),
    Fault("many large headers",
          {"headers": {f"X-Bomb-{i}": "x" * 50_000 for i in range(10)}},
          ALL, 5, ["header", "too large", "Too large"]),
]


def wrong_names(world, files):
    """What has a name in the cache, and bytes that are not that name's."""
    wrong = []
    for name in world.names(REPO, "blobs"):
        if "." in name:
            continue
        path = os.path.join(world.repo(REPO), "blobs", name)
        with open(path, "rb") as f:
            data = f.read()
        digest = hashlib.sha256(data) if len(name) == 64 else \
            hashlib.sha1(b"blob %d\0" % len(data) + data)
        if digest.hexdigest() != name:
            wrong.append("blobs/" + name)
    top = os.path.join(world.repo(REPO), "snapshots")
    for name in world.visible(REPO):
        commit, = os.listdir(top)
        with open(os.path.join(top, commit, name), "rb") as f:
            if f.read() != files.get(name):
                wrong.append(name)
    return wrong


def complaint(fault, place, often, done, took, world, files, log):
    """None when all is as it must be."""
    status, texts = fault.expected(place, often)
    cap = RETRY_S + STALL_S + 5 * fault.wait + ROOM_S
    if took > cap:
        return f"took {took:.1f} s, more than {cap}"
    if done.returncode not in (status if isinstance(status, tuple)
                               else (status,)):
        return f"status {done.returncode}, want {status}\n{done.stderr}"
    wrong = wrong_names(world, files)
    if wrong:
        return f"wrong bytes have a name: {wrong}"
    if done.returncode == 0:
        bad = matches(done.stdout.strip(), files)
        return bad or (fault.check and fault.check(log, done.stderr))
    if not any(t in done.stderr for t in texts):
        return f"none of {texts} is said:\n{done.stderr}"
    if done.stdout or "Signature" in done.stderr or "hf_" in done.stderr:
        return f"said too much:\n{done.stdout}{done.stderr}"
    return None


def one(hub, files, fault, place, often):
    """One case: (what is wrong or None, name)."""
    name = f"{fault.name}, {place}, {often}"
    with World(hub.url, HF_TOKEN="hf_secretsecret", **fault.env) as w:
        args = ["--retry-time", RETRY_S] if often == "for ever" else []
        hub.reset()
        hub.faults([fault.rule(place, OFTEN[often])])
        began = time.monotonic()
        done = w.pull(REPO, *args)
        took = time.monotonic() - began
        log = hub.log()
        if not any(rule["seen"] for rule in hub.control("faults")):
            return "the fault was never met", name
        bad = complaint(fault, place, often, done, took, w, files, log)
        if bad is None and done.returncode != 0:
            hub.faults([])
            bad = after(w, files)
        return bad, f"{name}: {done.returncode}"


def after(world, files):
    done = world.pull(REPO)
    if done.returncode != 0:
        return f"and without the fault: {done.returncode}\n{done.stderr}"
    bad = matches(done.stdout.strip(), files)
    return bad and f"and without the fault: {bad}"


def cases():
    every = [(f, place, often) for f in FAULTS for place in f.places
             for often in OFTEN]
    if LONG:
        return every
    # all faults for ever, the places in turn; and once at the next place
    chosen = []
    for i, f in enumerate(FAULTS):
        for k, often in enumerate(("for ever", "once", "often")):
            if often == "often" and i % 3:
                continue
            place = f.places[(i + 3 * k) % len(f.places)]
            chosen.append((f, place, often))
    return chosen


def work(todo, files, folder, results):
    config = {REPO: {"dir": folder}}
    with kit.Hub(config, tokens={"hf_secretsecret": {"name": "x"}}) as hub:
        while True:
            try:
                i, case = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results[i] = one(hub, files, *case)
            except Exception as problem:  # a case must not end the others
                results[i] = (repr(problem), f"{case[0].name}, {case[1:]}")


def main():
    tap = kit.Tap()
    data = kit.scratch()
    folder = os.path.join(data, "tiny")
    files = make_model(folder, SIZE)
    only = [a for a in sys.argv[1:] if not a.startswith("-")]
    chosen = [c for c in cases() if not only or c[0].name in only]
    results = [None] * len(chosen)
    todo = queue.Queue()
    for i, case in enumerate(chosen):
        todo.put((i, case))
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(work, todo, files, folder, results)
                   for _ in range(WORKERS)]
        for worker in running:
            worker.result()
    for bad, name in results:
        tap.ok(bad is None, name, bad)
    print(f"# {len(results)} cases, {time.monotonic() - began:.0f} s")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
