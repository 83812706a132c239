#!/usr/bin/env python3
"""Tiny models of every family, made and saved by current transformers: the
same logits after a prompt and the same greedy tokens from mlverify-run, with
the config as it was saved and as older versions spelled it."""
# packages: torch>=2.7 transformers>=5
import array
import json
import os
import shutil
import sys
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
warnings.filterwarnings("ignore")

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import torch  # noqa: E402
from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: E402

NEW = 64
CLOSE = 1e-4  # of the largest logit
VOCAB = 97
PROMPT = 60  # with NEW within 128 positions, and more than one block

SIZES = {"vocab_size": VOCAB, "hidden_size": 48, "num_hidden_layers": 3,
         "num_attention_heads": 6, "intermediate_size": 72,
         "max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 1,
         "pad_token_id": None}
GPT = {"vocab_size": VOCAB, "n_embd": 48, "n_layer": 3, "n_head": 6,
       "n_positions": 128, "bos_token_id": 0, "eos_token_id": 1,
       "pad_token_id": None}
BLOOM = {"vocab_size": VOCAB, "hidden_size": 48, "n_layer": 3, "n_head": 6,
         "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
FALCON = {"vocab_size": VOCAB, "hidden_size": 48, "num_hidden_layers": 3,
          "num_attention_heads": 6, "max_position_embeddings": 128,
          "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
MPT = {"vocab_size": VOCAB, "d_model": 48, "n_layers": 3, "n_heads": 6,
       "max_seq_len": 128, "bos_token_id": 0, "eos_token_id": 1,
       "pad_token_id": None}

WIDE = {"num_key_value_heads": 2, "head_dim": 20}  # 6 x 20 is not 48
GROUPED = {"num_key_value_heads": 2}
ODD = {"num_attention_heads": 5, "hidden_size": 60, "num_key_value_heads": 1}
HALVES = [1.0, 1.5, 2.0, 4.0]  # longrope, of heads of 8
TWOS = [1.0, 1.1, 1.3, 1.7]


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0,
                                **more}}


LLAMA3 = rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=32)
YARN_ODD = rope("yarn", factor=2.5, original_max_position_embeddings=48,
                beta_fast=16, beta_slow=2, truncate=False, mscale=1.2,
                mscale_all_dim=0.7)
LONG = {"max_position_embeddings": 128,
        "original_max_position_embeddings": 32,
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 10000.0,
            "short_factor": TWOS, "long_factor": HALVES,
            "original_max_position_embeddings": 32}}
LONG_UNUSED = {"max_position_embeddings": 1024,
               "original_max_position_embeddings": 512,
               "rope_parameters": {
                   "rope_type": "longrope", "rope_theta": 10000.0,
                   "short_factor": TWOS, "long_factor": HALVES,
                   "original_max_position_embeddings": 512}}

