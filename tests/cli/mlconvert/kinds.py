#!/usr/bin/env python3
"""What is more than plain tensors: TorchScript archives, quantised, complex
and sparse tensors, several configs in one checkpoint."""
import hashlib
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

TORCH = os.path.join(kit.ROOT, "tests/fixtures/torch")


def rows_of(name):
    with open(os.path.join(TORCH, "expected.json"), encoding="utf-8") as f:
        return next(r for r in json.load(f) if r["file"] == name)["tensors"]


def tensors_in(folder):
    """{name: (dtype, shape, digest)} of a converted folder."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        data = f.read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {k: (t["dtype"], t["shape"], hashlib.sha256(
        data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        ).hexdigest()) for k, t in header.items()}


class Check:
    def __init__(self):
        self.tap, self.home = kit.Tap(), kit.scratch()
        self.env = kit.clean_env(self.home)
        self.out = os.path.join(self.home, "out")

    def run(self, name, *options):
        shutil.rmtree(self.out, ignore_errors=True)
        return kit.run(["mlconvert", *options, "-o", self.out,
                        os.path.join(TORCH, name)], self.env)

    def refused(self, name, words, *options):
        done = self.run(name, *options)
        missing = [w for w in words if w not in done.stderr]
        self.tap.ok(done.returncode == 8 and not missing
                    and not os.path.exists(self.out),
                    f"{name} {' '.join(options)}: refused",
                    f"status {done.returncode}, no word of {missing}\n"
                    f"{done.stderr}")

    def made(self, name, want, *options):
        """The folder holds just the tensors of want; what was said."""
        done = self.run(name, *options)
        label = f"{name} {' '.join(options)}"
        if not self.tap.ok(done.returncode == 0, f"{label}: converts",
                           done.stderr):
            return done.stderr
        want = {t["path"]: (t["dtype"], t["shape"], t["sha256"])
                for t in want}
        self.tap.eq(tensors_in(self.out), want, f"{label}: as torch reads it")
        return done.stderr


def quantised(c):
    for name in ("quantised.pt", "quantised-legacy.pt"):
        c.made(name, rows_of(name), "--fp32")
        c.refused(name, ["tensor 'channels' is quantised (qint8)",
                         "hint: --fp32"], "--keep")


def odd(c):
    for option in ("--keep", "--fp16", "--fp32"):
        c.made("complex.pt", rows_of("complex.pt"), option)
    for option in ("--keep", "--fp32"):
        c.refused("complex-double.pt", ["'c'", "complex128"], option)
    c.refused("sparse.pt", ["'coo' is sparse (torch.sparse_coo)",
                            "to_dense()"], "--fp32")


def programs(c):
    for name in ("script.pt", "traced.pt"):
        own = {t["sha256"]: t for t in rows_of(name) if "aside" not in t}
        done = c.run(name, "--keep")
        c.tap.ok("code" in done.stderr and "is not read" in done.stderr,
                 f"{name}: says that the code is not read", done.stderr)
        got = tensors_in(c.out)
        names = {t["path"] for t in rows_of(name) if "aside" not in t}
        # equal layers share their storage and are kept once
        c.tap.ok(set(got) <= names and {v[2] for v in got.values()}
                 == set(own), f"{name}: the tensors of state_dict()",
                 f"{sorted(got)}\n{sorted(names)}")
    c.refused("frozen.pt", ["'constants.pkl.0'", "--select"], "--keep")
    want = [dict(t, path=t["path"][len("constants.pkl."):])
            for t in rows_of("frozen.pt")]
    c.made("frozen.pt", want, "--keep", "--select", "constants.pkl")


def configs(c):
    said = c.run("configs.pt", "--keep").stderr
    with open(os.path.join(c.out, "config.json"), encoding="utf-8") as f:
        c.tap.eq(json.load(f), {"hidden": 4}, "the architecture is taken")
    c.tap.ok("config.json is made of model_args; left out: config, args, "
             "train_config" in said, "the others are named", said)
    said = c.run("namespace.pt", "--keep").stderr
    c.tap.ok("config.json is made of args\n" in said, "a single one", said)
    beside = os.path.join(c.home, "beside")
    os.makedirs(beside)
    shutil.copy(os.path.join(TORCH, "configs.pt"), beside)
    with open(os.path.join(beside, "config.json"), "w",
              encoding="utf-8") as f:
        f.write('{"mine": 1}')
    said = c.run(os.path.join(beside, "configs.pt"), "--keep").stderr
    with open(os.path.join(c.out, "config.json"), encoding="utf-8") as f:
        c.tap.eq(json.load(f), {"mine": 1}, "one beside the file wins")
    c.tap.ok("left out of the checkpoint: model_args, config, args, "
             "train_config" in said, "those inside are named", said)


def main():
    c = Check()
    quantised(c)
    odd(c)
    programs(c)
    configs(c)
    shutil.rmtree(c.home)
    c.tap.done()


if __name__ == "__main__":
    main()
