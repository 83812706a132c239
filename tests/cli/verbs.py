#!/usr/bin/env python3
"""mlfetch volume, put, rm, mv, cp, log, diff and rollback: what they do, what
they print, what they refuse, and with which status."""
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

MIB = 1 << 20


class Bench:
    def __init__(self):
        self.dir = kit.scratch()
        self.env = kit.clean_env(self.dir, MLFETCH_VOLUMES=self.at("volumes"))

    def at(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def run(self, *args, **more):
        return kit.run(["mlfetch", *args], self.env, cwd=self.dir, **more)

    def cache(self, *args):
        return kit.run(["mlcache", *args], self.env, cwd=self.dir)

    def raw(self, *args):
        """Arguments as bytes: (status, stdout, stderr), all bytes."""
        done = subprocess.run([kit.program("mlfetch"), *args], env=self.env,
                              cwd=self.dir, stdin=subprocess.DEVNULL,
                              capture_output=True)
        return done.returncode, done.stdout, done.stderr

    def doc(self, *args):
        done = self.run(*args, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else \
            {"failed": done.stderr}

    def names(self, volume):
        """Name -> SHA-256, as ls has it."""
        return {f["name"]: f["sha256"]
                for f in self.doc("ls", volume).get("files", [])}

    def start(self, *args):
        return subprocess.Popen([kit.program("mlfetch"), *args], env=self.env,
                                cwd=self.dir, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def close(self):
        shutil.rmtree(self.dir)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def same_as_log(b, volume):
    """What all steps of the log come to; None when that is what ls says."""
    state = {}
    for step in reversed(b.doc("log", volume)["steps"]):
        for c in step["changes"]:
            before = c["before"] and c["before"]["sha256"]
            if state.get(c["name"]) != before:
                return f"step {step['step']}: {c['name']} was something else"
            state[c["name"]] = c["after"] and c["after"]["sha256"]
    state = {k: v for k, v in state.items() if v}
    return None if state == b.names(volume) else f"{state} {b.names(volume)}"


def run7(b):
    for name in ("x", "sub/y", "sub/z"):
        b.write("run7/" + name, name.encode())


def test_volumes(tap, b):
    done = b.run("volume", "create", "v")
    tap.eq((done.returncode, done.stdout, b.names("v")),
           (0, b.at("volumes/v") + "\n", {}), "volume create prints its path")
    tap.eq(b.doc("log", "v"), {"volume": b.at("volumes/v"), "steps": []},
           "an empty volume has an empty log")
    done = b.run("volume", "create", "v")
    tap.ok(done.returncode == 2 and "there is a volume" in done.stderr,
           "one that is there is told", done.stderr)
    b.write("one", b"1" * 1000)
    b.run("put", "v", "one")
    b.run("put", "v", "one", "two")
    tap.eq(b.doc("volume", "create", "./by-path"), {"path": "./by-path"},
           "by path, --json")
    tap.eq(b.doc("volume", "ls"),
           {"volumes": [{"name": "v", "path": b.at("volumes/v"), "files": 2,
                         "bytes": 2000, "repositories": 0}]},
           "volume ls --json: those below MLFETCH_VOLUMES")
    rows = b.run("volume", "list").stdout.splitlines()
    tap.eq([r.split() for r in rows],
           [["NAME", "FILES", "SIZE", "REPOSITORIES"],
            ["v", "2", "2.00", "kB", "0"]], "volume list is a table")
    os.mkdir(b.at("volumes/no-volume"))
    os.mkdir(b.at("volumes/.hidden"))
    tap.eq(len(b.doc("volume", "ls")["volumes"]), 1, "of volumes alone")
    for args, status in ((["volume"], 2), (["volume", "none"], 2),
                         (["volume", "create"], 2), (["volume", "ls", "v"], 2),
                         (["volume", "ls", "--yes"], 2),
                         (["volume", "rm", "nowhere"], 3),
                         (["volume", "rm", "nowhere", "--yes"], 3),
                         (["volume", "create", "s3://b/p"], 2)):
        done = b.run(*args)
        tap.ok(done.returncode == status and done.stdout == "" and
               done.stderr.startswith("mlfetch: error: "),
               f"{' '.join(args)}: status {status}", done.stderr)


def test_volume_rm(tap, b):
    done = b.run("volume", "rm", "v")
    tap.ok(done.returncode == 2 and "--yes" in done.stderr and
           len(b.names("v")) == 2,
           "volume rm: nobody can be asked, nothing is done", done.stderr)
    b.write("volumes/v/notes.txt", b"mine")
    done = b.run("volume", "rm", "v", "--yes")
    tap.ok(done.returncode == 8 and "notes.txt" in done.stderr and
           len(b.names("v")) == 2,
           "one with a file that is not its own is refused", done.stderr)
    os.remove(b.at("volumes/v/notes.txt"))
    with open(b.at("volumes/v/lease"), "rb") as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        done = b.run("volume", "rm", "v", "--yes")
        tap.ok(done.returncode == 1 and str(os.getpid()) in done.stderr and
               len(b.names("v")) == 2, "one in use, naming who", done.stderr)
    os.symlink("v", b.at("volumes/link"))
    done = b.run("volume", "rm", "link", "--yes")
    tap.ok(done.returncode == 8 and len(b.names("v")) == 2,
           "a link to one is not followed", done.stderr)
    os.remove(b.at("volumes/link"))
    pins = "volumes/v/hub/models--acme--m/ml/pins/" + "a" * 40
    b.write(pins, b"")
    done = b.run("volume", "rm", "v", "--yes")
    tap.ok(done.returncode == 8 and "acme/m" in done.stderr and
           "unpin" in done.stderr and len(b.names("v")) == 2,
           "one with a pinned revision", done.stderr)
    shutil.rmtree(b.at("volumes/v/hub"))
    os.makedirs(b.at("volumes/.ml-gone.0123456789abcdef.tmp/store"))
    tap.eq(b.doc("volume", "rm", "v", "--yes"),
           {"path": b.at("volumes/v"), "removed": True}, "--yes removes it")
    tap.eq(sorted(os.listdir(b.at("volumes"))), [".hidden", "no-volume"],
           "all of it, and what a killed one left")
    tap.eq(b.run("ls", "v").returncode, 3, "then there is none")
    done = b.run("volume", "rm", "./by-path")
    tap.eq((done.returncode, os.path.exists(b.at("by-path"))), (0, False),
           "an empty one goes without asking")
    done = b.run("volume", "rm", "./volumes/no-volume", "--yes")
    tap.ok(done.returncode == 3 and "no volume" in done.stderr and
           "mlfetch volume ls" in done.stderr and
           "mlfetch put" not in done.stderr,
           "a folder that is no volume stays; how to find one is said",
           done.stderr)
    done = b.run("ls", "nowhere")
    tap.ok(done.returncode == 3 and "volume ls" in done.stderr and
           "mlfetch put" in done.stderr, "ls of no volume says both ways",
           done.stderr)
    shutil.rmtree(b.at("volumes"))


def test_put(tap, b):
    data = random.randbytes(3 * MIB)
    b.write("a.pt", data)
    doc = b.doc("put", "v", "a.pt")
    tap.eq(doc, {"volume": b.at("volumes/v"), "step": 1, "files": [
        {"name": "a.pt", "size": len(data), "sha256": sha(data),
         "copied": True}]}, "put --json")
    again = b.doc("put", "v", "a.pt")
    tap.eq((again["step"], again["files"][0]["copied"]), (None, False),
           "the same once more: no step, nothing copied")
    second = b.doc("put", "v", "a.pt", "twin")
    tap.eq((second["step"], second["files"][0]["copied"]), (2, False),
           "known bytes under a new name are not copied")
    b.write("a.pt", b"other")
    done = b.run("put", "v", "a.pt")
    tap.ok(done.returncode == 2 and "-f" in done.stderr and
           done.stdout == "" and b.names("v")["a.pt"] == sha(data),
           "other content under a name that is taken is refused", done.stderr)
    b.write("a.pt", random.randbytes(len(data)))
    tap.eq(b.run("put", "v", "a.pt").returncode, 2, "of the same size, too")
    run7(b)
    b.run("put", "v", "run7/x", "run7/sub/y")
    done = b.run("put", "v", "run7")
    tap.ok(done.returncode == 2 and "run7/x" not in b.names("v"),
           "one of a folder's: none of it is put", done.stderr)
    done = b.run("put", "-f", "v", "run7")
    tap.ok(done.returncode == 0 and done.stdout ==
           "run7/sub/y\nrun7/sub/z\nrun7/x\n", "-f replaces", done.stderr)
    last = b.doc("log", "v", "-n", "1")["steps"][0]
    tap.eq([(c["name"], c["before"] is None) for c in last["changes"]],
           [("run7/sub/y", False), ("run7/sub/z", True), ("run7/x", True)],
           "a folder is one step")
    events = b.run("put", "v", "a.pt", "fresh", "--progress", "json").stderr
    events = [json.loads(s) for s in events.splitlines()]
    tap.ok(any(e.get("done") == len(data) for e in events),
           "--progress json tells of the bytes", events[-1:])
    tap.eq(same_as_log(b, "v"), None, "the log comes to what is there")


def test_modal(tap, b):
    """modal volume put VOLUME LOCAL [REMOTE], get VOLUME REMOTE [LOCAL]."""
    b.write("final_model.pt", b"weights")
    tap.eq(b.run("put", "quantum", "final_model.pt", "runs/").stdout,
           "runs/final_model.pt\n", "put V LOCAL REMOTE/")
    tap.eq(b.run("get", "quantum", "runs/final_model.pt", "-").stdout,
           "weights", "get V REMOTE -")
    tap.eq(b.run("cp", "quantum", "runs/final_model.pt", "best").returncode, 0,
           "cp V FROM TO")
    tap.eq(b.run("rm", "-r", "quantum", "runs").stdout,
           "runs/final_model.pt\n", "rm -r V REMOTE")
    tap.eq(list(b.names("quantum")), ["best"], "ls V --json")


def test_moves(tap, b):
    shutil.rmtree(b.at("volumes"))
    run7(b)
    b.write("a", b"a")
    b.write("b", b"b")
    for args in (["put", "v", "a"], ["put", "v", "b"], ["put", "v", "run7"]):
        b.run(*args)
    before = b.names("v")
    done = b.run("mv", "v", "a", "c")
    tap.eq((done.returncode, done.stdout), (0, "c\n"), "mv prints new names")
    tap.eq(sorted(b.names("v")),
           ["b", "c", "run7/sub/y", "run7/sub/z", "run7/x"], "a file")
    tap.ok(not os.path.exists(b.at("volumes/v/files/a")) and
           os.path.exists(b.at("volumes/v/files/c")), "in the view, too")
    b.run("mv", "v", "run7", "b", "kept/")
    tap.eq(sorted(b.names("v")),
           ["c", "kept/b", "kept/run7/sub/y", "kept/run7/sub/z",
            "kept/run7/x"], "several into a folder, a folder among them")
    tap.eq(b.run("mv", "v", "kept/run7", "/").returncode, 0, "to the top")
    b.run("mv", "v", "run7/sub", "deep/er")
    tap.eq(sorted(b.names("v")),
           ["c", "deep/er/y", "deep/er/z", "kept/b", "run7/x"],
           "a folder to another name")
    b.run("mv", "v", "c", "kept")
    tap.ok("kept/c" in b.names("v"), "into a folder that is there")
    b.run("mv", "v", "deep/er", "kept/b", "/")
    done = b.run("cp", "v", "er", "er2")
    tap.ok(done.returncode == 2 and "-r" in done.stderr,
           "cp of a folder wants -r", done.stderr)
    tap.eq(b.run("cp", "-r", "v", "er", "er2").stdout, "er2/y\ner2/z\n",
           "and has it")
    doc = b.doc("cp", "v", "er/y", "er2/y")
    tap.eq((doc["step"], doc["changes"]), (None, []),
           "a copy that is there already is no step")
    tap.eq(set(b.names("v").values()), set(before.values()), "nothing is lost")
    done = b.run("cp", "v", "er/y", "er/z")
    tap.ok(done.returncode == 2 and "-f" in done.stderr,
           "other content is not replaced", done.stderr)
    tap.eq(b.run("cp", "-f", "v", "er/y", "er/z").returncode, 0, "but with -f")
    state, steps = b.names("v"), len(b.doc("log", "v")["steps"])
    for args, status in ((["mv", "v", "none", "x"], 3),
                         (["mv", "v", "er", "er/in"], 2),
                         (["cp", "-r", "v", "er", "er/in"], 2),
                         (["mv", "v", "er/y", "er/y"], 2),
                         (["mv", "v", "er/y", "er2/y", "b"], 2),
                         (["mv", "v", "er/y", "b/"], 2),
                         (["mv", "v", "er/y", "b/in"], 8),
                         (["mv", "v", "er/y", "er2/y", "both/"], 0),
                         (["rm", "v", "er2"], 2), (["rm", "v", "none"], 3),
                         (["rm", "v", "b", "none"], 3),
                         (["mv", "v", "b"], 2), (["rm", "v"], 2),
                         (["rm", "nowhere", "a"], 3)):
        done = b.run(*args)
        tap.ok(done.returncode == status and
               (status == 0 or (done.stdout == "" and
                                b.names("v") == state)),
               f"{' '.join(args)}: status {status}", done.stderr)
        if status == 0:
            state, steps = b.names("v"), steps + 1
    tap.eq(len(b.doc("log", "v")["steps"]), steps,
           "what was refused is no step")
    tap.eq(b.run("rm", "-r", "v", "er2", "b").stdout, "b\ner2/z\n",
           "rm prints names")
    tap.eq(same_as_log(b, "v"), None, "the log comes to what is there")
    tap.ok(not os.path.exists(b.at("volumes/v/names/er2")) and
           not os.path.exists(b.at("volumes/v/files/er2")),
           "no empty folder is left")


def test_past(tap, b):
    shutil.rmtree(b.at("volumes"))
    run7(b)
    b.write("a", b"first")
    points = [{}]

    def step(*args):
        done = b.run(*args)
        points.append(b.names("v"))
        return done

    step("put", "v", "a")
    step("put", "v", "run7")
    b.write("a", b"the second")
    step("put", "-f", "v", "a")
    step("mv", "v", "run7", "r")
    step("rm", "v", "a")
    rows = b.run("log", "v").stdout.splitlines()
    tap.ok(rows[0].split() == ["STEP", "DATE", "WHO", "WHAT", "FILES"] and
           [r.split()[0] for r in rows[1:]] == ["5", "4", "3", "2", "1"],
           "log is a table, the newest first", rows)
    tap.ok(rows[1].endswith("  rm    -a") and rows[3].endswith("  put   ~a"),
           "with what was done to which files", rows)
    tap.eq(rows[2].split("  ")[-1], "+r/sub/y, +r/sub/z, +r/x and 3 more",
           "three of them by name")
    log = b.doc("log", "v")["steps"]
    user = subprocess.run(["id", "-un"], capture_output=True,
                          text=True).stdout.strip()
    tap.ok(all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", s["date"]) and
               s["who"].startswith(user) for s in log), "when and who", log[0])
    tap.eq([s["step"] for s in b.doc("log", "v", "a")["steps"]], [5, 3, 1],
           "log of one file")
    tap.eq([s["step"] for s in b.doc("log", "v", "run7/")["steps"]], [4, 2],
           "of a folder")
    bad = []
    for x, old in enumerate(points):
        for y, new in enumerate(points):
            want = [(n, old.get(n), new.get(n))
                    for n in sorted(set(old) | set(new))
                    if old.get(n) != new.get(n)]
            got = [(c["name"], c["before"] and c["before"]["sha256"],
                    c["after"] and c["after"]["sha256"])
                   for c in b.doc("diff", "v", str(x), str(y))["changes"]]
            if got != want:
                bad.append((x, y, got, want))
    tap.eq(bad, [], "diff of every two points")
    tap.eq(b.run("diff", "v", "2").stdout,
           "- a  5 B\n+ r/sub/y  5 B\n+ r/sub/z  5 B\n+ r/x  1 B\n"
           "- run7/sub/y  5 B\n- run7/sub/z  5 B\n- run7/x  1 B\n",
           "diff as lines, to now")
    tap.eq(b.run("diff", "v", "1", "3").stdout.splitlines()[0],
           "~ a  5 B -> 10 B", "other content")
    tap.eq((b.run("diff", "v", "1970-01-01").stdout,
            b.run("diff", "v", "2100-01-01T00:00").stdout),
           (b.run("diff", "v", "0").stdout, ""), "times are points, too")
    bad = []
    for x, old in enumerate(list(points)):
        done = step("rollback", "v", str(x))
        if b.names("v") != old or done.returncode:
            bad.append((x, done.stderr))
    tap.eq(bad, [], "rollback to every point")
    tap.eq(b.doc("log", "v", "-n", "1")["steps"][0]["what"], "rollback 5",
           "is a step of the log")
    done = b.run("rollback", "v", "3", "a")
    tap.eq((done.stdout, b.run("get", "v", "a", "-").stdout),
           ("+ a  10 B\n", "the second"), "of one file alone")
    tap.eq(b.doc("rollback", "v", "3", "a")["step"], None,
           "nothing to do is no step")
    for args, status in ((["diff", "v"], 2), (["diff", "v", "x"], 2),
                         (["diff", "v", "-5"], 2), (["diff", "v", "99"], 3),
                         (["diff", "v", "1", "99"], 3),
                         (["diff", "v", "18446744073709551617"], 2),
                         (["rollback", "v", "99"], 3),
                         (["rollback", "v", "3", "none"], 3),
                         (["rollback", "nowhere", "3"], 3),
                         (["log", "nowhere"], 3), (["diff", "nowhere", "0"], 3),
                         (["log", "v", "-n", "0"], 2)):
        done = b.run(*args)
        tap.ok(done.returncode == status and done.stdout == "",
               f"{' '.join(args)}: status {status}", done.stderr)
    tap.eq(same_as_log(b, "v"), None, "the log comes to what is there")


def test_kept(tap, b):
    """What is taken out can be brought back until gc has collected it."""
    shutil.rmtree(b.at("volumes"))
    b.write("a", b"first" * 1000)
    b.run("put", "v", "a")
    b.write("a", b"second" * 1000)
    b.run("put", "-f", "v", "a")
    b.run("rm", "v", "a")
    # a view of hard links gives content a new age when a name goes
    os.system(f"find {b.at('volumes/v/store')} -type f -exec touch {{}} +")
    b.cache("gc", "--volume", "v")
    for point, text in (("1", "first"), ("2", "second")):
        done = b.run("rollback", "v", point)
        tap.eq((done.returncode, b.run("get", "v", "a", "-").stdout),
               (0, text * 1000), f"gc leaves what step {point} needs")
    shown = b.doc("log", "v")["steps"]
    b.cache("gc", "--volume", "v", "--grace", "0")
    done = b.run("rollback", "v", "1")
    tap.ok(done.returncode == 3 and "'a'" in done.stderr and
           "mlcache gc" in done.stderr and
           b.run("get", "v", "a", "-").stdout == "second" * 1000,
           "what gc has collected cannot come back, and nothing changes",
           done.stderr)
    tap.eq(b.doc("log", "v")["steps"], shown, "the list itself stays")
    b.write("b", b"third" * 1000)
    b.run("put", "v", "b")
    store = b.at("volumes/v/store")
    count = lambda: sum(len(f) for _, _, f in os.walk(store))
    before = count()
    b.cache("rm", "v:b", "--yes")
    tap.eq((before, count()), (2, 1), "mlcache rm frees the bytes at once")
    last = b.doc("log", "v", "-n", "1")["steps"][0]
    tap.eq((last["what"], last["changes"][0]["name"]), ("remove", "b"),
           "and is a step, too")
    b.write("b", b"fourth" * 1000)
    b.run("put", "v", "b")
    b.run("cp", "v", "b", "c")
    b.run("rm", "v", "b")
    b.cache("rm", "v:c", "--yes")
    done = b.run("rollback", "v", str(b.doc("log", "v")["steps"][2]["step"]),
                 "b")
    tap.ok(done.returncode == 0, "mlcache rm leaves what another name can "
           "have back", done.stderr)
    tap.eq(same_as_log(b, "v"), None, "the log comes to what is there")


HOSTILE = [b"../x", b"/tmp/x", b"a/../../x", b"a\\b", b"a/./b", b"a\nb", b".",
           b"..", b"a//b", b"\x1b[2Jx", b"\x7f", b"n" * 256, b"C:x",
           b"d/" * 600 + b"x"]


def test_full_log(tap, b):
    """A log as long as it may be, most of it a hole."""
    b.run("put", "full", "one")
    log, end = b.at("volumes/full/log"), b"\ndone 1 2da3cae8dc200d14\n"
    with open(log, "r+b") as f:
        f.seek((1 << 30) - len(end))
        f.write(end)
    done = b.run("put", "full", "one", "two")
    hint = done.stderr.partition("hint: ")[2]
    tap.ok(done.returncode == 8 and "1024 MiB" in done.stderr and
           log in hint and sorted(b.names("full")) == ["one"],
           "a log of 1 GiB takes no step, and a hint says what to do",
           done.stderr)
    os.rename(log, b.at("log.1"))
    tap.ok(b.run("put", "full", "one", "two").returncode == 0 and
           sorted(b.names("full")) == ["one", "two"] and
           len(b.doc("log", "full")["steps"]) == 1,
           "which works: a new log begins, and the names are what they were")
    b.run("volume", "rm", "full", "--yes")
    os.remove(b.at("log.1"))


def test_hostile(tap, b):
    b.write("m", b"m")
    shutil.rmtree(b.at("volumes"))
    b.run("put", "v", "m")
    outside = sorted(os.listdir(b.dir))
    bad = []
    for name in HOSTILE:
        for args in ([b"put", b"v", b"m", name], [b"get", b"v", name, b"-"],
                     [b"rm", b"v", name], [b"rm", b"-r", b"v", name],
                     [b"mv", b"v", b"m", name], [b"mv", b"v", name, b"x"],
                     [b"cp", b"v", b"m", name], [b"log", b"v", name],
                     [b"rollback", b"v", b"1", name]):
            status, out, said = b.raw(*args)
            if status != 8 or out or b"\x1b" in said or \
                    b"\nb" in said.replace(b"\nhint", b""):
                bad.append((args, status, said))
    tap.eq(bad, [], f"{len(HOSTILE)} names are refused by every command, and "
           "shown without control characters")
    tap.eq((list(b.names("v")), sorted(os.listdir(b.dir)),
            len(b.doc("log", "v")["steps"])), (["m"], outside, 1),
           "nothing has changed")
    for name in (b"-r", b"-", b"a b", b"%41", b"x\t"[:1], b"\xff\xfe",
                 "ünï/ço∂é".encode(), b"n" * 250, b"d" * 255 + b"/f",
                 b"=", b"step 1", b"ab:c"):
        got = [b.raw(b"put", b"v", b"--", b"m", name)[0],
               b.raw(b"mv", b"v", b"--", name, b"t")[0],
               b.raw(b"mv", b"v", b"--", b"t", name)[0],
               b.raw(b"cp", b"v", b"--", name, b"t")[0],
               b.raw(b"get", b"v", b"--", name, b"-")[:2],
               b.raw(b"rm", b"v", b"--", b"t")[0],
               b.raw(b"rm", b"v", b"--", name)[0],
               b.raw(b"log", b"v", b"--", name)[0]]
        tap.eq(got, [0, 0, 0, 0, (0, b"m"), 0, 0, 0],
               f"the name {name[:20]!r} goes through all of them")
    tap.eq(same_as_log(b, "v"), None, "the log comes to what is there")
    done = b.run("log", "v", "nobody")
    tap.ok(done.returncode == 3 and "never was" in done.stderr,
           "the log of a name that never was", done.stderr)


def test_no_such_file(tap, b):
    """Names that the file system cannot have, and a log that has one."""
    b.write("m", b"m")
    long = "p" * 250 + ".json"
    done = b.run("put", "nf", "m", long + "/x")
    tap.ok(done.returncode == 8 and long + "/x'" in done.stderr and
           b.names("nf") == {}, "a name that cannot be kept is refused before "
           "its step", done.stderr)
    b.run("put", "nf", "m", "a")
    tap.eq([b.run(*a).returncode for a in (
        ("mv", "nf", "a", long + "/x"), ("cp", "nf", "a", long + "/x"),
        ("put", "nf", "m", "p" * 255 + "/x"), ("put", "nf", "m", "b"))],
           [8, 8, 0, 0], "by mv and cp, too, and the volume goes on")
    tap.eq(same_as_log(b, "nf"), None, "the log comes to what is there")
    body = f"\t{long}/x\t-\t{sha(b'm')}:1:1\n"
    head = f"step 4 1 put x@y 1 {len(body)} "
    with open(b.at("volumes/nf/log"), "ab") as f:
        f.write((head + sha((head + body).encode())[:16] + "\n" + body)
                .encode())
    done = b.run("put", "nf", "m", "c")
    tap.ok(done.returncode == 0 and "left alone" in done.stderr and
           "c" in b.names("nf"),
           "a step that leads to one does not end all writing", done.stderr)


NO_LINKS = "#include <errno.h>\n" + "".join(
    f"int {call} {{ errno = EPERM; return -1; }}\n" for call in (
        "link(const char *a, const char *b)",
        "symlink(const char *a, const char *b)"))


def test_no_links(tap, b):
    source, lib = b.write("nolinks.c", NO_LINKS.encode()), b.at("nolinks.so")
    built = subprocess.run(["cc", "-w", "-shared", "-fPIC", "-o", lib, source],
                           check=False)
    if built.returncode != 0 or "asan" in kit.program("mlfetch"):
        tap.skip("a file system without links", "no compiler, or a sanitizer")
        return
    b.write("m", b"m")
    b.env["LD_PRELOAD"] = lib
    try:
        said = [b.run(*a) for a in (("put", "nl", "m", "a"),
                                    ("put", "nl", "m", "b"),
                                    ("cp", "-r", "nl", "a", "b", "d/"),
                                    ("rollback", "nl", "2"))]
        tap.eq([(d.returncode, d.stderr.count("has no links")) for d in said],
               [(0, 1), (0, 1), (0, 1), (0, 0)],
               "where there are no links, a step says so once")
        with open(b.at("volumes/nl/log"), encoding="utf-8") as f:
            tap.ok(f.read().splitlines()[-1].startswith("done 4 "),
                   "and is not done again by the next one")
        tap.eq((b.run("get", "nl", "b", "-").stdout, same_as_log(b, "nl")),
               ("m", None), "the files are there by name")
    finally:
        del b.env["LD_PRELOAD"]


def test_clash(tap, b):
    """A file a and files a.json/... side by side."""
    run7(b)
    names = ["k", "k.json/x", "k.json+/x", "k.json/y.json/z", "k.json/y"]
    for i, name in enumerate(names):
        b.write("m", b"%d" % i)
        b.run("put", "w", "m", name)
    tap.eq([b.run("get", "w", n, "-").stdout for n in names],
           list("01234"), "a file k and folders k.json, k.json+")
    tap.eq(sorted(b.names("w")), sorted(names), "all are listed")
    tap.eq(sorted(f["name"] for f in b.doc("ls", "w", "k.json")["files"]),
           sorted(names[i] for i in (1, 3, 4)), "the folder k.json")
    b.run("mv", "w", "k.json", "j")
    tap.eq(b.run("get", "w", "j/y.json/z", "-").stdout, "3", "it can be moved")
    tap.eq(b.run("rm", "-r", "w", "j", "k", "k.json+").returncode, 0,
           "and removed")
    tap.eq(os.listdir(b.at("volumes/w/names")), [], "with its folders")
    done = b.run("put", "w", "m", "x/y")
    done = b.run("put", "w", "m", "x")
    tap.ok(done.returncode == 8 and "folder" in done.stderr,
           "a name cannot be a folder and a file", done.stderr)


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    return what()


def stopped_put(b, *args):
    """A put that has been stopped while it copies."""
    tmp = b.at("volumes/two/tmp")
    proc = b.start("put", *args)
    wait_for(lambda: os.path.isdir(tmp) and
             any(n.startswith("content") for n in os.listdir(tmp)))
    proc.send_signal(signal.SIGSTOP)
    return proc


def test_two_writers(tap, b):
    b.write("large", random.randbytes(200 * MIB))
    b.write("small", b"small")
    b.run("volume", "create", "two")
    for force in ([], ["-f"]):
        shutil.rmtree(b.at("volumes/two"))
        b.run("volume", "create", "two")
        slow = stopped_put(b, *force, "two", "large", "k")
        quick = b.run("put", *force, "two", "small", "k")
        slow.send_signal(signal.SIGCONT)
        said = slow.communicate()[1]
        tap.eq((quick.returncode, slow.returncode,
                b.run("get", "two", "k", "-").stdout), (0, 1, "small"),
               f"two puts {' '.join(force)} of one name: one wins")
        tap.ok("'k' was put by another process" in said and
               len(b.doc("log", "two")["steps"]) == 1,
               "and the other is told", said)
    slow = stopped_put(b, "-f", "two", "large", "k")
    gone = b.run("rm", "two", "k")
    slow.send_signal(signal.SIGCONT)
    said = slow.communicate()[1]
    tap.ok(gone.returncode == 0 and slow.returncode == 1 and
           "removed by another" in said, "so is one whose name went", said)
    slow = stopped_put(b, "two", "large", "k")
    other = b.run("put", "two", "small", "else")
    slow.send_signal(signal.SIGCONT)
    slow.communicate()
    tap.eq((other.returncode, slow.returncode, len(b.names("two"))), (0, 0, 2),
           "puts of two names do not disturb each other")
    os.remove(b.at("large"))


def test_conversions(tap, b):
    """A put checkpoint runs in its own converted form, not in another's, nor
    in one that was made before there was a config."""
    model = os.path.join(kit.ROOT, "tests/model/tiny-neox")

    def run(program, *args):
        return kit.run([program, *args], b.env, cwd=b.dir)

    def runs(name):
        return run("mlverify-run", name, "-n", "1", "--prompt", "a")
    b.run("put", "conv", os.path.join(model, "pytorch_model.bin"), "m.pt")
    bare = run("mlconvert", "--fp16", "conv:m.pt")
    done = runs("conv:m.pt")
    tap.ok(bare.returncode == 0 and done.returncode == 3 and
           "config.json" in done.stderr.partition("hint: ")[2] and
           "mlfetch put" in done.stderr, "without a config: what to do",
           done.stderr)
    for name in ("config.json", "tokenizer.json"):
        b.run("put", "conv", os.path.join(model, name))
    done = runs("conv:m.pt")
    tap.eq(done.returncode, 0, "which helps, though it was converted before")
    tap.ok("using the converted form" not in done.stderr,
           "in the form without a config it is not run", done.stderr)
    own = run("mlconvert", "--fp16", "conv:m.pt").stdout.strip()
    done = runs("conv:m.pt")
    tap.ok(own != bare.stdout.strip() and own in done.stderr and
           done.returncode == 0, "in its new form it is", done.stderr)
    b.run("put", "conv", os.path.join(
        kit.ROOT, "tests/fixtures/torch/nanogpt.pt"), "other/n.pt")
    other = run("mlconvert", "--fp16", "conv:other/n.pt").stdout.strip()
    done = runs("conv:m.pt")
    tap.ok(other not in ("", own) and own in done.stderr and
           other not in done.stderr and done.returncode == 0,
           "and not in another's, which is newer", done.stderr)
    b.run("put", "-f", "conv", os.path.join(
        kit.ROOT, "tests/fixtures/torch/nanogpt.pt"), "m.pt")
    done = runs("conv:m.pt")
    tap.ok(own not in done.stderr, "nor, put anew, in what it was made of "
           "before", done.stderr)


def test_model(tap, b):
    """A checkpoint that was put is converted, checked and run by its name."""
    model = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    b.run("put", "models", model, "tiny")
    done = kit.run(["mlconvert", "--fp16", "models:tiny", "-o", "half"], b.env,
                   cwd=b.dir)
    tap.ok(done.returncode == 0, "mlconvert --fp16 VOLUME:NAME -o OUT, a "
           "folder", done.stderr)
    done = kit.run(["mlverify-run", "models:tiny", "-n", "2", "--prompt", "a",
                    "--json"], b.env, cwd=b.dir)
    tap.ok(done.returncode == 0 and json.loads(done.stdout)["ok"],
           "mlverify-run VOLUME:NAME", done.stderr)
    b.run("mv", "models", "tiny", "runs/")
    done = kit.run(["mlverify-run", "models:runs/tiny", "-n", "2", "--prompt",
                    "a"], b.env, cwd=b.dir)
    tap.ok(done.returncode == 0, "and by the name that mv gave it",
           done.stderr)
    found = [os.path.join(d, f) for d, _, fs in os.walk(
        os.path.join(kit.ROOT, "tests/fixtures/torch")) for f in fs
        if f.endswith((".pt", ".bin", ".pth"))]
    for path in sorted(found)[:50]:
        done = kit.run(["mlconvert", "--fp16", "-o", b.at("direct"), path],
                       b.env)
        shutil.rmtree(b.at("direct"), ignore_errors=True)
        if done.returncode == 0:
            break
    b.run("put", "models", path, "final_model.pt")
    said = [kit.run(["mlverify-run", name, "-n", "1", "--prompt", "a"], b.env,
                    cwd=b.dir) for name in (path, "models:final_model.pt")]
    tap.eq((said[1].returncode, said[1].stderr.replace(
        b.at("volumes/models/files"), os.path.dirname(path))),
           (said[0].returncode, said[0].stderr),
           "mlverify-run VOLUME:final_model.pt reads what its path does")
    done = kit.run(["mlconvert", "--fp16", "models:final_model.pt"], b.env,
                   cwd=b.dir)
    tap.ok(done.returncode == 0 and
           os.path.exists(os.path.join(done.stdout.strip(),
                                       "model.safetensors")),
           f"mlconvert --fp16 VOLUME:final_model.pt ({os.path.basename(path)})",
           done.stderr)
    done = kit.run(["mlverify-run", "models:final_model.pt", "-n", "1"], b.env,
                   cwd=b.dir)
    tap.ok("using the converted form" in done.stderr,
           "which mlverify-run takes from then on", done.stderr)


def main():
    tap, b = kit.Tap(), Bench()
    random.seed(7)
    try:
        for test in (test_volumes, test_volume_rm, test_put, test_modal,
                     test_moves, test_past, test_kept, test_full_log,
                     test_hostile, test_no_such_file, test_no_links,
                     test_clash, test_two_writers, test_model,
                     test_conversions):
            test(tap, b)
    finally:
        b.close()
    tap.done()


if __name__ == "__main__":
    main()
