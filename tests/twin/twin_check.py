#!/usr/bin/env python3
"""Folders of mlconvert, read by the second reader and by mlverify alike."""
import glob
import os
import random
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE,
                os.path.join(os.path.dirname(HERE), "fixtures")]
import kit  # noqa: E402
import rawckpt  # noqa: E402
import reader  # noqa: E402

DTYPES = ["--keep", "--fp16", "--bf16", "--fp32", "--int8"]
LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
FLIPS = 150
EXAMPLE = "fbd458f4780971f9a614c20abfdea2d8e23ed1f19a190cc9895792844b349258"


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)

    def at(self, *parts):
        return os.path.join(self.home, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def convert(self, source, out, *options):
        shutil.rmtree(self.at(out), ignore_errors=True)
        done = kit.run(["mlconvert", "-q", *options, "-o", self.at(out),
                        source], self.env)
        return self.at(out) if done.returncode == 0 else None

    def twin(self, path):
        """"" or why the second reader refuses."""
        try:
            reader.check(path)
            return ""
        except reader.Refused as why:
            return str(why)

    def verify(self, path):
        """"" or why mlverify does not find the form there."""
        done = kit.run(["mlverify", "check", path], self.env)
        ours = [x for x in done.stdout.splitlines()
                if x.startswith("ok ") and x.split()[1] == "uniform"]
        return "" if done.returncode == 0 and ours else \
            (done.stdout + done.stderr).strip() or "no word of it"

    def accept(self, path, what):
        self.tap.eq((self.twin(path), self.verify(path)), ("", ""),
                    f"{what}: both accept")

    def refuse(self, path, what):
        twin, verify = self.twin(path), self.verify(path)
        self.tap.ok(twin and verify, f"{what}: both refuse",
                    f"twin: {twin or 'accepts'}\n"
                    f"mlverify: {verify or 'accepts'}")


# ---- what mlconvert makes ----


def sources():
    found = sorted(glob.glob(os.path.join(LLAMA, "*/")))
    found.append(os.path.join(kit.ROOT, "tests/model/tiny-neox"))
    return found + sorted(glob.glob(os.path.join(kit.STORIES, "*/")))


def test_converted(b):
    if not os.path.isdir(kit.STORIES):
        b.tap.skip("stories: both accept", "the shared models are not here")
    for source in sources():
        label = "/".join(source.rstrip("/").split("/")[-2:])
        for options in [[d] for d in DTYPES] + [
                ["--fp16", "--shard-size", "20k"],
                ["--keep", "--shard-size", "1"],
                ["--fp32", "--shard-size", "1GB"]]:
            what = f"{label} {' '.join(options)}"
            out = b.convert(source, "out", *options)
            if b.tap.ok(out, f"{what}: converts"):
                b.accept(out, what)


def test_torch(b):
    """Every torch file of the fixtures that converts: shared storages,
    views, types of every size."""
    n = 0
    for source in sorted(glob.glob(os.path.join(kit.ROOT,
                                                "tests/fixtures/torch/*"))):
        out = b.convert(source, "out")
        if out is not None:
            n += 1
            b.accept(out, os.path.basename(source))
        out = b.convert(source, "out", "--int8")
        if out is not None:
            b.accept(out, f"{os.path.basename(source)} --int8")
    b.tap.ok(n > 20, "most torch files convert", n)
    test_aliases(b)


def test_aliases(b):
    """One storage under names in no order, two of them wrapped."""
    names = ["z", "module.b", "a\uffee", "a\U0001f600", "module.Z", "m"]
    code = rawckpt.PROTO2 + rawckpt.pairs(
        [(name, rawckpt.tensor("0", [3])) for name in names]) + rawckpt.STOP
    path = b.write("alias.pt", rawckpt.torch_zip(
        rawckpt.archive(code, [("0", bytes(12))])))
    for options in (["--keep"], ["--fp16", "--rename", "strip-prefix"]):
        what = f"an alias for each of many, {' '.join(options)}"
        out = b.convert(path, "out", *options)
        if b.tap.ok(out, f"{what}: converts"):
            b.accept(out, what)
            doc = reader.check(out)
            b.tap.eq(len(doc["aliases"]), len(names) - 1, f"{what}: all")


def made(rows):
    """A safetensors file of (name, type, shape): plain, not in the form."""
    tensors, data, head = [], b"", []
    rng = random.Random(7)
    for name, dtype, shape in rows:
        t = reader.Tensor(name, dtype, shape)
        head.append(f'{reader.string(name)}: {{"dtype": "{dtype}", "shape": '
                    f'{shape}, "data_offsets": [{len(data)}, '
                    f'{len(data) + t.size}]}}')
        data += bytes(rng.randrange(60) for _ in range(t.size))
        tensors.append(t)
    text = ("{" + ", ".join(head) + "}").encode("utf-8")
    return len(text).to_bytes(8, "little") + text + data


ODD = [("module.z\"q\\w\u2028\u00e9", "F32", [3]), ("module.\U0001f600",
       "I64", []), ("module.\uffee", "U8", [4096]), ("module.e", "F32",
       [0, 4]), ("module.a/b", "F64", [5]), ("module.f4", "F4", [4]),
       ("module.f6", "F6_E2M3", [4]), ("module.B", "F16", [64, 64]),
       ("module.A", "F32", [0]), ("module.c", "C64", [2]), ("module.t",
       "BOOL", [3]), ("module.f", "F8_E8M0", [3]), ("module.aa", "F64", [5]),
       ("module.half", "BF16", [3]), ("module." + "n" * 4000, "U16", [1])]


def test_odd(b):
    """Names, types and empty tensors that no model has."""
    path = b.write("odd/a \"q\"\t\b\f\n\r\x01\x1f\x7f\u00e9.safetensors",
                   made(ODD))
    for options in (["--keep"], ["--fp32", "--rename", "strip-prefix",
                                 "--on-overflow", "inf"],
                    *(["--keep", "--shard-size", s] for s in
                      ("1", "7", "40", "4096", "4100", "12288"))):
        what = f"odd tensors, {' '.join(options)}"
        out = b.convert(path, "out", *options)
        if b.tap.ok(out, f"{what}: converts"):
            b.accept(out, what)


def test_example(b):
    """The example of the page, from its table and values."""
    tensors = [reader.Tensor("embed.weight", "F16", [64, 32]),
               reader.Tensor("step", "I64", []),
               reader.Tensor("norm.weight", "F16", [3])]
    data = reader.render(tensors) + bytes(4096) + (7).to_bytes(8, "little") + \
        bytes.fromhex("003c00400042")
    b.tap.eq(reader.sha256(data), EXAMPLE, "the page's example: its digest")
    b.accept(b.write("example.safetensors", data), "the page's example")


# ---- what was changed ----


def split(data):
    at = 8 + int.from_bytes(data[:8], "little")
    return data[8:at].rstrip(b" "), data[at:]


def joined(text, data):
    return len(text).to_bytes(8, "little") + text + data


def padded(text):
    return text + b" " * (-(8 + len(text)) % 4096)


def swapped(data, i, k):
    """Tensors i and k change places, table and data, in good style."""
    tensors = reader.read_file(data)
    base = len(reader.render(tensors))
    part = {t.name: data[base + t.start:base + t.end] for t in tensors}
    tensors[i], tensors[k] = tensors[k], tensors[i]
    return reader.render(tensors) + b"".join(part[t.name] for t in tensors)


def test_mutations(b, folder):
    """Single files: each change beside the same work without it."""
    good = reader.read(os.path.join(folder, "model.safetensors"))
    text, rest = split(good)
    n = len(reader.read_file(good))
    space = bytearray(padded(text))
    tab = bytearray(space)
    tab[-1] = 9
    rows = [
        ("swapped with itself", swapped(good, 1, 1), True),
        ("two pages swapped", swapped(good, 0, 1), False),
        ("two small tensors swapped", swapped(good, n - 2, n - 1), False),
        ("padded as it was", joined(padded(text), rest), True),
        ("a page of padding more", joined(padded(text) + b" " * 4096, rest),
         False),
        ("a tab in the padding", joined(bytes(tab), rest), False),
        ("a zero in the padding", joined(bytes(space[:-1]) + b"\0", rest),
         False),
        ("data that start off a page", joined(text, rest), False),
        ("data that start at 8", joined(text + b" " * (-len(text) % 8), rest),
         False),
        ("a blank behind a comma", joined(padded(text.replace(b",", b", ", 1)),
                                          rest), False),
        ("a name with an escape", joined(padded(text.replace(
            b'"model.', b'"\\u006dodel.', 1)), rest), False),
        ("metadata of its own", joined(padded(text.replace(
            b'"pt",', b'"pt","x":"y",', 1)), rest), False),
        ("another version", joined(padded(text.replace(
            b'safetensors":"1"', b'safetensors":"2"', 1)), rest), False),
        ("members in another order", joined(padded(text.replace(
            b'"dtype":"F16","shape":[32]', b'"shape":[32],"dtype":"F16"', 1)),
            rest), False),
        ("a byte more", good + b"\0", False),
        ("a byte less", good[:-1], False),
    ]
    for what, data, fine in rows:
        b.tap.ok(fine == (data == good), f"{what}: is a change or is none")
        path = b.write("one.safetensors", data)
        (b.accept if fine else b.refuse)(path, what)


def test_flips(b, folder):
    """One bit of the header, anywhere. In a folder it is always told; a
    file alone may still be in the form, with another name in it."""
    path = os.path.join(folder, "model.safetensors")
    good = reader.read(path)
    used = 8 + len(split(good)[0])
    rng = random.Random(11)
    apart = []
    for i in range(FLIPS):
        at = i if i < 8 else rng.randrange(8, used + 40)
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        lone = b.write("one.safetensors", bytes(bad))
        twin, verify = b.twin(lone), b.verify(lone)
        if bool(twin) != bool(verify):
            apart.append(f"byte {at}, twin: {twin}, mlverify: {verify}")
    b.tap.eq(apart, [], f"{FLIPS} flipped bits: both say the same of each")
    os.chmod(path, 0o644)
    for at in (0, 8, 60, used // 2, used, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        b.write(path, bytes(bad))
        b.refuse(folder, f"a folder with bit 0 of byte {at} flipped")
    b.write(path, good)
    b.accept(folder, "the folder as it was")


def resealed(folder, change=None):
    """The manifest for what the folder holds now, in good style."""
    path = os.path.join(folder, reader.MANIFEST)
    doc = reader.parse(reader.read(path), path)
    for name in list(doc["files"]):
        if not os.path.exists(os.path.join(folder, name)):
            del doc["files"][name]
    for name in sorted(os.listdir(folder)):
        if name != reader.MANIFEST:
            data = reader.read(os.path.join(folder, name))
            doc["files"][name] = {"sha256": reader.sha256(data),
                                  "size": len(data)}
    if change:
        change(doc)
    os.chmod(path, 0o644)
    with open(path, "wb") as f:
        f.write(reader.manifest_text(doc))


def first(doc):
    return doc["tensors"][next(iter(doc["tensors"]))]


def turned(doc):
    doc["tensors"] = dict(reversed(list(doc["tensors"].items())))


MANIFESTS = [
    ("nothing", lambda d: None, True),
    ("another tool", lambda d: d.update(tool="other 1"), True),
    ("another source", lambda d: d["source"].update(
        files={"x.bin": {"sha256": "0" * 64, "size": 1}}), True),
    ("a repository named", lambda d: d.update(source={
        "repository": "org/tiny", "commit": "0123456789" * 4,
        "files": {}}), True),
    ("a branch named", lambda d: d.update(recipe={
        "dtype": "fp16", "on_overflow": "inf", "select": "a\x01\"b\\",
        "rename": "strip-prefix"}), True),
    ("another version", lambda d: d.update({"ml-manifest": 2}), False),
    ("the digest of a tensor", lambda d: first(d).update(sha256="0" * 64),
     False),
    ("the type of a tensor", lambda d: first(d).update(dtype="U16"), False),
    ("the shape of a tensor", lambda d: first(d).update(shape=[1]), False),
    ("the order of the tensors", turned, False),
    ("the size of a file", lambda d: d["files"]["config.json"].update(size=1),
     False),
    ("a file's digest", lambda d: d["files"]["config.json"].update(
        sha256="0" * 64), False),
    ("a digest in capitals", lambda d: d["source"].update(
        files={"x.bin": {"sha256": "A" * 64, "size": 1}}), False),
    ("a file that leaves the folder", lambda d: d["files"].update(
        {"../x": {"sha256": "0" * 64, "size": 1}}), False),
    ("a file that is not there", lambda d: d["files"].update(
        {"x": {"sha256": "0" * 64, "size": 1}}), False),
    ("an alias of nothing", lambda d: d["aliases"].update(x="y"), False),
    ("a rename of nothing", lambda d: d.update(renames={"x": "y"}), False),
    ("another member", lambda d: d.update(more=1), False),
    ("a recipe there is not", lambda d: d["recipe"].update(dtype="fp8"),
     False),
]


def test_manifests(b, folder):
    """Changes with a good seal, and a seal that is not."""
    path = os.path.join(folder, reader.MANIFEST)
    good = reader.read(path)
    for what, change, fine in MANIFESTS:
        resealed(folder, change)
        (b.accept if fine else b.refuse)(folder, f"manifest, {what} changed")
        b.write(path, good)
    b.write(path, good.replace(b'"tool": "ml', b'"tool": "mm', 1))
    b.refuse(folder, "manifest: changed behind its seal")
    b.write(path, good.rstrip(b"\n"))
    b.refuse(folder, "manifest: without its last line end")
    b.write(path, good)
    b.accept(folder, "manifest: as it was")


def test_shards(b):
    """Changes to shards, with every digest and the seal made anew."""
    source = os.path.join(LLAMA, "bin")
    limit = 20000

    def fresh():
        return b.convert(source, "cut", "--fp16", "--shard-size", str(limit))

    folder = fresh()
    if not b.tap.ok(folder and not b.twin(folder), "shards to change"):
        return
    resealed(folder)
    b.accept(folder, "shards, sealed anew")
    resealed(folder, lambda d: d["recipe"].update(shard_size=limit // 2))
    b.refuse(folder, "shards cut for another size")
    folder = fresh()
    index = os.path.join(folder, reader.INDEX)
    os.chmod(index, 0o644)
    b.write(index, reader.read(index).replace(b"  ", b" "))
    resealed(folder)
    b.refuse(folder, "an index indented otherwise")
    folder = fresh()
    os.remove(os.path.join(folder, reader.INDEX))
    resealed(folder)
    b.refuse(folder, "shards without an index")
    folder = fresh()
    names = reader.shard_names(os.listdir(folder))
    os.remove(os.path.join(folder, names[-1]))
    resealed(folder)
    b.refuse(folder, "a shard less")
    folder = fresh()
    one, two = (os.path.join(folder, n) for n in names[:2])
    os.rename(one, one + ".x")
    os.rename(two, one)
    os.rename(one + ".x", two)
    resealed(folder)
    b.refuse(folder, "two shards under each other's name")


def main():
    tap = kit.Tap()
    b = Bench(tap)
    test_example(b)
    test_converted(b)
    test_torch(b)
    test_odd(b)
    folder = b.convert(os.path.join(LLAMA, "bin"), "fp16", "--fp16")
    if tap.ok(folder, "a folder to change"):
        test_mutations(b, folder)
        test_flips(b, folder)
        test_manifests(b, folder)
    test_shards(b)
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
