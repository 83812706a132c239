#!/usr/bin/env python3
"""Compare our reader of SentencePiece models with the `sentencepiece` library.

    python3 sentencepiece_check.py [--texts N] [--seed N] [MODEL ...]

Models are trained here, on a text made up here, with every setting that
changes ids, and changed afterwards in ways no trainer does.  Each sees random
texts and random ids.  The rest is as in tokenizers_check.py.
"""
# packages: tokenizers sentencepiece tiktoken protobuf
import io
import os
import sys

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb

import tokentexts
from tokentexts import corpus

NORMAL, UNKNOWN, CONTROL, USER, UNUSED = 1, 2, 3, 4, 5
USERS = ["<sep>", "ab", "abc", "don", "\u2581the", "  ", "\u00e9", "12", "x=1"]
CONTROLS = ["<cls>", "<pad2>", "q"]


def train(rng, **settings):
    out = io.BytesIO()
    lines = [line.strip() or "a" for line in corpus(rng, 4000)]
    settings = {"vocab_size": 600, "hard_vocab_limit": False, **settings}
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, minloglevel=2,
        num_threads=1, **settings)
    return out.getvalue()


def changed(model, change):
    proto = pb.ModelProto()
    proto.ParseFromString(model)
    change(proto)
    return proto.SerializeToString()


def unused(step):
    """Every so many pieces are not to be used."""
    def change(proto):
        normal = [p for p in proto.pieces if p.type == NORMAL]
        for p in normal[::step]:
            if len(p.piece) > 1:
                p.type = UNUSED
    return change


def equal_scores(proto):
    for p in proto.pieces:
        p.score = float(round(p.score / 3) * 3)


def positive(proto):
    for i, p in enumerate(proto.pieces):
        p.score = p.score + i % 7 if p.type == NORMAL else p.score


def coarse(proto):
    """Few characters are left, so that much is unknown."""
    keep = [p for i, p in enumerate(proto.pieces)
            if p.type != NORMAL or len(p.piece) > 1 or i % 2]
    del proto.pieces[:]
    proto.pieces.extend(keep)


def spec(**fields):
    def change(proto):
        for name, value in fields.items():
            setattr(proto.normalizer_spec, name, value)
    return change


SETTINGS = [
    ("nmt_nfkc", {}),
    ("identity", {"normalization_rule_name": "identity"}),
    ("nfkc_cf", {"normalization_rule_name": "nfkc_cf"}),
    ("identity, byte fallback, no clean-up, as Llama 2", {
        "normalization_rule_name": "identity", "byte_fallback": True,
        "remove_extra_whitespaces": False, "vocab_size": 900,
        "split_digits": True, "allow_whitespace_only_pieces": True}),
    ("no dummy prefix", {"add_dummy_prefix": False}),
    ("no dummy prefix, no clean-up", {
        "add_dummy_prefix": False, "remove_extra_whitespaces": False}),
    ("white space as suffix", {"treat_whitespace_as_suffix": True}),
    ("user and control symbols", {
        "user_defined_symbols": USERS, "control_symbols": CONTROLS}),
    ("user symbols, identity, no clean-up, byte fallback", {
        "user_defined_symbols": USERS, "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False, "byte_fallback": True,
        "vocab_size": 900}),
    ("no splits", {"split_by_whitespace": False, "split_by_number": False,
                   "split_by_unicode_script": False}),
    ("other ids, no bos", {"unk_id": 3, "bos_id": -1, "eos_id": 1, "pad_id": 0,
                           "unk_surface": " ?? "}),
    ("few characters", {"character_coverage": 0.98}),
]

CHANGES = [
    ("every third piece unused", unused(3)),
    ("every second piece unused", unused(2)),
    ("equal scores", equal_scores),
    ("some scores above zero", positive),
    ("half of the characters", coarse),
    ("no escape", spec(escape_whitespaces=False)),
    ("clean-up taken away", spec(remove_extra_whitespaces=False)),
]


def models(rng, named, only):
    for path in named:
        with open(path, "rb") as f:
            yield os.path.basename(path), f.read()
    for kind in ("unigram", "bpe"):
        for name, settings in SETTINGS:
            if only not in f"{kind}, {name}":
                continue
            model = train(rng, model_type=kind, **settings)
            yield f"{kind}, {name}", model
            if name.startswith(("nmt_nfkc", "identity", "user and")):
                for word, change in CHANGES:
                    yield f"{kind}, {name}, {word}", changed(model, change)


class Theirs:
    def __init__(self, check, model):
        self.check = check
        self.sp = spm.SentencePieceProcessor(model_proto=model)
        self.size = self.sp.get_piece_size()

    def words(self):
        some = [self.sp.id_to_piece(self.check.rng.randrange(self.size))
                for _ in range(60)]
        return ([x.replace("\u2581", " ") for x in some] + USERS + CONTROLS +
                ["<s>", "</s>", "<unk>"])

    def rows(self, _, texts):
        encoded = self.sp.encode(texts)
        ids = tokentexts.some_ids(self.check.rng, encoded, self.size)
        rows = [(tokentexts.ENCODE, *row) for row in zip(texts, encoded)]
        return rows + [(tokentexts.DECODE, x, self.sp.decode(x) if x else "")
                       for x in ids]


# The plain ones: the others are these, changed.
PLAIN = ["nmt_nfkc", "identity, byte fallback, no clean-up, as Llama 2"]


def main():
    check = tokentexts.Check(__doc__)
    path = check.path("tokenizer.model")
    plain = [f"{kind}, {name}" for kind in ("unigram", "bpe")
             for name in PLAIN]
    for name, model in models(check.rng, check.args.files, check.args.only):
        with open(path, "wb") as f:
            f.write(model)
        theirs = Theirs(check, model)
        check.tokenizer(name, path, "sentencepiece", name in plain,
                        theirs.words(), False, theirs.rows)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
