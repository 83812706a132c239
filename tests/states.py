"""What is there before a command and after it: the table of commands of
inject.py and of cuts.py, and who looks for what is wrong."""
import collections
import hashlib
import json
import os
import shutil
import subprocess

import kit
from pulling import noise, write

SMALL = {"config.json": b'{"a": 1}\n', "sub/tok.json": b"[]\n", "empty": b""}
TINY = dict(SMALL, **{"model.bin": noise(90_000, "tiny")})
NEXT = dict(SMALL, **{"model.bin": noise(50_000, "next"),
                      "more.json": b"{}\n"})
OLD, NEW, KEPT, DEAD = (noise(n, str(n)) for n in
                        (70_000, 80_001, 3_000, 5_000))
PUTS = {"a": OLD, "d/kept": KEPT, "d/gone": DEAD}
# weights that pack better when they are grouped: of two bytes one is alike
WEIGHTS = bytes(b for x in noise(600_000, "weights") for b in (x, 60))
HELD = {"acme/two@main": TINY, "acme/two@v2": NEXT}

Row = collections.namedtuple(
    "Row", "name args puts repos files damage tidy",
    defaults=({}, {}, {}, False, False))
# name    as it is shown
# args    the words; {vol}, {new}, {src} ... stand for folders, {dead} of a
#         repository that is held
# puts    put names that become other bytes, or None: gone
# repos   the same of "org/name@revision", with all its files
# files   the same of files outside, below {home}; a text names another file
# damage  a blob is damaged before: until it is repaired, links may lead
#         to it, or nowhere
# tidy    it leaves nothing dead: there is no dead content after it
ROWS = [
    Row("put, a new name", ["mlfetch", "put", "{vol}", "{src}/new.bin", "n"],
        puts={"n": NEW}),
    Row("put, another content", ["mlfetch", "put", "-f", "{vol}",
                                 "{src}/new.bin", "a"], puts={"a": NEW}),
    Row("put, a folder", ["mlfetch", "put", "{vol}", "{src}/folder", "f"],
        puts={"f/x": b"x\n", "f/s/y": b"y\n", "f/kept": KEPT}),
    Row("put, a new volume", ["mlfetch", "put", "{other}", "{src}/new.bin",
                              "n"]),
    Row("adopt, linked", ["mlcache", "adopt", "--volume", "{vol}",
                          "{src}/folder"],
        puts={"folder/x": b"x\n", "folder/s/y": b"y\n",
              "folder/kept": KEPT}),
    Row("adopt, copied", ["mlcache", "adopt", "--volume", "{vol}", "--copy",
                          "{src}/folder"],
        puts={"folder/x": b"x\n", "folder/s/y": b"y\n",
              "folder/kept": KEPT}),
    Row("get", ["mlfetch", "get", "-f", "{vol}", "a", "{home}/out.bin"],
        files={"out.bin": OLD}),
    Row("pull", ["mlfetch", "pull", "acme/tiny"],
        repos={"acme/tiny@main": TINY}),
    Row("rm of names", ["mlfetch", "rm", "-r", "{vol}", "a", "d"],
        puts={"a": None, "d/kept": None}),
    Row("mv of a folder", ["mlfetch", "mv", "{vol}", "d", "a", "e/"],
        puts={"a": None, "d/kept": None, "e/a": OLD, "e/d/kept": KEPT}),
    Row("cp over a name", ["mlfetch", "cp", "-f", "{vol}", "d/kept", "a"],
        puts={"a": KEPT}),
    Row("rollback", ["mlfetch", "rollback", "{vol}", "0"],
        puts={"a": None, "d/kept": None}),
    Row("rm of a put file", ["mlcache", "rm", "--yes", "{vol}:a"],
        puts={"a": None}, tidy=True),
    Row("rm of a revision", ["mlcache", "rm", "--yes", "acme/two@v2"],
        repos={"acme/two@v2": None}),
    Row("rm of a repository", ["mlcache", "rm", "--yes", "acme/two"],
        repos={"acme/two@main": None, "acme/two@v2": None}),
    Row("gc of a volume", ["mlcache", "gc", "--grace", "0", "--volume",
                           "{vol}"], tidy=True),
    Row("gc of a hub cache", ["mlcache", "gc", "--grace", "0"], tidy=True),
    Row("export", ["mlcache", "export", "-f", "{home}/out.tar.zst",
                   "acme/two@main"], files={"out.tar.zst": "src/two.tar.zst"}),
    Row("import", ["mlcache", "import", "{src}/tiny.tar.zst"],
        repos={"acme/tiny@main": TINY}),
    Row("import into a volume", ["mlcache", "import", "-f", "--volume",
                                 "{vol}", "{src}/vol.tar.zst"],
        puts={"a": NEW, "f/x": b"x\n", "f/s/y": b"y\n", "f/kept": KEPT}),
    Row("import, grouped", ["mlcache", "import", "--volume", "{vol}",
                            "{src}/grouped.tar.zst"], puts={"w": WEIGHTS}),
    Row("verify --repair", ["mlcache", "verify", "--repair"], damage=True),
]

