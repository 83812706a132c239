#!/usr/bin/env python3
"""mlcache import of archives that are wrong: cut off anywhere, changed
anywhere, and everything that tar, zstd and a manifest can be made to say.
Each is refused with the file and the place named, and leaves nothing."""
import copy
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

BLOCK = 512
MANIFEST = "ml-archive/manifest.json"


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


# ---- zstd ----

def frame(data):
    return subprocess.run(["zstd", "-q", "-c", "--stream-size",
                           str(len(data))], input=data, check=True,
                          capture_output=True).stdout


def table(frames):
    """The seek table of (packed, bytes) pairs."""
    lines = b"".join(struct.pack("<II", *f) for f in frames)
    return struct.pack("<II", 0x184D2A5E, len(lines) + 9) + lines + \
        struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)


def packed(tar):
    out, lines = b"", []
    for i in range(0, len(tar), 1 << 20):
        part = tar[i:i + (1 << 20)]
        one = frame(part)
        out += one
        lines.append((len(one), len(part)))
    return out + table(lines)


# ---- tar ----

def head(name, size=0, kind=b"0", link=b"", mode=0o444, **more):
    """A ustar header; more: fields by their offset, as o123=b"..."."""
    h = bytearray(BLOCK)
    h[0:len(name)] = name.encode()
    h[100:107] = b"%07o" % mode
    h[108:115] = h[116:123] = b"0000000"
    h[124:135] = b"%011o" % size
    h[136:147] = b"%011o" % 315532800
    h[156:157] = kind
    h[157:157 + len(link)] = link
    h[257:265] = b"ustar\0" + b"00"
    h[329:336] = h[337:344] = b"0000000"
    for at, value in more.items():
        h[int(at[1:]):int(at[1:]) + len(value)] = value
    h[148:156] = b" " * 8
    h[148:155] = b"%06o\0" % sum(h)
    return bytes(h)


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def members(tar):
    """[(header, data)] of a good one, without its end."""
    out, at = [], 0
    while any(tar[at:at + BLOCK]):
        size = int(tar[at + 124:at + 135], 8)
        data = tar[at + BLOCK:at + BLOCK + size]
        out.append((tar[at:at + BLOCK], data))
        at += BLOCK + len(pad(data))
    return out


def joined(parts):
    return b"".join(h + pad(d) for h, d in parts) + bytes(2 * BLOCK)


