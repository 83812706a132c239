#!/usr/bin/env python3
"""What mlverify-run says of models that load and yet are wrong: swapped
tensors, another model's tokenizer, another form that drifts too far, a run
that is not the one recorded. Beside each stands a control that must pass.

The models are those below tests/, taken apart here. Prints TAP.
"""
import json
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../.."), os.path.join(HERE,
                                                          "../../fixtures")]
import kit  # noqa: E402
from takenapart import Weights  # noqa: E402

TESTS = os.path.join(kit.ROOT, "tests")
NEOX = os.path.join(TESTS, "model/tiny-neox")
LLAMA = os.path.join(TESTS, "fixtures/llama/safetensors")

t = kit.Tap()


def run(*args):
    done = kit.run(["mlverify-run", *args, "--json"], ENV)
    try:
        return done, json.loads(done.stdout)
    except ValueError:
        t.ok(False, f"JSON from {args}", done.stdout + done.stderr)
        return done, {"checks": []}


def check(got, name):
    """ok and the words of one check; None when it was not made."""
    for c in got["checks"]:
        if c["name"] == name:
            return c["ok"], c["detail"]
    return None, ""


def convert(base, kind, source):
    out = os.path.join(base, f"{os.path.basename(source)}-{kind}")
    done = kit.run(["mlconvert", f"--{kind}", "-q", "-o", out, source], ENV)
    assert done.returncode == 0, done.stderr
    return out


# ---- perplexity ----

def says(folder, want, label, *options):
    done, got = run(folder, "-n", "1", *options)
    good, words = check(got, "perplexity")
    t.eq((done.returncode, good), (0, True) if want else (9, False), label)
    if not want:
        t.ok("untrained" in words and "tokenizer" in words, "in words", words)
    return got


def test_perplexity(base, neox):
    got = says(neox, True, "a trained model, though of other texts")
    p = got["perplexity"]
    t.eq((p["untrained"], p["tokens"], p["texts"]), (512, 63, 1),
         "beside what an untrained one would score")
    t.ok(p["order_nats"] > 3, "the order of the text is worth a lot", p)
    got = says(neox, True, "all texts", "--perplexity", "full")
    p = got["perplexity"]
    t.eq([x["name"] for x in p["passages"]],
         ["story", "facts", "letter", "report", "code", "languages"],
         "one number for each")
    t.eq(sum(x["tokens"] for x in p["passages"]), p["tokens"], "of its tokens")
    done, got = run(neox, "-n", "1", "--memory", "1K")
    t.eq((done.returncode, got["perplexity"], check(got, "perplexity")[0]),
         (0, None, None), "none by itself when every pass reads the file")
    done = kit.run(["mlverify-run", neox, "-n", "1", "--memory", "1K"], ENV)
    t.ok("perplexity  not made" in done.stdout and
         "streamed: --perplexity short" in done.stdout,
         "which the report says", done.stdout)
    says(neox, True, "unless it is wanted", "--memory", "1K", "--perplexity",
         "short")
    done, got = run(neox, "-n", "1", "--perplexity", "none")
    t.eq((done.returncode, got["perplexity"], check(got, "perplexity")[0]),
         (0, None, None), "not made when it is not wanted")
    says(LLAMA, False, "random weights read like none")
    layer = "gpt_neox.layers.%d."
    w = Weights(neox)
    w.swap("gpt_neox.embed_in.weight", "embed_out.weight")
    says(w.write(os.path.join(base, "swapped-ends")), False,
         "embedding and head swapped")
    w = Weights(neox)
    for part in ("attention.dense.weight", "attention.query_key_value.weight",
                 "mlp.dense_h_to_4h.weight", "mlp.dense_4h_to_h.weight"):
        w.swap(layer % 0 + part, layer % 2 + part)
    says(w.write(os.path.join(base, "swapped-layers")), False,
         "the first layer swapped with the last")
    w = Weights(neox)
    w.swap_rows("gpt_neox.embed_in.weight", 1)
    says(w.write(os.path.join(base, "swapped-rows")), False,
         "rows of the embedding swapped")
    w = Weights(neox)
    says(w.write(os.path.join(base, "other-tokenizer"),
                 os.path.join(LLAMA, "tokenizer.json")), False,
         "the tokenizer of another model")
    says(Weights(neox).write(os.path.join(base, "whole")), True,
         "control: taken apart and put together again")


