#!/usr/bin/env python3
"""mlverify check: what it accepts, what it refuses, what it says."""
import hashlib
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
TORCH = os.path.join(kit.ROOT, "tests/fixtures/torch")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def safetensors(tensors, metadata=None):
    """tensors: (name, dtype, shape, bytes)"""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape, part in tensors:
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)
        self.hub = os.path.join(self.home, "hf/hub")

    def at(self, *parts):
        return os.path.join(self.home, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def check(self, *args):
        return kit.run(["mlverify", "check", *args], self.env)

    def expect(self, done, status, what, *words):
        """Status, and words that one line of the report has together."""
        text = done.stdout + done.stderr
        good = done.returncode == status and (not words or any(
            all(w in line for w in words) for line in text.splitlines()))
        return self.tap.ok(good, what, f"want {status} and {words}\n"
                           f"status {done.returncode}\n{text}")


# ---- one file ----


def test_file(b):
    data = safetensors([("a", "F32", [2, 2], b"\1" * 16)])
    path = b.write("m/model.safetensors", data)
    done = b.check(path)
    b.expect(done, 0, "a good file", "ok", "digest", sha256(data))
    b.tap.ok(done.stderr == "", "and nothing on stderr", done.stderr)
    done = b.check("--json", path)
    doc = json.loads(done.stdout)
    target = doc["targets"][0]
    b.tap.ok(doc["ok"] is True and target["target"] == path and
             target["path"] == path and target["ok"] is True and
             all(set(c) >= {"name", "ok", "detail"} for c in target["checks"])
             and {"structure", "digest"} <= {c["name"]
                                             for c in target["checks"]},
             "--json has the promised keys", done.stdout)
    for cut in (0, 7, 8, 20, len(data) - 17, len(data) - 1):
        done = b.check(b.write("m/cut.safetensors", data[:cut]))
        b.tap.ok(done.returncode in (6, 8), f"cut at byte {cut}",
                 done.stdout + done.stderr)
    b.expect(b.check(b.write("m/long.safetensors", data + b"\0")), 8,
             "a byte too many", "FAIL", "structure", "long.safetensors")
    text = b.write("m/notes.txt", b"only words\n")
    b.expect(b.check(text), 8, "words are no weights", "FAIL", "structure")
    done = b.check("--json", text)
    doc = json.loads(done.stdout)
    b.tap.ok(done.returncode == 8 and doc["ok"] is False and
             any(not c["ok"] for c in doc["targets"][0]["checks"]),
             "--json says no", done.stdout)
    b.expect(b.check(path, text), 8, "of two targets the worse decides",
             "error", "1 of 2 targets")
    b.expect(b.check(path, b.at("nothing")), 3, "one missing target", "nothing")
    pointer = (b"version https://git-lfs.github.com/spec/v1\noid sha256:" +
               b"a" * 64 + b"\nsize 123\n")
    b.write("lfs/config.json", b"{}")
    b.write("lfs/anything.xyz", pointer)
    b.expect(b.check(b.at("lfs")), 6, "a Git LFS pointer, whatever its name",
             "FAIL", "anything.xyz", "LFS")


def test_names(b):
    evil = "a\x1b[31mb\u009bc"
    path = b.write(f"n/{evil}.safetensors", b"xx")
    done = b.check(path)
    text = done.stdout + done.stderr
    b.tap.ok(done.returncode == 8 and "\x1b" not in text, "a hostile file name "
             "does not reach the terminal", repr(text))
    done = b.check("--json", path)
    doc = json.loads(done.stdout)
    b.tap.eq(doc["targets"][0]["target"], path, "in JSON it is itself")


# ---- a torch file ----


def test_pickle(b):
    call = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."
    b.expect(b.check(b.write("p/evil.pkl", call)), 8, "os.system",
             "FAIL", "calls", "os.system", "byte 2")
    # modules that Python 3 imports under another name for such a file
    for i, name in enumerate(("StringIO open", "cStringIO open",
                              "thread start_new_thread", "__builtin__ eval",
                              "__builtin__ reduce", "_winreg SetValue",
                              "whichdb open", "SocketServer TCPServer",
                              "StringIO open." + "x" * 400)):
        code = b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n)R."
        b.expect(b.check(b.write(f"p/old{i}.pkl", code)), 8, name[:40],
                 "FAIL", "calls", name.split(" ")[1][:20])
    for i, name in enumerate(("pathlib PosixPath.write_text",
                              "pathlib Path.touch", "pathlib os.system",
                              "random _os.system", "a.b C.sp.call",
                              "a.b C.f.__globals__.get", "uuid _get_command_stdout",
                              "_osx_support _read_output")):
        part = [n.encode() for n in name.split(" ")]
        code = b"\x80\x04" + b"".join(
            b"\x8c" + bytes([len(n)]) + n for n in part) + b"\x93)R."
        b.expect(b.check(b.write(f"p/new{i}.pkl", code)), 8, name,
                 "FAIL", "calls", part[1].decode())
    code = b"\x80\x04\x8c\x03a.b\x8c\x07Out.Inn\x93)R."
    b.expect(b.check(b.write("p/inner.pkl", code)), 0, "an inner class",
             "note", "a.b.Out.Inn")
    code = b"\x80\x02cpathlib\nPosixPath\n)R."
    b.expect(b.check(b.write("p/path.pkl", code)), 0, "a path may be made",
             "note", "pathlib.PosixPath")
    code = b"\x80\x02cStringIO\nStringIO\n)R."
    b.expect(b.check(b.write("p/text.pkl", code)), 0, "a text in memory",
             "note", "StringIO.StringIO")
    b.write("p2/training_args.bin", call)
    b.write("p2/model.safetensors", safetensors([("a", "U8", [1], b"x")]))
    b.expect(b.check(b.at("p2")), 8, "os.system in a file beside the weights",
             "FAIL", "calls", "training_args.bin")
    broken = call[:-1] + b"\xff"
    b.expect(b.check(b.write("p/tail.pkl", broken)), 8, "a broken tail does "
             "not hide the call", "FAIL", "calls", "os.system")
    harmless = b"\x80\x02cmy.module\nConfig\n)R."
    done = b.check(b.write("p/config.pkl", harmless))
    b.expect(done, 0, "a class of somebody's", "note", "my.module.Config")
    done = b.check(os.path.join(TORCH, "two-branches.pt"))
    b.expect(done, 0, "two branches are no flaw", "note", "more than one")
    b.expect(b.check(os.path.join(TORCH, "collision.pt")), 8,
             "two tensors of one name are", "FAIL", "structure", "a.b")


