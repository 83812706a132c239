#!/usr/bin/env python3
"""mlfetch pull against the test hub: what it asks for, as whom, and what it
says and leaves when the Hub refuses."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (MIB, ODD, World, fails, gets, good, kit,  # noqa: E402
                     make_model, noise, shimmed, write)

GOOD, OTHER, GARBAGE = "hf_goodgood", "hf_otherother", "hf_garbage"


def plain(tap, hub, files):
    with World(hub.url, HF_TOKEN=GOOD) as w:
        hub.reset()
        done = w.pull("acme/tiny")
        folder = good(tap, done, files, "a repository with both redirects")
        tap.ok(done.stderr == "", "nothing to say about it", done.stderr)
        log = hub.log()
        tap.eq([r for r in log if r["host"] == "bytes"
                and r["authorization"]], [],
               "the token never reaches the bytes host")
        tap.ok(all(r["authorization"] == f"Bearer {GOOD}" for r in log
                   if r["host"] == "hub"), "and always the Hub")
        tap.ok(all("HEAD" != r["method"] for r in log), "no HEAD is needed")
        tap.ok(all(r["user_agent"].startswith("mlfetch/")
                   and r["headers"]["accept-encoding"] == "identity"
                   for r in log), "user agent and encoding")
        tap.eq(len([r for r in log if "copy.json" in r["path"]]), 0,
               "the same content is fetched once")
        tap.eq([n for n in w.names("acme/tiny", "blobs") if "." in n], [],
               "no partial is left")
        tap.eq(w.names("acme/tiny", "ml/journal"), [], "no journal is left")
        ref = os.path.join(w.repo("acme/tiny"), "refs/main")
        with open(ref, "rb") as f:
            commit = f.read().decode()
        tap.eq(os.path.basename(folder), commit, "the ref names the snapshot")
        link = os.readlink(os.path.join(folder, "config.json"))
        tap.ok(link.startswith("../../blobs/"), "entries are relative links",
               link)
        modes = {oct(os.stat(os.path.join(w.repo("acme/tiny"), "blobs", n))
                     .st_mode & 0o777)
                 for n in w.names("acme/tiny", "blobs")}
        tap.eq(modes, {"0o444"}, "blobs are read-only")
        again(tap, hub, w, folder, commit)


def again(tap, hub, w, folder, commit):
    hub.reset()
    done = w.pull("acme/tiny")
    tap.eq(done.stdout.strip(), folder, "a second pull prints the same")
    tap.eq(len(hub.log()), 1, "with one request")
    hub.reset()
    done = w.pull("acme/tiny@" + commit)
    tap.ok(done.stdout.strip() == folder and hub.log() == [],
           "a pinned pull of what is held makes no request", done.stderr)
    for args in (["--offline"], []):
        env = dict(w.env, **({} if args else {"HF_HUB_OFFLINE": "1"}))
        done = kit.run(["mlfetch", "pull", "acme/tiny", *args], env)
        tap.ok(done.stdout.strip() == folder and hub.log() == [],
               f"offline by {args or 'HF_HUB_OFFLINE'}", done.stderr)
    fails(tap, w.pull("acme/tiny@v9", "--offline"), 5, "offline",
          "offline, and the revision is not held: 5")
    fails(tap, w.pull("acme/none", "--offline"), 5, "offline",
          "offline, and the repository is not held: 5")
    blob = os.path.realpath(os.path.join(folder, "model.safetensors"))
    os.unlink(blob)
    fails(tap, w.pull("acme/tiny", "--offline"), 5, "not held",
          "offline, and a file is not held: 5")
    os.unlink(os.path.join(folder, "config.json"))
    done = w.pull("acme/tiny")
    tap.ok(done.returncode == 0 and os.path.exists(blob)
           and os.path.exists(os.path.join(folder, "config.json")),
           "what is missing is put back", done.stderr)
    hub.reset()
    done = w.pull_json("acme/tiny", "--force")
    tap.eq(done.get("fetched_bytes"), done["bytes"] - 9,
           "--force fetches all of it again")
    with open(blob, "r+b") as f:
        f.truncate(1000)
    done = w.pull("acme/tiny")
    tap.ok(done.returncode == 0 and os.path.getsize(blob) == 9 * MIB,
           "a blob of the wrong size is replaced", done.stderr)


def selection(tap, hub, files):
    with World(hub.url) as w:
        done = w.pull("acme/tiny", "--include", "*.json", "--exclude",
                      "onnx/*", "--dry-run")
        tap.ok(done.returncode == 0 and "config.json" in done.stdout
               and "onnx" not in done.stdout and "missing" in done.stdout
               and not os.path.exists(w.root),
               "--dry-run shows the choice and writes nothing",
               done.stdout + done.stderr)
        got = w.pull_json("acme/tiny", "--dry-run")
        tap.eq([e["state"] for e in got["entries"]].count("missing"), 4,
               "--dry-run --json has an entry per file")
        good(tap, w.pull("acme/tiny", "--include", "*.json", "--exclude",
                         "onnx/*"), {"config.json": files["config.json"]},
             "--include and --exclude")
        fails(tap, w.pull("acme/tiny", "--include", "*.gguf"), 3, "matches",
              "nothing matches: 3")
        fails(tap, w.pull("acme//tiny"), 2, "acme//tiny", "a bad id: 2")
        fails(tap, w.pull("acme/tiny@x", "--revision", "y"), 2, "revision",
              "two revisions: 2")
        got = w.pull_json("acme/tiny")
        tap.ok(isinstance(got, dict) and set(got) == {
            "repository", "revision", "commit", "path", "files", "bytes",
            "fetched_bytes", "requests"}, "the keys of --json", got)
        done = w.pull("acme/tiny", "acme/set", "--repo-type", "dataset")
        fails(tap, done, 3, "acme/tiny", "a model is no dataset: 3")
        good(tap, w.pull("acme/set", "--repo-type", "dataset"),
             {"data.txt": b"rows\n"}, "a dataset")
        volume = os.path.join(w.home, "vol/ume")
        done = w.pull("acme/tiny", "--volume", volume)
        folder = good(tap, done, files, "into a volume")
        tap.ok(folder.startswith(volume + "/hub/models--acme--tiny/"),
               "the volume's hub folder", folder)


def revisions(tap, hub, files):
    with World(hub.url) as w:
        for rev in ("v1", "refs/pr/1", "old"):
            good(tap, w.pull(f"acme/revs@{rev}"), {"f.txt": rev.encode()},
                 f"revision {rev}")
        good(tap, w.pull("acme/revs", "--revision", "v1"), {"f.txt": b"v1"},
             "--revision")
        first = w.pull("acme/moving").stdout.strip()
        hub.control("config", {"repos": {"acme/moving": {
            "dir": os.path.join(hub.data, "moved")}}})
        done = w.pull("acme/moving")
        folder = good(tap, done, {"f.txt": b"new", "g.txt": b"same"},
                      "the branch moved: a new snapshot")
        tap.ok(first != folder and os.path.exists(first), "the old one stays")
        done = w.pull("acme/tiny@" + "0" * 40)
        fails(tap, done, 3, "no revision", "a commit that is not there: 3")
        good(tap, w.pull("acme/renamed"), files, "a renamed repository")
        good(tap, w.pull("acme/direct"), {"m.bin": noise(3 * MIB, "direct")},
             "a hub that serves the bytes itself")


def access(tap, hub):
    said = {}
    cases = [
        ("missing, no token", "acme/none", None, 3, "does not exist"),
        ("missing, with token", "acme/none", OTHER, 3, "may not see it"),
        ("private, no token", "acme/private", None, 3, "no token was found"),
        ("private, wrong token", "acme/private", OTHER, 3, "HF_TOKEN"),
        ("gated, no token", "acme/gated", None, 4, "none was found"),
        ("gated, garbage token", "acme/gated", GARBAGE, 4, "not accept"),
        ("gated, not granted", "acme/gated", OTHER, 4, "no access"),
        ("public, garbage token", "acme/tiny", GARBAGE, 4, "not accept"),
        ("disabled", "acme/disabled", None, 4, "disabled"),
        ("bad revision", "acme/tiny@nope", None, 3, "'nope'"),
    ]
    for name, repo, token, status, text in cases:
        with World(hub.url, **({"HF_TOKEN": token} if token else {})) as w:
            done = w.pull(repo)
            fails(tap, done, status, text, f"{name}: {status}")
            said[name] = done.stderr.replace(repo.partition("@")[0], "X")
    distinct = ["missing, no token", "missing, with token", "gated, no token",
                "gated, not granted", "public, garbage token", "disabled",
                "bad revision"]
    tap.eq(len({said[n] for n in distinct}), len(distinct),
           "each refusal has a text of its own")
    for repo in ("acme/private", "acme/gated"):
        with World(hub.url) as w:
            write(os.path.join(w.home, "hf/token"), f" {GOOD}\r\n".encode())
            good(tap, w.pull(repo), {"w.bin": b"weights"},
                 f"{repo} with a token file")


def listings(tap, hub):
    with World(hub.url) as w:
        hub.reset()
        done = w.pull("acme/many", "--dry-run", "--json")
        tap.eq(json.loads(done.stdout)[0]["files"], 2500,
               "2500 files on pages")
        tap.eq(len(gets(hub, part="/tree/")), 3, "three pages")
    with World(hub.url, HF_TOKEN=GOOD) as w:
        hub.reset()
        hub.faults([{"path": "*/tree/*", "headers": {
            "Link": '<{bytes}/api/models/acme/tiny/tree/x?cursor=1>; '
                    'rel="next"'}}])
        fails(tap, w.pull("acme/tiny"), 8, "another server",
              "a next page on a foreign host is not followed: 8")
        tap.eq(gets(hub, "bytes"), [], "and gets no request, let alone the "
               "token")
        hub.faults([])
    with World(hub.url) as w:
        done = w.pull("acme/c1", "--dry-run")
        tap.ok(done.returncode == 0 and "\x9b" not in done.stdout
               and "\\x9b31m" in done.stdout,
               "what would move a terminal's cursor is escaped", done.stdout)
        hub.faults([{"path": "*/tree/*", "times": -1, "headers": {
            "Link": '</api/models/acme/tiny/tree/main>; rel="next"'}}])
        hub.reset()
        fails(tap, w.pull("acme/tiny"), 8, "circle",
              "a listing that goes in a circle: 8")
        tap.ok(len(gets(hub, part="/tree/")) < 9, "is noticed soon",
               len(hub.log()))
        hub.faults([{"path": "*/revision/*", "status": 200,
                     "body": "[" + "0," * (5 * MIB) + "0]"}])
        fails(tap, w.pull("acme/tiny"), 8, "too large",
              "an answer of millions of values: 8")
        hub.faults([{"path": "*/revision/*", "status": 404, "body": "x"}])
        fails(tap, w.pull("acme/tiny"), 3, "404", "a 404 of a mirror: 3")
        hub.faults([])
        done = w.pull("acme/empty")
        tap.ok(done.returncode == 0 and os.path.isdir(done.stdout.strip()),
               "a repository without files has a folder", done.stderr)
    hostile = {"acme/up": "../evil", "acme/abs": "/tmp/evil",
               "acme/dot": "a/./b", "acme/back": "a\\b",
               "acme/deep": "a/../../evil", "acme/ctrl": "a\nb"}
    for repo, path in hostile.items():
        with World(hub.url) as w:
            fails(tap, w.pull(repo), 8, "unsafe file name",
                  f"a listing with {path!r}: 8")
            tap.ok(not os.path.exists(w.root) and
                   not os.path.exists(os.path.join(w.home, "evil")),
                   "and nothing is written")
    for repo in ("acme/twice", "acme/both"):
        with World(hub.url) as w:
            fails(tap, w.pull(repo), 8, "listing", f"{repo}: 8")


def through_links(tap, hub):
    with World(hub.url) as w:
        commit = w.pull_json("acme/tiny", "--dry-run")["commit"]
        outside = os.path.join(w.home, "outside")
        os.makedirs(outside)
        snapshot = os.path.join(w.repo("acme/tiny"), "snapshots", commit)
        os.makedirs(snapshot)
        os.symlink(outside, os.path.join(snapshot, "onnx"))
        done = w.pull("acme/tiny")
        tap.ok(done.returncode == 8 and os.listdir(outside) == [],
               "a folder of the snapshot that is a link: 8, nothing written",
               f"{done.returncode} {done.stderr} {os.listdir(outside)}")


def headers(tap, hub):
    for repo, header in (("acme/nocommit", "X-Repo-Commit"),
                         ("acme/noetag", "X-Linked-Etag")):
        with World(hub.url) as w:
            done = w.pull(repo, "--retry-time", "3")
            host = hub.url.partition("//")[2]
            fails(tap, done, 5, header, f"without {header}: named")
            tap.ok(host in done.stderr, "and the host", done.stderr)
    with World(hub.url) as w:
        hub.faults([{"path": "*/resolve/*", "times": -1, "headers": {
            "X-Linked-Etag": '"' + "ab" * 32 + '"'}}])
        fails(tap, w.pull("acme/tiny"), 6, "listing said",
              "another content than the listing names: 6")
        hub.faults([{"path": "*/resolve/*", "times": -1, "headers": {
            "X-Repo-Commit": "ab" * 20}}])
        fails(tap, w.pull("acme/tiny"), 6, "commit",
              "another commit than was asked for: 6")
        hub.faults([{"path": "*/revision/*", "status": 200, "times": -1,
                     "body": "<html>Welcome to the hotel</html>"}])
        fails(tap, w.pull("acme/tiny"), 8, "HF_ENDPOINT",
              "a page where the API should be: 8")
        hub.faults([])


def official_cache(tap, hub, files):
    """What huggingface_hub wrote is found: two hops, real files, copies."""
    with World(hub.url) as w:
        folder = w.pull("acme/tiny").stdout.strip()
        shared = os.path.join(w.root, "blobs/ab/" + "ab" * 32)
        blob = os.path.realpath(os.path.join(folder, "model.safetensors"))
        os.makedirs(os.path.dirname(shared))
        os.rename(blob, shared)
        os.symlink(os.path.relpath(shared, os.path.dirname(blob)), blob)
        small = os.path.join(folder, "config.json")
        os.unlink(small)
        write(small, files["config.json"])
        hub.reset()
        done = w.pull("acme/tiny")
        tap.ok(done.returncode == 0 and len(hub.log()) == 1
               and os.path.islink(blob) and not os.path.islink(small),
               "two-hop links and real files are held", done.stderr)


def read_only(tap, hub):
    name = "a cache that cannot be written serves what it holds"
    with World(hub.url) as w:
        folder = w.pull("acme/tiny").stdout.strip()
        if os.getuid() != 0:
            subprocess.run(["chmod", "-R", "a-w", w.root], check=True)
        elif subprocess.run(["mount", "--bind", "-o", "ro", w.root, w.root],
                            capture_output=True).returncode != 0:
            tap.skip(name, "cannot mount")
            return
        done = w.pull("acme/tiny")
        tap.ok(done.stdout.strip() == folder, name, done.stderr)
        if os.getuid() == 0:
            subprocess.run(["umount", w.root], check=True)
        else:
            subprocess.run(["chmod", "-R", "u+w", w.root], check=True)


NO_FALLOCATE = ("#include <errno.h>\n#include <sys/types.h>\n"
                "int fallocate(int f, int m, off_t a, off_t n)"
                "{ (void)f; (void)m; (void)a; (void)n;"
                " errno = EOPNOTSUPP; return -1; }")


def no_space(tap, hub):
    names = ["no space for the plan: 7, before the first byte",
             "what is reserved, nobody else can take",
             "the disk fills on the way, where nothing can be reserved: 7"]
    with World(hub.url) as w:
        os.makedirs(w.root)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none",
                           w.root], capture_output=True).returncode != 0:
            for name in names:
                tap.skip(name, "cannot mount a tmpfs (not root?)")
            return
        try:
            on_a_small_disk(tap, hub, w, names)
        finally:
            hub.faults([])
            subprocess.run(["umount", w.root], check=True)


def fills(tap, hub, w, env):
    """A pull of 4 MiB with 6 MiB free; then somebody takes 2.5 MiB."""
    hub.reset()
    hub.faults([{"host": "bytes", "rate": MIB, "times": -1}])
    proc = subprocess.Popen(
        [kit.program("mlfetch"), "pull", "acme/two", "-j", "1"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(1000):
        if gets(hub, "bytes"):
            break
    try:
        write(os.path.join(w.root, "filler2"), bytes(5 * MIB // 2))
        taken = True
    except OSError:
        os.unlink(os.path.join(w.root, "filler2"))
        taken = False
    out, said = proc.communicate(timeout=60)
    return taken, proc.returncode, out, said.decode()


def gives_back(tap, hub):
    """An interrupt, and a kill, in the middle of the first of two files."""
    for how in (signal.SIGINT, signal.SIGKILL):
        with World(hub.url) as w:
            hub.reset()
            hub.faults([{"host": "bytes", "rate": MIB, "times": -1}])
            proc = subprocess.Popen(
                [kit.program("mlfetch"), "pull", "acme/two", "-j", "1"],
                env=w.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(1000):
                if gets(hub, "bytes"):
                    break
            proc.send_signal(how)
            proc.communicate()
            blobs = os.path.join(w.repo("acme/two"), "blobs")
            empty = [n for n in w.names("acme/two", "blobs") if
                     os.path.getsize(os.path.join(blobs, n)) == 0]
            hub.faults([])
            if how == signal.SIGINT:
                tap.eq(empty, [], "an interrupt gives back what was reserved")
                continue
            need = w.pull_json("acme/two", "--dry-run")["space_bytes"]
            tap.ok(need < MIB and w.pull("acme/two").returncode == 0,
                   "what a kill leaves reserved is used", f"{need} {empty}")


def on_a_small_disk(tap, hub, w, names):
    hub.reset()
    fails(tap, w.pull("acme/tiny"), 7, "too little", names[0])
    tap.ok(gets(hub, "bytes") == [] and os.listdir(w.root) == [],
           "nothing was asked for and nothing written", hub.log())
    done = w.pull("acme/two", "acme/direct", "acme/two@" + w.pull_json(
        "acme/two", "--dry-run")["commit"])
    tap.ok(done.returncode == 0, "the same content twice needs its space once",
           done.stderr)
    shutil.rmtree(w.repo("acme/two"))
    hub.reset()
    done = w.pull("acme/direct", "acme/two", "acme/tiny")
    fails(tap, done, 7, "for 2 repositories", "no space for all: 7")
    tap.ok(gets(hub, "bytes") == [] and
           not os.path.exists(w.repo("acme/two")),
           "not even the one that would fit is begun", os.listdir(w.root))
    shutil.rmtree(w.repo("acme/direct"))
    write(os.path.join(w.root, "filler"), bytes(2 * MIB))
    taken, status, _, said = fills(tap, hub, w, w.env)
    tap.ok(not taken and status == 0, names[1], f"{taken} {status} {said}")
    shutil.rmtree(w.repo("acme/two"))
    shim = shimmed(w.home, NO_FALLOCATE)
    if shim is None:
        tap.skip(names[2], "cannot preload a fallocate that refuses")
        return
    taken, status, out, said = fills(tap, hub, w, dict(w.env, LD_PRELOAD=shim))
    tap.ok(taken and status == 7 and out == b"", names[2], f"{status} {said}")


def tls(tap, folder):
    name = "over TLS, with SSL_CERT_FILE"
    cert, key = (os.path.join(folder, n) for n in ("cert.pem", "key.pem"))
    if shutil.which("openssl") is None:
        tap.skip(name, "no openssl program")
        return
    os.makedirs(folder)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-keyout", key, "-out", cert, "-subj", "/CN=test", "-addext",
         "subjectAltName=IP:127.0.0.1,IP:127.0.0.2,DNS:localhost"],
        check=True, capture_output=True)
    repos = {"acme/tiny": {"dir": os.path.join(folder, "tiny")}}
    files = make_model(os.path.join(folder, "tiny"))
    with kit.Hub(repos, tls={"cert": cert, "key": key}) as hub:
        with World(hub.url, SSL_CERT_FILE=cert) as w:
            good(tap, w.pull("acme/tiny"), files, name)
        with World(hub.url) as w:
            fails(tap, w.pull("acme/tiny"), 5, "SSL_CERT_FILE",
                  "an unknown certificate: 5")


def unreachable(tap):
    with World("http://127.0.0.1:1") as w:
        fails(tap, w.pull("acme/tiny", "--retry-time", "1"), 5,
              "127.0.0.1:1", "nobody answers: 5")
    with World("http://no.such.host.invalid") as w:
        fails(tap, w.pull("acme/tiny", "--retry-time", "1"), 5,
              "no.such.host", "no such host: 5")
    with World("http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:2") as w:
        fails(tap, w.pull("acme/tiny", "--retry-time", "1"), 5,
              "port 2", "HTTP_PROXY counts in upper case, too")
    with World("ftp://x") as w:
        fails(tap, w.pull("acme/tiny"), 2, "HF_ENDPOINT", "not a web "
              "address: 2")


def entry(path, **more):
    return dict({"type": "file", "path": path, "size": 1, "oid": "ab" * 20},
                **more)


def repos(data):
    for rev in ("v1", "pr", "old"):
        text = {"pr": "refs/pr/1"}.get(rev, rev)
        write(os.path.join(data, "rev", rev, "f.txt"), text.encode())
    write(os.path.join(data, "moving/f.txt"), b"old")
    write(os.path.join(data, "moving/g.txt"), b"same")
    write(os.path.join(data, "moved/f.txt"), b"new")
    write(os.path.join(data, "moved/g.txt"), b"same")
    write(os.path.join(data, "direct/m.bin"), noise(3 * MIB, "direct"))
    write(os.path.join(data, "w/w.bin"), b"weights")
    write(os.path.join(data, "set/data.txt"), b"rows\n")
    write(os.path.join(data, "two/a.bin"), noise(2 * MIB, "a"))
    write(os.path.join(data, "two/b.bin"), noise(2 * MIB, "b"))
    os.makedirs(os.path.join(data, "empty"))
    for i in range(2500):
        write(os.path.join(data, f"many/d{i % 7}/f{i}.txt"), b"%d" % i)

    def at(name):
        return os.path.join(data, name)

    tiny = {"dir": at("tiny")}
    found = {
        "acme/tiny": tiny, "acme/new-name": tiny,
        "acme/nocommit": dict(tiny, headers_drop=["X-Repo-Commit"]),
        "acme/noetag": dict(tiny, headers_drop=["X-Linked-Etag"]),
        "acme/set": {"dir": at("set"), "type": "dataset"},
        "acme/direct": {"dir": at("direct"), "direct": True},
        "acme/moving": {"dir": at("moving")}, "acme/two": {"dir": at("two")},
        "acme/revs": {"dir": at("rev/old"), "tags": {"v1": None},
                      "branches": {"main": None, "old": None},
                      "refs": {"refs/pr/1": None},
                      "revisions": {"v1": {"dir": at("rev/v1")},
                                    "refs/pr/1": {"dir": at("rev/pr")}}},
        "acme/private": {"dir": at("w"), "private": True, "tokens": [GOOD]},
        "acme/gated": {"dir": at("w"), "gated": "auto", "tokens": [GOOD]},
        "acme/disabled": tiny, "acme/many": {"dir": at("many")},
        "acme/empty": {"dir": at("empty")},
        "acme/c1": dict(tiny, extra_tree=[entry("a\x9b31mred")]),
        "acme/twice": dict(tiny, extra_tree=[entry("config.json")]),
        "acme/both": dict(tiny, extra_tree=[entry("config.json/x")]),
    }
    for repo, path in (("up", "../evil"), ("abs", "/tmp/evil"),
                       ("dot", "a/./b"), ("back", "a\\b"),
                       ("deep", "a/../../evil"), ("ctrl", "a\nb")):
        found["acme/" + repo] = dict(tiny, extra_tree=[entry(path)])
    return found


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"))
    assert ODD in files
    with kit.Hub(repos(data), tokens={OTHER: {"name": "bob"}},
                 renamed={"acme/renamed": "acme/new-name"},
                 disabled=["acme/disabled"]) as hub:
        hub.data = data
        plain(tap, hub, files)
        selection(tap, hub, files)
        revisions(tap, hub, files)
        access(tap, hub)
        listings(tap, hub)
        through_links(tap, hub)
        headers(tap, hub)
        official_cache(tap, hub, files)
        read_only(tap, hub)
        no_space(tap, hub)
        gives_back(tap, hub)
    tls(tap, os.path.join(data, "tls"))
    unreachable(tap)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
