#!/usr/bin/env python3
"""mlverify-run against golden logits, from files: 31 tiny models, whose
weights the generator of tests/fixtures/forward rebuilds, in every container
and type; and a value that is no number, which must be found and named."""
import array
import json
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tests", "fixtures"))
import kit  # noqa: E402
import rawckpt as raw  # noqa: E402

# largest error allowed, as a part of the largest logit
CLOSE = {"F32": 1e-4, "F16": 5e-3, "BF16": 5e-2}
# of a reference that rounds every step to bfloat16
CLOSE_TO_BF16 = 5e-2
STORAGE = {"F32": "FloatStorage", "F16": "HalfStorage",
           "BF16": "BFloat16Storage"}

known = {}


def weights(name, count):
    """The generator's numbers, as float32."""
    if (name, count) not in known:
        low = name.lower()
        about, by = 0.0, 0.3
        if name.endswith(".bias"):
            by = 0.1
        elif "norm" in low or "ln_" in low or ".ln" in low:
            about, by = 1.0, 0.1
        known[name, count] = array.array(
            "f", (about + by * v for v in raw.uniform(name, count)))
    return known[name, count]


def round_bf16(bits):
    return bits + 0x7FFF + (bits >> 16 & 1) >> 16


def encode(values, dtype):
    if dtype == "F32":
        return values.tobytes()
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    bits = struct.unpack(f"<{len(values)}I", values.tobytes())
    return struct.pack(f"<{len(bits)}H", *map(round_bf16, bits))


def tensors_of(case, layers, dtype, poison=None):
    """{name: (dtype, shape, bytes)}; poison is the name of one in which a
    value is no number."""
    out = {}
    for stem, shape in case["tensors"].items():
        for i in range(layers if "{i}" in stem else 1):
            name = stem.replace("{i}", str(i))
            values = weights(name, raw.product(shape))
            if name == poison:
                values = array.array("f", values)
                values[40 % len(values)] = float("nan")
            out[name] = dtype, shape, encode(values, dtype)
    return out


def as_safetensors(tensors):
    return raw.safetensors(tensors)


def rebuild(name, key, dtype, shape, data, legacy):
    return name, raw.tensor(key, shape, STORAGE[dtype], legacy=legacy)


def as_zip(tensors):
    state = [rebuild(name, str(i), *t, False)
             for i, (name, t) in enumerate(tensors.items())]
    return raw.torch_zip(raw.archive(
        raw.PROTO2 + raw.pairs(state) + raw.STOP,
        [(str(i), t[2]) for i, t in enumerate(tensors.values())]))


def as_legacy(tensors):
    state = [rebuild(name, str(i), *t, True)
             for i, (name, t) in enumerate(tensors.items())]
    return raw.legacy(raw.PROTO2 + raw.pairs(state) + raw.STOP,
                      [str(i) for i in range(len(tensors))],
                      [(raw.product(t[1]), t[2]) for t in tensors.values()])


FORMS = [("model.safetensors", "F32", as_safetensors),
         ("pytorch_model.bin", "F32", as_zip),
         ("pytorch_model.bin", "F32", as_legacy),
         ("model.pt", "F32", as_zip),
         ("model.safetensors", "F16", as_safetensors),
         ("model.safetensors", "BF16", as_safetensors),
         ("pytorch_model.bin", "BF16", as_zip)]


def put(home, case, tensors, file, write):
    """The model in a folder of its own; returns what to name to open it."""
    folder = os.path.join(home, "model")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump(case["config"], f)
    path = os.path.join(folder, file)
    with open(path, "wb") as f:
        f.write(write(tensors))
    return path if file.endswith(".pt") else folder


def run(env, model, ids, *more):
    return kit.run(["mlverify-run", "--perplexity", "none", "-n", 0, "-t",
                    ",".join(map(str, ids)), *more, model], env)


def off(path, want):
    """How far the logits are, as a part of the largest."""
    got = array.array("f")
    with open(path, "rb") as f:
        got.frombytes(f.read())
    if len(got) != len(want) or any(g != g for g in got):
        return 9.0
    return max(abs(g - w) for g, w in zip(got, want)) / max(map(abs, want))


