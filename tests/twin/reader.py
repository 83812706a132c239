#!/usr/bin/env python3
"""A second reader of the uniform form and of manifests.

    reader.py PATH...       folders of converted weights, or single files

Written from docs/man/ml-safetensors.5 and docs/man/ml-manifest.5 and from
nothing else, with the standard library alone, to prove that the pages say
enough. It shares no code with the programs. Raises Refused with the reason.
"""
import hashlib
import json
import os
import re
import sys

VERSION = 1
METADATA = {"format": "pt", "ml-safetensors": "1"}
PAGE = 4096
HEADER_MAX = 100_000_000
BITS = {name: bits for bits, names in (
    (64, "F64 I64 U64 C64"), (32, "F32 I32 U32"), (16, "F16 BF16 I16 U16"),
    (8, "BOOL U8 I8 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ"),
    (6, "F6_E2M3 F6_E3M2"), (4, "F4")) for name in names.split()}
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MANIFEST = "ml-manifest.json"
SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
MEMBERS = ["ml-manifest", "tool", "source", "recipe", "aliases", "renames",
           "files", "tensors", "seal"]


class Refused(Exception):
    """What was read breaks a promise."""


def need(cond, why):
    if not cond:
        raise Refused(why)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as f:
        return f.read()


# ---- JSON ----


def pairs(rows):
    need(len({k for k, _ in rows}) == len(rows), "a name occurs twice")
    return dict(rows)


def constant(word):
    raise Refused(f"{word} is not JSON")


