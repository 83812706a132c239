#!/usr/bin/env python3
"""mlverify scan: what a pickle asks for is listed and judged, whatever holds
it, and also when it breaks off."""
import glob
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

FIXTURES = os.path.join(kit.ROOT, "tests/fixtures")
# pickled modules: their classes are code of somebody's, and are told
PROGRAMS = {"script.pt", "traced.pt", "frozen.pt"}
MODULES = {"whole-module.pt", "whole-module-legacy.pt"}
EVIL = b"cos\nsystem\nX\x02\x00\x00\x00id\x85R"


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)

    def write(self, name, data):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def scan(self, *args):
        """(status, document of the first target, what was said)"""
        done = kit.run(["mlverify", "scan", "--json", *args], self.env,
                       errors="replace")
        said = f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        try:
            return done.returncode, json.loads(done.stdout)["targets"][0], said
        except (ValueError, KeyError, IndexError):
            return done.returncode, {"names": [], "checks": []}, said

    def expect(self, path, status, what, bad=(), *args):
        """Status, and exactly these names as the ones that decide it."""
        got, doc, said = self.scan(*args, path)
        names = sorted({n["name"] for n in doc["names"] if not n["ok"]})
        self.tap.ok(got == status and names == sorted(bad), what, said)
        return doc


def test_fixtures(b):
    wrong, modules, programs = [], 0, 0
    files = sorted(glob.glob(FIXTURES + "/torch/*.*t") +
                   glob.glob(FIXTURES + "/torch/**/*.bin", recursive=True) +
                   glob.glob(FIXTURES + "/llama/**/*.bin", recursive=True) +
                   glob.glob(kit.ROOT + "/tests/model/**/*.bin",
                             recursive=True))
    for path in files:
        status, doc, said = b.scan(path)
        if os.path.basename(path) in MODULES:
            modules += status == 8
        elif os.path.basename(path) in PROGRAMS:
            programs += status == 8 and "code" in said
        elif status != 0 or not doc["names"]:
            wrong.append(said)
    b.tap.ok(len(files) > 35 and not wrong,
             f"{len(files)} honest files are clean", "\n".join(wrong))
    b.tap.eq(modules, len(MODULES), "pickled modules ask for their classes")
    b.tap.eq(programs, len(PROGRAMS), "the code of programs is not judged")
    for folder in sorted(glob.glob(FIXTURES + "/llama/*/")):
        b.expect(folder, 0, f"a folder: {os.path.basename(folder[:-1])}")


def test_list(b):
    path = os.path.join(FIXTURES, "torch/whole-module.pt")
    doc = b.expect(path, 8, "a pickled module", ["__main__.Layer",
                                                 "__main__.Two"])
    rows = {n["name"]: n for n in doc["names"]}
    two, storage = rows["__main__.Two"], rows["torch.FloatStorage"]
    b.tap.ok(two["use"] == "called" and two["verdict"] == "unknown" and
             two["pickle"] == "whole-module/data.pkl" and two["offset"] == 2 and
             two["file"] == "whole-module.pt", "each with its place", two)
    b.tap.ok(storage["verdict"] == "data" and storage["ok"], "data are data",
             storage)
    b.expect(path, 0, "the user vouches for both", [], "--allow",
             "__main__.Layer", "--allow", "__main__.Two")
    b.expect(path, 8, "or for one", ["__main__.Two"], "--allow",
             "__main__.Layer")
    b.expect(path, 8, "a prefix vouches for nothing",
             ["__main__.Layer", "__main__.Two"], "--allow", "__main__")
    legacy = os.path.join(FIXTURES, "torch/whole-module-legacy.pt")
    doc = b.expect(legacy, 8, "the class behind a persistent id",
                   ["__main__.Layer", "__main__.Two"])
    b.tap.ok(all(n["pickle"].startswith("pickle 4 at byte ")
                 for n in doc["names"]), "the pickle of a legacy stream", doc)
    done = kit.run(["mlverify", "scan", path], b.env)
    b.tap.ok(any(line.split()[:3] == ["unknown", "called", "__main__.Two"]
                 for line in done.stdout.splitlines()) and
             "NOT ok" in done.stdout and "__main__.Two" in done.stderr and
             "hint: " in done.stderr, "as text", done.stdout + done.stderr)


def test_links(b):
    """What a loader would follow is looked into, or said."""
    b.write("links/outside/evil.pkl", b"\x80\x02" + EVIL + b".")
    b.write("links/model/fine.pkl", b"\x80\x02N.")
    os.makedirs(os.path.join(b.home, "links/model/inner"))
    path = os.path.join(b.home, "links/model")
    os.symlink("inner", os.path.join(path, "again"))
    b.expect(path, 0, "a link to a folder of the same target")
    os.symlink("../outside", os.path.join(path, "more"))
    b.expect(path, 8, "a link to a folder elsewhere", [])


