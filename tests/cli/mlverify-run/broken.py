#!/usr/bin/env python3
"""Models that are not whole, each with its own words and exit status: what a
broken download, a careless copy or a wrong file leaves behind."""
import json
import os
import shutil
import struct
import sys
import tempfile

ROOT = os.path.dirname(os.path.abspath(__file__))
for _ in range(3):
    ROOT = os.path.dirname(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tests", "fixtures"))
import kit  # noqa: E402
import rawckpt as raw  # noqa: E402
import seedmodels as seeds  # noqa: E402
from takenapart import Weights  # noqa: E402

INDEX = "model.safetensors.index.json"
tap = kit.Tap()


class Model:
    """A healthy model in two shards, to be broken."""

    def __init__(self, base, name):
        self.base = base
        self.folder = os.path.join(base, name)
        self.config, hf = seeds.llama()
        self.tensors = seeds.as_dtype(hf, "F16")
        self.write()

    def path(self, name):
        return os.path.join(self.folder, name)

    def shard(self, i):
        return f"model-{i:05}-of-00002.safetensors"

    def split(self):
        """Which tensors each shard holds."""
        names = sorted(self.tensors)
        half = len(names) // 2
        return names[:half], names[half:]

    def write_shard(self, i, names, tensors=None):
        t = tensors or self.tensors
        with open(self.path(self.shard(i)), "wb") as f:
            f.write(raw.safetensors({n: t[n] for n in names}))

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        where = {}
        for i, names in enumerate(self.split(), 1):
            self.write_shard(i, names)
            where.update({n: self.shard(i) for n in names})
        self.write_text(INDEX, json.dumps({"metadata": {},
                                           "weight_map": where}))
        self.write_text("config.json", json.dumps(self.config))

    def write_text(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, *args):
        """Noise does not read, so nobody asks it to."""
        return kit.run(["mlverify-run", self.folder, "--tokens", "1,5", "-n",
                        "2", "--perplexity", "none", *args],
                       kit.clean_env(self.base))


def says(name, done, status, *words):
    text = done.stdout if status == 9 else done.stderr
    tap.ok(done.returncode == status and all(w in text for w in words),
           f"{name}: status {status}, says {' | '.join(words)}",
           f"{done.returncode}\n{done.stdout}{done.stderr}")


def shards(base):
    m = Model(base, "whole")
    tap.eq(m.run().returncode, 0, "control: a whole model runs")

    m = Model(base, "truncated")
    path = m.path(m.shard(2))
    os.truncate(path, os.path.getsize(path) - 1000)
    says("a truncated shard", m.run(), 6, m.shard(2), "tensor", "end")

    m = Model(base, "head-only")
    os.truncate(m.path(m.shard(2)), 100)
    says("a shard cut in its table", m.run(), 6, m.shard(2))

    m = Model(base, "empty")
    os.truncate(m.path(m.shard(2)), 0)
    says("an empty shard", m.run(), 8, m.shard(2), "empty", "fetch")

    m = Model(base, "missing")
    os.unlink(m.path(m.shard(2)))
    says("a missing shard", m.run(), 3, m.shard(2), INDEX, "fetch")

    m = Model(base, "dangling")
    os.unlink(m.path(m.shard(2)))
    os.symlink("../../blobs/0123456789abcdef", m.path(m.shard(2)))
    says("a link to a blob that is gone", m.run(), 3, m.shard(2), "fetch")


def revisions(base):
    """Shards of two revisions: boundaries move between them."""
    m = Model(base, "twice")
    first, second = m.split()
    m.write_shard(2, [first[-1], *second])
    says("a shard of another revision, a tensor twice", m.run(), 8,
         first[-1], "twice", m.shard(1), m.shard(2))

    m = Model(base, "moved")
    m.write_shard(2, second[1:])
    says("a shard of another revision, a tensor missing", m.run(), 6,
         second[0], "not in", "do not belong together")

    m = Model(base, "narrow")
    other = seeds.as_dtype(seeds.llama(inner=96)[1], "F16")
    m.write_shard(2, second, other)
    says("a shard of another revision, other shapes", m.run(), 9,
         "shapes", "instead of", "FAILED")

    m = Model(base, "shallow")
    m.write_text("config.json", json.dumps(dict(m.config,
                                                num_hidden_layers=1)))
    says("weights of another config", m.run(), 9, "tensors", "FAILED",
         "against the config", "model.layers.1.")


def values(base):
    name = "model.layers.1.mlp.down_proj.weight"
    m = Model(base, "zeroed")
    dtype, shape, data = m.tensors[name]
    m.tensors[name] = (dtype, shape, bytes(len(data)))
    m.write()
    says("a zeroed layer", m.run(), 9, "values", "FAILED", name,
         "values are 0")

    m = Model(base, "constant")
    m.tensors[name] = (dtype, shape, b"\x00\x3c" * (len(data) // 2))
    m.write()
    says("a constant layer", m.run(), 9, name, "values are the same")

    for where, at in (("end", 1 - 0.95), ("middle", 0.4)):
        m = Model(base, "hole-" + where)
        dtype, shape, data = m.tensors[name]
        size = 2 * 4600
        start = len(data) - size if where == "end" else int(
            at * (len(data) - size)) // 2 * 2
        m.tensors[name] = (dtype, shape, data[:start] + bytes(size)
                           + data[start + size:])
        m.write()
        says(f"space never filled, at the {where}", m.run(), 9, name,
             "rows", "are 0")

    m = Model(base, "padded")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        dtype, shape, data = m.tensors[name]
        m.tensors[name] = (dtype, shape, data[:40 * 128]
                           + bytes(len(data) - 40 * 128))
    m.write()
    done = m.run()
    tap.eq(done.returncode, 0, "control: padding of the vocabulary is usual")

    name = "model.layers.1.mlp.down_proj.weight"
    m = Model(base, "nan")
    dtype, shape, data = m.tensors[name]
    m.tensors[name] = (dtype, shape, b"\x00\x7e" + data[2:])
    m.write()
    says("a value that is no number", m.run(), 9, "finite", "layer 1",
         "MLP down")


def swapped(base):
    """Tensors of one shape in each other's place: names, shapes and values
    are all in order, and only reading a text tells. The model is the trained
    one of tests/model, since noise reads no worse when it is shuffled."""
    env = kit.clean_env(base)
    whole = os.path.join(base, "trained")
    done = kit.run(["mlconvert", "--keep", "-q", "-o", whole, os.path.join(
        ROOT, "tests", "model", "tiny-neox")], env)
    tap.eq(done.returncode, 0, "the trained model, as safetensors")

    def run(name, *pairs):
        w = Weights(whole)
        for pair in pairs:
            w.swap(*pair)
        return kit.run(["mlverify-run", w.write(os.path.join(base, name)),
                        "-n", "1"], env)

    says("two tensors of one shape swapped", run("ends", (
        "gpt_neox.embed_in.weight", "embed_out.weight")), 9, "perplexity",
        "FAILED", "no better than an untrained model", "swapped tensors",
        "wrong tokenizer")
    says("two layers swapped", run("layers", *(
        (f"gpt_neox.layers.0.{part}.weight",
         f"gpt_neox.layers.2.{part}.weight")
        for part in ("attention.dense", "attention.query_key_value",
                     "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"))), 9,
        "perplexity", "FAILED", "swapped tensors")
    done = run("as-it-was")
    tap.ok(done.returncode == 0 and "reads like a trained model" in
           done.stdout, "control: nothing swapped", done.stdout + done.stderr)


def tokenizer(vocab):
    words = {chr(0x21 + i) if i < 90 else f"w{i}": i for i in range(vocab)}
    return {"version": "1.0", "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "vocab": words, "merges": []}}


def tokenizers(base):
    m = Model(base, "larger")
    m.write_text("tokenizer.json", json.dumps(tokenizer(96)))
    tap.eq(m.run().returncode, 0, "control: a tokenizer that fits")
    m.write_text("tokenizer.json", json.dumps(tokenizer(200)))
    says("a tokenizer larger than the embedding", m.run(), 9, "tokenizer",
         "FAILED", "199", "96 rows")
    m.write_text("tokenizer.json", json.dumps(tokenizer(97)))
    done = m.run()
    tap.ok(done.returncode == 0 and "up to 96" in done.stdout,
           "control: one id too many is no other model's", done.stdout)
    m.write_text("tokenizer.json", json.dumps(tokenizer(50)))
    tap.eq(m.run().returncode, 0, "control: padding rows of the embedding")
    m.write_text("config.json", json.dumps(dict(m.config, eos_token_id=77)))
    says("a tokenizer without the model's end token", m.run(), 9,
         "tokenizer", "50 tokens", "end token is 77")
    m.write_text("config.json", json.dumps(m.config))
    for what, text in (("of nothing", "{}"), ("cut short", '{"model": '),
                       ("of another kind of file", "# Tokenizer\n")):
        m.write_text("tokenizer.json", text)
        says(f"a tokenizer {what}", m.run(), 9, "tokenizer   FAILED",
             "tokenizer.json")
    other = tokenizer(50)
    other["model"] = {"type": "WordLevel", "vocab": {"a": 0}}
    m.write_text("tokenizer.json", json.dumps(other))
    done = m.run()
    tap.ok(done.returncode == 0 and "tokenizer   not made" in done.stdout and
           "WordLevel" in done.stdout,
           "control: one of a kind this program does not read", done.stdout)
    os.remove(m.path("tokenizer.json"))
    done = m.run()
    tap.ok(done.returncode == 0 and "tokenizer   not made" in done.stdout,
           "control: none at all", done.stdout)


def large(base):
    m = Model(base, "large")
    text = json.dumps(m.config)
    m.write_text("config.json", text + " " * (1 << 20))
    tap.eq(m.run().returncode, 0, "control: a config of a megabyte")
    m.write_text("config.json", text + " " * (3 << 20))
    says("a config of three", m.run(), 8, "config.json",
         str(len(text) + (3 << 20)), "more than")


def halves(base):
    """What a download that was not finished leaves."""
    m = Model(base, "incomplete")
    for i in (1, 2):
        os.unlink(m.path(m.shard(i)))
    os.unlink(m.path(INDEX))
    os.makedirs(m.path(".cache/huggingface/download"))
    m.write_text(".cache/huggingface/download/x.0123.incomplete", "GET")
    says("a folder with an unfinished download", m.run(), 3,
         "holds no weights", "unfinished", "mlfetch pull")

    m = Model(base, "partial")
    os.rename(m.path(m.shard(2)), m.path(m.shard(2) + ".part"))
    says("a shard under a temporary name", m.run(), 3, m.shard(2), "fetch")

    hub = os.path.join(base, "hf", "hub", "models--org--half")
    commit = "a" * 40
    os.makedirs(os.path.join(hub, "refs"))
    os.makedirs(os.path.join(hub, "blobs"))
    snapshot = os.path.join(hub, "snapshots", commit)
    os.makedirs(snapshot)
    with open(os.path.join(hub, "refs", "main"), "w",
              encoding="ascii") as f:
        f.write(commit)
    with open(os.path.join(hub, "blobs", "ff" * 32 + ".incomplete"),
              "wb") as f:
        f.write(b"x" * 100)
    with open(os.path.join(snapshot, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump(m.config, f)
    done = kit.run(["mlverify-run", "org/half", "--tokens", "1"],
                   kit.clean_env(base))
    says("a repository half in the hub cache", done, 3, "holds no weights",
         "unfinished", "mlfetch pull")


def lfs_pointer(size):
    return ("version https://git-lfs.github.com/spec/v1\noid sha256:"
            + "ab" * 32 + f"\nsize {size}\n")


def pointers(base):
    m = Model(base, "pointers")
    for i in (1, 2):
        m.write_text(m.shard(i), lfs_pointer(4976698672))
    says("shards that are Git LFS pointers", m.run(), 8, m.shard(1),
         "Git LFS", "git lfs pull")
    m = Model(base, "pointer")
    shutil.rmtree(m.folder)
    os.makedirs(m.folder)
    m.write_text("final_model.pt", lfs_pointer(509741734))
    says("a folder whose only weights are a pointer", m.run(), 3,
         "final_model.pt", "Git LFS", "git lfs pull")
    done = kit.run(["mlverify-run", m.path("final_model.pt")],
                   kit.clean_env(base))
    says("the pointer itself", done, 8, "final_model.pt", "Git LFS",
         "509741734")


def gated(base):
    m = Model(base, "gated")
    shutil.rmtree(m.folder)
    os.makedirs(m.folder)
    for name in ("README.md", "LICENSE.txt", ".gitattributes"):
        m.write_text(name, "# Llama 9\n\nextra_gated_prompt: agree\n")
    says("a gated repository of which only the text was fetched", m.run(), 3,
         "holds no weights", "README.md", "mlfetch login")
    m.write_text("README.md", "")
    shutil.rmtree(m.folder)
    os.makedirs(m.folder)
    says("an empty folder", m.run(), 3, "holds no weights",
         "model.safetensors")


def main():
    base = tempfile.mkdtemp(prefix="mlbroken.")
    try:
        for test in (shards, revisions, values, swapped, tokenizers, large,
                     halves, pointers, gated):
            test(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
