#!/usr/bin/env python3
"""Compare our tokenizer with the `tokenizers` library, id by id.

    python3 tokenizers_check.py [--texts N] [--seed N] [TOKENIZER.JSON ...]

Needs the program built from tests/interop/tokenize.c (make unit). Tokenizers
are the ones of this repository, those named, and many made here: trained on a
text made up here and then changed in every component we support.  Each sees
random texts and random ids.  Prints TAP.

One difference is known and kept out of the texts: the library's tables for
normal forms are older than ours, so marks younger than Unicode 3.2 are left
out where a normal form is taken.
"""
# packages: tokenizers sentencepiece tiktoken protobuf
import copy
import json
import os
import sys

os.environ["RUST_BACKTRACE"] = "0"  # the library's panics are expected

from tokenizers import (Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, trainers)

import tokentexts
from tokentexts import ROOT, corpus

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
        r"\s+(?!\S)|\s+")
MARK = "\u2581"

# ---- tokenizers ----

def trained(rng, regex, vocab=700, seed_bytes=True):
    tok = Tokenizer(models.BPE())
    if regex is None:
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tok.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if seed_bytes else []
    tok.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=alphabet, show_progress=False,
        special_tokens=["<|end|>", "<|pad|>"]))
    return json.loads(tok.to_str())


