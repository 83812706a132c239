#!/usr/bin/env python3
"""mlverify-run as people call it: what it prints, where, and its exit status.

The models are those below tests/, and small ones made here. Prints TAP.
"""
import html.parser
import json
import math
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.abspath(__file__))
for _ in range(3):
    ROOT = os.path.dirname(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests", "fixtures"))
import rawckpt  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build/release"))
PROGRAM = os.path.join(BUILD, "mlverify-run")
KEYS = ["ok", "model", "architecture", "config", "parameters", "raw_parameters",
        "weights_bytes", "dtype", "tokenizer", "backend", "device",
        "prompt_tokens",
        "tokens", "text", "top", "entropy_bits", "perplexity", "load_seconds",
        "first_token_seconds", "tokens_per_second", "bytes_per_token",
        "gb_per_second", "passing_layers", "passing_bytes",
        "peak_memory_bytes", "timeline", "layers",
        "tensors", "checks"]

count = failed = 0


def ok(good, name, *shown):
    global count, failed
    count += 1
    print(("" if good else "not ") + f"ok {count} - {name}")
    if not good:
        failed += 1
        for s in shown:
            print("# " + repr(s)[:2000])


def equal(got, want, name):
    ok(got == want, name, got, want)


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)


def run_json(*args):
    done = run(*args, "--json")
    try:
        return done, json.loads(done.stdout)
    except ValueError:
        ok(False, f"JSON from {args}", done.stdout, done.stderr)
        return done, {key: None for key in KEYS}


def write_model(folder, config, tensors):
    """tensors: name -> (dtype, shape, bytes)"""
    head, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        head[name] = {"dtype": dtype, "shape": shape,
                      "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)
    if config is not None:
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config, f)