def scratch():
    """Syncs cost nothing in memory, and prove nothing here anyway."""
    if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK):
        os.environ.setdefault("TMPDIR", "/dev/shm")
    return kit.scratch()


def repositories(data):
    """For the test hub; their files lie below data."""
    for name, files in (("tiny", TINY), ("next", NEXT)):
        for path, content in files.items():
            write(os.path.join(data, name, path), content)
    return {"acme/tiny": {"dir": os.path.join(data, "tiny")},
            "acme/two": {"dir": os.path.join(data, "tiny"),
                         "branches": {"main": None, "v2": "2" * 40},
                         "revisions": {"v2": {
                             "dir": os.path.join(data, "next")}}}}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def below(root):
    return sorted(os.path.join(d, n) for d, _, names in os.walk(root)
                  for n in names)


class Place:
    """A home with a volume and a hub cache, made once and copied."""

    def __init__(self, url, home):
        self.home = home
        self.vol = os.path.join(home, "vol")
        self.hub = os.path.join(home, "hf/hub")
        self.env = kit.clean_env(home, HF_ENDPOINT=url)
        self.words = {"home": home, "vol": self.vol,
                      "src": os.path.join(home, "src"),
                      "other": os.path.join(home, "other")}

    def filled(self, args):
        args = [a.format(**self.words) for a in args]
        return [kit.program(args[0]), *args[1:]]

    def run(self, args, front=(), **env):
        return subprocess.run(
            [*front, *self.filled(args)],
            env=dict(self.env, **env), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120)

    def repo(self, name):
        return os.path.join(self.hub, "models--" + name.replace("/", "--"))

    def make(self):
        for name, data in (("new.bin", NEW), ("folder/x", b"x\n"),
                           ("folder/s/y", b"y\n"), ("folder/kept", KEPT),
                           ("a", OLD)):
            write(os.path.join(self.home, "src", name), data)
        for name, data in PUTS.items():
            write(os.path.join(self.home, "src/one"), data)
            self.run(["mlfetch", "put", "{vol}", "{src}/one", name])
        for name in HELD:
            self.run(["mlfetch", "pull", name])
        self.pack()
        # what gc is for: content and blobs without a name, what kills left
        for part in ("names/d/gone.json", "files/d/gone"):
            os.unlink(os.path.join(self.vol, part))
        write(os.path.join(self.vol, "tmp/content.1.tmp"), b"left")
        sha = hashlib.sha256(DEAD).hexdigest()
        write(os.path.join(self.repo("acme/two"), "blobs", sha), DEAD)
        write(os.path.join(self.repo("acme/two"), "ml/x.tmp"), b"left")

    def pack(self):
        """Archives of what is held elsewhere."""
        away = os.path.join(self.home, "away")
        hub = {"HF_HUB_CACHE": os.path.join(away, "hub")}
        vol = os.path.join(away, "vol")
        self.run(["mlfetch", "pull", "acme/tiny"], **hub)
        self.run(["mlcache", "export", "{src}/tiny.tar.zst", "acme/tiny"],
                 **hub)
        self.run(["mlcache", "export", "{src}/two.tar.zst", "acme/two@main"])
        self.run(["mlfetch", "put", vol, "{src}/new.bin", "a"])
        self.run(["mlfetch", "put", vol, "{src}/folder", "f"])
        self.run(["mlcache", "export", "{src}/vol.tar.zst", "--volume", vol,
                  "a", "f"])
        write(os.path.join(away, "w"), WEIGHTS)
        self.run(["mlfetch", "put", vol, os.path.join(away, "w")])
        done = self.run(["mlcache", "export", "{src}/grouped.tar.zst",
                         "--group", "--json", "--volume", vol, "w"])
        if '"grouped": 1' not in done.stdout:
            raise RuntimeError(f"nothing is grouped: {done.stdout}"
                               f"{done.stderr}")
        shutil.rmtree(away)

    def damage(self):
        path = os.path.join(self.repo("acme/two"), "blobs",
                            hashlib.sha256(TINY["model.bin"]).hexdigest())
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.write(b"?")
        os.chmod(path, 0o444)


