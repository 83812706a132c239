#!/usr/bin/env python3
"""A converted folder, tensor by tensor, against torch and safetensors."""
# packages: safetensors huggingface_hub tokenizers gguf
import glob
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

DTYPES = {"--fp16": torch.float16, "--bf16": torch.bfloat16,
          "--fp32": torch.float32, "--keep": None}
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def read_source(folder):
    """What torch reads: {name: tensor}."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        found.update(load_file(path))
    for path in sorted(glob.glob(os.path.join(folder, "*.bin"))):
        found.update(torch.load(path, map_location="cpu"))
    return found


def cast(tensor, dtype):
    if dtype is None or tensor.dtype not in FLOATS:
        return tensor
    return tensor.to(dtype)


def same(a, b):
    """Equal bit for bit, NaN and minus zero included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = a.contiguous(), b.contiguous()
    if a.dtype in FLOATS:
        view = {2: torch.int16, 4: torch.int32, 8: torch.int64}
        a, b = (x.view(view[x.element_size()]) for x in (a, b))
    return torch.equal(a, b)


def compare(tap, source, folder, name, dtype):
    path = os.path.join(folder, "model.safetensors")
    got = load_file(path)
    with open(os.path.join(folder, "ml-manifest.json"),
              encoding="utf-8") as f:
        aliases = json.load(f).get("aliases", {})
    with safe_open(path, framework="pt") as f:
        tap.eq(f.metadata().get("format"), "pt", f"{name}: says format pt")
    wrong = [key for key, tensor in source.items()
             if not same(cast(tensor, dtype), got.get(aliases.get(key, key),
                                                      torch.empty(0)))]
    tap.eq(wrong, [], f"{name}: {len(source)} tensors equal torch's")
    extra = set(got) - set(source)
    tap.eq(sorted(extra), [], f"{name}: and nothing else")


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    sources = sorted(glob.glob(os.path.join(kit.ROOT,
                                            "tests/fixtures/llama/*/")))
    sources.append(os.path.join(kit.ROOT, "tests/model/tiny-neox"))
    sources += sorted(glob.glob(os.path.join(kit.STORIES, "*/")))
    for source in sources:
        tensors = read_source(source)
        for option, dtype in DTYPES.items():
            # two models share a base name, so the parent's goes with it
            label = "/".join(source.rstrip("/").split("/")[-2:])
            name = f"{label} {option}"
            out = os.path.join(home, "out")
            # the mask value of the demo model is minus infinity as it stands
            done = kit.run(["mlconvert", option, "-o", out, source], env)
            if tap.ok(done.returncode == 0, f"{name}: converts", done.stderr):
                compare(tap, tensors, out, name, dtype)
            shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
