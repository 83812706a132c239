#!/usr/bin/env python3
"""mlverify diff: equal, equal after a cast, or how far apart, for models in
any container, type and number of shards."""
import json
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

FIXTURES = os.path.join(kit.ROOT, "tests/fixtures")
LLAMA = os.path.join(FIXTURES, "llama")
TORCH = os.path.join(FIXTURES, "torch")
BUFFERS = [f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in (0, 1)]


def safetensors(tensors):
    """tensors: {name: (dtype, shape, bytes)}"""
    header, data = {}, b""
    for name, (dtype, shape, part) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(*values):
    return ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))


def halves(*values):
    return ("F16", [len(values)], struct.pack(f"<{len(values)}e", *values))


def brains(*values):
    return ("BF16", [len(values)], b"".join(
        struct.pack("<f", v)[2:] for v in values))


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)

    def write(self, name, data):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def model(self, name, **tensors):
        return self.write(f"{name}/model.safetensors", safetensors(
            {k.replace("__", "."): v for k, v in tensors.items()}))

    def diff(self, a, b, *args):
        """(status, tensors by name, document, what was said)"""
        done = kit.run(["mlverify", "diff", "--json", *args, a, b], self.env,
                       errors="replace")
        said = f"status {done.returncode}\n{done.stdout[-3000:]}{done.stderr}"
        try:
            doc = json.loads(done.stdout)
            return (done.returncode, {t["name"]: t for t in doc["tensors"]},
                    doc, said)
        except (ValueError, KeyError):
            return done.returncode, {}, {}, said

    def expect(self, a, b, status, what, equal=None, **results):
        """Status, what "equal" says, and the results of some tensors."""
        got, rows, doc, said = self.diff(a, b)
        good = got == status and doc.get("equal") == equal and \
            doc.get("ok") is (status == 0) and all(
                rows.get(k.replace("__", "."), {}).get("result") == v
                for k, v in results.items())
        self.tap.ok(good, what, said)
        return rows


def test_containers(b):
    same = [("bin", "bin-legacy"), ("bin", "bin-sharded"),
            ("safetensors", "safetensors-sharded")]
    for x, y in same:
        rows = b.expect(f"{LLAMA}/{x}", f"{LLAMA}/{y}", 0, f"{x} and {y}",
                        "bytes")
        b.tap.ok(len(rows) > 15, "all tensors are told in JSON", rows.keys())
    rows = b.expect(f"{LLAMA}/bin", f"{LLAMA}/safetensors", 9,
                    "buffers that one does not have")
    b.tap.eq(sorted(k for k, t in rows.items() if t["result"] != "equal"),
             BUFFERS, "those and no others")
    b.tap.ok(all(rows[k]["result"] == "missing" and rows[k]["b"] is None
                 for k in BUFFERS), "they are missing from the second")
    head = rows.get("lm_head.weight", {})
    b.tap.ok(head.get("result") == "equal" and
             head.get("tied_to") == "model.embed_tokens.weight",
             "a head left out because it is tied", head)
    rows = b.expect(f"{LLAMA}/safetensors", f"{LLAMA}/bin", 9, "and back")
    b.tap.ok(all(rows[k]["result"] == "extra" for k in BUFFERS), "extra")
    b.expect(f"{LLAMA}/bin/pytorch_model.bin",
             f"{LLAMA}/bin-sharded/pytorch_model.bin.index.json", 0,
             "a file and an index", "bytes")
    b.expect(f"{TORCH}/tied.bin", f"{TORCH}/tied-legacy.bin", 0,
             "shared storage in both", "bytes")
    for name in ("views", "whole-module"):
        b.expect(f"{TORCH}/{name}.pt", f"{TORCH}/{name}-legacy.pt", 0,
                 f"{name}: zip and legacy", "bytes")
    for name in ("bigendian", "complex", "namespace", "untyped-v3"):
        path = f"{TORCH}/{name}.pt"
        b.expect(path, path, 0, f"{name} is itself", "bytes")
    for threads in ("1", "5"):
        got, _, doc, said = b.diff(f"{LLAMA}/bin", f"{LLAMA}/bin-sharded",
                                   "--threads", threads)
        b.tap.ok(got == 0 and doc["counts"]["equal"] == 23,
                 f"with {threads} threads", said)


