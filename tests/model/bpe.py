#!/usr/bin/env python3
"""Train and run the two kinds of BPE tokenizer the test models use.  Standard library only.

    python3 bpe.py byte corpus.txt tokenizer.json     GPT-2 style, byte level (the GPT-NeoX demo model)
    python3 bpe.py spm  corpus.txt tokenizer.json     SentencePiece style, byte fallback (the Llama fixture)
    python3 bpe.py encode tokenizer.json TEXT         print the ids of TEXT

The byte-level file has the components of a Pythia tokenizer.json: NFC normalizer, ByteLevel pre-tokenizer,
post-processor and decoder, BPE with merges as strings, <|endoftext|> as id 0 and runs of spaces as added
tokens that are not special.  The other file has the components of a Llama-2 style tokenizer.json.
"""
import json
import sys
import unicodedata

VOCAB_BYTE = 508      # tokens in the byte-level file, added tokens included
VOCAB_SPM = 384
SPACE_RUNS = range(8, 1, -1)

WHITE = set(list(range(0x09, 0x0E)) + [0x20, 0x85, 0xA0, 0x1680] + list(range(0x2000, 0x200B))
            + [0x2028, 0x2029, 0x202F, 0x205F, 0x3000])


def byte_chars():
    """The visible character that stands for each byte in a byte-level vocabulary."""
    plain = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    table, extra = {}, 0
    for b in range(256):
        if b in plain:
            table[b] = chr(b)
        else:
            table[b] = chr(0x100 + extra)
            extra += 1
    return table


BYTE_CHAR = byte_chars()
CHAR_BYTE = {c: b for b, c in BYTE_CHAR.items()}


def kind(ch):
    if ord(ch) in WHITE:
        return "S"
    cat = unicodedata.category(ch)[0]
    return cat if cat in "LN" else "O"


def gpt2_words(text):
    """Split as the regular expression built into the ByteLevel pre-tokenizer does."""
    out, i, n = [], 0, len(text)
    while i < n:
        if text[i] == "'":
            took = next((len(c) for c in ("s", "t", "re", "ve", "m", "ll", "d") if text.startswith(c, i + 1)), 0)
            if took:
                out.append(text[i:i + 1 + took])
                i += 1 + took
                continue
        p = i + 1 if text[i] == " " and i + 1 < n and kind(text[i + 1]) != "S" else i
        k = kind(text[p])
        j = p
        while j < n and kind(text[j]) == k:
            j += 1
        if k == "S" and j < n and j - i > 1:
            j -= 1
        out.append(text[i:j])
        i = j
    return out


def learn(words, budget):
    """words: {tuple of symbols: count}.  Returns up to budget merges, most frequent pair first, ties by text."""
    merges = []
    while len(merges) < budget:
        pairs = {}
        for w, n in words.items():
            for pair in zip(w, w[1:]):
                pairs[pair] = pairs.get(pair, 0) + n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        joined = {}
        for w, n in words.items():
            joined_w = merge_pair(w, best)
            joined[joined_w] = joined.get(joined_w, 0) + n
        words = joined
    return merges


def merge_pair(w, pair):
    out, i = [], 0
    while i < len(w):
        if i + 1 < len(w) and (w[i], w[i + 1]) == pair:
            out.append(w[i] + w[i + 1])
            i += 2
        else:
            out.append(w[i])
            i += 1
    return tuple(out)


def added(i, content, special, normalized):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


def train_byte(text):
    counts = {}
    for w in gpt2_words(unicodedata.normalize("NFC", text)):
        key = tuple(BYTE_CHAR[b] for b in w.encode("utf-8"))
        counts[key] = counts.get(key, 0) + 1
    vocab = {"<|endoftext|>": 0, "<|padding|>": 1}
    for ch in sorted(BYTE_CHAR.values()):
        vocab[ch] = len(vocab)
    merges = learn(counts, VOCAB_BYTE - len(vocab) - len(SPACE_RUNS))
    for a, b in merges:
        vocab[a + b] = len(vocab)
    tokens = [added(0, "<|endoftext|>", True, False), added(1, "<|padding|>", True, False)]
    for n in SPACE_RUNS:
        tokens.append(added(len(vocab) + len(tokens) - 2, " " * n, False, True))
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": tokens,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": dict(level), "post_processor": dict(level), "decoder": dict(level),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False,
                  "vocab": vocab, "merges": [f"{a} {b}" for a, b in merges]},
    }


