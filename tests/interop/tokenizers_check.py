#!/usr/bin/env python3
"""Compare our tokenizer with the `tokenizers` library, id by id.

    python3 tokenizers_check.py [--texts N] [--seed N] [TOKENIZER.JSON ...]

Needs a Python that can import `tokenizers`, and the environment variable
TOKENIZE: the program built from tests/interop/tokenize.c (without it, make
builds the program).  Tokenizers are the ones of this repository, those named,
and many made here: trained on a text made up here and then changed in every
component we support.  Each sees random texts and random ids.  Prints TAP.

One difference is known and kept out of the texts: the library's tables for
normal forms are older than ours, so marks younger than Unicode 3.2 are left
out where a normal form is taken.
"""
# packages: tokenizers sentencepiece tiktoken
import argparse
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ["RUST_BACKTRACE"] = "0"  # the library's panics are expected

from tokenizers import (Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, trainers)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
        r"\s+(?!\S)|\s+")
MARK = "\u2581"

WORDS = ("the of and to in model weights tensor file is that it was for on are "
         "with as his they at be this from have or by one had not but what all "
         "were when we there can an your which their said if do will each how "
         "I'm don't it's we'll they've you're he'd Zürich naïve café Привет "
         "мир 你好 世界 日本語 Ελληνικά 12345 2024 3.14 x=1; {} () -> == !!").split()


def corpus(rng, lines=3000):
    out = []
    for _ in range(lines):
        line = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 14)))
        out.append(line + rng.choice(["", ".", "\n", "  \n\n", "?", "\t"]))
    return out


# ---- texts ----

def any_char(rng, old_only):
    while True:
        kind = rng.randrange(12)
        if kind < 5:
            cp = rng.randrange(0x20, 0x7F)
        elif kind == 5:
            cp = rng.randrange(0x80, 0x250)
        elif kind == 6:
            cp = rng.randrange(0x300, 0x370)
        elif kind == 7:
            cp = rng.randrange(0x370, 0x3400)
        elif kind == 8:
            cp = rng.choice([0x4E00 + rng.randrange(500),
                             0xAC00 + rng.randrange(11172),
                             0x1100 + rng.randrange(0x100),
                             0xF900 + rng.randrange(0x700)])
        elif kind == 9:
            cp = rng.randrange(0x10000)
        elif kind == 10:
            cp = rng.choice([0x1F600, 0x1F468, 0x200D, 0xFE0F, 0x1F1E9, 0x17F,
                             0x212A, 0x85, 0xA0, 0x2028, 0x3000, 0xFEFF, 0x2581,
                             0xFFFD, 0xAD, 0x1, 0x7F, 0xDF, 0x130, 0xB2, 0x2167])
        else:
            cp = rng.randrange(0x110000)
        if 0xD800 <= cp < 0xE000 or cp == 0:
            continue
        if not old_only or is_old(chr(cp)):
            return chr(cp)


def is_old(c):
    """Known to Unicode 3.2, and so are the parts it is made of."""
    return all(unicodedata.ucd_3_2_0.category(d) != "Cn"
               for d in unicodedata.normalize("NFD", c))


def any_piece(rng, specials, old_only):
    kind = rng.randrange(14)
    if kind < 4:
        return rng.choice(["", " "]) + rng.choice(WORDS)
    if kind == 4:
        return rng.choice([" ", "  ", "   ", " " * rng.randrange(1, 40), "\n",
                           "\r\n", "\n\n", "\t", "\t\t", " \n ", "\u3000",
                           " \u00a0 ", "\u2581", "\u2581\u2581", " \u2581"])
    if kind == 5 and specials:
        return rng.choice(specials)
    if kind == 6 and specials:
        text = rng.choice(specials)
        return text[:rng.randrange(len(text) + 1)]
    if kind == 7:
        return rng.choice(["'s", "'S", "'ll", "'LL", "'Ll", "'\u017f", "'x", "''",
                           "'re'", "'VE", "'d", "'M "])
    if kind == 8:
        return str(rng.randrange(10 ** rng.randrange(1, 12)))
    if kind == 9:
        base = rng.choice("aeiouAEOUнcs\u0a38\u1112")
        return base + "".join(chr(0x300 + rng.randrange(0x30))
                              for _ in range(rng.randrange(1, 6)))
    if kind == 10:
        return rng.choice("!?.,;:-_=+*/\\|<>[]{}()@#$%^&~`\"") * \
            rng.randrange(1, 6)
    return "".join(any_char(rng, old_only) for _ in range(rng.randrange(1, 8)))


