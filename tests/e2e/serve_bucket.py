#!/usr/bin/env python3
"""A mirror of a volume in object storage, on Ceph's radosgw and on OpenStack
Swift: what it answers, what it asks the store for, what a damaged, silent or
refusing store and a kill do to it."""
import concurrent.futures
import json
import os
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "../server"))
import kit  # noqa: E402
import pulling  # noqa: E402
import s3_faults  # noqa: E402
import s3_volume  # noqa: E402
import serve_through  # noqa: E402
from pulling import MIB  # noqa: E402
from s3_volume import BUCKET, DEAD, sha  # noqa: E402
from serve_through import FILE, HELD_BACK, resolve, soon  # noqa: E402

REPO = "acme/m"
ROWS = ["acme/rows", "--repo-type", "dataset"]
SIZE = 16 * MIB
MANY = 14  # more than are fetched at once
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # git's digest of nothing


class Answer(serve_through.Answer):
    told = set()  # by all mirrors, but for long bodies

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        Answer.told.add(repr(sorted(self.headers.items())).encode() +
                        self.body[:65536])


class Mirror(serve_through.Mirror):
    """Of the bench's volume; it asks by way of the bench's proxy."""

    def __init__(self, bench, *args, proxy=None):
        super().__init__("")
        self.env.update(bench.server.env())
        self.env["AWS_ENDPOINT_URL_S3"] = (proxy or bench.faults).endpoint
        self.args = ["--volume", bench.url, *args]
        if "--cache" not in args:
            self.args += ["--cache", os.path.join(self.home, "kept")]
        self.root = os.path.join(self.args[self.args.index("--cache") + 1],
                                 "hub")

    def again(self, sig=signal.SIGTERM):
        self.stop(sig)
        return self.start()


class Team:
    """A hub, and what was brought from it into the bucket."""

    def __init__(self, bench):
        self.b = bench
        bench.next("team")
        self.folder = bench.at("m")
        self.files = pulling.make_model(self.folder, SIZE)
        pulling.write(bench.at("part/config.json"), b"{}")
        pulling.write(bench.at("part/other.json"), b'{"other": 1}')
        pulling.write(bench.at("data/rows.csv"), b"a,b\n")
        for i in range(MANY):
            pulling.write(bench.at(f"many/{i}.json"), b'{"n": %d}' % i)

    def bring(self, *args):
        repos = {REPO: {"dir": self.folder},
                 "acme/part": {"dir": self.b.at("part")},
                 "acme/gone": {"dir": self.b.at("part")},
                 "acme/many": {"dir": self.b.at("many")},
                 "acme/rows": {"dir": self.b.at("data"), "type": "dataset"}}
        self.b.harm()
        with kit.Hub(repos) as hub:
            for one in args:
                env = dict(self.b.env, HF_ENDPOINT=hub.url)
                done = kit.run(["mlfetch", "pull", *one, "--volume",
                                self.b.url], env, cwd=self.b.cwd)
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
        self.b.watch()

    def key(self, name):
        return self.b.blob(self.files[name])