# model_type, its sizes, and {what is special: members}
FAMILIES = [
    ("gpt_neox", SIZES, {
        "parallel": {}, "sequential": {"use_parallel_residual": False},
        "half of a head turns, tied": {
            "tie_word_embeddings": True,
            **rope("default", partial_rotary_factor=0.5)},
        "no attention bias": {"attention_bias": False}}),
    ("llama", SIZES, {
        "grouped": GROUPED, "wide heads": WIDE, "tied": {
            "tie_word_embeddings": True}, "one key head": ODD,
        "biases": {"attention_bias": True, "mlp_bias": True},
        "another base": rope("default") | {"rope_parameters": {
            "rope_type": "default", "rope_theta": 500000.0}},
        "linear": rope("linear", factor=2.5), "llama3": LLAMA3, "yarn": YARN,
        "yarn, all members": YARN_ODD,
        "dynamic, short": rope("dynamic", factor=2.0),
        "dynamic, beyond": rope("dynamic", factor=2.0) | {
            "max_position_embeddings": 62},
        "relu": {"hidden_act": "relu"}}),
    ("stablelm", SIZES, {
        "plain": GROUPED, "biases": {"use_qkv_bias": True, **GROUPED},
        "a key head per query": {"num_key_value_heads": 6},
        "parallel, queries normalised": {
            "use_parallel_residual": True, "qk_layernorm": True, **GROUPED},
        "half of a head turns": {
            **GROUPED, **rope("default", partial_rotary_factor=0.5)}}),
    ("mistral", SIZES, {
        "window": {"sliding_window": 9, **GROUPED},
        "no window, wide heads": {"sliding_window": None, **WIDE},
        "yarn": {"sliding_window": None, **GROUPED, **YARN}}),
    ("mixtral", SIZES, {
        "two of four": {"num_local_experts": 4, **GROUPED},
        "three of five, window": {
            "num_local_experts": 5, "num_experts_per_tok": 3,
            "sliding_window": 7, **WIDE},
        "one of four": {"num_local_experts": 4, "num_experts_per_tok": 1,
                        **GROUPED}}),
    ("qwen2", SIZES, {
        "grouped": GROUPED, "tied": {"tie_word_embeddings": True, **GROUPED},
        "window from layer 1": {"use_sliding_window": True,
                                "sliding_window": 9, "max_window_layers": 1,
                                **GROUPED},
        "yarn": {**GROUPED, **YARN}}),
    ("qwen3", SIZES, {
        "wide heads": WIDE, "tied": {"tie_word_embeddings": True, **WIDE},
        "biases": {"attention_bias": True, **WIDE},
        "window from layer 1": {"use_sliding_window": True,
                                "sliding_window": 9, "max_window_layers": 1,
                                **WIDE}}),
    ("gemma", SIZES, {
        "wide heads": WIDE, "untied": {"tie_word_embeddings": False, **WIDE},
        "one key head": {**ODD, "head_dim": 16}}),
    ("gemma2", SIZES, {
        "window": {"sliding_window": 9, "query_pre_attn_scalar": 24, **WIDE},
        "no caps": {"sliding_window": 9, "attn_logit_softcapping": None,
                    "final_logit_softcapping": None, **WIDE}}),
    ("gemma3_text", SIZES, {
        "window": {"num_hidden_layers": 7, "sliding_window": 9,
                   "query_pre_attn_scalar": 24, **WIDE},
        "kinds of layers": {
            "num_hidden_layers": 3, "sliding_window": 5, **WIDE,
            "layer_types": ["full_attention", "sliding_attention",
                            "full_attention"]},
        "linear": {
            "num_hidden_layers": 7, "sliding_window": 9, **WIDE,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0,
                                   "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default",
                                      "rope_theta": 10000.0}}}}),
    ("phi", SIZES, {
        "half of a head turns": {},
        "grouped": GROUPED,
        "a quarter": rope("default", partial_rotary_factor=0.25)}),
    ("phi3", SIZES, {
        "grouped": GROUPED, "window": {"sliding_window": 9, **GROUPED},
        "three quarters turn": {
            **GROUPED, **rope("default", partial_rotary_factor=0.75)},
        "longrope, long": {**GROUPED, **LONG},
        "longrope, short": {**GROUPED, **LONG_UNUSED}}),
    ("olmo", SIZES, {
        "grouped": GROUPED, "clipped": {"clip_qkv": 0.5},
        "tied": {"tie_word_embeddings": True}}),
    ("olmo2", SIZES, {
        "grouped": GROUPED, "biases": {"attention_bias": True},
        "tied": {"tie_word_embeddings": True}}),
    ("cohere", SIZES, {
        "grouped": {"logit_scale": 0.25, **GROUPED},
        "queries normalised": {"use_qk_norm": True, **GROUPED},
        "biases, untied": {"attention_bias": True,
                           "tie_word_embeddings": False}}),
    ("starcoder2", SIZES, {
        "window": {"sliding_window": 9, **GROUPED},
        "no biases, untied": {"use_bias": False, "sliding_window": None,
                              "tie_word_embeddings": False, **GROUPED}}),
    ("granite", SIZES, {
        "multipliers": {"embedding_multiplier": 3.0, "logits_scaling": 2.5,
                        "residual_multiplier": 0.4,
                        "attention_multiplier": 0.3, **GROUPED},
        "biases, tied": {"attention_bias": True, "mlp_bias": True,
                         "tie_word_embeddings": True}}),
    ("gpt2", GPT, {
        "tied": {}, "untied": {"tie_word_embeddings": False},
        "inner size, relu": {"n_inner": 80, "activation_function": "relu"}}),
    ("gpt_bigcode", GPT, {
        "one key head": {}, "many key heads": {"multi_query": False},
        "untied": {"tie_word_embeddings": False}}),
    ("gptj", GPT, {
        "4 of 8 turn": {"rotary_dim": 4}, "all turn": {"rotary_dim": 8},
        "inner size": {"rotary_dim": 4, "n_inner": 80}}),
    ("opt", SIZES, {
        "plain": {"ffn_dim": 80, "word_embed_proj_dim": 48},
        "untied, no biases": {"enable_bias": False, "ffn_dim": 80,
                              "word_embed_proj_dim": 48,
                              "tie_word_embeddings": False}}),
    ("bloom", BLOOM, {
        "6 heads": {}, "8 heads": {"n_head": 8}, "3 heads": {"n_head": 3}}),
    ("falcon", FALCON, {
        "one key head (7b)": {}, "one key head, no parallel": {
            "parallel_attn": False, "bias": True},
        "groups (40b)": {"new_decoder_architecture": True, "num_kv_heads": 2},
        "groups, one norm (11b)": {
            "new_decoder_architecture": True, "num_kv_heads": 2,
            "num_ln_in_parallel_attn": 1},
        "alibi (rw)": {"alibi": True, "multi_query": False, "bias": True,
                       "parallel_attn": False},
        "alibi, 8 heads": {"alibi": True, "multi_query": False, "bias": True,
                           "parallel_attn": False, "num_attention_heads": 8},
        # past 256 positions bfloat16 has not every number
        "alibi, long": {"alibi": True, "multi_query": False, "bias": True,
                        "parallel_attn": False, "prompt": 700,
                        "max_position_embeddings": 1024},
        "inner size": {"ffn_hidden_size": 80}}),
    ("mpt", MPT, {
        "6 heads": {}, "8 heads": {"n_heads": 8}, "3 heads": {"n_heads": 3},
        # alibi_bias_max and expansion_ratio are not heeded by transformers
        "clipped, scaled": {"attn_config": {"clip_qkv": 0.5,
                                            "softmax_scale": 0.3}}}),
]