def test_stories(base):
    """A small model that was really trained, on children's stories."""
    folder = os.path.join(kit.STORIES, "safetensors")
    if not os.path.isdir(folder):
        t.skip("stories260k: it reads, swapped it does not",
               "../shared/models is not there")
        return
    for texts in ("short", "full"):
        says(folder, True, f"stories260k reads ({texts})", "--perplexity",
             texts)
    w = Weights(folder)
    for i in range(5):
        layer = f"model.layers.{i}.self_attn."
        w.swap(layer + "k_proj.weight", layer + "v_proj.weight")
    says(w.write(os.path.join(base, "stories-kv")), False,
         "with keys and values swapped it does not")
    w = Weights(folder)
    w.swap("model.layers.1.mlp.down_proj.weight",
           "model.layers.3.mlp.down_proj.weight")
    other = w.write(os.path.join(base, "stories-mlp"))
    done, got = run(other, "--against", folder, "--perplexity", "none")
    t.eq((done.returncode, check(got, "against")[0]), (9, False),
         "two layers' MLP outputs swapped: another model")
    says(Weights(folder).write(os.path.join(base, "stories-tokenizer"),
                               os.path.join(NEOX, "tokenizer.json")), False,
         "nor with another model's tokenizer")


def test_beyond(base):
    """A tokenizer with more tokens than the model has rows."""
    folder = Weights(LLAMA).write(
        os.path.join(base, "beyond"), os.path.join(NEOX, "tokenizer.json"))
    done, got = run(folder, "--tokens", "1,2", "-n", "1")
    good, words = check(got, "perplexity")
    t.eq((done.returncode, good), (9, False), "ids past the vocabulary")
    t.ok("another model's" in words and "383" in words, "in words", words)


# ---- against ----

def test_against(base, neox):
    for kind, bound in (("fp32", 0.006), ("bf16", 0.05), ("int8", 0.2)):
        other = convert(base, kind, NEOX)
        done, got = run(neox, "--against", other, "-n", "8")
        a = got.get("against", {})
        t.eq((done.returncode, check(got, "against")[0]), (0, True),
             f"fp16 against {kind}")
        t.ok(a["share"] <= a["bound"] < bound, "within its bound", a)
        t.ok(a["positions"] > 64 and a["top1_agreement"] > 0.95 and
             a["mean_drift"] <= a["max_drift"] and a["kl_nats"] < 0.01,
             "with the numbers", a)
        t.eq(a["share"] == 0, kind == "fp32", "which fp32 has none of")
    done, got = run(neox, "--against", NEOX)
    t.eq((done.returncode, got["against"]["max_drift"]), (0, 0),
         "another container: the same bits")
    w = Weights(neox)
    w.swap("gpt_neox.layers.0.input_layernorm.weight",
           "gpt_neox.layers.0.post_attention_layernorm.weight")
    done, got = run(neox, "--against",
                    w.write(os.path.join(base, "swapped-norms")))
    t.eq((done.returncode, check(got, "against")[0]), (9, False),
         "two norms swapped: another model")
    done, got = run(neox, "--against", LLAMA)
    t.eq((done.returncode, check(got, "against")[0]), (9, False),
         "a model of another size")
    t.ok("vocabulary 384 instead of 512" in check(got, "against")[1],
         "in words", check(got, "against"))
    short = Weights(neox).write(os.path.join(base, "short"))
    file = os.path.join(short, "config.json")
    with open(file, encoding="utf-8") as f:
        config = json.load(f)
    with open(file, "w", encoding="utf-8") as f:
        json.dump({**config, "max_position_embeddings": 16}, f)
    done = kit.run(["mlverify-run", neox, "-n", "32", "--against", short,
                    "--perplexity", "none"], ENV)
    t.ok(done.returncode == 2 and "--against" in done.stderr and
         "other model" in done.stderr and "16" in done.stderr,
         "one with a context that is too short: it is named", done.stderr)
    done = kit.run(["mlverify-run", neox, "-n", "4", "--against", short,
                    "--perplexity", "none"], ENV)
    t.eq(done.returncode, 0, "control: that is enough for a shorter run")
    test_stretched(base, neox)
    done = kit.run(["mlverify-run", neox, "--against", base + "/none"], ENV)
    t.eq((done.returncode, "none" in done.stderr), (3, True),
         "one that is not there")
    done = kit.run(["mlverify-run", neox, "--against", NEOX], ENV)
    t.ok("against" in done.stdout and "same best token" in done.stdout,
         "for people", done.stdout)