def test_judgement(b):
    def pkl(name, code):
        return b.write(f"j/{name}.pkl", b"\x80\x02" + code)

    b.expect(pkl("evil", EVIL + b"."), 8, "os.system", ["os.system"])
    b.expect(pkl("named", b"cos\nsystem\n."), 8, "only named, and that is "
             "enough", ["os.system"])
    b.expect(pkl("class", b"cmy.module\nThing\n."), 0, "a class only named")
    b.expect(pkl("made", b"cmy.module\nThing\n)R."), 8, "and made",
             ["my.module.Thing"])
    b.expect(pkl("submodule", b"ccollections.evil\nOrderedDict\n)R."), 8,
             "a name that looks like an allowed one",
             ["collections.evil.OrderedDict"])
    # _reconstructor(cls, base, state) calls base.__init__
    b.expect(pkl("reach", b"ccopy_reg\n_reconstructor\ncmy.a\nA\ncmy.b\nB\n"
                 b"X\x01\x00\x00\x00x\x87R."), 8,
             "what an allowed function may call", ["my.a.A", "my.b.B"])
    b.expect(pkl("rewrite", b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00a"
                 b"cmy.b\nB\nsb."), 8, "an allowed class that is rewritten",
             ["collections.OrderedDict", "my.b.B"])
    # torch calls the class of a storage
    b.expect(pkl("storage", b"(X\x07\x00\x00\x00storagecmy.b\nB\nX\x01\x00"
                 b"\x00\x000X\x03\x00\x00\x00cpuK\x06tQ."), 8,
             "the class in a persistent id", ["my.b.B"])
    b.expect(pkl("second", b"N." + b"\x80\x02" + EVIL + b"."), 8,
             "a second pickle behind the first", ["os.system"])
    for i, tail in enumerate((b"", b"\xff", b"X\xff\xff\xff\x7f", b"h\x09",
                              b"0000.")):
        b.expect(pkl(f"tail{i}", EVIL + tail), 8, f"a broken tail, {tail!r}",
                 ["os.system"])
    got, doc, said = b.scan(pkl("broken", b"N\xff"))
    b.tap.ok(got == 8 and any(c["result"] == "fail" for c in doc["checks"]),
             "a broken pickle is not clean, even without a name", said)
    whole = b"\x80\x02" + EVIL + b"0cmy.b\nB\n)R."
    call = whole.index(b"R") + 1
    wrong = []
    for cut in range(len(whole)):
        got, doc, said = b.scan(b.write("j/cut.pkl", whole[:cut]))
        names = {n["name"]: n["use"] for n in doc["names"]}
        if got != 8 or (cut >= call and names.get("os.system") != "called"):
            wrong.append(f"{cut}: {said}")
    b.tap.ok(not wrong, f"cut at each of {len(whole)} bytes: never clean, and "
             "a call that was made is told", "\n".join(wrong))
    name = b"a\x1b[31m"
    done = kit.run(["mlverify", "scan", pkl("escape", b"\x80\x04\x8c\x01m\x8c" +
                    bytes([len(name)]) + name + b"\x93.")], b.env)
    b.tap.ok("\x1b" not in done.stdout + done.stderr and done.returncode == 8,
             "control characters do not reach the terminal", done.stdout)


# Python calls the method that an object is asked for by name, and finds an
# attribute: each of these prints when it is loaded, and calls only what is
# allowed as far as the opcodes tell
NAMESPACE = b"cargparse\nNamespace\n)R"
HELD = {
    "append": NAMESPACE + b"}S'append'\ncbuiltins\nprint\nsbS'ran'\na.",
    "setstate": NAMESPACE + b"}S'__setstate__'\ncbuiltins\nprint\nsb"
                b"S'ran'\nb.",
    "mapping": b"ccollections\nOrderedDict\n)R}S'__setstate__'\ncbuiltins\n"
               b"print\nsbS'ran'\nb.",
    "slots": NAMESPACE + b"N}S'append'\ncbuiltins\nprint\ns\x86bS'ran'\na.",
    "keys": b"cbuiltins\ndict\n" + NAMESPACE +
            b"}S'keys'\ncbuiltins\nprint\nsb\x85R.",
    "unseen": NAMESPACE + b"cbuiltins\ndict\n(S'append'\ncbuiltins\nprint\n"
              b"\x86t\x85RbS'ran'\na.",
}
# What no limit of the reader may hide: Python reads on
BEYOND = {
    "memo": b"Nr\x00\x00\x10\x000",
    "protocol": b"\x80\x00",
    "hex": b"I0x10\n0",
    "index": b"Np 5\n0",
    "integer": b"\x8b\x00\x08\x00\x00" + b"\x01" * 2048 + b"0",
    "items": b"]K\x01aK\x00K\x02s0",
    "bytearray": b"\x96" + bytes(8) + b"K\x01a0",
    "state": b"]Nb0",
    "computed": b"cbuiltins\nstr\n(C\x08builtinsX\x05\x00\x00\x00asciitRX"
                b"\x05\x00\x00\x00print\x93S'ran'\n\x85R0",
    "arguments": b"cbuiltins\nstr\ncbuiltins\ntuple\n}S'a'\nNs\x85RR0",
}