def train_spm(text):
    counts, chars = {}, {}
    for word in text.replace("\n", " ").split(" "):
        if word:
            w = tuple("\u2581" + word)
            counts[w] = counts.get(w, 0) + 1
            for c in w:
                chars[c] = chars.get(c, 0) + 1
    # frequent characters become pieces, rare ones are left to the byte fallback
    singles = sorted((c for c in chars if chars[c] >= 20), key=lambda c: (-chars[c], c))
    counts = {w: n for w, n in counts.items() if all(c in singles for c in w)}
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    learned = ["".join(m) for m in learn(counts, VOCAB_SPM - len(pieces) - len(singles))]
    vocab = {p: i for i, p in enumerate(pieces + learned + singles)}
    assert len(vocab) == VOCAB_SPM, len(vocab)
    merges = []
    for p in learned:
        splits = [(p[:k], p[k:]) for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
        merges += sorted(splits, key=lambda s: (vocab[s[0]], vocab[s[1]]))
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(0, "<unk>", True, False), added(1, "<s>", True, False), added(2, "</s>", True, False)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                      {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                    {"Sequence": {"id": "A", "type_id": 0}},
                                    {"SpecialToken": {"id": "<s>", "type_id": 1}},
                                    {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                  "vocab": vocab, "merges": [f"{a} {b}" for a, b in merges]},
    }


class Tokenizer:
    """Encoder and decoder for exactly the two forms written above."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            spec = json.load(f)
        self.level = (spec["pre_tokenizer"] or {}).get("type") == "ByteLevel"
        self.vocab = spec["model"]["vocab"]
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(spec["model"]["merges"])}
        self.added = spec["added_tokens"]
        self.text = {i: t for t, i in self.vocab.items()}
        self.text.update({t["id"]: t["content"] for t in self.added})
        self.special = {t["id"] for t in self.added if t["special"]}
        self.bos = [] if self.level else [1]

    def cut(self, pieces, tokens):
        """Split the strings of pieces at the added tokens, leftmost and longest first; ids stay ids."""
        out = []
        for p in pieces:
            if isinstance(p, int):
                out.append(p)
                continue
            start = i = 0
            while i < len(p):
                hit = max((t for t in tokens if p.startswith(t["content"], i)),
                          key=lambda t: len(t["content"]), default=None)
                if hit is None:
                    i += 1
                    continue
                if i > start:
                    out.append(p[start:i])
                out.append(hit["id"])
                i += len(hit["content"])
                start = i
            if start < len(p):
                out.append(p[start:])
        return out

    def normalize(self, s):
        return unicodedata.normalize("NFC", s) if self.level else "\u2581" + s.replace(" ", "\u2581")

    def merge(self, symbols):
        symbols = list(symbols)
        while len(symbols) > 1:
            ranks = [self.rank.get(p, 1 << 60) for p in zip(symbols, symbols[1:])]
            best = min(ranks)
            if best == 1 << 60:
                break
            i = ranks.index(best)
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        return symbols

    def word(self, w):
        if self.level:
            symbols = [BYTE_CHAR[b] for b in w.encode("utf-8")]
        else:
            symbols = []
            for c in w:
                symbols += [c] if c in self.vocab else [f"<0x{b:02X}>" for b in c.encode("utf-8")]
        return [self.vocab[s] for s in self.merge(symbols)]

    def encode(self, s):
        pieces = self.cut([s] if s else [], [t for t in self.added if not t["normalized"]])
        pieces = [p if isinstance(p, int) else self.normalize(p) for p in pieces]
        pieces = self.cut(pieces, [t for t in self.added if t["normalized"]])
        out = list(self.bos)
        for p in pieces:
            if isinstance(p, int):
                out.append(p)
            else:
                for w in gpt2_words(p) if self.level else [p]:
                    out += self.word(w)
        return out

    def decode(self, ids, skip_special=True):
        tokens = [self.text[i] for i in ids if not (skip_special and i in self.special)]
        if self.level:
            raw = b"".join(bytes(CHAR_BYTE[c] for c in t) if all(c in CHAR_BYTE for c in t) else t.encode("utf-8")
                           for t in tokens)
            return raw.decode("utf-8", "replace")
        s, run = "", b""
        for t in tokens + [""]:
            if len(t) == 6 and t.startswith("<0x"):
                run += bytes([int(t[3:5], 16)])
                continue
            try:
                s += run.decode("utf-8")
            except UnicodeDecodeError:          # one replacement character for each byte token of a bad run
                s += "\ufffd" * len(run)
            run = b""
            s += t.replace("\u2581", " ")
        return s[1:] if s.startswith(" ") else s


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("byte", "spm", "encode"):
        sys.exit(__doc__)
    if sys.argv[1] == "encode":
        t = Tokenizer(sys.argv[2])
        ids = t.encode(sys.argv[3])
        print(*ids)
        return
    with open(sys.argv[2], encoding="utf-8") as f:
        text = f.read()
    spec = train_byte(text) if sys.argv[1] == "byte" else train_spm(text)
    with open(sys.argv[3], "w", encoding="utf-8") as f:
        json.dump(spec, f, ensure_ascii=False, indent=2)
        f.write("\n")
    print(f"{sys.argv[3]}: {len(spec['model']['vocab'])} in the vocabulary, {len(spec['model']['merges'])} merges")


if __name__ == "__main__":
    main()
