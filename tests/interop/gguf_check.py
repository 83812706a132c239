#!/usr/bin/env python3
"""GGUF files against the gguf package: every value, every tensor.

What must be in them is computed here from the source with numpy, by the
formulas of the format and not by this project's code; the package reads the
files, and its own Q8_0 encoder must give the same bytes.
"""
# packages: safetensors huggingface_hub tokenizers gguf
import glob
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from gguf import GGMLQuantizationType as Type  # noqa: E402
from gguf import GGUFValueType as Kind  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

NEOX = os.path.join(kit.ROOT, "tests/model/tiny-neox")
LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
MODES = {"--fp32": Type.F32, "--fp16": Type.F16, "--bf16": Type.BF16,
         "--q8_0": Type.Q8_0, "--keep": None}
SOURCE_TYPES = {torch.float16: Type.F16, torch.bfloat16: Type.BF16}
FILE_TYPES = {Type.F32: 0, Type.F16: 1, Type.Q8_0: 7, Type.BF16: 32}
LAYER = {
    "llama": {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
              "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output",
              "post_attention_layernorm": "ffn_norm",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down"},
    "gpt_neox": {"input_layernorm": "attn_norm",
                 "attention.query_key_value": "attn_qkv",
                 "attention.dense": "attn_output",
                 "post_attention_layernorm": "ffn_norm",
                 "mlp.dense_h_to_4h": "ffn_up",
                 "mlp.dense_4h_to_h": "ffn_down"},
}
LAYER["stablelm"] = LAYER["llama"]
GLOBAL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm",
          "lm_head": "output", "gpt_neox.embed_in": "token_embd",
          "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output"}
LEFT_OUT = ("rotary_emb.inv_freq", "attention.bias", "attention.masked_bias")


# ---- what must be in the file ----

def read_source(folder):
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        found.update(load_file(path))
    for path in sorted(glob.glob(os.path.join(folder, "*.bin"))):
        found.update(torch.load(path, map_location="cpu"))
    return found


