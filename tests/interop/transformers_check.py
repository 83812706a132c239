#!/usr/bin/env python3
"""Converted folders, loaded by transformers: the same ids, the same greedy
tokens as mlverify-run."""
# packages: transformers==4.45.2 numpy<2
import glob
import json
import os
import shutil
import subprocess
import sys
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error",
                  TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

NEW = 24
MORE = [["--fp16"], ["--bf16"], ["--fp32", "--shard-size", "20k"]]
PROMPTS = {
    "llama": ["Hello", "the model of the world"],
    "tiny-neox": ["The capital of France is", "Once"],
    "stories260k": ["Once upon a time", "Lily and Tom"],
}


def sources():
    yield "tiny-neox", os.path.join(kit.ROOT, "tests/model/tiny-neox")
    for path in sorted(glob.glob(os.path.join(kit.ROOT,
                                              "tests/fixtures/llama/*/"))):
        yield "llama", path
    for path in sorted(glob.glob(os.path.join(kit.STORIES, "*/"))):
        yield "stories260k", path


def ours(folder, env, prompt):
    """What mlverify-run makes of a prompt, and what is wrong with it."""
    # the llama below tests/ has random weights: no text reads well to it
    done = kit.run(["mlverify-run", "--json", "--dtype", "fp32",
                    "--perplexity", "none",
                    "--ignore-eos", "-n", NEW, "--prompt", prompt, folder],
                   env)
    return json.loads(done.stdout) if done.returncode == 0 else {}, done.stderr


def theirs(model, ids):
    """Greedy tokens, no end token heeded."""
    model.generation_config.eos_token_id = None
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), max_new_tokens=NEW,
                             do_sample=False, pad_token_id=0,
                             attention_mask=torch.ones(1, len(ids),
                                                       dtype=torch.long))
    return out[0][len(ids):].tolist()


def compare(tap, env, family, folder, name):
    model = AutoModelForCausalLM.from_pretrained(folder,
                                                 torch_dtype=torch.float32)
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for prompt in PROMPTS[family]:
        ids = tokenizer(prompt)["input_ids"]
        got, why = ours(folder, env, prompt)
        want = {"prompt_tokens": ids, "tokens": theirs(model, ids)}
        for key, word in (("prompt_tokens", "ids of"),
                          ("tokens", "greedy after")):
            tap.ok(got.get(key) == want[key], f"{name}: {word} '{prompt}'",
                   f"ours {got.get(key)}\ntheirs {want[key]}\n{why}")


def refuses_int8(tap, env, home):
    """int8 is no form that transformers reads: it must say so, and not take
    the bytes for weights. The same folder in bf16 loads."""
    source = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    for dtype in ("--int8", "--bf16"):
        out = os.path.join(home, dtype)
        kit.run(["mlconvert", "-q", dtype, "-o", out, source], env)
        try:
            AutoModelForCausalLM.from_pretrained(out)
            why = None
        except ValueError as e:
            why = str(e)
        if dtype == "--bf16":
            tap.ok(why is None, "a bf16 folder loads", why)
        else:
            tap.ok(why is not None and "quant" in why,
                   "an int8 folder is refused", why)


LOAD = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
try:
    open(sys.argv[1] + "/control", "w")
except OSError as e:
    print("read-only:", e.errno == 30)
model = AutoModelForCausalLM.from_pretrained("org/neox")
print("parameters:", sum(p.numel() for p in model.parameters()))
print("ids:", len(AutoTokenizer.from_pretrained("org/neox")("Once").input_ids))
"""


def from_a_volume(tap, home):
    """Read-only and offline: a volume, as a container mounts it."""
    source = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    volume = os.path.join(home, "V")
    with kit.Hub({"org/neox": {"dir": source}}) as hub:
        done = kit.run(["mlfetch", "pull", "org/neox", "--volume", volume],
                       kit.clean_env(home, HF_ENDPOINT=hub.url))
    tap.ok(done.returncode == 0, "a volume", done.stderr)
    env = kit.clean_env(os.path.join(home, "none"), HF_HUB_OFFLINE="1",
                        HF_HUB_CACHE=os.path.join(volume, "hub"))
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ' \
        'exec "$2" -c "$3" "$1"'
    if os.geteuid() != 0 or not shutil.which("unshare"):
        tap.skip("from_pretrained of a volume that is read-only",
                 "only root can mount")
        return
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", volume,
                           sys.executable, LOAD], env=env, text=True,
                          capture_output=True)
    said = done.stdout.splitlines()
    tap.ok(done.returncode == 0 and "read-only: True" in said and
           len(said) == 3 and not said[1].endswith(" 0") and
           "warn" not in done.stderr.lower(),
           "from_pretrained of a volume that is read-only, offline",
           done.stdout + done.stderr[-2000:])


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home)
    torch.set_num_threads(2)
    if not os.path.isdir(kit.STORIES):
        tap.skip("stories260k", "the shared models are not here")
    for family, source in sources():
        container = os.path.basename(source.rstrip("/"))
        # every container once, and one of each family in every way
        more = MORE if container in ("tiny-neox", "bin") else []
        for options in [["--fp32"], *more]:
            name = f"{family}/{container} {' '.join(options)}"
            out = os.path.join(home, "out")
            done = kit.run(["mlconvert", "-q", *options, "-o", out, source],
                           env)
            if tap.ok(done.returncode == 0, f"{name}: converts", done.stderr):
                compare(tap, env, family, out, name)
            shutil.rmtree(out, ignore_errors=True)
    refuses_int8(tap, env, home)
    from_a_volume(tap, home)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
