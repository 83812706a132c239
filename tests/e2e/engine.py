#!/usr/bin/env python3
"""mlfetch pull's connections, rate and disk: how many there are, what becomes
of refused ones, in which order bytes and names reach the disk."""
import hashlib
import http.server
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, World, fails, gets, good, kit, noise,  # noqa: E402
                     shimmed, write)

REPO, MANY = "acme/large", "acme/many"
SIZE = 24 * MIB + 777


class Bytes(http.server.BaseHTTPRequestHandler):
    """A host of one file that counts its connections, and may be difficult."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        s = self.server
        with s.guard:
            s.now += 1
            s.most = max(s.most, s.now)
            alone = s.now == 1
        try:
            if s.refuse is None or alone:
                self.serve(s)
            elif s.refuse == "reset":
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.close_connection = True
            else:
                self.send_response(s.refuse)
                self.send_header("Content-Length", "0")
                self.end_headers()
        except OSError:
            self.close_connection = True
        finally:
            with s.guard:
                s.now -= 1

    def serve(self, s):
        asked = self.headers.get("Range")
        m = re.match(r"bytes=(\d+)-(\d+)$", asked or "")
        a, b = (int(m[1]), int(m[2]) + 1) if m else (0, SIZE)
        with s.guard:
            s.served += 1
            which = s.served
        if which == s.mute:
            time.sleep(60)
        self.send_response(206 if m else 200)
        if m:
            self.send_header("Content-Range", f"bytes {a}-{b - 1}/{SIZE}")
        self.send_header("Content-Length", str(b - a))
        self.end_headers()
        rate = s.rate if a >= s.slow_to else s.slow
        if which == s.lame:
            rate = s.slow
        end = (a + b) // 2 if which == s.halt else b
        while a < b:
            if a >= end:
                time.sleep(60)
            n = min(b - a, max(4096, rate // 20) if rate else MIB)
            self.wfile.write(s.data[a:a + n])
            with s.guard:
                s.sent.append((time.monotonic(), n))
            a += n
            if rate:
                time.sleep(n / rate)


class Host(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, data, refuse=None, rate=0, slow=0, slow_to=0,
                 lame=0, mute=0, halt=0):
        super().__init__(("127.0.0.2", 0), Bytes)
        self.data, self.refuse, self.rate = memoryview(data), refuse, rate
        self.slow, self.slow_to = slow, slow_to
        self.lame, self.mute, self.halt = lame, mute, halt
        self.served = 0
        self.guard, self.now, self.most = threading.Lock(), 0, 0
        self.sent = []

    def handle_error(self, request, client_address):
        pass

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.server_close()


def pulled(tap, hub, files, name, *args, env=None, **host):
    """One pull from such a host; returns it, and how long it took."""
    with Host(files["model.safetensors"], **host) as h, \
            World(hub.url, **(env or {})) as w:
        hub.faults([{"path": "*/resolve/*/model.safetensors", "times": -1,
                     "headers": {"Location": "http://127.0.0.2:"
                                 f"{h.server_port}/f"}}])
        began = time.monotonic()
        good(tap, w.pull(REPO, *args), files, name)
        took = time.monotonic() - began
        hub.faults([])
        return h, took


def connections(tap, hub, files):
    for jobs in (1, 2, 5):
        h, _ = pulled(tap, hub, files, f"--jobs {jobs}", "-j", str(jobs),
                      rate=24 * MIB // jobs)
        tap.ok(h.most <= jobs, "never more connections than that", h.most)
        tap.ok(h.most == jobs, "and no fewer", h.most)
    h, took = pulled(tap, hub, files, "each connection is slow",
                     rate=MIB)
    tap.ok(h.most > 4, f"more than at first are used: {h.most}")
    tap.ok(h.most <= 32, "but not without end", h.most)
    tap.ok(took < 24, "which helps", took)


# A thread that is always late: it hears of a connection 8 ms after it is made.
LATE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/epoll.h>
#include <unistd.h>
int epoll_wait(int fd, struct epoll_event *ev, int n, int ms)
{
    static int (*real)(int, struct epoll_event *, int, int);

    if (real == 0)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(
            RTLD_NEXT, "epoll_wait");
    usleep(8000);
    return real(fd, ev, n, ms);
}
"""


def busy(tap, hub, files):
    """Who is late himself does not take a near server for a far one."""
    folder = kit.scratch()
    shim = shimmed(folder, LATE)
    if shim is None:
        tap.skip("a busy machine", "no library can be preloaded here")
        return
    h, _ = pulled(tap, hub, files, "a machine that is busy",
                  env={"LD_PRELOAD": shim}, rate=24 * MIB)
    tap.ok(h.most <= 9, f"{h.most} connections to a near server", h.most)
    shutil.rmtree(folder)


