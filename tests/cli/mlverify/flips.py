#!/usr/bin/env python3
"""One bit flipped, anywhere: mlverify check must say no. The control, the
same folder without a flip, must say yes every time."""
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
TORCH = os.path.join(kit.ROOT, "tests/fixtures/torch")
FLIPS = 200
NO = (6, 8, 9)


class Flipper:
    """Flips bits of a folder's files, one at a time, and puts them back."""

    def __init__(self, folder, seed):
        self.files = []
        for top, _, names in os.walk(folder):
            self.files += [os.path.join(top, n) for n in names
                           if not os.path.islink(os.path.join(top, n))]
        self.files.sort()
        self.random = random.Random(seed)

    def positions(self, n):
        """n places: every file is hit, large ones more often."""
        sizes = [os.path.getsize(f) for f in self.files]
        for i in range(n):
            if i < 4 * len(self.files):
                which = i % len(self.files)
            else:
                which = self.random.choices(range(len(sizes)), sizes)[0]
            yield (self.files[which], self.random.randrange(sizes[which]),
                   self.random.randrange(8))


def flip(path, at, bit):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


def check(env, target):
    return kit.run(["mlverify", "check", "--progress=none", target], env)


def try_flips(tap, env, folder, target, label, n, seed):
    control = check(env, target)
    tap.ok(control.returncode == 0, f"{label}: the control says yes",
           control.stdout + control.stderr)
    missed, odd = [], []
    for path, at, bit in Flipper(folder, seed).positions(n):
        place = f"{os.path.basename(path)} byte {at} bit {bit}"
        os.chmod(path, 0o644)
        flip(path, at, bit)
        done = check(env, target)
        flip(path, at, bit)
        if done.returncode == 0:
            missed.append(place)
        elif done.returncode not in NO or "FAIL" not in done.stdout:
            odd.append(f"{place}: {done.returncode} {done.stderr}")
    tap.ok(not missed, f"{label}: {n} single bits, none passes",
           "\n".join(missed))
    tap.ok(not odd, f"{label}: each with status 6, 8 or 9 and a FAIL line",
           "\n".join(odd))
    tap.ok(check(env, target).returncode == 0,
           f"{label}: the control says yes again")


def convert(tap, env, source, out, *more):
    done = kit.run(["mlconvert", "-q", *more, "-o", out, source], env)
    return tap.ok(done.returncode == 0,
                  f"convert {os.path.basename(source)} {' '.join(more)}",
                  done.stderr)


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    one, shards = os.path.join(home, "one"), os.path.join(home, "shards")
    if convert(tap, env, os.path.join(LLAMA, "bin"), one, "--fp16"):
        try_flips(tap, env, one, one, "a converted folder", FLIPS, 1)
        lone = os.path.join(home, "lone")
        os.mkdir(lone)
        for name in ("model.safetensors", "ml-manifest.json"):
            shutil.copy(os.path.join(one, name), lone)
        only = os.path.join(lone, "model.safetensors")
        keep = os.path.join(home, "only")
        os.mkdir(keep)
        os.rename(only, os.path.join(keep, "model.safetensors"))
        os.symlink(os.path.join(keep, "model.safetensors"), only)
        try_flips(tap, env, keep, only, "one file beside its manifest", 60, 2)
    if convert(tap, env, os.path.join(LLAMA, "bin"), shards,
                 "--shard-size", "20kB"):
        try_flips(tap, env, shards, shards, "a folder with shards", 100, 3)
    check_zip(tap, env, home)
    shutil.rmtree(home)
    tap.done()


def check_zip(tap, env, home):
    """A torch file is its own witness: its records carry checksums."""
    path = os.path.join(home, "zip.pt")
    shutil.copy(os.path.join(TORCH, "zip.pt"), path)
    tap.eq(check(env, path).returncode, 0, "torch zip: the control says yes")
    rng = random.Random(4)
    with open(path, "rb") as f:
        data = f.read()
    found = 0
    places = [at for at in range(len(data)) if data[at:at + 4] == b"PK\x03\x04"]
    # the data of the records; padding between them belongs to nobody
    names = [at for at in places if b"/data/" in data[at:at + 60]]
    for at in names:
        size = int.from_bytes(data[at + 18:at + 22], "little")
        size = size or 4
        skip = int.from_bytes(data[at + 26:at + 28], "little")
        skip += int.from_bytes(data[at + 28:at + 30], "little")
        flip(path, at + 30 + skip + rng.randrange(size), 3)
        done = check(env, path)
        with open(path, "wb") as f:
            f.write(data)
        found += done.returncode == 6 and "checksums" in done.stdout
    tap.ok(names and found == len(names), "torch zip: a flipped weight does "
           "not have its checksum", f"{found} of {len(names)}")


if __name__ == "__main__":
    main()
