#!/usr/bin/env python3
"""Run the tests that need Python packages, in virtual environments.

    run.py [NAME ...]       all of them, or those whose names start so

A test *_check.py names what it needs in a line "# packages: ..."; tests with
equal lists share an environment, build/venv-<first package>, on top of the
system's packages (torch comes from Debian, but where a newer one is asked
for). When an environment cannot be
had, its tests are named as skipped: a skip is never a pass.
"""
import glob
import os
import re
import subprocess
import sys

BUILD = os.path.abspath("build")
HERE = os.path.dirname(os.path.abspath(__file__))


def run(args):
    return subprocess.run(args, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def last_line(done):
    return (done.stdout.strip().splitlines() or ["no word why"])[-1]


def packages_of(path):
    with open(path, encoding="utf-8") as f:
        m = re.search(r"^# packages: (.*)$", f.read(), re.M)
    return tuple(m.group(1).split()) if m else ()


MODULES = {"protobuf": "google.protobuf"}


def names_of(packages):
    return [re.split(r"[<>=!~]", name)[0] for name in packages]


def make_venv(packages):
    """The Python of the environment, or the reason why there is none."""
    names = names_of(packages)
    venv = os.path.join(BUILD, "-".join(["venv", *names[:1]]))
    python = os.path.join(venv, "bin/python")
    stamp = os.path.join(venv, "packages")
    check = "import torch, " + ", ".join(MODULES.get(n, n) for n in names)
    if os.path.exists(stamp) and run([python, "-c", check]).returncode == 0:
        with open(stamp, encoding="utf-8") as f:
            if f.read().split() == list(packages):
                return python, ""
    steps = [["/usr/bin/python3", "-m", "venv", "--clear",
              "--system-site-packages", venv],
             [python, "-m", "pip", "install", "-q",
              "--disable-pip-version-check", *packages],
             [python, "-c", check]]
    for step in steps:
        done = run(step)
        if done.returncode != 0:
            return None, last_line(done)
    with open(stamp, "w", encoding="utf-8") as f:
        f.write("\n".join(packages) + "\n")
    return python, ""


class Count:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def row(self, bad, what):
        self.n += 1
        self.failed += bool(bad)
        print(f"{'not ' if bad else ''}ok {self.n} - {what}", flush=True)


def run_check(count, python, path):
    name = os.path.basename(path)[:-3]
    done = run([python, path])
    rows = re.findall(r"^(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*(.*)$",
                      done.stdout, re.M)
    for bad, what in rows:
        count.row(bad, f"{name}: {what}")
    broken = done.returncode != 0 and not any(bad for bad, _ in rows)
    if broken or not rows:
        count.row(True, f"{name}: ended with {done.returncode}")
    if done.returncode != 0:
        print("\n".join("# " + x for x in done.stdout.splitlines()[-40:]))


def main():
    count = Count()
    made = {}
    names = tuple(sys.argv[1:]) or ("",)
    for path in sorted(glob.glob(os.path.join(HERE, "*_check.py"))):
        if not os.path.basename(path).startswith(names):
            continue
        packages = packages_of(path)
        if packages not in made:
            made[packages] = make_venv(packages)
        python, why = made[packages]
        if python is None:
            name = os.path.basename(path)[:-3]
            count.row(False, f"{name} # SKIP no virtual environment: {why}")
        else:
            run_check(count, python, path)
    print(f"1..{count.n}")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