def any_text(rng, specials, old_only):
    n = rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 30])
    return "".join(any_piece(rng, specials, old_only) for _ in range(n))


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

class Ours:
    def __init__(self, program, path):
        self.p = subprocess.Popen([program, path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        try:
            self.p.stdin.write(line + "\n")
            self.p.stdin.flush()
        except BrokenPipeError:
            return "! it ended"
        return self.p.stdout.readline().rstrip("\n")

    def encode(self, text, special):
        out = self.ask(("E " if special else "e ") + text.encode().hex())
        return out if out.startswith("!") else [int(x) for x in out.split()]

    def markup(self, text):
        out = self.ask("m " + text.encode().hex())
        return out if out.startswith("!") else [int(x) for x in out.split()]

    def decode(self, ids, special):
        out = self.ask(("D" if special else "d") +
                       "".join(f" {i}" for i in ids))
        return out if out.startswith("!") else bytes.fromhex(out).decode()

    def close(self):
        self.p.kill()
        self.p.wait()


def has_form(doc):
    text = json.dumps(doc["normalizer"])
    return "NFC" in text or "NFD" in text


def compare(rng, doc, path, program, n):
    """The first difference as text, or None."""
    theirs = Tokenizer.from_file(path)
    specials = [t["content"] for t in doc["added_tokens"]]
    size = max(theirs.get_vocab(with_added_tokens=True).values()) + 1
    ours = Ours(program, path)
    panics = 0
    try:
        for i in range(n):
            text = any_text(rng, specials, has_form(doc))
            special = bool(i % 2)
            try:
                want = theirs.encode(text, add_special_tokens=special).ids
                ids = want if i % 3 else [
                    rng.randrange(size + 3) for _ in range(rng.randrange(12))]
                text2 = theirs.decode(ids, skip_special_tokens=not special)
            except BaseException as e:
                if type(e).__name__ != "PanicException":
                    raise
                panics += 1  # the library's own bug: nothing to compare
                continue
            got = ours.encode(text, special)
            if got != want:
                return f"encode {special} {text!r}: got {got} want {want}"
            got = ours.decode(ids, special)
            if got != text2:
                return f"decode {special} {ids}: got {got!r} want {text2!r}"
    finally:
        ours.close()
    if panics * 10 > n:
        return f"the library panicked on {panics} of {n} texts"
    return None


def build():
    target = os.environ.get("BUILD_DIR", "build/release")
    program = f"{target}/tests/interop/tokenize"
    subprocess.run(["make", "-s", "-C", ROOT,
                    f"BUILD={os.path.basename(target)}", program], check=True,
                   stdout=sys.stderr)
    return os.path.join(ROOT, program)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--texts", type=int, default=1000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--only", default="", help="part of a tokenizer's name")
    args.add_argument("files", nargs="*")
    args = args.parse_args()
    rng = random.Random(args.seed)
    program = os.environ.get("TOKENIZE") or build()
    n = failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "tokenizer.json")
        for make in (files(args.files), byte_level(rng), pieces(rng),
                     unigrams(rng)):
            for name, doc in make:
                if args.only not in name:
                    continue
                with open(path, "w", encoding="utf-8") as f:
                    json.dump(doc, f, ensure_ascii=bool(n % 2))
                bad = compare(rng, doc, path, program, args.texts)
                n += 1
                failed += bad is not None
                print(f"{'not ' if bad else ''}ok {n} - {name}: same ids and "
                      "text as the tokenizers library", flush=True)
                if bad:
                    print(f"#   {bad}")
    print(f"1..{n}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