# ---- shards ----


def shards(b, name, first, second, weight_map):
    b.write(f"{name}/model-1.safetensors", safetensors(first))
    b.write(f"{name}/model-2.safetensors", safetensors(second))
    b.write(f"{name}/model.safetensors.index.json",
            json.dumps({"weight_map": weight_map}).encode())
    return b.at(name)


def test_shards(b):
    one = ("one", "U8", [1], b"x")
    two = ("two", "U8", [1], b"y")
    three = ("three", "U8", [1], b"z")
    where = {"one": "model-1.safetensors", "two": "model-2.safetensors"}
    good = shards(b, "s/good", [one], [two], where)
    b.expect(b.check(good), 0, "two shards", "ok", "index", "2 tensors")
    index = os.path.join(good, "model.safetensors.index.json")
    b.expect(b.check(index), 0, "the same by the index", "ok", "digest",
             "model-2.safetensors")
    extra = shards(b, "s/extra", [one, three], [two], where)
    b.expect(b.check(extra), 0, "a tensor that is not listed is told",
             "note", "three")
    gone = shards(b, "s/gone", [one], [three], where)
    b.expect(b.check(gone), 6, "a tensor that its shard does not hold",
             "FAIL", "index", "'two'", "model-2.safetensors")
    twice = shards(b, "s/twice", [one, two], [two], where)
    b.expect(b.check(twice), 8, "a tensor in two shards", "FAIL", "'two'")
    swapped = dict(where, one="model-2.safetensors")
    b.expect(b.check(shards(b, "s/swap", [one], [two], swapped)), 6,
             "a tensor in the wrong shard", "FAIL", "'one'")
    os.remove(os.path.join(good, "model-2.safetensors"))
    for target in (good, index):
        b.expect(b.check(target), 6, "a shard that is not there: "
                 + os.path.basename(target), "FAIL", "model-2.safetensors")
    many = {f"t{i}": "model-1.safetensors" for i in range(500)}
    done = b.check(shards(b, "s/many", [one], [two], many))
    b.expect(done, 6, "many problems end in their number", "and 480 more")


# ---- a repository in a cache ----


