#!/usr/bin/env python3
"""mlcache export --group: weights pack better, come back as they were, and
are nothing under their own names until mlcache import has put them right."""
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, kit, write  # noqa: E402
from archive_hostile import packed  # noqa: E402

HALF = 2 * MIB + 7
NAMES = ("bf16.bin", "again/bf16.bin", "fp32.bin", "noise.bin", "small.bin")


def weights(n, width, seed):
    """n numbers as training leaves them: exponents alike, fractions not."""
    draw = random.Random(seed)
    out = bytearray()
    for _ in range(n // 64):
        row = struct.pack("<64f", *(draw.gauss(0, 0.02) for _ in range(64)))
        out += row if width == 4 else b"".join(
            row[i + 2:i + 4] for i in range(0, 256, 4))
    return bytes(out)


class Bench:
    def __init__(self):
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home,
                                 HF_HUB_CACHE=os.path.join(self.home, "hub"))
        bf16 = weights(MIB, 2, 1) + b"odd end"
        self.files = {
            "bf16.bin": bf16, "again/bf16.bin": bf16,
            "fp32.bin": weights(MIB // 2, 4, 2),
            "noise.bin": random.Random(3).randbytes(HALF),
            "small.bin": weights(20_000, 2, 4)}
        for name, data in self.files.items():
            write(os.path.join(self.home, "in/p", name), data)
        self.commit = "7" * 40
        self.make_repository(bf16)
        self.volume = self.path("V")
        done = self.run("mlfetch", "put", self.volume, self.path("in/p"))
        assert done.returncode == 0, done.stderr

    def make_repository(self, data):
        """In the hub cache: the same weights as a model."""
        root = os.path.join(self.path("V"), "hub/models--acme--tiny")
        done = self.run("mlfetch", "volume", "create", self.path("V"))
        assert done.returncode == 0, done.stderr
        etag = hashlib.sha256(data).hexdigest()
        write(os.path.join(root, "blobs", etag), data)
        at = os.path.join(root, "snapshots", self.commit)
        os.makedirs(at)
        os.symlink("../../blobs/" + etag, os.path.join(at, "w.safetensors"))
        write(os.path.join(root, "refs/main"), self.commit.encode())

    def path(self, name):
        return os.path.join(self.home, name)

    def run(self, *args):
        return kit.run(list(args), self.env)

    def export(self, name, *args):
        return self.run("mlcache", "export", self.path(name), "--volume",
                        self.volume, *args, "p", "acme/tiny")


def packs(b, tap):
    tap.eq(b.export("plain.tar.zst").returncode, 0, "an export")
    plan = b.export("g.tar.zst", "--group", "--dry-run", "--json")
    tap.eq((plan.returncode, os.path.exists(b.path("g.tar.zst"))), (0, False),
           "what would be grouped")
    done = b.export("g.tar.zst", "--group", "--json")
    said = json.loads(done.stdout)
    tap.eq((said["grouped"], json.loads(plan.stdout)["grouped"]), (2, 2),
           "bf16 and fp32 are grouped; noise and small files are not")
    bf16 = b.run("mlcache", "export", b.path("one.tar.zst"), "--group",
                 "--volume", b.volume, "p/bf16.bin")
    share = os.path.getsize(b.path("one.tar.zst")) / len(b.files["bf16.bin"])
    tap.ok(bf16.returncode == 0 and share < 0.75,
           f"bf16 packs to {share:.2f} of its size", bf16.stderr)
    small, large = (os.path.getsize(b.path(n))
                    for n in ("g.tar.zst", "plain.tar.zst"))
    tap.ok(small < large, f"{small} bytes, not {large}")
    same = set()
    for n in (1, 2, 5):
        b.export(f"{n}.tar.zst", "--group", "--threads", str(n))
        with open(b.path(f"{n}.tar.zst"), "rb") as f:
            same.add(hashlib.sha256(f.read()).hexdigest())
    tap.eq(len(same), 1, "the same bytes with 1, 2 and 5 threads")


def comes_back(b, tap):
    there = b.path("W")
    done = b.run("mlcache", "import", b.path("g.tar.zst"), "--volume", there)
    tap.ok(done.returncode == 0, "an import", done.stderr)
    bad = []
    for name in NAMES:
        with open(os.path.join(there, "files/p", name), "rb") as f:
            if f.read() != b.files[name]:
                bad.append(name)
    tap.eq(bad, [], "every file as it was")
    with open(os.path.join(there, "hub/models--acme--tiny/snapshots", b.commit,
                           "w.safetensors"), "rb") as f:
        tap.ok(f.read() == b.files["bf16.bin"], "and the model's")
    done = b.run("mlcache", "verify", "--volume", there)
    tap.eq(done.returncode, 0, "verify agrees")
    again = b.run("mlcache", "import", b.path("g.tar.zst"), "--volume", there,
                  "--json")
    tap.eq(json.loads(again.stdout)["fresh"], 0, "the second time all is held")
    done = b.run("mlcache", "export", b.path("back.tar.zst"), "--group",
                 "--volume", there, "p", "acme/tiny")
    with open(b.path("back.tar.zst"), "rb") as f, \
            open(b.path("g.tar.zst"), "rb") as g:
        tap.ok(done.returncode == 0 and f.read() == g.read(),
               "exported from there it is the same archive")


def unpacked(b, tap):
    """tar gives no file a name that its bytes do not have."""
    out = b.path("out")
    os.makedirs(out)
    if not shutil.which("zstd"):
        tap.skip("unpacked by tar", "no zstd")
        return
    done = subprocess.run(["tar", "--zstd", "-xf", b.path("g.tar.zst"), "-C",
                           out])
    tap.eq(done.returncode, 0, "tar unpacks it")
    tap.eq(sorted(os.listdir(os.path.join(out, "files/p"))),
           ["noise.bin", "small.bin"], "files/ has what is not grouped")
    tap.ok(not os.path.exists(os.path.join(out, "hub/models--acme--tiny/"
                                           "blobs")),
           "no blob has another's digest")
    at = os.path.join(out, "grouped/files/p")
    with open(os.path.join(at, "bf16.bin"), "rb") as f:
        data, want = f.read(), b.files["bf16.bin"]
    half = MIB // 2
    tap.ok(data[:half] == want[:MIB:2] and data[half:MIB] == want[1:MIB:2],
           "the first block, as the page says")
    tap.eq(data[-7:], b"oded nd", "and the last one, with what is left over")


def wrong(b, tap):
    """A bit of a grouped content, in frames that are right: not taken."""
    if not shutil.which("zstd"):
        tap.skip("a changed bit in a grouped content", "no zstd")
        return
    with open(b.path("one.tar.zst"), "rb") as f:
        tar = subprocess.run(["zstd", "-q", "-d", "-c"], stdin=f, check=True,
                             capture_output=True).stdout
    bad = []
    for at in (None, 4096, 3 * MIB // 2, 2 * MIB + 512):
        changed = bytearray(tar)
        if at is not None:
            changed[at] ^= 4
        write(b.path("bad.tar.zst"), packed(bytes(changed)))
        done = b.run("mlcache", "import", b.path("bad.tar.zst"), "--volume",
                     b.path("X"))
        there = os.path.exists(b.path("X"))
        if at is None and done.returncode == 0 and there:
            shutil.rmtree(b.path("X"))
        elif at is None or there or done.returncode != 6 or \
                "bf16.bin" not in done.stderr:
            bad.append((at, done.returncode, done.stderr))
    tap.eq(bad, [], "a changed bit: status 6, the file is named, nothing is "
           "there; unchanged it is taken")


def main():
    tap = kit.Tap()
    b = Bench()
    try:
        for test in (packs, comes_back, unpacked, wrong):
            test(b, tap)
    finally:
        shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
