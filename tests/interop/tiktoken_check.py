#!/usr/bin/env python3
"""Compare our reader of tiktoken tables with the `tiktoken` library.

    python3 tiktoken_check.py [--texts N] [--seed N]

Tables are trained here and filled up with tokens that stand in no text to the
size that names a family: its size chooses the regular expression.
"""
# packages: tokenizers sentencepiece tiktoken protobuf
import base64
import sys
import unicodedata

import tiktoken

import tokentexts
from tokenizers_check import GPT2, LLAMA3, QWEN2, trained

# name of the file, tokens in the table, expression, normal form, first
# special token and its id
FAMILIES = [
    ("tokenizer.model", 128000, LLAMA3, None, "<|begin_of_text|>", 128000),
    ("cl100k_base.tiktoken", 100256, LLAMA3, None, "<|endoftext|>", 100257),
    ("arcade100k.tiktoken", 100256, QWEN2, "NFC", "<|im_start|>", 100277),
    ("qwen.tiktoken", 151643, QWEN2, "NFC", "<|im_end|>", 151645),
    ("r50k_base.tiktoken", 50256, GPT2, None, "<|endoftext|>", 50256),
]


def ranks_of(doc, size):
    """Bytes to rank: the 256 bytes first, then the trained tokens."""
    # the visible character of each byte
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in keep]
    byte_of = {chr(b): b for b in keep}
    byte_of.update({chr(0x100 + i): b for i, b in enumerate(rest)})
    ranks = {bytes([b]): b for b in range(256)}
    for token, _ in sorted(doc["model"]["vocab"].items(), key=lambda x: x[1]):
        if all(c in byte_of for c in token) and len(token) > 1:
            ranks.setdefault(bytes(byte_of[c] for c in token), len(ranks))
    while len(ranks) < size:
        ranks[b"\xff\xfe" + len(ranks).to_bytes(4, "big")] = len(ranks)
    return ranks


class Theirs:
    def __init__(self, check, family, ranks):
        _, self.size, regex, self.form, self.special, special_id = family
        self.check = check
        self.enc = tiktoken.Encoding(
            "test", pat_str=regex, mergeable_ranks=ranks,
            special_tokens={self.special: special_id})

    def rows(self, _, texts):
        shown = [unicodedata.normalize(self.form, x) if self.form else x
                 for x in texts]
        encoded = self.enc.encode_batch(shown, disallowed_special=())
        ids = tokentexts.some_ids(self.check.rng, encoded, self.size)
        rows = [(tokentexts.ENCODE, *row) for row in zip(texts, encoded)]
        rows += [(tokentexts.DECODE, *row)
                 for row in zip(ids, self.enc.decode_batch(ids))]
        if self.form is None:
            marked = [x for x in texts if self.special in x]
            rows += [(tokentexts.MARKUP, *row) for row in zip(
                marked, self.enc.encode_batch(marked, allowed_special="all"))]
        return rows


def main():
    check = tokentexts.Check(__doc__)
    docs = {r: trained(check.rng, r) for r in (LLAMA3, QWEN2)}
    docs[GPT2] = trained(check.rng, None)
    for family in FAMILIES:
        if not check.wanted(family[0]):
            continue
        path = check.path(family[0])
        ranks = ranks_of(docs[family[2]], family[1])
        with open(path, "w", encoding="ascii") as f:
            for token, rank in ranks.items():
                f.write(f"{base64.b64encode(token).decode()} {rank}\n")
        theirs = Theirs(check, family, ranks)
        check.tokenizer(f"{family[0]} of {family[1]} tokens", path, "tiktoken",
                        True, [theirs.special], theirs.form is not None,
                        theirs.rows)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