def move_rows(name, x, config):
    """Rows in the order that llama.cpp computes with."""
    kind, heads = config["model_type"], config["num_attention_heads"]
    if kind == "llama" and re.search(r"\.attn_[qk]\.", name):
        if ".attn_k." in name:
            heads = config.get("num_key_value_heads") or heads
        rest = x.shape[1:]
        x = x.reshape(heads, 2, x.shape[0] // heads // 2, *rest)
        return x.swapaxes(1, 2).reshape(-1, *rest)
    if kind == "gpt_neox" and ".attn_qkv." in name:
        rest = x.shape[1:]
        x = x.reshape(heads, 3, x.shape[0] // heads // 3, *rest)
        return x.swapaxes(0, 1).reshape(-1, *rest)
    return x


def wanted_tensors(config, source):
    """{name: (float32 array, dtype of the source)}"""
    found, stacks = {}, {}
    kind = config["model_type"]
    for name, t in source.items():
        if name.endswith(LEFT_OUT):
            continue
        stem, tail = name.rsplit(".", 1)
        x = t.to(torch.float32).numpy()
        layer = re.fullmatch(r"(?:model|gpt_neox)\.layers\.(\d+)\.(.*)", stem)
        if not layer:
            to = f"{GLOBAL[stem]}.{tail}"
        else:
            i, part = layer.groups()
            norm = re.fullmatch(r"self_attn\.([qk])_layernorm\.norms\.(\d+)",
                                part)
            if norm:
                to = f"blk.{i}.attn_{norm[1]}_norm.weight"
                stacks.setdefault(to, {})[int(norm[2])] = x
                continue
            to = f"blk.{i}.{LAYER[kind][part]}.{tail}"
        found[to] = (move_rows(to, x, config), t.dtype)
    for to, rows in stacks.items():
        found[to] = (np.stack([rows[h] for h in sorted(rows)]), None)
    if config.get("tie_word_embeddings"):
        found.pop("output.weight", None)
        if kind != "llama":
            found["output.weight"] = found["token_embd.weight"]
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = (llama3(config, scaling), None)
    return found


def llama3(config, s):
    size = config["hidden_size"] // config["num_attention_heads"]
    freqs = config["rope_theta"] ** -(np.arange(0, size, 2) / size)
    wave = 2 * np.pi / freqs
    old = s["original_max_position_embeddings"]
    low, high = s["low_freq_factor"], s["high_freq_factor"]
    smooth = (old / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / s["factor"] + smooth)
    return np.where(wave < old / high, 1, np.where(
        wave > old / low, s["factor"], between)).astype(np.float32)


def wanted_type(name, x, dtype, mode):
    if x.ndim < 2 or name.endswith("_norm.weight"):
        return Type.F32
    if mode == Type.Q8_0 and x.shape[-1] % 32:
        return Type.F16
    return mode if mode is not None else SOURCE_TYPES.get(dtype, Type.F32)


def wanted_values(config, mode, types, folder):
    """{key: (type of the value, value)}, the tokenizer's left out"""
    kind = config["model_type"]
    a = {"gpt_neox": "gptneox"}.get(kind, kind)
    heads, dim = config["num_attention_heads"], config["hidden_size"]
    size = config.get("head_dim") or dim // heads
    part = config.get("rotary_pct", config.get("partial_rotary_factor", .25))
    want = {
        "general.architecture": (Kind.STRING, a),
        "general.type": (Kind.STRING, "model"),
        "general.file_type": (Kind.UINT32, FILE_TYPES[mode if mode is not None
                              else types["token_embd.weight"]]),
        f"{a}.context_length": (Kind.UINT32,
                                config["max_position_embeddings"]),
        f"{a}.embedding_length": (Kind.UINT32, dim),
        f"{a}.block_count": (Kind.UINT32, config["num_hidden_layers"]),
        f"{a}.feed_forward_length": (Kind.UINT32,
                                     config["intermediate_size"]),
        f"{a}.vocab_size": (Kind.UINT32, config["vocab_size"]),
        f"{a}.attention.head_count": (Kind.UINT32, heads),
        f"{a}.rope.dimension_count": (
            Kind.UINT32, size if kind == "llama" else int(size * part)),
        f"{a}.rope.freq_base": (Kind.FLOAT32, float(np.float32(
            config.get("rope_theta", config.get("rotary_emb_base", 10000))))),
    }
    if mode == Type.Q8_0:
        want["general.quantization_version"] = (Kind.UINT32, 2)
    if kind == "llama":
        eps = "attention.layer_norm_rms_epsilon", config["rms_norm_eps"]
    else:
        eps = "attention.layer_norm_epsilon", config["layer_norm_eps"]
        want[f"{a}.use_parallel_residual"] = (
            Kind.BOOL, config.get("use_parallel_residual",
                                  kind == "gpt_neox"))
    want[f"{a}.{eps[0]}"] = (Kind.FLOAT32, float(np.float32(eps[1])))
    if kind != "gpt_neox":
        want[f"{a}.attention.head_count_kv"] = (
            Kind.UINT32, config.get("num_key_value_heads") or heads)
    if size * heads != dim:
        want[f"{a}.attention.key_length"] = (Kind.UINT32, size)
        want[f"{a}.attention.value_length"] = (Kind.UINT32, size)
    scaling = config.get("rope_scaling") or {}
    if scaling.get("type") == "linear":
        want[f"{a}.rope.scaling.type"] = (Kind.STRING, "linear")
        want[f"{a}.rope.scaling.factor"] = (Kind.FLOAT32, scaling["factor"])
    return want


def wanted_tokens(config, folder):
    """The tokenizer.* values; scores apart."""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        t = json.load(f)
    bytes_ = (t["pre_tokenizer"] or {}).get("type") == "ByteLevel"
    tokens = [f"[PAD{i}]" for i in range(config["vocab_size"])]
    kinds = [5] * len(tokens)
    for text, i in t["model"]["vocab"].items():
        tokens[i], kinds[i] = text, 1
        if not bytes_ and re.fullmatch("<0x[0-9A-F]{2}>", text):
            kinds[i] = 6
    for x in t["added_tokens"]:
        tokens[x["id"]] = x["content"]
        kinds[x["id"]] = 3 if x["special"] else 4
    want = {
        "tokenizer.ggml.model": "gpt2" if bytes_ else "llama",
        "tokenizer.ggml.pre": "olmo" if bytes_ else "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.bos_token_id": config["bos_token_id"],
        "tokenizer.ggml.eos_token_id": config["eos_token_id"],
        "tokenizer.ggml.add_bos_token": not bytes_,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": not bytes_,
    }
    merges = t["model"]["merges"]
    if bytes_:
        want["tokenizer.ggml.merges"] = merges
    unk = t["model"].get("unk_token")
    if unk:
        want["tokenizer.ggml.unknown_token_id"] = tokens.index(unk)
        if not bytes_:
            kinds[tokens.index(unk)] = 2
    want["tokenizer.ggml.token_type"] = kinds
    order = list(dict.fromkeys(x.replace(" ", "") for x in merges))
    return want, tokens, kinds, order


# ---- the comparison ----

def check_values(tap, name, r, config, mode, types, folder):
    got = {k: f for k, f in r.fields.items() if not k.startswith("GGUF.")}
    want = wanted_values(config, mode, types, folder)
    plain = {k: (f.types[0], f.contents()) for k, f in got.items()
             if not k.startswith("tokenizer.")}
    tap.eq(plain, want, f"{name}: every value and its type")
    want, tokens, kinds, order = wanted_tokens(config, folder)
    mine = {k: f.contents() for k, f in got.items()
            if k.startswith("tokenizer.")}
    scores = mine.pop("tokenizer.ggml.scores", None)
    tap.eq({k: v for k, v in mine.items() if want.get(k) != v} or mine.keys(),
           want.keys(), f"{name}: the tokenizer")
    if scores is None:
        return
    rank = dict(zip(tokens, scores))
    made = sorted(order, key=lambda x: -rank[x])
    others = [rank[x] for x, k in zip(tokens, kinds)
              if k == 1 and x not in set(order)]
    tap.ok(made == order and len(set(rank[x] for x in order)) == len(order) and
           max(others) < rank[order[-1]],
           f"{name}: scores say the order of the merges")


def same_data(t, x, kind):
    """The bytes of a tensor, and what the package makes of them."""
    rows = gguf.quants.quantize(x, kind) if kind != Type.F16 else \
        x.astype(np.float16)
    raw = np.ascontiguousarray(t.data)
    if raw.tobytes() != np.ascontiguousarray(rows).tobytes():
        return False
    if kind != Type.Q8_0:
        return True
    back = gguf.quants.dequantize(t.data, kind)
    step = np.abs(x.reshape(-1, 32)).max(axis=1).repeat(32) / 127
    # rounding, and a step that is a float16
    return back.shape == x.shape and bool(
        (np.abs(back - x).ravel() <= step * (.5 + 127 / 1024) + 1e-7).all())


def check(tap, home, env, name, folder, option, mode):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    out = os.path.join(home, "out.gguf")
    done = kit.run(["mlconvert", "--to", "gguf", option, "-o", out, folder],
                   env)
    name = f"{name} {option}"
    if not tap.ok(done.returncode == 0, f"{name}: converts", done.stderr):
        return
    r = gguf.GGUFReader(out)
    want = wanted_tensors(config, read_source(folder))
    types = {n: wanted_type(n, x, d, mode) for n, (x, d) in want.items()}
    got = {t.name: t for t in r.tensors}
    tap.eq({n: (t.tensor_type, t.shape.tolist()) for n, t in got.items()},
           {n: (types[n], list(reversed(x.shape))) for n, (x, _) in
            want.items()}, f"{name}: names, types and shapes")
    wrong = [n for n, (x, _) in want.items() if n in got and
             not same_data(got[n], x, types[n])]
    tap.eq(wrong, [], f"{name}: {len(want)} tensors equal numpy's")
    check_values(tap, name, r, config, mode, types, folder)
    os.remove(out)


# ---- models that nobody published ----

def synthetic(home, name, config, shapes, dtype, tokens):
    folder = os.path.join(home, name)
    os.mkdir(folder)
    gen = torch.Generator().manual_seed(len(name))
    tensors = {k: torch.randn(*s, generator=gen).to(dtype)
               for k, s in shapes.items()}
    tensors[next(iter(shapes))].view(-1)[:64] = 0  # a block of zeros
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump(config, f)
    shutil.copy(os.path.join(tokens, "tokenizer.json"), folder)
    return folder


def llama_like(config, bias=(), head_norms=False, norm_bias=False):
    d, f = config["hidden_size"], config["intermediate_size"]
    h = config["num_attention_heads"]
    g, hd = config["num_key_value_heads"], config.get("head_dim", d // h)
    norms = ["input_layernorm", "post_attention_layernorm"]
    if config.get("use_parallel_residual"):
        norms.pop()
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], d),
              "model.norm.weight": (d,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], d)
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        rows = {"self_attn.q_proj": (h * hd, d), "self_attn.k_proj":
                (g * hd, d), "self_attn.v_proj": (g * hd, d),
                "self_attn.o_proj": (d, h * hd), "mlp.gate_proj": (f, d),
                "mlp.up_proj": (f, d), "mlp.down_proj": (d, f)}
        for part, shape in rows.items():
            shapes[f"{at}{part}.weight"] = shape
            if part in bias:
                shapes[f"{at}{part}.bias"] = shape[:1]
        for n in norms:
            shapes[f"{at}{n}.weight"] = (d,)
        if head_norms:
            for x, count in (("q", h), ("k", g)):
                for j in range(count):
                    shapes[f"{at}self_attn.{x}_layernorm.norms.{j}.weight"] = \
                        (hd,)
    if norm_bias:
        shapes.update({k[:-6] + "bias": s for k, s in list(shapes.items())
                       if k.endswith("norm.weight")})
    return shapes


