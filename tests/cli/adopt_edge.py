#!/usr/bin/env python3
"""mlcache adopt where two things meet: a move and who still writes, a removal
or a pull that did not end, one name for two contents, a place inside its
source, more repositories than open files, texts that only cost memory."""
import fcntl
import json
import mmap
import os
import resource
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from adopt import Bench, faults, foreign, kit, read, same  # noqa: E402
from foreign import COMMIT, OLDER  # noqa: E402
from pulling import noise, write  # noqa: E402

MIB = 1 << 20


# ---- a move takes away nothing that somebody still needs ----

def test_open_for_writing(tap):
    with Bench() as b:
        path = b.at("runs/step.pt")
        write(path, noise(5000, "a"))
        write(b.at("runs/done.pt"), noise(5000, "b"))
        with open(path, "r+b") as f:
            status, doc, said = b.json("--move", "--volume", "v", "runs")
            f.seek(0, os.SEEK_END)
            f.write(b"more")
        tap.ok(os.path.exists(path) and read(path).endswith(b"more"),
               "what a program is writing is not moved away")
        tap.eq((status, faults(doc)), (8, {"step.pt": "unfit"}),
               "and that is said")
        tap.ok(not os.path.exists(b.at("runs/done.pt")), "the rest is moved")
        status, doc, said = b.json("--move", "--volume", "v", "runs")
        tap.eq((status, doc["taken"], doc["removed"]), (0, 1, 1),
               "when it is written it is moved, too")


def test_mapped(tap):
    """Who writes through a mapping changes no times: he is asked before the
    file is read."""
    with Bench() as b:
        path = b.at("runs/a.pt")
        write(path, noise(MIB, "a"))
        write(b.at("other/b.pt"), b"b")
        b.adopt("--volume", "v", "other")
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                   "inject=fchmod:delay_enter=1500000",
                   kit.program("mlcache"), "adopt", "--link", "--volume", "v",
                   "runs"]
        with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[0] = m[0] ^ 1
            proc = subprocess.Popen(command, env=dict(
                b.env, ASAN_OPTIONS="detect_leaks=0"), cwd=b.dir, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(1)
            m[1] = m[1] ^ 1
        said = proc.communicate(timeout=60)
        if "strace" in said[1]:
            tap.skip("a writer with a mapping", "strace does not run here")
            return
        bad = b.run("mlcache", "verify", "--volume", "v")
        tap.ok(bad.returncode == 0, "what is linked is what was read, also "
               "beside a mapping", bad.stdout)
        tap.ok(proc.returncode == 8 and "open for writing" in said[0],
               "a mapping counts as open for writing", said)


def test_links_of_others(tap):
    """A snapshot that leads to the blob of another repository."""
    files = foreign.model()
    with Bench() as b:
        one = foreign.add_commit(b.at("old"), "acme/one", files)
        two = foreign.add_commit(b.at("old"), "acme/two", files)
        for name in files:
            entry = os.path.join(two, "snapshots", COMMIT, name)
            blob = foreign.blob_of(one, name)
            os.remove(entry)
            os.symlink(os.path.relpath(blob, os.path.dirname(entry)), entry)
        status, doc, _ = b.json("--move", "old/models--acme--two")
        tap.eq((status, same(b.snapshot("acme/two"), files)), (0, None),
               "links into another repository are read")
        tap.eq(same(os.path.join(one, "snapshots", COMMIT), files), None,
               "and a move leaves it whole")


def test_read_only(tap):
    with Bench() as b:
        write(b.at("runs/a/x.bin"), noise(5000, "x"))
        write(b.at("runs/y.bin"), noise(5000, "y"))
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
             "inject=unlinkat:error=EROFS", kit.program("mlcache"), "adopt",
             "--json", "--move", "--volume", "v", "runs"],
            env=dict(b.env, ASAN_OPTIONS="detect_leaks=0"), cwd=b.dir,
            capture_output=True, text=True)
        if not done.stdout and "strace" in done.stderr:
            tap.skip("a source that cannot be written", "no strace here")
            return
        doc = json.loads(done.stdout or '{"sources": [{}]}')["sources"][0]
        tap.eq((done.returncode, faults(doc), doc.get("taken")),
               (8, {"a/x.bin": "unmoved", "y.bin": "unmoved"}, 2),
               "a source that cannot be written: taken, and said of each")
        tap.ok("not moved: cannot be removed: Read-only file system" in
               done.stderr, "with the cause",
               done.stderr)


