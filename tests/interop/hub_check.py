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


def looked_after(tap, hub):
    """What mlcache keeps and does in a cache disturbs no official client."""
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    top = kit.run(["mlfetch", "pull", "org/llama"], env).stdout.strip()
    kit.run(["mlfetch", "pull", "org/deep"], env)
    kit.run(["mlcache", "pin", "org/llama"], env)
    blob = os.path.realpath(os.path.join(top, "config.json"))
    os.chmod(blob, 0o644)
    with open(blob, "a", encoding="utf-8") as f:
        f.write("x")
    done = kit.run(["mlcache", "verify"], env)
    tap.eq(done.returncode, 6, "a blob is moved to the quarantine")
    theirs, log = official(env, "online", "org/llama")
    tap.ok(theirs is not None and theirs["warnings"] == [],
           "huggingface_hub fetches it again", log)
    tap.eq(kit.run(["mlcache", "verify"], env).returncode, 0,
           "and all is right")
    for args in (["gc", "--grace", "0", "--partial"],
                 ["rm", "--yes", "org/deep@main"],
                 ["gc", "--grace", "0", "--quarantine"]):
        done = kit.run(["mlcache", *args], env)
        theirs, log = official(env, "offline", "org/llama")
        tap.ok(done.returncode == 0 and theirs is not None and
               theirs["warnings"] == [], f"mlcache {args[0]}: its scanner is "
               "content", done.stderr + log)
    tap.eq(theirs["repos"], ["org/llama"], "and sees what was removed")
    shutil.rmtree(home)


def adopted(tap, hub):
    """What the official client fetched is ours, too, and still its own."""
    home = kit.scratch()
    old = kit.clean_env(home, HF_ENDPOINT=hub.url)
    new = dict(old, HF_HUB_CACHE=os.path.join(home, "new"))
    for repo in ("org/llama", "org/deep"):
        official(old, "online", repo)
    source = os.path.join(home, "hf/hub")
    done = kit.run(["mlcache", "adopt", "--link", "--json", source], new)
    doc = json.loads(done.stdout)["sources"][0]
    tap.ok(done.returncode == 0 and doc["broken"] == [] and
           doc["linked"] == doc["taken"] > 3,
           "mlcache adopt links what huggingface_hub fetched",
           done.stdout + done.stderr)
    for env, name in ((old, "its own folder"), (new, "ours")):
        theirs, log = official(env, "offline", "org/llama")
        tap.ok(theirs is not None and theirs["warnings"] == [] and
               sorted(theirs["repos"]) == ["org/deep", "org/llama"],
               f"it reads {name}, and its scanner is content", log)
    hub.reset()
    done = kit.run(["mlfetch", "pull", "org/deep"], new)
    bodies = [r for r in hub.log() if "/resolve" in r["path"]]
    tap.eq((done.returncode, bodies), (0, []), "mlfetch pull fetches nothing")
    done = kit.run(["mlcache", "adopt", "--move", source],
                   dict(old, HF_HUB_CACHE=os.path.join(home, "last")))
    tap.eq((done.returncode, [n for n in os.listdir(source)
                              if n.startswith("models")]), (0, []),
           "--move leaves no repository behind")
    theirs, log = official(old, "online", "org/llama")
    tap.ok(theirs is not None and theirs["warnings"] == [],
           "and it begins anew there", log)
    shutil.rmtree(home)


def official_removed(tap, hub):
    """What the official client fetched and deletes: we see it the same."""
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    theirs, log = official(env, "online", "org/llama")
    done = kit.run(["mlcache", "verify", "--json"], env)
    tap.ok(done.returncode == 0 and json.loads(done.stdout)["checked"] > 3,
           "mlcache verify is content with what it fetched",
           done.stdout + done.stderr + log)
    kit.run(["mlcache", "path", "org/llama"], env)
    commit = os.path.basename(theirs["path"])
    done = python(env, DELETE, commit)
    tap.ok(done.returncode == 0, "it deletes the revision", done.stderr)
    done = kit.run(["mlcache", "ls", "--json"], env)
    rows = json.loads(done.stdout)["repositories"]
    tap.ok(all(r["revisions"] == [] for r in rows), "mlcache sees none",
           done.stdout)
    done = kit.run(["mlcache", "gc", "--grace", "0"], env)
    theirs, log = official(env, "online", "org/llama")
    tap.ok(done.returncode == 0 and theirs is not None and
           theirs["warnings"] == [], "and both go on", log)
    shutil.rmtree(home)


