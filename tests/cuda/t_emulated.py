#!/usr/bin/env python3
"""The CUDA backend without a device: its sources over the emulator of
tests/cuda/emulator, opened by the real program as the real plugin would be.

Two builds of it: `own` multiplies by the backend's kernels alone and takes
weights from the page cache, `blas` multiplies by the library wherever it can
and reads past the cache. Every golden model is computed by both and by
the CPU, from the same file, and must come out the same but for the order of
sums; barriers are left out one by one, and each must be missed. Prints TAP.
"""
import array
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tests/cli/mlverify-run"))
import kit  # noqa: E402
import t_golden as forms  # noqa: E402

BUILDS = ("own", "blas")
# how far from the CPU, as a part of the largest logit: sums in another
# order; with the library, vectors in two halves of 8 or 11 bits each
NEAR = {("own", "F32"): 2e-5, ("own", "F16"): 2e-5, ("own", "BF16"): 2e-5,
        ("own", "I8"): 2e-5, ("blas", "F32"): 2e-5, ("blas", "F16"): 2e-5,
        ("blas", "BF16"): 2e-4, ("blas", "I8"): 2e-5}
TOWN = os.path.join(ROOT, "tests/model/tiny-neox")
SANITIZED = os.path.exists(os.path.join(kit.BUILD, "flags")) and "sanitize" \
    in open(os.path.join(kit.BUILD, "flags"), encoding="utf-8").read()


def program(build):
    return os.path.join(kit.BUILD, f"emulated-{build}", "mlverify-run")


def run(build, env, *args, **more):
    """mlverify-run over an emulated device; build None: by the CPU."""
    words = [program(build or "own"), *map(str, args), "--backend",
             "cuda" if build else "cpu"]
    if SANITIZED:  # the sanitizer opens what the plugin asks for, from afar
        more["LD_LIBRARY_PATH"] = os.path.dirname(words[0])
    return subprocess.run(words, capture_output=True, text=True, timeout=600,
                          stdin=subprocess.DEVNULL,
                          env=dict(env, **{k: str(v) for k, v in more.items()}))


def logits_of(build, env, home, model, ids, **more):
    """(logits or None, what it printed)."""
    path = os.path.join(home, "logits.f32")
    if os.path.exists(path):
        os.remove(path)
    done = run(build, env, model, "--perplexity", "none", "-n", 0, "-t",
               ",".join(map(str, ids)), "--logits", path, **more)
    if done.returncode != 0:
        return None, done.stdout + done.stderr
    out = array.array("f")
    with open(path, "rb") as f:
        out.frombytes(f.read())
    return out, ""


def far(got, want):
    if got is None or len(got) != len(want) or any(g != g for g in got):
        return 9.0
    return max(abs(g - w) for g, w in zip(got, want)) / max(map(abs, want))


def as_int8(tensors):
    """Linear matrices as bytes and a scale for each row."""
    out = {}
    for name, (dtype, shape, data) in tensors.items():
        linear = len(shape) == 2 and name.endswith("_proj.weight")
        if not linear:
            out[name] = dtype, shape, data
            continue
        values = array.array("f", data)
        cols = shape[1]
        body, scales = bytearray(), array.array("f")
        for r in range(shape[0]):
            row = values[r * cols:(r + 1) * cols]
            scale = max(map(abs, row)) / 127.5
            # as it is kept: with the upper half of its bits
            scale = struct.unpack("<f", struct.pack("<f", scale)[2:].rjust(
                4, b"\0"))[0]
            scales.append(scale)
            body += bytes(max(-127, min(127, round(v / scale))) & 0xFF
                          for v in row)
        out[name] = "I8", shape, bytes(body)
        out[name[:-7] + ".scales"] = "F32", shape[:1], scales.tobytes()
    return out