def test_converted(b):
    out = {}
    for kind in ("keep", "fp16", "fp32", "bf16"):
        out[kind] = os.path.join(b.home, kind)
        done = kit.run(["mlconvert", "-q", "--" + kind, "-o", out[kind],
                        f"{LLAMA}/bin"], b.env)
        if not b.tap.ok(done.returncode == 0, f"convert: {kind}", done.stderr):
            return
    rows = b.expect(f"{LLAMA}/bin", out["keep"], 0, "a conversion that keeps "
                    "the types", "bytes")
    b.tap.eq(rows["lm_head.weight"].get("tied_to"),
             "model.embed_tokens.weight", "an alias of the manifest")
    b.expect(f"{LLAMA}/bin", out["fp16"], 0, "fp16", "cast")
    b.expect(out["fp32"], out["fp16"], 0, "two conversions", "cast")
    b.expect(out["bf16"], out["fp16"], 0, "neither type holds the other",
             "cast")
    b.expect(out["fp16"], out["bf16"], 0, "the other way round", "cast")
    path = os.path.join(out["fp16"], "model.safetensors")
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(-1, 2)
        last = f.read(1)[0]
        f.seek(-1, 2)
        f.write(bytes([last ^ 0x80]))
    got, rows, doc, said = b.diff(f"{LLAMA}/bin", out["fp16"])
    wrong = [t for t in rows.values() if t["result"] == "values"]
    b.tap.ok(got == 9 and len(wrong) == 1 and wrong[0]["differing"] == 1 and
             wrong[0]["compared_as"] == "F16" and
             wrong[0]["absolute"]["a"] == -wrong[0]["absolute"]["b"],
             "one flipped sign is found and measured", said)


def test_values(b):
    base = b.model("a", w=floats(1, 2, 3, 4), n=("I32", [2], b"\1\0\0\0" * 2),
                   q=("U8", [], b"\7"))
    b.expect(base, b.model("same", w=floats(1, 2, 3, 4), q=("U8", [], b"\7"),
                           n=("I32", [2], b"\1\0\0\0" * 2)), 0,
             "another order in the file", "bytes")
    other = b.model("far", w=floats(1, 2.5, 3, -4), q=("U8", [], b"\11"),
                    n=("I32", [2], b"\1\0\0\0" * 2))
    rows = b.expect(base, other, 9, "values differ", w="values", n="equal",
                    q="values")
    w, q = rows["w"], rows["q"]
    b.tap.ok(w["differing"] == 2 and w["first"] == [1] and
             w["absolute"] == {"by": 8, "at": [3], "a": 4, "b": -4} and
             w["relative"] == {"by": 2, "at": [3], "a": 4, "b": -4},
             "how many, the first, the largest", w)
    b.tap.ok(q["absolute"]["by"] == 2 and q["absolute"]["at"] == [],
             "a scalar", q)
    done = kit.run(["mlverify", "diff", base, other], b.env)
    b.tap.ok(any(line.startswith("values") and " w " in line and "8 at [3]"
                 in line for line in done.stdout.splitlines()) and
             "they differ" in done.stdout and "2 of 3 tensors" in done.stderr
             and " n " not in done.stdout, "as text", done.stdout + done.stderr)
    done = kit.run(["mlverify", "diff", "-v", base, other], b.env)
    b.tap.ok(any(line.startswith("equal") and " n " in line
                 for line in done.stdout.splitlines()), "-v tells all",
             done.stdout)
    nan = b.model("nan", w=floats(1, 2, float("nan"), 4), q=("U8", [], b"\7"),
                  n=("I32", [2], b"\1\0\0\0" * 2))
    rows = b.expect(base, nan, 9, "a NaN is not a number", w="values")
    b.tap.ok(rows["w"]["absolute"] == {"by": "inf", "at": [2], "a": 3,
                                       "b": "nan"}, "and far away", rows["w"])
    b.expect(nan, nan, 0, "a NaN is itself", "bytes")
    b.expect(b.model("z", w=floats(0.0)), b.model("nz", w=floats(-0.0)), 9,
             "a zero and a negative zero", w="values")
    b.expect(b.model("s1", w=floats(1, 2)), b.model("s2", w=(
        "F32", [2, 1], struct.pack("<2f", 1, 2))), 9, "shapes", w="shape")
    b.expect(b.model("d1", w=("I32", [1], b"\1\0\0\0")),
             b.model("d2", w=("U32", [1], b"\1\0\0\0")), 9, "types",
             w="dtype")
    b.expect(b.model("e1", w=("F32", [0, 3], b"")),
             b.model("e2", w=("F16", [0, 3], b"")), 0, "no elements", "cast",
             w="cast")
    b.expect(b.model("empty1"), b.model("empty2"), 0, "no tensors", "bytes")
    values = [0, -0.0, 1, 1 / 3, 65504, 6e-8, 1e-7, float("inf")]
    f = b.model("f", w=floats(*values))
    b.expect(f, b.model("h", w=halves(*values)), 0, "F32 and F16", "cast")
    b.expect(f, b.model("h2", w=halves(*values[:3], 0.25, *values[4:])), 9,
             "not after the cast", w="values")
    exact = [1.0, -2.5, 0.0, 1e-6, 3.0]
    got, rows, _, said = b.diff(b.model("br", w=brains(*exact)),
                                b.model("ha", w=halves(*exact)))
    b.tap.ok(got == 0 and rows["w"]["compared_as"] == "F16",
             "BF16 and F16", said)
    big = struct.pack("<f", 1.5) * 5000000
    x = bytearray(big)
    at = 4 * 4700001
    x[at:at + 4] = struct.pack("<f", 2)
    rows = b.expect(b.model("big1", w=("F32", [5000, 1000], big)),
                    b.model("big2", w=("F32", [5000, 1000], bytes(x))), 9,
                    "in a large tensor", w="values")
    b.tap.eq(rows["w"]["absolute"], {"by": 0.5, "at": [4700, 1], "a": 1.5,
                                     "b": 2}, "the place is right")


