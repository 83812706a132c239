#!/usr/bin/env python3
"""The CUDA backend measured: loading, the first token and decoding of models
of noise, each held against the device's own copies in the same run, and
beside transformers where that can be imported. Called by gpu.sh.

    gpu.py [--build DIR] [--out DIR] [--runs N] [--tiny] [--until SECONDS]
    gpu.py --peer NAME [--compiled] [--tiny]

Writes OUT/gpu-DATE.md and .json anew after every model, so that what is cut
off leaves what it has; every figure is a median, with the least and the most.
Nothing is begun that would not end before --until. --tiny is for trying this
script where there is no device: small shapes, and by --build the emulator's.
--peer is one model by transformers, in a process of its own, since nobody
knows what becomes of it.
"""
import argparse
import datetime
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
START = time.monotonic()
BLOCK = 32 << 20
NEW = 200
LEAST_RUNS = 3
PEER_SECONDS = 75
RUN_SECONDS = 90  # beside those for its file, at half a GB each
PROMPT = [1, 15, 9, 200, 33, 17, 60]

# name, family, type, dim, inner, layers, heads, key heads, vocabulary; the bar
MODELS = [
    ("Llama 1.1B fp16", "llama", "F16", 2048, 5632, 22, 32, 4, 32000, 0.87),
    ("Llama 7B int8", "llama", "I8", 4096, 11008, 32, 32, 32, 32000, 0.90),
    ("Llama 7B fp16", "llama", "F16", 4096, 11008, 32, 32, 32, 32000, 0.90),
    ("Pythia 12B fp16", "gpt_neox", "F16", 5120, 20480, 36, 40, 40, 50688,
     0.90),
]
TINY = [
    ("tiny Llama int8", "llama", "I8", 64, 128, 5, 4, 2, 256, 0.90),
    ("tiny NeoX fp16", "gpt_neox", "F16", 64, 256, 5, 4, 4, 256, 0.90),
]
PUBLISHED = ("gpt-fast's published figure for a 7B Llama in bf16 on an A100 "
             "(2.04 TB/s): 104.9 tokens/s, 1397 GB/s; its users' in int8: 125 "
             "tokens/s, 857 GB/s, after five minutes of compiling.")


def shapes(m):
    """name, shape and whether it is a linear layer's matrix."""
    _, family, _, d, inner, layers, heads, kv, vocab, _ = m
    if family == "llama":
        head = d // heads
        yield "model.embed_tokens.weight", (vocab, d), False
        for i in range(layers):
            at = f"model.layers.{i}."
            for name, shape in (("self_attn.q_proj", (d, d)),
                                ("self_attn.k_proj", (kv * head, d)),
                                ("self_attn.v_proj", (kv * head, d)),
                                ("self_attn.o_proj", (d, d)),
                                ("mlp.gate_proj", (inner, d)),
                                ("mlp.up_proj", (inner, d)),
                                ("mlp.down_proj", (d, inner))):
                yield f"{at}{name}.weight", shape, True
            yield at + "input_layernorm.weight", (d,), False
            yield at + "post_attention_layernorm.weight", (d,), False
        yield "model.norm.weight", (d,), False
        yield "lm_head.weight", (vocab, d), True
        return
    yield "gpt_neox.embed_in.weight", (vocab, d), False
    for i in range(layers):
        at = f"gpt_neox.layers.{i}."
        for name, shape in (("attention.query_key_value", (3 * d, d)),
                            ("attention.dense", (d, d)),
                            ("mlp.dense_h_to_4h", (inner, d)),
                            ("mlp.dense_4h_to_h", (d, inner))):
            yield f"{at}{name}.weight", shape, True
            yield f"{at}{name}.bias", shape[:1], False
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (d,), False
            yield f"{at}{name}.bias", (d,), False
    yield "gpt_neox.final_layer_norm.weight", (d,), False
    yield "gpt_neox.final_layer_norm.bias", (d,), False
    yield "embed_out.weight", (vocab, d), True


def config(m):
    _, family, _, d, inner, layers, heads, kv, vocab, _ = m
    out = {"model_type": family, "vocab_size": vocab, "hidden_size": d,
           "intermediate_size": inner, "num_hidden_layers": layers,
           "num_attention_heads": heads, "max_position_embeddings": 2048,
           "bos_token_id": 0, "eos_token_id": 0,
           "tie_word_embeddings": False}
    if family == "llama":
        out.update(num_key_value_heads=kv, rms_norm_eps=1e-5,
                   hidden_act="silu")
    else:
        out.update(rotary_pct=0.25, layer_norm_eps=1e-5, hidden_act="gelu",
                   use_parallel_residual=True)
    return out


