#!/usr/bin/python3
"""Checks the test hub. One line for each check; exits 1 if any fails.

`--speed` also measures how fast a file of 1 GiB is served.
"""

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True

from selfchecks import access, faults, metadata, transfer  # noqa: F401  (they register checks)
from selfchecks.harness import CHECKS, World, expect, make_config, make_contents


def run_checks(world):
    passed = failed = skipped = 0
    for function in CHECKS:
        try:
            world.faults()
            note = function(world)
            if (note or "").startswith("skipped"):
                print(f"ok {function.__name__} # SKIP {note}", flush=True)
                skipped += 1
                continue
            print(f"ok {function.__name__}" + (f" # {note}" if note else ""), flush=True)
            passed += 1
        except Exception as problem:
            why = str(problem) if isinstance(problem, AssertionError) else repr(problem)
            print(f"not ok {function.__name__}: {why}", flush=True)
            failed += 1
    return passed, failed, skipped


def run_stop(world):
    """The last check: SIGTERM in mid-stall ends the server at once and with success."""
    try:
        world.faults({"host": "bytes", "stall": [0, 60]})
        url = urllib.parse.urlsplit(world.signed())
        peer = socket.create_connection((url.hostname, url.port))
        peer.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        expect(peer.recv(12), b"HTTP/1.1 200", "start of the stalled answer")
        begun = time.monotonic()
        expect(world.stop(), 0, "exit status")
        expect(time.monotonic() - begun < 5, True, "stopped within five seconds")
        expect(os.path.exists(world.ready_path), False, "ready file left behind")
        peer.close()
        print("ok stops_on_sigterm")
        return 1, 0
    except Exception as problem:
        print(f"not ok stops_on_sigterm: {problem}")
        return 0, 1


def measure_speed(world):
    size = 1 << 30
    os.makedirs(os.path.join(world.folder, "speed"))
    with open(os.path.join(world.folder, "speed", "model.bin"), "wb") as stream:
        stream.truncate(size)
    world.knobs(repos={"acme/speed": {"dir": "speed"}})
    url = world.signed("/acme/speed/resolve/main/model.bin")
    begun, buffer, total = time.monotonic(), bytearray(1 << 20), 0
    with urllib.request.urlopen(url) as reply:
        while count := reply.readinto(buffer):
            total += count
    seconds = time.monotonic() - begun
    print(f"# {total} bytes in {seconds:.2f} s, {total / seconds / 1e6:.0f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="testhub-")
    try:
        make_contents(folder)
        world = World(folder, make_config())
        try:
            passed, failed, skipped = run_checks(world)
            if options.speed:
                measure_speed(world)
            more_passed, more_failed = run_stop(world)
        finally:
            world.process.kill()
            world.process.wait()
    finally:
        shutil.rmtree(folder)
    passed, failed = passed + more_passed, failed + more_failed
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