def trained_pieces(rng, vocab=500):
    """Characters instead of bytes, as SentencePiece has them."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True,
                               byte_fallback=True))
    tok.normalizer = normalizers.Sequence([
        normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    tok.decoder = decoders.Sequence([
        decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tok.pre_tokenizer = pre_tokenizers.Split(MARK, "merged_with_next")
    tok.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=vocab + len(specials), special_tokens=specials,
        show_progress=False))
    doc = json.loads(tok.to_str())
    doc["pre_tokenizer"] = None
    doc["added_tokens"] = doc["added_tokens"][:3]
    doc["post_processor"] = template([1], [])
    return doc


def trained_unigram(rng, vocab=500, **model):
    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.decoder = decoders.Metaspace()
    tok.train_from_iterator(corpus(rng), trainers.UnigramTrainer(
        vocab_size=vocab, special_tokens=["<unk>", "<s>"], unk_token="<unk>",
        show_progress=False))
    doc = json.loads(tok.to_str())
    doc["model"].update(model)
    doc["post_processor"] = template([1], [])
    return doc


def with_bytes(doc, step=1):
    """Every so many of the byte pieces, and byte fallback."""
    doc = copy.deepcopy(doc)
    doc["model"]["vocab"] += [[f"<0x{b:02X}>", -30.0]
                              for b in range(0, 256, step)]
    doc["model"]["byte_fallback"] = True
    return doc


def equal(doc, step):
    """Scores that are often equal, and sums that are nearly so."""
    doc = copy.deepcopy(doc)
    for entry in doc["model"]["vocab"]:
        entry[1] = round(entry[1] / step) * step
    return doc


def more(doc, **parts):
    return dict(copy.deepcopy(doc), **parts)


def unigrams(rng):
    base = trained_unigram(rng)
    fallback = seq("decoders", {"type": "ByteFallback"}, metaspace("always"))
    yield "unigram", base
    yield "unigram of one word", more(base, pre_tokenizer=None, normalizer=seq(
        "normalizers", {"type": "Prepend", "prepend": MARK},
        {"type": "Replace", "pattern": {"String": " "}, "content": MARK}))
    yield "unigram, runs of spaces made one", more(base, normalizer={
        "type": "Replace", "pattern": {"Regex": " {2,}"}, "content": MARK})
    yield "unigram, byte fallback", more(with_bytes(base), decoder=fallback)
    yield "unigram, half of the bytes", more(with_bytes(base, 2),
                                             decoder=fallback)
    yield "unigram, equal scores", equal(base, 3)
    yield "unigram, scores in tenths", equal(base, 0.1)
    yield "unigram, pieces of SentencePiece's size", trained_unigram(rng, 1500)
    added = copy.deepcopy(base)
    ids = {v[0]: i for i, v in enumerate(base["model"]["vocab"])}
    for content, flags in ADDED:
        token = {"id": ids.setdefault(content, len(ids)), "content": content,
                 "special": False, "single_word": False, "lstrip": False,
                 "rstrip": False, "normalized": True}
        added["added_tokens"].append({**token, **flags})
    yield "unigram, added tokens", added
    for scheme in ("first", "never"):
        yield f"unigram, Metaspace {scheme}", more(
            base, pre_tokenizer=metaspace(scheme), decoder=metaspace(scheme))


def template(before, after):
    def piece(i):
        return {"SpecialToken": {"id": f"t{i}", "type_id": 0}}
    return {"type": "TemplateProcessing",
            "single": [piece(i) for i in before] +
            [{"Sequence": {"id": "A", "type_id": 0}}] +
            [piece(i) for i in after],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {f"t{i}": {"id": f"t{i}", "ids": [i],
                                         "tokens": [f"t{i}"]}
                               for i in before + after}}


def changed(doc, model=None, added=(), drop=(), **parts):
    doc = copy.deepcopy(doc)
    doc.update(parts)
    doc["model"].update(model or {})
    for text in drop:
        del doc["model"]["vocab"][text]
    if drop:
        gone = set(drop)
        doc["model"]["merges"] = [
            m for m in doc["model"]["merges"]
            if not gone & {m[0], m[1], m[0] + m[1]}]
        renumber(doc)
    next_id = max(list(doc["model"]["vocab"].values()) +
                  [a["id"] for a in doc["added_tokens"]]) + 1
    for content, flags in added:
        token = {"id": next_id, "content": content, "special": False,
                 "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": True}
        token.update(flags)
        known = doc["model"]["vocab"].get(content)
        if known is not None:
            token["id"] = known
        else:
            next_id += 1
        doc["added_tokens"].append(token)
    return doc


def renumber(doc):
    """Ids without holes, as the library wants them."""
    order = sorted(doc["model"]["vocab"].items(), key=lambda kv: kv[1])
    doc["model"]["vocab"] = {text: i for i, (text, _) in enumerate(order)}
    for token in doc["added_tokens"]:
        token["id"] = doc["model"]["vocab"][token["content"]]


def old_merges(doc):
    doc = copy.deepcopy(doc)
    doc["model"]["merges"] = [" ".join(m) for m in doc["model"]["merges"]]
    return doc


ADDED = [("<|im|>", {"special": True, "normalized": False}),
         ("<|im_start|>", {"special": True, "normalized": False}),
         ("[L]", {"lstrip": True, "normalized": False}),
         ("[R]", {"rstrip": True, "normalized": False}),
         ("[B]", {"lstrip": True, "rstrip": True, "special": True,
                  "normalized": False}),
         ("word", {"single_word": True, "normalized": False}),
         ("é", {"single_word": True}),
         ("they", {"single_word": True, "lstrip": True, "rstrip": True}),
         ("   ", {}), ("  ", {}), ("     ", {}), ("\n\n", {"rstrip": True}),
         ("ab", {}), ("abc", {}), ("abcd", {"normalized": False})]


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior,
            "invert": invert}


def metaspace(scheme, cut=True):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme,
            "split": cut}


def seq(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
         "use_regex": False}


def byte_level(rng):
    gpt2 = trained(rng, None)
    llama = trained(rng, LLAMA3)
    qwen = trained(rng, QWEN2)
    yield "gpt2", gpt2
    yield "llama3", llama
    yield "qwen2", qwen
    yield "gpt2 with merges as strings", old_merges(gpt2)
    yield "gpt2 with a space in front", changed(gpt2, pre_tokenizer=dict(
        BYTES, add_prefix_space=True, use_regex=True))
    yield "gpt2 regex as Split", changed(gpt2, pre_tokenizer=seq(
        "pretokenizers", split({"Regex": GPT2}, "Isolated"), BYTES))
    for behavior in ("Removed", "MergedWithPrevious", "Contiguous"):
        yield f"llama3 inverted {behavior}", changed(
            llama, pre_tokenizer=seq(
                "pretokenizers", split({"Regex": LLAMA3}, behavior, True),
                BYTES))
    yield "llama3 ignore_merges", changed(llama, {"ignore_merges": True},
                                          post_processor=template([0], [1]))
    few = dict(list(llama["model"]["vocab"].items()))
    yield "llama3 ignore_merges, half of the merges", changed(
        llama, {"ignore_merges": True, "vocab": few,
                "merges": llama["model"]["merges"][::2]})
    for form in ("NFC", "NFD"):
        yield f"gpt2 {form}, added tokens", changed(
            gpt2, added=ADDED, normalizer={"type": form})
    yield "qwen2 NFC, added tokens, sequence of post-processors", changed(
        qwen, added=ADDED, normalizer=seq("normalizers", {"type": "NFC"}),
        post_processor=seq("processors", dict(BYTES), template([0], [1, 0])))
    yield "gpt2 without half of the bytes, unk", changed(
        gpt2, {"unk_token": "<|pad|>"},
        drop=[t for t in gpt2["model"]["vocab"] if len(t) == 1 and
              ord(t) % 2])
    yield "gpt2 without half of the bytes, no unk", changed(
        gpt2, drop=[t for t in gpt2["model"]["vocab"] if len(t) == 1 and
                    ord(t) % 2])
    yield "ByteLevel as normalizer", changed(
        gpt2, normalizer={"type": "ByteLevel"},
        pre_tokenizer=split({"String": "\u0120"}, "MergedWithNext"))
    yield "Digits before ByteLevel", changed(gpt2, pre_tokenizer=seq(
        "pretokenizers", {"type": "Digits", "individual_digits": True},
        dict(BYTES, use_regex=True)))
    yield "Digits in runs before ByteLevel", changed(gpt2, pre_tokenizer=seq(
        "pretokenizers", {"type": "Digits", "individual_digits": False}, BYTES))


def pieces(rng):
    base = trained_pieces(rng)
    yield "pieces", base
    yield "pieces with merges as strings", old_merges(base)
    yield "pieces, added tokens", changed(base, added=ADDED)
    yield "pieces, no bytes, fused unk", changed(base, {"byte_fallback": False})
    yield "pieces, no bytes, single unks", changed(
        base, {"byte_fallback": False, "fuse_unk": False})
    for fuse in (True, False):
        yield f"pieces, half of the bytes, fuse_unk {fuse}", changed(
            base, {"fuse_unk": fuse},
            drop=[f"<0x{b:02X}>" for b in range(0x80, 0x100, 3)])
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield f"Metaspace {scheme} {cut}", changed(
                base, added=ADDED, normalizer=None,
                pre_tokenizer=metaspace(scheme, cut),
                decoder=metaspace(scheme, cut))
    yield "Metaspace first after Strip and Split", changed(
        base, added=[a for a in ADDED if a[0].strip()],
        normalizer={"type": "Strip", "strip_left": True, "strip_right": True},
        pre_tokenizer=seq("pretokenizers", split({"String": "e"}, "Removed"),
                          metaspace("first")),
        decoder=seq("decoders", {"type": "ByteFallback"}, metaspace("first")))
    for behavior in ("Removed", "Isolated", "MergedWithPrevious",
                     "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"Split {behavior} {invert}", changed(
                base, pre_tokenizer=split({"String": MARK}, behavior, invert),
                decoder=None)
    yield "Strip, Replace, NFD", changed(
        base, decoder=seq("decoders", {"type": "Fuse"},
                          {"type": "Strip", "content": MARK,
                           "start": 2, "stop": 1}),
        normalizer=seq(
            "normalizers",
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "NFD"},
            {"type": "Replace", "pattern": {"String": "aa"}, "content": "a"},
            {"type": "Replace", "pattern": {"String": "t"}, "content": ""},
            {"type": "Prepend", "prepend": "xy"}))


def files(named):
    known = ["tests/model/tiny-neox/tokenizer.json",
             "tests/fixtures/llama/safetensors/tokenizer.json"]
    for path in [os.path.join(ROOT, k) for k in known] + named:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                yield os.path.relpath(path, ROOT), json.load(f)


# ---- the comparison ----

def has_form(doc):
    text = json.dumps(doc["normalizer"])
    return "NFC" in text or "NFD" in text


class Theirs:
    """The library.  Its panics are its own bugs: nothing to compare then."""

    def __init__(self, check, path):
        self.check = check
        self.tok = Tokenizer.from_file(path)
        self.size = max(self.tok.get_vocab(with_added_tokens=True).values()) + 1
        self.panics = 0

    def each(self, batch, single, inputs):
        """Answers to all at once, or one by one, None where it panics."""
        try:
            return batch(inputs)
        except BaseException as e:
            if type(e).__name__ != "PanicException":
                raise
        answers = []
        for x in inputs:
            try:
                answers.append(single(x))
            except BaseException as e:
                if type(e).__name__ != "PanicException":
                    raise
                answers.append(None)
                self.panics += 1
        return answers

    def rows(self, batch, texts):
        special = bool(batch % 2)
        encoded = self.each(
            lambda x: self.tok.encode_batch_fast(
                x, add_special_tokens=special),
            lambda x: self.tok.encode(x, add_special_tokens=special), texts)
        encoded = [None if x is None else x.ids for x in encoded]
        ids = tokentexts.some_ids(
            self.check.rng, [x or [] for x in encoded], self.size + 3)
        decoded = self.each(
            lambda x: self.tok.decode_batch(
                x, skip_special_tokens=not special),
            lambda x: self.tok.decode(x, skip_special_tokens=not special), ids)
        encode = tokentexts.ENCODE_ENDS if special else tokentexts.ENCODE
        decode = tokentexts.DECODE_SPECIAL if special else tokentexts.DECODE
        rows = [(encode, *row) for row in zip(texts, encoded)]
        rows += [(decode, *row) for row in zip(ids, decoded)]
        return [row for row in rows if row[2] is not None]


# The plain ones: the others are these, changed.
PLAIN = ["gpt2", "llama3", "qwen2", "pieces", "unigram"]


def main():
    check = tokentexts.Check(__doc__)
    path = check.path("tokenizer.json")
    for make in (files(check.args.files), byte_level(check.rng),
                 pieces(check.rng), unigrams(check.rng)):
        for name, doc in make:
            if not check.wanted(name):
                continue
            with open(path, "w", encoding="utf-8") as f:
                json.dump(doc, f, ensure_ascii=bool(check.n % 2))
            theirs = Theirs(check, path)
            before = check.texts
            check.tokenizer(
                name, path, "tokenizers", name in PLAIN,
                [t["content"] for t in doc["added_tokens"]], has_form(doc),
                theirs.rows)
            if theirs.panics * 10 > check.texts - before:
                check.line(f"{theirs.panics} panics",
                           f"{name}: the library answers")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
