"""The official client, and everything of its kind, against the mirror, in a
network namespace from which nothing else can be reached; and nothing else is
tried: every connect() of theirs is looked at."""
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import serving  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "hf_" + "t" * 34


def safetensors(tensors):
    """One file of them: name -> (dtype, shape, bytes)."""
    head, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, raw) in tensors.items():
        head[name] = {"dtype": dtype, "shape": shape,
                      "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tiny_llama():
    """The smallest thing that loads as one."""
    d, v, f = 16, 32, 32
    shapes = {"model.embed_tokens.weight": [v, d], "lm_head.weight": [v, d],
              "model.norm.weight": [d]}
    layer = "model.layers.0."
    for n in "qkvo":
        shapes[f"{layer}self_attn.{n}_proj.weight"] = [d, d]
    shapes[layer + "mlp.gate_proj.weight"] = [f, d]
    shapes[layer + "mlp.up_proj.weight"] = [f, d]
    shapes[layer + "mlp.down_proj.weight"] = [d, f]
    shapes[layer + "input_layernorm.weight"] = [d]
    shapes[layer + "post_attention_layernorm.weight"] = [d]
    tensors = {}
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        tensors[name] = ("F32", shape, struct.pack("<f", 0.01) * n)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
              "hidden_size": d, "intermediate_size": f, "vocab_size": v,
              "num_hidden_layers": 1, "num_attention_heads": 2,
              "num_key_value_heads": 2, "max_position_embeddings": 64,
              "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2}
    return {"config.json": json.dumps(config).encode(),
            "model.safetensors": safetensors(tensors)}


def loopback():
    with socket.socket() as s:
        request = struct.pack("16sH14x", b"lo", 1 | 64)  # up, running
        fcntl.ioctl(s, 0x8914, request)


def others(trace, ports):
    """Every internet address tried that is not a mirror's."""
    found = []
    with open(trace, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.search(r"sin6?_port=htons\((\d+)\).*?\"([^\"]+)\"", line)
            if m and not (int(m[1]) in ports and m[2] == "127.0.0.1"):
                found.append(line.strip())
    return found


def watch(args, trace, env):
    return subprocess.run(["strace", "-f", "-qq", "--seccomp-bpf", "-e",
                           "trace=connect", "-o", trace, *args], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)


def steps(tap, folder, mirrors, facts, *part):
    """Those of mirror_steps.py; nobody but the mirrors is talked to."""
    path = os.path.join(folder, "facts")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(facts, f)
    # hf looks for a newer hf at PyPI, whatever its endpoint is
    env = kit.clean_env(folder, BUILD_DIR=kit.BUILD,
                        HF_HUB_DISABLE_UPDATE_CHECK=1,
                        HF_HUB_DISABLE_PROGRESS_BARS=1,
                        HF_ENDPOINT=facts["url"])
    trace = os.path.join(folder, "trace")
    done = watch([sys.executable, f"{HERE}/mirror_steps.py", path, *part],
                 trace, env)
    print(done.stdout, end="")
    rows = re.findall(r"^(?:not )?ok \d+", done.stdout, re.M)
    tap.n += len(rows)
    tap.failed += done.returncode != 0
    tried = others(trace, {m.port for m in mirrors})
    tap.eq(tried[:5], [], "no connection to anybody else was tried")
    with open(trace, encoding="utf-8", errors="replace") as f:
        seen = f.read()
    tap.ok(all(f"htons({m.port})" in seen for m in mirrors),
           "those to the mirrors were seen")
    return trace, env


def through(tap, folder, files):
    """A mirror that holds nothing yet, and one behind another; both go on
    without what is before them."""
    top = os.path.join(folder, "model")
    for path, data in files.items():
        serving.write(os.path.join(top, path), data)
    caches = [os.path.join(folder, name) for name in ("cold", "near", "far")]
    hub = kit.Hub({"acme/m": {"dir": top}})
    with hub, serving.Mirror(caches[0], "--upstream", hub.url) as cold, \
            serving.Mirror(caches[1], "--upstream", hub.url) as near, \
            serving.Mirror(caches[2], "--upstream", near.url) as far:
        facts = {"url": cold.url, "chain": far.url, "commit": "",
                 "files": {p: serving.sha256(d) for p, d in files.items()}}
        steps(tap, folder, (cold, far), facts, "cold")
        hub.proc.kill()
        near.stop()
        steps(tap, folder, (cold, far), facts, "gone")


def inside(folder):
    """In the namespace: the mirrors, then the client, then a control."""
    loopback()
    tap = kit.Tap()
    files = {"config.json": b'{"a": 1}\n', "empty.txt": b"",
             "model.safetensors": safetensors(
                 {"w": ("F32", [1000], b"\1\2\3\4" * 1000)}),
             "sub dir/a+b #1%é.txt": b"odd\n", "tokenizer.json": b"{}"}
    tokens = os.path.join(folder, "tokens")
    with open(tokens, "w", encoding="utf-8") as f:
        f.write(f"{TOKEN} *\n")
    os.chmod(tokens, 0o600)
    with serving.Cache() as cache:
        commit = cache.add("acme/m", files, refs=("main", "v1.0", "refs/pr/1"))
        cache.add("acme/d", {"data.csv": b"a\n"}, kind="dataset")
        cache.add("gpt2", {"config.json": b"{}"})
        cache.add("acme/llm", tiny_llama())
        with serving.Mirror(cache.root) as plain, \
                serving.Mirror(cache.root, "--tokens", tokens) as guarded, \
                serving.Mirror(cache.root, "--path-prefix", "/hub") as below:
            trace, env = steps(tap, folder, (plain, guarded, below), {
                "url": plain.url, "guarded": guarded.url,
                "prefixed": below.url, "token": TOKEN, "commit": commit,
                "files": {p: serving.sha256(d) for p, d in files.items()}})
            env.pop("HF_ENDPOINT")
            watch([sys.executable, "-c", "import huggingface_hub as h\n"
                   "h.HfApi().model_info('gpt2', timeout=2)"], trace, env)
            tap.ok(others(trace, {plain.port}),
                   "control: without the mirror another is tried, and seen")
    through(tap, folder, files)
    tap.done()


def main(script):
    if len(sys.argv) > 1:
        inside(sys.argv[1])
    why = subprocess.run(["unshare", "-n", "strace", "-qq", "-f",
                          "--seccomp-bpf", "-e", "trace=connect", "true"],
                         capture_output=True, text=True)
    if why.returncode != 0:
        tap = kit.Tap()
        tap.skip("the official client in a closed network",
                 (why.stderr.strip().splitlines() or ["no unshare"])[-1])
        tap.done()
    done = subprocess.run(["unshare", "-n", sys.executable, script,
                           kit.scratch()])
    sys.exit(done.returncode)
