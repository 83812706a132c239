#!/usr/bin/env python3
"""mlconvert --int8 as its users meet it, and what the other programs make of
such a folder."""
import hashlib
import json
import math
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../.."), os.path.join(HERE, "../../twin")]
import kit  # noqa: E402
import reader  # noqa: E402

LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
NEOX = os.path.join(kit.ROOT, "tests/model/tiny-neox")
INF, NAN = math.inf, math.nan


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def floats(shape, *values):
    return ("F32", shape, struct.pack(f"<{len(values)}f", *values))


def tables(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    at = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:at])
    return {k: (v["dtype"], v["shape"],
                data[at + v["data_offsets"][0]:at + v["data_offsets"][1]])
            for k, v in head.items() if k != "__metadata__"}


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)

    def at(self, name):
        return os.path.join(self.home, name)

    def run(self, *args):
        return kit.run(args, self.env)

    def model(self, name, tensors, config=None):
        """A folder with these tensors, (dtype, shape, bytes or a hole)."""
        folder = self.at(name)
        os.makedirs(folder)
        head, at = {}, 0
        for key, (dtype, shape, data) in tensors.items():
            size = data if isinstance(data, int) else len(data)
            head[key] = {"dtype": dtype, "shape": shape,
                         "data_offsets": [at, at + size]}
            at += size
        text = json.dumps(head).encode()
        with open(os.path.join(folder, "model.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in tensors.values():
                if isinstance(data, int):
                    f.seek(data, os.SEEK_CUR)
                else:
                    f.write(data)
            f.truncate(8 + len(text) + at)
        if config is not None:
            with open(os.path.join(folder, "config.json"), "w",
                      encoding="utf-8") as f:
                f.write(config)
        return folder

    def convert(self, source, out, *options):
        out = self.at(out)
        done = self.run("mlconvert", "--int8", *options, "-o", out, source)
        self.tap.ok(done.returncode == 0, f"{os.path.basename(out)}: "
                    "converts", done.stderr)
        return out

    def fails(self, status, what, *args, says):
        done = self.run("mlconvert", *args)
        self.tap.ok(done.returncode == status and says in done.stderr and
                    done.stdout == "" and not os.path.exists(self.at("no")),
                    f"{what}: exit {status}",
                    f"status {done.returncode}\n{done.stderr}")

    def check(self, folder, status, what, *words):
        done = self.run("mlverify", "check", folder)
        self.tap.ok(done.returncode == status and all(
            w in done.stdout + done.stderr for w in words),
            f"check: {what}: exit {status}",
            f"status {done.returncode}\n{done.stdout}{done.stderr}")


def usage(b):
    source = os.path.join(LLAMA, "safetensors")
    out = ("-o", b.at("no"), source)
    for policy in ("error", "clamp", "inf"):
        for keep in ((), ("--keep",)):
            b.fails(2, f"{' '.join(keep)} --on-overflow {policy}", *keep,
                    "--on-overflow", policy, *out, says="--on-overflow")
    b.fails(2, "two dtypes", "--fp16", "--bf16", *out,
            says="--fp16 and --bf16")
    b.fails(2, "int8 and another", "--int8", "--keep", *out,
            says="choose one")
    done = b.run("mlconvert", "--fp16", "--fp16", "-o", b.at("twice"), source)
    b.tap.eq(done.returncode, 0, "one dtype named twice is one")
    b.fails(2, "int8 has no infinity", "--int8", "--on-overflow", "inf", *out,
            says="no infinity")
    b.fails(2, "int8 in GGUF", "--int8", "--to", "gguf", *out, says="--q8_0")
    b.fails(2, "int8 in a list", "--int8", "--list", source, says="--list")


def form(b):
    """What becomes of each tensor, worked out by hand."""
    out = b.convert(b.model("small", {
        "model.embed_tokens.weight": floats([2, 2], 1, 2, 3, 4),
        "a.weight": floats([3, 4], 1.275, -1.275, 0.005, 0.015,
                           0, 0, 0, -0.0, 2, 1, -1, -0.5),
        "a.bias": floats([3], 1, 2, 1 / 3),
        "norm.weight": floats([2], 1, 2),
        "conv.weight": floats([1, 2, 1], 1, 2),
        "empty.weight": ("F32", [0, 4], b""),
        "mask": ("U8", [2], b"\1\2"),
    }, '{"model_type": "x", "torch_dtype": "float32"}'), "small8")
    got = tables(os.path.join(out, "model.safetensors"))
    b.tap.eq({k: v[:2] for k, v in got.items()}, {
        "a.weight": ("I8", [3, 4]), "a.scales": ("BF16", [3]),
        "model.embed_tokens.weight": ("BF16", [2, 2]), "a.bias": ("BF16", [3]),
        "norm.weight": ("BF16", [2]), "conv.weight": ("BF16", [1, 2, 1]),
        "empty.weight": ("BF16", [0, 4]), "mask": ("U8", [2])},
        "matrices are I8, other floats BF16")
    b.tap.eq(struct.unpack("12b", got["a.weight"][2]),
             (127, -128, 0, 2, 0, 0, 0, 0, 127, 64, -64, -32),
             "bytes, rounded to even")
    scales = [struct.unpack("<f", b"\0\0" + got["a.scales"][2][i:i + 2])[0]
              for i in (0, 2, 4)]
    b.tap.eq(scales, [0.010009765625, 2.0 ** -23, 0.0157470703125],
             "scales; that of a row of zeros")
    with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
        b.tap.eq(json.load(f), {
            "quantization_config": {"format": "ml-safetensors int8"},
            "model_type": "x", "torch_dtype": "bfloat16"}, "config.json")
    with open(os.path.join(out, "ml-manifest.json"), encoding="utf-8") as f:
        b.tap.eq(json.load(f)["recipe"], {"dtype": "int8"}, "the recipe")
    b.check(out, 0, "small8", "int8", "1 matrices")


def values(b):
    odd = b.model("odd", {"x.weight": floats([1, 3], 1, INF, 2),
                          "y.weight": floats([1, 2], 1, 2),
                          "z.weight": floats([2, 1], -INF, 2)})
    nan = b.model("nan", {"x.weight": floats([1, 3], 1, NAN, 2)})
    page = b.at("page.html")
    b.fails(9, "infinities", "--int8", "--report", page, "-o", b.at("no"), odd,
            says="2 tensors")
    b.tap.ok(os.path.getsize(page) > 0, "a report says why")
    for policy in ("error", "clamp"):
        b.fails(9, f"a NaN, {policy}", "--int8", "--on-overflow", policy,
                "--report", page, "-o", b.at("no"), nan, says="'x.weight'")
    with open(page, encoding="utf-8") as f:
        b.tap.ok("nothing was written" in f.read(), "and the report says so")
    out = b.convert(odd, "odd8", "--on-overflow", "clamp")
    b.tap.eq(tables(os.path.join(out, "model.safetensors"))["x.weight"][2],
             bytes((64, 127, 127)), "clamped to the end of the row")
    b.check(out, 0, "odd8")


def ends(b):
    """Values at the ends of the ranges."""
    most = 3.4028234663852886e38
    norm = b.model("norm", {"x.weight": floats([1, 2], 1, 2),
                            "n.weight": floats([1], most)})
    b.fails(9, "a norm beyond bf16", "--int8", "-o", b.at("no"), norm,
            says="use --keep, or --on-overflow clamp")
    out = b.convert(b.model("most", {"x.weight": floats([1, 2], most, -most),
                                     "y.weight": floats([1, 2], 1, -1.275)}),
                    "most8")
    got = tables(os.path.join(out, "model.safetensors"))
    b.tap.eq((got["x.weight"][2], got["y.weight"][2]),
             (bytes((127, 129)), bytes((100, 128))),
             "-128 only where it reads back finite")
    done = b.run("mlconvert", "--int8", "--on-overflow", "clamp", "-o",
                 b.at("kept8"), b.model("kept", {
                     "x.weight": floats([1, 3], 1, INF, -INF),
                     "n.weight": floats([2], INF, NAN),
                     "m.weight": floats([1], NAN)}))
    b.tap.ok(done.returncode == 0 and
             "kept: 2 NaN, 1 infinite, first in 'm.weight'" in done.stderr,
             "what was clamped is not called kept", done.stderr)
    done = b.run("mlconvert", "--int8", "-o", b.at("no"), b.model(
        "alone", {"x.weight": floats([1, 1], NAN)}))
    b.tap.ok(done.returncode == 9 and "every value is kept" not in done.stderr,
             "nor what was refused", done.stderr)


def refused(b):
    w = floats([1, 2], 1, 2)
    b.fails(8, "scales that are there", "--int8", "-o", b.at("no"),
            b.model("taken", {"x.weight": w, "x.scales": floats([1], 1)}),
            says="'x.scales'")
    b.fails(8, "bytes already", "--int8", "-o", b.at("no"),
            b.model("bytes", {"x.weight": ("I8", [1, 2], b"\1\2")}),
            says="already")
    b.fails(8, "a quantised model", "--int8", "-o", b.at("no"),
            b.model("awq", {"x.weight": w},
                    '{"quantization_config": {"quant_method": "awq"}}'),
            says="quantised already")
    b.fails(8, "twice", "--int8", "-o", b.at("no"), b.at("small8"),
            says="quantised already")
    done = b.run("mlconvert", "--int8", "-o", b.at("no"),
                 b.model("list", {"x.weight": w}, "[]"))
    b.tap.ok(done.returncode == 8 and "not a JSON object" in done.stderr and
             "cast to" not in done.stderr,
             "a config that is a list is refused before anything is cast",
             done.stderr)
    out = b.convert(b.model("null", {"x.weight": w},
                            '{"quantization_config": null}'), "null8")
    with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
        b.tap.eq(json.load(f, object_pairs_hook=list), [
            ("torch_dtype", "bfloat16"),
            ("quantization_config", [("format", "ml-safetensors int8")])],
            "a config that says it is not quantised: the member is there once")
    b.fails(8, "rows that are inputs", "--int8", "-o", b.at("no"),
            b.model("gpt2", {"x.weight": w}, '{"model_type": "gpt2"}'),
            says="gpt2")


def same_bytes(b):
    """From any container, with any threads, in shards and joined again."""
    for group in (["safetensors", "safetensors-sharded"],
                  ["bin", "bin-legacy", "bin-sharded"]):
        seen = {sha256(os.path.join(b.convert(
            os.path.join(LLAMA, c), f"{c}-{threads}", "--threads", threads),
            "model.safetensors")) for c in group for threads in (1, 3)}
        b.tap.eq(len(seen), 1, f"{'/'.join(group)}: one file")
    many = b.convert(os.path.join(LLAMA, "bin"), "many", "--shard-size", "9k")
    b.check(many, 0, "shards", "matrices and their scales")
    joined = b.at("joined")
    b.run("mlconvert", "--keep", "-o", joined, many)
    b.tap.eq(sha256(os.path.join(joined, "model.safetensors")),
             sha256(b.at("bin-1/model.safetensors")), "joined: the one file")


def reports(b):
    page = b.at("neox.html")
    done = b.run("mlconvert", "--int8", "--json", "--report", page, "-o",
                 b.at("neox8"), NEOX)
    audit = json.loads(done.stdout)["audit"]
    b.tap.ok(0 < audit["largest_error"] < 0.01 and audit["overflow"] == 0,
             "--json has the error", audit)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    b.tap.ok("int8" in text and "dense_h_to_4h.weight" in text,
             "the report shows the error of each matrix")


def forged(b):
    """Folders that say int8 and are not: the manifest is sealed anew."""
    def forge(name, change, **recipe):
        folder = b.at(name)
        shutil.copytree(b.at("small8"), folder)
        path = os.path.join(folder, "model.safetensors")
        rows = tables(path)
        change(rows)
        made = []
        for key, (dtype, shape, data) in rows.items():
            t = reader.Tensor(key, dtype, shape)
            t.data, t.digest = data, reader.sha256(data)
            made.append(t)
        made.sort(key=reader.Tensor.key)
        data = reader.render(made) + b"".join(t.data for t in made)
        with open(path, "wb") as f:
            f.write(data)
        with open(os.path.join(folder, "ml-manifest.json"),
                  encoding="utf-8") as f:
            doc = json.load(f)
        doc["files"]["model.safetensors"] = {"sha256": reader.sha256(data),
                                             "size": len(data)}
        doc["recipe"].update(recipe)
        doc["tensors"] = {t.name: {"dtype": t.dtype, "shape": t.shape,
                                   "sha256": t.digest} for t in made}
        with open(os.path.join(folder, "ml-manifest.json"), "wb") as f:
            f.write(reader.manifest_text(doc))
        return folder

    def lose(rows):
        del rows["a.scales"]

    def wide(rows):
        rows["a.bias"] = floats([3], 1, 2, 3)

    def whole(rows):
        rows["a.weight"] = ("BF16", [3, 4], bytes(24))

    def short(rows):
        rows["a.scales"] = ("BF16", [2], rows["a.scales"][2][:4])

    def scale(text):
        def change(rows):
            rows["a.scales"] = ("BF16", [3],
                                rows["a.scales"][2][:4] + bytes.fromhex(text))
        return change

    def more(rows):
        rows["empty.weight"] = ("I8", [0, 2], b"")
        rows["mask"] = ("I8", [1], b"\1")

    b.check(forge("same", lambda rows: None), 0, "nothing changed")
    folder = forge("more", more)
    b.check(folder, 0, "other bytes are no matrices", "1 matrices")
    b.tap.ok(reader.check(folder) is not None, "nor for the second reader")
    b.check(forge("clamp", lambda rows: None, on_overflow="clamp"), 0, "clamp")
    b.check(forge("inf", lambda rows: None, on_overflow="inf"), 8,
            "int8 has no infinity", "ml-manifest.json")
    for name, change, word in (
            ("lost", lose, "a.weight"), ("wide", wide, "a.bias"),
            ("whole", whole, "a.weight"), ("short", short, "a.weight"),
            ("zero", scale("0000"), "element 2"),
            ("negative", scale("80bf"), "element 2"),
            ("infinite", scale("807f"), "element 2"),
            ("nan", scale("c07f"), "element 2"),
            ("least", scale("ff33"), "element 2")):
        folder = forge(f"forged-{name}", change)
        b.check(folder, 9, name, "int8", word)
        try:
            reader.check(folder)
            b.tap.ok(False, f"the second reader refuses it: {name}")
        except reader.Refused as why:
            b.tap.ok(True, f"the second reader refuses it: {why}")


def names(b):
    """The longest there are, and bytes that are no matrix."""
    long = "n" * (4096 - len(".weight"))
    folder = b.model("longest", {f"{long}.weight": floats([1, 2], 1, 2),
                              "empty.weight": ("I8", [0, 2], b"")})
    out = b.convert(folder, "longest8")
    b.check(out, 0, "names of 4096 bytes", "1 matrices")
    done = b.run("mlverify", "diff", "--json", folder, out)
    b.tap.eq([t["name"] == f"{long}.weight" for t in
              json.loads(done.stdout)["tensors"]], [False, True],
             "diff: nor are scales a tensor of their own there")


def differs(b):
    done = b.run("mlverify", "diff", "--json", b.at("small"), b.at("small8"))
    doc = json.loads(done.stdout)
    rows = {t["name"]: t for t in doc["tensors"]}
    b.tap.eq((done.returncode, "a.scales" in rows, rows["a.weight"]["result"],
              rows["a.weight"]["compared_as"], rows["norm.weight"]["result"]),
             (9, False, "values", "F32", "cast"), "diff: read as numbers")
    b.tap.ok(0 < rows["a.weight"]["absolute"]["by"] < 0.02,
             "diff: the largest difference", rows["a.weight"])
    done = b.run("mlverify", "diff", "--json", b.at("small8"), b.at("small"))
    turned = {t["name"]: t for t in json.loads(done.stdout)["tensors"]}
    b.tap.eq(turned["a.weight"]["absolute"]["by"],
             rows["a.weight"]["absolute"]["by"], "diff: from either side")
    done = b.run("mlverify", "diff", b.at("bin-1"), b.at("many"))
    b.tap.ok(done.returncode == 0 and "byte for byte" in done.stdout,
             "diff: two int8 folders", done.stdout)


def runs(b):
    """The demo model says what it says, from bytes and widened."""
    with open(os.path.join(kit.ROOT, "tests/model/expected.json"),
              encoding="utf-8") as f:
        rows = json.load(f)["prompts"]
    for dtype in ("stored", "fp32"):
        for row in rows:
            done = b.run("mlverify-run", b.at("neox8"), "--json", "--dtype",
                         dtype, "--prompt", row["prompt"], "-n",
                         len(row["greedy"]), "--ignore-eos")
            got = json.loads(done.stdout) if done.returncode == 0 else {}
            b.tap.eq((got.get("dtype"), got.get("tokens")),
                     ("I8" if dtype == "stored" else "F32", row["greedy"]),
                     f"{dtype}: the tokens of '{row['prompt']}'")
    shutil.copytree(b.at("neox8"), b.at("lost"))
    path = b.at("lost/model.safetensors")
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data.replace(b"embed_out.scales", b"embed_out.scalez"))
    done = b.run("mlverify-run", b.at("lost"), "--tokens", "1", "-n", "1")
    b.tap.ok(done.returncode == 9 and ".scales" in done.stdout,
             "bytes without scales are not run", done.stdout + done.stderr)


def memory(b):
    """Many narrow rows, and a few that are longer than any block."""
    if "asan" in kit.BUILD:
        b.tap.skip("int8 stays below 32 MB", "sanitizers need their own")
        return
    for name, shape in (("narrow", [4 << 20, 8]), ("long", [4, 8 << 20])):
        size = 4 * shape[0] * shape[1]
        source = b.model(name, {"x.weight": ("F32", shape, size)})
        pid = os.posix_spawn(
            kit.program("mlconvert"),
            ["mlconvert", "-q", "--progress", "none", "--int8", "--threads",
             "4", "-o", b.at(f"{name}8"), source], b.env, file_actions=[
                 (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage_ = os.wait4(pid, 0)
        b.tap.ok(status == 0 and usage_.ru_maxrss < 32 << 10,
                 f"{name} rows: {usage_.ru_maxrss >> 10} MiB, at most 32",
                 status)


def manifests(b):
    """More tensors than a manifest has room for: known before the start."""
    name = "n" * 600
    rows = {f"{name}{i:06}": ("U8", [0], b"") for i in range(100000)}
    b.fails(8, "a manifest too large", "--keep", "-o", b.at("no"),
            b.model("names", rows), says="ml-manifest.json")


def main():
    tap = kit.Tap()
    b = Bench(tap)
    for test in (usage, form, values, ends, refused, same_bytes, reports,
                 forged, names, differs, runs, memory, manifests):
        test(b)
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