def hf(env, *args):
    """The official command."""
    env = dict(env, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1",
               NO_COLOR="1")
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "hf"),
                           *args], env=env, capture_output=True, text=True)
    said = done.stdout + done.stderr
    return done.returncode, said, "warn" in said.lower()


def commands(tap, hub):
    """hf cache in our volume, mlcache in what hf downloaded."""
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    volume = os.path.join(home, "V")
    for repo in ("org/llama", "org/deep"):
        kit.run(["mlfetch", "pull", repo, "--volume", volume], env)
    inside = dict(env, HF_HUB_CACHE=os.path.join(volume, "hub"))
    rc, said, warned = hf(inside, "cache", "ls", "--json")
    tap.ok(rc == 0 and not warned and "org/llama" in said and
           "org/deep" in said, "hf cache ls in a volume of ours", said)
    for repo in ("org/llama", "org/deep"):
        rc, said, warned = hf(inside, "cache", "verify", repo,
                              "--fail-on-missing-files",
                              "--fail-on-extra-files")
        tap.ok(rc == 0 and not warned, f"hf cache verify {repo}", said)
    blob = os.path.realpath(kit.run(["mlcache", "path", "org/deep",
                                     "--volume", volume], env).stdout.strip() +
                            "/config.json")
    whole = flip(blob)
    rc, said, _ = hf(inside, "cache", "verify", "org/deep")
    tap.ok(rc != 0, "it sees a flipped bit (so it did look)", said)
    flip(blob, whole)
    rc, said, warned = hf(inside, "cache", "rm", "-y", "model/org/deep")
    tap.ok(rc == 0 and not warned, "hf cache rm in it", said)
    ours = [r["id"] for r in json.loads(kit.run(
        ["mlcache", "ls", "--json", "--volume", volume],
        env).stdout)["repositories"] if r["revisions"]]
    done = kit.run(["mlcache", "verify", "--volume", volume], env)
    tap.ok(ours == ["org/llama"] and done.returncode == 0,
           "mlcache sees the same, and all is right", done.stderr)
    theirs = kit.clean_env(os.path.join(home, "theirs"), HF_ENDPOINT=hub.url)
    for repo in ("org/llama", "org/deep"):
        rc, said, _ = hf(theirs, "download", repo)
        tap.eq(rc, 0, f"hf download {repo}")
    done = kit.run(["mlcache", "verify"], theirs)
    tap.eq(done.returncode, 0, "mlcache verify is content with it")
    done = kit.run(["mlcache", "rm", "--yes", "org/deep"], theirs)
    rc, said, warned = hf(theirs, "cache", "ls", "--json")
    tap.ok(done.returncode == 0 and rc == 0 and not warned and
           "org/deep" not in said and "org/llama" in said,
           "mlcache rm in it, and hf cache ls", done.stderr + said)
    shutil.rmtree(home)


def flip(path, whole=None):
    """A bit of a file, or all of it again; what was in it."""
    with open(path, "rb") as f:
        old = f.read()
    os.chmod(path, 0o644)
    with open(path, "wb") as f:
        f.write(whole if whole is not None else
                bytes([old[0] ^ 1]) + old[1:])
    os.chmod(path, 0o444)
    return old


DELETE = """
import sys
from huggingface_hub import scan_cache_dir
scan_cache_dir().delete_revisions(sys.argv[1]).execute()
"""
PLAIN = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], local_dir=sys.argv[2]))
"""
TOKENS = """
import json
from huggingface_hub import get_token
from huggingface_hub.utils._auth import get_stored_tokens
print(json.dumps([get_token(), get_stored_tokens()]))
"""
LOGIN = """
import sys
from huggingface_hub import login
login(sys.argv[1])
"""


def python(env, code, *args):
    env = dict(env, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
    return subprocess.run([sys.executable, "-c", code, *args], env=env,
                          capture_output=True, text=True)


def plain_folders(tap, hub, source):
    """--local-dir: each takes the other's folder as it is."""
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    ours, theirs = (os.path.join(home, n) for n in ("ours", "theirs"))
    done = kit.run(["mlfetch", "pull", "org/deep", "--local-dir", ours], env)
    tap.ok(done.returncode == 0, "mlfetch fills a plain folder", done.stderr)
    hub.reset()
    done = python(env, PLAIN, "org/deep", ours)
    bodies = [r for r in hub.log() if "/resolve" in r["path"]]
    tap.ok(done.returncode == 0 and bodies == [],
           "huggingface_hub has nothing to add",
           f"{done.stderr[-300:]} {[r['path'] for r in bodies]}")
    done = python(env, PLAIN, "org/deep", theirs)
    tap.ok(done.returncode == 0, "huggingface_hub fills one", done.stderr)
    hub.reset()
    done = kit.run(["mlfetch", "pull", "org/deep", "--local-dir", theirs],
                   env)
    bodies = [r for r in hub.log() if "/resolve" in r["path"]]
    tap.ok(done.returncode == 0 and bodies == [],
           "mlfetch has nothing to add", done.stderr)
    tap.eq([n for n in files_below(theirs) if not n.startswith(".cache")],
           files_below(source), "and every file is there")
    shutil.rmtree(home)


