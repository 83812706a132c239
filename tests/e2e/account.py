#!/usr/bin/env python3
"""mlfetch login, logout, whoami: the official client's token files; and that
a token is needed only where something is asked. What the Hub warns of."""
import configparser
import json
import os
import pty
import select
import shutil
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, fails, kit, make_model, write  # noqa: E402

ALICE, BOB, GARBAGE = "hf_alicealice", "hf_bobbob", "hf_garbage"
EVE = "hf_eveeve"


def fetch(w, *args, text=None, **env):
    """A command with standard input."""
    return subprocess.run([kit.program("mlfetch"), *args], input=text or "",
                          env=dict(w.env, **env), capture_output=True,
                          text=True, timeout=60)


def stored(w):
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(os.path.join(w.home, "hf/stored_tokens"))
    return {name: dict(ini[name]) for name in ini.sections()}


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def logins(tap, hub):
    with World(hub.url) as w:
        token = os.path.join(w.home, "hf/token")
        fails(tap, fetch(w, "whoami"), 4, "no token", "nobody: 4")
        fails(tap, fetch(w, "login", text=GARBAGE), 4, "standard input",
              "a token that is not accepted: 4")
        fails(tap, fetch(w, "login"), 2, "no token", "none at all: 2")
        fails(tap, fetch(w, "login", text="api_org_x"), 8, "organisation",
              "one of an organisation: 8")
        fails(tap, fetch(w, "login", text="hf_a\x1bb"), 8, "not a token",
              "one that is none: 8")
        tap.ok(not os.path.exists(os.path.join(w.home, "hf")),
               "and nothing is kept of them")
        done = fetch(w, "login", text=ALICE + "\r\n")
        tap.ok(done.returncode == 0 and done.stdout == "logged in as alice\n"
               and "hf_" not in done.stderr, "login", done.stderr)
        with open(token, encoding="utf-8") as f:
            tap.eq(f.read(), ALICE, "the token file")
        tap.eq(stored(w), {"laptop": {"hf_token": ALICE}}, "stored_tokens")
        tap.ok(mode(token) == 0o600 and mode(os.path.dirname(token)) == 0o700
               and mode(os.path.join(w.home, "hf/stored_tokens")) == 0o600,
               "for nobody else to read")
        tap.eq(fetch(w, "whoami").stdout, "alice\n", "whoami")
        got = json.loads(fetch(w, "whoami", "--json").stdout)
        tap.eq(got, {"name": "alice", "type": "user", "token": "laptop",
                     "role": "read", "source": f"the file {token}"},
               "whoami --json")
        write(os.path.join(w.home, "hf/stored_tokens"),
              f"[laptop]\nhf_token = {ALICE}\n\n[oauth-zoe]\nhf_token = "
              f"hf_oauth_z%z\nrefresh_token = r\nexpires_at = 9\n\n".encode())
        done = fetch(w, "login", text=BOB)
        tap.eq(stored(w), {
            "laptop": {"hf_token": ALICE}, "ci %": {"hf_token": BOB},
            "oauth-zoe": {"hf_token": "hf_oauth_z%z", "refresh_token": "r",
                          "expires_at": "9"}}, "others are left as they are")
        with open(os.path.join(w.home, "hf/stored_tokens"),
                  encoding="utf-8") as f:
            names = [x for x in f.read().split("\n") if x.startswith("[")]
        tap.eq(names, ["[ci %]", "[laptop]", "[oauth-zoe]"], "sorted by name")
        tap.eq(mode(os.path.join(w.home, "hf/stored_tokens")), 0o600,
               "and private again")
        broken = os.path.join(w.home, "hf/stored_tokens")
        with open(broken, "rb") as f:
            good = f.read()
        write(broken, b"hf_token = x\n" + good)
        fails(tap, fetch(w, "login", text=ALICE), 8, "stored_tokens",
              "a file that is no list of tokens is left alone: 8")
        with open(token, encoding="utf-8") as f:
            tap.eq(f.read(), BOB, "and so is the other")
        write(broken, good.replace(b"\n", b"\r\n").rstrip())
        tap.ok(fetch(w, "login", text=BOB).returncode == 0 and
               len(stored(w)) == 3, "other line ends will do")
        fails(tap, fetch(w, "logout", "nope"), 3, "nope", "no such name: 3")
        tap.ok(fetch(w, "logout", "laptop").returncode == 0 and
               os.path.exists(token), "another one's name keeps the token")
        tap.ok(fetch(w, "logout", "ci %").returncode == 0 and
               not os.path.exists(token) and list(stored(w)) == ["oauth-zoe"],
               "its own name does not")
        fetch(w, "login", text=BOB)
        done = fetch(w, "logout")
        tap.ok(done.returncode == 0 and not os.path.exists(token) and not
               os.path.exists(os.path.join(w.home, "hf/stored_tokens")),
               "logout forgets all", done.stderr)
        done = fetch(w, "logout")
        tap.ok(done.returncode == 0 and "no token" in done.stderr,
               "nothing is left to forget", done.stderr)
        fails(tap, fetch(w, "logout", HF_TOKEN=BOB), 4, "HF_TOKEN",
              "HF_TOKEN is beyond it: 4")
        done = fetch(w, "login", text=ALICE, HF_TOKEN=BOB)
        tap.ok(done.returncode == 0 and "HF_TOKEN" in done.stderr,
               "login warns of it", done.stderr)
        done = fetch(w, "login", text=BOB,
                     HF_TOKEN_PATH=os.path.join(w.home, "other/t"))
        tap.ok(done.returncode == 0 and sorted(os.listdir(os.path.join(
            w.home, "other"))) == ["stored_tokens", "stored_tokens.lock",
                                   "t"], "HF_TOKEN_PATH moves both files",
               done.stderr)
        fails(tap, fetch(w, "whoami", HF_HUB_OFFLINE="1"), 5, "offline",
              "offline: 5")
        fails(tap, fetch(w, "login", text=BOB, HF_HUB_OFFLINE="1"), 5,
              "offline", "login offline: 5")


