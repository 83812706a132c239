#!/usr/bin/env python3
"""The CUDA backend on a real device: every golden model against the CPU and
the reference framework, faults, a text, layers that pass. Where there is no
device the plugin must say so in one line, and the rest is skipped by name;
REQUIRE_CUDA=1 makes what is skipped a failure. Prints TAP.

    t_device.py [PART OF]    a share of the models: of 4, PART is 0 to 3
"""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import t_emulated as same  # noqa: E402
from t_emulated import kit  # noqa: E402

PLUGIN = os.path.join(kit.BUILD, "ml-backend-cuda.so")
WHAT = ["golden models on a device", "faults on a device",
        "a text on a device", "sizes that fit nothing on a device",
        "layers that pass through a device"]
# as in t_emulated; the library may add in another order every time
NEAR = {"F32": 5e-5, "F16": 2e-4, "BF16": 5e-4, "I8": 2e-4}


KEEP = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME")


def cuda(build, env, *args, **more):
    words = [kit.program("mlverify-run"), *map(str, args), "--backend",
             "cuda" if build else "cpu"]
    return subprocess.run(words, capture_output=True, text=True, timeout=600,
                          stdin=subprocess.DEVNULL, env=env)


def without(tap, why):
    for name in WHAT:
        if os.environ.get("REQUIRE_CUDA") == "1":
            tap.ok(False, name, f"REQUIRE_CUDA=1, and {why}")
        else:
            tap.skip(name, why)


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home, **{k: os.environ[k] for k in KEEP
                                 if k in os.environ})
    part, of = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (0, 1)
    if not os.path.exists(PLUGIN):
        without(tap, "the plugin is not built: no nvcc")
        shutil.rmtree(home)
        tap.done()
    done = cuda("device", env, same.TOWN, "-n", 0, "-t", "1")
    if done.returncode == 1 and "error: backend cuda: no" in done.stderr:
        tap.ok(len(done.stderr.splitlines()) == 2 and done.stdout == "",
               "the plugin is opened, and says in one line that there is no "
               "device", done.stderr)
        without(tap, done.stderr.splitlines()[0].split("cuda: ")[1])
        shutil.rmtree(home)
        tap.done()
    same.run = cuda
    same.BUILDS = ("device",)
    same.FEW = True  # a device takes its time to start
    same.NEAR = {("device", t): v for t, v in NEAR.items()}
    with open(os.path.join(kit.ROOT, "tests/fixtures/forward/golden.json"),
              encoding="utf-8") as f:
        golden = json.load(f)
    some = dict(golden, cases=golden["cases"][part::of])
    if part == 0:
        same.test_text(tap, env)
        same.test_bench(tap, env)
        same.test_wide(tap, env, home)
    if part == of - 1:
        same.test_passing_text(tap, env)
        same.test_poison(tap, env, home, golden)
    same.test_golden(tap, env, home, some)
    same.test_passing(tap, env, home, some)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
