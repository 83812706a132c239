#!/usr/bin/env python3
"""The first byte of a file that the mirror does not hold, against the Hub's
own: interleaved, each file once.

    first_byte.py [--pairs N] [--delay MS]

For a large file and a small one of a repository that was listed before, and
for a large one of a repository that the mirror never heard of: both medians,
and of what the mirror adds the median and the worst (the bar is 50 ms). The
time runs from before the connection; the Hub's has its redirect in it. With
--delay each answer of the Hub takes so long, as one far away would.
"""
import argparse
import http.client
import os
import shutil
import statistics
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import serving  # noqa: E402

BAR_MS = 50
LARGE, SMALL = 2 << 20, 1000


def first(url, path):
    """Milliseconds to the first byte of the body, and the body."""
    begin = time.monotonic()
    target = url + path
    while True:
        to = urllib.parse.urlsplit(target)
        conn = http.client.HTTPConnection(to.hostname, to.port, timeout=60)
        conn.request("GET", to.path + ("?" + to.query if to.query else ""))
        answer = conn.getresponse()
        if answer.status not in (302, 307):
            break
        target = urllib.parse.urljoin(target, answer.getheader("Location"))
        answer.read()
        conn.close()
    if answer.status != 200:
        raise RuntimeError(f"{target}: {answer.status}")
    byte = answer.read(1)
    ms = (time.monotonic() - begin) * 1000
    body = byte + answer.read()
    conn.close()
    return ms, body


def pairs(hub, mirror, paths):
    """(the Hub's, the mirror's) for each path."""
    found = []
    for i, path in enumerate(paths):
        got = {}
        for who in (hub, mirror) if i % 2 else (mirror, hub):
            got[who] = first(who, path)
        if got[hub][1] != got[mirror][1]:
            raise RuntimeError(f"{path}: not the same bytes")
        found.append((got[hub][0], got[mirror][0]))
    return found


def row(name, found):
    added = [b - a for a, b in found]
    print(f"{name:28} Hub {statistics.median(a for a, _ in found):6.1f} ms   "
          f"mirror {statistics.median(b for _, b in found):6.1f} ms   added: "
          f"median {statistics.median(added):5.1f}, worst {max(added):5.1f} ms "
          f"(bar {BAR_MS}), {len(found)} pairs", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--delay", type=float, default=0)
    o = parser.parse_args()
    top = kit.scratch()
    repos = {"acme/known": {"dir": os.path.join(top, "known")}}
    for i in range(o.pairs):
        repos[f"acme/new{i}"] = {"dir": os.path.join(top, f"new{i}")}
        for path, size in ((f"known/{i}.safetensors", LARGE),
                           (f"known/{i}.json", SMALL),
                           (f"new{i}/model.safetensors", LARGE)):
            serving.write(os.path.join(top, path), os.urandom(size))
    with kit.Hub(repos) as hub, serving.Cache() as cache, \
            serving.Mirror(cache.root, "-q", "--upstream", hub.url) as mirror:
        if o.delay:
            hub.faults([{"path": "*", "delay": o.delay / 1000, "times": -1}])
        mirror.ask("/acme/known/resolve/main/0.json", "HEAD")
        known = "/acme/known/resolve/main/"
        row("large, listed", pairs(hub.url, mirror.url, [
            f"{known}{i}.safetensors" for i in range(o.pairs)]))
        row("small, listed", pairs(hub.url, mirror.url, [
            f"{known}{i}.json" for i in range(o.pairs)]))
        row("large, never heard of", pairs(hub.url, mirror.url, [
            f"/acme/new{i}/resolve/main/model.safetensors"
            for i in range(o.pairs)]))
    shutil.rmtree(top)


if __name__ == "__main__":
    main()