CONFIG = {"model_type": "llama", "vocab_size": 16, "hidden_size": 8,
          "num_hidden_layers": 1, "num_attention_heads": 2,
          "intermediate_size": 12, "max_position_embeddings": 64,
          "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2}


def floats(shape, value):
    n = math.prod(shape)
    data = [value(i) for i in range(n)]
    return ("F32", list(shape), struct.pack(f"<{n}f", *data))


def small_model(value=lambda i: math.sin(i * 1.7) / 3):
    layer = "model.layers.0."
    t = {"model.embed_tokens.weight": floats((16, 8), value)}
    for part, shape in (("self_attn.q_proj", (8, 8)),
                        ("self_attn.k_proj", (8, 8)),
                        ("self_attn.v_proj", (8, 8)),
                        ("self_attn.o_proj", (8, 8)),
                        ("mlp.gate_proj", (12, 8)),
                        ("mlp.up_proj", (12, 8)),
                        ("mlp.down_proj", (8, 12))):
        t[f"{layer}{part}.weight"] = floats(shape, value)
    for part in ("input_layernorm", "post_attention_layernorm"):
        t[f"{layer}{part}.weight"] = floats((8,), lambda i: 1.0)
    t["model.norm.weight"] = floats((8,), lambda i: 1.0)
    t["lm_head.weight"] = floats((16, 8), lambda i: math.cos(i * 2.3))
    return t


def test_expected(folder, expected, logits_file, *options):
    """A model below tests/ gives the ids, texts and logits beside it."""
    name = os.path.relpath(folder, ROOT)
    for i, want in enumerate(expected["prompts"]):
        done, got = run_json(folder, "--prompt", want["prompt"], "-n",
                             len(want["greedy"]), "--ignore-eos", "--logits",
                             logits_file, *options)
        equal(done.returncode, 0, f"{name}: prompt {i} runs")
        equal(got["prompt_tokens"], want["ids"], "the prompt's tokens")
        equal(got["tokens"], want["greedy"], "greedy tokens")
        equal(got["text"], want["text"], "their text")
        with open(logits_file, "rb") as f:
            data = f.read()
        logits = struct.unpack(f"<{len(data) // 4}f", data)
        n = len(want["logits"])
        far = max(abs(a - b) for a, b in zip(logits[:n], want["logits"]))
        ok(far < 1e-4, f"the first logits, off by {far:.2g}")
        norm = math.sqrt(sum(x * x for x in logits))
        ok(abs(norm - want["l2"]) < 1e-3, "and the norm of all", norm)
        equal(got["top"][0]["id"], want["argmax"], "the best candidate")
        ok(all(c["ok"] is not False for c in got["checks"]), "all checks", got["checks"])


def test_containers(folders):
    """The same weights in any container give the same tokens."""
    seen = {}
    for folder in folders:
        _, got = run_json(folder, "--tokens", "1,5,9", "-n", "12",
                          "--ignore-eos")
        seen[os.path.basename(folder)] = (got["tokens"], got["parameters"])
    ok(len({str(v) for v in seen.values()}) == 1,
       f"{len(seen)} containers, one answer", seen)


def test_json(folder):
    done, got = run_json(folder, "--tokens", "1, 5,9", "-n", "6",
                         "--ignore-eos", "-k", "3", "--threads", "1",
                         "--backend", "cpu")
    equal(done.returncode, 0, "exit status 0")
    equal(list(got), KEYS, "the keys, in this order")
    equal(done.stderr, "", "nothing on stderr")
    equal(got["ok"], True, "ok")
    equal(got["model"], folder, "the model as it was named")
    equal(got["prompt_tokens"], [1, 5, 9], "the prompt's tokens")
    equal(len(got["tokens"]), 6, "as many tokens as asked for")
    equal(got["parameters"], 824, "parameters")
    equal(got["dtype"], "F32", "the weights' type")
    equal(got["backend"], "cpu", "the backend")
    ok("1 thread" in got["device"], "the device", got["device"])
    equal(len(got["top"]), 3, "candidates")
    equal(got["top"][0]["id"], got["tokens"][0], "the first comes next")
    ok(0 < sum(t["probability"] for t in got["top"]) <= 1.000001,
       "their probabilities")
    for key in ("load_seconds", "first_token_seconds", "tokens_per_second",
                "gb_per_second", "peak_memory_bytes", "bytes_per_token"):
        ok(got[key] > 0, key, got[key])
    equal([c["name"] for c in got["checks"] if c["result"] == "ok"],
          ["tensors", "shapes", "values", "finite", "logits", "cache", "repeat"],
          "the checks")
    equal([(c["name"], c["ok"], c["detail"]) for c in got["checks"]
           if c["result"] == "not made"],
          [("tokenizer", None, "no file of one"),
           ("perplexity", None, "needs a tokenizer")],
          "those not made, and why")
    equal(got["text"], "", "no text without a tokenizer")
    equal([x["after"] for x in got["layers"]], ["embedding", 0],
          "ranges after each layer")
    ok(all(x["min"] < -x["rms"] / 2 and x["max"] > x["rms"] / 2
           for x in got["layers"]), "of the residual stream", got["layers"])
    equal([x["name"] for x in got["timeline"]],
          ["tables", "config", "weights", "tokenizer", "backend", "prompt",
           "new tokens", "same passes again"], "what was done when")
    other = run_json(folder, "--tokens", "1,5,9", "-n", "6", "--ignore-eos",
                     "--threads", "2")[1]
    equal(other["tokens"], got["tokens"], "the same with two threads")
    other = run_json(folder, "--tokens", "1,5,9", "-n", "6", "--ignore-eos",
                     "--dtype", "fp32")[1]
    equal(other["tokens"], got["tokens"], "the same widened")


def test_text(folder):
    done = run(folder, "--tokens", "1,5", "-n", "3", "--ignore-eos")
    equal(done.returncode, 0, "a report for people")
    first = done.stdout.split("\n")[0].split()
    ok(first[:2] == ["1", "5"] and len(first) == 5,
       "the ids, without a tokenizer", done.stdout)
    for word in ("architecture", "parameters", "first token", "tokens/s",
                 "GB/s", "checks", "memory"):
        ok(word in done.stdout, f"it has {word}")
    ok(max(map(len, done.stdout.split("\n"))) < 120, "short lines")


def test_lengths(folder):
    out = folder + ".logits"
    done, got = run_json(folder, "--tokens", "1", "-n", "0", "--logits", out)
    equal((done.returncode, got["tokens"]), (0, []), "-n 0 only reads")
    equal(os.path.getsize(out), 64, "and writes the logits")
    equal(got["tokens_per_second"], None, "no rate without steps")
    done, got = run_json(folder, "--tokens", "1", "-n", "1")
    equal((done.returncode, len(got["tokens"])), (0, 1), "-n 1 gives one")
    done, got = run_json(folder, "--tokens", "1", "-n", "63", "--ignore-eos")
    equal((done.returncode, len(got["tokens"])), (0, 63), "the whole context")
    done = run(folder, "--tokens", "1", "-n", "64")
    equal(done.returncode, 2, "one more is too many")
    ok("64" in done.stderr and "hint:" in done.stderr, "it says so",
       done.stderr)
    _, got = run_json(folder)
    equal(got["prompt_tokens"], [1], "no prompt: the start token")


def test_usage(folder):
    for args, status, word in (
            ((), 2, "MODEL"),
            ((folder, "--tokens", "1,x"), 2, "x"),
            ((folder, "--tokens", ""), 2, "--tokens"),
            ((folder, "--tokens", "1,,2"), 2, "--tokens"),
            ((folder, "--tokens", "-1"), 2, "--tokens"),
            ((folder, "--tokens", "16"), 2, "16"),
            ((folder, "--tokens", "99999999999999999999"), 2, "--tokens"),
            ((folder, "--prompt", "x"), 2, "--tokens"),
            ((folder, "--prompt", "x", "--tokens", "1"), 2, "exclude"),
            ((folder, "-n", "-1"), 2, "-n"),
            ((folder, "--backend", "cuda"), 1, "cuda"),
            ((folder, "--backend", "tpu"), 2, "tpu"),
            ((folder + "/nowhere",), 3, "nowhere"),
            (("./config.json",), 3, "config.json"),
            # before anything is looked for
            ((folder + "/nowhere", "--tokens", "1,x"), 2, "x"),
            ((folder + "/nowhere", "--prompt", "x", "--tokens", "1"), 2,
             "exclude")):
        done = run(*args)
        equal(done.returncode, status, f"status {status}: {args[1:]}")
        ok(word in done.stderr and "error:" in done.stderr, "it says why",
           done.stderr)
        equal(done.stdout, "", "nothing on stdout")
    done = run("--help")
    equal((done.returncode, done.stderr), (0, ""), "--help")
    ok(all(len(line) <= 80 for line in done.stdout.split("\n")),
       "at most 80 columns")
    for path in (folder + "/no/logits", folder, folder + "/config.json/x", ""):
        done = run(folder + "/none", "--logits", path)
        ok(done.returncode in (1, 2, 3) and "--logits" in done.stderr,
           f"--logits '{path[len(folder):]}' is asked for before a run",
           done.stderr)
    out = folder + ".twice"
    for a, b in (("--logits", "--report"), ("--golden", "--logits"),
                 ("--report", "--golden")):
        done = run(folder, a, out, b, out)
        ok(done.returncode == 2 and "twice" in done.stderr and
           not os.path.exists(out), f"{a} and {b} in one file", done.stderr)


def verdict(base, name, config, tensors, check, word):
    folder = os.path.join(base, name)
    write_model(folder, config, tensors)
    done, got = run_json(folder, "--tokens", "1,2", "-n", "4", "--ignore-eos")
    equal(done.returncode, 9, f"{name}: status 9")
    equal(got["ok"], False, "not ok")
    bad = [c for c in got["checks"] if c["ok"] is False]
    ok(any(c["name"] == check and word in c["detail"] for c in bad),
       f"the check '{check}' says {word}", bad)
    done = run(folder, "--tokens", "1,2", "-n", "4", "--ignore-eos")
    equal(done.returncode, 9, "also for people")
    ok("FAILED" in done.stdout and word in done.stdout, "who read it",
       done.stdout)


def test_verdicts(base):
    t = small_model()
    del t["model.norm.weight"]
    verdict(base, "missing", CONFIG, t, "tensors", "model.norm.weight")
    t = small_model()
    t["model.norm.weight"] = floats((9,), lambda i: 1.0)
    verdict(base, "shape", CONFIG, t, "shapes", "[9] instead of [8]")
    t = small_model()
    t["model.layers.0.self_attn.q_proj.bias"] = floats((8,), lambda i: 1.0)
    verdict(base, "bias", CONFIG, t, "tensors", "q_proj.bias")
    t = small_model()
    t["model.layers.0.mlp.down_proj.weight"] = floats(
        (8, 12), lambda i: math.nan)
    verdict(base, "nan", CONFIG, t, "finite", "layer 0, MLP down")
    t = small_model()
    t["lm_head.weight"] = floats((16, 8), lambda i: 0.0)
    verdict(base, "flat", CONFIG, t, "logits", "all equal")
    t = small_model()
    t["lm_head.weight"] = floats((16, 8), lambda i: math.inf)
    verdict(base, "inf", CONFIG, t, "finite", "output head")


def refused(base, name, config, tensors, status, word):
    folder = os.path.join(base, name)
    write_model(folder, config, tensors)
    done = run(folder, "--tokens", "1")
    equal(done.returncode, status, f"{name}: status {status}")
    ok(word in done.stderr, f"it says {word}", done.stderr)


def test_refused(base):
    t = small_model()
    refused(base, "family", {**CONFIG, "model_type": "mamba"}, t, 8, "llama")
    refused(base, "rope", {**CONFIG, "rope_scaling": {"type": "mrope",
                                                      "factor": 4}},
            t, 8, "mrope")
    refused(base, "no-config", None, t, 3, "config.json")
    refused(base, "negative", {**CONFIG, "hidden_size": -8}, t, 8,
            "hidden_size")
    folder = os.path.join(base, "cut")
    write_model(folder, CONFIG, t)
    path = os.path.join(folder, "model.safetensors")
    os.truncate(path, os.path.getsize(path) - 4)
    done = run(folder, "--tokens", "1")
    ok(done.returncode in (6, 8) and "model.safetensors" in done.stderr,
       "a file cut short is named", done.stderr)


def test_expanded(base):
    """A small file whose views repeat two bytes until memory is full."""
    side, layers = 16384, 200
    views = {"model.embed_tokens.weight": (side, side),
             "lm_head.weight": (side, side), "model.norm.weight": (side,)}
    for i in range(layers):
        layer = f"model.layers.{i}."
        for part in ("self_attn.q_proj", "self_attn.k_proj",
                     "self_attn.v_proj", "self_attn.o_proj",
                     "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
            views[f"{layer}{part}.weight"] = (side, side)
        for part in ("input_layernorm", "post_attention_layernorm"):
            views[f"{layer}{part}.weight"] = (side,)
    code = rawckpt.PROTO2 + rawckpt.pairs(
        [(name, rawckpt.tensor("0", shape, "HalfStorage", numel=1,
                               stride=(0,) * len(shape)))
         for name, shape in views.items()]) + rawckpt.STOP
    folder = os.path.join(base, "expanded")
    os.makedirs(folder)
    with open(os.path.join(folder, "pytorch_model.bin"), "wb") as f:
        f.write(rawckpt.torch_zip(rawckpt.archive(code, [("0", b"\0\x3c")])))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({**CONFIG, "vocab_size": side, "hidden_size": side,
                   "intermediate_size": side, "num_hidden_layers": layers}, f)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = run(folder, "--tokens", "1")
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    equal(done.returncode, 1, "expanded views: status 1")
    ok("memory needed" in done.stderr and "753 GB" in done.stderr and
       "hint:" in done.stderr, "it says how much", done.stderr)
    ok(after - before < 256 << 10, "and took little of it", before, after)


def test_terminal(base):
    """No name reaches a terminal as a command: C0 nor C1."""
    folder = os.path.join(base, "a\x1b[1m\x9b31mz")
    write_model(folder, CONFIG, small_model())
    done = run(folder, "--tokens", "1", "-n", "1")
    ok("\\x1b[1m\\x9b31mz" in done.stdout, "control characters are shown",
       done.stdout)
    ok("\x1b" not in done.stdout and "\x9b" not in done.stdout,
       "none is sent")


class Page(html.parser.HTMLParser):
    """Tags and text of a page; whatever it would load or run is kept."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.alive = [], [], []
        with open(path, encoding="utf-8") as f:
            self.feed(f.read())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.alive += [(tag, k) for k, _ in attrs
                       if k in ("src", "href") or k.startswith("on")]
        if tag in ("script", "link", "img", "iframe", "object"):
            self.alive.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def has(self, text):
        return text in "".join(self.text)


def test_page(base):
    """One page, whatever the model, with nothing alive in it."""
    name = "<script>alert(1)<!-- & \x1b[1m"
    folder = os.path.join(base, name)
    write_model(folder, CONFIG, small_model())
    path = os.path.join(base, "page.html")
    done = run(folder, "--tokens", "1,5,9", "-n", "6", "--ignore-eos",
               "--report", path)
    equal(done.returncode, 0, "a page is written")
    page = Page(path)
    equal(page.alive, [], "which loads and runs nothing")
    ok(page.has("<script>alert(1)<!-- & "), "the name is text in it")
    ok(page.tags.count("svg") == 2 and page.has("All 7 checks are ok."),
       "two pictures, the verdict", page.tags)
    with open(path, "rb") as f:
        ok(b"\x1b" not in f.read(), "no control characters")
    t = small_model()
    t["model.layers.0.mlp.down_proj.weight"] = floats(
        (8, 12), lambda i: math.nan)
    write_model(folder, CONFIG, t)
    done = run(folder, "--tokens", "1,5", "--report", path)
    page = Page(path)
    ok(done.returncode == 9 and page.has("checks failed."),
       "one of a model that failed")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    ok(not re.search('"-?(nan|inf)', text), "draws nothing nowhere")
    ok(not re.search("nan bits|width:-?nan", text), "nor a bar, nor bits of it")
    del t["model.norm.weight"]
    write_model(folder, CONFIG, t)
    done = run(folder, "--tokens", "1,5", "--report", path)
    page = Page(path)
    ok(done.returncode == 9 and page.has("model.norm.weight"),
       "and of one that could not run")
    done = run(folder, "--report", base + "/no/page.html")
    equal(done.returncode, 3, "its place is asked for before a run")


def test_eos(base):
    """Whatever comes first is made the end token."""
    folder = os.path.join(base, "eos")
    write_model(folder, CONFIG, small_model())
    _, free = run_json(folder, "--tokens", "3", "-n", "8", "--ignore-eos")
    end = free["tokens"][2]
    stop = free["tokens"].index(end) + 1
    write_model(folder, {**CONFIG, "eos_token_id": [2, end]}, small_model())
    _, got = run_json(folder, "--tokens", "3", "-n", "8")
    equal(got["tokens"], free["tokens"][:stop], "it stops at the end token")
    ok(stop < 2 or f" {stop - 1} tokens and the end" in
       run(folder, "--tokens", "3", "-n", "8").stdout, "and counts it apart")
    _, got = run_json(folder, "--tokens", "3", "-n", "8", "--ignore-eos")
    equal(got["tokens"], free["tokens"], "unless told to go on")


def expected_of(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    base = tempfile.mkdtemp(prefix="mlverify-run-")
    try:
        out = os.path.join(base, "logits.f32")
        tests = os.path.join(ROOT, "tests")
        llama = os.path.join(tests, "fixtures", "llama")
        neox = os.path.join(tests, "model", "tiny-neox")
        small = os.path.join(base, "small")
        write_model(small, CONFIG, small_model())
        test_json(small)
        test_text(small)
        test_lengths(small)
        test_usage(small)
        test_verdicts(base)
        test_refused(base)
        test_expanded(base)
        test_terminal(base)
        test_page(base)
        test_eos(base)
        test_expected(os.path.join(llama, "safetensors"),
                      expected_of(os.path.join(llama, "expected.json")), out,
                      "--perplexity", "none")
        test_containers([os.path.join(llama, d)
                         for d in sorted(os.listdir(llama))
                         if os.path.isdir(os.path.join(llama, d))])
        test_expected(neox, expected_of(os.path.join(
            tests, "model", "expected.json")), out)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