def read_until(fd, text, seconds=20):
    said, end = "", time.monotonic() + seconds
    while text not in said and time.monotonic() < end:
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            said += os.read(fd, 4096).decode()
        except OSError:
            break
    return said


def prompted(tap, hub):
    name = "the prompt does not show the token"
    with World(hub.url) as w:
        try:
            pid, fd = pty.fork()
        except OSError as why:
            tap.skip(name, f"no terminal: {why}")
            return
        if pid == 0:
            os.execve(kit.program("mlfetch"), ["mlfetch", "login"], w.env)
        said = read_until(fd, "settings/tokens): ")
        os.write(fd, ALICE.encode() + b"\n")
        said += read_until(fd, "logged in as alice")
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        tap.ok(status == 0 and "Token" in said and "alice" in said
               and "hf_" not in said, name, said)


def lazy(tap, hub, files):
    with World(hub.url, HF_TOKEN_PATH="/proc") as w:
        # a token file that cannot be read, whoever asks
        fails(tap, w.pull("acme/tiny"), 8, "/proc",
              "a token file that is none, when one is needed: 8")
        ok = dict(w.env)
        del ok["HF_TOKEN_PATH"]
        folder = kit.run(["mlfetch", "pull", "acme/tiny"], ok).stdout
        commit = os.path.basename(folder.strip())
        for args in (["acme/tiny", "--offline"], ["acme/tiny@" + commit]):
            done = w.pull(*args)
            tap.ok(done.returncode == 0 and done.stdout == folder,
                   f"and when none is needed: {args[-1][:10]}", done.stderr)


def warnings(tap, hub):
    with World(hub.url) as w:
        hub.faults([{"host": "hub", "times": -1, "headers": {
            "X-HF-Warning": "Old; mlfetch is \x1b[31mold"}},
            {"host": "bytes", "times": -1, "headers": {
                "X-HF-Warning": "Ad; buy more"}}])
        done = w.pull("acme/tiny")
        tap.ok(done.returncode == 0 and done.stderr.count("mlfetch is") == 1 and "\x1b" not in done.stderr
               and "warning: " in done.stderr and "buy" not in done.stderr,
               "what the Hub warns of is shown once", done.stderr)
        hub.faults([])


def odd_names(tap, hub):
    """What the Hub calls a token may be anything; others read our file."""
    with World(hub.url) as w:
        done = fetch(w, "login", text=EVE)
        names = list(stored(w))
        tap.ok(done.returncode == 0 and len(names) == 1 and
               names[0] == "\u00e9" * 63, "a long name is cut at a character",
               f"{names} {done.stderr}")
        done = fetch(w, "whoami")
        tap.ok(done.returncode == 0 and "\x1b" not in done.stdout and
               len(done.stdout) < 600, "a name with controls is shown harmless",
               done.stdout)
        who = json.loads(fetch(w, "whoami", "--json").stdout)
        tap.eq(set(who), {"name", "type", "token", "role", "source"},
               "the keys of whoami --json")
        done = fetch(w, "login", text=BOB, HUGGING_FACE_HUB_TOKEN=ALICE)
        tap.ok("HUGGING_FACE_HUB_TOKEN is set" in done.stderr,
               "the variable that wins is named", done.stderr)
        tap.eq(fetch(w, "logout").returncode, 0, "logout")
        tap.eq([n for n in os.listdir(os.path.join(w.home, "hf"))
                if "token" in n and not n.endswith(".lock")], [],
               "leaves no file with a token")


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"))
    repos = {"acme/tiny": {"dir": os.path.join(data, "tiny")}}
    tokens = {ALICE: {"name": "alice", "displayName": "laptop"},
              BOB: {"name": "bob", "displayName": "ci %"},
              EVE: {"name": "\x1b[31meve" + "x" * 500,
                    "displayName": "\u00e9" * 100}}
    with kit.Hub(repos, tokens=tokens) as hub:
        logins(tap, hub)
        odd_names(tap, hub)
        prompted(tap, hub)
        lazy(tap, hub, files)
        warnings(tap, hub)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
