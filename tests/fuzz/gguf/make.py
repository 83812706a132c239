#!/usr/bin/env python3
"""Write the seeds beside this file: every kind of value, a few tensors."""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SCALARS = [(0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"),
           (6, "f"), (7, "B"), (10, "Q"), (11, "q"), (12, "d")]


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def head(tensors, values):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, values)


def info(name, ne, kind, offset):
    return text(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, kind,
                                    offset)


def padded(data, align=32):
    return data + bytes(-len(data) % align)


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data)


def main():
    values = b"".join(text(f"v{k}") + struct.pack("<I" + c, k, 1)
                      for k, c in SCALARS)
    values += b"".join(text(f"a{k}") + struct.pack("<IIQ2" + c, 9, k, 2, 1, 0)
                       for k, c in SCALARS)
    values += text("s") + struct.pack("<I", 8) + text("word")
    values += text("as") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("")
    write("values.gguf", head(0, 2 * len(SCALARS) + 2) + values)
    tensors = (info("a.weight", [64, 2], 8, 0) + info("b", [3], 0, 160) +
               info("c", [256, 1, 1, 1], 12, 192) + info("", [], 30, 352))
    write("tensors.gguf", padded(head(4, 0) + tensors) + bytes(384))
    value = text("general.alignment") + struct.pack("<II", 4, 64)
    write("aligned.gguf", padded(head(1, 1) + value + info("x", [5], 1, 0),
                                 64) + bytes(64))


if __name__ == "__main__":
    main()
