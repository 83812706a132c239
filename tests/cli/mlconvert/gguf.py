#!/usr/bin/env python3
"""mlconvert --to gguf as its users meet it: places, refusals, overflows."""
import hashlib
import json
import os
import shutil
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import (Check, LLAMA, limit_files,  # noqa: E402
                     write_safetensors)
import kit  # noqa: E402

NEOX = os.path.join(kit.ROOT, "tests/model/tiny-neox")
GGUF = ("--to", "gguf")


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)


def containers(t):
    """The same weights are the same file, whoever worked on them."""
    for group in (["safetensors", "safetensors-sharded"],
                  ["bin", "bin-legacy", "bin-sharded"]):
        for dtype in ("--keep", "--fp16", "--bf16", "--fp32", "--q8_0"):
            digests = set()
            for threads, folder in enumerate(group, 1):
                out = t.out() + ".gguf"
                done = t.run(*GGUF, dtype, "-o", out, "--threads", threads,
                             os.path.join(LLAMA, folder))
                t.tap.eq((done.returncode, done.stdout), (0, out + "\n"),
                         f"{folder} {dtype}: stdout is the path")
                digests.add(sha256(out))
                t.tap.ok(f"sha256 {sha256(out)}" in done.stderr,
                         f"{folder} {dtype}: the digest is told")
            t.tap.eq(len(digests), 1, f"{'/'.join(group)} {dtype}: one file")


def places(t):
    source = os.path.join(LLAMA, "bin")
    old, letter = t.at("deep/er/old.gguf"), t.at("letter")
    done = t.run(*GGUF, "-o", old, source)
    t.tap.eq(done.returncode, 0, "folders are made for it")
    t.tap.eq(os.stat(old).st_mode & 0o777, 0o644, "others can read it")
    with open(letter, "w", encoding="utf-8") as f:
        f.write("dear")
    os.symlink(old, t.at("link"))
    t.fails(2, "no OUT", *GGUF, source, says="-o OUT")
    t.fails(2, "OUT is there", *GGUF, "-o", old, source, says="--force")
    t.fails(2, "OUT is no GGUF file", *GGUF, "-o", letter, "--force", source)
    t.fails(2, "OUT is a link", *GGUF, "-o", t.at("link"), "--force", source)
    t.fails(2, "OUT is a folder", *GGUF, "-o", t.home, "--force", source)
    t.fails(2, "OUT has no name", *GGUF, "-o", t.at("x/"), source,
            says="no name")
    t.fails(2, "q8_0 of a folder", "--q8_0", "-o", t.at("x"), source,
            says="--to gguf")
    t.fails(2, "q8_0 and infinity", *GGUF, "--q8_0", "--on-overflow", "inf",
            "-o", t.at("x"), source)
    t.fails(2, "list and a format", *GGUF, "--list", source)
    for more in (("--shard-size", "1M"), ("--rename", "strip-prefix"),
                 ("--report", t.at("page"))):
        t.fails(2, f"{more[0]} of a GGUF file", *GGUF, *more, "-o", t.at("x"),
                source, says=more[0])
    t.fails(2, "no such format", "--to", "gguff", "-o", t.at("x"), source)
    before = sha256(old)
    done = t.run(*GGUF, "--q8_0", "--force", "--json", "-o", old, source)
    result = json.loads(done.stdout)
    t.tap.ok(sha256(old) != before and result["sha256"] == sha256(old) and
             result["size"] == os.path.getsize(old) and
             result["files"] == 1 and result["path"] == old, "a GGUF file is replaced by force")
    stale = t.at("new.gguf.0123456789abcdef.tmp")
    os.mkdir(stale)
    with open(os.path.join(stale, "x"), "w", encoding="utf-8"):
        pass
    os.utime(stale, (time.time() - 3600,) * 2)
    t.run(*GGUF, "-o", t.at("new.gguf"), source)
    t.tap.ok(not os.path.exists(stale), "what a killed run left is swept")


class Model:
    """A copy of a model that can be spoilt, piece by piece."""

    def __init__(self, t, source):
        self.t = t
        self.source = source
        self.n = 0
        self.name = t.out()

    def spoil(self, name, change, says, status=8):
        """change(folder) makes it one that must be refused."""
        self.n += 1
        folder = f"{self.name}.{self.n}"
        shutil.copytree(self.source, folder)
        change(folder)
        self.t.fails(status, name, *GGUF, "-o", self.t.at("x.gguf"), folder,
                     says=says)

    def edit(self, name, file, change, says, status=8):
        """change(value) of a JSON file"""
        def spoil(folder):
            path = os.path.join(folder, file)
            value = read_json(path)
            change(value)
            write_json(path, value)
        self.spoil(name, spoil, says, status)