BEFORE = {n: d for n, d in PUTS.items() if d is not DEAD}


def store_wrong(vol):
    for path in below(os.path.join(vol, "store")):
        if hashlib.sha256(read(path)).hexdigest() != os.path.basename(path):
            yield f"{path} is not its name"


def names_of(vol):
    """name -> SHA-256: what the log says counts, also where names/ could not
    follow it yet."""
    if not os.path.exists(os.path.join(vol, "ml-volume.json")):
        return {}
    done = subprocess.run([kit.program("mlfetch"), "ls", vol, "--json"],
                          capture_output=True, text=True, timeout=60)
    if done.returncode != 0 or done.stderr:
        raise OSError(done.stderr)
    return {f["name"]: f["sha256"] for f in json.loads(done.stdout)["files"]}


def volume_wrong(vol, allowed):
    """Names of a volume that mean neither the old bytes nor the new."""
    yield from store_wrong(vol)
    found = {}
    for path in below(os.path.join(vol, "names")):
        try:
            json.loads(read(path))
        except ValueError as problem:
            yield f"{path}: {problem}"
    for name, sha in names_of(vol).items():
        try:
            found[name] = read(os.path.join(vol, "store/sha256", sha[:2],
                                            sha))
        except OSError as problem:
            yield f"{name} leads nowhere: {problem}"
            found[name] = None
    for name in set(found) | set(allowed):
        if found.get(name) not in allowed.get(name, (None,)):
            yield f"'{name}' is neither old nor new"
    top = os.path.join(vol, "files")
    for path in below(top):
        name = os.path.relpath(path, top)
        if not os.path.exists(path):
            yield f"files/{name} leads nowhere"
        elif read(path) not in allowed.get(name, ()):
            yield f"files/{name} is neither old nor new"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def blob_wrong(path):
    data = read(path)
    name = os.path.basename(path)
    want = hashlib.sha256(data).hexdigest() if len(name) == 64 \
        else git_sha1(data)
    return want != name


def tree(folder, lost_is_fine):
    """name -> bytes of a snapshot; a link to nowhere is None, or left out."""
    found = {}
    for path in below(folder):
        name = os.path.relpath(path, folder)
        if os.path.exists(path):
            found[name] = read(path)
        elif not lost_is_fine:
            found[name] = None
    return found


