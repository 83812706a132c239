#!/usr/bin/env python3
"""Small files that ask for a lot of work: many names on one tensor, many
output heads beside many embeddings. Each is done in seconds."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../fixtures"))
import kit  # noqa: E402
import rawckpt as raw  # noqa: E402

SECONDS = 20


def many_names(n, front):
    """One tensor under n names: a few bytes of pickle for each."""
    names = b"".join(raw.uni(f"{front}{i}") + b"h\x00" for i in range(n))
    code = raw.PROTO2 + b"}" + raw.tensor("0", [2, 3]) + b"q\x000("
    return raw.torch_zip(raw.archive(code + names + b"u.",
                                     [("0", raw.floats("w", 6))]))


def heads(n, elements):
    """n heads and n embeddings, equal up to their very ends."""
    shape = [elements]
    rows = []
    for i in range(n):
        for k, name in enumerate(("lm_head.weight", "wte.weight")):
            rows.append((f"m{i}.{name}", raw.tensor(
                "0", shape, offset=2 * i + k, numel=elements + 2 * n)))
    data = b"\0" * 4 * elements + b"\0\0\x80\x3f" * 2 * n
    return raw.torch_zip(raw.archive(raw.PROTO2 + raw.pairs(rows) + b".",
                                     [("0", data)]))


def put(home, name, data, config=None):
    folder = os.path.join(home, name)
    os.makedirs(folder)
    with open(os.path.join(folder, "pytorch_model.bin"), "wb") as f:
        f.write(data)
    if config:
        with open(os.path.join(folder, "config.json"), "w",
                  encoding="utf-8") as f:
            f.write(config)
    return folder


def within(tap, env, name, statuses, args):
    start = time.monotonic()
    try:
        done = kit.run(args, env, timeout=SECONDS)
        status, err = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        status, err = None, "killed"
    tap.ok(status in statuses,
           f"{name}: {time.monotonic() - start:.1f} s", f"{status} {err[-300:]}")


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    a = put(home, "a", many_names(90000, "a"))
    b = put(home, "b", many_names(90000, "b"))
    within(tap, env, "diff of 90,000 names on one tensor each", {9},
           ["mlverify", "diff", "-q", a, b])
    within(tap, env, "conversion of 90,000 names on one tensor", {0},
           ["mlconvert", "-q", "--keep", "-o", os.path.join(home, "o"), a])
    tied = put(home, "tied", heads(1500, 40000),
               '{"tie_word_embeddings": true}')
    other = put(home, "other", many_names(3, "x"))
    within(tap, env, "diff of 1,500 heads beside 1,500 embeddings", {9},
           ["mlverify", "diff", "-q", tied, other])
    within(tap, env, "conversion of them", {0},
           ["mlconvert", "-q", "--keep", "-o", os.path.join(home, "p"), tied])
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
