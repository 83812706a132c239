"""What the tests of pull share: a model on disk, a pull, what it left."""
import hashlib
import json
import os
import shutil
import subprocess

import kit

MIB = 1 << 20
ODD = "sub dir/nested é #1%+.txt"


def noise(size, seed):
    """The same bytes on every run, and no two MiB of them alike."""
    out = bytearray()
    n = 0
    while len(out) < size:
        block = hashlib.sha256(f"{seed}.{n}".encode()).digest()
        out += block * (4096 // len(block))
        n += 1
    return bytes(out[:size])


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def make_model(folder, size=9 * MIB):
    """A repository: small files, an empty one, an odd name, one large."""
    files = {"config.json": b'{"a": 1}\n', "empty.txt": b"",
             ODD: b"odd\n", "onnx/copy.json": b'{"a": 1}\n',
             "model.safetensors": noise(size, folder)}
    for name, data in files.items():
        write(os.path.join(folder, name), data)
    return files


class World:
    """A cache of one's own, and pulls into it."""

    def __init__(self, url, **env):
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home, HF_ENDPOINT=url, **env)
        self.root = os.path.join(self.home, "hf/hub")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.home)

    def pull(self, *args, **more):
        return kit.run(["mlfetch", "pull", *args], self.env, **more)

    def pull_json(self, *args):
        """What a pull reports; one that must not fail, and says why it did."""
        done = self.pull("--json", *args)
        if done.returncode != 0:
            raise RuntimeError(f"pull {' '.join(args)}: status "
                               f"{done.returncode}: {done.stderr}")
        return json.loads(done.stdout)[0]

    def repo(self, repo_id):
        return os.path.join(self.root, "models--" + repo_id.replace("/", "--"))

    def names(self, repo_id, part):
        """The entries of blobs, snapshots ... of a repository."""
        folder = os.path.join(self.repo(repo_id), part)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def visible(self, repo_id):
        """Every name a reader could see under the snapshots."""
        found = []
        top = os.path.join(self.repo(repo_id), "snapshots")
        for where, _, names in os.walk(top):
            found += [os.path.relpath(os.path.join(where, n), top)
                      .partition("/")[2] for n in names]
        return sorted(found)


def matches(folder, files):
    """None when the folder holds exactly these files, else what is wrong."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            found[os.path.relpath(path, folder)] = None  # a link to nowhere
            if os.path.exists(path):
                with open(path, "rb") as f:
                    found[os.path.relpath(path, folder)] = f.read()
    wrong = [n for n in set(found) | set(files) if n not in files or
             found.get(n) != files[n]]
    return f"differ: {sorted(wrong)}" if wrong else None


def good(tap, done, files, name):
    """The pull succeeded, and every byte is right."""
    folder = done.stdout.strip()
    wrong = None
    if done.returncode == 0:
        wrong = matches(folder, files)
    tap.ok(done.returncode == 0 and wrong is None, name,
           f"status {done.returncode}\n{wrong}\n{done.stderr}")
    return folder


def fails(tap, done, status, text, name):
    """This status, this text on stderr, nothing on stdout, no token."""
    said = done.stderr
    tap.ok(done.returncode == status and text in said and
           done.stdout == "" and "hf_" not in said, name,
           f"status {done.returncode}, want {status} and '{text}'\n"
           f"{done.stdout}{said}")


def gets(hub, host=None, part=""):
    """The requests of the log, of a host, whose path holds part."""
    return [r for r in hub.log() if host in (None, r["host"])
            and part in r["path"]]


def shimmed(folder, text):
    """A library to preload, None where that cannot be."""
    shim = os.path.join(folder, f"shim{len(text)}.so")
    built = subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o",
                            shim, "-ldl"], input=text, text=True,
                           capture_output=True)
    unfit = any(s in kit.BUILD for s in ("asan", "tsan"))
    return None if built.returncode or unfit else shim
