#!/usr/bin/env python3
"""Conversions against the disk, a floor in C, and torch.

    BUILD_DIR=build/release python3 tests/perf/convert.py [--pairs N]
                                 [--folder DIR] [--layers N] [--threads N]

Makes 1.6 GB of float32 weights of GPT-NeoX's shape (24 layers of 1024) in a
temporary folder, as .pt, .bin (the stream of torch before 1.6), safetensors,
the same as bfloat16, and the .pt once more inside a volume, whose blobs are
named by their digests. Then every command runs in turn, N times (at least 5)
after one turn that is not counted, so that what disturbs one disturbs all.

The inputs are in the page cache, for the product, the floor and torch alike
(the floor reads the .safetensors file). dd has nothing to read; it and the
floor write past the page cache, as mlconvert does. Everything is written to
DIR, whose disk is what is measured: it must not be a tmpfs. Peak memory is
that of GNU time. With Debian's torch, python3-torch, there are rows for it.

Prints each command's median, and for each row the median of the ratios of
pairs. The bars stand in docs/benchmarks.md.
"""
import argparse
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
sys.path.insert(0, os.path.join(ROOT, "tests/fixtures"))
import rawckpt  # noqa: E402

WIDTH, VOCAB = 1024, 50304
TORCH_PYTHON = "/usr/bin/python3"
TORCH = """
import sys
import torch
weights = torch.load(sys.argv[1], map_location="cpu")
torch.save({k: v.half() for k, v in weights.items()}, sys.argv[2])
"""


def shapes(layers):
    yield "gpt_neox.embed_in.weight", (VOCAB, WIDTH)
    for i in range(layers):
        at = f"gpt_neox.layers.{i}."
        for name, rows, cols in (("attention.query_key_value", 3, 1),
                                 ("attention.dense", 1, 1),
                                 ("mlp.dense_h_to_4h", 4, 1),
                                 ("mlp.dense_4h_to_h", 1, 4)):
            yield f"{at}{name}.weight", (rows * WIDTH, cols * WIDTH)
            yield f"{at}{name}.bias", (rows * WIDTH,)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (WIDTH,)
            yield f"{at}{name}.bias", (WIDTH,)
    yield "gpt_neox.final_layer_norm.weight", (WIDTH,)
    yield "gpt_neox.final_layer_norm.bias", (WIDTH,)
    yield "embed_out.weight", (VOCAB, WIDTH)


