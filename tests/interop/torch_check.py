#!/usr/bin/env python3
"""Files written by a current torch, tensor by tensor: what mlconvert lists
and what it converts is what torch reads, bit for bit.

The registry's torch for Linux brings 5 GB of CUDA along; where torch's own
index can be reached, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
gives the small one."""
# packages: torch>=2.7 transformers>=5
import argparse
import hashlib
import json
import os
import shutil
import struct
import sys
import warnings
import zipfile
from collections import OrderedDict

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import torch  # noqa: E402

warnings.filterwarnings("ignore")
NAMES = {"float64": "F64", "float32": "F32", "float16": "F16",
         "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
         "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32",
         "uint64": "U64", "bool": "BOOL", "complex64": "C64",
         "complex128": "C128", "float8_e4m3fn": "F8_E4M3",
         "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ",
         "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0"}
RECORDS = {".format_version", ".storage_alignment", "byteorder", "version"}
LEGACY = {"_use_new_zipfile_serialization": False}


def dense(t):
    """The elements in row-major order, as they lie in memory."""
    t = t.detach().dequantize() if t.is_quantized else t.detach()
    t = t.contiguous().reshape(-1)
    if t.is_complex():
        t = torch.view_as_real(t).reshape(-1)
    return t.view(torch.uint8).numpy().tobytes() if t.numel() else b""


def row(t):
    dtype = "float32" if t.is_quantized else str(t.dtype)[6:]
    return NAMES[dtype], list(t.shape), hashlib.sha256(dense(t)).hexdigest()


def leaves(obj, path=()):
    if isinstance(obj, torch.Tensor):
        yield ".".join(path), obj
    elif isinstance(obj, dict):
        for k, v in obj.items():
            yield from leaves(v, path + (str(k),))
    elif isinstance(obj, (list, tuple)):
        for i, v in enumerate(obj):
            yield from leaves(v, path + (str(i),))


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5)) * 9


def every_dtype():
    base = noise(3, 8)
    out = {}
    for name in NAMES:
        dtype = getattr(torch, name, None)
        if dtype is None:
            continue
        if name.startswith("uint"):
            out[name] = base.abs().to(dtype)
        elif name == "float8_e8m0fnu":
            out[name] = base.abs().to(torch.uint8).view(dtype)
        elif name.startswith("complex"):
            out[name] = torch.complex(base, base.flip(0)).to(dtype)
        else:
            out[name] = base.to(dtype)
    out["float32"][0, :3] = torch.tensor([float("nan"), float("-inf"), 1e-42])
    return out


def views():
    base, cube = noise(70, 33), torch.arange(60).reshape(3, 4, 5)
    bf = noise(130, 70).bfloat16()
    return OrderedDict([
        ("base", base), ("transposed", base.t()), ("slice", base[3:9, 2:7]),
        ("steps", base[::3, ::2]), ("expanded", noise(1).expand(4, 5)),
        ("rows", noise(6).expand(3, 6)), ("cube", cube.permute(2, 0, 1)),
        ("scalar", torch.tensor(2.5)), ("empty", torch.zeros(0, 7)),
        ("half", bf.t()), ("tied", base), ("part", bf[5]),
        ("parameter", torch.nn.Parameter(noise(2, 3))),
        ("f8", noise(40, 50).to(torch.float8_e4m3fn).t()),
        ("images", noise(2, 3, 4, 5).to(memory_format=torch.channels_last))])


def quantised():
    torch.manual_seed(3)
    x, wide = noise(6, 5), torch.tensor([2**31 - 1, -2**31, 77, 16777217])
    channels = torch.quantize_per_channel(
        x, torch.rand(5).double() + .01, torch.arange(5) * 7, 1, torch.qint8)
    return OrderedDict([
        ("qint8", torch.quantize_per_tensor(x, .37, -5, torch.qint8)),
        ("quint8", torch.quantize_per_tensor(x, .29, 131, torch.quint8)),
        ("qint32", torch._make_per_tensor_quantized_tensor(
            wide.int(), 3.3e-7, -16777219)),
        ("turned", torch.quantize_per_tensor(x, .37, 1, torch.qint8).t()),
        ("channels", channels), ("some", channels[1::2]),
        ("floats", torch.quantize_per_channel(
            x, torch.rand(6) + .1, torch.rand(6) * 90, 0, torch.quint8))])


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(3, 3)
        self.b = torch.nn.Sequential(torch.nn.BatchNorm1d(3), self.a)
        self.register_buffer("fine", noise(4).half())

    def forward(self, x):
        return self.b(self.a(x)) + self.fine.sum() + torch.tensor([1., 2., 3.])


def training():
    net = Net()
    adam = torch.optim.AdamW(net.parameters(), lr=1e-3)
    net(noise(4, 3)).sum().backward()
    adam.step()
    return {"model": net.state_dict(), "optimizer": adam.state_dict(),
            "args": argparse.Namespace(width=3, name="n"), "epoch": 3,
            "rng": torch.get_rng_state(), "loss": torch.tensor(.5),
            "parts": [noise(2), (noise(3), {"x": noise(1)})]}


