#!/usr/bin/env python3
"""Build the fuzzers of this folder and run each for a while.

    run.py [SECONDS]         3 by default: the short version of `make fuzz`
      --engine NAME          libfuzzer (default), afl, or both
      --target NAME          only fuzz_NAME.c; may be given again
      --keep                 choose corpus/ anew from what was found

A fuzzer is fuzz_<noun>.c with LLVMFuzzerTestOneInput over something that
reads what a stranger wrote. First its corpus is replayed, then each engine
runs on its own; what AFL++ found is then replayed under libFuzzer, which
knows leaks. A crash, broken promise, leak, input that takes more than ten
seconds or 2 GiB is a failure. Beside them runs the control: one fuzzer with
a planted bug of each kind, which must be found.

FUZZ_JOBS fuzzers run at once, as many as there are processors by default.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

import seeds

HERE, ROOT = seeds.HERE, seeds.ROOT
ROOMS = ["lib", "serve", "fetch", "verify-run", "verify", "convert", "bucket",
         "s3", "cache", "net", "formats", "base"]
EXTERNAL = ["-lcurl", "-lssl", "-lsodium", "-lcrypto", "-lcjson", "-lzstd",
            "-lmicrohttpd", "-lm", "-pthread"]
CFLAGS = ["-g", "-O1", "-std=c17", "-D_GNU_SOURCE", "-I.",
          "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]
TIMEOUT_S, MEMORY_MB, INPUT_MAX = 10, 2048, 1 << 16
KEPT_MAX, KEPT_BYTES, KEPT_INPUT = 200, 120_000, 8192


class Engine:
    """One configuration of the rooms and of every fuzzer."""

    def __init__(self, out, cc, rooms, target):
        self.out, self.cc, self.rooms, self.target = out, cc, rooms, target

    def folder(self):
        return os.path.join(ROOT, "build", self.out)

    def build_rooms(self):
        """0 or a status, and what make said."""
        libs = [f"build/{self.out}/libml-{room}.a" for room in ROOMS]
        done = subprocess.run(["make", "-j2", "--no-print-directory",
                               f"BUILD={self.out}", f"CC={self.cc}",
                               f"SAN={self.rooms}", *libs], cwd=ROOT,
                              env=dict(os.environ, AFL_QUIET="1"),
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def compile(self, name, sources, *flags):
        """The program, and what the compiler said when there is none."""
        binary = os.path.join(self.folder(), name)
        os.makedirs(self.folder(), exist_ok=True)
        done = subprocess.run([self.cc, *CFLAGS, f"-fsanitize={self.target}",
                               *flags, "-o", binary, *sources],
                              env=dict(os.environ, AFL_QUIET="1"), cwd=ROOT,
                              capture_output=True, text=True)
        return binary, done.stderr if done.returncode else ""

    def build(self, name):
        libs = [f"build/{self.out}/libml-{room}.a" for room in ROOMS]
        return self.compile(f"fuzz_{name}", [
            f"tests/fuzz/fuzz_{name}.c", "tests/fuzz/kit.c",
            "tests/fuzz/kit_config.c", "tests/fuzz/kit_zip.c", *libs,
            *EXTERNAL])


LIBFUZZER = Engine("fuzz", "clang", "fuzzer-no-link,address,undefined",
                   "fuzzer,address,undefined")
AFL = Engine("fuzz-afl", "afl-clang-fast", "address,undefined",
             "fuzzer,address,undefined")


def source_of(name):
    return os.path.join(HERE, f"fuzz_{name}.c")


# ---- libFuzzer ----

def start(binary, *args, timeout=TIMEOUT_S, memory=MEMORY_MB):
    ran = subprocess.run([binary, *args, f"-timeout={timeout}",
                          f"-rss_limit_mb={memory}",
                          f"-artifact_prefix={binary}-"], cwd=ROOT,
                         capture_output=True, text=True, errors="replace")
    with open(binary + ".log", "w", encoding="utf-8") as f:
        f.write(ran.stderr)
    return ran


def replay(name, binary):
    """Every input of the corpus once."""
    files = seeds.kept_of(name)
    ran = start(binary, *files) if files else None
    ok = ran and ran.returncode == 0 and \
        ran.stderr.count("\nExecuted ") == len(files)
    return f"{name}: {len(files)} inputs replayed", ok, \
        ran.stderr if ran else "no corpus"


def libfuzzer(name, binary, seconds, corpus, words, **limits):
    ran = start(binary, corpus, f"-max_total_time={seconds}",
                f"-max_len={INPUT_MAX}", "-print_final_stats=1",
                *([f"-dict={words}"] if words else []), **limits)
    runs = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
    seen = re.findall(r"cov: (\d+) ft: (\d+)", ran.stderr)
    n = int(runs.group(1)) if runs else 0
    edges, features = seen[-1] if seen else (0, 0)
    return (f"{name}, libFuzzer: {n} inputs in {seconds} s, {edges} edges, "
            f"{features} features", ran.returncode == 0 and n > 100,
            ran.stderr)


# ---- AFL++ ----

def afl_environment():
    sanitizers = ("abort_on_error=1:symbolize=0:detect_leaks=0:"
                  f"hard_rss_limit_mb={MEMORY_MB}")
    return dict(os.environ, AFL_NO_UI="1", AFL_SKIP_CPUFREQ="1",
                AFL_NO_AFFINITY="1", AFL_QUIET="1",
                AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1",
                ASAN_OPTIONS=sanitizers,
                UBSAN_OPTIONS="halt_on_error=1:abort_on_error=1:symbolize=0")


def afl_stats(out):
    try:
        with open(os.path.join(out, "default/fuzzer_stats"),
                  encoding="utf-8") as f:
            return dict(re.findall(r"^(\w+)\s*: (.*)$", f.read(), re.M))
    except OSError:
        return {}


def afl(name, binary, seconds, corpus, words):
    out = binary + ".out"
    shutil.rmtree(out, ignore_errors=True)
    ran = subprocess.run(
        ["afl-fuzz", "-i", corpus, "-o", out, "-m", "none", "-t",
         str(1000 * TIMEOUT_S), "-G", str(INPUT_MAX), "-V", str(seconds),
         *(["-x", words] if words else []), "--", binary],
        cwd=ROOT, capture_output=True, text=True, errors="replace",
        env=afl_environment())
    stats = afl_stats(out)
    n, bad = (int(stats.get(key, 0)) for key in ("execs_done",
                                                 "saved_crashes"))
    hung = int(stats.get("saved_hangs", 0))
    what = (f"{name}, AFL++: {n} inputs in {stats.get('run_time', 0)} s, "
            f"{stats.get('edges_found', 0)} edges, "
            f"{stats.get('corpus_count', 0)} kept")
    why = (f"{bad} crashes, {hung} hangs, status {ran.returncode}: see {out}\n"
           + ran.stdout[-2000:] + ran.stderr[-1000:])
    return what, ran.returncode == 0 and n > 100 and bad + hung == 0, why


def afl_queue(name):
    return os.path.join(AFL.folder(), f"fuzz_{name}.out/default/queue")


def under_libfuzzer(name, binary):
    """What AFL++ found, with leaks looked for."""
    ran = start(binary, "-runs=0", f"-max_len={INPUT_MAX}", afl_queue(name))
    return f"{name}: what AFL++ found, replayed", ran.returncode == 0, \
        ran.stderr


# ---- the corpus ----

def keep(name, binary):
    """The smallest set that reaches what all inputs found reach, as far as
    it fits; in the order in which each adds the most."""
    chosen = binary + ".chosen"
    folder = os.path.join(HERE, "corpus", name)
    shutil.rmtree(chosen, ignore_errors=True)
    for path in (chosen, folder, binary + ".corpus"):
        os.makedirs(path, exist_ok=True)
    found = [binary + ".corpus", folder]
    if os.path.isdir(afl_queue(name)):
        found.append(afl_queue(name))
    ran = start(binary, "-set_cover_merge=1", "-use_counters=0",
                f"-max_len={KEPT_INPUT}", chosen, *found)
    if ran.returncode != 0:
        return f"{name}: corpus", False, ran.stderr
    found = sorted(glob.glob(os.path.join(chosen, "*")),
                   key=lambda path: os.stat(path).st_mtime_ns)
    for path in seeds.kept_of(name):
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


# ---- the control ----

PLANTED = [("none", None), ("overrun", "heap-buffer-overflow"),
           ("overflow", "signed integer overflow"),
           ("leak", "detected memory leaks"), ("slow", "libFuzzer: timeout"),
           ("memory", "libFuzzer: out-of-memory")]


def is_right(sign, ok, why):
    """No bug: no finding. Else a finding, and the one that was planted."""
    return ok if sign is None else not ok and sign in why


def control(engines):
    """Each planted bug is found by the very functions used above."""
    for kind, (word, sign) in enumerate(PLANTED):
        for engine in engines:
            if engine is AFL and word in ("leak", "slow", "memory"):
                continue  # those are for the replay under libFuzzer
            binary, why = engine.compile(f"planted_{word}", [
                "tests/fuzz/control/planted.c"], f"-DPLANTED={kind}")
            if why:
                yield f"control, {word}: build", False, why
                continue
            corpus = binary + ".corpus"
            shutil.rmtree(corpus, ignore_errors=True)
            os.makedirs(corpus)
            with open(os.path.join(corpus, "seed"), "wb") as f:
                f.write(b"seed")
            with open(binary + ".dict", "w", encoding="ascii") as f:
                f.write('"plant"\n')
            name = f"control, a planted bug ({word})"
            if engine is AFL:
                what, ok, why = afl(name, binary, 3, corpus, binary + ".dict")
                sign = sign and "1 crashes"
            else:
                what, ok, why = libfuzzer(name, binary, 3, corpus,
                                          binary + ".dict", timeout=1,
                                          memory=512)
            yield what, is_right(sign, ok, why), why


# ---- all of it ----

def try_target(name, options):
    """[(what, passed, why not)] of one fuzzer."""
    binary, why = LIBFUZZER.build(name)
    if why:
        return [(f"{name}: build", False, why)]
    if options.keep:
        return [keep(name, binary)]
    corpus = binary + ".corpus"
    words = seeds.put_dictionary(source_of(name), binary + ".dict")
    seeds.put_seeds(name, source_of(name), corpus)
    done = [replay(name, binary)]
    if LIBFUZZER in options.engines:
        done.append(libfuzzer(name, binary, options.seconds, corpus, words))
    if AFL in options.engines:
        program, why = AFL.build(name)
        if why:
            return done + [(f"{name}: build for AFL++", False, why)]
        start_from = program + ".seeds"
        shutil.rmtree(start_from, ignore_errors=True)
        seeds.put_seeds(name, source_of(name), start_from)
        done.append(afl(name, program, options.seconds, start_from, words))
        done.append(under_libfuzzer(name, binary))
    return done


def checks(options):
    """(what, passed, why not) of everything."""
    for engine in {LIBFUZZER, *options.engines}:
        status, text = engine.build_rooms()
        if status:
            yield f"build of the rooms for {engine.out}", False, text
            return
    if not options.keep and not options.target:
        yield from control(options.engines)
    jobs = int(os.environ.get("FUZZ_JOBS") or os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(lambda name: try_target(name, options),
                             options.names):
            yield from done


def parse(argv):
    known = [os.path.basename(path)[5:-2]
             for path in sorted(glob.glob(os.path.join(HERE, "fuzz_*.c")))]
    p = argparse.ArgumentParser()
    p.add_argument("seconds", nargs="?", type=int, default=3)
    p.add_argument("--engine", choices=["libfuzzer", "afl", "both"],
                   default="libfuzzer")
    p.add_argument("--target", action="append", choices=known)
    p.add_argument("--keep", action="store_true")
    options = p.parse_args(argv)
    options.names = options.target or known
    options.engines = {"libfuzzer": [LIBFUZZER], "afl": [AFL],
                       "both": [LIBFUZZER, AFL]}[options.engine]
    return options


def main():
    n = failed = 0
    options = parse(sys.argv[1:])
    skipped = AFL in options.engines and not shutil.which(AFL.cc)
    if skipped:
        options.engines = [x for x in options.engines if x is not AFL]
    for name, ok, why in checks(options):
        n += 1
        failed += not ok
        print(f"{'' if ok else 'not '}ok {n} - {name}", flush=True)
        if not ok:
            print("\n".join("# " + x for x in why.splitlines()[-40:]))
    if skipped:
        n += 1
        print(f"ok {n} # SKIP AFL++: there is no {AFL.cc}")
    print(f"1..{n}")
    return 1 if failed or not n else 0


if __name__ == "__main__":
    sys.exit(main())
