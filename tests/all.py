#!/usr/bin/env python3
"""Every test of the project; `make test` calls this.

Builds with gcc, and with clang and the address and undefined-behaviour
sanitizers, warnings as errors; runs the lint, the unit, numeric, command-line,
end-to-end and interoperation tests on the first, and the fast ones again on
the second, beside the fuzzers. Ends with the count of everything.
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


def built(build_dir):
    """The programs and libraries of a build, and when each was written."""
    return {e.path: e.stat().st_mtime_ns for e in os.scandir(build_dir)
            if e.is_file() and (os.access(e, os.X_OK) or
                                e.name.endswith(".a"))}


def run(name, paths, build_dir="build/release"):
    """A group of test programs through tests/run.py; many of them wait. None
    may build anew what the others run at the same time: one test."""
    jobs = str((os.cpu_count() or 1) + 1)
    before = built(build_dir)
    counted(name, [PYTHON, "tests/run.py", "--jobs", jobs, *paths],
            BUILD_DIR=build_dir)
    changed = sorted(set(before.items()) ^ set(built(build_dir).items()))
    totals[1 if changed else 0] += 1
    if changed:
        print(f"FAIL {name}: changed under the tests: {changed}")


# A pool that starts these first does not wait for one of them at the end.
LONG = ("interop/run.py", "fuzz/run.py", "t_emulated.py", "inject.py",
        "hostile.py", "pull_faults.py", "s3_volume.py",
        "s3_volume_halfway.py", "engine.py",
        "containers.py", "cli/volume.py", "diff.py")


def long_first(paths):
    def rank(path):
        ends = [i for i, name in enumerate(LONG) if path.endswith(name)]
        return ends[0] if ends else len(LONG)
    return sorted(paths, key=rank)


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
        run("release", long_first(
            units("build/release") + scripts +
            found("tests/twin/*_check.py", "tests/cuda/t_*.py",
                  "tests/e2e/*.py", "tests/interop/run.py")))
        counted("the test hub itself", [PYTHON, "tests/server/selftest.py"])
    if build("sanitizers", *sanitized):
        run("sanitized", long_first(
            units("build/asan") + scripts +
            ["tests/cuda/t_emulated.py", "tests/fuzz/run.py"] +
            [f"tests/e2e/{n}.py" for n in ("path", "lock", "layer", "localdir",
                                           "account", "serve_hostile",
                                           "s3_client")]), "build/asan")
    counted("threads, sanitized", ["make", "--no-print-directory", "tsan"])
    tail = f", {totals[2]} skipped" if totals[2] else ""
    print(f"\n{totals[0]} passed, {totals[1]} failed{tail}")
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
