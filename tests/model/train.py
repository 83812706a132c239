#!/usr/bin/env python3
"""Train the demo GPT-NeoX and write tiny-neox/, or compute expected.json from it.  Needs torch.

    python3 train.py              corpus.txt + tiny-neox/tokenizer.json -> tiny-neox/ (a few minutes, one thread)
    python3 train.py --expected   tiny-neox/ -> expected.json

The files have the names, the dtype and the leftover buffers of a published Pythia repository.
"""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

import bpe

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "tiny-neox")

CONFIG = {
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 96,
    "initializer_range": 0.02,
    "intermediate_size": 384,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 128,
    "model_type": "gpt_neox",
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.24.0",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": 512,
}
TOKENIZER_CONFIG = {
    "add_prefix_space": False,
    "bos_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
    "model_max_length": 128,
    "tokenizer_class": "GPTNeoXTokenizer",
    "unk_token": "<|endoftext|>",
}
SPECIAL_TOKENS = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}

STEPS, BATCH, BLOCK, PEAK = 1300, 16, 128, 4e-3
PROMPTS = ["The capital of France is", "One night a storm came to", "\"I have lost the map of the bay,\""]
NEW_TOKENS = 40

TEXTS = [
    "The capital of France is", "Hello, world!", "I'm don't WE'LL it's", "x = 12345 + 67.89;", "Hi  Hello", " ", "",
    "  leading", "trailing   ", "tab\tand\nnewlines\n\n  end", "caf\u00e9", "cafe\u0301", "\u4f60\u597d \U0001F600",
    "a" + " " * 9 + "b" + " " * 30 + "c", "<|endoftext|>Mara<|endoftext|>", "Caf\u00e9 Lumen's \u00a0 clock", "\u2581 \u0120",
]


def init_weights(cfg, gen):
    D, V, Fi = cfg["hidden_size"], cfg["vocab_size"], cfg["intermediate_size"]
    std = cfg["initializer_range"]

    def mat(*shape, s=std):
        return torch.empty(*shape).normal_(0, s, generator=gen)

    sd = {"gpt_neox.embed_in.weight": mat(V, D)}
    for i in range(cfg["num_hidden_layers"]):
        p = f"gpt_neox.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            sd[p + norm + ".weight"], sd[p + norm + ".bias"] = torch.ones(D), torch.zeros(D)
        out = std / math.sqrt(2 * cfg["num_hidden_layers"])
        for name, rows, cols, s in (("attention.query_key_value", 3 * D, D, std), ("attention.dense", D, D, out),
                                    ("mlp.dense_h_to_4h", Fi, D, std), ("mlp.dense_4h_to_h", D, Fi, out)):
            sd[p + name + ".weight"], sd[p + name + ".bias"] = mat(rows, cols, s=s), torch.zeros(rows)
    sd["gpt_neox.final_layer_norm.weight"], sd["gpt_neox.final_layer_norm.bias"] = torch.ones(D), torch.zeros(D)
    sd["embed_out.weight"] = mat(V, D)
    return sd


def rotary(cfg, first, count):
    hd = cfg["hidden_size"] // cfg["num_attention_heads"]
    r = int(hd * cfg["rotary_pct"])
    inv_freq = 1.0 / (cfg["rotary_emb_base"] ** (torch.arange(0, r, 2).float() / r))
    angle = torch.outer(torch.arange(first, first + count).float(), inv_freq)
    return r, torch.cos(angle), torch.sin(angle)


