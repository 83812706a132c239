#!/usr/bin/env python3
"""Every fixture, read by mlconvert --list --digest --json: paths, dtypes,
shapes and digests are those that torch gives (tests/fixtures)."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

TORCH = os.path.join(kit.ROOT, "tests/fixtures/torch")
LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
# two tensors of one name: nobody can list it
UNREADABLE = {"collision.pt"}
# a tensor that is the whole file needs a name all the same
LONE = "tensor"
FOLDERS = ["bin", "bin-legacy", "bin-sharded", "safetensors",
           "safetensors-sharded"]


def table(tensors, key="path"):
    """What cannot be read has no digest."""
    return sorted((t[key], t["dtype"], tuple(t["shape"]),
                   t.get("sha256", "")) for t in tensors)


def notes(tap, label, want, got):
    """Quantised and unreadable tensors say so; what is left aside, too."""
    found = {t["path"]: t for t in got}
    for t in want:
        shown = found.get(t["path"], {})
        note = shown.get("note", "")
        if "quantised" in t:
            tap.ok(note.startswith(f"quantised: {t['quantised']},"),
                   f"{label}: {t['path']}", note)
        elif "sha256" not in t:
            tap.ok(note != "", f"{label}: {t['path']}: {note}")
        if "aside" in t:
            tap.eq((shown.get("chosen"), "of the program" in note),
                   (False, True), f"{label}: {t['path']} is left aside")


def listed(tap, env, path, label):
    done = kit.run(["mlconvert", "--list", "--digest", "--json", path], env)
    try:
        return json.loads(done.stdout)["tensors"]
    except (ValueError, KeyError, TypeError):
        tap.ok(False, f"{label}: a JSON document with tensors",
               f"status {done.returncode}\n{done.stdout[-500:]}{done.stderr}")
        return None


def differences(got, want):
    lines = [f"missing    {row}" for row in want if row not in got]
    return "\n".join(lines + [f"unexpected {row}" for row in got
                              if row not in want])


def check_torch(tap, env):
    with open(os.path.join(TORCH, "expected.json"), encoding="utf-8") as f:
        rows = json.load(f)
    for row in rows:
        path = os.path.join(TORCH, row["file"])
        label = f"{row['file']} ({row['why']})"
        if row["file"] in UNREADABLE:
            done = kit.run(["mlconvert", "--list", path], env)
            tap.eq(done.returncode, 8, f"{label}: refused")
            continue
        got = listed(tap, env, path, label)
        if got is None:
            continue
        for t in row["tensors"]:
            t["path"] = t["path"] or LONE
        want = table(row["tensors"])
        tap.ok(table(got) == want, label, differences(table(got), want))
        notes(tap, row["file"], row["tensors"], got)
    tap.ok(len(rows) >= 30, f"{len(rows)} torch fixtures")


def check_llama(tap, env):
    with open(os.path.join(LLAMA, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    key = "path" if "path" in expected["tensors"][0] else "name"
    want = set(table(expected["tensors"], key))
    for name in FOLDERS:
        got = listed(tap, env, os.path.join(LLAMA, name), name)
        if got is None:
            continue
        extra = {row[0] for row in set(table(got)) - want}
        tap.ok(want <= set(table(got)), f"llama/{name}: the 20 weights",
               differences(table(got), sorted(want)))
        only = {t if isinstance(t, str) else t[key]
                for t in expected["only_in_bin"]}
        allowed = only if name.startswith("bin") else set()
        tap.eq(extra, allowed, f"llama/{name}: and nothing it should not hold")


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    if os.path.exists(kit.program("mlconvert")):
        check_torch(tap, env)
        check_llama(tap, env)
    else:
        tap.ok(False, "mlconvert is built")
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