def refusals(tap, hub, files):
    for how in (503, 429, 403, "reset"):
        _, took = pulled(tap, hub, files, f"{how} for a second connection",
                         refuse=how, rate=8 * MIB)
        tap.ok(took < 40, "in time", took)


def slow_front(tap, hub, files):
    """The first bytes come last: all others wait on disk, not in memory."""
    h, _ = pulled(tap, hub, files, "a first segment that is slow",
                  slow=MIB // 2, slow_to=MIB)
    early = sum(n for t, n in h.sent if t < h.sent[-1][0] - 0.5)
    tap.ok(early > SIZE * 3 // 4, "does not hold up the others", early)


def lame(tap, hub, files):
    """One connection is slow: the others take over what it would bring."""
    for which in (2, 3):
        h, took = pulled(tap, hub, files, f"request {which} is answered slowly",
                         "-j", "4", rate=8 * MIB, slow=64 << 10, lame=which)
        sent = sum(n for _, n in h.sent)
        tap.ok(took < 20, "nobody waits for it", took)
        tap.ok(sent < 1.05 * SIZE, "and little comes twice", sent)


def silent(tap, hub, files):
    """One connection says nothing more: the others do not wait 20 s."""
    for what in ("mute", "halt"):
        for which in (2, 4):
            _, took = pulled(
                tap, hub, files, f"{what}: request {which}", "-j", "4",
                rate=4 * MIB, **{what: which})
            tap.ok(took < 14, "another one asks for its bytes", took)


def rates(tap, hub, files):
    for args in (["-j", "1"], ["-j", "6"]):
        _, took = pulled(tap, hub, files, f"--limit-rate 8M {args}",
                         "--limit-rate", "8M", *args)
        tap.ok(SIZE / 8.2e6 - 0.3 < took < SIZE / 8e6 + 4,
               "takes as long as that takes", took)
    with World(hub.url) as w:
        lock = os.path.join(w.home, "m.lock")
        warm = ["mlfetch", "warm", "--lock", lock, "--limit-rate"]
        kit.run(["mlfetch", "lock", REPO, "-o", lock], w.env)
        began = time.monotonic()
        done = kit.run([*warm, "8M"], w.env)
        took = time.monotonic() - began
        tap.ok(done.returncode == 0 and SIZE / 8.2e6 - 0.3 < took,
               "warm takes as long, too", done.stderr + str(took))
        fails(tap, kit.run([*warm, "9"], w.env), 2, "--limit-rate",
              "and knows what looks like a stall: 2")
    with World(hub.url) as w:
        fails(tap, w.pull(REPO, "--limit-rate", "9"), 2, "--limit-rate",
              "a rate that looks like a stall: 2")
        fails(tap, w.pull(REPO, "--limit-rate", "fast"), 2, "--limit-rate",
              "no rate at all: 2")


NO_SYNCFS = ("#include <errno.h>\nint syncfs(int fd)"
             "{ (void)fd; errno = EIO; return -1; }")
# Neither can the bytes of a file be synced by itself.
NO_SYNC = NO_SYNCFS + """
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd)
{
    char name[64], path[4097] = "";
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    if (readlink(name, path, 4096) > 0 && strstr(path, ".incomplete")) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}"""
# A kernel before 5.8: syncfs does not tell; the file does.
SILENT = """#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
int syncfs(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
    (void)fd, (void)at, (void)n;
    errno = EIO;
    return flags & SYNC_FILE_RANGE_WAIT_BEFORE ? -1 : 0;
}"""
# Not asked at all where the file system may be another machine's.
REMOTE = """#include <stdlib.h>
int syncfs(int fd) { (void)fd; abort(); }
int flock(int fd, int op) { (void)fd; (void)op; return 0; }"""


def descriptors(tap, hub, large, many):
    """A machine that lets a program open few files gets fewer at a time."""
    for limit in (64, 256):
        def few(limit=limit):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for repo, files in ((REPO, large), (MANY, many)):
            with World(hub.url) as w:
                good(tap, w.pull(repo, "-j", "64", preexec_fn=few), files,
                     f"{repo}, 64 connections wished, {limit} files allowed")


# From a process that is small itself: it counts until the program is loaded.
PEAK = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def nearly_there(world, content, missing):
    """What a killed run leaves of the large file, in the page cache."""
    sha = hashlib.sha256(content).hexdigest()
    there = len(content) - missing
    repo = world.repo(REPO)
    write(os.path.join(repo, "blobs", sha + ".ml.incomplete"),
          content[:there] + bytes(missing))
    write(os.path.join(repo, "ml/journal", sha),
          kit.journal(sha, len(content), there).encode())


def lent(tap, hub, files):
    """Pages that are lent to be hashed are memory, too: some at a time."""
    content, = files.values()
    with World(hub.url) as w:
        nearly_there(w, content, MIB)
        hub.reset()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, kit.program("mlfetch"), "pull", REPO],
            env=w.env, text=True, capture_output=True, check=False)
        came = sum(r["bytes"] for r in gets(hub, "bytes"))
        tap.ok(done.returncode == 0 and came <= MIB,
               "what is there is not fetched again", done.stderr)
        if "san" in kit.BUILD:
            tap.skip("what is hashed lies in memory piece by piece",
                     "a sanitizer's own memory counts, too")
            return
        peak = int(done.stdout.split()[-1]) * 1024
        tap.ok(peak < 25e6, "what is hashed lies in memory piece by piece",
               f"{peak} bytes")
        print(f"# {len(content) / 1e6:.0f} MB hashed: peak RSS "
              f"{peak / 1e6:.1f} MB")


