#!/usr/bin/env python3
"""What `make install` puts there, as its users meet it: the library built
against by its installed header alone, its symbols, pkg-config, the example,
the unit for systemd; and that `make uninstall` leaves nothing."""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import MIB, kit, matches, noise, write  # noqa: E402

PREFIX = "/opt/ml"
PROGRAMS = ["mlfetch", "mlcache", "mlconvert", "mlverify", "mlverify-run"]
MODEL = os.path.join(kit.ROOT, "tests/model/tiny-neox")
HEADER = os.path.join(kit.ROOT, "lib/mlfetch.h")
USE = os.path.join(kit.ROOT, "tests/library/use.c")
EXAMPLE = os.path.join(kit.ROOT, "docs/examples/pull.c")


def ran(args, **more):
    return subprocess.run(args, capture_output=True, text=True, timeout=300,
                          **more)


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def make(*args):
    """What is built is installed as it is."""
    build = os.path.relpath(kit.BUILD, kit.ROOT)
    plugin = os.path.exists(os.path.join(kit.BUILD, "ml-backend-cuda.so"))
    return ran(["make", "--no-print-directory", "AS_BUILT=1",
                f"BUILD={os.path.basename(build)}",
                f"WITH_CUDA={'auto' if plugin else 'no'}", *args],
               cwd=kit.ROOT)


def how_built():
    return text_of(os.path.join(kit.BUILD, "flags")).split()


def sanitizer():
    found = [w for w in how_built() if w.startswith("-fsanitize=")]
    return found[0].partition("=")[2] if found else ""


def compiler(cxx=False):
    """The one of this build, with its sanitizers."""
    cc = how_built()[0]
    if cxx:
        cc = "clang++" if "clang" in cc else "g++"
    return [cc, *[w for w in how_built() if w.startswith("-fsanitize=")]]


def files_below(folder):
    """Files and links, without the folders."""
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, folders, names in os.walk(folder)
                  for name in names + [d for d in folders if os.path.islink(
                      os.path.join(where, d))])


class Stage:
    """A tree that was installed into, and builds against it."""

    def __init__(self, folder):
        self.root = os.path.join(folder, "root")
        self.folder = folder
        self.at = self.root + PREFIX
        self.env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=self.root,
                        PKG_CONFIG_LIBDIR=self.at + "/lib/pkgconfig")

    def make(self, target):
        return make(f"DESTDIR={self.root}", f"PREFIX={PREFIX}", target)

    def config(self, *args):
        return ran(["pkg-config", *args, "mlfetch"], env=self.env)

    def build(self, name, *args, cxx=False):
        """A program; None, with what the compiler said, if it fails."""
        out = os.path.join(self.folder, name)
        done = ran([*compiler(cxx), "-Wall", "-Wextra", "-Werror", "-o", out,
                    *args])
        return (out if done.returncode == 0 else None), done.stderr


def installs(tap, stage):
    done = stage.make("install")
    tap.ok(done.returncode == 0, "make install", done.stdout + done.stderr)
    got = files_below(stage.at)
    want = [f"bin/{p}" for p in PROGRAMS] + \
        [f"share/man/man1/{p}.1" for p in PROGRAMS] + \
        [f"share/bash-completion/completions/{p}" for p in PROGRAMS] + \
        [f"share/zsh/site-functions/_{p}" for p in PROGRAMS] + \
        [f"share/fish/vendor_completions.d/{p}.fish" for p in PROGRAMS] + \
        [f"share/man/man5/{n}" for n in
         os.listdir(os.path.join(kit.ROOT, "docs/man")) if n.endswith(".5")] + \
        ["include/mlfetch.h", "lib/libmlfetch.a", "lib/libmlfetch.so",
         "lib/libmlfetch.so.1", "lib/libmlfetch.so.1.0",
         "lib/pkgconfig/mlfetch.pc",
         "lib/systemd/system/mlfetch-serve.service"]
    if os.path.exists(os.path.join(kit.BUILD, "ml-backend-cuda.so")):
        want.append("lib/mlverify-run/ml-backend-cuda.so")
    tap.eq(got, sorted(want), "all of it, and nothing else, is there")
    tap.eq(os.readlink(stage.at + "/lib/libmlfetch.so"), "libmlfetch.so.1.0",
           "the name for linking is a link")
    bad = [n for n in got if kit.BUILD in n or os.stat(
        os.path.join(stage.at, n)).st_mode & 0o777 not in (0o644, 0o755)]
    tap.eq(bad, [], "with the usual modes")
    wrong = [p for p in PROGRAMS if b"@" in open(
        os.path.join(stage.at, f"share/man/man1/{p}.1"), "rb").read(4)]
    tap.eq(wrong, [], "pages are pages")