def asked_for(b, key):
    """Bytes of an object that the store was asked for."""
    total = 0
    for method, target, headers in b.faults.seen:
        m = re.match(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if method == "GET" and key in target:
            total += int(m[2]) + 1 - int(m[1]) if m else SIZE
    return total


def code(answer):
    return answer.status, answer.header("X-Error-Code")


def pull(b, m, name, *args):
    """mlfetch on another machine, with the mirror as its Hub."""
    home = b.at("home-" + name)
    os.makedirs(home, exist_ok=True)
    return kit.run(["mlfetch", "pull", *args],
                   kit.clean_env(home, HF_ENDPOINT=m.url))


def test_everyday(tap, b, team):
    with Mirror(b, "-v") as m:
        head = Answer(m.url, resolve(), "HEAD")
        tap.eq((head.status, head.header("Content-Length"),
                head.header("ETag"), b.seen("GET", "/blobs/")),
               (200, str(SIZE), f'"{sha(team.files[FILE])}"', 0),
               "HEAD is answered from the catalog, without a byte")
        part = Answer(m.url, resolve(), Range=f"bytes={MIB}-{MIB + 99}")
        tap.ok(part.status == 206 and asked_for(b, team.key(FILE)) < 4 * MIB
               and part.body == team.files[FILE][MIB:MIB + 100],
               "a part of a file that nobody had is right, and little else is "
               "fetched", (part.status, part.headers))
        pulling.good(tap, pull(b, m, "one", REPO), team.files,
                     "mlfetch pulls it through the mirror")
        pulling.good(tap, pull(b, m, "rows", *ROWS),
                     {"rows.csv": b"a,b\n"}, "and a dataset")
        commit = head.header("X-Repo-Commit")
        refs = json.loads(Answer(m.url, f"/api/models/{REPO}/refs").body)
        tap.eq([(r["name"], r["targetCommit"]) for r in refs["branches"]],
               [("main", commit)], "its refs are those of the volume")
        before = len(b.faults.seen)
        Answer(m.url, f"/api/models/{REPO}/refs")
        tap.eq(len(b.faults.seen), before, "and are remembered")
        tap.eq([code(Answer(m.url, p)) for p in (
            "/api/models/acme/none", resolve(rev="none"),
            resolve(rev="0" * 40), resolve("none.json"),
            "/api/models/acme/none/refs")],
               [(404, "RepoNotFound"), (404, "RevisionNotFound"),
                (404, "RevisionNotFound"), (404, "EntryNotFound"),
                (404, "RepoNotFound")], "what is not there is said as usual")
        Answer(m.url, resolve("empty.txt"))  # mlfetch pull has no need to
        soon(lambda: EMPTY in m.names("blobs"))
        b.watch()
        tap.ok(all(Answer(m.url, resolve(n)).body == d
                   for n, d in team.files.items()) and not b.faults.seen,
               "what is kept costs the store no question", b.faults.seen)
        lacks = Answer(m.url, resolve("other.json", repo="acme/part"))
        tap.ok(lacks.status == 504 and "is not in it" in
               (lacks.header("X-Error-Message") or ""),
               "a file that was not brought there is 504, and named",
               (lacks.status, lacks.headers))
        team.bring(["acme/part"])
        m.again()
        lacks = Answer(m.url, resolve("other.json", repo="acme/part"))
        tap.eq(lacks.body, b'{"other": 1}', "until it is")
        page, metrics = Answer(m.url, "/").body, Answer(m.url, "/metrics").body
        tap.ok(b"From " + b.url.encode() in page and
               b"\nmlfetch_mirror_fetching " in metrics,
               "the page says where from, the metrics how much",
               page + metrics)
        said = m.said()
        tap.ok(b.server.secret not in said and "X-Amz" not in said,
               "no secret and no signature is in the log", said)


def test_crowd(tap, b, team):
    def eight(*urls):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return set(pool.map(
                lambda i: sha(Answer(urls[i % len(urls)], resolve()).body),
                range(8)))

    with Mirror(b) as m:
        tap.eq(eight(m.url), {sha(team.files[FILE])},
               "eight who ask for one file at once get it")
        once = asked_for(b, team.key(FILE))
        tap.ok(SIZE <= once < SIZE + 4 * MIB, "out of the store it comes once",
               f"{once} of {SIZE}")
    b.watch()
    with Mirror(b) as m, Mirror(b) as n:
        eight(m.url, n.url)
        tap.ok(asked_for(b, team.key(FILE)) >= 2 * SIZE,
               "control: two mirrors fetch it twice")
    b.watch()


def test_damage(tap, b, team):
    for name in (FILE, "config.json"):
        b.plain.flip(BUCKET, team.key(name), len(team.files[name]) // 2)
    wrong = b.plain.get(BUCKET, team.key(FILE))
    tap.ok(len(wrong) == SIZE and wrong != team.files[FILE],
           "control: the store gives a wrong byte as a success")
    with Mirror(b) as m:
        got = Answer(m.url, resolve())
        tap.ok(not got.whole and len(got.body) <= SIZE - HELD_BACK,
               "a flipped bit in the bucket never makes a whole answer",
               f"{len(got.body)} of {SIZE}")
        small = Answer(m.url, resolve("config.json"))
        tap.ok(small.status == 504 and
               team.files["config.json"] not in small.body,
               "and of a small file not a byte", (small.status, small.body))
        tap.ok(soon(lambda: m.said().count("mlcache verify") == 2),
               "the log says what to do about it", m.said())
        later = Answer(m.url, resolve())
        tap.ok(later.status == 504 and "digest" in
               (later.header("X-Error-Message") or "") and
               not [n for n in m.names("blobs") if "incomplete" not in n],
               "who comes later is told why, and nothing is kept",
               (later.status, later.headers))
        for name in (FILE, "config.json"):
            b.plain.put(BUCKET, team.key(name), team.files[name])
        m.again()
        tap.eq(sha(Answer(m.url, resolve()).body), sha(team.files[FILE]),
               "once it is mended it is delivered")


def test_refusals(tap, b, team):
    """A store that says no now and then, and keys that were replaced."""
    with Mirror(b, "--fetches", "1") as m:
        Answer(m.url, resolve("onnx/copy.json"))
        expired = s3_faults.answer(403, code="ExpiredToken")
        b.harm(("HEAD", "/blobs/", expired), ("GET", "/blobs/", expired),
               ("GET", "/blobs/.*Expires=", expired),
               ("GET", "/blobs/.*Expires=", s3_faults.cut(MIB)))
        got = Answer(m.url, resolve())
        tap.ok(got.body == team.files[FILE] and b.seen("HEAD", "/blobs/") > 1,
               "keys are read again and addresses signed anew when they are "
               "refused", (got.status, m.said()))
        b.harm(("*", "/blobs/", s3_faults.answer(403, code="AccessDenied"),
                -1))
        got = Answer(m.url, resolve(pulling.ODD))
        tap.ok(got.status == 504 and "its log says why" in
               (got.header("X-Error-Message") or "") and
               soon(lambda: "access denied to the key id " + b.server.key
                    in m.said()),
               "a store that denies us is 504, with its word in the log",
               (got.headers, m.said()))
        b.harm(("*", "refs", s3_faults.answer(
            418, body=s3_faults.error_body("Teapot", "arn:aws:iam::1:user/u")),
            -1))
        for path in (resolve(rev="other"), "/api/models/acme/n/refs"):
            tap.eq(Answer(m.url, path).status, 504, "so is one that says "
                   "something else")
    b.watch()


def expiring(path, data, keys):
    """An address of the first keys is refused; then others are in the file."""
    def act(request, forward):
        m = re.match(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if "OTHERKEY" in request.target and m:
            at, to = int(m[1]), int(m[2])
            return s3_faults.compose(206, {
                "Content-Range": f"bytes {at}-{to}/{len(data)}"},
                data[at:to + 1])
        keys(path, "OTHERKEY", "secret")
        return s3_faults.answer(403, code="ExpiredToken")(request, forward)
    return act


def test_keys(tap, b, team):
    """Keys that are replaced in their file while a transfer is under way."""
    def keys(path, key_id, secret):
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(f"[default]\naws_access_key_id = {key_id}\n"
                    f"aws_secret_access_key = {secret}\n")
        os.replace(path + ".new", path)

    path = b.at("credentials")
    keys(path, b.server.key, b.server.secret)
    m = Mirror(b)
    m.env.update(AWS_SHARED_CREDENTIALS_FILE=path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        m.env.pop(name)
    with m:
        Answer(m.url, resolve(), "HEAD")
        b.harm(("GET", "/blobs/.*Expires=",
                expiring(path, team.files[FILE], keys), -1))
        got = Answer(m.url, resolve())
        tap.ok(got.body == team.files[FILE], "keys that expire in the middle "
               "of a transfer are read again", (got.status, m.said()))
    b.watch()


def later(seconds):
    def act(request, forward):
        time.sleep(seconds)
        return forward()
    return act


def test_slow(tap, b, team):
    """A store that names a wait, or is slow with one repository."""
    wait = s3_faults.answer(503, code="SlowDown", headers={"Retry-After": "9"})
    part = resolve("config.json", repo="acme/part")
    rows = "/datasets/acme/rows/resolve/main/rows.csv"
    with Mirror(b, "--fetches", "2") as m, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        b.harm(("*", "acme--rows", wait, -1), ("HEAD", "/blobs/", wait, 1))
        begin = time.monotonic()
        crowd = [pool.submit(Answer, m.url, rows.replace("main", f"b{i}"))
                 for i in range(8)]
        crowd = {c.result().status for c in crowd}
        big = Answer(m.url, resolve()).status
        other = Answer(m.url, resolve("config.json"))
        took = time.monotonic() - begin
        tap.ok(crowd == {429} and big == 429 and took < 6 and
               other.body == team.files["config.json"],
               f"a store that wants a wait holds nobody up ({took:.1f} s)",
               (crowd, big, other.status, m.said()))
        b.watch()
        tap.eq((Answer(m.url, part).body, b.seen("GET", "acme--part/")),
               (b"{}", 2), "a catalog is read once: for the listing, and for "
               "what a small file is")
    with Mirror(b) as m, concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        many = [resolve(f"{i}.json", repo="acme/many") for i in range(MANY)]
        Answer(m.url, many[0], "HEAD")
        Answer(m.url, resolve(), "HEAD")
        m.again()
        b.harm(("GET", "acme--many/[0-9a-f]{40}", later(4), -1))
        slow = [pool.submit(Answer, m.url, one) for one in many]
        time.sleep(0.5)
        begin = time.monotonic()
        quick = Answer(m.url, resolve())
        took = time.monotonic() - begin
        tap.ok(quick.body == team.files[FILE] and took < 3 and
               [s.result().status for s in slow] == [200] * MANY,
               f"{MANY} files of one repository, whose catalog takes its time, "
               f"hold up no other ({took:.1f} s)",
               [quick.status] + [s.result().status for s in slow])
    b.watch()


def one_bad(tap, b, team):
    """An object that the store cannot give: that file's matter alone. This
    waits more than it works, so it runs beside the others."""
    with s3_faults.Faults(b.server) as proxy, Mirror(b, proxy=proxy) as m:
        proxy.add("*", team.key("onnx/copy.json"), s3_faults.answer(500), -1)
        for wait, rest in ((0, FILE), (5, pulling.ODD)):
            time.sleep(wait)  # that one is left alone for so long
            bad = Answer(m.url, resolve("onnx/copy.json"))
            rest = Answer(m.url, resolve(rest))
            tap.ok(bad.status == 504 and rest.status == 200,
                   "one object that cannot be had does not make the store one "
                   "that cannot be reached", (bad.status, rest.status))


def test_removed(tap, b, team):
    team.bring(["acme/gone"])
    done = kit.run(["mlcache", "rm", "--yes", "acme/gone", "--volume", b.url],
                   b.env, cwd=b.cwd)
    with Mirror(b) as m:
        tap.eq([done.returncode, *(code(Answer(m.url, p)) for p in (
            resolve("config.json", repo="acme/gone"),
            "/api/models/acme/gone/refs", "/api/models/acme/gone"))],
            [0] + [(404, "RepoNotFound")] * 3,
            "a repository that was taken out is not there")


def test_new_commit(tap, b, team):
    with Mirror(b) as m:
        old = Answer(m.url, resolve(), "HEAD").header("X-Repo-Commit")
        Answer(m.url, resolve())
        team.files["config.json"] = b'{"a": 2}\n'
        pulling.write(os.path.join(team.folder, "config.json"), b'{"a": 2}\n')
        team.bring([REPO])
        tap.eq(Answer(m.url, resolve("config.json"), "HEAD").header(
            "X-Repo-Commit"), old, "a branch is believed for a while")
        m.again()
        new = Answer(m.url, resolve("config.json"))
        tap.ok(new.body == b'{"a": 2}\n' and
               new.header("X-Repo-Commit") != old,
               "then the bucket's new commit is what it is")
        before = Answer(m.url, resolve("config.json", rev=old))
        tap.eq(before.body, b'{"a": 1}\n', "the old one is there still")


def hang(request, forward):
    time.sleep(20)
    raise s3_faults.Drop


def away(tap, b, team):
    """The store does not answer any more, and is back. This waits more than it
    works, so it runs beside the others, with a proxy and files of its own."""
    part = resolve("config.json", repo="acme/part")
    rows = "/datasets/acme/rows/resolve/main/rows.csv"
    with s3_faults.Faults(b.server) as proxy, \
            Mirror(b, "--cache", b.at("kept"), proxy=proxy) as m:
        proxy.add("GET", "acme--part", later(4), 1)
        held = Answer(m.url, part)
        tap.eq(held.body, b"{}", "a mirror of a store that is slow to answer")
        tap.ok(os.path.isdir(b.at("kept/hub")) and
               not os.path.exists(os.path.join(m.env["HF_HOME"], "hub")),
               "keeps it there")
        proxy.add("*", "", hang, -1)
        begin = time.monotonic()
        none = Answer(m.url, "/api/models/acme/none")
        lacks = Answer(m.url, rows)
        took = time.monotonic() - begin
        tap.ok(lacks.status == none.status == 504 and took < 12 and
               b.url in (lacks.header("X-Error-Message") or ""),
               f"where the store is silent, the mirror is not ({took:.1f} s)",
               (lacks.status, none.status, lacks.headers))
        tap.eq(Answer(m.url, part).body, b"{}", "what is held is served")
        proxy.clear()
        tap.ok(soon(lambda: Answer(m.url, rows).body == b"a,b\n", 60),
               "it is back: so is the rest")
        m.stop()
        proxy.add("*", "", s3_faults.reset, -1)
        m.start()
        commit = held.header("X-Repo-Commit")
        held = Answer(m.url, part.replace("main", commit))
        tap.ok("what is held is served" in m.said() and held.body == b"{}",
               "a mirror begins where the store is gone, and serves what is "
               "held", m.said())


def test_kill(tap, b, team):
    with Mirror(b) as m, concurrent.futures.ThreadPoolExecutor(1) as pool:
        def stuck(request, forward):
            time.sleep(10)
            raise s3_faults.Drop

        b.faults.add("GET", team.key(FILE), stuck, -1, skip=4)
        client = pool.submit(Answer, m.url, resolve())
        journal = os.path.join(m.root, "models--acme--m/ml/journal")
        tap.ok(soon(lambda: os.path.isdir(journal) and os.listdir(journal)),
               "a transfer is under way")
        time.sleep(0.5)
        m.stop(signal.SIGKILL)
        tap.ok(not client.result().whole, "the mirror is killed in the middle")
        b.watch()
        m.start()
        tap.eq(sha(Answer(m.url, resolve()).body), sha(team.files[FILE]),
               "the next one serves the right bytes")
        again = asked_for(b, team.key(FILE))
        tap.ok(again < SIZE, "and goes on with what had come",
               f"{again} of {SIZE}")


def test_usage(tap, b, team):
    def serve(*args, **env):
        env = kit.clean_env(b.dir, **{**b.server.env(), **env})
        return kit.run(["mlfetch", "serve", "--listen", "127.0.0.1:0", *args],
                       env, timeout=20)

    cache = ["--cache", b.at("unmade")]
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    for args, env, status, text in (
            (["--volume", b.url + "-none", *cache], {}, 3, "no volume there"),
            (["--volume", b.url, *cache], wrong, 4, b.server.key),
            (["--volume", b.url], {}, 2, "--cache"),
            (["--volume", b.url, "--upstream", DEAD], {}, 2, "mlfetch pull"),
            (["--volume", b.url, "--cache", b.url], {}, 2, b.url),
            (["--cache", "v"], {}, 2, "s3://")):
        done = serve(*args, **env)
        tap.ok(done.returncode == status and text in done.stderr,
               f"serve {' '.join(args)} {' '.join(env)}: status {status}",
               f"{done.returncode}: {done.stderr}")
    tap.ok(not os.path.exists(b.at("unmade")),
           "a wrong bucket leaves no cache behind")
    tokens = b.write("tokens", b"hf_" + b"t" * 34 + b" acme/*\n")
    os.chmod(tokens, 0o600)
    with Mirror(b, "--tokens", tokens, "--path-prefix", "/hub") as m:
        none = Answer(m.url, resolve("config.json"))
        some = Answer(m.url, resolve("config.json"),
                      Authorization="Bearer hf_" + "t" * 34)
        tap.ok(none.status == 401 and m.url.endswith("/hub") and
               some.body == team.files["config.json"],
               "tokens and a prefix are as ever", (none.status, some.status))


TESTS = [test_everyday, test_crowd, test_damage, test_kill, test_refusals,
         test_keys, test_slow, test_new_commit, test_removed, test_usage]
# what does not depend on the store
ONCE = [test_crowd, test_refusals, test_keys, test_slow, test_new_commit,
        test_usage]


def run(tap, b, team):
    for test in TESTS:
        if test in ONCE and not b.server.conditional:
            continue
        s3_volume.timed(test, tap, b, team)
        b.watch()


def main():
    tap = kit.Tap()
    for b in s3_volume.benches(tap, "a mirror of a volume"):
        team = Team(b)
        team.bring([REPO], ["acme/part", "--include", "config.json"], ROWS,
                   ["acme/many"])
        with concurrent.futures.ThreadPoolExecutor(2) as beside:
            waits = [beside.submit(one, tap, b, team) for one in
                     (away, one_bad) if b.server.conditional]
            run(tap, b, team)
            for one in waits:
                one.result()
        told = b"\n".join(Answer.told)
        tap.ok(all(s.encode() not in told for s in (
            b.server.key, b.server.secret, "X-Amz", "arn:", "AWS_",
            "OTHERKEY", "credentials")), "no client is told whose keys they are",
            [t for t in Answer.told if b"redentials" in t or
             b.server.key.encode() in t or b"AWS_" in t or b"arn:" in t])
    ends = serve_through.Mirror.ends
    tap.ok(all(status == 0 for status, _ in ends),
           f"{len(ends)} mirrors ended well when they were told to",
           [e for e in ends if e[0] != 0])
    tap.done()


if __name__ == "__main__":
    main()
