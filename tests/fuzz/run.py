#!/usr/bin/env python3
"""Build the fuzzers of this folder and run each for a while.

    run.py [SECONDS]        5 by default: the short version of `make fuzz`

    run.py --keep           choose corpus/ anew from what was found

A fuzzer is fuzz_<noun>.c with LLVMFuzzerTestOneInput over a pure parser.
Seeds are the files the comment "seeds: GLOB..." in it names, and those of
corpus/<noun>, few and small, which long runs found. First these are replayed,
then the fuzzer runs on its own. Each must end without a crash, a leak, or an
input that takes more than ten seconds.
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
LIMITS = ["-timeout=10", "-rss_limit_mb=2048"]
KEPT_MAX, KEPT_BYTES = 60, 100_000


def build_rooms():
    libs = [f"build/fuzz/libml-{room}.a" for room in ROOMS]
    done = subprocess.run(["make", "-j2", "--no-print-directory", "BUILD=fuzz",
                           "CC=clang", "SAN=fuzzer-no-link,address,undefined",
                           *libs], cwd=ROOT, capture_output=True, text=True)
    return libs, done.returncode, done.stdout + done.stderr


def kept_of(name):
    """The files of its corpus here."""
    return sorted(glob.glob(os.path.join(HERE, "corpus", name[5:], "*")))


def seeds_of(source, folder):
    """The seeds, each under its own name in one folder."""
    os.makedirs(folder, exist_ok=True)
    with open(source, encoding="utf-8") as f:
        m = re.search(r"seeds: (.*)", f.read())
    paths = kept_of(os.path.basename(source)[:-2])
    for pattern in m.group(1).replace("*/", "").split() if m else []:
        paths += sorted(glob.glob(os.path.join(ROOT, pattern)))
    for n, path in enumerate(paths):
        if os.path.getsize(path) <= 1 << 16:
            shutil.copy(path, os.path.join(folder,
                                           f"{n}-{os.path.basename(path)}"))


def build(source, libs):
    binary = os.path.join(OUT, os.path.basename(source)[:-2])
    done = subprocess.run(["clang", "-g", "-O1", "-std=c17", "-D_GNU_SOURCE",
                           "-I.", SANITIZE, "-o", binary, source, *libs,
                           "-lcrypto", "-lcjson", "-lm", "-pthread"],
                          cwd=ROOT, capture_output=True, text=True)
    return binary, "" if done.returncode == 0 else done.stderr


def start(binary, *args):
    return subprocess.run([binary, *args, *LIMITS,
                           f"-artifact_prefix={binary}-"], cwd=ROOT,
                          capture_output=True, text=True, errors="replace")


def replay(binary):
    """Every input of the corpus once."""
    name = os.path.basename(binary)
    files = kept_of(name)
    ran = start(binary, *files) if files else None
    ok = ran and ran.returncode == 0 and \
        ran.stderr.count("\nExecuted ") == len(files)
    return f"{name}: {len(files)} inputs replayed", ok, \
        ran.stderr if ran else "no corpus"


def fuzz(binary, source, seconds):
    name = os.path.basename(binary)
    corpus = binary + ".corpus"
    seeds_of(source, corpus)
    ran = start(binary, corpus, f"-max_total_time={seconds}",
                "-max_len=65536", "-print_final_stats=1")
    m = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
    ok = ran.returncode == 0 and m and int(m.group(1)) > 100
    runs = m.group(1) if m else "no"
    return f"{name}: {runs} inputs in {seconds} s", ok, ran.stderr


def keep(binary):
    """The smallest set that reaches what all inputs found reach, as far as
    it fits; in the order in which each adds the most."""
    name = os.path.basename(binary)
    chosen, folder = binary + ".chosen", os.path.join(HERE, "corpus", name[5:])
    for path in (chosen, folder):
        os.makedirs(path, exist_ok=True)
    ran = start(binary, "-set_cover_merge=1", "-use_counters=0",
                "-max_len=8192", chosen, binary + ".corpus", folder)
    if ran.returncode != 0:
        return f"{name}: corpus", False, ran.stderr
    found = sorted(glob.glob(os.path.join(chosen, "*")),
                   key=lambda path: os.stat(path).st_mtime_ns)
    for path in kept_of(name):
        os.remove(path)
    n = size = 0
    for path in found:
        if n < KEPT_MAX and size + os.path.getsize(path) <= KEPT_BYTES:
            n += 1
            size += os.path.getsize(path)
            shutil.copy(path, os.path.join(folder,
                                           os.path.basename(path)[:12]))
    shutil.rmtree(chosen)
    return f"{name}: {n} inputs, {size} bytes kept", n > 0, "nothing"


def steps_of(binary, source, argv):
    if argv[:1] == ["--keep"]:
        yield keep(binary)
        return
    yield replay(binary)
    yield fuzz(binary, source, int(argv[0]) if argv else 5)


def checks(argv):
    """(what, passed, why not) of every fuzzer."""
    libs, status, text = build_rooms()
    for source in sorted(glob.glob(os.path.join(HERE, "fuzz_*.c"))):
        why = text
        if status == 0:
            binary, why = build(source, libs)
        if status or why:
            yield os.path.basename(source), False, why
        else:
            yield from steps_of(binary, source, argv)


def main():
    n = failed = 0
    for name, ok, why in checks(sys.argv[1:]):
        n += 1
        failed += not ok
        print(f"{'' if ok else 'not '}ok {n} - {name}", flush=True)
        if not ok:
            print("\n".join("# " + x for x in why.splitlines()[-40:]))
    print(f"1..{n}")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
