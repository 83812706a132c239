"""Folders as other programs keep them, for the tests of mlcache adopt: a hub
cache, an Ollama store, an LM Studio folder. All of them are made here."""
import hashlib
import json
import os

from pulling import noise, write

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "89abcdef0123456789abcdef0123456789abcdef"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(name, data):
    """As a hub names it: large files by SHA-256, the others by git's."""
    lfs = name.endswith((".safetensors", ".bin", ".gguf"))
    return sha256(data) if lfs else git_sha1(data)


def model(seed="m", size=300_000):
    return {"config.json": b'{"a": 1}\n', "empty.txt": b"",
            "sub dir/nested \xc3\xa9.txt".encode("latin-1").decode(): b"odd\n",
            "model-1.safetensors": noise(size, seed + "1"),
            "model-2.safetensors": noise(size + 1, seed + "2")}


def add_commit(root, repo, files, commit=COMMIT, ref="main", listing=True,
               links=True):
    """A commit of a repository in a hub cache, as huggingface_hub leaves it;
    the repository's folder."""
    folder = os.path.join(root, "models--" + repo.replace("/", "--"))
    listed = {}
    for name, data in files.items():
        tag = etag(name, data)
        blob = os.path.join(folder, "blobs", tag)
        entry = os.path.join(folder, "snapshots", commit, name)
        os.makedirs(os.path.dirname(entry), exist_ok=True)
        if links:
            if not os.path.exists(blob):
                write(blob, data)
            os.symlink(os.path.relpath(blob, os.path.dirname(entry)), entry)
        else:
            os.makedirs(os.path.dirname(blob), exist_ok=True)
            write(entry, data)
        listed[name] = {"size": len(data), "blob_id": git_sha1(data)}
        if len(tag) == 64:
            listed[name].update(lfs_sha256=tag, lfs_size=len(data))
    if ref:
        write(os.path.join(folder, "refs", ref), commit.encode())
    if listing:
        write(os.path.join(folder, "trees", commit + ".json"),
              json.dumps({"format_version": 1, "files": listed},
                         indent=1).encode())
    write(os.path.join(root, "CACHEDIR.TAG"),
          b"Signature: 8a477f597d28d172789f06886806bc55\n")
    return folder


def blob_of(folder, name, commit=COMMIT):
    return os.path.realpath(os.path.join(folder, "snapshots", commit, name))


TYPES = {"model": "application/vnd.ollama.image.model",
         "template": "application/vnd.ollama.image.template",
         "params": "application/vnd.ollama.image.params",
         "license": "application/vnd.ollama.image.license"}
GGUF = b"GGUF\3\0\0\0"


def add_ollama(root, name, tag="latest", layers=None, space="library",
               host="registry.ollama.ai", colon=False, size=200_000):
    """A model of an Ollama store; {layer: path of its blob}."""
    if layers is None:
        layers = [("model", GGUF + noise(size, name + tag)),
                  ("template", b"{{ .Prompt }}"),
                  ("params", b'{"stop": ["</s>"]}'),
                  ("license", b"do what you like\n"),
                  ("license", b"and more\n")]
    config = json.dumps({"model_format": "gguf"}).encode()
    blobs, described = {}, []
    for kind, data in [("config", config), *layers]:
        name_of = f"sha256{':' if colon else '-'}{sha256(data)}"
        path = os.path.join(root, "blobs", name_of)
        write(path, data)
        blobs.setdefault(kind, path)
        described.append({"mediaType": TYPES.get(
            kind, "application/vnd.docker.container.image.v1+json"),
            "digest": "sha256:" + sha256(data), "size": len(data)})
    write(os.path.join(root, "manifests", host, space, name, tag),
          json.dumps({"schemaVersion": 2, "mediaType": "application/vnd."
                      "docker.distribution.manifest.v2+json",
                      "config": described[0],
                      "layers": described[1:]}).encode())
    return blobs


def add_lmstudio(root, publisher="TheBloke", repo="Tiny-GGUF", size=150_000):
    files = {"tiny.Q4.gguf": GGUF + noise(size, repo),
             "tiny.Q8.gguf": GGUF + noise(size + 5, repo + "8")}
    for name, data in files.items():
        write(os.path.join(root, publisher, repo, name), data)
    return files