def test_golden(tap, env, home, golden):
    for at, case in enumerate(golden["cases"]):
        types = ["F32", "F16", "BF16"]
        if any(name.endswith("q_proj.weight") for name in case["tensors"]):
            types.append("I8")
        if SANITIZED:
            types = [types[at % len(types)]]
        for dtype in types:
            if dtype == "I8":
                tensors = as_int8(forms.tensors_of(case, golden["layers"],
                                                   "F32"))
            else:
                tensors = forms.tensors_of(case, golden["layers"], dtype)
            model = forms.put(home, case, tensors, "model.safetensors",
                              forms.as_safetensors)
            want, said = logits_of(None, env, home, model, golden["ids"])
            if want is None:
                tap.ok(False, f"{case['name']}: {dtype} by the CPU", said)
                continue
            for build in BUILDS:
                got, said = logits_of(build, env, home, model, golden["ids"])
                off = far(got, want)
                tap.ok(off <= NEAR[build, dtype],
                       f"{case['name']}: {dtype} {build}: off by {off:.1e}",
                       said or f"allowed {NEAR[build, dtype]}")
                if dtype != "I8":
                    off = far(got, case["last_logits"])
                    allowed = forms.CLOSE[dtype]
                    if case["name"].endswith("bf16"):
                        allowed = forms.CLOSE_TO_BF16
                    tap.ok(off <= allowed, f"{case['name']}: {dtype} {build}: "
                           f"off by {off:.1e} of the reference framework",
                           f"allowed {allowed}")


def test_poison(tap, env, home, golden):
    """A value that is no number is found where the CPU finds it."""
    cases = {c["name"]: c for c in golden["cases"]}
    for name, stem, layer, where in forms.POISONS[::3 if SANITIZED else 1]:
        case = cases[name]
        bad = stem.format(layer)
        tensors = forms.tensors_of(case, golden["layers"], "F32", bad)
        model = forms.put(home, case, tensors, "model.safetensors",
                          forms.as_safetensors)
        at = "the " if layer is None else f"layer {layer}, "
        want = f"not finite after {at}{where}: {bad} holds such a value"
        for build in BUILDS:
            done = run(build, env, model, "--perplexity", "none", "-n", 0,
                       "-t", ",".join(map(str, golden["ids"])), "--json")
            tap.ok(done.returncode == 9, f"{name}: {build}: exit 9 of {bad}",
                   done.stderr)
            tap.eq(forms.finite_of(done)["detail"] if done.stdout else "",
                   want, f"{name}: {build}: it is named")


def test_text(tap, env):
    """A text, its checks, ranges and perplexity, as by the CPU."""
    words = (TOWN, "--prompt", "the town", "-n", 12, "--json")
    want = json.loads(run(None, env, *words).stdout)
    for build in BUILDS:
        done = run(build, env, *words)
        tap.ok(done.returncode == 0, f"text: {build}: every check is ok",
               done.stdout[-800:] + done.stderr)
        got = json.loads(done.stdout)
        tap.eq((got["tokens"], got["backend"]), (want["tokens"], "cuda"),
               f"text: {build}: the same tokens")
        facts = [got.get(k) for k in (
            "device_memory_bytes", "upload_gb_per_second", "copy_share",
            "pinned_gb_per_second", "copy_gb_per_second")]
        tap.ok(all(v is not None and v > 0 for v in facts) and
               "copy_share" not in want, f"text: {build}: what the device "
               "says of itself", facts)
        tap.ok(abs(got["perplexity"]["value"] / want["perplexity"]["value"]
                   - 1) < 1e-3, f"text: {build}: the same perplexity")
        near = all(abs(g[k] - w[k]) <= 1e-3 * (1 + abs(w[k]))
                   for g, w in zip(got["layers"], want["layers"])
                   for k in ("min", "max", "rms"))
        tap.ok(near and len(got["layers"]) == len(want["layers"]),
               f"text: {build}: the same ranges", got["layers"])


def test_bench(tap, env):
    """Steps without logits, as a benchmark asks for them."""
    for build in BUILDS:
        done = run(build, env, "--bench", TOWN, "--tokens", "1,5,9", "-n", 6,
                   "--json")
        tap.ok(done.returncode == 0 and "\"speed\"" in done.stdout,
               f"bench: {build}", done.stdout[-300:] + done.stderr)


