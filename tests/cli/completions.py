#!/usr/bin/env python3
"""Completion in bash, zsh and fish, by the shells themselves: commands,
options, their values, volumes, names in them, repositories, files."""
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

PROGRAMS = ["mlfetch", "mlcache", "mlconvert", "mlverify", "mlverify-run"]
# line, what must be offered, what must not
CASES = [
    ("mlfetch pu", {"pull", "put"}, {"get", "model.pt"}),
    ("mlfetch ", {"pull", "volume", "whoami"}, {"model.pt"}),
    ("mlfetch pull --re", {"--revision", "--repo-type", "--retry-time"},
     {"--json", "model.pt"}),
    ("mlfetch pull --repo-type ", {"model", "dataset", "space"},
     {"model.pt", "alpha"}),
    ("mlfetch pull --repo-type=d", {"dataset"}, {"model", "space"}),
    ("mlfetch pull --include ", set(), {"model.pt", "org/name", "alpha"}),
    ("mlfetch pull --local-dir ", {"folder"}, {"model.pt", "org/name"}),
    ("mlfetch pull --volume ", {"alpha", "beta", "folder"}, {"model.pt"}),
    ("mlfetch pull --lock mo", {"model.pt"}, {"org/name"}),
    ("mlfetch pull ", {"org/name", "org/other"}, {"model.pt", "alpha"}),
    ("mlfetch pull -j 3 org/na", {"org/name"}, {"org/other"}),
    ("mlfetch put ", {"alpha", "beta"}, {"model.pt", "org/name"}),
    ("mlfetch put -f alpha mo", {"model.pt"}, {"alpha"}),
    ("mlfetch get alpha ", {"notes.txt"}, {"model.pt", "beta"}),
    ("mlfetch rm alpha notes.txt no", {"notes.txt"}, {"model.pt"}),
    ("mlfetch volume ", {"create", "ls", "rm"}, {"alpha", "model.pt"}),
    ("mlfetch volume rm ", {"alpha", "beta"}, {"create"}),
    ("mlverify check ", {"org/name", "model.pt"}, {"alpha"}),
    ("mlverify check --key mo", {"model.pt"}, {"org/name"}),
    ("mlcache rm org/", {"org/name", "org/other"}, {"alpha"}),
    ("mlcache gc --volume al", {"alpha"}, {"beta"}),
    ("mlconvert ", {"org/name", "model.pt", "folder"}, {"alpha"}),
    ("mlverify-run --progress ", {"auto", "plain", "json"}, {"model.pt"}),
    ("mlverify-run --prompt x model", {"model.pt"}, {"org/name"}),
]


def all_options():
    """Every command line prefix, and the long options that its help shows."""
    found = []
    for name in PROGRAMS:
        done = subprocess.run([kit.program(name), "--help"], text=True,
                              capture_output=True)
        m = re.search(r"^Commands:\n((?:  .*\n)+)", done.stdout, re.M)
        names = re.findall(r"^  (\S+)", m.group(1), re.M) if m else [None]
        for command in names:
            words = [name] + ([command] if command else [])
            shown = subprocess.run([kit.program(name), *words[1:], "--help"],
                                   text=True, capture_output=True).stdout
            options = set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", shown,
                                     re.M))
            found.append((" ".join(words) + " --", options, set()))
    return found


class World:
    """Volumes, a hub cache and files to be found."""

    def __init__(self):
        self.home = kit.scratch()
        self.here = os.path.join(self.home, "here")
        self.scripts = os.path.join(self.home, "scripts")
        volumes = os.path.join(self.home, "volumes")
        for folder in (self.here + "/folder", self.scripts,
                       volumes + "/alpha/files/sub", volumes + "/beta/files",
                       self.home + "/hf/hub/models--org--name",
                       self.home + "/hf/hub/models--org--other"):
            os.makedirs(folder)
        for path in (self.here + "/model.pt", self.here + "/with space.pt",
                     volumes + "/alpha/ml-volume.json",
                     volumes + "/beta/ml-volume.json",
                     volumes + "/alpha/files/notes.txt",
                     volumes + "/alpha/files/sub/deep.bin"):
            with open(path, "w", encoding="utf-8"):
                pass
        self.env = kit.clean_env(self.home, MLFETCH_VOLUMES=volumes)
        self.env["PATH"] = kit.BUILD + ":" + self.env["PATH"]

    def write(self, shell, name_of):
        for name in PROGRAMS:
            done = kit.run([name, "--print-completion", shell], self.env)
            with open(os.path.join(self.scripts, name_of(name)), "w",
                      encoding="utf-8") as f:
                f.write(done.stdout)


def judge(tap, shell, cases, answers):
    """Trailing slashes are the shell's business."""
    for (line, want, unwanted), got in zip(cases, answers):
        got = {w.rstrip("/") for w in got}
        # zsh and fish offer a value with its option in front
        got |= {w.partition("=")[2] for w in got if w.startswith("--")}
        tap.ok(want <= got and not unwanted & got, f"{shell}: {line!r}",
               f"lacks {sorted(want - got)}, offers {sorted(unwanted & got)}"
               f" of {sorted(got)[:60]}")
    tap.ok(len(answers) == len(cases), f"{shell}: {len(cases)} lines")


# ---- bash ----

def bash_words(line):
    """As readline divides it: '=' is a word of its own."""
    words = re.findall(r"=|[^ =]+", line)
    return words + [""] if line[-1] in " =" else words


