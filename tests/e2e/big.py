#!/usr/bin/env python3
"""A model larger than the memory it may have: Pythia's shapes in three shards
of fp16 with the causal masks of the published files, run for one token.

The weights are one block of bounded noise over and over. The short form is
256 MB in 96 MB: in a control group where one can be made, and held to as much
memory of its own as leaves no room for a copy. --long is pythia-12b: 24 GB
on the disk of TMPDIR, twice through the machine's memory (`make big`).
"""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

PYTHIA_12B = {"vocab": 50688, "dim": 5120, "layers": 36, "heads": 40}
SHORT = {"vocab": 8192, "dim": 768, "layers": 16, "heads": 12}
POSITIONS = 2048
BLOCK = 16 << 20
MB = 1 << 20


def noise():
    """fp16 numbers of either sign from 2^-8 to 2^-6."""
    ones = int.from_bytes(b"\xff\x87" * (BLOCK // 2), "little")
    exponent = int.from_bytes(b"\x00\x1c" * (BLOCK // 2), "little")
    bits = int.from_bytes(os.urandom(BLOCK), "little")
    return (bits & ones | exponent).to_bytes(BLOCK, "little")


def shapes(m):
    """The tensors of a Pythia, leftover buffers too: name, dtype, shape."""
    d, v = m["dim"], m["vocab"]
    rotary = d // m["heads"] // 4
    yield "gpt_neox.embed_in.weight", "F16", (v, d)
    for i in range(m["layers"]):
        at = f"gpt_neox.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{norm}.weight", "F16", (d,)
            yield f"{at}{norm}.bias", "F16", (d,)
        yield at + "attention.bias", "U8", (1, 1, POSITIONS, POSITIONS)
        yield at + "attention.masked_bias", "F16", ()
        yield at + "attention.rotary_emb.inv_freq", "F16", (rotary // 2,)
        for part, rows, cols in (("attention.query_key_value", 3 * d, d),
                                 ("attention.dense", d, d),
                                 ("mlp.dense_h_to_4h", 4 * d, d),
                                 ("mlp.dense_4h_to_h", d, 4 * d)):
            yield f"{at}{part}.weight", "F16", (rows, cols)
            yield f"{at}{part}.bias", "F16", (rows,)
    yield "gpt_neox.final_layer_norm.weight", "F16", (d,)
    yield "gpt_neox.final_layer_norm.bias", "F16", (d,)
    yield "embed_out.weight", "F16", (v, d)


def size_of(dtype, shape):
    n = 1 if dtype == "U8" else 2
    for x in shape:
        n *= x
    return n


def put(f, data, size, start):
    """size bytes of data over and over, from an odd place on."""
    at = start % (len(data) - 4096) & ~1
    while size > 0:
        n = f.write(memoryview(data)[at:at + size])
        size -= n
        at = (at + n) % len(data)


def write_shard(path, tensors, block, ones):
    head, at = {}, 0
    for name, dtype, shape in tensors:
        size = size_of(dtype, shape)
        head[name] = {"dtype": dtype, "shape": list(shape),
                      "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb", buffering=0) as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k, (name, dtype, shape) in enumerate(tensors):
            size = size_of(dtype, shape)
            norm = name.endswith("norm.weight")
            put(f, ones if norm or dtype == "U8" else block, size,
                0 if norm else k * 1000003 * 2)
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_model(folder, m, shards=3):
    block, ones = noise(), b"\x00\x3c" * (BLOCK // 2)
    tensors = list(shapes(m))
    total = sum(size_of(d, s) for _, d, s in tensors)
    parts, have = [[] for _ in range(shards)], 0
    for t in tensors:
        parts[min(shards - 1, have * shards // total)].append(t)
        have += size_of(t[1], t[2])
    os.makedirs(folder)
    index = {}
    for i, part in enumerate(parts):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        write_shard(os.path.join(folder, name), part, block, ones)
        index.update({t[0]: name for t in part})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w",
              encoding="utf-8") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": index}, f)
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump({"architectures": ["GPTNeoXForCausalLM"],
                   "model_type": "gpt_neox", "vocab_size": m["vocab"],
                   "hidden_size": m["dim"], "num_hidden_layers": m["layers"],
                   "num_attention_heads": m["heads"],
                   "intermediate_size": 4 * m["dim"], "hidden_act": "gelu",
                   "rotary_pct": 0.25, "rotary_emb_base": 10000,
                   "max_position_embeddings": POSITIONS,
                   "layer_norm_eps": 1e-5, "use_parallel_residual": True,
                   "bos_token_id": 0, "eos_token_id": 0,
                   "torch_dtype": "float16"}, f)
    return total


class Group:
    """A control group of memory, of either version; for `with`."""

    def __init__(self, limit):
        self.limit = limit
        self.folder = None

    def __enter__(self):
        name = f"mlbig-{os.getpid()}"
        for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                            ("/sys/fs/cgroup", "memory.max")):
            folder = os.path.join(root, name)
            try:
                os.mkdir(folder)
                self.folder = folder
                self.write(limit, self.limit)
                return self
            except OSError:
                self.close()
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.folder is not None:
            try:
                os.rmdir(self.folder)
            except OSError:
                pass
        self.folder = None

    def write(self, name, value):
        with open(os.path.join(self.folder, name), "w",
                  encoding="ascii") as f:
            f.write(str(value))

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def peak(self):
        """Bytes charged at most, page cache and all; None: not told."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            try:
                with open(os.path.join(self.folder, name),
                          encoding="ascii") as f:
                    return int(f.read())
            except OSError:
                continue
        return None


def run(base, folder, *args, before=None):
    """(status, report or stderr, bytes resident at most, seconds)"""
    start = time.monotonic()
    with subprocess.Popen(
            [kit.program("mlverify-run"), folder, "--tokens", "1,2,3", "-n",
             "1", "--ignore-eos", "--json", *args], env=kit.clean_env(base),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=before) as proc:
        out, err = proc.stdout.read(), proc.stderr.read()
        _, status, used = os.wait4(proc.pid, 0)
        proc.returncode = os.waitstatus_to_exitcode(status)
    shown = json.loads(out) if out else err
    return (proc.returncode, shown, used.ru_maxrss * 1024,
            time.monotonic() - start)


def short(tap, base):
    folder = os.path.join(base, "model")
    total = write_model(folder, SHORT)
    limit = 96 * MB
    tap.ok(total > 2.5 * limit, f"a model of {total // MB} MB")
    status, all_of_it, most, _ = run(base, folder, "--memory", "4G")
    tap.ok(status == 0 and all_of_it["ok"], "it runs", all_of_it)
    tap.ok(most > 2 * limit,
           f"control: held whole it takes {most // MB} MB")
    if "asan" in kit.BUILD:
        tap.skip("in little memory", "sanitizers need their own")
        return

    def own():
        resource.setrlimit(resource.RLIMIT_DATA, (48 * MB, 48 * MB))

    status, got, most, _ = run(base, folder, "--memory", "64M", before=own)
    tap.ok(status == 0 and most < limit,
           f"streamed: {most // MB} MB resident at most", got)
    tap.eq(got and got["top"], all_of_it["top"], "the same numbers")
    status, got, _, _ = run(base, folder, "--dtype", "fp32", before=own)
    tap.eq(status, 1, "control: a copy in fp32 has no room")
    with Group(limit) as group:
        if group.folder is None:
            for name in ("in a control group", "control: its copy is refused"):
                tap.skip(name, "no control group can be made here")
            return
        status, got, _, _ = run(base, folder, before=group.enter)
        tap.ok(status == 0 and got["top"] == all_of_it["top"],
               f"in a control group of {limit // MB} MB it streams by itself",
               got)
        peak = group.peak()
        tap.ok(peak is None or peak <= limit, f"{peak} bytes charged at most")
        status, got, _, _ = run(base, folder, "--dtype", "fp32",
                                before=group.enter)
        tap.ok(status == 1 and "memory needed" in got,
               "control: its copy is refused, not killed", got)


def long(tap, base):
    folder = os.path.join(base, "pythia-12b")
    start = time.monotonic()
    total = write_model(folder, PYTHIA_12B)
    print(f"# {total / 1e9:.2f} GB written in "
          f"{time.monotonic() - start:.0f} s")
    seen = []
    for args in ((), ("--memory", "4G")):
        status, got, most, seconds = run(base, folder, *args)
        tap.ok(status == 0 and got["ok"],
               f"pythia-12b, one token {' '.join(args)}: {seconds:.1f} s, "
               f"{most / 1e9:.2f} GB resident at most", got)
        if status == 0:
            print(f"# first token {got['first_token_seconds']:.1f} s, "
                  f"{got['bytes_per_token'] / 1e9:.2f} GB of matrices, "
                  f"{got['parameters']} parameters, peak "
                  f"{got['peak_memory_bytes']}")
            tap.eq(got["parameters"], 11846072320, "its parameters")
            seen.append(got["top"])
        if args:
            tap.ok(most < 5e9, "it holds what it was given and a little")
    tap.ok(len(seen) == 2 and seen[0] == seen[1], "the same numbers")


def main():
    tap = kit.Tap()
    base = kit.scratch()
    try:
        (long if "--long" in sys.argv else short)(tap, base)
    finally:
        shutil.rmtree(base)
    tap.done()


if __name__ == "__main__":
    main()
