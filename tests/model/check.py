#!/usr/bin/env python3
"""Check expected.json with a second implementation of the model, written apart from train.py.

numpy in double precision, one head and one token at a time, the whole sequence again for every new token (no
key/value cache).  torch is used for nothing but reading the file.

    python3 check.py
"""
import json
import math
import os
import sys

import numpy as np
import torch

import bpe

HERE = os.path.dirname(os.path.abspath(__file__))
ERF = np.vectorize(math.erf)


def norm(v, w, b, eps):
    m = sum(v) / len(v)
    d = v - m
    return d / math.sqrt(sum(d * d) / len(d) + eps) * w + b


def turn(v, pos, r, base):
    out = v.copy()
    for i in range(r // 2):
        a = pos / base ** (2 * i / r)
        out[i] = v[i] * math.cos(a) - v[i + r // 2] * math.sin(a)
        out[i + r // 2] = v[i + r // 2] * math.cos(a) + v[i] * math.sin(a)
    return out


def logits(w, c, ids):
    """Logits after the last of ids."""
    D, H, eps = c["hidden_size"], c["num_attention_heads"], c["layer_norm_eps"]
    hd = D // H
    r = int(hd * c["rotary_pct"])
    xs = [w["gpt_neox.embed_in.weight"][t] for t in ids]
    for layer in range(c["num_hidden_layers"]):
        g = lambda n: w[f"gpt_neox.layers.{layer}.{n}"]
        qs, ks, vs = [], [], []
        for pos, x in enumerate(xs):
            z = g("attention.query_key_value.weight") @ norm(x, g("input_layernorm.weight"), g("input_layernorm.bias"), eps)
            z = z + g("attention.query_key_value.bias")
            parts = [z[h * 3 * hd:(h + 1) * 3 * hd] for h in range(H)]
            qs.append([turn(p[:hd], pos, r, c["rotary_emb_base"]) for p in parts])
            ks.append([turn(p[hd:2 * hd], pos, r, c["rotary_emb_base"]) for p in parts])
            vs.append([p[2 * hd:] for p in parts])
        new = []
        for pos, x in enumerate(xs):
            heads = []
            for h in range(H):
                s = np.array([qs[pos][h] @ ks[j][h] / math.sqrt(hd) for j in range(pos + 1)])
                e = np.exp(s - s.max())
                heads.append(sum(e[j] * vs[j][h] for j in range(pos + 1)) / e.sum())
            att = g("attention.dense.weight") @ np.concatenate(heads) + g("attention.dense.bias")
            u = g("mlp.dense_h_to_4h.weight") @ norm(x, g("post_attention_layernorm.weight"), g("post_attention_layernorm.bias"), eps)
            u = u + g("mlp.dense_h_to_4h.bias")
            u = 0.5 * u * (1 + ERF(u / math.sqrt(2)))
            new.append(x + att + g("mlp.dense_4h_to_h.weight") @ u + g("mlp.dense_4h_to_h.bias"))
        xs = new
    return w["embed_out.weight"] @ norm(xs[-1], w["gpt_neox.final_layer_norm.weight"], w["gpt_neox.final_layer_norm.bias"], eps)


def main():
    d = os.path.join(HERE, "tiny-neox")
    with open(os.path.join(d, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    with open(os.path.join(HERE, "expected.json"), encoding="utf-8") as f:
        want = json.load(f)
    w = {k: v.double().numpy() for k, v in torch.load(os.path.join(d, "pytorch_model.bin")).items()}
    tok = bpe.Tokenizer(os.path.join(d, "tokenizer.json"))
    bad = 0
    for p in want["prompts"]:
        first = logits(w, c, p["ids"])
        off = max(abs(first[:16] - np.array(p["logits"])))
        l2 = abs(float(np.linalg.norm(first)) - p["l2"])
        seq = list(p["ids"])
        for _ in p["greedy"]:
            seq.append(int(logits(w, c, seq).argmax()))
        same = seq[len(p["ids"]):] == p["greedy"] and int(first.argmax()) == p["argmax"]
        ok = bool(same and off < 2e-4 and l2 < 2e-3 and tok.encode(p["prompt"]) == p["ids"] and tok.decode(p["greedy"]) == p["text"])
        bad += not ok
        print(f"{'ok' if ok else 'BAD'}  {p['prompt']!r}: {len(p['greedy'])} tokens {'equal' if same else 'DIFFER'}, "
              f"logits within {off:.1e}, norm within {l2:.1e}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
