#!/usr/bin/env python3
"""The mirror against nginx with sendfile, on the same file: interleaved.

    serve.py [--mb N] [--pairs N] [--clients N]

Prints the rates of each pair, the median of their ratios (the bar is 0.90),
what each server's processor time per GB was, and the memory of the mirror with
1,000 connections that are all being sent a file (the bar is 64 MB).
"""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import nginx  # noqa: E402
import serving  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")

NGINX = """access_log off; sendfile on; tcp_nopush on;
  server { listen 127.0.0.1:PORT; root %s; }"""


class Nginx:
    def __init__(self, root):
        self.d = kit.scratch()
        self.proc, self.port = nginx.start(
            self.d, NGINX % root, f"worker_processes {os.cpu_count()};")

    def pids(self):
        out = subprocess.run(["pgrep", "-P", str(self.proc.pid)],
                             capture_output=True, text=True).stdout
        return [self.proc.pid, *map(int, out.split())]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.d)


def cpu(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def take(port, path, size):
    """All of a file, looked at no further than its length."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1 << 16)
        got = len(head.split(b"\r\n\r\n", 1)[1])
        assert head.startswith(b"HTTP/1.1 200"), head[:100]
        room = bytearray(1 << 20)
        while got < size:
            n = s.recv_into(room)
            if n == 0:
                raise RuntimeError("broken off")
            got += n


def rate(port, path, size, clients, pids):
    threads = [threading.Thread(target=take, args=(port, path, size))
               for _ in range(clients)]
    before, start = cpu(pids), time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    seconds = time.monotonic() - start
    return size * clients / seconds, cpu(pids) - before


def rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    return 0


def many(mirror, path, n):
    """n connections, all in the middle of a file; the memory of the mirror."""
    all_of_them = []
    for _ in range(n):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((mirror.host, mirror.port))
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        all_of_them.append(s)
    ok = 0
    for s in all_of_them:
        s.settimeout(20)
        ok += s.recv(1024).startswith(b"HTTP/1.1 200")
    memory = rss(mirror.proc.pid)
    for s in all_of_them:
        s.close()
    return ok, memory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--clients", type=int, default=1)
    o = parser.parse_args()
    size = o.mb << 20
    with serving.Cache() as cache:
        commit = cache.add("acme/m", {"model.safetensors": os.urandom(size)})
        path = f"/acme/m/resolve/{commit}/model.safetensors"
        folder = cache.folder("acme/m")
        blob = "/" + os.path.relpath(os.path.realpath(os.path.join(
            folder, "snapshots", commit, "model.safetensors")), folder)
        os.chmod(os.path.dirname(cache.root), 0o755)
        peer = Nginx(folder)
        with serving.Mirror(cache.root, "-q") as mirror:
            ratios, used = [], [0.0, 0.0]
            for i in range(o.pairs + 1):
                pair = []
                order = [0, 1] if i % 2 else [1, 0]
                got = {}
                for which in order:
                    port, target, pids = [
                        (mirror.port, path, [mirror.proc.pid]),
                        (peer.port, blob, peer.pids())][which]
                    got[which] = rate(port, target, size, o.clients, pids)
                pair = [got[0], got[1]]
                if i == 0:
                    continue  # to warm up
                ratios.append(pair[0][0] / pair[1][0])
                used[0] += pair[0][1]
                used[1] += pair[1][1]
                print(f"mirror {pair[0][0] / 1e6:7.0f} MB/s   nginx "
                      f"{pair[1][0] / 1e6:7.0f} MB/s   ratio {ratios[-1]:.3f}",
                      flush=True)
            gb = size * o.clients * o.pairs / 1e9
            print(f"median ratio {statistics.median(ratios):.3f} (bar 0.90); "
                  f"processor seconds per GB: mirror {used[0] / gb:.3f}, nginx "
                  f"{used[1] / gb:.3f}")
            ok, memory = many(mirror, path, 1000)
            print(f"1000 connections, {ok} of them being sent a file: "
                  f"{memory / 1e6:.1f} MB (bar 64)")
        peer.stop()


if __name__ == "__main__":
    main()
