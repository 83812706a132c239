#!/usr/bin/env python3
"""Build the fuzzers of this folder and run each for a while.

    run.py [SECONDS]        5 by default: the short version of `make fuzz`

A fuzzer is fuzz_<noun>.c with LLVMFuzzerTestOneInput over a pure parser.
Seeds are the files the comment "seeds: GLOB..." in it names. Each must end
without a crash, a leak, or an input that takes more than ten seconds.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, "build/fuzz")
ROOMS = ["verify-run", "verify", "convert", "cache", "formats", "base"]
SANITIZE = "-fsanitize=fuzzer,address,undefined"


def build_rooms():
    libs = [f"build/fuzz/libml-{room}.a" for room in ROOMS]
    done = subprocess.run(["make", "-j2", "--no-print-directory", "BUILD=fuzz",
                           "CC=clang", "SAN=fuzzer-no-link,address,undefined",
                           *libs], cwd=ROOT, capture_output=True, text=True)
    return libs, done.returncode, done.stdout + done.stderr


def seeds_of(source, folder):
    """The seeds, each under its own name in one folder."""
    os.makedirs(folder, exist_ok=True)
    with open(source, encoding="utf-8") as f:
        m = re.search(r"seeds: (.*)", f.read())
    for pattern in m.group(1).replace("*/", "").split() if m else []:
        for n, path in enumerate(sorted(glob.glob(os.path.join(ROOT,
                                                               pattern)))):
            if os.path.getsize(path) <= 1 << 16:
                shutil.copy(path, os.path.join(folder,
                                               f"{n}-{os.path.basename(path)}"))


def fuzz(source, libs, seconds):
    name = os.path.basename(source)[:-2]
    binary = os.path.join(OUT, name)
    corpus = os.path.join(OUT, name + ".corpus")
    built = subprocess.run(["clang", "-g", "-O1", "-std=c17", "-D_GNU_SOURCE",
                            "-I.", SANITIZE, "-o", binary, source, *libs,
                            "-lcrypto", "-lcjson", "-lm", "-pthread"],
                           cwd=ROOT, capture_output=True, text=True)
    if built.returncode != 0:
        return name, False, built.stderr
    seeds_of(source, corpus)
    ran = subprocess.run([binary, corpus, f"-max_total_time={seconds}",
                          "-timeout=10", "-rss_limit_mb=2048",
                          "-max_len=65536", f"-artifact_prefix={OUT}/{name}-",
                          "-print_final_stats=1"],
                         cwd=ROOT, capture_output=True, text=True,
                         errors="replace")
    m = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
    ok = ran.returncode == 0 and m and int(m.group(1)) > 100
    runs = m.group(1) if m else "no"
    return f"{name}: {runs} inputs in {seconds} s", ok, ran.stderr


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sources = sorted(glob.glob(os.path.join(HERE, "fuzz_*.c")))
    libs, status, text = build_rooms()
    n = failed = 0
    for source in sources:
        n += 1
        name, ok, why = (source, False, text) if status else \
            fuzz(source, libs, seconds)
        failed += not ok
        print(f"{'' if ok else 'not '}ok {n} - {name}", flush=True)
        if not ok:
            print("\n".join("# " + x for x in why.splitlines()[-40:]))
    print(f"1..{n}")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
