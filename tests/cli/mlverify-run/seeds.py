#!/usr/bin/env python3
"""The forms in which projects save a model without a config.json: every one
rebuilt by recipe from a Hugging Face folder, and its logits held against that
folder's; which rule told the numbers, and what is refused as a guess."""
import json
import mmap
import ctypes
import os
import shutil
import struct
import sys
import tempfile

ROOT = os.path.dirname(os.path.abspath(__file__))
for _ in range(3):
    ROOT = os.path.dirname(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "tests", "fixtures"))
import kit  # noqa: E402
import rawckpt as raw  # noqa: E402
import seedmodels as seeds  # noqa: E402

IDS = "1,5,9,33,60,2,71"
tap = kit.Tap()


def run(base, *args):
    return kit.run(["mlverify-run", *args], kit.clean_env(base))


def logits_of(base, model, *more):
    """(report, logits after IDS) of a run; None when it failed."""
    out = os.path.join(base, "logits.f32")
    done = run(base, model, "--tokens", IDS, "-n", "6", "--ignore-eos",
               "--json", "--logits", out, *more)
    if done.returncode not in (0, 9) or not done.stdout:
        return {"ok": False, "config": "", "tokens": [],
                "error": done.stderr}, []
    with open(out, "rb") as f:
        data = f.read()
    return json.loads(done.stdout), struct.unpack(f"<{len(data) // 4}f", data)


def agrees(name, got, want, bound=1e-4):
    """Same logits within a bound relative to the largest, same tokens."""
    (report, a), (reference, b) = got, want
    most = max(map(abs, b), default=0)
    far = max((abs(x - y) for x, y in zip(a, b)), default=float("inf"))
    tap.ok(report["ok"] and len(a) == len(b) > 0 and far <= bound * most,
           f"{name}: the folder's logits, off by {far:.2g} of {most:.2g}",
           report)
    tap.eq(report["tokens"], reference["tokens"], f"{name}: its tokens")


def rule(name, report, *words):
    tap.ok(all(w in report["config"] for w in words),
           f"{name}: config: {report['config']}", report)


def refused(base, name, status, words, *args):
    done = run(base, *args)
    tap.ok(done.returncode == status and
           all(w in done.stderr for w in words),
           f"{name}: status {status}, says {', '.join(words)}",
           f"{done.returncode} {done.stderr}")


def gpt_fast(base):
    config, hf = seeds.llama()
    folder = os.path.join(base, "org", "tiny")
    seeds.save_folder(folder, config, hf)
    want = logits_of(base, folder)
    rule("a folder", want[0], "config.json")
    tensors = seeds.gpt_fast(config, hf)
    beside = os.path.join(folder, "model.pth")
    alone = os.path.join(base, "checkpoints", "model.pth")
    for path in (beside, alone):
        seeds.save_torch(path,
                         *seeds.state_dict(seeds.as_dtype(tensors, "F32")))
    got = logits_of(base, beside)
    agrees("model.pth beside config.json", got, want)
    rule("model.pth beside config.json", got[0], "config.json", "gpt_fast")
    got = logits_of(base, alone, "--heads", "4")
    agrees("model.pth alone", got, want)
    rule("model.pth alone", got[0], "inferred from shapes",
         "heads 4 from --heads")
    text = run(base, alone, "--heads", "4", "--tokens", "1", "-n", "1").stdout
    tap.ok("heads 4 from --heads" in text, "the report for people says it",
           text)
    refused(base, "heads that only a guess could tell", 3,
            ["number of heads", "--heads"], alone, "--tokens", "1")
    refused(base, "heads that do not fit", 8,
            ["5 heads", "layers.0.attention.wqkv.weight"], alone, "--tokens",
            "1", "--heads", "5")
    refused(base, "another family", 8, ["--arch llama", "embed_tokens"],
            alone, "--tokens", "1", "--arch", "llama")
    refused(base, "a family nobody knows", 2, ["--arch 'lama'", "gpt_fast"],
            alone, "--tokens", "1", "--arch", "lama")
    named = os.path.join(base, "Llama-2-7b-chat-hf")
    shutil.copytree(os.path.dirname(alone), named)
    refused(base, "a folder's name against the shapes", 8,
            ["7B", "32 layers", "2 layers"], named, "--tokens", "1")
    int8(base, config, tensors, want)