def wide_model(home, family):
    """A Llama, or one with layer norms (stablelm), of odd and large sizes: rows that are no multiple of 16 bytes,
    vectors that do not fit a block, an inner size of many pieces."""
    dim, inner, vocab, heads = 132, 1306, 70, 3
    rest = random.Random(5)
    config = {"model_type": "llama", "vocab_size": vocab, "hidden_size": dim,
              "num_hidden_layers": 1, "num_attention_heads": heads,
              "num_key_value_heads": 1, "head_dim": 44,
              "intermediate_size": inner, "max_position_embeddings": 64,
              "rms_norm_eps": 1e-5}
    if family != "llama":
        config.update(model_type=family, partial_rotary_factor=0.5,
                      layer_norm_eps=1e-5, rope_theta=10000)
    shapes = {"model.embed_tokens": (vocab, dim), "lm_head": (vocab, dim),
              "model.norm": (dim,)}
    for name, shape in [("self_attn.q_proj", (dim, dim)),
                        ("self_attn.k_proj", (44, dim)),
                        ("self_attn.v_proj", (44, dim)),
                        ("self_attn.o_proj", (dim, dim)),
                        ("mlp.gate_proj", (inner, dim)),
                        ("mlp.up_proj", (inner, dim)),
                        ("mlp.down_proj", (dim, inner)),
                        ("input_layernorm", (dim,)),
                        ("post_attention_layernorm", (dim,))]:
        shapes["model.layers.0." + name] = shape
    tensors = {}
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = array.array("f", (rest.uniform(-.2, .2) for _ in range(n)))
        data = forms.encode(values, "F16")
        tensors[name + ".weight"] = "F16", list(shape), data
        if len(shape) == 1 and family != "llama":
            tensors[name + ".bias"] = "F16", list(shape), data
    return forms.put(home, {"config": config}, tensors, "model.safetensors",
                     forms.as_safetensors)


def test_wide(tap, env, home):
    ids = [1, 5, 9, 2, 33, 17, 60, 8, 3, 12, 44, 7, 21]
    for family in ("llama", "stablelm"):
        model = wide_model(home, family)
        want, _ = logits_of(None, env, home, model, ids)
        for build in BUILDS:
            got, said = logits_of(build, env, home, model, ids)
            off = far(got, want)
            tap.ok(off <= 2e-5, f"sizes that fit nothing: {family}, {build}: "
                   f"off by {off:.1e}", said)


def deeper(case, layers):
    """The case with more layers, and a type for its weights."""
    config = dict(case["config"])
    for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        if key in config:
            config[key] = layers
    return dict(case, config=config)


def deep_model(home, case, layers, dtype):
    case = deeper(case, layers)
    if dtype == "I8":
        tensors = as_int8(forms.tensors_of(case, layers, "F32"))
    else:
        tensors = forms.tensors_of(case, layers, dtype)
    return forms.put(home, case, tensors, "model.safetensors",
                     forms.as_safetensors)


def limited(build, env, home, model, ids, memory=0, new=0, **more):
    """(exit status, the report or what was said, the logits' bytes)."""
    path = os.path.join(home, "logits.f32")
    if os.path.exists(path):
        os.remove(path)
    words = ["--memory", memory] if memory else []
    done = run(build, env, model, "--perplexity", "none", "-n", new, "-t",
               ",".join(map(str, ids)), "--ignore-eos", "--json", "--logits",
               path, *words, **more)
    if done.returncode not in (0, 9):
        return done.returncode, done.stderr, b""
    with open(path, "rb") as f:
        return done.returncode, json.loads(done.stdout), f.read()


def least_memory(build, env, home, model, ids, new=0):
    """What the program says it could do with: room for two layers."""
    status, said, _ = limited(build, env, home, model, ids, 1, new)
    found = re.search("hint: --memory ([0-9]+) would do", said)
    return int(found[1]) if status == 7 and found else 0


