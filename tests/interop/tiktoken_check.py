#!/usr/bin/env python3
"""Compare our reader of tiktoken tables with the `tiktoken` library.

    python3 tiktoken_check.py [--texts N] [--seed N]

Tables are trained here and filled up with tokens that stand in no text to the
size that names a family: its size chooses the regular expression.
"""
# packages: tokenizers sentencepiece tiktoken
import argparse
import base64
import os
import random
import sys
import tempfile
import unicodedata

import tiktoken

from tokenizers_check import (GPT2, LLAMA3, QWEN2, Ours, any_text, build,
                              trained)

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


def compare(rng, family, ranks, path, program, n):
    _, size, regex, form, special, special_id = family
    theirs = tiktoken.Encoding("test", pat_str=regex, mergeable_ranks=ranks,
                               special_tokens={special: special_id})
    ours = Ours(program, path)
    try:
        for i in range(n):
            text = any_text(rng, [special], form is not None)
            shown = unicodedata.normalize(form, text) if form else text
            want = theirs.encode(shown, disallowed_special=())
            got = ours.encode(text, False)
            if got != want:
                return f"encode {text!r}: got {got} want {want}"
            ids = want if i % 3 else [
                rng.randrange(size) for _ in range(rng.randrange(12))]
            got, text2 = ours.decode(ids, False), theirs.decode(ids)
            if got != text2:
                return f"decode {ids}: got {got!r} want {text2!r}"
            if form:
                continue
            want = theirs.encode(text, allowed_special="all")
            got = ours.markup(text)
            if got != want and special in text:
                return f"markup {text!r}: got {got} want {want}"
    finally:
        ours.close()
    return None


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--texts", type=int, default=1000)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    rng = random.Random(args.seed)
    program = os.environ.get("TOKENIZE") or build()
    failed = 0
    docs = {r: trained(rng, r) for r in (LLAMA3, QWEN2)}
    docs[GPT2] = trained(rng, None)
    with tempfile.TemporaryDirectory() as tmp:
        for n, family in enumerate(FAMILIES, 1):
            path = os.path.join(tmp, family[0])
            ranks = ranks_of(docs[family[2]], family[1])
            with open(path, "w", encoding="ascii") as f:
                for token, rank in ranks.items():
                    f.write(f"{base64.b64encode(token).decode()} {rank}\n")
            bad = compare(rng, family, ranks, path, program, args.texts)
            failed += bad is not None
            print(f"{'not ' if bad else ''}ok {n} - {family[0]} of "
                  f"{family[1]} tokens: same ids and text as the tiktoken "
                  "library", flush=True)
            if bad:
                print(f"#   {bad}")
    print(f"1..{len(FAMILIES)}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
