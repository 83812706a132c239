"""What the official client does with a mirror, step by step; mirror.py runs it
where nothing but the mirror can be reached.

    mirror_steps.py FACTS [cold|gone]   a JSON file: url, commit, files, token
"""
import hashlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

with open(sys.argv[1], encoding="utf-8") as f:
    facts = json.load(f)
os.environ["HF_ENDPOINT"] = facts["url"]

import huggingface_hub as hub  # noqa: E402
from huggingface_hub import errors  # noqa: E402

tap = kit.Tap()
REPO, COMMIT = "acme/m", facts["commit"]
SHA = facts["files"]


def digests(folder):
    out = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            rel = os.path.relpath(path, folder)
            if rel.startswith(".cache"):
                continue
            with open(path, "rb") as f:
                out[rel] = hashlib.sha256(f.read()).hexdigest()
    return out


def raises(kind, what, call):
    try:
        call()
        tap.ok(False, what, "nothing was raised")
    except kind as why:
        tap.ok("testmirror" in str(why) or kind is not errors.HfHubHTTPError,
               what, why)
    except Exception as why:  # whatever else it may be
        tap.ok(False, what, repr(why))


def snapshots():
    for rev in ("main", "v1.0", "refs/pr/1", COMMIT):
        got = hub.snapshot_download(REPO, revision=rev,
                                    cache_dir=f"{kit.scratch()}/c")
        tap.eq((os.path.basename(got), digests(got)), (COMMIT, SHA),
               f"snapshot_download of {rev}")
    got = hub.snapshot_download(REPO, local_dir=f"{kit.scratch()}/l")
    tap.eq(digests(got), SHA, "into a folder")
    got = hub.snapshot_download(REPO, allow_patterns=["*.json"],
                                cache_dir=f"{kit.scratch()}/c")
    tap.eq(set(digests(got)), {p for p in SHA if p.endswith(".json")},
           "of some files")
    got = hub.snapshot_download("acme/d", repo_type="dataset",
                                cache_dir=f"{kit.scratch()}/c")
    tap.eq(set(digests(got)), {"data.csv"}, "of a data set")
    got = hub.snapshot_download("gpt2", cache_dir=f"{kit.scratch()}/c")
    tap.eq(set(digests(got)), {"config.json"}, "of a bare name")


def one_file():
    for path, want in SHA.items():
        got = hub.hf_hub_download(REPO, path, cache_dir=f"{kit.scratch()}/c")
        with open(got, "rb") as f:
            if hashlib.sha256(f.read()).hexdigest() != want:
                tap.ok(False, f"hf_hub_download of {path}")
    tap.ok(True, "hf_hub_download of every file")
    tap.eq([hub.file_exists(REPO, "config.json"), hub.file_exists(REPO, "no")],
           [True, False], "file_exists")
    meta = hub.get_hf_file_metadata(hub.hf_hub_url(REPO, "model.safetensors"))
    tap.eq((meta.commit_hash, meta.etag, meta.xet_file_data),
           (COMMIT, SHA["model.safetensors"], None), "what a HEAD says")
    tap.eq(hub.get_safetensors_metadata(REPO).sharded, False,
           "the header of a safetensors file, by a range")


def listings():
    api = hub.HfApi()
    info = api.model_info(REPO, files_metadata=True)
    tap.eq((info.sha, {s.rfilename for s in info.siblings}),
           (COMMIT, set(SHA)), "model_info")
    big = next(s for s in info.siblings if s.rfilename == "model.safetensors")
    tap.eq(big.lfs["sha256"] if isinstance(big.lfs, dict) else big.lfs.sha256,
           SHA["model.safetensors"], "with digests")
    tap.eq(api.dataset_info("acme/d").id, "acme/d", "dataset_info")
    tap.eq(set(api.list_repo_files(REPO)), set(SHA), "list_repo_files")
    tree = list(api.list_repo_tree(REPO, recursive=True, expand=True))
    tap.eq({e.path for e in tree if hasattr(e, "blob_id")}, set(SHA),
           "list_repo_tree")
    refs = api.list_repo_refs(REPO)
    tap.eq({b.name: b.target_commit for b in refs.branches},
           {"main": COMMIT, "v1.0": COMMIT}, "list_repo_refs")
    found = api.get_paths_info(REPO, ["config.json", "sub dir", "no"])
    tap.eq([e.path for e in found], ["config.json", "sub dir"],
           "get_paths_info")
    tap.eq([c.commit_id for c in api.list_repo_commits(REPO)], [COMMIT],
           "list_repo_commits")
    api.auth_check(REPO)
    tap.ok(True, "auth_check")
    fs = hub.HfFileSystem()
    tap.eq({e["name"].removeprefix(REPO + "/") for e in fs.ls(REPO)},
           {p.split("/")[0] for p in SHA}, "HfFileSystem.ls")
    tap.eq(fs.info(f"{REPO}/config.json")["type"], "file",
           "HfFileSystem.info")
    tap.eq(hashlib.sha256(fs.read_bytes(f"{REPO}/config.json")).hexdigest(),
           SHA["config.json"], "HfFileSystem reads")


