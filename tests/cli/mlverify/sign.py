#!/usr/bin/env python3
"""mlverify keygen, sign and check --key: signatures in minisign's files,
which stock minisign verifies, and the other way round."""
import json
import os
import pty
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../.."))
import kit  # noqa: E402

LLAMA = os.path.join(kit.ROOT, "tests/fixtures/llama")
MODEL = os.path.join(LLAMA, "safetensors/model.safetensors")


class Bench:
    def __init__(self, tap):
        self.tap = tap
        self.home = kit.scratch()
        self.env = kit.clean_env(self.home)
        self.public, self.secret = self.at("me.pub"), self.at("keys/me.key")

    def at(self, *parts):
        return os.path.join(self.home, *parts)

    def write(self, name, data):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def run(self, *args, typed=None):
        """With lines on standard input, which is no terminal."""
        return subprocess.run([kit.program("mlverify"), *args], env=self.env,
                              input=typed or "", capture_output=True,
                              text=True, timeout=300)

    def sign(self, *args):
        return self.run("sign", "--key", self.secret, *args)

    def check(self, *args, key=None):
        return self.run("check", "--key", key or self.public, *args)

    def expect(self, done, status, what, *words):
        text = done.stdout + done.stderr
        good = done.returncode == status and (not words or any(
            all(w in line for w in words) for line in text.splitlines()))
        return self.tap.ok(good, what, f"want {status} and {words}\n"
                           f"status {done.returncode}\n{text}")

    def model(self, name):
        path = self.at(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(MODEL, path)
        return path


def test_keys(b):
    done = b.run("keygen", "--no-password", "-p", b.public, "-s", b.secret)
    b.expect(done, 0, "a pair of keys", "public", b.public)
    b.tap.eq(oct(os.stat(b.secret).st_mode & 0o777), "0o600",
             "the secret one is for its owner")
    with open(b.public, encoding="utf-8") as f:
        lines = f.read().splitlines()
    b.tap.ok(len(lines) == 2 and lines[0].startswith("untrusted comment: ") and
             len(lines[1]) == 56 and lines[1].startswith("RW"),
             "two lines, as minisign has them", lines)
    b.expect(b.run("keygen", "--no-password", "-p", b.public, "-s", b.secret),
             2, "keys are not replaced", "--force")
    b.expect(b.run("keygen", "--no-password", "-p", b.at("new.pub"), "-s",
                   b.secret), 2, "nor is one of them")
    b.tap.ok(not os.path.exists(b.at("new.pub")), "and nothing is written")
    other = b.at("other.pub"), b.at("keys/other.key")
    for _ in range(2):
        b.expect(b.run("keygen", "--no-password", "--force", "-p", other[0],
                       "-s", other[1]), 0, "unless by force")
    same = b.at("same.key"), os.path.join(b.at("keys"), "../same.key")
    b.expect(b.run("keygen", "--no-password", "-p", same[0], "-s", same[1]), 2,
             "one file for both", "one file")
    b.tap.ok(not os.path.exists(same[0]), "and no secret is lost in it")
    b.expect(b.run("keygen", "--no-password"), 0, "where minisign looks")
    b.tap.ok(os.path.exists(b.at(".minisign/minisign.key")), "~/.minisign")
    os.remove("minisign.pub")


def test_sign(b):
    path, more = b.model("m/model.safetensors"), b.model("m/more.safetensors")
    done = b.sign(path, more)
    b.tap.eq(done.stdout, f"{path}.minisig\n{more}.minisig\n",
             "the signatures are named")
    b.expect(b.check(path), 0, "it verifies", "ok", "signature",
             "model.safetensors", "file:model.safetensors", "hashed")
    with open(b.public, encoding="utf-8") as f:
        text = f.read().splitlines()[1]
    b.expect(b.check(path, key=text), 0, "by the key itself", "ok",
             "signature")
    done = b.check("--json", path)
    doc = json.loads(done.stdout)
    b.tap.ok(done.returncode == 0 and any(
        c["name"] == "signature" and c["ok"]
        for c in doc["targets"][0]["checks"]), "in JSON", done.stdout)
    b.expect(b.check(path, key=b.at("other.pub")), 9, "another key", "FAIL",
             "signature", "not with")
    with open(path + ".minisig", encoding="utf-8") as f:
        good = f.read()
    with open(path, "r+b") as f:
        f.seek(-1, 2)
        f.write(b"\xee")
    b.expect(b.check(path), 9, "a changed file", "FAIL", "not valid")
    b.model("m/model.safetensors")
    for what, change in (
            ("another comment", good.replace("file:model", "file:medel")),
            ("a line too many", good + "x\n"), ("no lines", ""),
            ("a line too few", "\n".join(good.splitlines()[:3])),
            ("an unknown kind", good.replace("\nRUR", "\nRXR").replace(
                "\nRUS", "\nRXS").replace("\nRUT", "\nRXT").replace(
                    "\nRUQ", "\nRXQ"))):
        with open(path + ".minisig", "w", encoding="utf-8") as f:
            f.write(change)
        b.expect(b.check(path), 9, what, "FAIL", "signature")
    os.remove(path + ".minisig")
    b.expect(b.check(path), 9, "no signature", "FAIL", "signature",
             "there is no signature")
    b.expect(b.run("check", path), 0, "which nobody asks for without --key")
    b.expect(b.sign("--comment", "release 7", path), 0, "a comment of one's own")
    b.expect(b.check(path), 0, "is shown", "ok", "signature", "release 7")
    b.expect(b.sign("--comment", "two\nlines", path), 2, "but of one line")
    b.expect(b.check(path, key=b.at("nothing")), 3, "no public key", "nothing")
    b.expect(b.check(path, key=path), 8, "a public key that is none")
    b.expect(b.sign(path, b.at("nothing")), 3, "nothing to sign", "nothing")
    b.expect(b.run("sign", "--key", b.at("no.key"), path), 3,
             "no secret key: the hint says how to get one", "hint", "keygen")
    b.expect(b.run("sign", "--key", b.public, path), 8, "a public key for a "
             "secret one", "not a secret key")
    b.expect(b.check(b.at("m")), 0, "a folder of signed files", "ok",
             "more.safetensors", "signature")
    b.write("m/extra.txt", b"x")
    b.expect(b.check(b.at("m")), 9, "all of them", "FAIL", "signature",
             "extra.txt")


def test_folder(b):
    out = b.at("converted")
    done = kit.run(["mlconvert", "-q", "--fp16", "-o", out, f"{LLAMA}/bin"],
                   b.env)
    if not b.tap.ok(done.returncode == 0, "a converted folder", done.stderr):
        return
    b.expect(b.check(out), 9, "not signed yet", "FAIL", "ml-manifest.json")
    done = b.sign(out)
    b.tap.eq(done.stdout, out + "/ml-manifest.json.minisig\n",
             "its manifest is signed")
    b.expect(b.check(out), 0, "the whole folder verifies", "ok", "signature",
             "ml-manifest.json")
    b.expect(b.run("check", out), 0, "the signature is no file too many")
    path = os.path.join(out, "model.safetensors")
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(-1, 2)
        f.write(b"\xee")
    b.expect(b.check(out), 6, "a changed file is against the signed manifest",
             "FAIL", "digest", "model.safetensors")
    b.expect(b.sign(f"{LLAMA}/bin"), 3, "a folder without a manifest",
             "ml-manifest.json")


def has_terminals():
    """A bare container may have none to give."""
    try:
        for fd in pty.openpty():
            os.close(fd)
    except OSError:
        return False
    return True


def typed_at_terminal(args, env, lines):
    """(status, what the terminal showed): the program on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(args[0], args, env)
    shown = b""
    for line in lines:
        while not shown.endswith(b": "):
            shown += os.read(fd, 1)
        os.write(fd, line)
        shown += b"|"
    try:
        while True:
            part = os.read(fd, 4096)
            if not part:
                break
            shown += part
    except OSError:  # how a terminal ends
        pass
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_password(b):
    """Deriving a key takes seconds: once to make it, thrice to use it."""
    public, secret = b.at("pw.pub"), b.at("keys/pw.key")
    make = ("keygen", "-p", public, "-s", secret)
    b.expect(b.run(*make), 2, "no password", "--no-password")
    b.expect(b.run(*make, typed="one\ntwo\n"), 2, "two passwords", "differ")
    b.tap.ok(not os.path.exists(public) and not os.path.exists(secret),
             "and no key")
    terminals = has_terminals()
    if terminals:
        status, shown = typed_at_terminal(
            [kit.program("mlverify"), *make], b.env, [b"hush\n", b"hush\n"])
        b.tap.ok(status == 0 and b"hush" not in shown, "a password at a "
                 "terminal is not shown", shown)
    else:
        b.tap.skip("a password at a terminal", "no terminals here")
        b.expect(b.run(*make, typed="hush\nhush\n"), 0, "a password")
    path = b.model("p/model.safetensors")
    sign = ("sign", "--key", secret, path)
    b.expect(b.run(*sign, typed="wrong\n"), 4, "a wrong password", "wrong")
    b.expect(b.run(*sign), 2, "none at all")
    b.tap.ok(not os.path.exists(path + ".minisig"), "sign nothing")
    if terminals:
        status, shown = typed_at_terminal(
            [kit.program("mlverify"), *sign], b.env, [b"\x03"])
        b.tap.ok(status == 130, "interrupted at the question", shown)
    b.expect(b.run(*sign, typed="hush\n"), 0, "the right one")
    b.expect(b.check(path, key=public), 0, "signs", "ok", "signature")
    return public, secret


def minisign(b, *args, typed=""):
    return subprocess.run(["minisign", *args], env=b.env, input=typed,
                          capture_output=True, text=True, timeout=300)


def test_minisign(b, encrypted):
    if shutil.which("minisign") is None:
        b.tap.skip("stock minisign", "minisign is not installed")
        return
    path = b.model("i/model.safetensors")
    b.sign(path)
    done = minisign(b, "-V", "-p", b.public, "-m", path)
    b.expect(done, 0, "minisign verifies ours", "verified")
    b.expect(done, 0, "and shows the comment", "file:model.safetensors")
    odd = b.model("i/ünï\tcode.safetensors")
    b.sign(odd)
    b.expect(minisign(b, "-V", "-p", b.public, "-m", odd), 0, "an odd name")
    empty = b.write("i/empty", b"")
    b.sign(empty)
    b.expect(minisign(b, "-V", "-p", b.public, "-m", empty), 0, "an empty file")
    with open(path, "ab") as f:
        f.write(b"x")
    b.expect(minisign(b, "-V", "-p", b.public, "-m", path), 1, "minisign sees "
             "a changed file")
    path = b.model("i/model.safetensors")
    for what, more in (("prehashed", []), ("legacy", ["-l"])):
        os.remove(path + ".minisig")
        done = minisign(b, "-S", "-W", *more, "-s", b.secret, "-m", path, "-t",
                        f"a comment: {what}")
        b.expect(done, 0, f"minisign signs with our key: {what}")
        b.expect(b.check(path), 0, f"ours verifies it: {what}", "ok",
                 "signature", f"a comment: {what}")
    public, secret = b.at("stock.pub"), b.at("keys/stock.key")
    b.expect(minisign(b, "-G", "-W", "-p", public, "-s", secret), 0,
             "minisign makes a key")
    b.expect(b.run("sign", "--key", secret, path), 0, "ours signs with it")
    b.expect(minisign(b, "-V", "-p", public, "-m", path), 0, "that verifies")
    b.expect(b.check(path, key=public), 0, "here, too", "ok", "signature")
    if encrypted is None:
        return
    done = minisign(b, "-S", "-s", encrypted[1], "-m", path, typed="hush\n")
    b.expect(done, 0, "minisign opens our encrypted key")
    b.expect(b.check(path, key=encrypted[0]), 0, "and signs with it", "ok",
             "signature")
    minisign(b, "-G", "-f", "-p", public, "-s", secret, typed="pw\npw\n")
    b.expect(b.run("sign", "--key", secret, path, typed="pw\n"), 0,
             "ours opens minisign's encrypted key")
    b.expect(minisign(b, "-V", "-p", public, "-m", path), 0, "and signs")


def main():
    tap = kit.Tap()
    b = Bench(tap)
    os.chdir(b.home)
    test_keys(b)
    test_sign(b)
    test_folder(b)
    test_minisign(b, test_password(b))
    shutil.rmtree(b.home)
    tap.done()


if __name__ == "__main__":
    main()