def uninstalls(tap, stage):
    write(stage.at + "/lib/pkgconfig/other.pc", b"somebody else's\n")
    done = stage.make("uninstall")
    tap.ok(done.returncode == 0, "make uninstall", done.stdout + done.stderr)
    tap.eq(files_below(stage.root), ["opt/ml/lib/pkgconfig/other.pc"],
           "nothing of it is left, and nothing else is gone")


# ---- the library ----

def documented():
    return sorted(set(re.findall(r"^(?:MLFETCH_API .*?|    )\b(mlfetch_\w+)\(",
                                 text_of(HEADER), re.M)))


def exported(path, *how):
    done = ran(["nm", "--defined-only", "-g", *how, path])
    return sorted({line.split()[-1].partition("@")[0]
                   for line in done.stdout.splitlines()
                   if re.search(r" [A-Z] (?!MLFETCH_)", line)})


def symbols(tap, stage):
    names = documented()
    tap.ok(len(names) > 30, f"the header has {len(names)} functions")
    tap.eq(exported(stage.at + "/lib/libmlfetch.so", "-D"), names,
           "the shared library exports these")
    tap.eq([n for n in exported(stage.at + "/lib/libmlfetch.a")
            if "asan" not in n], names, "and the static one")
    listed = re.findall(r"^    (mlfetch_\w+);",
                        text_of(os.path.join(kit.ROOT, "lib/mlfetch.map")),
                        re.M)
    tap.eq(listed, names, "as the version script does")
    versioned = ran(["nm", "-D", "--with-symbol-versions", "--defined-only",
                     stage.at + "/lib/libmlfetch.so"]).stdout
    tap.eq([x for x in versioned.splitlines() if " T " in x
            and not x.endswith("@@MLFETCH_1")], [],
           "each with the version of its ABI")
    dynamic = ran(["readelf", "-d", stage.at + "/lib/libmlfetch.so"]).stdout
    tap.ok("[libmlfetch.so.1]" in dynamic and "NODELETE" in dynamic,
           "the soname is libmlfetch.so.1", dynamic)
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", dynamic))
    more = {"libcurl.so.4", "libssl.so.3", "libcrypto.so.3", "libcjson.so.1",
            "libc.so.6", "libm.so.6"}
    tap.ok(sanitizer() or not {n for n in needed if "ld-linux" not in n} - more,
           "it needs what it uses", needed)
    # the control: a name of ours that is exported is seen
    control = os.path.join(stage.folder, "control.so")
    ran(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", control],
        input="int mlfetch_version(void) {return 0;} int volume_put;")
    tap.ok("volume_put" in exported(control, "-D"), "control: a leak is seen")


def versions(tap, stage):
    version = re.search(r'ML_VERSION "(.*)"', text_of(
        os.path.join(kit.ROOT, "base/version.h"))).group(1)
    numbers = re.findall(r"MLFETCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)",
                         text_of(HEADER))
    tap.eq(".".join(numbers[:3]), version, "the header's version is the suite's")
    tap.eq(stage.config("--modversion").stdout.strip(), version,
           "and pkg-config's")
    done = stage.config("--cflags", "--libs")
    tap.eq(done.stdout.split(), [f"-I{stage.at}/include", f"-L{stage.at}/lib",
                                 "-lmlfetch"], "pkg-config --cflags --libs")
    static = stage.config("--libs", "--static").stdout.split()
    tap.ok("-lcurl" in static and "-lcjson" in static,
           "pkg-config --static names what the library is built on", static)


