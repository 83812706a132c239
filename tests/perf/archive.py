#!/usr/bin/env python3
"""put, get, export and import against cp, sha256sum, tar and zstd.

    BUILD_DIR=build/release python3 tests/perf/archive.py [--pairs N]
                          [--folder DIR] [--megabytes N] [--threads N]

Makes bfloat16 weights of GPT-NeoX's shape (the magnitudes of a trained model,
whose exponents pack and whose fractions do not) as one safetensors file in a
temporary folder (--megabytes 8 is a quick look), puts it into a volume, and
exports that. Then every command runs in turn, N times (at least 5) after one
turn that is not counted. What a command makes is removed before the next one,
outside of its time.

The inputs are in the page cache. put, import and a file that is exported are
on disk when their command ends; so the peers are followed by sync of what they
wrote ("+ sync"). export and tar write the same level of zstd on all cores.

Prints the median seconds of each command, its CPU seconds and peak memory (that
of GNU time, of its largest process), and the median of the ratios of pairs.
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
sys.path.insert(0, HERE)
from convert import Weights, busy_seconds, count, spread  # noqa: E402


def cpu_seconds():
    """Of all commands so far; GNU time knows but hundredths."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Bench:
    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads
        self.out = self.at("out")
        self.env = dict(os.environ, HF_HUB_CACHE=self.at("hub"))
        self.time, self.cpu, self.peak = {}, {}, {}
        self.commands, self.rows = {}, []

    def at(self, name):
        return os.path.join(self.folder, name)

    def shell(self, name, line):
        self.commands[name] = ["sh", "-c", line]

    def ours(self, name, program, *args):
        self.commands[name] = [os.path.join(BUILD, program), *args, "-q",
                               "--progress", "none"]

    def run(self, name):
        shutil.rmtree(self.out, ignore_errors=True)
        os.mkdir(self.out)
        log = self.at("used")
        began, cpu = time.monotonic(), cpu_seconds()
        done = subprocess.run(["/usr/bin/time", "-o", log, "-f", "%M",
                               *self.commands[name]], env=self.env,
                              stdout=subprocess.DEVNULL, check=False,
                              stderr=subprocess.PIPE, text=True)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        with open(log, encoding="ascii") as f:
            return seconds, cpu_seconds() - cpu, int(f.read())

    def turn(self, counted):
        for name in self.commands:
            seconds, cpu, peak = self.run(name)
            if counted:
                self.time.setdefault(name, []).append(seconds)
                self.cpu.setdefault(name, []).append(cpu)
                self.peak[name] = max(peak, self.peak.get(name, 0))

    def report(self):
        print(f"\n{'seconds':36}{'median':>6}  (least to most)   CPU s  "
              "peak MB")
        for name, seconds in self.time.items():
            print(f"{name:36}{spread(seconds)}  "
                  f"{statistics.median(self.cpu[name]):6.3f}  "
                  f"{self.peak[name] * 1.024e-3:7.1f}")
        print(f"\n{'ratio':36}{'median':>6}  (least to most)   CPU    "
              "divided by")
        for name, by in self.rows:
            wall, cpu = ([x / max(y, 1e-9) for x, y in zip(t[name], t[by])]
                         for t in (self.time, self.cpu))
            print(f"{name:36}{spread(wall)}  {statistics.median(cpu):6.3f}  "
                  f"{by}")