def repo_wrong(repo, allowed, damaged):
    """allowed: for each revision, the sets of files it may have."""
    blobs = os.path.join(repo, "blobs")
    for path in below(blobs):
        if "." not in os.path.basename(path) and blob_wrong(path) and \
                not damaged:
            yield f"{path} is not its name"
    commits = {}
    snapshots = os.path.join(repo, "snapshots")
    for commit in os.listdir(snapshots) if os.path.isdir(snapshots) else []:
        commits[commit] = tree(os.path.join(snapshots, commit), damaged)
    every = [files for sets in allowed.values() for files in sets if files]
    for commit, files in commits.items():
        # while it is being pulled a snapshot has a part of its files
        if not any(set(files.items()) <= set(full.items())
                   for full in every) and not damaged:
            yield f"{commit}: a file of it is neither old nor new"
    for rev, sets in allowed.items():
        ref = os.path.join(repo, "refs", rev)
        files = None
        if os.path.exists(ref):
            files = commits.get(read(ref).decode())
            if files is None:
                yield f"refs/{rev} names nothing"
        if files not in sets and not damaged:
            yield f"{rev} is there in part"


def allowed_of(row, done):
    """What each name may mean: the old or the new; done: the new alone."""
    puts = {n: {d, row.puts.get(n, d)} for n, d in BEFORE.items()}
    for name, data in row.puts.items():
        puts[name] = {data} if done else puts.get(name, {None}) | {data}
    repos = {}
    for full, files in {**HELD, **{k: None for k in row.repos
                                   if k not in HELD}}.items():
        name, _, rev = full.partition("@")
        new = row.repos.get(full, files)
        repos.setdefault(name, {})[rev] = [new] if done else [files, new]
    return puts, repos


def wrong(place, row, done=False, repaired=False):
    """The first thing that is not as it may be, or None."""
    puts, repos = allowed_of(row, done)
    for bad in volume_wrong(place.vol, puts):
        return bad
    for name, allowed in repos.items():
        for bad in repo_wrong(place.repo(name), allowed,
                              row.damage and not repaired):
            return f"{name}: {bad}"
    for name, data in row.files.items():
        path = os.path.join(place.home, name)
        if isinstance(data, str):
            data = read(os.path.join(place.home, data))
        if (read(path) if os.path.exists(path) else None) not in \
                ([data] if done else [None, data]):
            return f"{path} is there in part"
    other = place.words["other"]
    if "{other}" in row.args:
        for bad in volume_wrong(other, {"n": {NEW} if done else {None, NEW}}):
            return bad
    return None


def litter(place):
    """What nothing leads to after gc."""
    vol, found = place.vol, []
    live = set(names_of(vol).values())
    for part in ("store", "tmp", "trash"):
        found += [p for p in below(os.path.join(vol, part))
                  if os.path.basename(p) not in live]
    for path in below(place.hub):
        name = os.path.relpath(path, place.hub)
        if "/ml/trash" in name or ".tmp" in name or \
                ".incomplete" in name:
            found.append(path)
    return [p for p in found if "ml/used" not in p]


def again(place, row, what):
    """The same once more, and then the state that was wanted; None, or what
    is wrong."""
    done = place.run(row.args)
    fine = (0, 3) if row.args[1] in ("rm", "mv") else (0,)
    if done.returncode not in fine:
        return f"{what}; and again: status {done.returncode}: " \
               f"{done.stderr.strip()}"
    # status 3: what was to go is gone; a collector clears up after it
    bad = done.returncode == 0 and wrong(place, row, True, True)
    if bad:
        return f"{what}; and again, yet {bad}"
    for where in (["--volume", "{vol}"], []):
        done = place.run(["mlcache", "gc", "--grace", "0", *where])
        if done.returncode != 0:
            return f"{what}; and gc: {done.stderr.strip()}"
    left = litter(place)
    if left:
        return f"{what}; and gc leaves {left}"
    bad = wrong(place, row, True, True)
    return bad and f"{what}; and after gc {bad}"
