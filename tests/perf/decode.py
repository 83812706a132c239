#!/usr/bin/env python3
"""The CPU's decoding, prompts and first token beside what bounds them.

    BUILD_DIR=build/release python3 tests/perf/decode.py [--pairs N]
        [--threads N] [--folder DIR] [--llama-bench PROGRAM]
        [--rows decode,prompt,first] [--layers N]

Random models of Llama's shape, 1.1 billion parameters (fewer with --layers),
are made in a temporary folder (in --folder: beside it): fp16, bf16 and what
mlconvert --int8 makes of the first, and the same shapes as GGUF for a
llama-bench if one is given; without it its rows are skipped by name. Then
everything is run in turn, so that what disturbs one disturbs all (how busy
others kept the machine is told, too), at least five times:

    decode   tokens of batch 1; GB/s count each matrix of a token once.
             Beside it tests/perf/membw.c reading the model's file with as
             many threads: straight on, which is what shared/floors call the
             ceiling, and four streams side by side, which the processor
             fetches faster; and llama-bench, F16 and Q8_0.
    prompt   512 tokens, ours by the report's first_token_seconds.
    first    from the start of the process to the report of the first token,
             beside the mapping touched once by one thread and one token's
             bytes at the four streams' rate; llama-bench -n 1 as a whole.

Prints every round, then the medians and the medians of the rounds' ratios.
The bars stand in docs/benchmarks.md.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import random_llama as model

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
NEW = 32
PROMPT = 512


# ---- what is measured ----

def build_reader(folder):
    out = os.path.join(folder, "membw")
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O3",
                    "-march=native", "-pthread", "-o", out,
                    os.path.join(here, "membw.c")], check=True)
    return out


def verify_run(folder, threads, tokens, new):
    return [os.path.join(BUILD, "mlverify-run"), folder, "--tokens",
            ",".join(str(t) for t in tokens), "-n", str(new), "--ignore-eos",
            "--threads", str(threads), "--json"]


def report(folder, threads, tokens, new):
    done = subprocess.run(verify_run(folder, threads, tokens, new),
                          check=False, capture_output=True, text=True)
    if done.returncode not in (0, 9):
        sys.exit(done.stderr)
    out = json.loads(done.stdout)
    bad = [c for c in out["checks"] if c["ok"] is False]
    if bad:
        sys.exit(f"the random model does not compute: {bad}")
    return out


def decode(folder, threads):
    out = report(folder, threads, [1, 17, 4711], NEW)
    return out["tokens_per_second"], out["gb_per_second"]


def prompt(folder, threads):
    tokens = [(7919 * i + 1) % model.VOCAB for i in range(PROMPT)]
    return PROMPT / report(folder, threads, tokens, 1)["first_token_seconds"]


def first(folder, threads):
    """From the start of the process to its first token: the checks that come
    after it, which the report says the length of, are not counted."""
    start = time.monotonic()
    with subprocess.Popen(verify_run(folder, threads, [1], 1),
                          stdout=subprocess.PIPE) as p:
        text = p.stdout.read(1)
        seconds = time.monotonic() - start
        spans = json.loads(text + p.stdout.read())["timeline"]
    names = [span["name"] for span in spans]
    after = spans[names.index("prompt") + 1:]
    return seconds - sum(span["seconds"] for span in after)


def llama(program, path, threads, n_prompt, n_new):
    """Tokens per second, and the seconds of the whole process."""
    start = time.monotonic()
    done = subprocess.run(
        [program, "-m", path, "-p", str(n_prompt), "-n", str(n_new), "-t",
         str(threads), "-r", "1", "-o", "json"],
        check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)[0]["avg_ts"], time.monotonic() - start


def memory(reader, path, threads):
    """Seconds of the touch, GB/s straight on and by four streams."""
    done = subprocess.run([reader, path, str(threads), "1"], check=True,
                          capture_output=True, text=True)
    return [float(n) for n in done.stdout.split()]


# ---- one round ----

class Bench:
    def __init__(self, room, args):
        self.threads, self.program = args.threads, args.llama_bench
        self.rows, self.layers = args.rows.split(","), args.layers
        self.fp16 = os.path.join(room, "fp16")
        self.bf16 = os.path.join(room, "bf16")
        self.int8 = os.path.join(room, "int8")
        self.f16_gguf = os.path.join(room, "f16.gguf")
        self.q8_gguf = os.path.join(room, "q8.gguf")
        self.file = model.make_safetensors(self.fp16, "F16", self.layers)
        if "decode" in self.rows:
            model.make_safetensors(self.bf16, "BF16", self.layers)
        subprocess.run([os.path.join(BUILD, "mlconvert"), "-q", "--int8",
                        "-o", self.int8, self.fp16], check=True,
                       stdout=subprocess.DEVNULL)
        if self.program:
            model.make_gguf(self.f16_gguf, model.F16, self.layers)
            model.make_gguf(self.q8_gguf, model.Q8_0, self.layers)
        self.reader = build_reader(room)

    def decode_rows(self, out):
        out["fp16 tokens/s"], out["fp16 GB/s"] = decode(self.fp16,
                                                        self.threads)
        if self.program:
            out["llama F16 tokens/s"] = llama(self.program, self.f16_gguf,
                                              self.threads, 0, NEW)[0]
        out["int8 tokens/s"], out["int8 GB/s"] = decode(self.int8,
                                                        self.threads)
        if self.program:
            out["llama Q8_0 tokens/s"] = llama(self.program, self.q8_gguf,
                                               self.threads, 0, NEW)[0]
        out["bf16 tokens/s"], out["bf16 GB/s"] = decode(self.bf16,
                                                        self.threads)

    def prompt_rows(self, out):
        out["fp16 prompt/s"] = prompt(self.fp16, self.threads)
        if self.program:
            out["llama F16 prompt/s"] = llama(self.program, self.f16_gguf,
                                              self.threads, PROMPT, 0)[0]
        out["int8 prompt/s"] = prompt(self.int8, self.threads)
        if self.program:
            out["llama Q8_0 prompt/s"] = llama(self.program, self.q8_gguf,
                                               self.threads, PROMPT, 0)[0]

    def first_rows(self, out):
        out["first token s"] = first(self.fp16, self.threads)
        out["first floor s"] = (out["touch s"] + model.token_bytes(
            self.layers, 16) / out["read4 GB/s"] / 1e9)
        if self.program:
            out["llama first s"] = llama(self.program, self.f16_gguf,
                                         self.threads, 0, 1)[1]

    def round(self):
        out = {}
        out["touch s"], out["read GB/s"], out["read4 GB/s"] = memory(
            self.reader, self.file, self.threads)
        for row in self.rows:
            getattr(self, row + "_rows")(out)
        return out


RATIOS = [
    ("fp16 GB/s", "read GB/s"), ("fp16 GB/s", "read4 GB/s"),
    ("bf16 GB/s", "read GB/s"), ("int8 GB/s", "read GB/s"),
    ("fp16 tokens/s", "llama F16 tokens/s"),
    ("int8 tokens/s", "llama Q8_0 tokens/s"),
    ("fp16 prompt/s", "llama F16 prompt/s"),
    ("int8 prompt/s", "llama Q8_0 prompt/s"),
    ("first token s", "first floor s"), ("llama first s", "first floor s"),
]


# ---- all rounds ----

def busy_seconds():
    """Of all cores since the machine started, and of our children alone."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    own = os.times()
    return ((sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"),
            own.children_user + own.children_system)


def one_round(bench, i):
    began, busy = time.monotonic(), busy_seconds()
    out = bench.round()
    all_busy, own = (b - a for a, b in zip(busy, busy_seconds()))
    out["cores of others"] = (max(0, all_busy - own) /
                              (time.monotonic() - began))
    print(f"round {i + 1}: " + ", ".join(
        f"{name} {value:.3f}" for name, value in out.items()), flush=True)
    return out


def spread(values):
    return (f"{statistics.median(values):9.3f}  "
            f"({min(values):.3f} to {max(values):.3f})")


def measure(room, args):
    bench = Bench(room, args)
    print(f"model {os.path.getsize(bench.file) / 1e9:.2f} GB in fp16, "
          f"{args.threads} threads, {args.pairs} rounds", flush=True)
    if not args.llama_bench:
        print("skipped: llama-bench, no --llama-bench given")
    bench.round()  # the page cache is warm from here on
    rounds = [one_round(bench, i) for i in range(args.pairs)]
    for name in rounds[0]:
        print(f"{name:40}{spread([r[name] for r in rounds])}")
    for top, bottom in RATIOS:
        if top in rounds[0] and bottom in rounds[0]:
            print(f"{top + ' / ' + bottom:40}"
                  f"{spread([r[top] / r[bottom] for r in rounds])}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--threads", type=int,
                   default=len(os.sched_getaffinity(0)))
    p.add_argument("--layers", type=int, default=22)
    p.add_argument("--rows", default="decode,prompt,first")
    p.add_argument("--llama-bench", metavar="PROGRAM",
                   help="a llama-bench to run beside ours")
    p.add_argument("--folder", help="where to make the temporary folder")
    args = p.parse_args()
    args.pairs = max(args.pairs, 5)
    folder = tempfile.mkdtemp(prefix="decode.", dir=args.folder)
    try:
        measure(folder, args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