def token_files(tap, hub):
    home = kit.scratch()
    env = kit.clean_env(home, HF_ENDPOINT=hub.url)
    done = subprocess.run([kit.program("mlfetch"), "login"], env=env,
                          input="hf_one", capture_output=True, text=True)
    tap.ok(done.returncode == 0, "mlfetch login", done.stderr)
    done = python(env, TOKENS)
    tap.eq(done.stdout.strip(), '["hf_one", {"first": "hf_one"}]',
           "huggingface_hub finds the token and its name")
    done = python(env, LOGIN, "hf_two")
    tap.ok(done.returncode == 0, "huggingface_hub logs in, too", done.stderr)
    done = kit.run(["mlfetch", "whoami"], env)
    tap.eq(done.stdout, "bob\n", "and mlfetch is who it says")
    kit.run(["mlfetch", "logout", "second"], env)
    done = python(env, TOKENS)
    tap.eq(done.stdout.strip(), '[null, {"first": "hf_one"}]',
           "mlfetch forgets one of the two")
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


def carried(tap, hub):
    """Through an archive, what either client fetched is read by both."""
    home = kit.scratch()
    old = kit.clean_env(home, HF_ENDPOINT=hub.url)
    official(old, "online", "org/llama")
    kit.run(["mlfetch", "pull", "org/deep"], old)
    out = os.path.join(home, "a.tar.zst")
    done = kit.run(["mlcache", "export", out, "org/llama", "org/deep"], old)
    tap.ok(done.returncode == 0, "mlcache export takes what huggingface_hub "
           "fetched", done.stderr)
    new = dict(old, HF_HUB_CACHE=os.path.join(home, "new"))
    done = kit.run(["mlcache", "import", out], new)
    tap.ok(done.returncode == 0, "mlcache import", done.stderr)
    os.mkdir(os.path.join(home, "x"))
    subprocess.run(["tar", "--zstd", "-xf", out], check=True,
                   cwd=os.path.join(home, "x"))
    for root, name in ((os.path.join(home, "new"), "imported"),
                       (os.path.join(home, "x/hub"), "unpacked by tar")):
        env = dict(old, HF_HUB_CACHE=root)
        for repo in ("org/llama", "org/deep"):
            theirs, log = official(env, "offline", repo)
            tap.ok(theirs is not None and theirs["warnings"] == [] and
                   sorted(theirs["repos"]) == ["org/deep", "org/llama"] and
                   theirs["path"].startswith(root),
                   f"{name}, huggingface_hub reads {repo} offline, and its "
                   "scanner is content", log)
        hub.reset()
        theirs, log = official(env, "online", "org/llama")
        tap.ok(theirs is not None and
               not [r for r in hub.log() if "/resolve" in r["path"]],
               f"{name}, it fetches nothing again", log)
    shutil.rmtree(home)


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    llama = os.path.join(kit.ROOT, "tests/fixtures/llama/bin-sharded")
    deep = make_deep(folder)
    repos = {"org/llama": {"dir": llama}, "org/deep": {"dir": deep}}
    tokens = {"hf_one": {"name": "alice", "displayName": "first"},
              "hf_two": {"name": "bob", "displayName": "second"}}
    with kit.Hub(repos, tokens=tokens) as hub:
        ours_then_official(tap, hub, deep)
        official_then_ours(tap, hub)
        looked_after(tap, hub)
        adopted(tap, hub)
        carried(tap, hub)
        official_removed(tap, hub)
        commands(tap, hub)
        plain_folders(tap, hub, deep)
        token_files(tap, hub)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
