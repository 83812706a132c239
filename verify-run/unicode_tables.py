#!/usr/bin/env python3
"""Write the two files of tables: what the tokenizers need of Unicode.

    python3 unicode_tables.py CLASSES > unicode_tables.c
    python3 unicode_tables.py > unicode_forms.c

CLASSES lists ranges, one a line: a class (L letters, N numbers), the first
and the last code point in hexadecimal; lines with # are comments.  These two
classes decide word borders, so they follow the engine the tokenizers were
trained with.  Everything else comes from this Python's unicodedata:
canonical decompositions, their inverse, combining classes, and the word
characters of regular expressions (\\w).
"""
import sys
import unicodedata

LAST = 0x110000

# \w has these, no category of Unicode 15.1 does: letters by use that are
# symbols (Other_Alphabetic), the two joiners, and what Unicode 16 added.
WORD_EXTRA = (
    (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169),
    (0x1F170, 0x1F189), (0x200C, 0x200D),
    (0x897, 0x897), (0x10D69, 0x10D6D), (0x10EFC, 0x10EFC),
    (0x113B8, 0x113C0), (0x113C2, 0x113C2), (0x113C5, 0x113C5),
    (0x113C7, 0x113CA), (0x113CC, 0x113D0), (0x113D2, 0x113D2),
    (0x113E1, 0x113E2), (0x11F5A, 0x11F5A), (0x1611E, 0x1612F),
    (0x1E5EE, 0x1E5EF))


def read_classes(path):
    out = {"L": set(), "N": set()}
    with open(path, encoding="ascii") as f:
        for line in f:
            part = line.split("#")[0].split()
            if part and part[0] in out:
                out[part[0]].update(range(int(part[1], 16),
                                          int(part[2], 16) + 1))
    return out["L"], out["N"]


def ranges(points):
    rows = []
    for cp in sorted(points):
        if rows and rows[-1][1] == cp - 1:
            rows[-1][1] = cp
        else:
            rows.append([cp, cp])
    return rows


def words(letters, numbers):
    """Word characters that are no letters."""
    out = set()
    for first, last in WORD_EXTRA:
        out.update(range(first, last + 1))
    for cp in range(LAST):
        cat = unicodedata.category(chr(cp))
        if cat[0] == "M" or cat in ("Nd", "Nl", "Pc"):
            out.add(cp)
        elif cat == "Cn" and cp in numbers:
            out.add(cp)
    return ranges(out - letters)


def combining():
    rows = []
    for cp in range(LAST):
        ccc = unicodedata.combining(chr(cp))
        if ccc and rows and rows[-1][1:] == [cp - 1, ccc]:
            rows[-1][1] = cp
        elif ccc:
            rows.append([cp, cp, ccc])
    return rows


def decompositions():
    """One step each: (cp, one) and (cp, first, second); Hangul is arithmetic."""
    singles, pairs = [], []
    for cp in range(LAST):
        text = unicodedata.decomposition(chr(cp))
        if not text or text[0] == "<":
            continue
        to = [int(x, 16) for x in text.split()]
        (pairs if len(to) == 2 else singles).append([cp] + to)
    return singles, pairs


def compositions(pairs):
    """Places in pairs that compose again, ordered by (first, second)."""
    keep = [i for i, (cp, _, _) in enumerate(pairs)
            if unicodedata.normalize("NFC", chr(cp)) == chr(cp)]
    return sorted(keep, key=lambda i: pairs[i][1:])


def show(name, kind, numbers, form):
    print(f"\nconst {kind} {name}[] = {{")
    line = ""
    for number in numbers:
        word = form.format(number)
        if len(line) + len(word) > 80:
            print(line)
            line = ""
        line += word
    print(line)
    print("};")


def table(name, rows):
    show(name, "uint32_t", [x for row in rows for x in row], "0x{:X},")
    print(f"const size_t {name}_n = {len(rows)};")


def write_classes(path):
    letters, numbers = read_classes(path)
    table("unicode_letters", ranges(letters))
    table("unicode_numbers", ranges(numbers))
    table("unicode_words", words(letters, numbers))
    table("unicode_combining", combining())


def write_forms():
    singles, pairs = decompositions()
    order = compositions(pairs)
    table("unicode_singles", singles)
    table("unicode_pairs", pairs)
    show("unicode_composed", "uint16_t", order, "{},")
    print(f"const size_t unicode_composed_n = {len(order)};")


def main():
    print("/* Written by unicode_tables.py from Unicode "
          f"{unicodedata.unidata_version}; not edited by hand. */")
    print("/* clang-format off */")
    print('#include "verify-run/unicode_tables.h"')
    if len(sys.argv) == 2:
        write_classes(sys.argv[1])
    else:
        write_forms()


main()