def noise(dtype):
    """A block of numbers: fp16 from 2^-8 to 2^-6, bytes, or scales."""
    if dtype == "I8":
        return os.urandom(BLOCK)
    if dtype == "F32":
        return struct.pack("<f", 2.0 ** -13) * (BLOCK // 4)
    ones = int.from_bytes(b"\xff\x87" * (BLOCK // 2), "little")
    exponent = int.from_bytes(b"\x00\x1c" * (BLOCK // 2), "little")
    bits = int.from_bytes(os.urandom(BLOCK), "little")
    return (bits & ones | exponent).to_bytes(BLOCK, "little")


def write_model(folder, m):
    """In the order and at the places of the uniform form; bytes written."""
    size = {"F16": 2, "I8": 1, "F32": 4}
    tensors = []
    for name, shape, linear in shapes(m):
        if m[2] == "I8" and linear:
            tensors.append((name, "I8", shape))
            tensors.append((name[:-7] + ".scales", "F32", shape[:1]))
        else:
            tensors.append((name, "F16", shape))

    def count(t):
        n = size[t[1]]
        for v in t[2]:
            n *= v
        return n

    tensors.sort(key=lambda t: (count(t) % 4096 != 0, -size[t[1]]))
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for t in tensors:
        head[t[0]] = {"dtype": t[1], "shape": list(t[2]),
                      "data_offsets": [at, at + count(t)]}
        at += count(t)
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump(config(m), f)
    blocks = {k: memoryview(noise(k)) for k in {t[1] for t in tensors}}
    with open(os.path.join(folder, "model.safetensors"), "wb",
              buffering=0) as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors:
            left = count(t)
            while left > 0:
                left -= f.write(blocks[t[1]][:min(left, BLOCK)])
    return at


def left(o):
    return o.until - (time.monotonic() - START)


def run(o, folder, new, memory=None):
    """The program's report; whatever checks failed are noted in it."""
    size = os.path.getsize(os.path.join(folder, "model.safetensors"))
    done = subprocess.run(
        [os.path.join(o.build, "mlverify-run"), "--backend", "cuda",
         "--perplexity", "none", "--ignore-eos", "--json", "-n", str(new),
         "-t", ",".join(map(str, PROMPT)), folder,
         *(["--memory", str(memory)] if memory else [])], text=True,
        capture_output=True, stdin=subprocess.DEVNULL,
        timeout=min(left(o), RUN_SECONDS + size / 5e8))
    if done.returncode not in (0, 9):
        raise RuntimeError(done.stderr.strip() or
                           f"exit status {done.returncode}")
    out = json.loads(done.stdout)
    out["bad"] = [c["name"] for c in out["checks"] if c["result"] == "failed"]
    return out


def be_peer(m, new, compiled):
    """The same shapes by transformers on the same card: tokens a second."""
    import torch
    import transformers
    if not torch.cuda.is_available():
        raise RuntimeError("torch sees no device")
    kind = {"llama": "Llama", "gpt_neox": "GPTNeoX"}[m[1]]
    numbers = {k: v for k, v in config(m).items() if k != "model_type"}
    made = getattr(transformers, kind + "Config")(**numbers)
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        model = getattr(transformers, kind + "ForCausalLM")(made).eval()
    ids = torch.tensor([PROMPT], device="cuda")
    more = {"cache_implementation": "static"} if compiled else {}
    best = 0.0
    if compiled:
        model.forward = torch.compile(model.forward, mode="reduce-overhead")
    with torch.inference_mode():
        for n in (new, new, new) if compiled else (8, new, new):
            torch.cuda.synchronize()
            start = time.monotonic()
            model.generate(ids, max_new_tokens=n, min_new_tokens=n,
                           do_sample=False, **more)
            torch.cuda.synchronize()
            best = max(best, n / (time.monotonic() - start)) if n == new \
                else best
    how = "compiled, static cache" if compiled else "eager"
    return {"rate": best, "is": f"transformers {transformers.__version__}, "
            f"torch {torch.__version__}, {how}"}


def peer(o, m, compiled=False):
    """(tokens a second or None, what it was or why not)."""
    if m[2] != "F16":
        return None, "transformers has no such type without another package"
    words = [sys.executable, os.path.abspath(__file__), "--peer", m[0]]
    words += ["--compiled"] * compiled + ["--tiny"] * o.tiny
    limit = min(left(o), PEER_SECONDS * (1 + compiled))
    if limit < 20:
        return None, "no time was left"
    try:
        done = subprocess.run(words, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=limit)
        found = json.loads(done.stdout.splitlines()[-1])
        return found["rate"], found["is"]
    except subprocess.TimeoutExpired:
        return None, f"it took longer than {limit:.0f} s"
    except (ValueError, LookupError):
        said = done.stderr.strip().splitlines()
        return None, said[-1][:200] if said else "it said nothing"


def spread(values):
    if None in values:
        raise ValueError("a rate is not known")
    values = sorted(values)
    return {"median": statistics.median(values), "least": values[0],
            "most": values[-1]}


def passing(o, folder, whole):
    """With two thirds of the memory that the model takes, or with all but a
    byte: what a token costs when layers pass through the device."""
    least = 64 << 20  # that the driver and the library are left
    memory = whole["device_memory_bytes"] * 2 // 3
    if memory < 16 * least:
        memory = whole["device_memory_bytes"] + least - 1
    got = run(o, folder, 4, memory)
    rate = got["passing_bytes"] * got["tokens_per_second"]
    return {"layers": got["passing_layers"], "bytes": got["passing_bytes"],
            "memory": memory, "tokens_per_second": got["tokens_per_second"],
            "gb_per_second": rate / 1e9,
            "pinned_share": rate / 1e9 / whole["pinned_gb_per_second"]}


def runs_of(o, folder):
    """As many as are asked for, or as there is time for."""
    out, longest = [], 0.0
    while len(out) < o.runs:
        before = time.monotonic()
        try:
            out.append(run(o, folder, o.new))
        except subprocess.TimeoutExpired:
            longest = time.monotonic() - before
            break
        longest = max(longest, time.monotonic() - before)
        if len(out) >= LEAST_RUNS and left(o) < 2 * longest:
            break
    if not out:
        raise RuntimeError(f"no run ended within {longest:.0f} s")
    return out


def room_for(o, m):
    """A folder with room for the model, on a disk or in memory, if there is
    time to fill it and to see something of it."""
    need = 2 << 20
    for _, shape, _ in shapes(m):
        n = 2
        for v in shape:
            n *= v
        need += n
    if left(o) < need / 1e9 + (1 if o.tiny else 15):
        raise RuntimeError("no time was left")
    for place in (tempfile.gettempdir(), "/dev/shm"):
        if os.path.isdir(place) and shutil.disk_usage(place).free > need * 1.1:
            return tempfile.mkdtemp(prefix="mlgpu.", dir=place)
    raise RuntimeError(f"no folder has room for {need / 1e9:.0f} GB")


def measure(o, m):
    home = room_for(o, m)
    passed = None
    try:
        folder = os.path.join(home, "model")
        size = write_model(folder, m)
        runs = runs_of(o, folder)
        try:
            passed = passing(o, folder, runs[0])
        except (subprocess.TimeoutExpired, RuntimeError, KeyError,
                TypeError) as why:
            print(f"{m[0]}: layers that pass: {why}", flush=True)
    finally:
        shutil.rmtree(home)
    out = {"model": m[0], "bytes": size, "bar": m[-1],
           "device": runs[0]["device"], "runs": len(runs), "passing": passed,
           "bad": sorted({b for r in runs for b in r["bad"]}),
           "device_memory_bytes": runs[0]["device_memory_bytes"]}
    for key in ("load_seconds", "first_token_seconds", "tokens_per_second",
                "gb_per_second", "copy_gb_per_second", "copy_share",
                "upload_gb_per_second", "pinned_gb_per_second"):
        out[key] = spread([r[key] for r in runs])
    out["load_share"] = spread([r["upload_gb_per_second"] /
                                r["pinned_gb_per_second"] for r in runs])
    return out


def figure(v, digits=1):
    return (f"**{v['median']:.{digits}f}** ({v['least']:.{digits}f} to "
            f"{v['most']:.{digits}f})")


def passing_table(rows):
    out = ["", "Layers that pass, with less memory than the model takes:", "",
           "| model | --memory, GB | layers | GB a token | tokens/s | GB/s | "
           "of a pinned copy |", "|---|---|---|---|---|---|---|"]
    for r in rows:
        p = r["passing"]
        out.append(
            f"| {r['model']} | {p['memory'] / 1e9:.1f} | {p['layers']} | "
            f"{p['bytes'] / 1e9:.2f} | {p['tokens_per_second']:.2f} | "
            f"{p['gb_per_second']:.1f} | {p['pinned_share']:.3f} |"
            if p else f"| {r['model']} | - | - | - | - | - | - |")
    return out


def page(o, rows, skipped):
    device = rows[0]["device"] if rows else "nothing measured yet"
    out = [f"# The CUDA backend, {o.date}, {device}", "",
           f"Made by `tests/perf/gpu.sh`, {os.cpu_count()} cores beside it; "
           f"commit {o.commit}. Models of noise at "
           f"the shapes named; prompt of {len(PROMPT)} tokens, {o.new} new "
           "ones; medians of the runs, least to most. The divisor of "
           "decoding is a copy on the device in the same run, bytes read and "
           "written; that of loading a copy from pinned memory.", "",
           "| model | runs | load, GB/s | of a pinned copy (bar 0.90) | first "
           "token, s | tokens/s | GB/s | of a copy | bar | transformers, "
           "tokens/s |", "|---|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        other = f"{r['peer']:.1f}" if r["peer"] else "-"
        met = "" if r["copy_share"]["median"] >= r["bar"] else ": missed"
        out.append(
            f"| {r['model']} | {r['runs']} | "
            f"{figure(r['upload_gb_per_second'])} | "
            f"{figure(r['load_share'], 3)} | "
            f"{figure(r['first_token_seconds'], 3)} | "
            f"{figure(r['tokens_per_second'])} | "
            f"{figure(r['gb_per_second'])} | {figure(r['copy_share'], 3)}"
            f"{met} | {r['bar']} | {other} |")
    out += [*passing_table(rows), "", PUBLISHED, ""]
    for r in rows:
        out.append(f"- {r['model']}: beside it {r['peer_is']}.")
        if r.get("compiled_is"):
            rate = f"{r['compiled']:.1f} tokens/s, " if r["compiled"] else ""
            out.append(f"- {r['model']}: and {rate}{r['compiled_is']}.")
        if r["bad"]:
            out.append(f"- {r['model']}: checks FAILED: {', '.join(r['bad'])}")
    out += [f"- Not measured: {name}: {why}." for name, why in skipped]
    path = os.path.join(o.out, "checks.txt")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            out += ["", "## Checks", "", *f.read().splitlines()]
    return "\n".join(out) + "\n"


def write(o, rows, skipped):
    name = os.path.join(o.out, f"gpu-{o.date}")
    with open(name + ".json", "w", encoding="utf-8") as f:
        json.dump({"date": o.date, "commit": o.commit, "rows": rows,
                   "skipped": skipped}, f, indent=1)
        f.write("\n")
    with open(name + ".md", "w", encoding="utf-8") as f:
        f.write(page(o, rows, skipped))
    return name


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    p.add_argument("--out", default=os.path.join(ROOT, "docs/benchmarks"))
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--until", type=float, default=420)
    p.add_argument("--peer")
    p.add_argument("--compiled", action="store_true")
    p.add_argument("--tiny", action="store_true")
    o = p.parse_args()
    o.new = 4 if o.tiny else NEW
    o.models = TINY if o.tiny else MODELS
    o.date = datetime.date.today().isoformat()
    o.commit = "unknown"
    try:
        o.commit = subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True,
            capture_output=True).stdout.strip() or o.commit
    except OSError:
        pass
    return o


def all_of(o, rows, skipped):
    """Our own figures first, and the others' while there is time."""
    for m in o.models:
        try:
            row = measure(o, m)
        except (RuntimeError, OSError, ValueError, KeyError,
                subprocess.TimeoutExpired) as why:
            lines = str(why).splitlines() or [type(why).__name__]
            skipped.append((m[0], lines[0]))
            print(f"{m[0]}: {why}", flush=True)
            write(o, rows, skipped)
            continue
        row["peer"], row["peer_is"] = None, "nothing: no time was left"
        rows.append(row)
        write(o, rows, skipped)
        print(f"{m[0]}: {row['tokens_per_second']['median']:.1f} tokens/s, "
              f"{row['copy_share']['median']:.3f} of a copy, loaded at "
              f"{row['load_share']['median']:.3f} of one", flush=True)
    by_name = {m[0]: m for m in o.models}
    for key in ("peer", "compiled"):
        for row in rows:
            if key == "compiled" and by_name[row["model"]][2] != "F16":
                continue
            row[key], row[key + "_is"] = peer(o, by_name[row["model"]],
                                              key == "compiled")
            print(f"{row['model']}: {row[key]}: {row[key + '_is']}",
                  flush=True)
            write(o, rows, skipped)


def main():
    o = options()
    if o.peer:
        m = next(m for m in o.models if m[0] == o.peer)
        print(json.dumps(be_peer(m, o.new, o.compiled)))
        return 0
    os.makedirs(o.out, exist_ok=True)
    rows, skipped = [], []
    name = write(o, rows, skipped)
    all_of(o, rows, skipped)
    print(name + ".md")
    whole = rows and not skipped and not any(r["bad"] for r in rows)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
