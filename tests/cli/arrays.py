#!/usr/bin/env python3
"""NumPy's files: every .npz, .npy and pickle of arrays in tests/fixtures/numpy
is listed, converted and compared as NumPy itself reads it; what holds no
numbers is refused in words."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

FOLDER = os.path.join(kit.ROOT, "tests/fixtures/numpy")
MAKER = os.path.join(kit.ROOT, "tests/fixtures/make_numpy.py")


def table(tensors):
    return sorted((t["path"], t["dtype"], tuple(t["shape"]), t["sha256"])
                  for t in tensors)


def listed(env, path):
    done = kit.run(["mlconvert", "--list", "--digest", "--json", path], env)
    if done.returncode:
        return None, done.stderr
    return json.loads(done.stdout)["tensors"], done.stderr


def check_read(tap, env, row, home):
    path = os.path.join(FOLDER, row["file"])
    label = f"{row['file']} ({row['why']})"
    got, err = listed(env, path)
    tap.eq(got and table(got), table(row["tensors"]), label + ": as NumPy")
    done = kit.run(["mlverify", "check", path], env)
    tap.eq(done.returncode, 0, f"{row['file']}: check is content")
    done = kit.run(["mlverify", "scan", path], env)
    tap.eq(done.returncode, 0, f"{row['file']}: scan is content")
    out = os.path.join(home, row["file"] + ".out")
    done = kit.run(["mlconvert", "--keep", "-o", out, path], env)
    if any(t["dtype"] == "C128" for t in row["tensors"]):
        tap.ok(done.returncode == 8 and "complex128" in done.stderr
               and not os.path.exists(out),
               f"{row['file']}: no form for C128, by name", done.stderr)
        return
    tap.eq(done.returncode, 0, f"{row['file']}: converts")
    back, err = listed(env, out)
    held = {(t["dtype"], tuple(t["shape"]), t["sha256"]) for t in back or []}
    lost = [r for r in table(row["tensors"]) if r[1:] not in held]
    tap.ok(not lost and back, f"{row['file']}: every value is there", lost)
    done = kit.run(["mlverify", "diff", path, out], env)
    tap.eq(done.returncode, 0, f"{row['file']}: diff finds them the same")


def check_refused(tap, env, row, home):
    path = os.path.join(FOLDER, row["file"])
    out = os.path.join(home, row["file"] + ".out")
    for args in (["--list"], ["-o", out]):
        done = kit.run(["mlconvert", *args, path], env)
        if "--list" in args and row["file"] == "bfloat16.pkl":
            tap.ok(done.returncode == 0 and row["refused"] in done.stdout,
                   f"{row['file']}: shown for what it is", done.stderr)
            continue
        tap.ok(done.returncode == 8 and row["refused"] in done.stderr
               and row["file"] in done.stderr and not os.path.exists(out),
               f"{row['file']} ({row['why']}): refused, {args[0]}",
               f"{done.returncode} {done.stderr}")


def check_pickles(tap, env, home):
    """One tree at six protocols: one file, one config."""
    files, configs = set(), set()
    for protocol in range(6):
        out = os.path.join(home, f"pickle{protocol}.pkl.out")
        with open(os.path.join(out, "model.safetensors"), "rb") as f:
            files.add(f.read())
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            configs.add(f.read())
    tap.eq(len(files), 1, "six protocols, the same bytes")
    tap.eq([json.loads(c) for c in configs],
           [{"rate": 0.1, "half": 1.5, "steps": -3, "byte": 200, "yes": True,
             "name": "x"}], "numbers of NumPy are values of the config")


def check_hint(tap, env):
    path = os.path.join(FOLDER, "compressed.npz")
    done = kit.run(["mlconvert", "--list", path], env)
    tap.ok("hint: np.savez writes" in done.stderr,
           "a compressed archive: how to make a plain one", done.stderr)
    path = os.path.join(FOLDER, "types.npz")
    done = kit.run(["mlconvert", "--list", "--select", "a", path], env)
    tap.eq(done.returncode, 3, "an archive of arrays has no branches")


def check_alone(tap, env, home):
    """A folder of nothing but arrays: which of them is the user's to say."""
    folder = os.path.join(home, "alone")
    os.mkdir(folder)
    shutil.copy(os.path.join(FOLDER, "types.npz"), folder)
    done = kit.run(["mlconvert", "--list", folder], env)
    tap.ok("hint: arrays are taken when" in done.stderr
           and "types.npz" in done.stderr,
           "arrays alone: name the file", done.stderr)


def check_beside(tap, env, home):
    """Arrays beside a model are not the model, and no flaw of it."""
    folder = os.path.join(home, "beside")
    os.mkdir(folder)
    for name, path in (("weights.pt", "../torch/modern.pt"),
                       ("mean.npy", "fortran.npy"), ("words.npy", "text.npy"),
                       ("stats.npz", "positional.npz"),
                       ("state.pkl", "pickle4.pkl")):
        shutil.copy(os.path.join(FOLDER, path), os.path.join(folder, name))
    done = kit.run(["mlconvert", "--list", folder], env)
    tap.ok(done.returncode == 0 and "arr_0" not in done.stdout,
           "arrays beside a model are not the model", done.stderr)
    done = kit.run(["mlverify", "check", folder], env)
    tap.ok(done.returncode == 0 and "note" in done.stdout,
           "and no flaw of it", done.stdout)


def check_oracle(tap):
    python = "/usr/bin/python3"
    there = subprocess.run([python, "-c", "import numpy"],
                           stderr=subprocess.DEVNULL, check=False)
    if there.returncode:
        tap.skip("NumPy reads the fixtures the same", "no python3-numpy")
        return
    done = subprocess.run([python, MAKER, "--check"], check=False,
                          capture_output=True, text=True)
    tap.eq(done.returncode, 0, "NumPy reads the fixtures the same: "
           + done.stdout.strip())


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    with open(os.path.join(FOLDER, "expected.json"), encoding="utf-8") as f:
        rows = json.load(f)
    tap.ok(len(rows) >= 30, f"{len(rows)} files of NumPy")
    for row in rows:
        if "refused" in row:
            check_refused(tap, env, row, home)
        else:
            check_read(tap, env, row, home)
    check_pickles(tap, env, home)
    check_hint(tap, env)
    check_beside(tap, env, home)
    check_alone(tap, env, home)
    check_oracle(tap)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