def test_in_use(tap):
    """One of our programs is reading the source's repository."""
    files = foreign.model()
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files)
        lease = b.at("old/.locks/models--acme--tiny/ml.lease")
        write(lease, b"")
        with open(lease, "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            done = b.adopt("--move", "old")
            tap.ok(done.returncode != 0 and "in use by" in done.stderr and
                   str(os.getpid()) in done.stderr,
                   "a repository in use is not moved away",
                   done.stdout + done.stderr)
            tap.eq(same(os.path.join(repo, "snapshots", COMMIT), files), None,
                   "and all of it is there")
            tap.eq(b.adopt("old").returncode, 0, "sharing it disturbs nobody")
        tap.eq(b.adopt("--move", "old").returncode, 0, "then it is moved")
        tap.ok(not os.path.exists(os.path.join(repo, "blobs")) and
               same(b.snapshot(), files) is None, "wholly")


def test_linked_blob(tap):
    """A blob of Ollama that is a link to another place of its store."""
    with Bench() as b:
        top = b.at("models")
        model = foreign.add_ollama(top, "a")["model"]
        os.makedirs(b.at("models/big"))
        os.rename(model, b.at("models/big/m.gguf"))
        os.symlink("../big/m.gguf", model)
        status, doc, _ = b.json("--move", "--volume", "v", "models")
        tap.eq((status, doc["taken"]), (0, 7), "a blob that is a link")
        tap.ok(os.path.exists(model), "leads somewhere after a move, too")


def test_volume(tap):
    """The files of a volume have their names in it, not in its folders."""
    with Bench() as b:
        write(b.at("runs/a.pt"), noise(5000, "a"))
        b.adopt("--volume", "v", "runs")
        before = sorted(os.listdir(b.at("vols/v")))
        done = b.adopt("--move", "--volume", "w", "vols/v")
        tap.ok(done.returncode == 8 and "is a volume" in done.stderr and
               "hint: " in done.stderr, "another volume is no folder", done)
        tap.eq((sorted(os.listdir(b.at("vols/v"))), os.path.exists(
            b.at("vols/w"))), (before, False), "and stays as it is")
        foreign.add_commit(b.at("vols/v/hub"), "acme/tiny", foreign.model())
        tap.eq(b.adopt("--volume", "w", "vols/v").returncode, 8,
               "also with repositories in it")
        tap.eq(b.adopt("--volume", "w", "vols/v/hub").returncode, 0,
               "its hub/ is a hub cache")


def test_identity(tap):
    """What a folder's name and a ref's say, and what is no repository's."""
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "gpt2", {"c.json": b"{}"})
        write(os.path.join(repo, "refs/refs/pr/1"), COMMIT.encode() + b"\n")
        write(os.path.join(repo, "refs/gone"), OLDER.encode())
        os.rename(repo, b.at("old/datasets--gpt2"))
        foreign.add_commit(b.at("old"), "a/b--c", {"c.json": b"{}"})
        status, doc, _ = b.json("old")
        tap.eq((status, faults(doc)), (8, {"models--a--b--c": "unsafe"}),
               "a name that no repository has is told")
        tap.eq([(s["type"], s["repository"]) for s in doc["adopted"]],
               [("dataset", "gpt2")], "a data set of one word")
        refs = b.at("hf/hub/datasets--gpt2/refs")
        tap.eq((read(os.path.join(refs, "refs/pr/1")),
                os.path.exists(os.path.join(refs, "gone"))),
               (COMMIT.encode(), False), "refs with slashes come, and none to "
               "a commit that is not there")
        done = b.adopt("--volume", "v", "/")
        tap.ok(done.returncode == 2 and "--name" in done.stderr,
               "a folder without a name needs one", done.stderr)