SPARE, EASE = 64 << 20, 8 << 20  # what upload.c and the Makefile leave free
LAYERS = 4  # all pass, or three; where tokens follow, six or three
FEW = SANITIZED  # models that stand for all
DEEP = {"llama_gqa": "I8", "qwen2": "BF16", "mixtral": "F16", "gpt2": "F32",
        "bloom": "BF16", "gemma2": "F16", "opt": "F32", "phi3": "BF16"}


def test_passing(tap, env, home, golden):
    """Layers that the device has no room for: the same bits, at any size."""
    for at, case in enumerate(golden["cases"]):
        name, build = case["name"], BUILDS[at % len(BUILDS)]
        if FEW and at % 5 != 0 and name not in KINDS:
            continue
        dtype = DEEP.get(name, ("F16", "F32")[at % 4 // 2])
        new, layers = (2, 6) if name in KINDS else (0, LAYERS)
        model = deep_model(home, case, layers, dtype)
        ids = golden["ids"][:5 if build == "own" else 9]  # two blocks
        least = least_memory(build, env, home, model, ids, new)
        _, whole, want = limited(build, env, home, model, ids, 0, new)
        got = limited(build, env, home, model, ids, least, new)
        tap.ok(want and got[2] == want and
               got[1]["passing_layers"] == layers and
               got[1]["tokens"] == whole["tokens"],
               f"{name}: {dtype} {build}: all layers pass, the same bits",
               got[1])
        tap.ok(0 < got[1]["device_memory_bytes"] <= least and
               whole["passing_layers"] == whole["passing_bytes"] == 0,
               f"{name}: no more is taken than --memory allows", got[1])
        # all layers take two or four more than the slots: one or three stay
        half = least + (whole["device_memory_bytes"] -
                        got[1]["device_memory_bytes"]) * 3 // 4
        got = limited(build, env, home, model, ids, half, new)
        tap.ok(got[2] == want and
               0 < got[1]["passing_layers"] < layers and
               got[1]["device_memory_bytes"] <= half,
               f"{name}: some layers pass, the same bits", got[1])
        status, said, _ = limited(build, env, home, model, ids, least - 1, new)
        tap.ok(status == 7 and f"--memory {least} would do" in said,
               f"{name}: one byte too little: exit 7, saying what would do",
               said)


def test_passing_text(tap, env):
    """What is said of layers that pass."""
    words = TOWN, "-t", "1", "-n", 1, "--memory"
    least = run("own", env, *words, 1).stderr.split("--memory ")[-1].split()[0]
    done = run("own", env, *words, least)
    tap.ok("of weights pass through memory for every token" in done.stderr and
           "\npassing       " in done.stdout and
           "they come again for every token" in done.stdout and
           "\nperplexity    " not in done.stdout,
           "a model that passes: it is said, and no text is read with it",
           done.stdout + done.stderr)


def test_scarce(tap, env):
    """Room for the run but not for a text; for one model but not for two."""
    words = TOWN, "-t", "1", "-n", 1
    said = run("own", env, *words, "--memory", 1, "--perplexity", "none")
    least = int(said.stderr.split("--memory ")[-1].split()[0])
    done = run("own", env, *words, "--memory", least, "--json")
    tap.ok(done.returncode == 0 and
           json.loads(done.stdout)["passing_layers"] > 0,
           "what --perplexity none needs is enough for auto", done.stderr)
    done = run("own", env, *words, "--memory", least, "--perplexity", "short")
    tap.ok(done.returncode == 7, "but not for a text that was asked for",
           done.stderr)
    words += "--perplexity", "none", "--against", TOWN
    done = run("own", env, *words, EMULATE_MEMORY=least)
    tap.ok(done.returncode == 7 and "hint: --memory holds for each of the "
           "two" in done.stderr, "--against: no room for the other: what to do",
           done.stderr)
    done = run("own", env, *words, "--memory", least, EMULATE_MEMORY=2 * least)
    tap.ok(done.returncode == 0, "--against: half of the device for each",
           done.stdout + done.stderr)


def test_small_device(tap, env):
    """Not --memory, but the device leaves no more."""
    words = TOWN, "-t", "1", "-n", 1, "--perplexity", "none", "--memory"
    least = run("own", env, *words, 1).stderr.split("--memory ")[-1].split()[0]
    words += "1T",
    full = run("own", env, *words)
    done = run("own", env, *words, EMULATE_MEMORY=least)
    texts = [re.search("next token.*", v.stdout)[0] for v in (full, done)]
    tap.ok("pass through" in done.stderr and texts[0] == texts[1],
           "a device that is as small: the same", done.stdout + done.stderr)
    done = run("own", env, *words, "--json")
    all_of = json.loads(done.stdout)["device_memory_bytes"] + SPARE
    words = words[:-1]
    for size, memory, pass_ in ((all_of + EASE - 1, "1T", True),
                                (all_of + EASE, "1T", False),
                                (all_of + 1, all_of, True),
                                (all_of + EASE, all_of, False)):
        done = run("own", env, *words, memory, "--json", EMULATE_MEMORY=size)
        found = json.loads(done.stdout)["passing_layers"]
        tap.ok((found > 0) == pass_, f"a device of {size}, --memory {memory}: "
               + ("some room is left" if pass_ else "all stays"), found)
    done = run("own", env, *words, 1, EMULATE_MEMORY=1 << 20)
    tap.ok(done.returncode == 7 and "the device has 1.05 MB" in done.stderr and
           "hint: it takes " in done.stderr,
           "--memory is not told to be more than there is", done.stderr)


def test_passing_faults(tap, env, home, golden):
    """A copy that fails and a file that is cut while layers pass."""
    case = next(c for c in golden["cases"] if c["name"] == "llama_gqa")
    ids = golden["ids"]
    for build in BUILDS:
        model = deep_model(home, case, LAYERS, "F32")
        file = os.path.join(model, "model.safetensors")
        least = least_memory(build, env, home, model, ids)
        for memory, what in ((0, "all"), (least, "layers")):
            for kind in ("EMULATE_FAIL_COPY", "EMULATE_LOSE_COPY"):
                for n in (1, 4) if memory == 0 else (1, 12, 60):
                    status, said, _ = limited(build, env, home, model, ids,
                                              memory, **{kind: n})
                    tap.ok(status == 1 and "backend cuda: " in str(said) and
                           "failed" in str(said),
                           f"{build}: {kind[8:]} {n} of {what}: exit 1", said)
        for n in (3, 60):
            model = deep_model(home, case, LAYERS, "F32")
            status, said, _ = limited(build, env, home, model, ids, least,
                                      EMULATE_CUT=f"{n}:{file}")
            tap.ok(status == 6 and "model.safetensors" in str(said),
                   f"{build}: the file is cut at copy {n}: exit 6", said)


def test_cufile(tap, env, home, golden):
    """Read right into the device's memory, or not: the same."""
    case = next(c for c in golden["cases"] if c["name"] == "llama_gqa")
    model = deep_model(home, case, LAYERS, "F32")
    ids = golden["ids"][:3]
    want, _ = logits_of("blas", env, home, model, ids)
    for build, how, memory, say in (
            ("blas", "1", 96 << 20, "cuFile: it read [0-9.]+ kB$"),
            ("blas", "short", 96 << 20, "cuFile: it read [0-9.]+ kB$"),
            ("blas", "file", 96 << 20, "it read 0 B and .*status 5008$"),
            ("blas", "read", 96 << 20, "it read .* kB and .*status 5011$"),
            ("blas", "errno", 96 << 20, "it read 0 B and .*status 5$"),
            ("blas", "", 96 << 20, "it does not start: status 5001$"),
            ("blas", "1", 80 << 20, "it needs memory of the device, too$"),
            ("own", "1", 96 << 20, "its driver nvidia-fs is not there$")):
        path = os.path.join(home, "cufile.f32")
        more = {"EMULATE_CUFILE": how} if how else {}
        done = run(build, env, model, "--perplexity", "none", "-n", 0, "-v",
                   "-t", ",".join(map(str, ids)), "--logits", path,
                   EMULATE_MEMORY=memory, **more)
        with open(path, "rb") as f:
            got = f.read()
        tap.ok(done.returncode == 0 and
               (build == "own" or got == want.tobytes()) and
               len(re.findall(say, done.stderr, re.M)) == 1,
               f"cuFile: {build}, '{how}': the same, and a line says how",
               done.stderr)
    status, said, _ = limited("blas", env, home, model, ids,
                              EMULATE_CUFILE="cut", EMULATE_MEMORY=96 << 20)
    tap.ok(status == 6 and "model.safetensors" in str(said),
           "cuFile: the file is cut meanwhile: exit 6", said)


def small_models(home, golden, names):
    cases = {c["name"]: c for c in golden["cases"]}
    for name in names:
        yield name, forms.put(
            home, cases[name], forms.tensors_of(cases[name], golden["layers"],
                                                "F16"),
            "model.safetensors", forms.as_safetensors)


KINDS = ("bloom", "gemma2", "mixtral", "stablelm_12b_style")


def test_order(tap, env, home, golden):
    """Whatever order the threads of a block run in: the same bits."""
    for name, model in small_models(home, golden, KINDS):
        for build in BUILDS:
            all_of = [logits_of(build, env, home, model, golden["ids"],
                                EMULATE_SEED=seed)[0] for seed in range(4)]
            tap.ok(all_of[0] is not None and
                   all(v == all_of[0] for v in all_of),
                   f"{name}: {build}: the same in any order of threads")


def seen_in(env, build, model, ids, memory=(), **more):
    """All that a run finds out, but for times."""
    done = run(build, env, model, "--perplexity", "none", "-n", 2, "-t",
               ",".join(map(str, ids)), "--json", *memory, **more)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return done.stderr
    return [found[k] for k in ("tokens", "top", "layers", "checks")]


def test_barriers(tap, env, home, golden):
    """The control: a barrier that is left out is missed."""
    sites = os.path.join(home, "sites")
    models = []
    for at, name in enumerate(KINDS):
        models += small_models(os.path.join(home, "abcd"[at]), golden, [name])
    for at, name in (("e", "llama"), ("f", "stablelm")):
        models.append((name, wide_model(os.path.join(home, at), name)))
    ids = golden["ids"]
    # with what is left out of the device's memory, by model and build
    runs = [(model, build, ()) for _, model in models for build in BUILDS]
    case = next(c for c in golden["cases"] if c["name"] == "llama_gqa")
    model = deep_model(os.path.join(home, "g"), case, LAYERS, "F32")
    for build in BUILDS:
        least = least_memory(build, env, home, model, ids, 2)
        runs.insert(0, (model, build, ("--memory", least)))
    whole = {key: seen_in(env, key[1], key[0], ids, key[2],
                          EMULATE_SITES=sites) for key in runs}
    with open(sites, encoding="utf-8") as f:
        found = sorted(set(f.read().split()))
    # what a warp writes for other blocks is counted, and theirs is read
    source = "cuda/attention.cu"
    with open(os.path.join(ROOT, source), encoding="utf-8") as f:
        between = [f"{source}:{n}" for n, line in enumerate(f, 1)
                   if "__syncwarp" in line]
    waits = [v for v in found if "/ring.c" in v]
    tap.ok(len(found) >= 10 and len(between) == 2 and len(waits) == 3,
           f"{len(found)} places where threads or streams wait", found)
    for site in found:
        if "/measure.c" in site:
            continue  # it is for times, which mean nothing here
        if site in between:
            tap.skip(f"without the barrier at {os.path.basename(site)}",
                     "it is for other blocks, which the emulator runs one "
                     "after another")
            continue
        missed = any(
            seen_in(env, key[1], key[0], ids, key[2], EMULATE_DROP=site,
                    EMULATE_SEED=seed) != whole[key] for seed in range(3)
            for key in (runs if site in waits else reversed(runs)))
        tap.ok(missed, f"without the barrier at {os.path.basename(site)} it "
               "goes wrong")


def test_script(tap, env, home):
    """The script that measures, tried on small shapes."""
    out = os.path.join(home, "figures")
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "tests/perf/gpu.py"), "--tiny",
         "--runs", "1", "--out", out, "--build",
         os.path.join(kit.BUILD, "emulated-own")], text=True,
        capture_output=True, env=env)
    tap.ok(done.returncode == 0 and len(os.listdir(out)) == 2,
           "the script that measures writes its page", done.stdout +
           done.stderr)