def models(home):
    base = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=12,
                num_attention_heads=4, num_key_value_heads=2, vocab_size=520,
                max_position_embeddings=256, bos_token_id=0, eos_token_id=0,
                tie_word_embeddings=False)
    llama = dict(base, model_type="llama", rms_norm_eps=1e-5,
                 rope_theta=500000.0, attention_bias=True, rope_scaling=dict(
                     rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                     high_freq_factor=4.0,
                     original_max_position_embeddings=64))
    yield synthetic(home, "llama3", llama, llama_like(
        llama, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                "self_attn.o_proj")), torch.bfloat16, NEOX)
    wide = dict(llama, head_dim=24, rope_scaling=dict(
        type="linear", factor=2.0), tie_word_embeddings=True,
                attention_bias=False)
    yield synthetic(home, "wide", wide, llama_like(wide), torch.float32, NEOX)
    stable = dict(base, model_type="stablelm", layer_norm_eps=1e-5,
                  rope_theta=1000000, partial_rotary_factor=0.25,
                  use_qkv_bias=True, use_parallel_residual=False)
    yield synthetic(home, "stable", stable, llama_like(
        stable, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        norm_bias=True), torch.float16, NEOX)
    stable = dict(stable, use_parallel_residual=True, qk_layernorm=True,
                  use_qkv_bias=False,
                  tie_word_embeddings=True)
    yield synthetic(home, "stable-12b", stable, llama_like(
        stable, head_norms=True, norm_bias=True), torch.float32, NEOX)


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    folders = [NEOX, os.path.join(LLAMA, "bin-sharded"),
               os.path.join(LLAMA, "safetensors"), *models(home),
               *sorted(glob.glob(os.path.join(kit.STORIES, "*/")))]
    for folder in folders:
        name = "/".join(folder.rstrip("/").split("/")[-2:])
        for option, mode in MODES.items():
            check(tap, home, env, name, folder, option, mode)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