# by the length of the run, so a cache filled at another length differs
BY_LENGTH = ("dynamic", "longrope")


def randomise(model):
    """Numbers that tell rows, heads and norms apart, unlike a fresh model's."""
    torch.manual_seed(20)
    for name, p in sorted(model.named_parameters()):
        if p.dim() < 2 or "layernorm" in name:
            by, about = 0.2, float("norm" in name or "ln_" in name)
            about = 0.0 if name.endswith("bias") else about
        else:
            by, about = 0.25, 0.0
        with torch.no_grad():
            p.copy_(about + by * torch.randn(p.shape))


def make(model_type, members):
    # eager Falcon adds ALiBi twice: with the mask, and after it
    config = CONFIG_MAPPING[model_type](**members)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32,
        attn_implementation="sdpa" if members.get("alibi") else "eager")
    randomise(model)
    model.eval()
    return model


def prompt_of(length):
    return [(i * i * 7 + i * 31 + 5) % VOCAB for i in range(length)]


def greedy_whole(model, prompt):
    """One pass over the whole length for every token: what is to the right
    of a position does not reach it."""
    ids = list(prompt)
    length = len(ids) + NEW
    first = None
    for at in range(len(ids), length):
        row = torch.tensor([ids + [0] * (length - at)])
        logits = model(row, use_cache=False).logits[0, at - 1]
        first = logits if first is None else first
        ids.append(int(logits.argmax()))
    return ids[len(prompt):], first