def bash_answers(world, cases):
    script = "".join(f". {world.scripts}/{n}\n" for n in PROGRAMS)
    for line, _, _ in cases:
        words = bash_words(line)
        quoted = " ".join("'" + w + "'" for w in words)
        script += (f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
                   f"_{words[0].replace('-', '_')}\n"
                   'printf "%s\\n" "${COMPREPLY[@]}"; echo ==\n')
    done = subprocess.run(["bash", "--norc"], input=script, text=True,
                          capture_output=True, env=world.env, cwd=world.here)
    return [part.split("\n") for part in done.stdout.split("==\n")[:-1]], \
        done.stderr


def bash(tap, world, cases):
    world.write("bash", str)
    answers, said = bash_answers(world, cases)
    judge(tap, "bash", cases, answers)
    tap.eq(said, "", "bash: nothing is said on stderr")
    loaded = subprocess.run(
        ["bash", "--norc", "-c", "for f in *; do . ./$f; complete -p $f; done"],
        capture_output=True, text=True, cwd=world.scripts, env=world.env)
    tap.eq(loaded.stdout.split("\n")[:-1],
           [f"complete -F _{n.replace('-', '_')} {n}" for n in
            sorted(PROGRAMS)], "bash: complete -p knows all programs")
    with Terminal(["bash", "--norc", "--noprofile", "-i"], world) as t:
        t.type("PS1='> '; bind 'set bell-style none'\n")
        t.type(f". {world.scripts}/mlfetch\n")
        t.type("mlfetch pul\t--loca\twith\t\n", 1.0)
        tap.ok("mlfetch pull --loc" in t.text and
               ("--local-dir" in t.text), "bash: at a prompt, by the TAB key",
               t.text)
        t.type("mlfetch put alpha wi\t\n", 1.0)
        tap.ok("with\\ space.pt" in t.text, "bash: a name with a space is "
               "quoted", t.text)


# ---- a terminal ----

class Terminal:
    """A shell at a prompt, for `with`."""

    def __init__(self, args, world):
        self.args, self.world, self.text = args, world, ""

    def __enter__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(self.world.here)
            os.execvpe(self.args[0], self.args,
                       dict(self.world.env, TERM="xterm"))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 500, 200, 0, 0))
        os.set_blocking(self.fd, False)
        return self

    def __exit__(self, *exc):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)

    def read(self):
        try:
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            pass

    def type(self, text, wait=0.2):
        os.write(self.fd, text.encode())
        until = time.monotonic() + wait
        while time.monotonic() < until:
            self.read()
            time.sleep(0.02)


# ---- zsh ----

# What is offered is what compadd is given and takes.
ZSH = """PS1='> '
LISTMAX=100000
fpath=(%s $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a took
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
        builtin compadd "$@"
        return $?
    fi
    builtin compadd -O took "$@"
    print -rl -- "${(Q@)took}" >> %s
    builtin compadd "$@"
}
mark() { print -r -- '==' >> %s }
zle -N mark
bindkey '^I' complete-word
bindkey '^T' mark
print -r -- '==' >> %s
"""


def zsh_answers(world, cases):
    out = os.path.join(world.home, "offered")
    rc = os.path.join(world.home, "zshrc")
    with open(rc, "w", encoding="utf-8") as f:
        f.write(ZSH % (world.scripts, out, out, out))

    def parts():
        if not os.path.exists(out):
            return []
        with open(out, encoding="utf-8") as f:
            return f.read().split("==\n")[:-1]

    with Terminal(["zsh", "-f", "-i"], world) as t:
        t.type(f". {rc}\n", 0)
        for n, line in enumerate([None] + [c[0] for c in cases]):
            if line is not None:
                t.type("\x15" + line + "\t\x14", 0)
            until = time.monotonic() + 20
            while len(parts()) <= n and time.monotonic() < until:
                t.read()
                time.sleep(0.01)
            if len(parts()) <= n:
                break
        t.type("\x15\x14", 0.3)
        return [p.split("\n") for p in parts()[1:]][:len(cases)], t.text


def zsh(tap, world, cases):
    shutil.rmtree(world.scripts)
    os.mkdir(world.scripts)
    world.write("zsh", lambda n: "_" + n)
    answers, text = zsh_answers(world, cases)
    judge(tap, "zsh", cases, answers)
    bad = [x for x in text.splitlines()
           if re.search(r"_ml\w*:\d+:|bad |not found|_arguments:", x)]
    tap.eq(bad, [], "zsh: nothing goes wrong on the way")


# ---- fish ----

def fish(tap, world, cases):
    script = "".join(f"source {world.scripts}/{n}.fish\n" for n in PROGRAMS)
    world.write("fish", lambda n: n + ".fish")
    for line, _, _ in cases:
        script += f"complete -C '{line}'; echo ==\n"
    done = subprocess.run(["fish", "--no-config", "-c", script], text=True,
                          capture_output=True, env=world.env, cwd=world.here)
    answers = [[w.partition("\t")[0] for w in part.split("\n")]
               for part in done.stdout.split("==\n")[:-1]]
    judge(tap, "fish", cases, answers)
    tap.eq(done.stderr, "", "fish: nothing is said on stderr")
    tap.ok("pull\tfetch repositories from a hub" in done.stdout,
           "fish: with what it is")


def main():
    tap = kit.Tap()
    cases = CASES + all_options()
    world = World()
    for shell, check in (("bash", bash), ("zsh", zsh), ("fish", fish)):
        if shutil.which(shell):
            check(tap, world, cases)
        else:
            tap.skip(f"completion in {shell}", f"there is no {shell}")
    shutil.rmtree(world.home)
    tap.done()


if __name__ == "__main__":
    main()