def test_log(tap):
    """What belongs together is one step of the volume's log."""
    with Bench() as b:
        foreign.add_ollama(b.at("models"), "a")
        foreign.add_ollama(b.at("models"), "b")
        b.adopt("--volume", "v", "models")
        done = b.run("mlfetch", "log", "v")
        tap.eq((done.returncode, done.stdout.count("adopt")), (0, 2),
               "two models are two steps")
        b.adopt("--volume", "v", "models")
        tap.eq(b.run("mlfetch", "log", "v").stdout, done.stdout,
               "what is held is none")
        write(b.at("bad/x.gguf"), b"")
        done = b.adopt("--volume", "w", "bad")
        tap.ok(done.returncode == 6 and "bad: 0 files, 0 B; 1 not taken" in
               done.stdout, "nor is nothing at all",
               done.stdout + done.stderr)


def test_one_name(tap):
    """Two layers that want one name: --force is not for them."""
    with Bench() as b:
        top = b.at("models")
        foreign.add_ollama(top, "a", layers=[("model", b"GGUF one"),
                                             ("model", b"GGUF two")])
        path = os.path.join(top, "manifests/registry.ollama.ai/library/a",
                            "latest")
        doc = json.loads(read(path))
        for layer in doc["layers"]:
            layer["name"] = "weights.bin"
        write(path, json.dumps(doc).encode())
        status, doc, _ = b.json("--move", "--force", "--volume", "v", "models")
        here = {read(os.path.join(d, n)) for root in (top, b.at("vols/v/files"))
                for d, _, names in os.walk(root) for n in names}
        tap.ok({b"GGUF one", b"GGUF two"} <= here,
               "two contents of one name: neither is lost")
        tap.eq((status, [f["kind"] for f in doc["broken"]]), (6, ["other"]),
               "the second is not taken")


def test_retargeted(tap):
    """The place holds another content in a plain file: it stays."""
    files = {"config.json": b'{"mine": 1}\n'}
    with Bench() as b:
        foreign.add_commit(b.at("hf/hub"), "acme/tiny", files, listing=False,
                           links=False)
        foreign.add_commit(b.at("old"), "acme/tiny",
                           {"config.json": b'{"them": 1}'}, listing=False)
        status, doc, _ = b.json("old")
        tap.eq(same(b.snapshot(), files), None,
               "an entry that is a plain file with other content stays")
        tap.eq((status, list(faults(doc).values())), (8, ["clash"]),
               "and that is said")


# ---- marks of a removal, of a pull ----

def test_removing(tap):
    files = foreign.model()
    with Bench() as b:
        mark = b.at("hf/hub/models--acme--tiny/ml/removing", COMMIT)
        write(mark, b"")
        os.utime(mark, (time.time() - 86400 * 3,) * 2)
        foreign.add_commit(b.at("old"), "acme/tiny", files, ref=None)
        b.adopt("--move", "old")
        b.run("mlcache", "gc", "--grace", "0")
        tap.eq(same(b.snapshot(), files), None, "a revision whose removal was "
               "killed has come back: gc leaves it")


def test_pulling(tap):
    files = {"config.json": b"{}\n", "a.bin": noise(5000, "a")}
    with Bench() as b:
        repo = foreign.add_commit(b.at("hf/hub"), "acme/tiny", files,
                                  listing=False, ref=None)
        mark = os.path.join(repo, "ml/pulling", COMMIT)
        write(mark, b"")
        foreign.add_commit(b.at("old"), "acme/tiny", {"config.json": b"{}\n"},
                           listing=False, ref=None)
        b.adopt("old")
        tap.ok(os.path.exists(mark), "an unfinished pull of the place stays "
               "one, whatever came from a part of it")
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny", files,
                                  listing=False)
        write(os.path.join(repo, "ml/pulling", COMMIT), b"")
        status, doc, _ = b.json("old")
        tap.eq((status, doc["taken"], list(faults(doc).values())),
               (6, 2, ["unfinished"]), "an unfinished pull of the source is "
               "told")
        done = b.run("mlcache", "path", f"acme/tiny@{COMMIT}")
        tap.ok(done.returncode != 0, "and is one here, too",
               done.stdout + done.stderr)


