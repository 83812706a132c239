#!/usr/bin/env python3
"""mlcache adopt: what it takes of a hub cache, an Ollama store, an LM Studio
folder and any other, what it says of the broken and the hostile, and its
exit statuses."""
import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import foreign  # noqa: E402
import kit  # noqa: E402
from foreign import COMMIT, OLDER  # noqa: E402
from pulling import noise, write  # noqa: E402

SECONDS = 20


class Bench:
    """A scratch folder, and mlcache adopt running in it."""

    def __init__(self):
        self.dir = kit.scratch()
        self.env = kit.clean_env(self.dir, MLFETCH_VOLUMES=self.at("vols"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        # folders may be deeper than Python goes
        subprocess.run(["rm", "-rf", self.dir], check=True)

    def at(self, *parts):
        return os.path.join(self.dir, *parts)

    def run(self, *args, **more):
        return kit.run(args, self.env, cwd=self.dir, timeout=SECONDS, **more)

    def adopt(self, *args):
        return self.run("mlcache", "adopt", *args)

    def json(self, *args):
        """(status, the first source, stderr)."""
        done = self.adopt("--json", *args)
        doc = json.loads(done.stdout) if done.stdout else {"sources": [{}]}
        return done.returncode, doc["sources"][0], done.stderr

    def snapshot(self, repo="acme/tiny", commit=COMMIT, root="hf/hub"):
        return self.at(root, "models--" + repo.replace("/", "--"),
                       "snapshots", commit)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def same(folder, files):
    """None, or the first file of them that is not there as it should be."""
    for name, data in files.items():
        path = os.path.join(folder, name)
        if not os.path.exists(path) or read(path) != data:
            return name
    return None


def flip(path):
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        byte = f.read(1)[0]
        f.seek(0)
        f.write(bytes([byte ^ 1]))


def faults(source):
    """{path: kind} of what was not taken."""
    return {f["path"]: f["kind"] for f in source.get("broken", [])}


# ---- what is taken ----

def test_hub(tap):
    files = foreign.model()
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        older = dict(files, **{"config.json": b"{}\n"})
        foreign.add_commit(b.at("old"), "acme/tiny", older, OLDER, "v1.0")
        done = b.adopt("old")
        tap.eq((done.returncode, done.stderr), (0, ""), "a hub cache: 0")
        tap.ok(f"acme/tiny@{COMMIT[:12]}: 5 files" in done.stdout and
               "6 files" in done.stdout and "(6 linked)" in done.stdout,
               "it says what it took, and how", done.stdout)
        tap.eq(same(b.snapshot(), files), None, "every file is there")
        tap.eq(same(b.snapshot(commit=OLDER), older), None, "of both commits")
        tap.eq(same(os.path.join(repo, "snapshots", COMMIT), files), None,
               "and still where it was")
        here = os.path.join(b.snapshot(), "model-1.safetensors")
        tap.eq(os.stat(here).st_ino,
               os.stat(foreign.blob_of(repo, "model-1.safetensors")).st_ino,
               "the same file, not a copy")
        tap.eq(stat.S_IMODE(os.stat(here).st_mode), 0o444,
               "which nobody writes to by accident")
        rows = b.run("mlcache", "ls").stdout
        tap.ok("acme/tiny" in rows and "v1.0" in rows, "mlcache ls has it",
               rows)
        again = b.adopt("old")
        tap.ok(again.returncode == 0 and "already held" in again.stdout and
               ": 0 files, 0 B taken, 6 already held" in again.stdout,
               "a second time: already held", again.stdout)
        tap.eq(b.run("mlfetch", "pull", "--offline", "acme/tiny").returncode,
               0, "a pull finds it all held, offline")
        tap.eq(b.run("mlcache", "verify").returncode, 0, "verify is content")


def test_layouts(tap):
    files = foreign.model()
    with Bench() as b:
        foreign.add_commit(b.at("old"), "acme/plain", files, links=False)
        status, doc, said = b.json("old")
        tap.eq((status, doc["taken"], doc["broken"]), (0, 5, []),
               "no links: digests from the listing")
        tap.eq(same(b.snapshot("acme/plain"), files), None, "and all of it")
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/bare", files,
                                  listing=False, links=False)
        status, doc, said = b.json("old")
        tap.eq((status, set(faults(doc).values()), doc["taken"]),
               (6, {"unknown"}, 0), "nothing says what they should be: "
               "nothing is taken")
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/shared", files)
        blob = foreign.blob_of(repo, "model-1.safetensors")
        shared = b.at("old/blobs/ab/payload")
        os.makedirs(os.path.dirname(shared))
        write(b.at("old/blobs/.huggingface-shared-blobs"), b"1\n")
        os.rename(blob, shared)
        os.symlink("../../blobs/ab/payload", blob)
        status, doc, said = b.json("--move", "old")
        tap.eq((status, doc["taken"]), (0, 5), "over a shared store: two hops")
        tap.eq(same(b.snapshot("acme/shared"), files), None, "and all of it")
        tap.ok(os.path.exists(shared), "which others may need: it stays there")
    with Bench() as b:
        foreign.add_commit(b.at("home/hub"), "acme/tiny", files)
        foreign.add_commit(b.at("home/hub"), "acme/other", files)
        tap.eq(b.json("home/hub/models--acme--tiny")[1]["taken"], 5,
               "one repository of a cache")
        tap.ok(not os.path.exists(b.snapshot("acme/other")), "and no other")
        tap.eq(b.json("home")[1]["taken"], 5, "HF_HOME: its hub/, the rest")


def test_ollama(tap):
    with Bench() as b:
        top = b.at(".ollama/models")
        blobs = foreign.add_ollama(top, "llama3")
        foreign.add_ollama(top, "phi", "3b", space="someone")
        foreign.add_ollama(top, "tiny", "Q4", space="org", host="hf.co")
        done = b.adopt("--volume", "v", ".ollama")
        tap.eq(done.returncode, 0, "an Ollama store: 0")
        tap.ok("made the volume" in done.stderr, "a new volume is told",
               done.stderr)
        names = b.run("mlfetch", "ls", "v", "--json").stdout
        names = [f["name"] for f in json.loads(names)["files"]]
        tap.eq([n for n in names if "llama3" in n],
               [f"ollama/llama3/latest/{n}" for n in (
                   "config.json", "license-2.txt", "license.txt",
                   "manifest.json", "model.gguf", "params.json",
                   "template.txt")], "its files under sensible names")
        tap.ok("ollama/someone/phi/3b/model.gguf" in names and
               "ollama/hf.co/org/tiny/Q4/model.gguf" in names,
               "those of others with what stands in front", names)
        got = b.run("mlfetch", "get", "v", "ollama/llama3/latest/model.gguf",
                    "m.gguf")
        tap.ok(got.returncode == 0 and
               read(b.at("m.gguf")) == read(blobs["model"]),
               "mlfetch get gives the bytes", got.stderr)
        tap.eq(os.stat(b.at("vols/v/files/ollama/llama3/latest/model.gguf"))
               .st_ino, os.stat(blobs["model"]).st_ino, "not copied")
        tap.ok(": 0 files, 0 B taken" in
               b.adopt("--volume", "v", ".ollama/models").stdout,
               "again, by its models/: already held")
        colon = b.at("older")
        foreign.add_ollama(colon, "old", colon=True)
        status, doc, _ = b.json("--volume", "v", "older")
        tap.eq((status, doc["kind"]), (0, "ollama"),
               "blobs called sha256:<hex> are read, too")


def test_folders(tap):
    with Bench() as b:
        files = foreign.add_lmstudio(b.at(".lmstudio/models"))
        status, doc, _ = b.json("--volume", "v", ".lmstudio")
        tap.eq((status, doc["kind"], [s["name"] for s in doc["adopted"]]),
               (0, "lmstudio", ["lmstudio/TheBloke/Tiny-GGUF"]),
               "LM Studio: by publisher and repository")
        tap.eq(same(b.at("vols/v/files/lmstudio/TheBloke/Tiny-GGUF"), files),
               None, "every file is there")
        foreign.add_lmstudio(b.at("elsewhere"))
        tap.eq(b.json("--volume", "v", "--kind", "lmstudio", "elsewhere")[1]
               ["taken"], 0, "--kind says what it is: the same names, held")
        write(b.at("runs/a/final.pt"), noise(5000, "a"))
        write(b.at("runs/notes.txt"), b"")
        write(b.at("runs/.git/objects/x"), b"x")
        os.symlink("a/final.pt", b.at("runs/best.pt"))
        status, doc, _ = b.json("--volume", "v", "runs")
        tap.eq((status, doc["broken"], doc["adopted"][0]["files"]),
               (0, [], 3), "any folder: its files, and links that stay inside")
        rows = b.run("mlfetch", "ls", "v", "runs").stdout
        tap.ok("runs/best.pt" in rows and "runs/notes.txt" in rows and
               "git" not in rows, "under its name", rows)
        b.adopt("--volume", "v", "--name", "mine/now", "runs")
        tap.ok("mine/now/a/final.pt" in b.run("mlfetch", "ls", "v").stdout,
               "or under --name")
        tap.eq(b.run("mlcache", "verify", "--volume", "v").returncode, 0,
               "verify is content")
        os.remove(b.at("runs/a/final.pt"))
        write(b.at("runs/a/final.pt"), noise(5000, "other"))
        status, doc, said = b.json("--volume", "v", "runs")
        tap.eq((status, faults(doc)), (8, {"a/final.pt": "clash",
                                           "best.pt": "clash"}),
               "a name with other content stays as it is")
        status, doc, _ = b.json("--volume", "v", "--force", "runs")
        tap.eq((status, read(b.at("vols/v/files/runs/a/final.pt"))),
               (0, noise(5000, "other")), "but with --force")


# ---- what is broken ----

def test_broken_hub(tap):
    files = {f"{n}.bin": noise(70_000, n) for n in
             ("sound", "zeroed", "empty", "flipped", "short", "gone", "wrong")}
    files["config.json"] = b'{"b": 2}\n'
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        blob = {n: foreign.blob_of(repo, n) for n in files}
        write(blob["zeroed.bin"], bytes(70_000))
        write(blob["empty.bin"], b"")
        write(blob["short.bin"], files["short.bin"][:60_000])
        flip(blob["flipped.bin"])
        flip(blob["config.json"])
        os.remove(blob["gone.bin"])
        entry = os.path.join(repo, "snapshots", COMMIT, "wrong.bin")
        os.remove(entry)
        os.symlink(os.path.relpath(blob["sound.bin"], os.path.dirname(entry)),
                   entry)
        write(os.path.join(repo, "blobs/" + "a" * 64 + ".incomplete"), b"x")
        write(os.path.join(repo, "blobs/readme"), b"x")
        write(os.path.join(repo, "refs/torn"), b"0123")
        status, doc, said = b.json("old")
        found = {os.path.basename(f["path"]): (f["kind"], f["name"], f["why"])
                 for f in doc["broken"]}
        want = {os.path.basename(blob[n]): n for n in blob}
        by = {want.get(k, k): v for k, v in found.items()}
        tap.eq(status, 6, "broken blobs: 6")
        tap.ok("mlfetch pull" in said, "with what to do", said)
        tap.eq(by.get("zeroed.bin"),
               ("damaged", "zeroed.bin", "holds nothing but zeros"),
               "a zeroed blob")
        tap.eq(by.get("empty.bin"), ("damaged", "empty.bin", "is empty"),
               "an empty one")
        tap.eq(by.get("flipped.bin"),
               ("damaged", "flipped.bin", "its SHA-256 is another"),
               "a flipped bit")
        tap.eq(by.get("config.json"),
               ("damaged", "config.json", "its git SHA-1 is another"),
               "a flipped bit in a small file")
        tap.eq(by.get("short.bin", ("",))[0], "damaged", "a cut one")
        tap.eq(by.get("gone.bin", ("",))[0], "missing", "a dangling link")
        tap.eq(by.get("wrong.bin", ("",))[0], "other",
               "a link that is not what the listing says")
        tap.eq(by.get("a" * 64 + ".incomplete", ("",))[0], "unfinished",
               "an unfinished download")
        tap.eq(by.get("readme", ("",))[0], "unknown", "a name of no digest")
        tap.eq(by.get("torn", ("",))[0], "damaged", "a ref to no commit")
        tap.eq((doc["taken"], len(found)), (1, 10), "the sound one is taken, "
               "nothing else is wrong")
        tap.eq(sorted(os.listdir(b.snapshot())), ["sound.bin"],
               "and no broken one has a name")
        blobs = os.path.join(os.path.dirname(os.path.dirname(b.snapshot())),
                             "blobs")
        tap.eq(os.listdir(blobs), [foreign.sha256(files["sound.bin"])],
               "nor a blob")
        ref = os.path.join(os.path.dirname(blobs), "refs")
        tap.ok(not os.path.exists(ref), "no branch names what is not whole")
        tap.eq(read(blob["zeroed.bin"]), bytes(70_000), "the source is as it "
               "was")
        text = b.adopt("old")
        tap.ok("damaged  models--acme--tiny/blobs/" in text.stdout and
               "(flipped.bin): its SHA-256 is another" in text.stdout and
               "; 7 not taken" in text.stdout, "people read it so", text.stdout)


def test_control(tap):
    files = foreign.model()
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        flip(foreign.blob_of(repo, "model-1.safetensors"))
        tap.eq(os.path.getsize(foreign.blob_of(repo, "model-1.safetensors")),
               len(files["model-1.safetensors"]),
               "control: the size does not show a flipped byte")
        tap.eq(b.json("old")[0], 6, "the digest does")
        tap.eq(same(b.snapshot(), {n: d for n, d in files.items()
                                   if n != "model-1.safetensors"}), None,
               "what is sound came")
        flip(foreign.blob_of(repo, "model-1.safetensors"))
        status, doc, _ = b.json("old")
        tap.eq((status, doc["taken"], doc["held"]), (0, 1, 4),
               "control: flipped back, it is taken, and only it")
        tap.eq(same(b.snapshot(), files), None, "and all is there")
        tap.eq(read(os.path.join(b.snapshot(), "../../refs/main")),
               COMMIT.encode(), "and the branch")


def test_broken_ollama(tap):
    with Bench() as b:
        top = b.at("models")
        blobs = foreign.add_ollama(top, "a")
        flip(blobs["model"])
        gone = foreign.add_ollama(top, "b")
        os.remove(gone["model"])
        manifest = os.path.join(top, "manifests/registry.ollama.ai/library")
        sized = foreign.add_ollama(top, "c")
        doc = json.loads(read(os.path.join(manifest, "c/latest")))
        doc["layers"][0]["size"] += 1
        write(os.path.join(manifest, "c/latest"), json.dumps(doc).encode())
        write(os.path.join(manifest, "d/latest"), b'{"layers": [')
        write(os.path.join(manifest, "e/latest"), b"")
        write(os.path.join(manifest, "f/latest"), json.dumps(
            {"layers": [{"digest": "sha256:../../../etc/passwd", "size": 1,
                         "mediaType": "x"}]}).encode())
        write(os.path.join(top, "blobs/sha256-" + "0" * 64 + "-partial-0"),
              b"x")
        write(os.path.join(top, "manifests/README"), b"x")
        status, doc, _ = b.json("--volume", "v", "models")
        by = {f["name"] or f["path"]: (f["kind"], f["why"])
              for f in doc["broken"]}
        tap.eq(status, 6, "an Ollama store with broken models: 6")
        tap.eq(by.get("ollama/a/latest/model.gguf"),
               ("damaged", "its SHA-256 is another"), "a flipped bit")
        tap.ok(by.get("b/latest", ("", ""))[0] == "missing" and
               "which is not there" in by["b/latest"][1], "a missing blob", by)
        tap.ok(by.get("c/latest", ("", ""))[0] == "other" and
               "another size" in by["c/latest"][1], "a wrong size", by)
        tap.eq((by.get("d/latest", ("",))[0], by.get("e/latest")),
               ("damaged", ("damaged", "is empty")), "no JSON; an empty file")
        tap.eq(by.get("f/latest"), ("unsafe", "names a blob by no SHA-256"),
               "a digest that is a path")
        tap.eq(by.get("manifests/README", by.get("README", ("",)))[0],
               "unknown", "a file among the manifests")
        tap.ok(any(k == "unfinished" for k, _ in by.values()),
               "an unfinished download")
        names = b.run("mlfetch", "ls", "v").stdout
        tap.ok("model.gguf" not in names and "ollama/a/latest/params.json" in
               names, "the sound layers are taken, no broken one", names)
        tap.eq(os.path.exists(sized["model"]), True, "the source stays")


def test_broken_folder(tap):
    with Bench() as b:
        for name, data in (("sound.gguf", foreign.GGUF + noise(5000, "s")),
                           ("zero.gguf", bytes(5000)), ("empty.gguf", b""),
                           ("half.gguf.part", b"x"), ("x.incomplete", b"x")):
            write(b.at("runs", name), data)
        os.symlink("nothing", b.at("runs/dangling"))
        os.symlink("round", b.at("runs/round"))
        os.symlink("/etc/passwd", b.at("runs/outside"))
        os.symlink("../runs", b.at("runs/folder"))
        os.mkfifo(b.at("runs/fifo"))
        write(b.at("runs/new\nline.bin"), b"x")
        write(b.at("runs/back\\slash.bin"), b"x")
        status, doc, said = b.json("--volume", "v", "runs")
        tap.eq(status, 6, "a folder with broken files: 6")
        tap.eq(faults(doc), {
            "zero.gguf": "damaged", "empty.gguf": "damaged",
            "half.gguf.part": "unfinished", "x.incomplete": "unfinished",
            "dangling": "missing", "round": "missing", "outside": "unsafe",
            "folder": "unsafe", "fifo": "unsafe", "new\nline.bin": "unsafe",
            "back\\slash.bin": "unsafe"}, "each with its kind")
        tap.eq(doc["taken"], 1, "the sound one is taken")
        text = b.adopt("--volume", "v", "runs").stdout
        tap.ok("new\nline" not in text and "new\\x0aline" in text,
               "control characters do not reach a terminal", text)
        for name in os.listdir(b.at("runs")):
            if name not in ("outside", "fifo", "folder"):
                os.remove(b.at("runs", name))
        tap.eq(b.json("--volume", "v", "runs")[0], 8,
               "only unsafe things: 8")


# ---- hostile sources ----

def test_hostile(tap):
    files = foreign.model(size=1000)
    with Bench() as b:
        write(b.at("secret"), b"secret\n")
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        os.symlink(b.at("secret"), os.path.join(
            repo, "blobs", foreign.git_sha1(b"secret\n")))
        os.symlink(b.at("secret"), os.path.join(repo, "snapshots", COMMIT,
                                                "leak"))
        os.symlink("/", os.path.join(repo, "snapshots", COMMIT, "root"))
        os.mkfifo(os.path.join(repo, "blobs", "f" * 64))
        os.mkfifo(os.path.join(repo, "refs", "pipe"))
        os.symlink(b.at("elsewhere"), b.at("old/models--acme--link"))
        foreign.add_commit(b.at("other"), "acme/link", files)
        os.symlink(b.at("other/models--acme--link"),
                   b.at("old/models--acme--away"))
        deep = os.path.join(repo, "snapshots", COMMIT)
        here = os.open(deep, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d" * 8, dir_fd=here)
            here, last = os.open("d" * 8, os.O_RDONLY, dir_fd=here), here
            os.close(last)
        os.close(here)
        status, doc, said = b.json("old")
        kinds = faults(doc)
        front = "models--acme--tiny/"
        tap.eq((status, set(kinds.values())), (8, {"unsafe"}),
               "links out, pipes, deep folders: unsafe, and 8")
        tap.eq(sorted(k[len(front):] for k in kinds if k.startswith(front) and
                      "d" * 8 not in k),
               sorted([f"blobs/{'f' * 64}",
                       f"blobs/{foreign.git_sha1(b'secret' + bytes([10]))}",
                       "refs/pipe", f"snapshots/{COMMIT}/leak",
                       f"snapshots/{COMMIT}/root"]), "each is named")
        tap.ok("models--acme--away" in kinds, "a repository that is a link",
               kinds)
        tap.ok(not os.path.exists(b.snapshot("acme/link")) and
               not os.path.exists(b.snapshot("acme/away")), "is not followed")
        tap.eq(same(b.snapshot(), files), None, "the sound files are taken")
        tap.ok("secret" not in b.run("mlcache", "ls", "--json").stdout and
               not os.path.exists(os.path.join(b.snapshot(), "leak")),
               "and nothing from outside")
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files,
                                  listing=False)
        write(os.path.join(repo, f"trees/{COMMIT}.json"), b"")
        with open(os.path.join(repo, f"trees/{COMMIT}.json"), "wb") as f:
            f.truncate(10 << 30)
        status, doc, _ = b.json("old")
        tap.eq((status, faults(doc), doc["taken"]),
               (8, {f"models--acme--tiny/trees/{COMMIT}.json": "unsafe"}, 5),
               "a listing of 10 GiB is not read")
        write(os.path.join(repo, f"trees/{COMMIT}.json"), b"[" * 1_000_000)
        status, doc, _ = b.json("old")
        tap.eq((status, list(faults(doc).values()), doc["held"]),
               (6, ["damaged"], 5), "a million brackets are no listing")
    with Bench() as b:
        top = b.at("models")
        foreign.add_ollama(top, "a")
        path = os.path.join(top, "manifests/registry.ollama.ai/library/b/c")
        write(path, b"")
        with open(path, "wb") as f:
            f.truncate(10 << 30)
        os.mkfifo(os.path.join(top, "manifests/pipe"))
        status, doc, _ = b.json("--volume", "v", "models")
        tap.eq((status, sorted(faults(doc).values())), (8, ["unsafe"] * 2),
               "a manifest of 10 GiB, and a pipe")


# ---- usage ----

def test_usage(tap):
    with Bench() as b:
        foreign.add_ollama(b.at("models"), "a")
        os.mkdir(b.at("bare"))
        write(b.at("file"), b"x")
        for args, status, word, name in (
                (["models"], 2, "volume", "put files need a volume"),
                (["nowhere"], 3, "nowhere", "no such folder"),
                (["--volume", "v", "bare"], 3, "nothing", "an empty folder"),
                (["--volume", "v", "file"], 8, "not a folder", "a file"),
                (["--volume", "v", "--name", "../x", "models"], 8, "..",
                 "a name that leads out"),
                (["--volume", "v", "--name", "x", "models", "models"], 2,
                 "--name", "--name of two sources"),
                (["--volume", "models/in", "models"], 8, "lies in it",
                 "a volume in its own source"),
                (["--kind", "floppy", "models"], 2, "floppy",
                 "an unknown kind")):
            done = b.adopt(*args)
            tap.ok(done.returncode == status and word in done.stderr,
                   f"{name}: {status}", f"{done.returncode} {done.stderr}")
        b.adopt("--volume", "v", "models")
        for inside in ("vols/v", "vols/v/files", "vols"):
            done = b.adopt("--volume", "v", inside)
            tap.eq(done.returncode, 8, f"a volume does not adopt {inside}")
        before = sorted(os.listdir(b.dir))
        status, doc, said = b.json("--dry-run", "--volume", "new", "models")
        tap.eq((status, doc["taken"], sorted(os.listdir(b.dir)),
                os.path.exists(b.at("vols/new"))), (0, 7, before, False),
               "--dry-run says it, and makes nothing")
        files = foreign.model()
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        flip(foreign.blob_of(repo, "config.json"))
        status, doc, _ = b.json("-n", "old")
        tap.eq((status, doc["taken"], os.path.exists(b.at("hf"))),
               (6, 4, False), "--dry-run finds what is broken, too")


def main():
    tap = kit.Tap()
    test_hub(tap)
    test_layouts(tap)
    test_ollama(tap)
    test_folders(tap)
    test_broken_hub(tap)
    test_control(tap)
    test_broken_ollama(tap)
    test_broken_folder(tap)
    test_hostile(tap)
    test_usage(tap)
    tap.done()


if __name__ == "__main__":
    main()
