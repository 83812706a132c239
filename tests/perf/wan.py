#!/usr/bin/env python3
"""The same download through a line of 50 ms, 50 MiB/s for each connection.

    BUILD_DIR=build/release python3 tests/perf/wan.py
        [--mib N] [--rounds N] [--rtt MS] [--limit 50m] [--folder DIR]

Two network namespaces are joined by tests/perf/delay.c (no netem needed, but
root and /dev/net/tun). nginx in one serves a file over TLS and limits each
connection, as the networks of the hubs do; clients and the test hub are in
the other one, so that only the bytes cross the line. All commands run in
turn. First table: mlfetch beside 16 ranged curls, which verify nothing, and
aria2c. Second: one connection beside one curl.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

from race import (FILE, REPO, Entrant, Front, Server, build_floor, emptied,
                  have, kit, nginx, race, skip)

MIB = 1 << 20
FAR, NEAR = f"mlfar{os.getpid()}", f"mlnear{os.getpid()}"
IN_NEAR = ["ip", "netns", "exec", NEAR]
RANGED = """i=0; p=
while [ $i -lt {n} ]; do
  a=$(({size} * i / {n})); b=$(({size} * (i + 1) / {n} - 1))
  curl -s --cacert {cert} -r $a-$b -o {out}/p$i {url} & p="$p $!"
  i=$((i + 1))
done
for q in $p; do wait $q || exit 1; done"""


class Line:
    """The namespaces and the line between them; for `with`."""

    def __init__(self, rtt_ms, folder):
        self.rtt_ms, self.folder = rtt_ms, folder

    def __enter__(self):
        out = os.path.join(self.folder, "delay")
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-pthread", "-o",
                        out, os.path.join(here, "delay.c")], check=True)
        for name in (FAR, NEAR):
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.proc = subprocess.Popen(
            [out, FAR, NEAR, str(self.rtt_ms * 500)], text=True,
            stdout=subprocess.PIPE)
        if self.proc.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("no line: is there a /dev/net/tun?")
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait()
        for name in (FAR, NEAR):
            subprocess.run(["ip", "netns", "del", name], check=False)


class NearFront(Front):
    """The hub is in the namespace of the clients."""

    def __enter__(self):
        real = sys.executable
        wrapper = os.path.join(self.server.dir, "python")
        with open(wrapper, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nexec ip netns exec {NEAR} {real} "$@"\n')
        os.chmod(wrapper, 0o755)
        sys.executable = wrapper
        try:
            # its control is asked from in there, too
            return super().__enter__()
        finally:
            sys.executable = real

    def control(self, route, body=None):
        import json
        data = [] if body is None else ["-d", json.dumps(body)]
        done = subprocess.run(
            [*IN_NEAR, "curl", "-s", *data, f"{self.url}/_test/{route}"],
            check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


def mlfetch(front, home, *args):
    return Entrant("mlfetch pull" + "".join(" " + a for a in args),
                   [*IN_NEAR, kit.program("mlfetch"), "pull", REPO, *args],
                   front.env(home), emptied(home))


def curls(server, out, n):
    text = RANGED.format(n=n, size=server.size, cert=server.cert, out=out,
                         url=server.url)
    return Entrant(f"{n} ranged curl(s), unverified",
                   [*IN_NEAR, "sh", "-c", text], prepare=emptied(out))


def others(server, folder, out):
    found = []
    floor = build_floor(folder)
    if floor is None:
        skip("dl_floor", "its source is not there")
    else:
        found.append(Entrant("dl_floor, 16 connections", [
            *IN_NEAR, floor, server.address, server.port, "/" + FILE,
            server.size, 16, 8192, os.path.join(out, "f"), 1, 1],
            prepare=emptied(out)))
    if have("aria2c"):
        found.append(Entrant("aria2c -x16 --checksum", [
            *IN_NEAR, "aria2c", "-q", "--no-conf",
            f"--ca-certificate={server.cert}", "-x16", "-s16", "-k1M",
            "--file-allocation=none", "-d", out, "-o", "f",
            f"--checksum=sha-256={server.sha}", server.url],
            prepare=emptied(out)))
    else:
        skip("aria2c", "not installed")
    return found


def measure(args, folder):
    out, home = os.path.join(folder, "out"), os.path.join(folder, "home")
    what = f"{args.rtt} ms, {args.limit} per connection, {args.mib} MiB"
    inside = ["ip", "netns", "exec", FAR]
    with Line(args.rtt, folder), Server(
            args.mib * MIB, "198.18.0.1", f"limit_rate {args.limit};",
            inside) as server, NearFront(server) as front:
        race([curls(server, out, 16), mlfetch(front, home),
              mlfetch(front, home, "-j", "16"),
              *others(server, folder, out)], args.rounds, folder, what)
        race([curls(server, out, 1), mlfetch(front, home, "-j", "1")],
             args.rounds, folder, what + ", one connection")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--mib", type=int, default=384)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--rtt", type=int, default=50)
    p.add_argument("--limit", default="50m")
    p.add_argument("--folder", help="where the files go (default: memory)")
    args = p.parse_args()
    if os.getuid() != 0 or not os.path.exists("/dev/net/tun"):
        sys.exit("needs root and /dev/net/tun: nothing was measured")
    if not nginx.installed():
        sys.exit("nginx is not installed: nothing was measured")
    folder = tempfile.mkdtemp(prefix="mlwan.", dir=args.folder or "/dev/shm")
    try:
        measure(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
