"""What the checks of tokenizers against other libraries share: texts made up
by chance, our tokenizer behind a pipe, and the comparison.

Many texts go through one process (tokenize.c): a hundred thousand take
seconds.  How many each tokenizer sees is --texts or TOKENIZER_TEXTS; the plain
one of each kind sees all of them, the others a tenth.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BATCH = 2500

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


def program():
    """Built beside the others: a make of ours would build them anew under the
    tests that run at the same time."""
    built = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"),
                         "tests/interop/tokenize")
    if not os.path.exists(built):
        sys.exit(f"{built} is not there: make unit")
    return built


# ---- the comparison ----

ENCODE, ENCODE_ENDS, MARKUP, DECODE, DECODE_SPECIAL = "eEmdD"


def question(op, what):
    if op in "eEm":
        return f"{op} {what.encode().hex()}"
    return f"{op} " + " ".join(map(str, what))


def answer(op, want):
    if op in "eEm":
        return " ".join(map(str, want))
    return want.encode().hex()


def readable(op, got):
    if op in "eEm" or got.startswith("!"):
        return got
    return repr(bytes.fromhex(got).decode())


def difference(program, path, rows):
    """The first of the rows (op, text or ids, wanted) that we answer in
    another way, as text; or None."""
    lines = [question(op, what) + "\n" for op, what, _ in rows]
    done = subprocess.run([program, path], input="".join(lines), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    answers = done.stdout.split("\n")[:-1]
    for i, (op, what, want) in enumerate(rows):
        got = answers[i] if i < len(answers) else f"! ended: {answers[-1:]}"
        if got != answer(op, want):
            return (f"{op} {what!r}: got {readable(op, got)} "
                    f"want {want!r}")
    if done.returncode != 0 or len(answers) != len(rows):
        return f"{len(answers)} answers, exit status {done.returncode}"
    return None


def some_ids(rng, encoded, size):
    """The ids of texts, every third replaced by any ids."""
    return [ids if i % 3 else
            [rng.randrange(size) for _ in range(rng.randrange(12))]
            for i, ids in enumerate(encoded)]


class Check:
    """Command line, texts, and one line of TAP for each tokenizer."""

    def __init__(self, about):
        args = argparse.ArgumentParser(
            description=about, formatter_class=argparse.RawTextHelpFormatter)
        args.add_argument("--texts", type=int, default=int(
            os.environ.get("TOKENIZER_TEXTS", "1000")))
        args.add_argument("--seed", type=int, default=1)
        args.add_argument("--only", default="", help="part of a name")
        args.add_argument("files", nargs="*")
        self.args = args.parse_args()
        self.rng = random.Random(self.args.seed)
        self.program = program()
        self.folder = tempfile.TemporaryDirectory()
        self.n = self.failed = self.texts = 0

    def wanted(self, name):
        return self.args.only in name

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def tokenizer(self, name, path, library, plain, words, old_only, rows):
        """Compare one: rows(batch, texts) are what the library answers."""
        total = self.args.texts
        if not plain:
            total = max(total // 10, min(total, 200))
        size = max(1, min(BATCH, total // 4))
        bad = None
        done = 0
        while bad is None and done < total:
            texts = [any_text(self.rng, words, old_only)
                     for _ in range(min(size, total - done))]
            bad = difference(self.program, path, rows(done // size, texts))
            done += len(texts)
        self.line(bad, f"{name}: same ids and text as the {library} library "
                  f"on {total} texts")
        self.texts += done
        if self.n == 1:
            self.control(path, rows)

    def control(self, path, rows):
        """A comparison that finds nothing must be able to find."""
        wrong = rows(0, ["one of them"])[:1]
        wrong = [(op, what, want[:-1]) for op, what, want in wrong]
        seen = difference(self.program, path, wrong)
        self.line(None if seen else "no difference",
                  "control: one id too few is a difference")

    def line(self, bad, what):
        self.n += 1
        self.failed += bad is not None
        print(f"{'not ' if bad else ''}ok {self.n} - {what}", flush=True)
        if bad:
            print(f"#   {bad}", flush=True)

    def end(self):
        self.folder.cleanup()
        print(f"# {self.texts} texts\n1..{self.n}")
        return self.failed > 0