def configs(t):
    m = Model(t, os.path.join(LLAMA, "safetensors"))
    name = "config.json"
    m.spoil("no config", lambda f: os.remove(f"{f}/config.json"),
            "config.json", 3)
    m.spoil("no tokenizer", lambda f: os.remove(f"{f}/tokenizer.json"),
            "tokenizer.json", 3)
    for what, key, value, says in (
            ("another family", "model_type", "gpt2", "'gpt2'"),
            ("no family", "model_type", None, "model_type"),
            ("no heads", "num_attention_heads", 0, "num_attention_heads"),
            ("heads that do not divide", "num_attention_heads", 5, "multiple"),
            ("key heads that do not", "num_key_value_heads", 3, "multiple"),
            ("2^40 layers", "num_hidden_layers", 1 << 40, "count"),
            ("more layers than there are", "num_hidden_layers", 3,
             "model.layers.2."),
            ("fewer layers", "num_hidden_layers", 1, "model.layers.1."),
            ("another width", "intermediate_size", 64, "[48, 32]"),
            ("an activation", "hidden_act", "relu", "'relu'"),
            ("an activation that is no text", "hidden_act", ["relu"], "text"),
            ("scaling that is no object", "rope_scaling", ["yarn"], "object"),
            ("scaling without a type", "rope_scaling",
             {"rope_type": ["yarn"], "factor": 2}, "text"),
            ("scaling without a factor", "rope_scaling", {"type": "linear"},
             "factor"),
            ("yarn", "rope_scaling", {"type": "yarn", "factor": 2}, "'yarn'"),
            ("biases that are not there", "attention_bias", True, "q_proj"),
            ("a head that is not there", "tie_word_embeddings", False,
             "lm_head"),
            ("a negative eps", "rms_norm_eps", -1, "rms_norm_eps")):
        m.edit(what, name, lambda c: c.update({key: value}), says)
    m.edit("the scaling of two that counts", name, lambda c: c.update(
        rope_parameters={"rope_type": "default"},
        rope_scaling={"type": "yarn", "factor": 2}), "'yarn'")