def not_there():
    c = f"{kit.scratch()}/c"
    raises(errors.RepositoryNotFoundError, "no such repository",
           lambda: hub.snapshot_download("acme/none", cache_dir=c))
    raises(errors.RevisionNotFoundError, "no such revision",
           lambda: hub.hf_hub_download(REPO, "config.json", revision="none",
                                       cache_dir=c))
    raises(errors.EntryNotFoundError, "no such file",
           lambda: hub.hf_hub_download(REPO, "none.json", cache_dir=c))
    known = os.path.join(c, "models--acme--m/.no_exist", COMMIT, "none.json")
    tap.ok(os.path.exists(known), "which the client remembers")


def guarded():
    url, token = facts["guarded"], facts["token"]
    c = f"{kit.scratch()}/c"
    got = hub.snapshot_download(REPO, endpoint=url, token=token, cache_dir=c)
    tap.eq(digests(got), SHA, "with a token of the mirror's")
    tap.ok(hub.whoami(token=token)["type"] == "user", "whoami")
    for bad, what in (("hf_" + "z" * 34, "a wrong token"), (False, "no token")):
        try:
            hub.HfApi(endpoint=url, token=bad).model_info(REPO)
            tap.ok(False, what)
        except errors.HfHubHTTPError as why:
            tap.ok(why.response.status_code == 401, f"{what}: 401", why)
    got = hub.snapshot_download(REPO, endpoint=facts["prefixed"], cache_dir=c,
                                force_download=True)
    tap.eq(digests(got), SHA, "below a path prefix")


def command_line():
    name = os.path.join(os.path.dirname(sys.executable), "hf")
    if not os.path.exists(name):
        name = os.path.join(os.path.dirname(sys.executable),
                            "huggingface-cli")
    folder = kit.scratch()
    done = subprocess.run([sys.executable, name, "download", REPO,
                           "--local-dir", folder], capture_output=True,
                          text=True)
    tap.eq((done.returncode, digests(folder)), (0, SHA),
           f"{os.path.basename(name)} download")
    env = dict(os.environ, HF_HUB_CACHE=f"{kit.scratch()}/c")
    done = subprocess.run([kit.program("mlfetch"), "pull", REPO], env=env,
                          capture_output=True, text=True)
    tap.ok(done.returncode == 0 and digests(done.stdout.strip()) == SHA,
           "mlfetch pull", done.stderr)


def transformers():
    try:
        import transformers as t
    except ImportError:
        return
    home = f"{kit.scratch()}/c"
    model = t.AutoModelForCausalLM.from_pretrained("acme/llm", cache_dir=home)
    tap.eq(model.config.hidden_size, 16, f"transformers {t.__version__}: "
           "from_pretrained of a model")
    tap.eq(t.AutoConfig.from_pretrained("acme/llm", cache_dir=home).model_type,
           "llama", "and of its config")


def fetched_through(when):
    for name, url in (("a mirror", facts["url"]),
                      ("a mirror of a mirror", facts["chain"])):
        got = hub.snapshot_download(REPO, endpoint=url,
                                    cache_dir=f"{kit.scratch()}/c")
        tap.eq(digests(got), SHA, f"{name}: {when}")


def cold():
    fetched_through("what it does not hold yet")


def gone():
    fetched_through("what it holds, without an upstream")


PARTS = {"cold": [cold], "gone": [gone], "": [
    snapshots, one_file, listings, not_there, guarded, command_line,
    transformers]}
for part in PARTS["".join(sys.argv[2:])]:
    part()
tap.done()