def failed_sync(tap, hub, files):
    for text, fatal, name in (
            (NO_SYNC, True, "a batch of small files that cannot be synced"),
            (SILENT, True, "a syncfs that does not tell what was lost"),
            (NO_SYNCFS, False, "what others lost on that file system"),
            (REMOTE, False, "where locks lie, each file has its own sync")):
        folder = kit.scratch()
        shim = shimmed(folder, text)
        if shim is None:
            tap.skip(name, "cannot preload such a system call here")
            continue
        with World(hub.url) as w:
            done = kit.run(["mlfetch", "pull", MANY],
                           dict(w.env, LD_PRELOAD=shim))
            if fatal:
                fails(tap, done, 1, "durable", name + ": 1")
                tap.eq(w.visible(MANY)[:3], [], "none of it is visible")
                tap.eq([n for n in w.names(MANY, "blobs") if "." not in n]
                       [:3], [], "and none has a blob's name")
                done = w.pull(MANY)
            good(tap, done, files, name + ": all are there then")
        shutil.rmtree(folder)


def order(trace):
    """What happened to names and disks, in order: s, b(lob), d, l(ink)."""
    found = ""
    for line in trace:
        if "= 0" not in line:
            continue
        if re.search(r"syncfs(\(| resumed)", line):
            found += "s"
        elif "rename(" in line and "/blobs/" in line:
            found += "b"
        elif "fsync(" in line and "fdatasync" not in line:
            found += "d"
        elif "symlink(" in line:
            found += "l"
    return found


def synced(tap, hub, files):
    """Bytes, blobs' names, their folder, entries, their folders."""
    if shutil.which("strace") is None or "san" in kit.BUILD:
        tap.skip("the order of syncs and names", "no strace here")
        return
    with World(hub.url) as w:
        trace = os.path.join(w.home, "trace")
        done = subprocess.run(
            ["strace", "-f", "-o", trace, "-e",
             "trace=syncfs,fsync,rename,symlink", kit.program("mlfetch"),
             "pull", MANY], env=w.env, text=True, capture_output=True,
            check=False)
        good(tap, done, files, "a pull of many small files, watched")
        with open(trace, encoding="utf-8") as f:
            found = order(f)
        batches = re.findall(r"s(b{4,})d(?:d*l)*d", found)
        tap.ok(batches and sum(map(len, batches)) == found.count("b"),
               "every name of a blob is between a sync and one of its folder",
               found)
        tap.ok(not re.search(r"bl", found) and found.count("l") == len(files),
               "no entry is made before that", found)
        tap.ok(len(batches) < len(files) / 20,
               f"{len(files)} files are synced in {len(batches)} batches")


def main():
    tap = kit.Tap()
    data = kit.scratch()
    large = {"model.safetensors": noise(SIZE, "engine")}
    many = {f"d{i % 3}/{i}.json": b'{"n": %d}\n' % i for i in range(300)}
    for folder, files in (("large", large), ("many", many)):
        for name, content in files.items():
            write(os.path.join(data, folder, name), content)
    with kit.Hub({REPO: {"dir": os.path.join(data, "large")},
                  MANY: {"dir": os.path.join(data, "many")}}) as hub:
        connections(tap, hub, large)
        busy(tap, hub, large)
        refusals(tap, hub, large)
        slow_front(tap, hub, large)
        lame(tap, hub, large)
        silent(tap, hub, large)
        rates(tap, hub, large)
        descriptors(tap, hub, large, many)
        lent(tap, hub, large)
        failed_sync(tap, hub, many)
        synced(tap, hub, many)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