def tokenizers(t):
    name = "tokenizer.json"
    m = Model(t, os.path.join(LLAMA, "safetensors"))

    def model(**more):
        return lambda c: c["model"].update(more)

    m.edit("a Unigram model", name, model(type="Unigram"), "'Unigram'")
    m.edit("no byte fallback", name, model(byte_fallback=False), "byte")
    m.edit("another normalizer", name,
           lambda c: c.update(normalizer={"type": "Lowercase"}), "Lowercase")
    m.edit("a token without a row", name, lambda c: c["added_tokens"].append(
        {"id": 384, "content": "<x>", "special": True}), "384")
    m.edit("two tokens with one id", name, lambda c: c["added_tokens"].append(
        {"id": 5, "content": "<x>", "special": True}), "share id 5")
    m.edit("a merge is missing", name,
           lambda c: c["model"]["merges"].pop(), "SentencePiece")
    m.edit("a merge of nothing", name,
           lambda c: c["model"]["merges"].append("q zzz"), "no token")
    m.edit("blanks that stay", name, lambda c: c.update(normalizer=None),
           "SentencePiece")
    m.edit("blanks as something else", name, lambda c: c.update(
        normalizer=None, pre_tokenizer={
            "type": "Metaspace", "replacement": "_", "split": False}), "blank")
    m.edit("added tokens that are no list", name,
           lambda c: c.update(added_tokens="x"), "no list")
    m.edit("an unknown post-processor", name, lambda c: c.update(
        post_processor={"type": "RobertaProcessing"}), "Roberta")
    m = Model(t, NEOX)
    m.edit("an unknown splitting rule", name, lambda c: c.update(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "."},
             "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False,
             "use_regex": False}]}), "no name")
    m.edit("a space in front", name,
           lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "space")
    m.edit("whole words first", name, model(ignore_merges=True),
           "ignore_merges")
    m.edit("one token with two ids", name, lambda c: c["added_tokens"].append(
        {"id": 510, "content": "<|padding|>", "special": True}), "two ids")
    m.edit("blanks written as a letter", name, lambda c: c.update(normalizer={
        "type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}),
           "no name")
    m.edit("no merges", name, lambda c: c["model"].pop("merges"), "merges")
    m.edit("merges that are text", name, model(merges="a b"), "merges")
    m.edit("a merge of no tokens", name,
           lambda c: c["model"]["merges"].append("qqz zzq"), "no token")
    m.edit("a merge of three", name,
           lambda c: c["model"]["merges"].append("a b c"), "no pair")


def small(folder, values, dtype="F32", extra=None):
    """A Llama of one layer whose numbers are given, over and over."""
    os.mkdir(folder)
    dim, inner, vocab = 32, 32, 384
    shapes = {"model.embed_tokens": [vocab, dim], "model.norm": [dim]}
    for part, shape in (
            ("input_layernorm", [dim]), ("post_attention_layernorm", [dim]),
            ("self_attn.q_proj", [dim, dim]), ("self_attn.k_proj", [dim, dim]),
            ("self_attn.v_proj", [dim, dim]), ("self_attn.o_proj", [dim, dim]),
            ("mlp.gate_proj", [inner, dim]), ("mlp.up_proj", [inner, dim]),
            ("mlp.down_proj", [dim, inner])):
        shapes["model.layers.0." + part] = shape
    block = struct.pack("<1024f", *(values * 1024)[:1024])
    tensors = {}
    for name, shape in shapes.items():
        n = 1
        for x in shape:
            n *= x
        tensors[name + ".weight"] = (dtype, shape, (block * (n // 1024 + 1))
                                     [:4 * n])
    tensors.update(extra or {})
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    write_json(os.path.join(folder, "config.json"), dict(
        model_type="llama", hidden_size=dim, intermediate_size=inner,
        num_hidden_layers=1, num_attention_heads=2, vocab_size=vocab,
        max_position_embeddings=64, tie_word_embeddings=True))
    shutil.copy(os.path.join(LLAMA, "bin/tokenizer.json"), folder)
    return folder


def numbers(t):
    folder = small(t.at("big-values"), [1.0, 70000.0, -70000.0])
    out = t.at("clamped.gguf")
    t.fails(9, "beyond fp16", *GGUF, "--fp16", "-o", t.at("x"), folder,
            says="'model.")
    for policy, want in (("clamp", b"\xff\x7b\xff\xfb"),
                         ("inf", b"\x00\x7c\x00\xfc")):
        done = t.run(*GGUF, "--fp16", "--on-overflow", policy, "--force",
                     "-o", out, folder)
        with open(out, "rb") as f:
            t.tap.ok(done.returncode == 0 and b"\x00\x3c" + want in f.read(),
                     f"beyond fp16: {policy}", done.stderr)
    t.tap.eq(t.run(*GGUF, "--q8_0", "-o", t.at("q8.gguf"), folder).returncode,
             0, "not beyond q8_0")
    for name, value in (("nan", float("nan")), ("inf", float("inf")),
                        ("1e7", 1e7)):
        bad = small(t.at("q8-" + name), [1.0, value])
        t.fails(9, f"q8_0 of {name}", *GGUF, "--q8_0", "-o", t.at("x"), bad,
                says=name[:3].replace("1e7", "1e+07"))
    t.fails(8, "whole numbers", *GGUF, "-o", t.at("x"),
            small(t.at("whole"), [1.0], "I32"), says="I32")
    more = small(t.at("more"), [1.0], extra={
        "model.layers.0.extra.weight": ("F32", [1], bytes(4))})
    t.fails(8, "a tensor without a place", *GGUF, "-o", t.at("x"), more,
            says="model.layers.0.extra.weight")
    left = small(t.at("left"), [1.0], extra={
        "model.layers.0.self_attn.rotary_emb.inv_freq":
        ("F32", [8], bytes(32))})
    t.tap.eq(t.run(*GGUF, "-o", t.at("left.gguf"), left).returncode, 0,
             "a leftover buffer is left out")
    t.fails(1, "a file that may not grow", *GGUF, "--fp32", "-o", t.at("y"),
            NEOX, preexec_fn=limit_files)


def main():
    t = Check()
    containers(t)
    places(t)
    configs(t)
    tokenizers(t)
    numbers(t)
    shutil.rmtree(t.home)
    t.tap.done()


if __name__ == "__main__":
    main()