def header_alone(tap, stage):
    """In C of several ages and in C++, with many warnings."""
    text = ('#include <mlfetch.h>\n#include <mlfetch.h>\n'
            '#if !MLFETCH_VERSION_AT_LEAST(0, 1, 0) || '
            'MLFETCH_VERSION_AT_LEAST(99, 0, 0)\n#error version\n#endif\n'
            'int main(void) { struct mlfetch *m = mlfetch_new(); '
            'mlfetch_free(m); return m == 0 || mlfetch_version()[0] == 0; }\n')
    flags = stage.config("--cflags", "--libs").stdout.split()
    ways = [("C99", ["-std=c99"], False), ("C17", ["-std=c17"], False),
            ("C++11", ["-std=c++11"], True), ("C++20", ["-std=c++20"], True)]
    for name, how, cxx in ways:
        source = os.path.join(stage.folder, "alone" + (".cc" if cxx else ".c"))
        write(source, text.encode())
        out, said = stage.build("alone", *how, "-pedantic", "-Wconversion",
                                source, *flags, cxx=cxx)
        done = out and ran([out], env=linked(stage))
        tap.ok(done and done.returncode == 0, f"the header in {name}",
               said or (done.stderr if done else ""))


def linked(stage, home=None, **more):
    env = kit.clean_env(home or stage.folder, **more)
    env["LD_LIBRARY_PATH"] = stage.at + "/lib"
    return env


def example(tap, stage, hub):
    flags = stage.config("--cflags", "--libs").stdout.split()
    out, said = stage.build("pull", "-std=c17", EXAMPLE, *flags)
    if not tap.ok(out, "the example is built", said):
        return
    home = os.path.join(stage.folder, "example")
    os.mkdir(home)
    env = linked(stage, home, HF_ENDPOINT=hub.url)
    done = ran([out, "tiny/model"], env=env)
    files = {n: open(os.path.join(MODEL, n), "rb").read()
             for n in os.listdir(MODEL)}
    folder = done.stdout.strip()
    tap.ok(done.returncode == 0 and not matches(folder, files) and
           folder.startswith(home), "it pulls, checks and prints the folder",
           done.stdout + done.stderr)
    tap.ok("fetching: " in done.stderr and "checking: " in done.stderr,
           "and says how far it is", done.stderr)
    path = kit.run(["mlcache", "path", "tiny/model"], env)
    tap.eq(path.stdout.strip(), folder, "where the programs find it")
    done = ran([out, "tiny/none", "vol"], env=env, cwd=home)
    tap.ok(done.returncode == 3 and "error: " in done.stderr and
           done.stdout == "", "what is not there is status 3", done.stderr)
    done = ran([out, "tiny/model", "./vol"], env=env, cwd=home)
    tap.ok(done.returncode == 0 and
           done.stdout.startswith(home + "/./vol/hub/"), "into a volume",
           done.stdout + done.stderr)


def takes(tap, name, done):
    """The promises of a program that prints TAP, as ours."""
    lines = re.findall(r"^(not )?ok \d+ - (.*)$", done.stdout, re.M)
    for bad, what in lines:
        tap.ok(not bad, f"{name}: {what}",
               done.stdout + done.stderr if bad else "")
    tap.ok(f"1..{len(lines)}\n" in done.stdout and done.returncode == 0,
           f"{name}: it came to its end", done.stdout[-2000:] + done.stderr)
    tap.eq(done.stderr, "", f"{name}: the library printed nothing")


def used(tap, stage, hub):
    shared = stage.config("--cflags", "--libs").stdout.split()
    static = [f"-I{stage.at}/include", stage.at + "/lib/libmlfetch.a",
              *[w for w in stage.config("--libs", "--static").stdout.split()
                if w not in shared]]
    for name, flags in (("shared", shared), ("static", static)):
        out, said = stage.build(f"use-{name}", "-std=c17", "-D_GNU_SOURCE",
                                "-pthread", f"-I{kit.ROOT}", USE, *flags)
        if not tap.ok(out, f"{name}: a program is built", said):
            continue
        if name == "static" and not sanitizer():
            needed = ran(["readelf", "-d", out]).stdout
            tap.ok("libmlfetch" not in needed, "static: the library is in it")
        home = os.path.join(stage.folder, name)
        os.mkdir(home)
        hub.faults([{"host": "bytes", "path": "*/slow.bin", "times": -1,
                     "rate": 2 * MIB}])
        done = ran([out, hub.url, home, MODEL], env=linked(stage, home))
        takes(tap, name, done)


# ---- Debian ----