def loads(path):
    """What Python prints when it loads the file."""
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    return subprocess.run([sys.executable, "-c", code, path], text=True,
                          capture_output=True, check=False).stdout


def test_held(b):
    for name, code in HELD.items():
        path = b.write(f"held/{name}.pkl", b"\x80\x04" + code)
        ran = loads(path)
        status, doc, said = b.scan(path)
        bad = [n["name"] for n in doc["names"] if not n["ok"]]
        b.tap.ok(ran and status == 8 and bad == ["builtins.print"],
                 f"a function as an attribute: {name}", f"{ran!r}\n{said}")
    b.expect(b.write("held/honest.pkl", b"\x80\x04" + NAMESPACE + b"}S'a'\nc"
                     b"builtins\nlist\nsb0cmy.b\nB\n."), 0,
             "an allowed class as an attribute")
    b.expect(b.write("held/who.pkl", b"\x80\x04cbuiltins\ntuple\n}S'module'\n"
                     b"NscmyB\nB\nNs\x85RQ)R."), 8,
             "a call of nobody knows what", ["myB.B"])


def test_beyond(b):
    tail = b"cbuiltins\nprint\nS'ran'\n\x85R."
    for name, code in BEYOND.items():
        # eight bytes and a brace are how a safetensors file begins
        code = b"X\x04\x01\x00\x00\x00\x00\x00{" + b" " * 256 + b"0" + code
        path = b.write(f"beyond/{name}.pt", code + tail)
        other = b.write(f"folder/{name}/weights.bin", code + tail)
        ran = loads(path)
        for where in path, os.path.dirname(other):
            status, _, said = b.scan(where)
            b.tap.ok("ran" in ran and status == 8,
                     f"a limit of the reader hides no call: {name}",
                     f"{ran!r}\n{said}")
    shutil.rmtree(os.path.join(b.home, "folder"))


def archive(records, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in records:
            z.writestr(name, data)
    return out.getvalue()


def polyglot():
    """A safetensors file that is a pickle, too: its length reads as the text
    opcode, short texts lead over the header to its data."""
    data = b"0" + EVIL + b"."
    front = b'{"__metadata__":{"k":"'
    tail = b'"},"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (
        len(data), len(data))
    size = 256 * 40 + ord("X")
    at, end = 5 + 40, 8 + size
    text = front + b"_" * (at - 8 - len(front))
    while end - at > 250:
        text += b"U~" + b"_" * 126
        at += 128
    text += b"U" + bytes([end - at - 2 - 102]) + b"_" * (end - at - 104)
    text += b"Ud" + b"_" * (100 - len(tail)) + tail
    both = size.to_bytes(8, "little") + text + data
    assert len(text) == size and json.loads(text)
    return both


def names_in(data):
    """What Python's own unpickler asks for, before anything is called."""
    asked = []

    class Finder(pickle.Unpickler):
        def find_class(self, module, name):
            asked.append(f"{module}.{name}")
            return lambda *args: None

    try:
        Finder(io.BytesIO(data)).load()
    except Exception:  # whatever: the names are there by then
        pass
    return asked