def test_stretched(base, neox):
    """Frequencies that go by the length of the run, which ends early."""
    folder = Weights(neox).write(os.path.join(base, "stretched"))
    file = os.path.join(folder, "config.json")
    done, got = run(NEOX, "-n", "1")
    with open(file, encoding="utf-8") as f:
        config = json.load(f)
    config.update(max_position_embeddings=16, eos_token_id=got["tokens"][0],
                  rope_scaling={"type": "dynamic", "factor": 4})
    with open(file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    done, got = run(folder, "-n", "50", "--perplexity", "none", "--against",
                    folder)
    t.ok(len(got["tokens"]) < 8, "an end token comes early", got["tokens"])
    t.eq((done.returncode, got["against"]["max_drift"]), (0, 0),
         "both are made for the same length: the same bits")
    file = os.path.join(base, "stretched.json")
    run(folder, "-n", "50", "--perplexity", "none", "--golden", file)
    with open(file, encoding="utf-8") as f:
        kept = json.load(f)
    t.eq((kept.get("wanted"), len(kept["tokens"]) < 8), (50, True),
         "a recorded run says how many tokens there was room for")
    done, got = run(folder, "--perplexity", "none", "--golden", file)
    t.ok(done.returncode == 0 and got["golden"]["share"] < 1e-8,
         "and is repeated with that room", got["golden"])
    kept.pop("wanted", None)
    with open(file, "w", encoding="utf-8") as f:
        json.dump(kept, f)
    done, got = run(folder, "--perplexity", "none", "--golden", file)
    t.ok(got["golden"]["share"] > 1e-6,
         "control: without it the frequencies are others", got["golden"])


# ---- dtype ----

def logits_of(base, folder, *options):
    out = os.path.join(base, "logits")
    done = kit.run(["mlverify-run", folder, "--prompt", "The sea", "-n", "0",
                    "--logits", out, "--perplexity", "none", *options], ENV)
    if done.returncode != 0:
        return done.stderr or done.stdout
    with open(out, "rb") as f:
        return f.read()


def test_dtype(base, neox):
    """Rounding on the way in is the same as rounding what lies there."""
    wide = convert(base, "fp32", neox)
    seen = {}
    for kind in ("fp32", "fp16", "bf16"):
        there = logits_of(base, convert(base, kind, wide))
        seen[kind] = logits_of(base, wide, "--dtype", kind)
        t.ok(len(there) == 2048 and there == seen[kind],
             f"--dtype {kind}: the logits of what mlconvert makes")
        t.eq(logits_of(base, neox, "--dtype", kind), seen[kind],
             "also from fp16")
    t.ok(seen["fp32"] != seen["bf16"], "control: they differ")
    eight = convert(base, "int8", wide)
    a, b = (logits_of(base, eight, "--dtype", x) for x in ("fp32", "fp16"))
    t.ok(len(a) == len(b) == 2048 and a != b, "int8 ones are rounded too")
    done, got = run(wide, "--dtype", "bf16", "--against", wide)
    t.ok(done.returncode == 0 and 0.0005 < got["against"]["share"] < 0.04,
         "what rounding changes, against the stored ones", got["against"])
    w = Weights(wide)
    first = w.head["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"]
    at = first["data_offsets"][0]
    w.body[at:at + 4] = struct.pack("<f", 1e6)
    big = w.write(os.path.join(base, "big"))
    done, got = run(big, "--dtype", "fp16", "-n", "1")
    t.eq((done.returncode, check(got, "finite")),
         (9, (False, "not finite after layer 1, MLP down: "
              "gpt_neox.layers.1.mlp.dense_4h_to_h.weight holds such a "
              "value")), "what fp16 cannot hold is found")
    done, got = run(big, "--perplexity", "none", "-n", "1")
    t.eq(check(got, "finite")[0], True, "control: fp32 can")


# ---- golden ----

def broken(file, text, *word):
    with open(file, "w", encoding="utf-8") as f:
        f.write(text)
    done = kit.run(["mlverify-run", NEOX, "--golden", file], ENV)
    return done.returncode == 8 and os.path.basename(file) in done.stderr and \
        all(w in done.stderr for w in word)


def edited(file, recorded, label, word, **changes):
    with open(file, "w", encoding="utf-8") as f:
        json.dump({**recorded, **changes}, f)
    done, got = run(NEOX, "--golden", file)
    t.eq((done.returncode, check(got, "golden")[0]), (9, False), label)
    t.ok(word in check(got, "golden")[1], "in words", check(got, "golden"))


def test_golden(base, neox):
    file = os.path.join(base, "golden.json")
    done, first = run(neox, "--prompt", "The ferry", "-n", "12", "--golden",
                      file)
    t.eq((done.returncode, first["golden"]["state"]), (0, "recorded"),
         "a run is recorded")
    with open(file, encoding="utf-8") as f:
        text = f.read()
    kept = json.loads(text)
    t.eq((kept["tokens"], kept["prompt"], kept["vocabulary"], kept["dtype"]),
         (first["tokens"], first["prompt_tokens"], 512, "F16"), "what it was")
    t.ok(os.path.getsize(file) < 64 << 10, "in a small file")
    done, again = run(neox, "--golden", file)
    t.eq((done.returncode, again["golden"]["state"], again["tokens"]),
         (0, "holds", first["tokens"]), "and run again, without the prompt")
    t.ok(again["golden"]["share"] < 1e-8, "as near as nine digits tell",
         again["golden"])
    t.eq(again["golden"]["same_tokens"], 12, "and all tokens")
    for other in (NEOX, convert(base, "bf16", neox)):
        done, got = run(other, "--golden", file)
        t.eq((done.returncode, got["golden"]["state"]), (0, "holds"),
             f"so does {os.path.basename(other)}")
    with open(file, encoding="utf-8") as f:
        t.eq(f.read(), text, "the file is left as it was")
    w = Weights(neox)
    w.swap("gpt_neox.layers.0.input_layernorm.weight",
           "gpt_neox.layers.0.post_attention_layernorm.weight")
    done, got = run(w.write(os.path.join(base, "golden-norms")), "--golden",
                    file)
    t.eq((done.returncode, got["golden"]["state"]), (9, "broken"),
         "a model with swapped norms does not")
    done, got = run(LLAMA, "--golden", file, "--perplexity", "none")
    t.eq((done.returncode, check(got, "golden")[0]), (9, False),
         "nor does another family")
    done, got = run(neox, "--golden", file, "--prompt", "The ferry", "-n", "5")
    t.eq((done.returncode, got["golden"]["same_tokens"]), (0, 5),
         "a shorter run of the same prompt, as it was asked for")
    done, got = run(neox, "--golden", file, "--prompt", "The")
    t.eq((done.returncode, check(got, "golden")[0]), (9, False),
         "nor another prompt")
    test_edited(os.path.join(base, "edited.json"), kept)
    test_malformed(os.path.join(base, "bad.json"), text, kept)
    spoiled = os.path.join(base, "spoiled.json")
    done, got = run(LLAMA, "--golden", spoiled)
    t.eq((done.returncode, os.path.exists(spoiled)), (9, False),
         "a run that fails its checks is not recorded")
    done = kit.run(["mlverify-run", NEOX, "--golden", base + "/no/where"], ENV)
    t.eq(done.returncode, 3, "no folder for the file")


def test_edited(file, kept):
    logits = [dict(x, logit=x["logit"] + 0.2) for x in kept["logits"]]
    edited(file, kept, "other logits", "of their spread", logits=logits)
    edited(file, kept, "beside a spread that would hide them",
           "of their spread", logits=logits, spread=1e9)
    tokens = kept["tokens"][:5] + [7] + kept["tokens"][6:]
    edited(file, kept, "another token", "new token 6 is", tokens=tokens)
    edited(file, kept, "more tokens than there were", "new token 13 is",
           tokens=kept["tokens"] + [1], leads=kept["leads"] + [9.0])
    edited(file, kept, "more layers", "layers 4, not 3", layers=4)
    leads = kept["leads"][:5] + [0.0] + kept["leads"][6:]
    with open(file, "w", encoding="utf-8") as f:
        json.dump({**kept, "tokens": tokens, "leads": leads}, f)
    done, got = run(NEOX, "--golden", file)
    t.eq((done.returncode, got["golden"]["same_tokens"]), (0, 5),
         "control: where two were equally good either may win")


def test_malformed(file, text, kept):
    cut = [n for n in range(0, len(text) - 3, max(1, len(text) // 60))
           if not broken(file, text[:n])]
    t.eq(cut, [], "a file cut short is refused, wherever it is")
    for key in kept:
        if key in ("model", "backend"):
            continue
        t.ok(key == "wanted" or broken(file, json.dumps(
            {k: v for k, v in kept.items() if k != key})),
            f"one without '{key}' as well")
        t.ok(broken(file, json.dumps({**kept, key: {"a": 1}})),
             f"and one with a strange '{key}'")
    t.ok(broken(file, json.dumps({**kept, "logits": [{"id": 512,
                                                       "logit": 1}]})),
         "an id past the vocabulary")
    t.ok(broken(file, json.dumps({**kept, "tolerance": 1.5})),
         "a tolerance that anything would pass")
    t.ok(broken(file, text + " " * (5 << 20), str(len(text) + (5 << 20))),
         "one that is too large, with its size")
    t.ok(broken(file, "[]", "not written by --golden"), "another JSON file")


def main():
    base = kit.scratch()
    global ENV
    ENV = kit.clean_env(base)
    try:
        neox = convert(base, "keep", NEOX)
        test_perplexity(base, neox)
        test_stories(base)
        test_beyond(base)
        test_against(base, neox)
        test_dtype(base, neox)
        test_golden(base, neox)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    t.done()


if __name__ == "__main__":
    main()