def test_old(tap, env, home, golden):
    """A library that has no BF16 on this device: our own kernels do it."""
    case = next(c for c in golden["cases"] if c["name"] == "llama_gqa")
    tensors = forms.tensors_of(case, golden["layers"], "BF16")
    model = forms.put(home, case, tensors, "model.safetensors",
                      forms.as_safetensors)
    want, _ = logits_of(None, env, home, model, golden["ids"])
    got, said = logits_of("blas", env, home, model, golden["ids"],
                          EMULATE_OLD=1)
    tap.ok(far(got, want) <= NEAR["own", "BF16"],
           "what the library cannot do, the plugin does itself", said)


def test_guess(tap, env):
    """A pass that nobody asked for changes nothing of what follows."""
    words = "--tokens", "1,5,9", "-n", 9, "--perplexity", "none"
    first = run("own", env, TOWN, *words, "--json")
    one = json.loads(first.stdout)
    want = json.loads(run(None, env, TOWN, *words, "--json").stdout)
    tap.eq((one["tokens"], [c["result"] for c in one["checks"]]),
           (want["tokens"], [c["result"] for c in want["checks"]]),
           "steps that were begun before they were asked for: the same tokens")
    done = run("own", env, TOWN, "--against", TOWN, *words)
    tap.ok(done.returncode == 0, "and two models in turn do not meet",
           done.stdout[-600:] + done.stderr)


