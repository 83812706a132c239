#!/usr/bin/env python3
"""Batch-1 decoding on the CPU against the rate at which memory is read.

    BUILD_DIR=build/release python3 tests/perf/decode.py [--pairs N]
                                  [--threads N] [--folder DIR] [--int8]

A random fp16 model of Llama's shape, about 1 GB, is made in a temporary
folder (in --folder: beside it), with --int8 converted by mlconvert. Then
pairs are run in turn, so that what disturbs one disturbs the other (how busy
others kept the machine meanwhile is told, too): tests/perf/membw.c reading
the model's file with as many threads, and mlverify-run -n 32, whose GB/s
counts each matrix of a token once and leaves out the prompt. Prints every
pair, the medians and the median of the pairs' ratios. The bar stands in
docs/benchmarks.md.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
DIM, INNER, LAYERS, HEADS, KV_HEADS, VOCAB = 2048, 5632, 10, 32, 8, 32000
NEW = 32
CONFIG = {"model_type": "llama", "vocab_size": VOCAB, "hidden_size": DIM,
          "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
          "num_key_value_heads": KV_HEADS, "intermediate_size": INNER,
          "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
          "bos_token_id": 1, "eos_token_id": 2}


def shapes():
    kv = DIM // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", (VOCAB, DIM)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        yield layer + "self_attn.q_proj.weight", (DIM, DIM)
        yield layer + "self_attn.k_proj.weight", (kv, DIM)
        yield layer + "self_attn.v_proj.weight", (kv, DIM)
        yield layer + "self_attn.o_proj.weight", (DIM, DIM)
        yield layer + "mlp.gate_proj.weight", (INNER, DIM)
        yield layer + "mlp.up_proj.weight", (INNER, DIM)
        yield layer + "mlp.down_proj.weight", (DIM, INNER)
        yield layer + "input_layernorm.weight", (DIM,)
        yield layer + "post_attention_layernorm.weight", (DIM,)
    yield "model.norm.weight", (DIM,)
    yield "lm_head.weight", (VOCAB, DIM)


def block(source):
    """A megabyte of fp16 between about -0.06 and 0.06, no two rows alike."""
    raw = bytearray(source.randbytes(1 << 20))
    # sign and a low bit of the exponent stay random: |v| < 2^-4
    raw[1::2] = bytes((b & 0x83) | 0x28 for b in raw[1::2])
    return bytes(raw)


def make_model(folder):
    source = random.Random(7)
    blocks = [block(source) for _ in range(16)]
    head, at = {}, 0
    for name, shape in shapes():
        size = 2 * shape[0] * (shape[1] if len(shape) == 2 else 1)
        head[name] = {"dtype": "F16", "shape": list(shape),
                      "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes():
            begin, end = head[name]["data_offsets"]
            left = end - begin
            while left > 0:
                part = (struct.pack("<e", 1.0) * DIM if "norm" in name
                        else source.choice(blocks))
                f.write(part[:left])
                left -= len(part)
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump(CONFIG, f)
    return path


def convert(folder):
    out = folder + "-int8"
    subprocess.run([os.path.join(BUILD, "mlconvert"), "-q", "--int8", "-o",
                    out, folder], check=True, stdout=subprocess.DEVNULL)
    return out, os.path.join(out, "model.safetensors")


def build_reader(folder):
    out = os.path.join(folder, "membw")
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O3",
                    "-march=native", "-pthread", "-o", out,
                    os.path.join(here, "membw.c")], check=True)
    return out


def read_rate(reader, path, threads):
    done = subprocess.run([reader, path, str(threads), "2"], check=True,
                          capture_output=True, text=True)
    return float(done.stdout)


def decode_rate(folder, threads):
    done = subprocess.run(
        [os.path.join(BUILD, "mlverify-run"), folder, "--tokens", "1,17,4711",
         "-n", str(NEW), "--ignore-eos", "--threads", str(threads), "--json"],
        check=False, capture_output=True, text=True)
    if done.returncode not in (0, 9):
        sys.exit(done.stderr)
    report = json.loads(done.stdout)
    bad = [c for c in report["checks"] if not c["ok"]]
    if bad:
        sys.exit(f"the random model does not compute: {bad}")
    return report["gb_per_second"], report["tokens_per_second"]


def busy_seconds():
    """Of all cores since the machine started, and of our children alone."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    own = os.times()
    return ((sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"),
            own.children_user + own.children_system)


def spread(values):
    return (f"{statistics.median(values):7.3f}  "
            f"({min(values):.3f} to {max(values):.3f})")


def measure(room, pairs, threads, int8):
    folder = os.path.join(room, "model")
    os.mkdir(folder)
    path = make_model(folder)
    reader = build_reader(room)
    if int8:
        folder, path = convert(folder)
    print(f"model {os.path.getsize(path) / 1e9:.2f} GB, {threads} threads, "
          f"{pairs} pairs", flush=True)
    rows = []
    decode_rate(folder, threads)  # the page cache is warm from here on
    for i in range(pairs):
        began, busy = time.monotonic(), busy_seconds()
        read = read_rate(reader, path, threads)
        decode, tokens = decode_rate(folder, threads)
        all_busy, own = (b - a for a, b in zip(busy, busy_seconds()))
        others = max(0, all_busy - own) / (time.monotonic() - began)
        rows.append((read, decode, tokens, decode / read, others))
        print(f"pair {i + 1}: read {read:.3f} GB/s, decode {decode:.3f} GB/s "
              f"({tokens:.2f} tokens/s), ratio {decode / read:.3f}, others "
              f"kept {others:.2f} cores busy", flush=True)
    for name, column in zip(("memory read, GB/s", "decode, GB/s",
                             "decode, tokens/s", "decode / read",
                             "cores of others"), zip(*rows)):
        print(f"{name:20}{spread(column)}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--threads", type=int,
                   default=len(os.sched_getaffinity(0)))
    p.add_argument("--int8", action="store_true",
                   help="decode what mlconvert --int8 makes of it")
    p.add_argument("--folder", help="where to make the temporary folder")
    args = p.parse_args()
    folder = tempfile.mkdtemp(prefix="decode.", dir=args.folder)
    try:
        measure(folder, max(args.pairs, 5), args.threads, args.int8)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
