#!/usr/bin/env python3
"""Run the tests that need Python packages, in a virtual environment.

The environment is build/venv, on top of the system's packages (torch comes
from Debian). When it cannot be had, every test is named as skipped: a skip
is never a pass.
"""
import glob
import os
import re
import subprocess
import sys

VENV = os.path.abspath("build/venv")
PACKAGES = ["safetensors", "huggingface_hub", "tokenizers", "gguf"]
HERE = os.path.dirname(os.path.abspath(__file__))


def run(args):
    return subprocess.run(args, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def make_venv():
    """The environment's Python, or the reason why there is none."""
    python = os.path.join(VENV, "bin/python")
    check = "import safetensors, huggingface_hub, tokenizers, gguf, torch"
    if os.path.exists(python) and run([python, "-c", check]).returncode == 0:
        return python, ""
    base = "/usr/bin/python3"
    made = run([base, "-m", "venv", "--clear", "--system-site-packages",
                VENV])
    if made.returncode != 0:
        return None, made.stdout.strip().splitlines()[-1]
    got = run([python, "-m", "pip", "install", "-q",
               "--disable-pip-version-check", *PACKAGES])
    if got.returncode != 0:
        return None, got.stdout.strip().splitlines()[-1]
    seen = run([python, "-c", check])
    if seen.returncode != 0:
        return None, seen.stdout.strip().splitlines()[-1]
    return python, ""


def main():
    tests = sorted(glob.glob(os.path.join(HERE, "*_check.py")))
    python, why = make_venv()
    n = failed = 0
    for path in tests:
        name = os.path.basename(path)[:-3]
        if python is None:
            n += 1
            print(f"ok {n} - {name} # SKIP no virtual environment: {why}")
            continue
        done = run([python, path])
        rows = re.findall(r"^(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*(.*)$",
                          done.stdout, re.M)
        for bad, what in rows:
            n += 1
            failed += bool(bad)
            print(f"{bad}ok {n} - {name}: {what}")
        broken = done.returncode != 0 and not any(bad for bad, _ in rows)
        if broken or not rows:
            n += 1
            failed += 1
            print(f"not ok {n} - {name}: ended with {done.returncode}")
        if done.returncode != 0:
            print("\n".join("# " + x for x in done.stdout.splitlines()[-40:]))
    print(f"1..{n}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