def debian(tap, stage):
    """Every file that is installed is in one of the packages."""
    folder = os.path.join(kit.ROOT, "debian")
    version = re.match(r"mlfetch \((.*?)\)", text_of(folder + "/changelog"))
    tap.eq(version.group(1), stage.config("--modversion").stdout.strip(),
           "debian/changelog has the suite's version")
    names = re.findall(r"^Package: (\S+)", text_of(folder + "/control"), re.M)
    tap.eq(names, ["mlfetch", "libmlfetch1", "libmlfetch-dev"],
           "there are three packages")
    # where debian/rules puts what is elsewhere here
    moved = [("lib/systemd", "/lib/systemd"), ("lib/lib", "/usr/lib/x/lib"),
             ("lib/pkgconfig", "/usr/lib/x/pkgconfig")]
    homes = {}
    for name in files_below(stage.at):
        at = "/usr/" + name
        for start, to in moved:
            if name.startswith(start):
                at = to + name[len(start):]
        homes[name] = [p for p in names if any(
            fnmatch.fnmatch(at[1:], x) or fnmatch.fnmatch(at[1:], x + "/*")
            for x in text_of(f"{folder}/{p}.install").split())]
    tap.eq([n for n, p in homes.items()
            if len(p) != 1 and not n.endswith("cuda.so")], [],
           "each file that is installed is in one of them")


# ---- the unit ----

def unit_runs(tap, stage, text):
    """The commands of the unit, as systemd would run them."""
    state = os.path.join(stage.folder, "state")
    given = {"%S": state, f"{PREFIX}/": stage.at + "/",
             "${MLFETCH_SERVE_LISTEN}": "127.0.0.1:0",
             "$MLFETCH_SERVE_OPTIONS": ""}
    commands = re.findall(r"^Exec\w+=-?(.*)$", text, re.M)
    for word, value in given.items():
        commands = [c.replace(word, value) for c in commands]
    env = kit.clean_env(state)
    done = [ran(c.split(), env=env) for c in commands[:-1]]
    tap.ok(done[0].returncode == 0, "the unit makes its volume",
           done[0].stderr)
    with subprocess.Popen(commands[-1].split(), env=env, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as proc:
        url = proc.stdout.readline().strip()
        try:
            with urllib.request.urlopen(url + "/healthz", timeout=30) as got:
                said = got.status
        except (OSError, ValueError) as why:
            said = why
        proc.terminate()
    tap.eq(said, 200, "and the mirror answers")
    allowed = {0} | {int(n) for n in re.findall(r"^SuccessExitStatus=(\d+)",
                                                text, re.M)}
    tap.ok(proc.returncode in allowed, "being stopped is no failure",
           proc.returncode)


def unit(tap, stage):
    """Checked where systemd is, with a program that is there."""
    path = os.path.join(stage.folder, "mlfetch-serve.service")
    text = text_of(stage.at + "/lib/systemd/system/mlfetch-serve.service")
    tap.ok(f"\nExecStart={PREFIX}/bin/mlfetch serve " in text and
           "@" not in re.sub(r"^SystemCall.*$", "", text, flags=re.M),
           "the unit runs what was installed", text)
    unit_runs(tap, stage, text)
    name = "systemd-analyze verify finds nothing wrong with the unit"
    if not shutil.which("systemd-analyze"):
        tap.skip(name, "no systemd-analyze")
        return
    write(path, text.replace(f"={PREFIX}/", f"={stage.at}/").encode())
    done = ran(["systemd-analyze", "verify", "--man=no", path])
    said = [x for x in (done.stdout + done.stderr).splitlines()
            if "mlfetch-serve" in x]
    tap.eq(said, [], name)
    write(path, text.replace("ProtectHome=yes", "ProtectHom=yes").encode())
    done = ran(["systemd-analyze", "verify", "--man=no", path])
    tap.ok("ProtectHom" in done.stdout + done.stderr,
           "control: a word that is none is found", done.stderr)
    done = ran(["systemd-analyze", "security", "--offline=true",
                "--threshold=20", path])
    tap.ok(done.returncode == 0, "it is exposed at most 2.0 of 10",
           done.stdout.splitlines()[-1:] or done.stderr)


def main():
    tap = kit.Tap()
    folder = kit.scratch()
    stage = Stage(folder)
    repo = os.path.join(folder, "slow")
    write(os.path.join(repo, "slow.bin"), noise(9 * MIB, "slow"))
    installs(tap, stage)
    versions(tap, stage)
    symbols(tap, stage)
    header_alone(tap, stage)
    with kit.Hub({"tiny/model": {"dir": MODEL},
                  "tiny/slow": {"dir": repo}}) as hub:
        example(tap, stage, hub)
        used(tap, stage, hub)
    debian(tap, stage)
    unit(tap, stage)
    uninstalls(tap, stage)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
