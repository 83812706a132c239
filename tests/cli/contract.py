#!/usr/bin/env python3
"""The contract common to all programs (docs/design, section 2): help, usage
errors, exit status, what goes to stdout and what to stderr, manual pages and
completions. Driven by what each program says about itself."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

PROGRAMS = ["mlfetch", "mlcache", "mlconvert", "mlverify", "mlverify-run"]
FIXTURE = os.path.join(kit.ROOT, "tests/fixtures/llama/safetensors")
# what to try as the argument of an option that says only its kind
VALUES = ["1", "10M", "auto", "x"]


class Command:
    """One command line prefix and what its --help says."""

    def __init__(self, words, help_text):
        self.words = words
        self.label = " ".join(words)
        self.help = help_text
        usage = re.match(r"Usage: (.*)", help_text)
        self.usage = usage.group(1) if usage else ""

    def required(self):
        """The arguments that are not in brackets."""
        rest = self.usage[len(self.label):]
        rest = re.sub(r"\[[^][]*(\[[^][]*\])?[^][]*\](\.\.\.)?", "", rest)
        return [w for w in rest.split() if w not in ("|", "COMMAND")]

    def options(self):
        """(spelling, takes an argument, text) of every option."""
        found = []
        pattern = r"^  (?:(-\w), |    )--([\w-]+)(=\S+)?((?:\n?.*?)*?)(?=\n  (?:-\w, |    )--|\n\n|\Z)"
        for m in re.finditer(pattern, self.help, re.M):
            letter, name, arg, text = m.groups()
            found.append(("--" + name, bool(arg), text))
            if letter:
                found.append((letter, bool(arg), text))
        return found


def clean(done):
    """Nothing of a failure on stdout, one message on stderr."""
    return done.stdout == "" and done.returncode != 0


def is_usage_error(done, name):
    lines = done.stderr.splitlines()
    return (done.returncode == 2 and done.stdout == "" and lines and
            lines[0].startswith(f"{name}: error: "))


def narrow(text):
    return all(len(line) <= 80 for line in text.splitlines())


def shown(done):
    return f"status {done.returncode}\n{done.stdout}\n{done.stderr}"


def check_help(tap, env, words):
    done = kit.run([*words, "--help"], env)
    label = " ".join(words)
    tap.ok(done.returncode == 0 and done.stdout.startswith(f"Usage: {label}")
           and done.stderr == "", f"{label} --help is on stdout", shown(done))
    tap.ok(narrow(done.stdout), f"{label} --help is at most 80 columns wide")
    return done.stdout


def accepted(env, command, option, takes_arg, text):
    """Some argument must do: --help behind it is reached."""
    if not takes_arg:
        return kit.run([*command.words, option, "--help"], env)
    words = VALUES + re.findall(r"[\w-]+", text)
    for value in words:
        done = kit.run([*command.words, option, value, "--help"], env)
        if done.returncode == 0:
            break
    return done


def check_options(tap, env, command):
    bad = []
    options = command.options()
    for option, takes_arg, text in options:
        done = accepted(env, command, option, takes_arg, text)
        if done.returncode != 0:
            bad.append(f"{option}: {done.stderr.strip()}")
    tap.ok(options and not bad, f"{command.label}: the {len(options)} options "
           "of its --help are accepted", "\n".join(bad) or command.help)
    lone = [o for o, takes_arg, _ in options if takes_arg]
    bad = [o for o in lone
           if not is_usage_error(kit.run([*command.words, o], env),
                                 command.words[0])]
    tap.ok(not bad, f"{command.label}: an option without its argument is "
           "wrong usage", "\n".join(bad))


def check_usage(tap, env, command):
    name = command.words[0]
    for wrong in (["--no-such-option"], ["--no-such=1"], ["-%"]):
        done = kit.run([*command.words, *wrong], env)
        tap.ok(is_usage_error(done, name) and wrong[0].split("=")[0]
               in done.stderr, f"{command.label} {wrong[0]}: wrong usage, the "
               "option is named", shown(done))
    done = kit.run([*command.words, "--help=1"], env)
    tap.ok(is_usage_error(done, name),
           f"{command.label} --help=1: a flag takes no argument", shown(done))
    if not command.required():
        return
    done = kit.run(command.words, env)
    tap.ok(is_usage_error(done, name),
           f"{command.label} without arguments: wrong usage", shown(done))
    tap.ok("hint: " in done.stderr,
           f"{command.label} without arguments: the hint says what to run")


def commands_of(help_text):
    m = re.search(r"^Commands:\n((?:  .*\n)+)", help_text, re.M)
    return re.findall(r"^  (\S+)", m.group(1), re.M) if m else []


def sub_commands(tap, env, words, help_text):
    """The commands below a program, and below those that have their own."""
    names = commands_of(help_text)
    if not names:
        return [Command(words, help_text)]
    done = kit.run([*words, "no-such-command"], env)
    tap.ok(is_usage_error(done, words[0]) and "no-such-command" in done.stderr,
           f"{' '.join(words)}: an unknown command is wrong usage", shown(done))
    done = kit.run(words, env)
    tap.ok(is_usage_error(done, words[0]),
           f"{' '.join(words)} without a command is wrong usage", shown(done))
    return [Command([*words, n], check_help(tap, env, [*words, n]))
            for n in names]


def check_program(tap, env, name):
    if not os.path.exists(kit.program(name)):
        tap.ok(False, f"{name} is built")
        return
    text = check_help(tap, env, [name])
    done = kit.run([name, "--version"], env)
    tap.ok(done.returncode == 0 and done.stderr == "" and
           re.fullmatch(rf"{name} \d+\.\d+\.\d+\S*\n", done.stdout),
           f"{name} --version", shown(done))
    for command in sub_commands(tap, env, [name], text):
        check_options(tap, env, command)
        check_usage(tap, env, command)
        done = kit.run([*command.words, "--version"], env)
        tap.ok(done.returncode == 0, f"{command.label} --version", shown(done))
    check_man(tap, env, name)
    check_completion(tap, env, name)
    check_full(tap, env, [name, "--help"])
    check_full(tap, env, [name, "--version"])


# ---- pages ----


def filtered(args, text):
    return subprocess.run(args, input=text, capture_output=True, text=True)


def check_man(tap, env, name):
    done = kit.run([name, "--print-man"], env)
    page = done.stdout
    ok = (done.returncode == 0 and page.startswith(".TH ") and
          all(re.search(rf"^\.SH ({s})$", page, re.M) for s in
              ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS|COMMON OPTIONS",
               "EXIT STATUS")))
    tap.ok(ok, f"{name}: the manual page has its sections",
           "\n".join(re.findall(r"^\.(?:TH|SH) .*", page, re.M)) or shown(done))
    if shutil.which("mandoc"):
        lint = filtered(["mandoc", "-T", "lint", "-W", "warning"], page)
        # no date: the same source must give the same page
        found = [x for x in lint.stdout.splitlines()
                 if "missing date" not in x]
        tap.ok(not found, f"{name}: mandoc finds nothing wrong",
               "\n".join(found))
    if shutil.which("groff"):
        lint = filtered(["groff", "-man", "-ww", "-z", "-Tutf8"], page)
        tap.ok(lint.returncode == 0 and lint.stderr == "",
               f"{name}: groff finds nothing wrong", lint.stderr)


def check_completion(tap, env, name):
    shells = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"],
              "fish": ["fish", "--no-execute"]}
    for shell, parser in shells.items():
        done = kit.run([name, "--print-completion", shell], env)
        tap.ok(done.returncode == 0 and name in done.stdout,
               f"{name}: completion for {shell}", shown(done))
        if not shutil.which(shell):
            continue
        read = filtered(parser, done.stdout)
        tap.ok(read.returncode == 0 and read.stderr == "",
               f"{name}: {shell} can read it", read.stderr)
    if shutil.which("bash"):
        script = (kit.run([name, "--print-completion", "bash"], env).stdout +
                  f"\ncomplete -p {name}\n")
        read = filtered(["bash", "--norc"], script)
        tap.ok(read.returncode == 0 and name in read.stdout,
               f"{name}: bash completes it then", read.stdout + read.stderr)
    done = kit.run([name, "--print-completion", "nosuchshell"], env)
    tap.ok(is_usage_error(done, name), f"{name}: no completion for a shell "
           "that is not known", shown(done))


# ---- stdout that cannot be written to ----


def check_full(tap, env, words):
    label = " ".join(os.path.basename(w) for w in words)
    name = words[0]
    args = [kit.program(name), *words[1:]]
    for where in ("/dev/full", "&-"):
        done = subprocess.run(["sh", "-c", f'"$@" >{where}', "sh", *args],
                              env=env, stdin=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE)
        tap.ok(done.returncode not in (0, 2) and done.returncode < 100 and
               f"{name}: error: standard output" in done.stderr,
               f"{label} >{where} fails and says so",
               f"status {done.returncode}\n{done.stderr}")


def check_closed_streams(tap, env, home):
    """A file opened first must not become stdout or stderr."""
    copy = os.path.join(home, "victim")
    shutil.copytree(FIXTURE, copy)
    before = {f: open(os.path.join(copy, f), "rb").read()
              for f in os.listdir(copy)}
    subprocess.run(["sh", "-c", '"$@" >&- 2>&- <&-', "sh",
                    kit.program("mlverify"), "check", copy], env=env)
    after = {f: open(os.path.join(copy, f), "rb").read()
             for f in os.listdir(copy)}
    tap.ok(before == after, "closed streams do not turn into files")


def check_pipe(tap, env):
    """A reader that leaves early is no crash."""
    for name in PROGRAMS:
        done = subprocess.run(["sh", "-c", f'{{ "$1" --help; echo $? >&2; }} |'
                               " true", "sh", kit.program(name)], env=env,
                              capture_output=True, text=True)
        last = (done.stderr.split() or ["?"])[-1]
        tap.ok(last in ("0", "1"), f"{name} --help | true does not crash",
               done.stderr)


def check_failures(tap, env):
    """Failures keep stdout clean, with --json too."""
    cases = [
        (["mlverify", "check", "no/such-model"], 3),
        (["mlverify", "check", "--json", "no/such-model"], 3),
        (["mlconvert", "--list", "/no/such/file"], 3),
        (["mlconvert", "--list", "--json", "/no/such/file"], 3),
        (["mlverify-run", "/no/such/folder"], 3),
        (["mlcache", "path", "no/such-model"], 3),
        (["mlfetch", "pull", "--offline", "no/such-model"], None),
        (["mlfetch", "ls", "/no/such/volume"], 3),
        (["mlfetch", "get", "/no/such/volume", "x"], 3),
    ]
    for words, status in cases:
        if not os.path.exists(kit.program(words[0])):
            continue
        done = kit.run(words, env)
        lines = done.stderr.splitlines()
        good = (clean(done) and lines and
                lines[0].startswith(f"{words[0]}: error: ") and
                (status is None or done.returncode == status))
        tap.ok(good, f"{' '.join(words)}: status {status or 'not 0'}, nothing "
               "on stdout", shown(done))


def check_pages(tap):
    """The pages of section 5 that are written by hand."""
    folder = os.path.join(kit.ROOT, "docs/man")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not re.search(r"\.[1-8]$", name):
            continue
        if shutil.which("groff"):
            lint = subprocess.run(["groff", "-man", "-t", "-ww", "-z",
                                   "-Tutf8", path], capture_output=True,
                                  text=True)
            tap.ok(lint.returncode == 0 and lint.stderr == "",
                   f"{name}: groff finds nothing wrong", lint.stderr)
        if shutil.which("mandoc"):
            lint = subprocess.run(["mandoc", "-T", "lint", "-W", "error",
                                   path], capture_output=True, text=True)
            tap.ok(lint.returncode == 0, f"{name}: mandoc finds no error",
                   lint.stdout)


def main():
    tap = kit.Tap()
    home = kit.scratch()
    env = kit.clean_env(home, HF_HUB_OFFLINE="1")
    for name in PROGRAMS:
        check_program(tap, env, name)
    check_full(tap, env, ["mlverify", "check", FIXTURE])
    check_full(tap, env, ["mlconvert", "--list", FIXTURE])
    check_closed_streams(tap, env, home)
    check_pipe(tap, env)
    check_failures(tap, env)
    check_pages(tap)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