def test_tied(b):
    e, other = floats(1, 2), floats(1, 3)
    full = b.model("t1", embed_tokens__weight=e, lm_head__weight=e)
    b.expect(full, b.model("t2", embed_tokens__weight=e), 0,
             "a tied head left out", "bytes")
    b.expect(b.model("t2", embed_tokens__weight=e), full, 0, "or put in",
             "bytes")
    untied = b.model("t7", embed_tokens__weight=e)
    b.write("t7/config.json", b'{"tie_word_embeddings": false}')
    b.expect(full, untied, 9, "left out, and the config says it is there",
             lm_head__weight="missing")
    b.write("t7/config.json", b'{"tie_word_embeddings": true}')
    b.expect(full, untied, 0, "or that it is not", "bytes")
    b.expect(b.model("t3", embed_tokens__weight=e, lm_head__weight=other),
             b.model("t2", embed_tokens__weight=e), 9,
             "a head of its own left out", lm_head__weight="missing")
    b.expect(full, b.model("t4", embed_tokens__weight=other), 9,
             "tied to other values", lm_head__weight="values",
             embed_tokens__weight="values")
    b.expect(b.model("t5", b1=e, b2=e), b.model("t6", b1=e), 9,
             "equal values alone tie nothing", b2="missing")


def test_failures(b):
    good = b.model("g", w=floats(1))
    for bad, status in ((b.write("x/bad.safetensors", b"xx"), 8),
                        (os.path.join(b.home, "nothing"), 3)):
        for pair in ((good, bad), (bad, good)):
            done = kit.run(["mlverify", "diff", *pair], b.env)
            b.tap.ok(done.returncode == status and done.stdout == "" and
                     os.path.basename(bad) in done.stderr,
                     f"{os.path.basename(bad)}: status {status}", done.stderr)
    folder = os.path.join(b.home, "corpus")
    subprocess.run([sys.executable, FIXTURES + "/make_hostile.py", folder],
                   check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "index.json"), encoding="utf-8") as f:
        rows = json.load(f)
    odd = []
    for row in rows:
        path = os.path.join(folder, row["file"])
        status, _, _, said = b.diff(path, path)
        if status not in row["exit"] and status not in (
                [0, 8, 9] if row["expect"] == "data" else []):
            odd.append(f"{row['file']}: allowed {row['exit']}, {said}")
    b.tap.ok(not odd, f"{len(rows)} hostile files, each against itself",
             "\n".join(odd))


def main():
    tap = kit.Tap()
    b = Bench(tap)
    for test in (test_containers, test_converted, test_values, test_tied,
                 test_failures):
        test(b)
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