def theirs(model, prompt):
    kind = (getattr(model.config, "rope_parameters", None) or {}).get(
        "rope_type")
    with torch.no_grad():
        if kind in BY_LENGTH:
            return greedy_whole(model, prompt)
        ids = torch.tensor([prompt])
        first = model(ids).logits[0, -1]
        model.generation_config.eos_token_id = None
        out = model.generate(ids, max_new_tokens=NEW, do_sample=False,
                             pad_token_id=0,
                             attention_mask=torch.ones_like(ids))
        return out[0][len(prompt):].tolist(), first


def ours(folder, prompt, env):
    """Tokens, logits, and what is wrong with them."""
    path = folder + ".f32"
    done = kit.run(["mlverify-run", "--json", "--ignore-eos", "-n", NEW,
                    "--perplexity", "none", "--logits", path,
                    "--tokens", ",".join(map(str, prompt)), folder], env)
    if done.returncode != 0:
        return [], [], f"exit {done.returncode}\n{done.stderr}{done.stdout}"
    logits = array.array("f")
    with open(path, "rb") as f:
        logits.frombytes(f.read())
    return json.loads(done.stdout)["tokens"], logits, ""


def older(config):
    """The same config as transformers 4 saved it, or None when it cannot
    be said there."""
    c = dict(config)
    c["torch_dtype"] = c.pop("dtype")
    if c["model_type"] != "gemma3_text":
        c.pop("layer_types", None)
    rope = c.pop("rope_parameters", None) or {}
    if "full_attention" in rope:
        c["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    rope = dict(rope)
    base = rope.pop("rope_theta", None)
    part = rope.pop("partial_rotary_factor", None)
    neox = c["model_type"] == "gpt_neox"
    if base is not None:
        c["rotary_emb_base" if neox else "rope_theta"] = base
    if part is not None:
        c["rotary_pct" if neox else "partial_rotary_factor"] = part
    if rope.get("rope_type", "default") != "default":
        rope["type"] = rope.pop("rope_type")
        c["rope_scaling"] = rope
    return c if base is not None else None


def compare_older(tap, name, folder, prompt, env, want):
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = older(json.load(f))
    if config is not None:
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        got, _, why = ours(folder, prompt, env)
        tap.ok(got == want, f"{name}: as older files say it",
               f"ours   {got}\ntheirs {want}\n{why}")


def compare(tap, name, folder, prompt, env, want, first):
    got, logits, why = ours(folder, prompt, env)
    if why:
        tap.ok(False, name, why)
        return
    top = max(abs(x) for x in first)
    far = max((abs(a - b) for a, b in zip(logits, first)), default=9) / top
    same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                min(len(got), len(want)))
    tap.ok(len(logits) == VOCAB and far <= CLOSE and got == want,
           f"{name}: {same} tokens alike, logits off by {far:.1e}",
           f"ours   {got}\ntheirs {want}")


def one(tap, home, env, model_type, name, members):
    folder = os.path.join(home, "model")
    prompt = prompt_of(members.pop("prompt", PROMPT))
    try:
        model = make(model_type, members)
        model.save_pretrained(folder)
        want, first = theirs(model, prompt)
    except Exception as e:  # any failure of theirs is a skip, named
        tap.skip(name, f"transformers: {str(e).splitlines()[0][:100]}")
        return
    compare(tap, name, folder, prompt, env, want, first.tolist())
    compare_older(tap, name, folder, prompt, env, want)
    if "--keep" in sys.argv:
        shutil.copytree(folder, os.path.join(home, name.replace(" ", "_")))
    shutil.rmtree(folder)


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    torch.set_num_threads(2)
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    for model_type, sizes, variants in FAMILIES:
        for what, more in variants.items():
            if not wanted or model_type in wanted:
                one(tap, home, env, model_type, f"{model_type}: {what}",
                    {**sizes, **more})
    if "--keep" in sys.argv:
        print(f"# kept in {home}")
    else:
        shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