def sealed(parts):
    """With the manifest's digest, the count and the bytes set right."""
    parts = list(parts[:-1])
    manifest = parts[0][1]
    before = sum(len(h) + len(pad(d)) for h, d in parts)
    seal = (b'{"ml-archive-seal": 1, "manifest": "%s", "members": %d, '
            b'"bytes": %d}\n' % (hashlib.sha256(manifest).hexdigest().encode(),
                                 len(parts), before))
    return joined(parts + [(head("ml-archive/seal.json", len(seal)), seal)])


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home,
                                 HF_HUB_CACHE=os.path.join(self.home, "hub"))
        self.make()

    def make(self):
        """A hub cache with one commit, and a volume; exported."""
        hub = os.path.join(self.home, "from/models--acme--tiny")
        files = {"a.json": b"{}\n", "sub/b.bin": random.randbytes(2000)}
        self.commit = "7" * 40
        for name, data in files.items():
            lfs = name.endswith(".bin")
            etag = hashlib.sha256(data).hexdigest() if lfs else \
                hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            write(os.path.join(hub, "blobs", etag), data)
            path = os.path.join(hub, "snapshots", self.commit, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink("../" * (2 + name.count("/")) + "blobs/" + etag, path)
        write(os.path.join(hub, "refs/main"), self.commit.encode())
        self.good = self.export(["acme/tiny"], HF_HUB_CACHE=os.path.join(
            self.home, "from"))
        for name, data in (("p/one", b"one\n"), ("two", b"two\n")):
            write(os.path.join(self.home, "in", name), data)
            kit.run(["mlfetch", "put", os.path.join(self.home, "V"),
                     os.path.join(self.home, "in", name), name], self.env)
        self.put = self.export(["p", "two", "--volume",
                                os.path.join(self.home, "V")])

    def export(self, args, **env):
        out = os.path.join(self.home, "good.tar.zst")
        done = kit.run(["mlcache", "export", "--force", out, *args],
                       dict(self.env, **env))
        assert done.returncode == 0, done.stderr
        with open(out, "rb") as f:
            return f.read()

    def plain(self, data):
        return subprocess.run(["zstd", "-q", "-d", "-c"], input=data,
                              check=True, capture_output=True).stdout

    def take(self, data, *args):
        path = os.path.join(self.home, "bad.tar.zst")
        write(path, data)
        before = self.seen()
        done = kit.run(["mlcache", "import", path, *args], self.env)
        return done, before == self.seen()

    def seen(self):
        return sorted(os.path.join(d, n) for top in ("hub", "W")
                      for d, ds, ns in os.walk(os.path.join(self.home, top))
                      for n in ds + ns) + \
            [os.path.exists(os.path.join(self.home, x)) for x in ("hub", "W")]

    def is_bad(self, data, *args, status=(8,), word=""):
        """None when it is refused as it should be, else what happened."""
        done, same = self.take(data, *args)
        said = done.stderr
        if done.returncode in status and "bad.tar.zst" in said and same and \
                word in said and done.stdout == "" and "error: " in said:
            return None
        return (done.returncode, said, "left behind" if not same else "")

    def refused(self, name, data, *args, **more):
        why = self.is_bad(data, *args, **more)
        self.tap.ok(why is None, name, why)


def bytes_of(b):
    """Cut and changed everywhere."""
    bad = []
    step = max(1, len(b.good) // 150)
    for i in range(0, len(b.good), step):
        why = b.is_bad(b.good[:i], status=(6,))
        if why:
            bad.append((i, why))
    b.tap.eq(bad, [], "cut off at any byte: status 6")
    for i in range(0, len(b.good), step):
        changed = bytearray(b.good)
        changed[i] ^= 1 << random.randrange(8)
        why = b.is_bad(bytes(changed), status=(6, 8))
        if why:
            bad.append((i, why))
    b.tap.eq(bad, [], "a bit changed anywhere: status 6 or 8")
    tar = b.plain(b.good)
    for i in range(0, len(tar), 256):
        why = b.is_bad(packed(tar[:i]), status=(6,))
        if why:
            bad.append((i, why))
    b.tap.eq(bad, [], "the tar inside cut off anywhere: status 6")
    for i in range(0, len(tar), 131):
        changed = bytearray(tar)
        changed[i] ^= 1 << random.randrange(7)
        why = b.is_bad(packed(bytes(changed)), status=(6, 8),
                       word="manifest" if 512 <= i < 900 else "")
        if why:
            bad.append((i, why))
    b.tap.eq(bad, [], "a bit of the tar changed anywhere: 6 or 8")


def frames_of(b):
    tar = b.plain(b.good)
    one = frame(tar)
    b.refused("a byte behind its end", b.good + b"\0", word="byte")
    b.refused("another archive behind it", b.good + b.good)
    b.refused("no table", one, status=(6,))
    b.refused("a table of other frames", one + table([(len(one), 7)]))
    b.refused("two tables", b.good + table([(len(one), len(tar))]))
    b.refused("frames of other programs inside",
              struct.pack("<II", 0x184D2A50, 4) + b"none" + b.good)
    b.refused("no zstd at all", tar, word="zstd")
    b.refused("an empty file", b"", status=(6,))
    stream = subprocess.run(["zstd", "-q", "-c"], input=tar, check=True,
                            capture_output=True).stdout
    b.refused("a frame that does not say what is in it",
              stream + table([(len(stream), len(tar))]), word="byte 0")
    wide = subprocess.run(["zstd", "-q", "-c", "--ultra", "--long=31", "-1"],
                          input=tar, check=True, capture_output=True).stdout
    b.refused("a frame with a window of 2 GiB",
              wide + table([(len(wide), len(tar))]))
    big = frame(bytes(64 << 20))
    b.refused("a frame with 64 MiB in it",
              big + table([(len(big), 64 << 20)]), word="memory")
    parts = [tar[:700], tar[700:]]
    for title, list_of in (("frames that are not full", parts),
                           ("an empty frame before it", [b"", tar]),
                           ("an empty frame behind it", [tar, b""])):
        frames = [frame(part) for part in list_of]
        b.refused(title, b"".join(frames) + table(
            [(len(f), len(p)) for f, p in zip(frames, list_of)]),
            word="byte")
    bare = subprocess.run(["zstd", "-q", "-c", "--no-check", "--stream-size",
                           str(len(tar))], input=tar, check=True,
                          capture_output=True).stdout
    b.refused("a frame without a checksum",
              bare + table([(len(bare), len(tar))]), word="byte 0")
    lie = bytearray(one)
    b.refused("a frame that holds less than it says",
              bytes(lie[:5]) + bytes([lie[5] ^ 1]) + bytes(lie[6:]) +
              table([(len(one), len(tar))]), status=(6, 8))


def tricks(b):
    parts = members(b.plain(b.good))
    at = next(i for i, (h, _) in enumerate(parts) if b"/blobs/" in h[:100])
    h, data = parts[at]
    name = h[:100].rstrip(b"\0").decode()

    def instead(*new):
        return packed(sealed(parts[:at] + list(new) + parts[at + 1:]))

    b.tap.eq(b.take(packed(sealed(parts)))[0].returncode, 0,
             "the bench itself makes good archives")
    shutil.rmtree(os.path.join(b.home, "hub"))
    for title, kind, link in (("a symbolic link", b"2", b"/etc/passwd"),
                              ("a hard link", b"1", b"../../../etc/passwd"),
                              ("a device", b"3", b""), ("a FIFO", b"6", b""),
                              ("a folder", b"5", b""),
                              ("a sparse file", b"S", b"")):
        b.refused(f"{title} instead of a file",
                  instead((head(name, 0, kind, link), b"")),
                  word=title.split(" ", 1)[1])
    for path in ("../x", "/etc/x", "hub/../../x", "a\\b", "hub//x", "x" * 100,
                 "hub/models--acme--tiny/blobs/" + "0" * 40):
        b.refused(f"the name '{path[:40]}'",
                  instead((head(path, len(data)), data)), word="byte")
    b.refused("a member twice", instead((h, data), (h, data)))
    b.refused("a member more", instead((h, data), (head("more", 3), b"abc")))
    b.refused("a member less", instead())
    b.refused("two in another order", packed(sealed(
        parts[:at] + [parts[at + 1], parts[at]] + parts[at + 2:])))
    record = b"18 path=../evil\n\n"
    b.refused("a pax header that says another name", instead(
        (head("ml-archive/pax", len(record), b"x"), record), (h, data)),
        word="extended")
    b.refused("a global pax header", instead(
        (head("g", len(record), b"g"), record), (h, data)))
    b.refused("a GNU long name", instead(
        (head("././@LongLink", 8, b"L"), b"../evil\0"), (h, data)))
    b.refused("another size", instead((head(name, len(data) + 1),
                                       data + b"x")))
    b.refused("a size of 8 GiB", instead((head(name, (1 << 33) - 1), data)))
    b.refused("a size in binary", instead(
        (head(name, 0, o124=b"\x80" + b"\xff" * 11), data)))
    b.refused("a negative size", instead((head(name, 0, o124=b"-0000000001"),
                                          data)))
    b.refused("a setuid mode", instead((head(name, len(data), mode=0o4755),
                                        data)))
    b.refused("an owner", instead((head(name, len(data), o108=b"0001750"),
                                   data)))
    b.refused("a time", instead((head(name, len(data), o136=b"%011o" % 7),
                                 data)))
    b.refused("a wrong checksum", instead((h[:148] + b"777777\0\0" + h[156:],
                                           data)))
    b.refused("other bytes", instead((h, bytes(len(data)))), status=(6,),
              word="digest")
    padded = bytearray(joined(parts))
    padded[BLOCK + len(parts[0][1])] = 1
    b.refused("padding that is not empty", packed(bytes(padded)))
    b.refused("a third block of zeroes",
              packed(joined(parts) + bytes(BLOCK)), word="behind")
    b.refused("another tar behind its end",
              packed(joined(parts) + joined(parts)))
    b.refused("one block of zeroes", packed(joined(parts)[:-BLOCK]),
              status=(6,))
    b.refused("a seal of another manifest", packed(joined(
        parts[:-1] + [(parts[-1][0], parts[-1][1].replace(b"1", b"2"))])))
    b.refused("no seal", packed(joined(parts[:-1])), word="seal")


def manifests(b):
    """What a manifest says, with all that follows made to fit."""
    parts = members(b.plain(b.good))
    text = parts[0][1].decode()

    def said(old, new, n=1, **more):
        changed = text.replace(old, new, n).encode()
        assert changed != text.encode(), old
        return packed(sealed([(head(MANIFEST, len(changed)), changed)] +
                             parts[1:]))

    etag = json.loads(text)["repositories"][0]["files"][1]["sha256"]
    for title, data in (
            ("another version", said('"ml-archive": 1', '"ml-archive": 2')),
            ("a member that nobody knows", said('"refs"', '"more": 1, "refs"')),
            ("a member twice", said('"refs"', '"listed": true, "refs"')),
            ("white space", said('{"ml', '{ "ml')),
            ("a path twice", said('"sub/b.bin"', '"a.json"')),
            ("a file that is a folder", said('"a.json"', '"sub"')),
            ("a path up", said('"a.json"', '"../a.json"')),
            ("an absolute path", said('"a.json"', '"/a.json"')),
            ("a path with a NUL", said('"a.json"', '"a\\u0000b"')),
            ("a path with a line", said('"a.json"', '"a\\nb"')),
            ("a repository up", said('"acme/tiny"', '"../tiny"')),
            ("no repository", said('"acme/tiny"', '"a--b/c"')),
            ("a commit that is none", said("7" * 40, "7" * 39 + "g")),
            ("a reference up", said('["main"]', '["../../../main"]')),
            ("a reference that is a commit", said('["main"]',
                                                  f'["{"8" * 40}"]')),
            ("a reference twice", said('["main"]', '["main", "main"]')),
            ("a reference that is a folder", said('["main"]',
                                                  '["a", "a/b"]')),
            ("a negative size", said('"size": 3', '"size": -3')),
            ("a size of 2^63", said('"size": 3', '"size": 9223372036854775808')),
            ("a size with a point", said('"size": 3', '"size": 3.5')),
            ("a digest too short", said(etag, etag[:-1])),
            ("a digest in capitals", said(etag, etag.upper())),
            ("absent without a listing", said('"sha256"',
                                              '"absent": true, "sha256"')),
            ("a listing without pointers", said('"listed": false',
                                                '"listed": true')),
            ("what is not there", said(
                '"files": [\n', '"files": [\n   {"path": "0", "size": 9, '
                f'"git_sha1": "{"9" * 40}"}},\n')),
            ("a type", said('"model"', '"kernel"')),
            ("files that go to no volume by name", said(
                ' "files": []', ' "files": [\n  {"name": "../x", "size": 1, '
                f'"sha256": "{etag}"}}]')),
            ("a content grouped that is not in it", said(
                ' "files": []}', ' "files": [],\n "grouped": [\n  {"digest": '
                f'"{"9" * 64}", "width": 2}}]}}')),
            ("a content grouped by three", said(
                ' "files": []}', ' "files": [],\n "grouped": [\n  {"digest": '
                f'"{etag}", "width": 3}}]}}')),
            ("a content grouped that stands as it is", said(
                ' "files": []}', ' "files": [],\n "grouped": [\n  {"digest": '
                f'"{etag}", "width": 2}}]}}')),
            ("a content grouped twice", said(
                ' "files": []}', ' "files": [],\n "grouped": [' + ",".join(
                    f'\n  {{"digest": "{etag}", "width": {n}}}'
                    for n in (2, 4)) + "]}")),
            ("none grouped", said(' "files": []}',
                                  ' "files": [],\n "grouped": []}')),
            ("a lock that is none", said(
                ' "repositories"', ' "lock": {"name": "a", "text": "b"},\n'
                ' "repositories"')),
            ("a lock's name up", said(
                ' "repositories"', ' "lock": {"name": "../a", "text": "b"},\n'
                ' "repositories"'))):
        b.refused(f"a manifest with {title}", data, "--volume",
                  os.path.join(b.home, "W"))
    b.refused("a manifest that is no JSON", said("{", "[")),
    huge = head(MANIFEST, 300 << 20)
    b.refused("a manifest of 300 MiB", packed(huge + bytes(BLOCK)))
    long = "[" * 1000
    b.refused("a manifest that is deep", packed(
        head(MANIFEST, len(long)) + pad(long.encode())))
    for title, more in (("a lock of 65 MiB", (65 << 20, 0)),
                        ("a signature of 20 kB", (9, 20_000))):
        b.refused(f"a manifest with {title}", said(
            ' "repositories"', ' "lock": {"name": "a",\n  "text": "%s",\n'
            '  "signature": "%s"},\n "repositories"' % tuple(
                n * "x" for n in more)), word="at most")
    lock = {"ml-lock": 1, "repositories": [
        {"repository": "acme/tiny", "type": "model", "revision": "main",
         "commit": "7" * 40, "files": [{"path": "a.json", "size": 3,
                                        "git_sha1": "0" * 40}]}]}
    other = copy.deepcopy(lock)
    other["repositories"][0]["commit"] = "8" * 40
    for title, what in (("a digest", lock), ("a commit", other)):
        said_lock = json.dumps(what)
        changed = text.replace(
            ' "repositories"', ' "lock": {"name": "x.lock",\n  "text": '
            f'{json.dumps(said_lock)}}},\n "repositories"', 1).encode()
        entry = (head("ml-archive/lock/x.lock", len(said_lock)),
                 said_lock.encode())
        b.refused(f"a lock that asks for {title} which is not in it", packed(
            sealed([(head(MANIFEST, len(changed)), changed), entry] +
                   parts[1:])), word="lock")


def bombs(b):
    """Much in little: held by the manifest's sizes, and the room there is."""
    size = 40 << 20
    name = hashlib.sha256(bytes(size)).hexdigest()
    text = ('{"ml-archive": 1,\n "repositories": [],\n "files": [\n  {"name": '
            f'"z", "size": %d, "sha256": "{name}"}}]}}\n')

    def tar(says, has):
        manifest = (text % says).encode()
        return sealed([(head(MANIFEST, len(manifest)), manifest),
                       (head("files/z", says), bytes(has)), ("", "")])

    w = os.path.join(b.home, "W")
    done = b.take(packed(tar(size, size)), "--volume", w)[0]
    b.tap.ok(done.returncode == 0 and
             os.path.getsize(os.path.join(b.home, "bad.tar.zst")) < 50_000,
             "40 MiB of zeroes in 4 kB are what they are", done.stderr)
    shutil.rmtree(w)
    b.refused("with more behind them than it says",
              packed(tar(size - BLOCK, size)), "--volume", w, status=(6, 8))
    b.refused("with less", packed(tar(size, size - BLOCK)), "--volume", w,
              status=(6, 8))
    manifest = (text % (1 << 52)).encode()
    pax = b"25 size=4503599627370496\n"
    done, same = b.take(packed(
        head(MANIFEST, len(manifest)) + pad(manifest) +
        head("ml-archive/pax", len(pax), b"x") + pad(pax) +
        head("files/z", 0) + bytes(1 << 20)), "--volume", w)
    b.tap.ok(done.returncode == 7 and same,
             "4 PB that do not fit: status 7, before a byte is written",
             done.stderr)


def main():
    tap = kit.Tap()
    random.seed(3)
    if not shutil.which("zstd"):
        tap.skip("hostile archives", "no zstd to make them")
        tap.done()
    b = Bench(tap)
    try:
        for test in (tricks, frames_of, manifests, bombs, bytes_of):
            test(b)
        done = b.take(b.good)[0]
        tap.eq(done.returncode, 0, "the good one is taken after all")
        done = b.take(b.put, "--volume", os.path.join(b.home, "W"))[0]
        tap.eq(done.returncode, 0, "and the other")
    finally:
        shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