def count(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


class Weights:
    """Floats of magnitude 2^-7 to 2^-5, by the megabyte."""

    def __init__(self, layers):
        source = random.Random(11)
        self.shapes = list(shapes(layers))
        self.blocks = []
        for _ in range(16):
            raw = bytearray(source.randbytes(1 << 20))
            raw[3::4] = bytes(b & 0x80 | 0x3C for b in raw[3::4])
            self.blocks.append(bytes(raw))
        self.halves = []
        for block in self.blocks:  # the upper half of each float: bfloat16
            half = bytearray(len(block) // 2)
            half[0::2], half[1::2] = block[2::4], block[3::4]
            self.halves.append(bytes(half))

    def parts(self, k, shape, size=4):
        """The bytes of tensor k."""
        blocks = self.blocks if size == 4 else self.halves
        left = size * count(shape)
        while left > 0:
            part = blocks[k % 16][:left]
            yield part
            left -= len(part)
            k += 1

    def safetensors(self, path, dtype, size):
        head, at = {}, 0
        for name, shape in self.shapes:
            end = at + size * count(shape)
            head[name] = {"dtype": dtype, "shape": list(shape),
                          "data_offsets": [at, end]}
            at = end
        with open(path, "wb") as f:
            f.write(rawckpt.raw_safetensors(
                str(head).replace("'", '"'), b""))
            for k, (_, shape) in enumerate(self.shapes):
                f.writelines(self.parts(k, shape, size))

    def table(self, legacy):
        return rawckpt.PROTO2 + rawckpt.pairs(
            (name, rawckpt.tensor(str(k), shape, legacy=legacy))
            for k, (name, shape) in enumerate(self.shapes)) + rawckpt.STOP

    def pt(self, path):
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("ckpt/data.pkl", self.table(False))
            for k, (_, shape) in enumerate(self.shapes):
                with z.open(f"ckpt/data/{k}", "w", force_zip64=True) as f:
                    for part in self.parts(k, shape):
                        f.write(part)
            z.writestr("ckpt/version", b"3\n")

    def bin(self, path):
        keys = [str(k) for k in range(len(self.shapes))]
        with open(path, "wb") as f:
            f.write(rawckpt.legacy(self.table(True), keys, []))
            for k, (_, shape) in enumerate(self.shapes):
                f.write(struct.pack("<q", count(shape)))
                f.writelines(self.parts(k, shape))


def has_torch():
    done = subprocess.run([TORCH_PYTHON, "-c", "import torch"], check=False,
                          stderr=subprocess.DEVNULL)
    return done.returncode == 0


class Bench:
    def __init__(self, folder, threads):
        self.folder = folder
        self.out = self.at("out")
        self.time = {}  # name: seconds of each turn
        self.peak = {}  # name: most KiB
        self.commands = {}
        self.rows = []
        self.threads = threads
        self.env = dict(os.environ, HF_HOME=self.at("hf"))

    def at(self, name):
        return os.path.join(self.folder, name)

    def command(self, name, *args):
        assert name not in self.commands, name
        self.commands[name] = [str(a) for a in args]

    def row(self, name, by, bar, source, *options):
        """A conversion, and the command that it is divided by."""
        self.command(name, os.path.join(BUILD, "mlconvert"), "-q",
                     "--progress", "none", "--threads", self.threads,
                     *options, "-o", self.out, source)
        self.rows.append((name, by, bar))

    def clear(self):
        if os.path.isdir(self.out):
            shutil.rmtree(self.out)
        elif os.path.exists(self.out):
            os.unlink(self.out)

    def run(self, name):
        self.clear()
        log = self.at("peak")
        began = time.monotonic()
        done = subprocess.run(["/usr/bin/time", "-o", log, "-f", "%M",
                               *self.commands[name]], env=self.env,
                              stdout=subprocess.DEVNULL, check=False,
                              stderr=subprocess.PIPE, text=True)
        seconds = time.monotonic() - began
        self.clear()
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        with open(log, encoding="ascii") as f:
            return seconds, int(f.read().split()[-1])

    def turn(self, counted):
        for name in self.commands:
            seconds, peak = self.run(name)
            if counted:
                self.time.setdefault(name, []).append(seconds)
                self.peak[name] = max(peak, self.peak.get(name, 0))


def spread(values):
    return (f"{statistics.median(values):6.3f}  ({min(values):.3f} to "
            f"{max(values):.3f})")


def busy_seconds():
    """Of all cores since the machine started, and of our children alone."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    own = os.times()
    return ((sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"),
            own.children_user + own.children_system)


def make_inputs(b, layers):
    w = Weights(layers)
    w.safetensors(b.at("fp32.safetensors"), "F32", 4)
    w.safetensors(b.at("bf16.safetensors"), "BF16", 2)
    w.pt(b.at("fp32.pt"))
    w.bin(b.at("fp32.bin"))
    subprocess.run([os.path.join(BUILD, "mlfetch"), "put", "-q",
                    b.at("volume"), b.at("fp32.pt")], check=True, env=b.env,
                   stdout=subprocess.DEVNULL)
    floor = b.at("convert_floor")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE",
                    "-O3", "-march=native", "-pthread", "-o", floor,
                    os.path.join(HERE, "convert_floor.c"), "-lcrypto"],
                   check=True)
    return floor


def dd(b, size):
    name = f"dd direct, {size / 1e9:.2f} GB"
    b.command(name, "dd", "if=/dev/zero", f"of={b.out}", "bs=4M",
              "oflag=direct", f"count={-(-size // (4 << 20))}")
    return name


def add_commands(b, floor):
    fp32, bf16, pt = (b.at(x) for x in ("fp32.safetensors",
                                        "bf16.safetensors", "fp32.pt"))
    size = os.path.getsize(fp32)
    half, whole = dd(b, size // 2), dd(b, size)
    sha = "floor: fp16 + SHA-256"
    b.command("floor: fp16", floor, fp32, b.out, b.threads, 0)
    b.command(sha, floor, fp32, b.out, b.threads, 1)
    none, output = ("--digests", "none"), ("--digests", "output")
    kept = ("--volume", b.at("volume"))
    b.row("fp32 safetensors -> fp16", half, "1.20", fp32, "--fp16", *none)
    b.row("bf16 safetensors -> fp16", half, "1.20", bf16, "--fp16", *none)
    b.row("  fp32 safetensors, output digests", half, "", fp32, "--fp16",
          *output)
    b.row(".pt -> fp16, output digests", sha, "1.25", pt, "--fp16", *output)
    b.row("  .pt in a volume, all digests", sha, "1.25", "fp32.pt", "--fp16",
          *kept)
    b.row("  .pt, all digests", sha, "", pt, "--fp16")
    b.row(".pt -> uniform, same dtype", whole, "1.20", pt, "--keep", *none)
    b.row(".bin -> uniform, same dtype", whole, "1.20", b.at("fp32.bin"),
          "--keep", *none)
    b.row("  .pt, same dtype, output digests", whole, "", pt, "--keep", *output)
    b.row("  .pt, same dtype, all digests", whole, "", pt, "--keep")
    if not has_torch():
        print(f"# no torch for {TORCH_PYTHON}: no rows for it")
        return
    for name in ("fp32.pt", "fp32.bin"):
        row = f"torch, .{name[-3:].strip('.')} -> half -> save"
        b.command(row, TORCH_PYTHON, "-c", TORCH, b.at(name), b.out)
        b.rows.append((row, sha, ""))


def report(b):
    print(f"\n{'seconds':34}{'median':>6}  (least to most)  peak MB")
    for name, seconds in b.time.items():
        print(f"{name:34}{spread(seconds)}  {b.peak[name] * 1.024e-3:8.1f}")
    print(f"\n{'ratio':34}{'median':>6}  (least to most)  bar   divided by")
    for name, by, bar in b.rows:
        ratios = [x / y for x, y in zip(b.time[name], b.time[by])]
        print(f"{name:34}{spread(ratios)}  {bar:5} {by}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--layers", type=int, default=24)
    p.add_argument("--threads", type=int,
                   default=len(os.sched_getaffinity(0)))
    p.add_argument("--folder", help="where to make the temporary folder")
    args = p.parse_args()
    if not os.path.exists("/usr/bin/time"):
        sys.exit("GNU time is needed for the memory (Debian: time)")
    folder = tempfile.mkdtemp(prefix="convert.", dir=args.folder)
    try:
        b = Bench(folder, args.threads)
        add_commands(b, make_inputs(b, args.layers))
        b.turn(counted=False)
        for i in range(max(args.pairs, 5)):
            began, busy = time.monotonic(), busy_seconds()
            b.turn(counted=True)
            all_busy, own = (y - x for x, y in zip(busy, busy_seconds()))
            others = max(0, all_busy - own) / (time.monotonic() - began)
            print(f"turn {i + 1}: others kept {others:.2f} cores busy",
                  flush=True)
        report(b)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