class Repo:
    """A hub cache laid out by hand, as the protocol page says."""

    def __init__(self, b, files, listed=None):
        self.root = os.path.join(b.hub, "models--org--name")
        shutil.rmtree(self.root, ignore_errors=True)
        self.snapshot = os.path.join(self.root, "snapshots", COMMIT)
        self.blobs = {}
        listing = {}
        for name, (data, lfs) in files.items():
            etag = sha256(data) if lfs else git_sha1(data)
            listing[name] = {
                "size": len(data), "blob_id": git_sha1(data),
                "lfs_sha256": sha256(data) if lfs else None,
                "lfs_size": len(data) if lfs else None}
            if listed is None or name in listed:
                self.put(name, etag, data)
        self.write("refs/main", COMMIT.encode())
        self.write(f"trees/{COMMIT}.json", json.dumps(
            {"format_version": 1, "files": listing}).encode())

    def write(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def put(self, name, etag, data):
        self.blobs[name] = self.write(f"blobs/{etag}", data)
        entry = os.path.join(self.snapshot, name)
        os.makedirs(os.path.dirname(entry), exist_ok=True)
        os.symlink(os.path.relpath(self.blobs[name], os.path.dirname(entry)),
                   entry)


def test_repo(b):
    weights = safetensors([("a", "F32", [4], b"\1" * 16)])
    files = {"config.json": (b'{"a": 1}\n', False),
             "model.safetensors": (weights, True),
             "sub/tokenizer.json": (b"{}\n", False)}
    repo = Repo(b, files)
    done = b.check("org/name")
    b.expect(done, 0, "a repository", "ok", "digest", "model.safetensors",
             "as promised by")
    b.expect(done, 0, "small files have git's digest", "ok", "git sha1",
             git_sha1(b'{"a": 1}\n'))
    b.expect(done, 0, "the listing is complete", "ok", "listing", "all 3")
    b.expect(b.check(repo.snapshot), 0, "the same by the snapshot's path",
             "ok", "listing", "all 3")
    b.expect(b.check("org/name@" + COMMIT), 0, "the same by the commit")
    b.expect(b.check("org/other"), 3, "a repository that is not held",
             "error", "org/other")
    b.expect(b.check("--volume", b.at("nowhere"), "org/name"), 3,
             "a volume that is not there")
    test_kept_conversion(b)
    damage_repo(b, repo, files, weights)


def test_kept_conversion(b):
    """What mlconvert keeps beside a snapshot belongs to the answer."""
    done = kit.run(["mlconvert", "-q", "--fp16", "org/name"], b.env)
    kept = done.stdout.strip()
    if not b.tap.ok(done.returncode == 0 and os.path.isdir(kept),
                    "a conversion kept in the cache", done.stderr):
        return
    b.expect(b.check("org/name"), 0, "it is checked as well",
             "org/name (converted): ok")
    with open(os.path.join(kept, "model.safetensors"), "r+b") as f:
        f.seek(-1, 2)
        f.write(b"\xff")
    b.expect(b.check("org/name"), 6, "and found wrong", "FAIL", "tensors",
             "'a'")


def test_put(b):
    """A file of one's own in a volume."""
    path = b.write("put/data.txt", b"not a model at all\n")
    volume = "mine"
    done = kit.run(["mlfetch", "put", volume, path, "notes/data.txt"], b.env)
    if not b.tap.ok(done.returncode == 0, "put a file", done.stderr):
        return
    b.expect(b.check(f"{volume}:notes/data.txt"), 0, "by VOLUME:NAME", "ok",
             "digest", sha256(b"not a model at all\n"))
    b.expect(b.check("--volume", volume, "notes/data.txt"), 0, "by --volume",
             "ok", "digest", "data.txt")
    b.expect(b.check(f"{volume}:nothing"), 3, "no such name")


def damage_repo(b, repo, files, weights):
    blob = repo.blobs["model.safetensors"]
    wrong = weights[:-1] + b"\2"
    with open(blob, "wb") as f:
        f.write(wrong)
    b.expect(b.check("org/name"), 6, "a wrong byte in a blob", "FAIL",
             "digest", "model.safetensors", sha256(wrong), sha256(weights))
    os.remove(blob)
    b.expect(b.check("org/name"), 6, "a blob that is gone", "FAIL", "files",
             "model.safetensors")
    repo = Repo(b, files)
    with open(repo.blobs["config.json"], "ab") as f:
        f.write(b"\n")
    b.expect(b.check("org/name"), 6, "a blob of the wrong size", "FAIL",
             "listing", "config.json", "10 bytes", "says 9")
    Repo(b, files, listed=["config.json", "model.safetensors"])
    b.expect(b.check("org/name"), 0, "a file that was never pulled is a note",
             "note", "listing", "sub/tokenizer.json")
    repo = Repo(b, files)
    repo.write(f"trees/{COMMIT}.json", b'{"format_version": 1, "files": [')
    b.expect(b.check("org/name"), 6, "a damaged listing", "FAIL", "listing")
    os.remove(os.path.join(repo.root, f"trees/{COMMIT}.json"))
    b.expect(b.check("org/name"), 0, "no listing at all", "skip", "listing")
    entry = os.path.join(repo.snapshot, "model.safetensors")
    store = b.write(f"store/sha256/ab/{sha256(weights)}", weights)
    os.remove(repo.blobs["model.safetensors"])
    os.symlink(store, repo.blobs["model.safetensors"])
    b.expect(b.check("org/name"), 0, "two hops to the bytes", "ok",
             "model.safetensors")
    os.remove(entry)
    with open(entry, "wb") as f:
        f.write(wrong)
    b.expect(b.check("org/name"), 0, "without links or listing there is "
             "nothing to compare with", "ok", "digest", sha256(wrong))
    repo = Repo(b, files)
    entry = os.path.join(repo.snapshot, "model.safetensors")
    os.remove(entry)
    with open(entry, "wb") as f:
        f.write(wrong)
    b.expect(b.check("org/name"), 6, "a real file in the snapshot is held "
             "against the listing", "FAIL", "the listing says")


# ---- the uniform form ----


def convert(b, name, *more):
    out = b.at(name)
    done = kit.run(["mlconvert", "-q", *more, "-o", out,
                    os.path.join(LLAMA, "bin")], b.env)
    return out if b.tap.ok(done.returncode == 0, f"convert to {name}",
                           done.stderr) else None


def test_uniform(b):
    out = convert(b, "u/fp16", "--fp16")
    if out is None:
        return
    for word in ("manifest", "structure", "uniform", "digest", "tensors"):
        b.expect(b.check(out), 0, f"a converted folder: {word}", "ok", word)
    weights = os.path.join(out, "model.safetensors")
    b.expect(b.check(weights), 0, "its file alone", "as promised by the "
             "manifest")
    extra = os.path.join(out, "extra.txt")
    with open(extra, "w", encoding="utf-8") as f:
        f.write("more\n")
    b.expect(b.check(out), 6, "a file too many", "FAIL", "extra.txt")
    os.rename(extra, os.path.join(out, ".hidden"))
    b.expect(b.check(out), 6, "a hidden one as well", "FAIL", ".hidden")
    os.remove(os.path.join(out, ".hidden"))
    os.rename(os.path.join(out, "config.json"), b.at("config.json"))
    b.expect(b.check(out), 6, "a file too few", "FAIL", "config.json")
    os.rename(b.at("config.json"), os.path.join(out, "config.json"))
    b.expect(b.check(out), 0, "all put back")
    index_beside(b, out, weights)
    break_promises(b, weights)
    break_manifest(b, out)


def index_beside(b, out, weights):
    """The shards an index leads to have promises in the manifest, too."""
    with open(weights, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    names = [k for k in json.loads(data[8:8 + n]) if k != "__metadata__"]
    index = os.path.join(out, "model.safetensors.index.json")
    with open(index, "w", encoding="utf-8") as f:
        json.dump({"weight_map": {k: "model.safetensors" for k in names}}, f)
    b.expect(b.check(index), 0, "an index beside a manifest", "ok",
             "model.safetensors", "as promised by the manifest")
    os.chmod(weights, 0o644)
    with open(weights, "wb") as f:
        f.write(data[:-1] + bytes([data[-1] ^ 1]))
    b.expect(b.check(index), 6, "a shard that was changed", "FAIL",
             "model.safetensors", "the manifest says")
    with open(weights, "wb") as f:
        f.write(data)
    os.remove(index)


def break_promises(b, weights):
    """A file that says it is uniform, and is not; without a manifest."""
    mark = {"format": "pt", "ml-safetensors": "1"}
    rows = [("a", "F32", [1], b"\0" * 4), ("b", "F32", [1], b"\0" * 4)]
    path = b.write("u/lone/x.safetensors", safetensors(rows, mark))
    b.expect(b.check(path), 9, "data that start anywhere", "FAIL", "uniform",
             "4096")
    with open(weights, "rb") as f:
        data = bytearray(f.read())
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    spaced = json.dumps(head).encode()  # blanks behind , and :
    spaced += b" " * (-(len(spaced) + 8) % 4096)
    path = b.write("u/lone/y.safetensors", struct.pack("<Q", len(spaced)) +
                   spaced + bytes(data[8 + n:]))
    b.expect(b.check(path), 9, "a header that is not canonical", "FAIL",
             "uniform", "canonical")
    head["__metadata__"]["made-by"] = "somebody"
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    path = b.write("u/lone/z.safetensors", struct.pack("<Q", len(text)) + text +
                   bytes(data[8 + n:]))
    b.expect(b.check(path), 9, "metadata of its own", "FAIL", "uniform")
    path = b.write("u/lone/w.safetensors", bytes(data))
    b.expect(b.check(path), 0, "the file itself keeps them", "ok", "uniform")
    rows = [("a", "F16", [1], b"\0" * 2), ("b", "F32", [1], b"\0" * 4)]
    path = b.write("u/lone/v.safetensors", safetensors(rows, mark))
    b.expect(b.check(path), 9, "an order of its own", "FAIL", "uniform")


def break_manifest(b, out):
    path = os.path.join(out, "ml-manifest.json")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    good = json.loads(text)
    first = sorted(good["tensors"])[0]

    def attempt(what, change, status=6, *words):
        doc = json.loads(text)
        change(doc)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(doc, f, indent=1)
        b.expect(b.check(out), status, f"manifest: {what}", "FAIL", *words)

    attempt("another tensor digest",
            lambda d: d["tensors"][first].update(sha256="0" * 64), 6,
            "tensors", first)
    attempt("another shape", lambda d: d["tensors"][first].update(shape=[1]),
            6, first)
    attempt("a tensor left out", lambda d: d["tensors"].pop(first), 6, first)
    attempt("a tensor too many", lambda d: d["tensors"].update(
        more=d["tensors"][first]), 6, "'more'")
    attempt("another file digest", lambda d: d["files"]["config.json"].update(
        sha256="0" * 64), 6, "config.json", "digest")
    attempt("another file size", lambda d: d["files"]["config.json"].update(
        size=1), 6, "config.json")
    attempt("an alias of nothing", lambda d: d["aliases"].update(x="y"), 6,
            "'x'")
    attempt("another source", lambda d: d["source"].update(repository="o/n"),
            6, "changed")
    attempt("another recipe", lambda d: d["recipe"].update(dtype="bf16"), 6,
            "changed")
    attempt("another version", lambda d: d.update({"ml-manifest": 2}), 8,
            "version 2")
    attempt("a way out", lambda d: d["files"].update(
        {"../../x": d["files"]["config.json"]}), 8, "../../x")
    with open(path, "w", encoding="utf-8") as f:
        f.write("{")
    b.expect(b.check(out), 8, "manifest: not JSON", "FAIL", "manifest")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    b.expect(b.check(out), 0, "manifest: put back")


def test_odd(b):
    os.makedirs(b.at("odd/deep/er"))
    b.write("odd/deep/er/model.safetensors",
            safetensors([("a", "U8", [1], b"x")]))
    os.symlink("deep", b.at("odd/link"))
    done = b.check(b.at("odd"))
    b.expect(done, 0, "folders below are looked into", "ok",
             "deep/er/model.safetensors")
    b.expect(done, 0, "a link to a folder is passed over", "skip", "link")
    os.symlink(".", b.at("odd/self"))
    b.expect(b.check(b.at("odd")), 0, "a link to itself is no loop")
    os.makedirs(b.at("elsewhere/odd"))
    os.symlink("../elsewhere", b.at("odd/out"))
    b.expect(b.check(b.at("odd")), 8, "a link to a folder elsewhere", "FAIL",
             "out", "not looked into")
    os.remove(b.at("odd/out"))
    os.mkfifo(b.at("odd/pipe"))
    b.expect(b.check(b.at("odd")), 8, "a pipe", "FAIL", "files", "pipe")
    os.remove(b.at("odd/pipe"))
    os.symlink("nowhere", b.at("odd/gone"))
    b.expect(b.check(b.at("odd")), 6, "a link to nowhere", "FAIL", "files",
             "gone", "nowhere")
    os.mkdir(b.at("empty"))
    b.expect(b.check(b.at("empty")), 3, "an empty folder is no answer",
             "FAIL", "empty")
    b.write("words/README.md", b"words\n")
    b.expect(b.check(b.at("words")), 0, "no weights: a note", "note",
             "no weights")
    for threads in ("1", "7"):
        b.expect(b.check("--threads", threads, LLAMA + "/bin-sharded"), 0,
                 f"with {threads} threads")


def main():
    tap = kit.Tap()
    b = Bench(tap)
    for test in (test_file, test_names, test_pickle, test_shards, test_repo,
                 test_put, test_uniform, test_odd):
        test(b)
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