def test_memory(tap, env, home, golden):
    _, model = next(small_models(home, golden, ["llama_gqa"]))
    words = (model, "--perplexity", "none", "-n", 0, "-t", "1,2")
    done = run("own", env, *words, "-v", EMULATE_MEMORY=100000)
    tap.ok(done.returncode == 7 and "of weights" in done.stderr and
           "the device has 100 kB" in done.stderr and
           "cuFile" not in done.stderr,
           "a device that is too small: exit 7, saying what there is",
           done.stderr)
    tap.ok("Traceback" not in done.stderr and done.stdout == "",
           "and nothing was run")


def test_no_device(tap, env, home, golden):
    _, model = next(small_models(home, golden, ["llama_gqa"]))
    words = (model, "--perplexity", "none", "-n", 0, "-t", "1,2")
    done = run("own", env, *words, EMULATE_DEVICES=0)
    lines = done.stderr.splitlines()
    tap.ok(done.returncode == 1 and len(lines) == 2 and
           lines[0].startswith("mlverify-run: error: backend cuda: no device")
           and lines[1].startswith("hint: "), "no device: one line, exit 1",
           done.stderr)
    done = subprocess.run([program("own"), *map(str, words)], text=True,
                          capture_output=True,
                          env=dict(env, EMULATE_DEVICES="0"))
    tap.ok(done.returncode == 0 and "backend cpu, not cuda: no device" in
           done.stderr and "\nbackend       cpu:" in done.stdout,
           "auto takes the CPU and says so", done.stderr)
    done = subprocess.run([program("own"), *map(str, words)], text=True,
                          capture_output=True, env=env)
    tap.ok("\nbackend       cuda: emulated" in done.stdout,
           "auto takes the device when there is one", done.stdout)