# ---- never too much of the machine ----

def test_many_repositories(tap):
    with Bench() as b:
        for i in range(80):
            foreign.add_commit(b.at("old"), f"acme/m{i}", {"c.json": b"%d" % i})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        done = b.run("mlcache", "adopt", "--json", "old", preexec_fn=few)
        doc = json.loads(done.stdout or '{"sources": [{}]}')["sources"][0]
        tap.eq((done.returncode, doc.get("taken")), (0, 80),
               "more repositories than open files" + done.stderr)

        def fewer():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        done = b.run("mlcache", "adopt", "old", preexec_fn=fewer)
        tap.ok(done.returncode == 1 and "ulimit -n" in done.stderr,
               "where that cannot be: it says so", done.stderr)


def peak(b, *args):
    """MiB that it took, or None."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    b.adopt(*args)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(before, after) / 1024


def test_memory(tap):
    if "asan" in kit.BUILD or os.environ.get("ASAN_OPTIONS"):
        tap.skip("memory", "the sanitizer takes its own")
        return
    with Bench() as b:
        repo = foreign.add_commit(b.at("old"), "acme/tiny",
                                  foreign.model(size=1000), listing=False)
        write(os.path.join(repo, f"trees/{COMMIT}.json"),
              b"[" + b"0," * (30 * MIB) + b"0]")
        top = b.at("models")
        foreign.add_ollama(top, "a")
        write(os.path.join(top, "manifests/registry.ollama.ai/library/b/c"),
              b"[" + b"0," * (4 * MIB - 8) + b"0]")
        got = peak(b, "--volume", "v", "models")
        tap.ok(got < 250, f"a manifest of nothing but zeros: {got:.0f} MiB")
        got = peak(b, "old")
        tap.ok(got < 250, f"a listing of nothing but zeros: {got:.0f} MiB")


def test_dry_run(tap):
    """Nothing is changed by a dry run, neither times nor modes."""
    def looked(root):
        return {p: (os.lstat(p).st_mtime_ns, os.lstat(p).st_ctime_ns,
                    stat.S_IMODE(os.lstat(p).st_mode))
                for d, dirs, names in os.walk(root)
                for p in [d, *(os.path.join(d, n) for n in names)]}
    with Bench() as b:
        foreign.add_commit(b.at("src/old"), "acme/tiny", foreign.model())
        foreign.add_ollama(b.at("src/models"), "a")
        before = looked(b.at("src"))
        for how in ([], ["--move"], ["--link"], ["--copy"]):
            b.adopt("--dry-run", *how, "src/old")
            b.adopt("--dry-run", *how, "--volume", "v", "src/models")
        tap.eq(looked(b.at("src")) == before, True, "a dry run changes neither "
               "times nor modes")
        tap.ok(not os.path.exists(b.at("hf")) and
               not os.path.exists(b.at("vols")), "and makes no place")


def main():
    tap = kit.Tap()
    test_open_for_writing(tap)
    test_mapped(tap)
    test_links_of_others(tap)
    test_read_only(tap)
    test_in_use(tap)
    test_linked_blob(tap)
    test_volume(tap)
    test_identity(tap)
    test_log(tap)
    test_one_name(tap)
    test_retargeted(tap)
    test_removing(tap)
    test_pulling(tap)
    test_many_repositories(tap)
    test_memory(tap)
    test_dry_run(tap)
    tap.done()


if __name__ == "__main__":
    main()
