#!/usr/bin/env python3
"""mlconvert as its users meet it: streams, statuses, what is left behind."""
import hashlib
import html.parser
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../fixtures"))
import kit  # noqa: E402
import rawckpt  # noqa: E402

LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
TORCH = os.path.join(kit.ROOT, "tests/fixtures/torch")


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def write_safetensors(path, tensors):
    """tensors: {name: (dtype, shape, bytes)}; for bytes also (bytes, times),
    or a size: a hole."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        size = data if isinstance(data, int) else \
            len(data[0]) * data[1] if isinstance(data, tuple) else len(data)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            if isinstance(data, int):
                f.seek(data, os.SEEK_CUR)
                continue
            block, times = data if isinstance(data, tuple) else (data, 1)
            for _ in range(times):
                f.write(block)
        f.truncate(8 + len(text) + at)


def one_error(done):
    """One error line of ours, perhaps a hint, no second cause."""
    lines = [x for x in done.stderr.splitlines() if ": error: " in x]
    return len(lines) == 1 and lines[0].startswith("mlconvert: error: ")


class Check:
    def __init__(self):
        self.tap = kit.Tap()
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)
        self.n = 0

    def at(self, name):
        return os.path.join(self.home, name)

    def out(self):
        self.n += 1
        return self.at(f"out{self.n}")

    def run(self, *args, **more):
        return kit.run(["mlconvert", *args], self.env, **more)

    def fails(self, status, name, *args, says="", **more):
        """Ends with the status, says one thing, leaves nothing behind."""
        before = sorted(os.listdir(self.home))
        done = self.run(*args, **more)
        self.tap.ok(done.returncode == status and one_error(done) and
                    done.stdout == "" and says in done.stderr,
                    f"{name}: exit {status}",
                    f"status {done.returncode}\n{done.stderr}")
        self.tap.eq(sorted(os.listdir(self.home)), before,
                    f"{name}: nothing left behind")


def containers(t):
    """The same weights, whatever held them, whoever worked on them."""
    for group in (["safetensors", "safetensors-sharded"],
                  ["bin", "bin-legacy", "bin-sharded"]):
        for dtype in ("--keep", "--fp16", "--bf16", "--fp32"):
            digests = set()
            for threads, folder in enumerate(group, 1):
                out = t.out()
                done = t.run(dtype, "-o", out, "--threads", threads,
                             os.path.join(LLAMA, folder))
                t.tap.eq((done.returncode, done.stdout), (0, out + "\n"),
                         f"{folder} {dtype}: stdout is the path")
                digests.add(sha256(os.path.join(out, "model.safetensors")))
            t.tap.eq(len(digests), 1, f"{'/'.join(group)} {dtype}: one file")


def folder(t):
    out = t.out()
    source = os.path.join(LLAMA, "bin")
    t.run("--fp16", "-o", out, source)
    want = {"model.safetensors", "ml-manifest.json"} | (
        set(os.listdir(source)) - {"pytorch_model.bin"})
    t.tap.eq(set(os.listdir(out)), want, "the folder holds a whole model")
    with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
        got = json.load(f)
    with open(os.path.join(source, "config.json"), encoding="utf-8") as f:
        old = json.load(f)
    t.tap.eq(got, dict(old, torch_dtype="float16"), "config: only the dtype")
    t.tap.eq(sha256(os.path.join(out, "tokenizer.json")),
             sha256(os.path.join(source, "tokenizer.json")),
             "tokenizer: byte for byte")
    with open(os.path.join(out, "ml-manifest.json"), encoding="utf-8") as f:
        m = json.load(f)
    t.tap.eq({k: v["sha256"] for k, v in m["files"].items()},
             {k: sha256(os.path.join(out, k))
              for k in os.listdir(out) if k != "ml-manifest.json"},
             "manifest: every file but itself")
    t.tap.eq(m["source"]["files"]["pytorch_model.bin"]["sha256"],
             sha256(os.path.join(source, "pytorch_model.bin")),
             "manifest: the source")
    t.tap.eq(m["aliases"],
             {"lm_head.weight": "model.embed_tokens.weight"},
             "manifest: the tied head")
    t.tap.eq(os.stat(os.path.join(out, "model.safetensors")).st_mode & 0o777,
             0o644, "files can be read by others")


def places(t):
    source = t.at("src")
    shutil.copytree(os.path.join(LLAMA, "safetensors"), source)
    file = os.path.join(source, "model.safetensors")
    old = t.out()
    t.run("-o", old, source)
    os.mkdir(t.at("precious"))
    with open(t.at("precious/letter"), "w", encoding="utf-8") as f:
        f.write("dear")
    os.symlink(old, t.at("link"))
    t.fails(2, "OUT is there", "-o", old, source, says="--force")
    t.fails(2, "OUT is a link", "-o", t.at("link"), "--force", source)
    t.fails(2, "OUT is no conversion", "-o", t.at("precious"), "--force",
            source)
    t.fails(2, "OUT is the source", "-o", source, "--force", source)
    t.fails(2, "OUT is in the source", "-o", source + "/x", source)
    t.fails(2, "OUT holds the source", "-o", source, "--force", file)
    t.fails(2, "no OUT for a folder", source, says="-o OUT")
    t.fails(2, "two sources", "-o", t.at("x"), source, source)
    t.fails(2, "digest without list", "--digest", source)
    t.fails(2, "list and convert", "--list", "--fp16", source)
    t.fails(3, "no such source", "-o", t.at("x"), t.at("nowhere"))
    before = sha256(file)
    done = t.run("-o", t.at("slash/"), source)
    t.tap.eq((done.returncode, os.path.isdir(t.at("slash"))), (0, True),
             "a slash behind OUT means nothing")
    t.fails(2, "OUT has no name of its own", "-o", t.at("x/.."), source)
    t.fails(3, "a branch of a safetensors file", "--select", "model", "-o",
            t.at("x"), source, says="no branches")
    done = t.run("--bf16", "-o", old, "--force", source)
    t.tap.eq(done.returncode, 0, "an older conversion is replaced by force")
    t.tap.eq(sha256(file), before, "the source is as it was")
    done = t.run("--json", "-o", t.out(), source)
    result = json.loads(done.stdout)
    t.tap.eq((result["held"], result["tensors"]), (False, 20),
             "--json: one document")


def refusals(t):
    with open(os.path.join(LLAMA, "safetensors/model.safetensors"),
              "rb") as f:
        good = f.read()
    cut, more = t.at("cut.safetensors"), t.at("more.safetensors")
    with open(cut, "wb") as f:
        f.write(good[:-1])
    with open(more, "wb") as f:
        f.write(good + b"x")
    t.fails(6, "cut short", "-o", t.at("x"), cut)
    t.fails(8, "bytes behind the end", "-o", t.at("x"), more)
    with open(t.at("page.bin"), "w", encoding="utf-8") as f:
        f.write("<!DOCTYPE html><html>Sign in</html>")
    t.fails(8, "a web page", "-o", t.at("x"), t.at("page.bin"))
    t.fails(8, "two branches", "-o", t.at("x"),
            os.path.join(TORCH, "two-branches.pt"))
    os.mkfifo(t.at("fifo"))
    t.fails(8, "a FIFO", "-o", t.at("x"), t.at("fifo"))
    done = t.run("--select", "ema", "-o", t.out(),
                 os.path.join(TORCH, "two-branches.pt"))
    t.tap.eq(done.returncode, 0, "--select takes one of them")
    done = t.run("--list", "--json", os.path.join(TORCH, "two-branches.pt"))
    t.tap.eq([x["path"][:3] for x in json.loads(done.stdout)["tensors"]],
             ["mod"] * 3 + ["ema"] * 3, "--list shows both without asking")


def overflows(t):
    data = struct.pack("<4f", 1.0, -1e6, 7e4, float("inf"))
    write_safetensors(t.at("big.safetensors"), {
        "a.weight": ("F32", [4], data), "b.weight": ("F32", [1],
                                                     data[:4])})
    t.fails(9, "values beyond fp16", "--fp16", "-o", t.at("x"),
            t.at("big.safetensors"), says="'a.weight', 2 values")
    for policy, want in (("clamp", (1.0, -65504.0, 65504.0, float("inf"))),
                         ("inf", (1.0, float("-inf"), float("inf"),
                                  float("inf")))):
        out = t.out()
        done = t.run("--fp16", "--on-overflow", policy, "-o", out,
                     t.at("big.safetensors"))
        t.tap.ok("a.weight" in done.stderr, f"{policy}: says which tensor")
        t.tap.ok("every value is kept" not in done.stderr,
                 f"{policy}: does not say that nothing changed", done.stderr)
        with open(os.path.join(out, "model.safetensors"), "rb") as f:
            data = f.read()[4096:]
        t.tap.eq(struct.unpack("<4e", data[:8]), want, f"{policy}: values")
        with open(os.path.join(out, "ml-manifest.json"),
                  encoding="utf-8") as f:
            t.tap.eq(json.load(f)["recipe"],
                     {"dtype": "fp16", "on_overflow": policy},
                     f"{policy}: in the manifest")


def shards(t):
    """Numbered files and an index; together they are the one file again."""
    source = os.path.join(LLAMA, "bin")
    one, many, again, back = t.out(), t.out(), t.out(), t.out()
    t.run("--fp16", "-o", one, source)
    done = t.run("--fp16", "--shard-size", "20kB", "--json", "-o", many,
                 source)
    result = json.loads(done.stdout)
    files = sorted(f for f in os.listdir(many) if f.startswith("model"))
    t.tap.eq(files, [f"model-0000{i}-of-00003.safetensors"
                     for i in (1, 2, 3)] + ["model.safetensors.index.json"],
             "shards: numbered files and an index")
    t.tap.eq((result["sha256"], result["files"], result["size"]),
             (None, 3, sum(os.path.getsize(os.path.join(many, f))
                           for f in files[:3])), "shards: --json")
    with open(os.path.join(many, files[3]), encoding="utf-8") as f:
        text = f.read()
    index = json.loads(text)
    t.tap.eq(text, json.dumps(index, indent=2, sort_keys=True) + "\n",
             "shards: the index is written as the official tools do")
    sizes = {}
    for name in files[:3]:
        with open(os.path.join(many, name), "rb") as f:
            n, = struct.unpack("<Q", f.read(8))
            header = json.loads(f.read(n))
        header.pop("__metadata__")
        t.tap.eq({k for k, v in index["weight_map"].items() if v == name},
                 set(header), f"shards: {name} holds what the index says")
        sizes[name] = max(x["data_offsets"][1] for x in header.values())
    swapped = t.at("swapped")
    shutil.copytree(many, swapped)
    os.unlink(os.path.join(swapped, "ml-manifest.json"))
    for a, b in ((0, "x"), (2, 0), ("x", 2)):
        os.rename(*(os.path.join(swapped, files[k] if k != "x" else k)
                    for k in (a, b)))
    for name, shard in index["weight_map"].items():
        k = files.index(shard)
        index["weight_map"][name] = files[2 - k if k != 1 else 1]
    with open(os.path.join(swapped, files[3]), "w", encoding="utf-8") as f:
        json.dump(index, f)
    done = kit.run(["mlverify", "check", swapped], t.env)
    t.tap.ok(done.returncode == 9 and "belongs before" in done.stdout,
             "shards: mlverify check sees that they are out of order",
             done.stdout)
    t.tap.eq(index["metadata"]["total_size"], sum(sizes.values()),
             "shards: total_size is that of the data")
    t.run("--fp16", "--shard-size", "20kB", "--threads", "5", "-o", again,
          source)
    t.tap.eq([sha256(os.path.join(again, f)) for f in files],
             [sha256(os.path.join(many, f)) for f in files],
             "shards: the same by five threads")
    t.run("-o", back, many)
    t.tap.eq(sha256(os.path.join(back, "model.safetensors")),
             sha256(os.path.join(one, "model.safetensors")),
             "shards: converted again they are the one file")
    done = t.run("--fp16", "--shard-size", "1MB", "--force", "-o", many,
                 source)
    t.tap.eq(sorted(f for f in os.listdir(many) if f.startswith("model")),
             ["model.safetensors"], "one shard is no shard, and --force "
             "replaces shards")
    t.tap.eq(sha256(os.path.join(many, "model.safetensors")),
             sha256(os.path.join(one, "model.safetensors")),
             "one shard is the plain file")
    t.fails(2, "no size at all", "--shard-size", "0", "-o", t.at("x"), source)
    t.fails(2, "shards and list", "--shard-size", "1MB", "--list", source)
    write_safetensors(t.at("two.safetensors"), {
        "a": ("F32", [1], struct.pack("<f", 1e6)),
        "b": ("F32", [1], struct.pack("<f", -2e6))})
    t.fails(9, "an overflow in each shard", "--fp16", "--shard-size", "1",
            "-o", t.at("x"), t.at("two.safetensors"),
            says="2 values in 2 tensors")
    write_safetensors(t.at("one.safetensors"), {
        "a": ("F32", [1], struct.pack("<f", 1e6))})
    t.fails(9, "one value of one tensor", "--fp16", "-o", t.at("x"),
            t.at("one.safetensors"), says="1 value in 1 tensor beyond")
    done = t.run("--keep", "-o", t.out(), t.at("one.safetensors"))
    t.tap.ok(": 1 tensor, " in done.stderr, "one tensor is one", done.stderr)


def audits(t):
    """What a cast does to values is said, and the worst tensor named."""
    write_safetensors(t.at("odd.safetensors"), {
        "fine": ("F32", [2], struct.pack("<2f", 1.0, -0.5)),
        "rough": ("F32", [4], struct.pack("<4f", 1001.3, 1e-9, 1e-6, 0.0)),
        "broken": ("F32", [3], struct.pack("<3f", float("nan"), 1.0,
                                           float("-inf")))})
    done = t.run("--fp16", "--json", "-o", t.out(), t.at("odd.safetensors"))
    audit = json.loads(done.stdout)["audit"]
    t.tap.ok(abs(audit.pop("largest_error") - 0.2) < 1e-4,
             "audit: the largest error")
    t.tap.eq(audit, {"overflow": 0, "underflow": 1, "subnormal": 1, "nan": 1,
                     "infinite": 1}, "audit: the counts")
    t.tap.ok("largest error 0.2, in 'rough'; 1 value became zero, 1 "
             "subnormal, most in 'rough'" in done.stderr and
             "1 NaN, 1 infinite, first in 'broken'" in done.stderr,
             "audit: in words", done.stderr)
    done = t.run("--keep", "-q", "-o", t.out(), t.at("odd.safetensors"))
    t.tap.ok("cast" not in done.stderr and "'broken'" in done.stderr,
             "audit: without a cast, what is not finite", done.stderr)


def renamed(t):
    """Wrapped names are unwrapped on request, and only then."""
    one = struct.pack("<f", 1.0)
    names = ["module._orig_mod.model.norm.weight",
             "module._orig_mod.model._fsdp_wrapped_module.up."
             "_checkpoint_wrapped_module.weight"]
    path = t.at("wrapped.safetensors")
    write_safetensors(path, {n: ("F32", [1], one) for n in names})
    for rule, want in (("none", names), ("strip-prefix",
                       ["model.norm.weight", "model.up.weight"])):
        out = t.out()
        t.run("--rename", rule, "-o", out, path)
        listed = json.loads(t.run("--list", "--json", out).stdout)
        t.tap.eq(sorted(x["path"] for x in listed["tensors"]), sorted(want),
                 f"--rename {rule}")
    with open(os.path.join(out, "ml-manifest.json"), encoding="utf-8") as f:
        m = json.load(f)
    t.tap.eq((m["recipe"], m["renames"]),
             ({"dtype": "keep", "rename": "strip-prefix"},
              dict(zip(want, names))), "the manifest keeps the old names")
    t.tap.eq(kit.run(["mlverify", "check", "-q", out], t.env).returncode, 0,
             "and mlverify check is content")
    write_safetensors(path, {"a._fsdp_wrapped_module.b": ("F32", [1], one),
                             "a.b": ("F32", [1], one)})
    t.fails(8, "two would have one name", "--rename", "strip-prefix", "-o",
            t.at("x"), path, says="'a.b'")


class Page(html.parser.HTMLParser):
    """Is it a page that needs nothing else?"""
    EMPTY = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.tags, self.text = [], [], {}, ""
        self.feed(text)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag in ("script", "link", "img", "iframe", "object", "a"):
            self.wrong.append(tag)
        self.wrong += [k for k, v in attrs
                       if k in ("src", "href") or k.startswith("on")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append("/" + tag)

    def handle_data(self, data):
        self.text += data


def read_page(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def reports(t):
    """--report: a page that stands alone, whatever the names are."""
    evil = "layers.0.<script src=\"http://x/\">&'.weight"
    source, page = t.at("odd"), t.at("page.html")
    os.mkdir(source)
    path = os.path.join(source, "model.safetensors")
    write_safetensors(path, {
        "embed_tokens.weight": ("F32", [4], struct.pack("<4f", 1, .1, 7e4, 0)),
        evil: ("F32", [2], struct.pack("<2f", 1e-9, float("nan"))),
        "layers.10.up_proj.weight": ("BF16", [1], b"\x80\x3f"),
        "layers.2.ids": ("I64", [1], b"\1" * 8),
        "none": ("F32", [0], b"")})
    out = t.out()
    pages = []
    for threads in (1, 4):
        done = t.run("--fp16", "--on-overflow", "inf", "--threads", threads,
                     "--force", "-o", out, "--report", page, source)
        t.tap.eq(done.stdout, out + "\n", "a report changes no output")
        pages.append(read_page(page))
    t.tap.eq(pages[0], pages[1], "the same page by four threads")
    p = Page(pages[0])
    t.tap.ok(not p.wrong and "http" not in p.text.replace("http://x/", "")
             and "url(" not in pages[0] and "@import" not in pages[0],
             "the page is whole and needs nothing else", p.wrong)
    t.tap.ok(evil in p.text and "infinite now" in p.text and
             sha256(os.path.join(out, "model.safetensors")) in p.text and
             sha256(path) in p.text and p.tags["svg"] == 3,
             "it has names as text, the verdict, digests, pictures")
    os.unlink(page)
    done = t.run("--fp16", "-o", t.at("x"), "--report", page, source)
    text = Page(read_page(page)).text
    t.tap.ok(done.returncode == 9 and "refused: nothing was written" in text and
             not os.path.exists(t.at("x")), "a refusal has a report, too")
    t.run("--fp32", "-o", t.out(), "--report", page,
          os.path.join(LLAMA, "bin"))
    t.tap.ok("Every value is kept exactly" in Page(read_page(page)).text,
             "and so has a conversion without errors")
    os.unlink(page)
    write_safetensors(t.at("long.safetensors"), {
        chr(97 + i // 16) + chr(97 + i % 16) + '"' * 4000 + ".x":
        ("F32", [190], struct.pack("<190f", *(
            2.0 ** k for k in range(-120, 70)))) for i in range(160)})
    done = t.run("--bf16", "-o", t.out(), "--report", page,
                 t.at("long.safetensors"))
    t.tap.eq(done.returncode, 0, "long names do not burst a page")
    before = sha256(path)
    t.fails(2, "a report over its source", "--report", path, "-o", t.at("x"),
            source, says="is a source")
    t.fails(2, "a report inside OUT", "--report", f"{out}/r.html", "--force",
            "-o", out, source, says="part of the folder")
    for tail in ("", "/"):
        t.fails(2, "a report that is OUT", "--report", t.at("x"), "-o",
                t.at("x") + tail, source, says="part of the folder")
    for name in ("", t.at("x/")):
        t.fails(2, "a report without a name", "--report", name, "-o",
                t.at("y"), source, says="no name")
    t.fails(3, "a report nowhere", "--report", t.at("no/where/r.html"),
            "-o", t.at("x"), source)
    t.fails(2, "a report on a folder", "--report", source, "-o", t.at("x"),
            source)
    t.fails(2, "overflow and list", "--on-overflow", "inf", "--list", source,
            says="--on-overflow")
    t.fails(2, "report and list", "--report", page, "--list", source)
    t.tap.eq(sha256(path), before, "the source is as it was")


def read_manifest(folder):
    with open(os.path.join(folder, "ml-manifest.json"),
              encoding="utf-8") as f:
        return json.load(f)


def which_digests(t):
    """--digests: fewer of them change no byte of the weights."""
    source = os.path.join(LLAMA, "bin")
    outs = {which: t.out() for which in ("all", "output", "none")}
    shas = {}
    for which, out in outs.items():
        done = t.run("--fp16", "--json", "--digests", which, "-o", out,
                     source)
        shas[which] = json.loads(done.stdout)["sha256"]
    want = sha256(os.path.join(outs["all"], "model.safetensors"))
    t.tap.eq(shas, {"all": want, "output": want, "none": None},
             "--digests: what is told")
    t.tap.eq([sha256(os.path.join(out, "model.safetensors"))
              for out in outs.values()], [want] * 3,
             "--digests: the same weights")
    whole, less = read_manifest(outs["all"]), read_manifest(outs["output"])
    t.tap.eq(less["source"]["files"],
             {k: {"size": v["size"]}
              for k, v in whole["source"]["files"].items()},
             "--digests output: of sources the sizes")
    t.tap.eq((less["files"], less["tensors"]),
             (whole["files"], whole["tensors"]),
             "--digests output: of the result everything")
    t.tap.eq(sorted(os.listdir(outs["none"])),
             sorted(set(os.listdir(outs["all"])) - {"ml-manifest.json"}),
             "--digests none: no manifest")
    for which, out in outs.items():
        done = kit.run(["mlverify", "check", "-q", out], t.env)
        t.tap.eq(done.returncode, 0, f"--digests {which}: mlverify is content")
    t.fails(2, "no manifest, no --force", "--force", "-o", outs["none"],
            source, says="--digests none")
    page = t.at("unhashed.html")
    t.run("--fp16", "--digests", "none", "--report", page, "-o", t.out(),
          source)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    t.tap.ok("not known" in text and "not read to its end" not in text,
             "--digests none: the page does not say why it has none")
    t.fails(2, "no digests, no key", "--digests", "none", "org/tiny",
            says="-o")
    t.fails(2, "digests and list", "--digests", "none", "--list", source)
    volume = t.at("volume")
    kit.run(["mlfetch", "put", volume, source, "run/"], t.env)
    out = t.out()
    for name in ("run/bin/pytorch_model.bin", "run/bin"):
        t.run("--force", "--digests", "output", "--volume", volume, "-o", out,
              name)
        files = read_manifest(out)["source"]["files"]
        t.tap.eq({k: v.get("sha256") for k, v in files.items()},
                 {k: sha256(os.path.join(source, k)) for k in files},
                 f"a volume knows the digests of {name}")


def many_tensors(t):
    """More tensors than anybody has, none a multiple of anything."""
    n = 40000
    path, out = t.at("tiny.safetensors"), t.out()
    write_safetensors(path, {
        f"t{i:05}": ("F32", [i % 7], struct.pack(f"<{i % 7}f", *(
            (i + k) % 1000 for k in range(i % 7)))) for i in range(n)})
    t.run("--fp16", "--threads", "3", "-o", out, path)
    with open(os.path.join(out, "model.safetensors"), "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    wrong = digests = 0
    for name, known in read_manifest(out)["tensors"].items():
        begin, end = header[name]["data_offsets"]
        i = int(name[1:])
        raw = data[begin:end]
        wrong += raw != struct.pack(f"<{i % 7}e", *(
            (i + k) % 1000 for k in range(i % 7)))
        digests += hashlib.sha256(raw).hexdigest() == known["sha256"]
    t.tap.eq((wrong, digests), (0, n), "40000 tensors: values and digests")
    write_safetensors(path, {
        f"t{i:05}": ("F32", [1], struct.pack("<f", 7e4)) for i in range(300)})
    done = t.run("--fp16", "-o", t.at("x"), path)
    t.tap.ok(done.returncode == 9 and "200 more tensors" in done.stderr and
             done.stderr.count("warning: tensor") == 100,
             "a hundred overflows are named, the others counted",
             done.stderr[-500:])


def make_repo(t, name, claim=None):
    """A repository in the hub cache; its blob is called claim."""
    root = t.at(f"hf/hub/models--org--{name}")
    commit = "0123456789012345678901234567890123456789"
    source = os.path.join(LLAMA, "safetensors")
    os.makedirs(f"{root}/refs")
    os.makedirs(f"{root}/blobs")
    os.makedirs(f"{root}/snapshots/{commit}")
    with open(f"{root}/refs/main", "w", encoding="utf-8") as f:
        f.write(commit)
    for file in os.listdir(source):
        path = os.path.join(source, file)
        blob = claim if file == "model.safetensors" and claim else sha256(path)
        shutil.copy(path, f"{root}/blobs/{blob}")
        os.symlink(f"../../blobs/{blob}", f"{root}/snapshots/{commit}/{file}")
    return root, commit


def kept(t):
    root, commit = make_repo(t, "tiny")
    first = t.run("--fp16", "org/tiny")
    path = first.stdout.strip()
    t.tap.ok(first.returncode == 0 and path.startswith(f"{root}/ml/uniform/")
             and len(os.path.basename(path)) == 32,
             "a repository is converted beside its snapshot", first.stderr)
    stamp = os.stat(path).st_mtime_ns
    again = t.run("--fp16", "org/tiny")
    t.tap.eq((again.stdout, os.stat(path).st_mtime_ns), (first.stdout, stamp),
             "the second time it is found")
    other = t.run("--bf16", "org/tiny").stdout
    t.tap.ok(other and other != first.stdout, "another recipe, another folder")
    t.tap.eq(len(os.listdir(f"{root}/ml/uniform")), 2, "and no more than two")
    many = [t.run("--shard-size", "20kB", "--json", "org/tiny").stdout
            for _ in range(2)]
    many = [json.loads(x) for x in many]
    done = t.run("--shard-size", "20kB", "--json", "--report",
                 t.at("kept.html"), "org/tiny")
    t.tap.ok(json.loads(done.stdout)["path"] == many[0]["path"] and
             "org/tiny" in read_page(t.at("kept.html")),
             "a report of what is kept already")
    t.tap.eq(many[0].pop("audit")["nan"], 0, "what was made was audited")
    t.tap.eq(many[1], dict(many[0], held=True), "shards are kept, too")
    with open(os.path.join(path, "ml-manifest.json"), encoding="utf-8") as f:
        source = json.load(f)["source"]
    t.tap.eq((source["repository"], source["commit"]), ("org/tiny", commit),
             "the manifest says where it came from")
    names = sorted(os.listdir(path))
    for what in ("model.safetensors", "ml-manifest.json", None):
        if what:
            os.unlink(os.path.join(path, what))
        else:
            with open(os.path.join(path, "ml-manifest.json"), "w",
                      encoding="utf-8") as f:
                f.write("{")
        again = t.run("--fp16", "org/tiny")
        t.tap.ok((again.returncode, again.stdout) == (0, first.stdout) and
                 "damaged" in again.stderr and
                 sorted(os.listdir(path)) == names and
                 os.stat(os.path.join(path, "ml-manifest.json")).st_size > 9,
                 f"a kept result without its {what or 'meaning'} is made anew",
                 again.stderr)
    t.tap.eq(len(os.listdir(f"{root}/ml/uniform")), 3, "in its place")
    make_repo(t, "claimed", "ab" * 32)
    path = t.run("org/claimed").stdout.strip()
    with open(os.path.join(path, "ml-manifest.json"), encoding="utf-8") as f:
        files = json.load(f)["source"]["files"]
    t.tap.eq(files["model.safetensors"]["sha256"], "ab" * 32,
             "a blob is not read twice: its name is its digest")


def make_big(t):
    """64 MiB of floats that count up in their bits, and a hole."""
    path = t.at("wide.safetensors")
    block = struct.pack("<65536f", *(i * 0.5 for i in range(65536)))
    write_safetensors(path, {
        "data": ("F32", [32, 262144], (block, 128)),
        "hole": ("F32", [32, 262144], 32 << 20)})
    return path


def peak(t, *args):
    """Exit status and peak memory in KiB of mlconvert."""
    # (a child's peak starts at this process's: it must stay small)
    pid = os.posix_spawn(kit.program("mlconvert"),
                         ["mlconvert", "-q", "--progress", "none", *args],
                         t.env, file_actions=[(os.POSIX_SPAWN_OPEN, 1,
                                               "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_maxrss


def write_many(path):
    """A torch zip of 1500 records, far enough apart for a page each."""
    n, size = 1500, 1 << 16
    with open(path, "wb") as f:
        table = rawckpt.PROTO2 + rawckpt.pairs(
            (f"t{i:04}", rawckpt.tensor(str(i), (size // 4,)))
            for i in range(n)) + rawckpt.STOP
        f.write(rawckpt.torch_zip(rawckpt.archive(
            table, [(str(i), bytes(size)) for i in range(n)])))


def write_turned(path):
    """A matrix of 64 MiB, transposed."""
    n = 4096
    with open(path, "wb") as f:
        f.write(rawckpt.torch_zip(rawckpt.archive(
            rawckpt.PROTO2 + rawckpt.pairs([("turned", rawckpt.tensor(
                "0", (n, n), stride=(1, n)))]) + rawckpt.STOP,
            [("0", bytes(4 * n * n))])))


def memory(t, path):
    sanitized = "asan" in kit.BUILD or "san" in os.environ.get("SAN", "")
    if sanitized:
        t.tap.skip("memory stays below 32 MB", "sanitizers need their own")
        return
    status, kib = peak(t, "--fp16", "-o", t.out(), path)
    t.tap.eq(status, 0, "64 MiB are converted")
    t.tap.ok(kib < 32 << 10, f"in {kib >> 10} MiB of memory, at most 32")
    many = t.at("many.pt")
    child = os.fork()  # whoever writes it grows: it must not be this process
    if child == 0:
        write_many(many)
        os._exit(0)
    os.waitpid(child, 0)
    status, kib = peak(t, "--fp16", "-o", t.out(), many)
    t.tap.eq(status, 0, "1500 records are converted")
    t.tap.ok(kib < 32 << 10, f"in {kib >> 10} MiB of memory, at most 32")
    os.unlink(many)
    turned = t.at("turned.pt")
    child = os.fork()
    if child == 0:
        write_turned(turned)
        os._exit(0)
    os.waitpid(child, 0)
    status, kib = peak(t, "--fp16", "--threads", "16", "-o", t.out(), turned)
    t.tap.eq(status, 0, "a transpose is converted by 16 threads")
    t.tap.ok(kib < 32 << 10, f"in {kib >> 10} MiB of memory, at most 32")
    os.unlink(turned)


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def faults(t, path):
    t.fails(1, "a file that may not grow", "--fp16", "-o", t.at("x"), path,
            preexec_fn=limit_files)
    # A stale folder of a killed run, and one that is too young to judge.
    out = t.out()
    for name, age in (("0123456789abcdef", 3600), ("00000000deadbeef", 0)):
        os.mkdir(f"{out}.{name}.tmp")
        with open(f"{out}.{name}.tmp/model.safetensors", "w",
                  encoding="utf-8"):
            pass
        then = time.time() - age
        os.utime(f"{out}.{name}.tmp", (then, then))
    t.run("-o", out, path)
    t.tap.eq([os.path.exists(f"{out}.{name}.tmp")
              for name in ("0123456789abcdef", "00000000deadbeef")],
             [False, True], "what a killed run left is swept")
    shutil.rmtree(f"{out}.00000000deadbeef.tmp")
    # It is swept before there must be room: it may be what fills the disk.
    huge, out = t.at("huge.safetensors"), t.out()
    stale = f"{out}.0123456789abcdef.tmp"
    os.mkdir(stale)
    os.utime(stale, (time.time() - 3600,) * 2)
    try:
        write_safetensors(huge, {"x": ("U8", [1 << 43], 1 << 43)})
    except OSError:
        t.tap.skip("swept before free space is asked for", "no such holes")
    else:
        done = t.run("-o", out, huge)
        t.tap.eq((done.returncode, os.path.exists(stale)), (7, False),
                 "swept before free space is asked for")
        os.unlink(huge)


def interrupts(t, path):
    """At some moment of its run: 130, and nothing left behind."""
    before = sorted(os.listdir(t.home))
    seen = 0
    for turn in range(60):
        out = t.at("stopped")
        proc = subprocess.Popen(
            [kit.program("mlconvert"), "--fp16", "--threads", "1", "-o", out,
             path], env=t.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(0.004 + turn % 12 * 0.01)
        proc.send_signal(signal.SIGINT)
        status = proc.wait()
        left = sorted(os.listdir(t.home))
        if status == 0:
            shutil.rmtree(out)
        elif status == 130 and left == before:
            seen += 1
        elif status != -signal.SIGINT or left != before:
            t.tap.ok(False, "an interrupt leaves nothing", f"{status} {left}")
            return
        if seen == 3:
            break
    t.tap.ok(seen > 0, f"{seen} interrupts: 130, and nothing left behind")


def main():
    t = Check()
    containers(t)
    folder(t)
    places(t)
    refusals(t)
    overflows(t)
    shards(t)
    audits(t)
    renamed(t)
    reports(t)
    which_digests(t)
    kept(t)
    path = make_big(t)
    memory(t, path)
    many_tensors(t)
    faults(t, path)
    interrupts(t, path)
    shutil.rmtree(t.home)
    t.tap.done()


if __name__ == "__main__":
    main()