def test_devices(tap, env):
    """Two sessions on two devices, and one that cannot be used."""
    words = TOWN, "-t", "1,2,3,4,5", "-n", 2, "--perplexity", "none"
    for build in BUILDS:
        said = run(build, env, *words, "--memory", 1).stderr
        least = said.split("--memory ")[-1].split()[0]
        for memory in ("1T", least):
            done = run(build, env, *words, "--against", TOWN, "--memory",
                       memory, EMULATE_DEVICES=2)
            tap.ok(done.returncode == 0 and "\nagainst " in done.stdout,
                   f"two devices: {build}: a session on each, --memory "
                   f"{memory}", done.stdout + done.stderr)
    for busy in (0, 1):
        done = run("own", env, *words, EMULATE_DEVICES=2, EMULATE_BUSY=busy)
        tap.ok(done.returncode == 0, f"two devices: {busy} is in use: the "
               "other is taken", done.stdout + done.stderr)


def test_other_builds(tap, env, home):
    """A plugin of another build is refused, one that is none as well."""
    folder = os.path.join(home, "other")
    os.mkdir(folder)
    for name in ("mlverify-run", "libemulator.so", "ml-backend-cuda.so"):
        shutil.copy(os.path.join(kit.BUILD, "emulated-own", name), folder)
    plugin = os.path.join(folder, "ml-backend-cuda.so")
    table = subprocess.run(["readelf", "-sW", plugin], text=True,
                           capture_output=True).stdout
    address = next(int(line.split()[1], 16) for line in table.splitlines()
                   if line.endswith(" ml_backend_plugin"))
    table = subprocess.run(["readelf", "-lW", plugin], text=True,
                           capture_output=True).stdout
    loads = [[int(v, 16) for v in line.split()[1:5]]
             for line in table.splitlines() if line.split()[:1] == ["LOAD"]]
    at = next(address - load[1] + load[0] for load in loads
              if load[1] <= address < load[1] + load[3])
    with open(plugin, "rb") as f:
        bytes_ = bytearray(f.read())
    for what, place, want in [
            ("its interface has another number", at, "of another build"),
            ("its model has another size", at + 4, "of another build"),
            ("it is no library", 0, "invalid ELF header")]:
        bad = bytearray(bytes_)
        bad[place] ^= 0x40
        with open(plugin, "wb") as f:
            f.write(bad)
        done = subprocess.run(
            [os.path.join(folder, "mlverify-run"), "--backend", "cuda", TOWN],
            text=True, capture_output=True, env=env)
        tap.ok(done.returncode == 1 and want in done.stderr,
               f"a plugin is refused: {what}", done.stderr)
    os.remove(plugin)
    done = subprocess.run(
        [os.path.join(folder, "mlverify-run"), "--backend", "cuda", TOWN],
        text=True, capture_output=True, env=env)
    tap.ok(done.returncode == 1 and "there is no ml-backend-cuda.so" in
           done.stderr, "no plugin at all", done.stderr)
    done = subprocess.run(
        [os.path.join(folder, "mlverify-run"), "-n", "0", "-t", "1",
         "--perplexity", "none", TOWN], text=True, capture_output=True,
        env=env)
    tap.ok(done.returncode == 0 and done.stderr == "",
           "auto without a plugin is the CPU, without a word", done.stderr)