def test_archives(b):
    evil = b"\x80\x02" + EVIL + b"."
    whole = archive([("m/data.pkl", b"\x80\x02N."), ("m/version", b"3\n"),
                     ("m/more/constants.pkl", evil)])
    doc = b.expect(b.write("z/a.pt", whole), 8, "every pickle of an archive",
                   ["os.system"])
    b.tap.eq([n["pickle"] for n in doc["names"]], ["m/more/constants.pkl"],
             "named by its record")
    for cut in (len(whole) - 1, len(whole) - 30, whole.index(b"PK\1\2")):
        b.expect(b.write("z/cut.pt", whole[:cut]), 8,
                 f"an archive cut at byte {cut} of {len(whole)}",
                 ["os.system"])
    twice = archive([("m/data.pkl", b"\x80\x02N."), ("m/data.pkx", evil)])
    b.expect(b.write("z/twice.pt", twice.replace(b"data.pkx", b"data.pkl")), 8,
             "two records of one name", ["os.system"])
    packed = archive([("m/data.pkl", evil * 50)], zipfile.ZIP_DEFLATED)
    b.expect(b.write("z/packed.pt", packed), 8, "a compressed pickle is not "
             "clean")
    b.expect(b.write("z/none.pt", archive([("m/x", b"x")])), 8,
             "an archive without a pickle is no answer")
    code = archive([("m/data.pkl", b"\x80\x02N."), ("m/code/a.py", b"x")])
    b.expect(b.write("z/code.pt", code), 8, "program code is not judged")
    inner = archive([("m/data.pkl", b"\x80\x02N."),
                     ("m/data/inputs/model.pt", evil)])
    b.expect(b.write("z/inner.pt2", inner), 8, "nor is a file in the file")
    both = polyglot()
    b.tap.eq(names_in(both), ["os.system"], "Python agrees that it is one")
    b.expect(b.write("z/poly.safetensors", both), 8,
             "a safetensors file that runs as a pickle", ["os.system"])
    with open(os.path.join(FIXTURES, "llama/safetensors/model.safetensors"),
              "rb") as f:
        b.write("f/model.safetensors", f.read())
    b.write("f/config.json", b"{}")
    b.write("f/notes.txt", b"csome words\nthat begin like a pickle\n")
    b.expect(os.path.join(b.home, "f"), 0, "prose beside the weights")
    b.write("f/sub/training_args.bin", evil)
    doc = b.expect(os.path.join(b.home, "f"), 8, "a pickle in a folder below",
                   ["os.system"])
    b.tap.eq([n["file"] for n in doc["names"]], ["sub/training_args.bin"],
             "named by its path")
    b.write("g/optimizer.dat", b"cos\nsystem\n(S'id'\ntR.")
    b.expect(os.path.join(b.home, "g"), 8, "text that calls something",
             ["os.system"])
    os.mkdir(os.path.join(b.home, "e"))
    got, _, said = b.scan(os.path.join(b.home, "e"))
    b.tap.ok(got == 3, "an empty folder is no answer", said)
    got, _, said = b.scan(os.path.join(b.home, "nothing"))
    b.tap.ok(got == 3, "nothing there", said)


def test_python(b):
    """Honest pickles of every protocol, made by Python itself."""
    import argparse
    import collections
    import datetime
    import pathlib
    value = {"a": [1, 2.5, None, b"x", "é"], "t": (1,), "s": {1, 2},
             "o": collections.OrderedDict(x=1), "n": argparse.Namespace(y=2),
             "d": datetime.datetime(2020, 1, 2), "p": pathlib.PurePosixPath("a"),
             "c": collections.Counter("aab"), "z": 1j}
    for protocol in range(6):
        b.expect(b.write(f"y/{protocol}.pkl", pickle.dumps(value, protocol)),
                 0, f"protocol {protocol}")
    for protocol in range(6):
        data = pickle.dumps(subprocess.Popen, protocol)
        # the protocols of Python 2 call its module so
        module = "subprocess" if protocol > 2 else "commands"
        b.expect(b.write(f"y/b{protocol}.pkl", data), 8,
                 f"subprocess.Popen named at protocol {protocol}",
                 [module + ".Popen"])


def test_hostile(b):
    folder = os.path.join(b.home, "corpus")
    subprocess.run([sys.executable, FIXTURES + "/make_hostile.py", folder],
                   check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "index.json"), encoding="utf-8") as f:
        rows = json.load(f)
    missed, odd, live = [], [], 0
    for row in rows:
        status, doc, said = b.scan(os.path.join(folder, row["file"]))
        if status not in (0, 3, 6, 8):
            odd.append(f"{row['file']}: {said}")
        if row["live"]:
            live += 1
            if status != 8 or all(n["ok"] for n in doc["names"]):
                missed.append(f"{row['file']}: {said}")
    b.tap.ok(live > 30 and not missed, f"{live} files that run code when Python "
             "loads them: each is refused, its call is named",
             "\n".join(missed))
    b.tap.ok(not odd, f"{len(rows)} hostile files: no crash", "\n".join(odd))
    b.tap.eq(os.listdir(os.path.join(folder, "canary"))
             if os.path.isdir(os.path.join(folder, "canary")) else [], [],
             "nothing was executed")


def main():
    tap = kit.Tap()
    b = Bench(tap)
    for test in (test_fixtures, test_list, test_links, test_judgement,
                 test_held, test_beyond, test_archives, test_python,
                 test_hostile):
        test(b)
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
