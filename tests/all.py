#!/usr/bin/env python3
"""Every test of the project; `make test` calls this.

Builds with gcc and with clang, warnings as errors, and once more with the
address and undefined-behaviour sanitizers; runs the lint, the unit, numeric,
command-line and end-to-end tests on the release build, the fast ones again
under the sanitizers, and the interoperation tests in a virtual environment.
Ends with the count of everything.
"""
import glob
import os
import re
import subprocess
import sys
import time

PYTHON = sys.executable
COUNT = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
totals = [0, 0, 0]


def add_counts(text):
    for line in reversed(text.splitlines()):
        m = COUNT.match(line)
        if m:
            for i in range(3):
                totals[i] += int(m.group(i + 1) or 0)
            return True
    return False


def say(text):
    print(f"\n== {text}", flush=True)


def build(name, *args):
    """One build with warnings as errors: one test."""
    say(f"build: {name}")
    start = time.monotonic()
    done = subprocess.run(["make", "-j2", "--no-print-directory", "WERROR=1",
                           *args, "all", "unit", "emulated"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - start
    if done.returncode == 0:
        totals[0] += 1
        print(f"ok   build {name} ({seconds:.0f} s)")
        return True
    totals[1] += 1
    print(done.stdout[-6000:])
    print(f"FAIL build {name}")
    return False


def counted(name, command, **env):
    """A command that ends in a count of its own."""
    say(name)
    start = time.monotonic()
    proc = subprocess.Popen(command, env=dict(os.environ, **env),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    lines = []
    for line in proc.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    proc.wait()
    print(f"== {name}: {time.monotonic() - start:.0f} s")
    if not add_counts("".join(lines)):
        totals[1] += 1
        print(f"FAIL {name}: no count")


def run(name, paths, build_dir="build/release"):
    """A group of test programs through tests/run.py."""
    counted(name, [PYTHON, "tests/run.py", *paths], BUILD_DIR=build_dir)


def found(*patterns):
    paths = []
    for pattern in patterns:
        paths += sorted(glob.glob(pattern))
    return paths


def units(build_dir):
    """The compiled tests of a build."""
    names = found("tests/unit/t_*.c", "tests/numeric/t_*.c")
    return [os.path.join(build_dir, name[:-2]) for name in names]


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # nvcc compiles once; it has no sanitizers
    sanitized = ("BUILD=asan", "CC=clang", "SAN=address,undefined",
                 "WITH_CUDA=no")
    required = ("WITH_CUDA=yes",) if os.environ.get("REQUIRE_CUDA") == "1" \
        else ()
    scripts = found("tests/cli/*.py", "tests/cli/*/*.py", "tests/cli/*/*.sh")
    if build("gcc", "BUILD=release", "CC=gcc", *required):
        run("lint", ["tests/lint/lint.py"])
        run("unit and numeric", units("build/release"))
        run("command line", scripts)
        run("twin", found("tests/twin/*_check.py"))
        # the emulator keeps one core busy for minutes: beside others
        run("CUDA, end to end", found("tests/cuda/t_*.py", "tests/e2e/*.py"))
        counted("the test hub itself", [PYTHON, "tests/server/selftest.py"])
        run("interoperation", ["tests/interop/run.py"])
    build("clang", "BUILD=clang", "CC=clang", "WITH_CUDA=no")
    if build("sanitizers", *sanitized):
        run("unit and numeric, sanitized", units("build/asan"), "build/asan")
        run("command line, sanitized", scripts, "build/asan")
        run("CUDA, end to end, sanitized",
            ["tests/cuda/t_emulated.py"] +
            [f"tests/e2e/{n}.py" for n in ("path", "lock", "layer", "localdir",
                                           "account")], "build/asan")
        run("fuzz replay and a short run", found("tests/fuzz/run.py"),
            "build/asan")
    counted("threads, sanitized", ["make", "--no-print-directory", "tsan"])
    tail = f", {totals[2]} skipped" if totals[2] else ""
    print(f"\n{totals[0]} passed, {totals[1]} failed{tail}")
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