def add_commands(b):
    model, volume = b.at("in/model.safetensors"), b.at("V")
    out = b.out
    b.shell("cp + sync", f"cp '{model}' '{out}/x' && sync '{out}/x'")
    b.shell("sha256sum", f"sha256sum '{model}'")
    b.shell("cp + sync, sha256sum", f"cp '{model}' '{out}/x' && "
            f"sync '{out}/x' && sha256sum '{model}'")
    b.shell("tar | zstd -T0 + sync",
            f"tar -C '{b.at('in')}' -cf - . | zstd -q -T{b.threads} -3 -o "
            f"'{out}/x' && sync '{out}/x'")
    b.shell("tar | zstd -T0 + sync, sha256sum",
            f"tar -C '{b.at('in')}' -cf - . | zstd -q -T{b.threads} -3 -o "
            f"'{out}/x' && sync '{out}/x' && sha256sum '{model}'")
    b.shell("zstd -d | tar -x + sync",
            f"zstd -q -d -c '{b.at('a.tar.zst')}' | tar -C '{out}' -xf - && "
            f"sync '{out}/files/model.safetensors'")
    b.ours("put", "mlfetch", "put", f"{out}/W", model)
    b.ours("get", "mlfetch", "get", volume, "model.safetensors", out)
    b.ours("export", "mlcache", "export", f"{out}/a", "--volume", volume,
           "--threads", str(b.threads), "model.safetensors")
    b.ours("export --group", "mlcache", "export", f"{out}/a", "--volume",
           volume, "--threads", str(b.threads), "--group", "model.safetensors")
    b.ours("import, grouped", "mlcache", "import", b.at("g.tar.zst"),
           "--volume", f"{out}/W", "--threads", str(b.threads))
    b.ours("import", "mlcache", "import", b.at("a.tar.zst"), "--volume",
           f"{out}/W", "--threads", str(b.threads))
    b.rows = [("put", "cp + sync"), ("put", "cp + sync, sha256sum"),
              ("get", "cp + sync"), ("get", "cp + sync, sha256sum"),
              ("export", "sha256sum"), ("export", "tar | zstd -T0 + sync"),
              ("export", "tar | zstd -T0 + sync, sha256sum"),
              ("export --group", "tar | zstd -T0 + sync"),
              ("import, grouped", "zstd -d | tar -x + sync"),
              ("import", "zstd -d | tar -x + sync"),
              ("import", "cp + sync, sha256sum")]


def weights(megabytes):
    """Of this size, or a little more."""
    left, w = megabytes * 1_000_000, Weights(1)
    w.shapes = [x for x in w.shapes if 2 * count(x[1]) < left // 3]
    left -= sum(2 * count(shape) for _, shape in w.shapes)
    while left > 0:
        rows = min(4096, -(-left // 2048))
        w.shapes.append((f"more.{len(w.shapes)}", (rows, 1024)))
        left -= 2048 * rows
    return w


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--megabytes", type=int, default=200)
    p.add_argument("--threads", type=int,
                   default=len(os.sched_getaffinity(0)))
    p.add_argument("--folder", help="where to make the temporary folder")
    args = p.parse_args()
    if not os.path.exists("/usr/bin/time"):
        sys.exit("GNU time is needed for the memory (Debian: time)")
    folder = tempfile.mkdtemp(prefix="archive.", dir=args.folder)
    try:
        b = Bench(folder, args.threads)
        w = weights(args.megabytes)
        os.mkdir(b.at("in"))
        w.safetensors(b.at("in/model.safetensors"), "BF16", 2)
        for line in (["mlfetch", "put", b.at("V"),
                      b.at("in/model.safetensors")],
                     ["mlcache", "export", b.at("a.tar.zst"), "--volume",
                      b.at("V"), "model.safetensors"],
                     ["mlcache", "export", b.at("g.tar.zst"), "--volume",
                      b.at("V"), "model.safetensors", "--group"]):
            subprocess.run([os.path.join(BUILD, line[0]), *line[1:], "-q"],
                           check=True, env=b.env, stdout=subprocess.DEVNULL)
        size = os.path.getsize(b.at("in/model.safetensors"))
        packed, grouped = (os.path.getsize(b.at(n))
                           for n in ("a.tar.zst", "g.tar.zst"))
        print(f"{size / 1e6:.0f} MB in {packed / 1e6:.0f} MB; grouped in "
              f"{grouped / 1e6:.0f} MB")
        add_commands(b)
        b.turn(counted=False)
        for i in range(max(args.pairs, 5)):
            began, busy = time.monotonic(), busy_seconds()
            b.turn(counted=True)
            all_busy, own = (y - x for x, y in zip(busy, busy_seconds()))
            others = max(0, all_busy - own) / (time.monotonic() - began)
            print(f"turn {i + 1}: others kept {others:.2f} cores busy",
                  flush=True)
        b.report()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