def parse(data, what):
    try:
        doc = json.loads(data.decode("utf-8"), object_pairs_hook=pairs,
                         parse_constant=constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as why:
        raise Refused(f"{what}: {why}") from None
    need(isinstance(doc, dict), f"{what}: not an object")
    return doc


def number(x):
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 64


def string(text):
    """A string as both pages write it."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}

    def one(c):
        if c in short:
            return short[c]
        return f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else c
    return '"' + "".join(map(one, text)) + '"'


# ---- one file ----


class Tensor:
    def __init__(self, name, dtype, shape):
        self.name, self.dtype, self.shape = name, dtype, shape
        need(isinstance(dtype, str) and dtype in BITS,
             f"{name}: type {dtype!r}")
        need(isinstance(shape, list) and all(map(number, shape)),
             f"{name}: shape {shape!r}")
        count = 1
        for size in shape:
            count *= size
            need(count < 1 << 64, f"{name}: the shape overflows")
        need(count * BITS[dtype] % 8 == 0, f"{name}: half a byte")
        self.size = count * BITS[dtype] // 8
        self.start = self.end = self.digest = None

    def key(self):
        """Where it belongs among all tensors."""
        name = self.name.encode("utf-8")
        if self.size % PAGE == 0:
            return (0, 0, name)
        return (1, -BITS[self.dtype], name)


def check_name(name):
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise Refused(f"{name!r} is not UTF-8") from None
    need(1 <= size <= 4096, f"a name of {size} bytes")
    need(not any(c < " " or c == "\x7f" for c in name),
         f"{name!r}: control character")


def render(tensors):
    """The first bytes of a file, up to its data, from the table alone."""
    rows = ['"__metadata__":{"format":"pt","ml-safetensors":"1"}']
    at = 0
    for t in tensors:
        shape = ",".join(map(str, t.shape))
        rows.append(f'{string(t.name)}:{{"dtype":"{t.dtype}",'
                    f'"shape":[{shape}],"data_offsets":[{at},{at + t.size}]}}')
        at += t.size
    text = ("{" + ",".join(rows) + "}").encode("utf-8")
    text += b" " * (-(8 + len(text)) % PAGE)
    return len(text).to_bytes(8, "little") + text


def tensor_of(name, row):
    check_name(name)
    need(isinstance(row, dict) and set(row) == {"dtype", "shape",
                                                "data_offsets"},
         f"{name}: members {row!r}")
    t = Tensor(name, row["dtype"], row["shape"])
    offsets = row["data_offsets"]
    need(isinstance(offsets, list) and len(offsets) == 2 and
         all(map(number, offsets)), f"{name}: offsets {offsets!r}")
    t.start, t.end = offsets
    need(t.end - t.start == t.size, f"{name}: size and offsets differ")
    return t


def read_file(data):
    """The tensors of a file in the uniform form, with their digests."""
    need(len(data) >= 8, "no header")
    n = int.from_bytes(data[:8], "little")
    need(0 < n <= HEADER_MAX and 8 + n <= len(data), f"a header of {n} bytes")
    head = parse(data[8:8 + n], "header")
    need(head.pop("__metadata__", None) == METADATA, "metadata")
    tensors = [tensor_of(name, row) for name, row in head.items()]
    at = 0
    for t in tensors:
        need(t.start == at, f"{t.name}: a hole or an overlap")
        at = t.end
        need(8 + n + at <= len(data), f"{t.name}: ends behind the file")
        t.digest = sha256(data[8 + n + t.start:8 + n + t.end])
        if name_of_scales(t):
            t.data = data[8 + n + t.start:8 + n + t.end]
    need(8 + n + at == len(data), "bytes that belong to no tensor")
    need((8 + n) % PAGE == 0, f"the data start at {8 + n}")
    need(tensors == sorted(tensors, key=Tensor.key), "order of the tensors")
    need(render(tensors) == data[:8 + n], "header is not canonical")
    return tensors


# ---- int8 ----


def name_of_scales(t):
    return t.name.endswith(".scales")


def called_matrix(name):
    if not name.endswith(".weight") or name == ".weight":
        return False
    part = name[:-len(".weight")].split(".")[-1]
    if name == "output.weight" or part in ("lm_head", "embed_out"):
        return True
    return "emb" not in part and part not in (
        "shared", "wte", "wpe", "relative_attention_bias")


def check_int8(tensors):
    there = {t.name: t for t in tensors}
    for t in tensors:
        matrix = len(t.shape) == 2 and t.size > 0 and called_matrix(t.name)
        if matrix and t.dtype in ("F64", "F32", "F16", "BF16"):
            raise Refused(f"{t.name}: a matrix, and {t.dtype}")
        need(t.dtype not in ("F64", "F32", "F16"), f"{t.name}: is {t.dtype}")
        if not matrix or t.dtype != "I8":
            continue
        s = there.get(t.name[:-len("weight")] + "scales")
        need(s is not None and s.dtype == "BF16" and s.shape == t.shape[:1],
             f"{t.name}: no scales")
        bits = [s.data[i] | s.data[i + 1] << 8 for i in range(0, s.size, 2)]
        need(all(0x3400 <= b <= 0x7f7f for b in bits),
             f"{s.name}: not finite, or below 2^-23")


# ---- shards ----


def cut(tensors, limit):
    """How many tensors each shard has."""
    counts, used = [], 0
    for t in tensors:
        if not counts or (t.size > 0 and used + t.size > limit):
            counts.append(0)
            used = 0
        counts[-1] += 1
        used += t.size
    return counts


def index_text(where, total):
    rows = sorted(where.items(), key=lambda row: row[0].encode("utf-8"))
    body = ",\n".join(f"    {string(k)}: {string(v)}" for k, v in rows)
    return ('{\n  "metadata": {\n    "total_size": %d\n  },\n'
            '  "weight_map": {\n%s\n  }\n}\n' % (total, body)).encode("utf-8")


def shard_names(names):
    """The weight files among names, in order; [] when there are none."""
    shards = sorted(n for n in names if SHARD.fullmatch(n))
    if not shards:
        return [SINGLE] if SINGLE in names else []
    need(SINGLE not in names, "one file and shards")
    need(len(shards) > 1, "one shard, which is the one file")
    want = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
            for i in range(len(shards))]
    need(shards == want, f"names of shards: {shards}")
    return shards


def read_weights(folder, limit):
    """All tensors of a folder; limit is the size its shards were made for."""
    names = shard_names(os.listdir(folder))
    need(names, "no weights")
    tensors, counts, where = [], [], {}
    for name in names:
        rows = read_file(read(os.path.join(folder, name)))
        counts.append(len(rows))
        for t in rows:
            need(t.name not in where, f"{t.name}: in two shards")
            where[t.name] = name
        tensors += rows
    need(tensors == sorted(tensors, key=Tensor.key), "order of the shards")
    want = [len(tensors)] if limit is None else cut(tensors, limit)
    need(counts == want, f"shards hold {counts} tensors, not {want}")
    index = os.path.join(folder, INDEX)
    if len(names) > 1:
        need(os.path.exists(index), "no index")
        total = sum(t.size for t in tensors)
        need(read(index) == index_text(where, total), "index")
    else:
        need(not os.path.exists(index), "an index of one file")
    return tensors


# ---- the manifest ----


def flat(row):
    """An object, or a list, on one line."""
    if isinstance(row, dict):
        return "{" + ", ".join(f"{string(k)}: {flat(v)}"
                               for k, v in row.items()) + "}"
    if isinstance(row, list):
        return "[" + ", ".join(map(flat, row)) + "]"
    return string(row) if isinstance(row, str) else str(row)


def rows_of(obj, depth):
    if not obj:
        return "{}"
    blanks = "\n" + " " * depth
    return "{" + ",".join(blanks + f"{string(k)}: {flat(v)}"
                          for k, v in obj.items()) + "}"


def manifest_text(doc):
    """The one way to write a manifest; its seal is made anew."""
    source = "{"
    if "repository" in doc["source"]:
        source += flat({k: doc["source"][k]
                        for k in ("repository", "commit")})[1:-1] + ",\n  "
    source += '"files": ' + rows_of(doc["source"]["files"], 3) + "}"
    parts = []
    for key in doc:
        if key == "seal":
            continue
        if key == "source":
            value = source
        elif key in ("aliases", "renames", "files", "tensors"):
            value = rows_of(doc[key], 2)
        else:
            value = flat(doc[key])
        parts.append(f"\n {string(key)}: {value}")
    text = ("{" + ",".join(parts)).encode("utf-8")
    return text + f',\n "seal": "{sha256(text)}"\n}}\n'.encode("ascii")


def check_files(rows, what):
    need(isinstance(rows, dict), f"{what}: files")
    for name, row in rows.items():
        if what == "source" and isinstance(row, dict) and list(row) == ["size"]:
            need(number(row["size"]), f"{what}: {name}: {row!r}")
            continue
        need(isinstance(row, dict) and list(row) == ["sha256", "size"] and
             isinstance(row["sha256"], str) and
             re.fullmatch("[0-9a-f]{64}", row["sha256"]) and
             number(row["size"]), f"{what}: {name}: {row!r}")


def check_source(source):
    keys = list(source) if isinstance(source, dict) else None
    need(keys in (["files"], ["repository", "commit", "files"]),
         f"source: {keys}")
    need("commit" not in source or
         (isinstance(source["repository"], str) and
          isinstance(source["commit"], str) and
          re.fullmatch("[0-9a-f]{40}", source["commit"])), "source: commit")
    check_files(source["files"], "source")
    for name in source["files"]:
        need("/" not in name and name, f"source: {name!r} is no base name")


def check_recipe(recipe):
    known = {"dtype": lambda v: v in ("fp16", "bf16", "fp32", "int8", "keep"),
             "on_overflow": lambda v: v in ("clamp", "inf"),
             "select": lambda v: isinstance(v, str),
             "rename": lambda v: v == "strip-prefix",
             "shard_size": lambda v: number(v) and v > 0}
    need(isinstance(recipe, dict) and "dtype" in recipe and
         list(recipe) == [k for k in known if k in recipe], "recipe: members")
    for key, value in recipe.items():
        need(known[key](value), f"recipe: {key}: {value!r}")
    need(recipe["dtype"] != "int8" or recipe.get("on_overflow") != "inf",
         "recipe: int8 has no infinity")


def check_names(doc):
    """Aliases and renames speak of tensors that are there."""
    for what in ("aliases", "renames"):
        rows = doc.get(what, {})
        need(isinstance(rows, dict) and
             all(isinstance(v, str) for v in rows.values()), what)
        names = [k.encode("utf-8") for k in rows]
        need(names == sorted(names), f"{what}: not in order")
    for left, kept in doc["aliases"].items():
        need(left not in doc["tensors"], f"{left}: an alias and a tensor")
        need(kept in doc["tensors"], f"{left}: stands for no tensor")
    need(doc.get("renames") != {}, "renames: empty")
    for name, was in doc.get("renames", {}).items():
        need(name in doc["tensors"] or name in doc["aliases"],
             f"renames: {name}: not here")
        need(name != was, f"renames: {name}: is what it was")


def inside(folder, name):
    parts = name.split("/")
    need(name != MANIFEST and
         not any(p in ("", ".", "..") for p in parts),
         f"{name!r} is no path in the folder")
    return os.path.join(folder, *parts)


def check_folder(folder):
    """Every promise of both pages; the manifest as a dict."""
    text = read(os.path.join(folder, MANIFEST))
    doc = parse(text, MANIFEST)
    need(doc.get("ml-manifest") == VERSION and number(doc["ml-manifest"]),
         "another version")
    need(list(doc) == [k for k in MEMBERS if k in doc] and
         set(MEMBERS) - set(doc) <= {"renames"}, f"members {list(doc)}")
    need(isinstance(doc["tool"], str), "tool")
    check_source(doc["source"])
    check_recipe(doc["recipe"])
    check_files(doc["files"], "files")
    need(isinstance(doc["tensors"], dict), "tensors")
    check_names(doc)
    there = {os.path.relpath(os.path.join(where, name), folder)
             for where, _, names in os.walk(folder) for name in names}
    need(there == set(doc["files"]) | {MANIFEST}, f"files: {sorted(there)}")
    for name, row in doc["files"].items():
        data = read(inside(folder, name))
        need(len(data) == row["size"] and sha256(data) == row["sha256"],
             f"{name}: is not what was written")
    tensors = read_weights(folder, doc["recipe"].get("shard_size"))
    want = {t.name: {"dtype": t.dtype, "shape": t.shape, "sha256": t.digest}
            for t in tensors}
    need(list(doc["tensors"]) == list(want), "tensors: names or order")
    for name, row in want.items():
        got = doc["tensors"][name]
        need(got == row and list(got) == list(row), f"{name}: {got!r}")
    if doc["recipe"]["dtype"] == "int8":
        check_int8(tensors)
    need(manifest_text(doc) == text, "the manifest was changed")
    return doc


def check(path):
    try:
        return check_folder(path) if os.path.isdir(path) else \
            read_file(read(path))
    except UnicodeEncodeError as why:
        raise Refused(f"half a surrogate pair: {why}") from None


def main(argv):
    bad = 0
    for path in argv:
        try:
            check(path)
            print(f"{path}: ok")
        except (Refused, OSError) as why:
            bad += 1
            print(f"{path}: {why}")
    return 1 if bad or not argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
