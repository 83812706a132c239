#!/usr/bin/env python3
"""mlverify-run --bench: the table, the document, what is told of models that
cannot be measured. No speed is judged here. Prints TAP.
"""
import json
import math
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

TESTS = os.path.join(kit.ROOT, "tests")
NEOX = os.path.join(TESTS, "model/tiny-neox")
LLAMA = os.path.join(TESTS, "fixtures/llama/safetensors")

t = kit.Tap()


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-6)


def test_document(env, file):
    done = kit.run(["mlverify-run", "--bench", "--json", "-q", "-o", file,
                    NEOX, LLAMA], env)
    t.eq((done.returncode, done.stderr), (0, ""), "two models")
    got = json.loads(done.stdout)
    with open(file, encoding="utf-8") as f:
        t.eq(f.read(), done.stdout, "the same in a file")
    t.ok(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", got["timestamp"]),
         "when", got["timestamp"])
    t.eq((got["device"], got["quantize"], list(got["models"])),
         ("cpu", None, [NEOX, LLAMA]), "on what, which")
    m = got["models"][NEOX]
    s, memory = m["speed"], m["memory"]
    t.eq((m["model"], m["info"]["params"], m["info"]["parameters"],
          m["info"]["dtype"], m["quantize"], m["device"]),
         (NEOX, "0.434M", 434016, "F16", None, "cpu"), "the model")
    t.eq((s["num_runs"], len(s["run_seconds"])), (5, 5), "five runs")
    t.eq(s["avg_tokens_generated"], min(100, 128 - s["prompt_tokens"]),
         "as many tokens as asked for, or as the context holds")
    mean = sum(s["run_seconds"]) / 5
    t.ok(near(s["avg_generation_time"], mean), "their mean", s)
    t.ok(near(s["std_generation_time"],
              math.sqrt(sum((x - mean) ** 2 for x in s["run_seconds"]) / 4)),
         "their deviation", s)
    t.ok(near(s["tokens_per_second"], s["avg_tokens_generated"] / mean),
         "tokens/s", s)
    t.ok(near(s["gb_per_second"],
              s["tokens_per_second"] * s["bytes_per_token"] / 1e9),
         "bytes of weights times that", s)
    # all but the embedding of 512 rows, and vectors, in fp16
    t.ok(0.98 < s["bytes_per_token"] / (2 * (434016 - 512 * 96)) <= 1,
         "which leave the embedding out", s)
    t.ok(0 < s["first_token_seconds"] < max(s["run_seconds"]), "first token")
    t.ok(near(memory["peak_memory_gb"] * 2 ** 30,
              memory["peak_memory_bytes"]), "memory in both units", memory)
    t.ok(memory["model_memory_bytes"] < memory["peak_memory_bytes"] < 1 << 28,
         "the model is part of it", memory)


def test_table(env):
    done = kit.run(["mlverify-run", "--bench", "-n", "10", NEOX,
                    LLAMA + "/none", LLAMA], env)
    t.eq(done.returncode, 3, "a model that is not there: its status")
    lines = done.stdout.splitlines()
    rows = [line for line in lines if "=" in line]
    t.eq(len(rows), 2, "the others have a row with a bar")
    t.ok(sum(row.count("=") == 14 for row in rows) == 1,
         "the fastest has the longest", done.stdout)
    t.ok(any("not measured" in line and "none" in line for line in lines),
         "and it a row that says why", done.stdout)
    t.ok("10 tokens" in lines[-1], "-n", done.stdout)
    t.ok(all(len(line) <= 80 for line in lines if "not meas" not in line),
         "80 columns", done.stdout)
    t.ok("run 5 of 5" in done.stderr and "error:" in done.stderr,
         "how far it is, on stderr", done.stderr)
    done = kit.run(["mlverify-run", "--bench", "-q", "--json", NEOX + "/none",
                    LLAMA, "-n", "3"], env)
    got = json.loads(done.stdout)["models"]
    t.ok(list(got[NEOX + "/none"]) == ["error"] and "speed" in got[LLAMA],
         "the same as a document", got)


def test_usage(env, base):
    for args, word in (((NEOX, NEOX), "twice"), ((NEOX, "-n", "0"), "-n 0"),
                       ((NEOX, "--golden", "x"), "excludes"),
                       ((NEOX, "--report", "x"), "excludes"),
                       ((NEOX, "--perplexity", "none"), "--perplexity"),
                       ((NEOX, "--top-k", "5"), "--top-k"),
                       ((NEOX, "--ignore-eos"), "end token"),
                       ((NEOX, "-o", base), "--output"),
                       ((), "MODEL")):
        done = kit.run(["mlverify-run", "--bench", *args], env)
        t.ok(done.returncode == 2 and word in done.stderr and
             done.stdout == "", f"usage: {args[1:]}", done.stderr)
    done = kit.run(["mlverify-run", NEOX, LLAMA], env)
    t.eq((done.returncode, "--bench" in done.stderr), (2, True),
         "two models without it")
    done = kit.run(["mlverify-run", NEOX, "-o", "x"], env)
    t.eq((done.returncode, "--bench" in done.stderr), (2, True),
         "-o without it")


def main():
    base = kit.scratch()
    env = kit.clean_env(base)
    try:
        test_document(env, os.path.join(base, "speed.json"))
        test_table(env)
        test_usage(env, base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    t.done()


if __name__ == "__main__":
    main()