def main():
    tap = kit.Tap()
    if not all(os.path.exists(program(b)) for b in BUILDS):
        tap.skip("the CUDA backend over the emulator",
                 "not built: make emulated")
        tap.done()
    home = kit.scratch()
    env = kit.clean_env(home)
    for name in "abcdefg":
        os.mkdir(os.path.join(home, name))
    with open(os.path.join(ROOT, "tests/fixtures/forward/golden.json"),
              encoding="utf-8") as f:
        golden = json.load(f)
    test_other_builds(tap, env, home)
    test_no_device(tap, env, home, golden)
    test_memory(tap, env, home, golden)
    test_devices(tap, env)
    test_old(tap, env, home, golden)
    test_guess(tap, env)
    test_text(tap, env)
    test_bench(tap, env)
    test_script(tap, env, home)
    test_wide(tap, env, home)
    test_poison(tap, env, home, golden)
    test_passing(tap, env, home, golden)
    test_passing_text(tap, env)
    test_scarce(tap, env)
    test_small_device(tap, env)
    test_cufile(tap, env, home, golden)
    test_passing_faults(tap, env, home, golden)
    test_golden(tap, env, home, golden)
    if not SANITIZED:
        test_order(tap, env, home, golden)
        test_barriers(tap, env, home, golden)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
