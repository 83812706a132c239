#!/usr/bin/env python3
"""One cache, two clients: mlfetch and the official huggingface_hub."""
# packages: safetensors huggingface_hub tokenizers gguf
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

OFFICIAL = """
import json, sys
from huggingface_hub import snapshot_download, scan_cache_dir
offline = sys.argv[1] == "offline"
path = snapshot_download(sys.argv[2], local_files_only=offline)
scan = scan_cache_dir()
print(json.dumps({"path": path, "warnings": [str(w) for w in scan.warnings],
                  "repos": [r.repo_id for r in scan.repos],
                  "files": sum(r.nb_files for r in scan.repos)}))
"""


def official(env, mode, repo):
    env = dict(env, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
    if mode == "offline":
        env["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run([sys.executable, "-c", OFFICIAL, mode, repo],
                          env=env, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def files_below(path):
    return sorted(os.path.relpath(os.path.join(d, f), path)
                  for d, _, names in os.walk(path) for f in names)


def ours_then_official(tap, hub, source):
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    for repo in ("org/llama", "org/deep"):
        done = kit.run(["mlfetch", "pull", repo], env)
        tap.ok(done.returncode == 0, f"mlfetch pulls {repo}", done.stderr)
        ours = done.stdout.strip()
        theirs, log = official(env, "offline", repo)
        tap.ok(theirs is not None, f"huggingface_hub reads {repo} offline",
               log)
        tap.eq((theirs or {}).get("path"), ours, "from the same folder")
        tap.eq((theirs or {}).get("warnings"), [], "its scanner is content")
    tap.eq((theirs or {}).get("repos") and sorted(theirs["repos"]),
           ["org/deep", "org/llama"], "and sees both repositories")
    tap.eq(files_below(ours), files_below(source), "every file is there")
    hub.reset()
    theirs, log = official(env, "online", "org/llama")
    bodies = [r for r in hub.log() if "/resolve" in r["path"]]
    tap.ok(theirs is not None and not bodies,
           "online, huggingface_hub fetches nothing again", log)
    shutil.rmtree(home)


def official_then_ours(tap, hub):
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    for repo in ("org/llama", "org/deep"):
        theirs, log = official(env, "online", repo)
        if not tap.ok(theirs is not None, f"huggingface_hub pulls {repo}",
                      log):
            continue
        hub.reset()
        done = kit.run(["mlfetch", "pull", "--json", repo], env)
        tap.ok(done.returncode == 0, f"mlfetch pulls {repo} again",
               done.stderr)
        bodies = [r for r in hub.log() if "/resolve" in r["path"]]
        tap.eq(bodies, [], "and finds everything held")
        row = json.loads(done.stdout or "[{}]")[0]
        tap.eq(row.get("path"), theirs["path"], "in the same folder")
        tap.eq(row.get("fetched_bytes"), 0, "with nothing fetched")
        again, log = official(env, "offline", repo)
        tap.eq((again or {}).get("warnings"), [],
               "the scanner is content afterwards")
        done = kit.run(["mlfetch", "pull", "--offline", repo], env)
        tap.eq(done.stdout.strip(), theirs["path"], "offline too")
    shutil.rmtree(home)


def make_deep(folder):
    """Names that need escaping, a nested path, an empty file."""
    for name, text in (("config.json", "{}"), ("a b/nested \u00e9.txt", "x"),
                       ("a b/#100%+.txt", "y"), ("empty.txt", ""),
                       ("deep/er/model.bin", "z" * 100000)):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    return folder


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    llama = os.path.join(kit.ROOT, "tests/fixtures/llama/bin-sharded")
    deep = make_deep(folder)
    repos = {"org/llama": {"dir": llama}, "org/deep": {"dir": deep}}
    with kit.Hub(repos) as hub:
        ours_then_official(tap, hub, deep)
        official_then_ours(tap, hub)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