def rotate(x, r, cos, sin):
    """x is [B, H, T, hd]; element i of the first r pairs with element i + r/2."""
    a, b, rest = x[..., : r // 2], x[..., r // 2: r], x[..., r:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)


def forward(sd, cfg, ids, cache=None):
    """Logits [B, T, V].  cache, when given, is a list of (k, v) per layer and is extended in place."""
    D, H, eps = cfg["hidden_size"], cfg["num_attention_heads"], cfg["layer_norm_eps"]
    hd = D // H
    B, T = ids.shape
    past = cache[0][0].shape[2] if cache else 0
    r, cos, sin = rotary(cfg, past, T)
    keep = torch.ones(T, past + T, dtype=torch.bool).tril(past)
    x = sd["gpt_neox.embed_in.weight"][ids]
    for i in range(cfg["num_hidden_layers"]):
        w = lambda name: sd[f"gpt_neox.layers.{i}.{name}"]
        norm = lambda name: F.layer_norm(x, (D,), w(name + ".weight"), w(name + ".bias"), eps)
        lin = lambda name, y: F.linear(y, w(name + ".weight"), w(name + ".bias"))
        z = lin("attention.query_key_value", norm("input_layernorm")).view(B, T, H, 3, hd).permute(3, 0, 2, 1, 4)
        q, k, v = rotate(z[0], r, cos, sin), rotate(z[1], r, cos, sin), z[2]
        if cache is not None:
            if past:
                k, v = torch.cat((cache[i][0], k), 2), torch.cat((cache[i][1], v), 2)
                cache[i] = (k, v)
            else:
                cache.append((k, v))
        s = (q @ k.transpose(-1, -2)) / math.sqrt(hd)
        a = torch.softmax(s.masked_fill(~keep, float("-inf")), dim=-1)
        att = lin("attention.dense", (a @ v).transpose(1, 2).reshape(B, T, D))
        mlp = lin("mlp.dense_4h_to_h", F.gelu(lin("mlp.dense_h_to_4h", norm("post_attention_layernorm"))))
        x = x + att + mlp
    x = F.layer_norm(x, (D,), sd["gpt_neox.final_layer_norm.weight"], sd["gpt_neox.final_layer_norm.bias"], eps)
    return F.linear(x, sd["embed_out.weight"])


def generate(sd, cfg, ids, count):
    """Greedy continuation with a key/value cache; also the logits after the prompt and the smallest lead."""
    cache, out, lead, first = [], [], float("inf"), None
    step = torch.tensor([ids])
    for _ in range(count):
        logits = forward(sd, cfg, step, cache)[0, -1]
        first = logits if first is None else first
        top = torch.topk(logits, 2).values
        lead = min(lead, float(top[0] - top[1]))
        out.append(int(logits.argmax()))
        step = torch.tensor([[out[-1]]])
    return out, first, lead


def train():
    torch.set_num_threads(1)
    gen = torch.Generator().manual_seed(20240607)
    tok = bpe.Tokenizer(os.path.join(OUT, "tokenizer.json"))
    with open(os.path.join(HERE, "corpus.txt"), encoding="utf-8") as f:
        docs = f.read().rstrip("\n").split("\n\n")
    docs = [tok.encode(d) for d in docs]
    sd = init_weights(CONFIG, gen)
    params = list(sd.values())
    print(f"{sum(p.numel() for p in params)} parameters, {sum(map(len, docs))} tokens in {len(docs)} documents")
    for p in params:
        p.requires_grad_(True)
    opt = torch.optim.AdamW([{"params": [p for p in params if p.dim() > 1], "weight_decay": 0.1},
                             {"params": [p for p in params if p.dim() == 1], "weight_decay": 0.0}],
                            lr=PEAK, betas=(0.9, 0.95))
    began, stream = time.time(), []
    for step in range(STEPS):
        rate = PEAK * min(1, (step + 1) / 60) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))
        for g in opt.param_groups:
            g["lr"] = rate
        while len(stream) < BATCH * BLOCK + 1:        # documents in a new order each time round
            for i in torch.randperm(len(docs), generator=gen).tolist():
                stream += docs[i] + [CONFIG["eos_token_id"]]
        chunk, stream = stream[:BATCH * BLOCK + 1], stream[BATCH * BLOCK:]
        x = torch.tensor(chunk[:-1]).view(BATCH, BLOCK)
        y = torch.tensor(chunk[1:]).view(BATCH, BLOCK)
        loss = F.cross_entropy(forward(sd, CONFIG, x).view(-1, CONFIG["vocab_size"]), y.view(-1))
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if step % 100 == 0 or step == STEPS - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.time() - began:.0f} s", flush=True)
    save({k: v.detach() for k, v in sd.items()})


def save(sd):
    """Write the repository as an old library version left it: fp16, with masks and rotary tables among the weights."""
    P = CONFIG["max_position_embeddings"]
    hd = CONFIG["hidden_size"] // CONFIG["num_attention_heads"]
    r = int(hd * CONFIG["rotary_pct"])
    out = {}
    for name, t in sd.items():
        if name.endswith("attention.query_key_value.weight"):
            p = name[: -len("query_key_value.weight")]
            out[p + "bias"] = torch.ones(P, P, dtype=torch.uint8).tril().view(1, 1, P, P)
            out[p + "masked_bias"] = torch.tensor(-1e9).half()    # -inf, as published
            out[p + "rotary_emb.inv_freq"] = (1.0 / (CONFIG["rotary_emb_base"] ** (torch.arange(0, r, 2).float() / r))).half()
        out[name] = t.half()
    torch.save(out, os.path.join(OUT, "pytorch_model.bin"))
    for name, value in (("config.json", CONFIG), ("tokenizer_config.json", TOKENIZER_CONFIG),
                        ("special_tokens_map.json", SPECIAL_TOKENS)):
        with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=2)
            f.write("\n")


def load():
    with open(os.path.join(OUT, "config.json"), encoding="utf-8") as f:
        cfg = json.load(f)
    sd = torch.load(os.path.join(OUT, "pytorch_model.bin"))
    return {k: v.float() for k, v in sd.items()}, cfg


def expected():
    torch.set_num_threads(1)
    sd, cfg = load()
    tok = bpe.Tokenizer(os.path.join(OUT, "tokenizer.json"))
    prompts = []
    for text in PROMPTS:
        ids = tok.encode(text)
        with torch.no_grad():
            new, logits, lead = generate(sd, cfg, ids, NEW_TOKENS)
        assert cfg["eos_token_id"] not in new, (text, new)
        prompts.append({"prompt": text, "ids": ids, "greedy": new, "text": tok.decode(new),
                        "smallest_lead": round(lead, 4),
                        "logits": [round(v, 6) for v in logits[:16].tolist()],
                        "argmax": int(logits.argmax()), "l2": round(float(logits.double().norm()), 6)})
        print(f"{text!r} -> {tok.decode(new)!r}  (smallest lead {lead:.3f})")
    texts = [{"text": t, "ids": tok.encode(t), "decoded": tok.decode(tok.encode(t))} for t in TEXTS]
    with open(os.path.join(HERE, "expected.json"), "w", encoding="utf-8") as f:
        json.dump({"made_by": "train.py --expected (fp32 arithmetic on the fp16 weights)",
                   "prompts": prompts, "tokenizer": texts}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--expected"]:
        expected()
    elif sys.argv[1:] == []:
        train()
    else:
        sys.exit(__doc__)