def test_forms(tap, env, home, golden):
    logits = os.path.join(home, "logits.f32")
    for case in golden["cases"]:
        for file, dtype, write in FORMS:
            tensors = tensors_of(case, golden["layers"], dtype)
            model = put(home, case, tensors, file, write)
            done = run(env, model, golden["ids"], "--logits", logits)
            name = f"{case['name']}: {file} {dtype}"
            if write is as_legacy:
                name += " legacy"
            if done.returncode != 0:
                tap.ok(False, name, done.stdout + done.stderr)
                continue
            far = off(logits, case["last_logits"])
            allowed = CLOSE[dtype]
            if case["name"].endswith("bf16"):
                allowed = CLOSE_TO_BF16
            tap.ok(far <= allowed, f"{name}: off by {far:.1e}",
                   f"allowed {allowed}")


# case, tensor with a value that is no number, where it shows first
LLAMA = "model.layers.{}."
NEOX = "gpt_neox.layers.{}."
GPT = "transformer.h.{}."
MOE = LLAMA + "block_sparse_moe."
POISONS = [
    ("gpt_neox_parallel", NEOX + "attention.query_key_value.weight", 1,
     "query, key, value"),
    ("gpt_neox_parallel", NEOX + "attention.query_key_value.bias", 0,
     "query, key, value"),
    ("llama_gqa", LLAMA + "mlp.gate_proj.weight", 1, "MLP up"),
    ("llama_gqa", LLAMA + "self_attn.v_proj.weight", 0, "query"),
    ("stablelm_12b_style", LLAMA + "self_attn.q_layernorm.norms.2.weight", 1,
     "attention output"),
    ("stablelm_12b_style", LLAMA + "self_attn.k_layernorm.norms.1.weight", 0,
     "attention output"),
    ("gpt2", GPT + "attn.c_attn.weight", 1, "query"),
    ("gpt2", "transformer.wpe.weight", None, "embedding"),
    ("opt", "model.decoder.layers.{}.fc1.weight", 1, "MLP up"),
    ("bloom", "transformer.word_embeddings_layernorm.bias", None,
     "embedding norm"),
    ("falcon_40b_style", GPT + "ln_mlp.weight", 1, "MLP norm"),
    ("mpt", "transformer.blocks.{}.attn.Wqkv.weight", 0, "query"),
    ("gemma2", LLAMA + "post_feedforward_layernorm.weight", 1,
     "norm after the MLP"),
    ("phi3", LLAMA + "self_attn.qkv_proj.weight", 1, "query"),
    ("phi3", LLAMA + "mlp.gate_up_proj.weight", 0, "MLP up"),
    ("mixtral", MOE + "experts.1.w1.weight", 1, "MLP down"),
    ("mixtral", MOE + "experts.2.w2.weight", 0, "MLP down"),
    ("mixtral", MOE + "gate.weight", 1, "router of experts"),
    ("llama_gqa", "model.norm.weight", None, "final norm"),
    ("llama_gqa", "lm_head.weight", None, "output head"),
]


def finite_of(done):
    checks = json.loads(done.stdout)["checks"]
    return next(c for c in checks if c["name"] == "finite")


def test_poison(tap, env, home, golden):
    cases = {c["name"]: c for c in golden["cases"]}
    for name, stem, layer, where in POISONS:
        case = cases[name]
        bad = stem.format(layer)
        for poison in (None, bad):  # the same model whole, for comparison
            tensors = tensors_of(case, golden["layers"], "F32", poison)
            model = put(home, case, tensors, "model.safetensors",
                        as_safetensors)
            done = run(env, model, golden["ids"], "--json")
            if poison is None:
                tap.ok(done.returncode == 0, f"{name}: whole", done.stderr)
        at = "the " if layer is None else f"layer {layer}, "
        want = f"not finite after {at}{where}: {bad} holds such a value"
        tap.ok(done.returncode == 9, f"{name}: exit 9 of {bad}", done.stderr)
        tap.eq(finite_of(done)["detail"], want, f"{name}: it is named")


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    with open(os.path.join(ROOT, "tests/fixtures/forward/golden.json"),
              encoding="utf-8") as f:
        golden = json.load(f)
    test_poison(tap, env, home, golden)
    test_forms(tap, env, home, golden)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