def int8(base, config, tensors, want):
    path = os.path.join(base, "int8", "model_int8.pth")
    seeds.save_torch(path, *seeds.state_dict(seeds.int8_file(tensors)))
    exact = os.path.join(base, "exact", "model.pth")
    seeds.save_torch(exact, *seeds.state_dict(
        seeds.as_dtype(seeds.int8_values(tensors), "F32")))
    got = logits_of(base, path, "--heads", "4")
    agrees("model_int8.pth against its own values", got,
           logits_of(base, exact, "--heads", "4"))
    tap.eq(got[0]["dtype"], "I8", "it is read as int8")
    far = max(abs(x - y) for x, y in zip(got[1], want[1]))
    most = max(map(abs, want[1]))
    tap.ok(far < 0.03 * most, "model_int8.pth: near the folder it came from, "
           f"off by {far:.2g} of {most:.2g}")
    top = sorted(range(len(want[1])), key=lambda i: -want[1][i])
    if want[1][top[0]] - want[1][top[1]] > 2 * far:
        tap.eq(got[0]["tokens"][0], want[0]["tokens"][0],
               "model_int8.pth: the same next token")
    kept = {n: t for n, t in seeds.as_dtype(tensors, "BF16").items()
            if not seeds.int8_linear(n)}
    for name, (shape, _) in tensors.items():
        if seeds.int8_linear(name):
            kept[name] = ("I32", (shape[0] // 8, 1, 32, 4),
                          bytes(shape[0] // 8 * 512))
            kept[name[:-6] + "scales_and_zeros"] = (
                "BF16", (shape[1] // 16, shape[0], 2),
                bytes(shape[1] // 16 * shape[0] * 4))
    path = os.path.join(base, "int4", "model_int4.g32.pth")
    seeds.save_torch(path, *seeds.state_dict(kept))
    refused(base, "int4", 8, ["int4", "scales_and_zeros", "model_int8.pth"],
            path, "--tokens", "1", "--heads", "4")


def table(base):
    """The model that a folder is named after; blocks of one kind of noise."""
    noise = seeds.pack("F16", [v / 20 for v in raw.uniform("noise", 4096)])
    dim, inner, layers, vocab = 288, 768, 6, 32000

    def tensor(*shape):
        n = 2 * raw.product(shape)
        return "F16", shape, (noise * (n // len(noise) + 1))[:n]

    t = {"tok_embeddings.weight": tensor(vocab, dim),
         "output.weight": tensor(vocab, dim), "norm.weight": tensor(dim)}
    for i in range(layers):
        at = f"layers.{i}."
        t.update({at + "attention.wqkv.weight": tensor(3 * dim, dim),
                  at + "attention.wo.weight": tensor(dim, dim),
                  at + "feed_forward.w1.weight": tensor(inner, dim),
                  at + "feed_forward.w3.weight": tensor(inner, dim),
                  at + "feed_forward.w2.weight": tensor(dim, inner),
                  at + "attention_norm.weight": tensor(dim),
                  at + "ffn_norm.weight": tensor(dim)})
    path = os.path.join(base, "STORIES15m", "model.pth")
    seeds.save_torch(path, *seeds.state_dict(t))
    report, _ = logits_of(base, path)
    rule("a folder named after its model", report, "heads 6",
         "stories15M", "folder's name")
    other = os.path.join(base, "unnamed")
    os.rename(os.path.dirname(path), other)
    report, _ = logits_of(base, other)
    rule("shapes that one model alone has", report, "heads 6", "stories15M",
         "only one")
    report, _ = logits_of(base, other, "--arch", "stories15M")
    rule("a model that the user names", report, "heads 6", "--arch")
    refused(base, "the wrong model named", 8, ["--arch", "110M", "12 layers"],
            other, "--tokens", "1", "--arch", "stories110M")
    shutil.rmtree(other)


def llama2c(base):
    config, hf = seeds.llama(tied=True)
    folder = os.path.join(base, "tied")
    seeds.save_folder(folder, config, hf)
    want = logits_of(base, folder)
    t = {"_orig_mod." + n: v for n, v in seeds.meta(config, hf).items()}
    model, storages = seeds.state_dict(
        seeds.as_dtype(t, "F32"),
        {"_orig_mod.output.weight": "_orig_mod.tok_embeddings.weight"})
    args = {"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2,
            "vocab_size": 96, "multiple_of": 4, "max_seq_len": 2048,
            "dropout": 0.0}
    path = os.path.join(base, "llama2c", "ckpt.pt")
    seeds.save_torch(path, b"}(" + raw.uni("model") + model
                     + raw.uni("model_args") + seeds.plain_dict(args)
                     + raw.uni("iter_num") + raw.num(7) + b"u", storages)
    got = logits_of(base, path)
    agrees("llama2.c", got, want)
    rule("llama2.c", got[0], "model_args", "inside")


def quantum(base):
    config, hf = seeds.llama(kv_heads=4, tied=True)
    config["rms_norm_eps"] = 1e-6
    folder = os.path.join(base, "quantum-hf")
    seeds.save_folder(folder, config, hf)
    want = logits_of(base, folder)
    model, storages = seeds.quantum(config, hf)
    inside = {"vocab_size": 96, "d_model": 64, "n_heads": 4, "n_layers": 2,
              "d_ff": 80, "max_seq_len": 64, "dropout": 0.1,
              "pad_token_id": 0}
    path = os.path.join(base, "quantum", "final_model.pt")
    seeds.save_torch(path, b"}(" + raw.uni("model_state_dict") + model
                     + raw.uni("config") + seeds.plain_dict(inside) + b"u",
                     storages)
    got = logits_of(base, path)
    agrees("QuantumLLM", got, want)
    rule("QuantumLLM", got[0], "'config' inside")
    tap.eq(got[0]["parameters"], want[0]["parameters"],
           "QuantumLLM: the tied head and the buffers are no parameters")
    path = os.path.join(base, "quantum-as-llama", "final_model.pt")
    seeds.save_torch(path, b"}(" + raw.uni("model_state_dict") + model
                     + raw.uni("config")
                     + seeds.plain_dict(dict(inside, model_type="llama"))
                     + b"u", storages)
    got = logits_of(base, path)
    agrees("QuantumLLM that calls itself llama", got, want)
    bare = os.path.join(base, "bare", "model.pt")
    seeds.save_torch(bare, model, storages)
    got = logits_of(base, bare)
    agrees("QuantumLLM without its config", got, want)
    rule("QuantumLLM without its config", got[0],
         "heads 4 from the rotary table")


def resident(path, first, end):
    """Bytes of [first, end) that are in the page cache."""
    page = mmap.PAGESIZE
    first, end = -(-first // page) * page, end // page * page
    with open(path, "r+b") as f:
        m = mmap.mmap(f.fileno(), end - first, offset=first)
        vec = (ctypes.c_ubyte * ((end - first) // page))()
        at = ctypes.addressof(ctypes.c_char.from_buffer(m))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t,
                                 ctypes.c_void_p]
        if libc.mincore(at, end - first, vec) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
    return sum(v & 1 for v in vec) * page


def forget(path):
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def with_hole(path, code, storages, key, size):
    """A torch file whose last entry, a storage, is a hole of that size."""
    mark = b"from here on nothing" * 3

    def build(**shift):
        last = raw.Entry(f"archive/data/{key}", mark, csize=size, usize=size)
        return raw.torch_zip(raw.archive(raw.PROTO2 + code + raw.STOP,
                                         storages, extra=[last]), **shift)

    more = size - len(mark)
    start = build().index(b"PK\x01\x02")
    offset = {"offset": start + more}
    done = build(end=offset, end64=offset, locator={
        "offset": build().index(b"PK\x06\x06") + more})
    at = done.index(mark)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(done[:at + len(mark)])
        f.seek(at + size)
        f.write(done[at + len(mark):])
    return at, at + size


def training_checkpoint(path, t, moments):
    """SmallLM's: weights, then an optimizer's state of that many bytes."""
    alias = {"lm_head.weight": "wte.weight"}
    model, storages = seeds.state_dict(
        dict(seeds.as_dtype(t, "F32"), **{
            "lm_head.weight": ("F32", t["wte.weight"][0], b"")}), alias)
    settings = {"batch_size": 32, "learning_rate": 3e-4, "max_steps": 10000,
                "device": "cuda"}
    state = (b"}" + raw.num(0) + raw.pairs(
        [("exp_avg", raw.tensor("900", (moments // 4,)))]) + b"s")
    code = (b"}(" + raw.uni("model_state_dict") + model
            + raw.uni("optimizer_state_dict") + raw.pairs([("state", state)])
            + raw.uni("scheduler_state_dict") + raw.pairs(
                [("last_epoch", raw.num(3))])
            + raw.uni("step") + raw.num(3) + raw.uni("config")
            + seeds.opaque("configs.model_config", "TrainingConfig", settings)
            + raw.uni("tokenizer_path") + raw.uni("tinystories_bpe.model")
            + b"u")
    return with_hole(path, code, storages, "900", moments)


def small(base):
    t = seeds.small()
    folder = os.path.join(base, "small-neox")
    seeds.save_folder(folder, *seeds.small_as_neox(t))
    want = logits_of(base, folder)
    path = os.path.join(base, "small", "checkpoint_best.pt")
    first, end = training_checkpoint(path, t, 512 << 20)
    forget(path)
    before = resident(path, first, end)
    got = logits_of(base, path)
    after = resident(path, first, end)
    agrees("SmallLM", got, want)
    rule("SmallLM", got[0], "'config' inside the file has no number of heads",
         "heads 2 from head size 64 of SmallLM")
    name = "SmallLM: the optimizer's state is never read"
    if before > 1 << 20:
        tap.skip(name, "the file does not leave the page cache here")
        return
    # what the kernel reads ahead of the weights and the table is not ours
    tap.ok(after < 64 << 20, f"{name}: {after} of {end - first} bytes")
    with open(path, "rb") as f:
        while f.read(1 << 20):
            pass
    tap.ok(resident(path, first, end) > 128 << 20,
           f"{name}: control, a reader of all shows")


def generic(base):
    """Weights alone: a family's defaults only for who asks for them."""
    config, hf = seeds.llama()
    config["rms_norm_eps"] = 1e-6
    folder = os.path.join(base, "generic")
    seeds.save_folder(folder, config, hf)
    want = logits_of(base, folder)
    os.unlink(os.path.join(folder, "config.json"))
    refused(base, "weights alone", 3, ["config.json", "--heads"], folder,
            "--tokens", "1")
    got = logits_of(base, folder, "--arch", "llama", "--heads", "4")
    agrees("weights alone, the user says what they are", got, want)
    rule("weights alone", got[0], "inferred from shapes", "--heads")


def overrides(base):
    config, hf = seeds.llama()
    folder = os.path.join(base, "wrong-heads")
    seeds.save_folder(folder, dict(config, num_attention_heads=8,
                                   num_key_value_heads=4), hf)
    want = logits_of(base, folder)
    tap.ok(want[0]["ok"], "heads that fit, though they are wrong", want[0])
    seeds.save_folder(folder, dict(config, num_attention_heads=8), hf)
    done = run(base, folder, "--tokens", "1")
    tap.ok(done.returncode == 9, "heads that contradict the shapes",
           done.stdout + done.stderr)
    got = logits_of(base, folder, "--heads", "4")
    seeds.save_folder(folder, config, hf)
    agrees("--heads over config.json", got, logits_of(base, folder))
    rule("--heads over config.json", got[0], "config.json",
         "heads from --heads")
    refused(base, "--heads against the shapes", 8,
            ["--heads 8", "k_proj", "instead of"], folder, "--tokens", "1",
            "--heads", "8")
    seeds.save_folder(folder, dict(config, model_type="falcon_mamba"), hf)
    got = logits_of(base, folder, "--arch", "llama")
    tap.ok(got[0]["ok"], "--arch over a model_type that nobody knows",
           got[0])


def main():
    base = tempfile.mkdtemp(prefix="mlseeds.", dir=kit.BUILD)
    try:
        for test in (gpt_fast, table, llama2c, quantum, small, generic,
                     overrides):
            test(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