class Check:
    def __init__(self):
        self.tap, self.home = kit.Tap(), kit.scratch()
        self.env = kit.clean_env(self.home)

    def path(self, name):
        return os.path.join(self.home, name)

    def listed(self, name, want, what):
        """Every tensor of want is listed so; nothing else is chosen."""
        done = kit.run(["mlconvert", "--list", "--digest", "--json",
                        self.path(name)], self.env)
        if not self.tap.ok(done.returncode == 0, f"{name}: {what}",
                           done.stderr):
            return
        got = {t["path"]: t for t in json.loads(done.stdout)["tensors"]}
        wrong = [k for k, t in want.items() if k not in got or row(t) != (
            got[k]["dtype"], got[k]["shape"], got[k].get("sha256"))]
        more = [k for k in got if k not in want and got[k]["chosen"]]
        self.tap.eq((wrong, more), ([], []), f"{name}: {len(want)} tensors")

    def converted(self, name, want, option, dtype=None):
        """The file made has the tensors of want, cast by torch."""
        out = self.path("out")
        done = kit.run(["mlconvert", option, "-o", out, self.path(name)],
                       self.env)
        label = f"{name} {option}"
        if self.tap.ok(done.returncode == 0, f"{label}: converts",
                       done.stderr):
            made = read_folder(out)
            wrong = [k for k, t in want.items()
                     if made.get(k) != row(cast(t, dtype))]
            self.tap.eq((wrong, set(made) - set(want)), ([], set()),
                        f"{label}: bit for bit")
        shutil.rmtree(out, ignore_errors=True)

    def refused(self, name, words, *options):
        done = kit.run(["mlconvert", *options, "-o", self.path("out"),
                        self.path(name)], self.env)
        self.tap.ok(done.returncode == 8 and words in done.stderr
                    and not os.path.exists(self.path("out")),
                    f"{name} {' '.join(options)}: refused: {words}",
                    f"status {done.returncode}\n{done.stderr}")


def cast(t, dtype):
    """What is narrower than 16 bits stays as it is."""
    if t.is_quantized:
        return t.dequantize().to(dtype)
    wide = t.is_floating_point() and t.element_size() > 1
    return t.to(dtype) if dtype is not None and wide else t


def read_folder(folder):
    """{name: (dtype, shape, digest)}, with names that stand for others."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        data = f.read()
    with open(os.path.join(folder, "ml-manifest.json"),
              encoding="utf-8") as f:
        aliases = json.load(f).get("aliases", {})
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    found = {}
    for name, t in header.items():
        a, b = (8 + n + x for x in t["data_offsets"])
        found[name] = (t["dtype"], t["shape"],
                       hashlib.sha256(data[a:b]).hexdigest())
    for name, of in aliases.items():
        found[name] = found[of]
    return found


def containers(c):
    """What torch.save writes today, and as it wrote before 1.6."""
    for name, obj, options in (("types.pt", every_dtype(), {}),
                               ("views.pt", views(), {}),
                               ("training.pt", training(), {}),
                               ("protocol5.pt", views(),
                                {"pickle_protocol": 5})):
        torch.save(obj, c.path(name), **options)
        with zipfile.ZipFile(c.path(name)) as z:
            names = {n.split("/", 1)[1] for n in z.namelist()}
        c.tap.eq(RECORDS - names, set(), f"{name}: the records of today")
        c.listed(name, dict(leaves(obj)),
                 f"as torch {torch.__version__} writes it")
    old = {k: t for k, t in views().items() if k != "f8"}
    torch.save(old, c.path("legacy.pt"), **LEGACY)
    c.listed("legacy.pt", old, "the legacy stream")
    torch.save(quantised(), c.path("q-legacy.pt"), **LEGACY)
    c.listed("q-legacy.pt", quantised(), "quantised, the legacy stream")
    plain = {k: t for k, t in every_dtype().items() if k != "complex128"}
    torch.save(plain, c.path("plain.pt"))
    c.converted("plain.pt", plain, "--keep")
    c.converted("views.pt", views(), "--keep")
    c.converted("views.pt", views(), "--fp16", torch.float16)
    c.converted("legacy.pt", old, "--bf16", torch.bfloat16)
    c.refused("types.pt", "complex128", "--keep")
    c.refused("types.pt", "complex", "--fp16")


def kinds(c):
    want = quantised()
    torch.save(want, c.path("q.pt"))
    c.listed("q.pt", want, "quantised")
    for option, dtype in (("--fp32", torch.float32),
                          ("--fp16", torch.float16),
                          ("--bf16", torch.bfloat16)):
        c.converted("q.pt", want, option, dtype)
    c.refused("q.pt", "quantised (qint8)", "--keep")
    torch.save({"w": noise(2), "s": noise(3, 4).relu().to_sparse()},
               c.path("sparse.pt"))
    c.refused("sparse.pt", "'s' is sparse (torch.sparse_coo)", "--fp32")
    torch.save({"z": torch.complex(noise(2), noise(2)).conj()},
               c.path("conj.pt"))
    c.refused("conj.pt", "'z' is stored as the conjugate", "--keep")


def programs(c):
    if not hasattr(torch, "jit"):
        c.tap.skip("TorchScript", "this torch has none")
        return
    net = Net().eval()
    torch.jit.save(torch.jit.script(net), c.path("script.pt"))
    torch.jit.save(torch.jit.trace(net, noise(2, 3)), c.path("trace.pt"))
    for name in ("script.pt", "trace.pt"):
        want = torch.jit.load(c.path(name)).state_dict()
        c.listed(name, want, "TorchScript, by the names of state_dict()")
        c.converted(name, want, "--keep")
    exported = torch.export.export(net, (noise(2, 3),))
    torch.export.save(exported, c.path("export.pt2"))
    c.refused("export.pt2", "torch.export", "--keep")


def main():
    c = Check()
    c.tap.ok(torch.__version__.split(".")[0] != "1",
             f"torch {torch.__version__}, not Debian's")
    containers(c)
    kinds(c)
    programs(c)
    shutil.rmtree(c.home)
    c.tap.done()


if __name__ == "__main__":
    main()
