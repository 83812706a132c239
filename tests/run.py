#!/usr/bin/env python3
"""Run test programs that print TAP, and count.

    run.py [--jobs N] PROGRAM...

A program is a compiled test, a shell script (.sh) or a Python script (.py).
Every "ok" is one passed test, every "not ok" one failed, "# SKIP" one
skipped. A program that dies, prints no plan, or prints a plan that does not
match what it ran counts as one more failure. The last line is the count.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

TIMEOUT_S = 1800
LINE = re.compile(r"^(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*(.*)$")


def command(path):
    if path.endswith(".sh"):
        return ["sh", path]
    if path.endswith(".py"):
        return [sys.executable, path]
    return [path]


class Result:
    def __init__(self, path):
        self.path = path
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.seconds = 0.0
        self.output = ""


def judge(result, text, status):
    plan = None
    for line in text.splitlines():
        if re.match(r"^1\.\.\d+$", line):
            plan = int(line[3:])
        m = LINE.match(line)
        if not m:
            continue
        name = m.group(2)
        if "# SKIP" in name:
            result.skipped.append(name)
        elif m.group(1):
            result.failed.append(name)
        else:
            result.passed += 1
    ran = result.passed + len(result.failed) + len(result.skipped)
    if plan is None:
        result.failed.append(f"no plan: it died with status {status}")
    elif plan != ran:
        result.failed.append(f"planned {plan} tests, ran {ran}")
    elif status != 0 and not result.failed:
        result.failed.append(f"all passed, yet status {status}")


def run_one(path):
    result = Result(path)
    start = time.monotonic()
    try:
        done = subprocess.run(command(path), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_S)
        result.output = done.stdout.decode("utf-8", "replace")
        judge(result, result.output, done.returncode)
    except subprocess.TimeoutExpired as late:
        result.output = (late.stdout or b"").decode("utf-8", "replace")
        result.failed.append(f"no end after {TIMEOUT_S} s")
    result.seconds = time.monotonic() - start
    return result


def report(result):
    word = "FAIL" if result.failed else "ok"
    extra = f", {len(result.skipped)} skipped" if result.skipped else ""
    print(f"{word:4} {result.path}  ({result.passed} passed{extra}, "
          f"{result.seconds:.1f} s)")
    for name in result.skipped:
        print(f"       SKIPPED {name}")
    if result.failed:
        for name in result.failed:
            print(f"       FAILED  {name}")
        tail = result.output.splitlines()[-60:]
        print("\n".join("       | " + line for line in tail))
    sys.stdout.flush()


def main(argv):
    jobs = min(2, os.cpu_count() or 1)
    if argv[:1] == ["--jobs"]:
        jobs, argv = int(argv[1]), argv[2:]
    totals = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(run_one, argv):
            report(result)
            totals[0] += result.passed
            totals[1] += len(result.failed)
            totals[2] += len(result.skipped)
    tail = f", {totals[2]} skipped" if totals[2] else ""
    print(f"{totals[0]} passed, {totals[1]} failed{tail}")
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
