#!/usr/bin/env python3
"""The Debian packages: built from what the version control knows, unpacked
together, and used. `make debian-check` runs it; minutes."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

PACKAGES = ["mlfetch", "libmlfetch1", "libmlfetch-dev"]
PROGRAMS = ["mlfetch", "mlcache", "mlconvert", "mlverify", "mlverify-run"]
# known, and why: docs/design/packages.md
ALLOWED = {"initial-upload-closes-no-bugs",
           "copyright-without-copyright-notice"}


def ran(args, **more):
    return subprocess.run(args, capture_output=True, text=True, **more)


def export(folder):
    """The tracked files, as they are now."""
    names = ran(["git", "ls-files", "-z"], cwd=kit.ROOT).stdout.split("\0")
    for name in names[:-1]:
        to = os.path.join(folder, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if os.path.exists(os.path.join(kit.ROOT, name)):
            shutil.copy2(os.path.join(kit.ROOT, name), to)


def build(tap, top):
    tree = os.path.join(top, "mlfetch")
    export(tree)
    env = dict(os.environ, DEB_BUILD_OPTIONS="nocheck parallel=2")
    done = ran(["dpkg-buildpackage", "-us", "-uc"], cwd=tree, env=env)
    built = [p for p in PACKAGES if glob.glob(f"{top}/{p}_*.deb")]
    tap.ok(done.returncode == 0 and built == PACKAGES,
           "dpkg-buildpackage builds the packages",
           (done.stdout + done.stderr)[-3000:])
    said = done.stdout + done.stderr
    bad = [x for x in said.splitlines() if re.search(
        r"warning: (?!.*cannot sign)|new symbols|some symbols", x)]
    tap.eq(bad, [], "and warns of nothing")
    left = ran(["dpkg-buildpackage", "-T", "clean"], cwd=tree)
    tap.ok(left.returncode == 0 and
           not glob.glob(f"{tree}/debian/*.substvars"), "its clean cleans",
           left.stderr)
    tap.ok(glob.glob(f"{top}/mlfetch_*.dsc") and
           glob.glob(f"{top}/mlfetch_*.tar.xz"), "there is a source package")


def field(top, package, name):
    return ran(["dpkg-deb", "-f", glob.glob(f"{top}/{package}_*.deb")[0],
                name]).stdout.strip()


def contents(tap, top, root):
    owners = {}
    for package in PACKAGES:
        deb = glob.glob(f"{top}/{package}_*.deb")[0]
        for line in ran(["dpkg-deb", "-c", deb]).stdout.splitlines():
            name = line.split(None, 5)[5].partition(" -> ")[0]
            if not name.endswith("/"):
                owners.setdefault(name, []).append(package)
        done = ran(["dpkg-deb", "-x", deb, root])
        tap.ok(done.returncode == 0, f"{package} unpacks", done.stderr)
    tap.eq([n for n, p in owners.items() if len(p) > 1], [],
           "no file is in two packages")
    depends = field(top, "mlfetch", "Depends")
    tap.ok("libcurl4" in depends and "libmlfetch" not in depends,
           "the programs need Debian's libraries", depends)
    tap.ok(field(top, "libmlfetch-dev", "Depends").startswith(
        "libmlfetch1 (= "), "the header needs its library")
    scripts = ran(["dpkg-deb", "-I", glob.glob(f"{top}/mlfetch_*.deb")[0],
                   "postinst"]).stdout
    tap.ok("deb-systemd-helper enable" not in scripts or
           "was-enabled" in scripts, "installing starts no mirror", scripts)


def used(tap, root, home):
    env = kit.clean_env(home)
    for name in PROGRAMS:
        done = ran([f"{root}/usr/bin/{name}", "--version"], env=env)
        tap.ok(done.returncode == 0, f"{name} {done.stdout.strip()}",
               done.stderr)
        page = ran(["man", "-l", "-Tutf8", "--warnings",
                    f"{root}/usr/share/man/man1/{name}.1.gz"],
                   env=dict(env, MANROFFSEQ="", LC_ALL="C.UTF-8"))
        tap.ok(page.returncode == 0 and page.stderr == "" and
               "EXIT STATUS" in re.sub(".\b", "", page.stdout), f"man {name}",
               page.stderr)
    libs = glob.glob(f"{root}/usr/lib/*/libmlfetch.so.1")[0]
    libs = os.path.dirname(libs)
    env.update(LD_LIBRARY_PATH=libs, PKG_CONFIG_SYSROOT_DIR=root,
               PKG_CONFIG_PATH=libs + "/pkgconfig")
    flags = ran(["pkg-config", "--cflags", "--libs", "mlfetch"],
                env=env).stdout.split()
    source = f"{root}/usr/share/doc/libmlfetch-dev/examples/pull.c"
    out = os.path.join(home, "pull")
    done = ran(["cc", "-o", out, source, *flags])
    tap.ok(done.returncode == 0, "the example is built from the packages",
           done.stderr)
    model = os.path.join(kit.ROOT, "tests/model/tiny-neox")
    with kit.Hub({"tiny/model": {"dir": model}}) as hub:
        done = ran([out, "tiny/model"], env=dict(env, HF_ENDPOINT=hub.url))
    tap.ok(done.returncode == 0 and
           sorted(os.listdir(done.stdout.strip())) ==
           sorted(os.listdir(model)), "and pulls", done.stderr)


def lint(tap, top):
    if not shutil.which("lintian"):
        tap.skip("lintian finds nothing", "there is no lintian")
        return
    done = ran(["lintian", "--tag-display-limit", "0", "--allow-root",
                *glob.glob(f"{top}/*.changes")])
    found = [x for x in done.stdout.splitlines()
             if re.match(r"[EW]: ", x) and x.split()[2] not in ALLOWED]
    tap.eq(found, [], "lintian finds no error and no warning")


def main():
    tap = kit.Tap()
    if not shutil.which("dpkg-buildpackage") or not shutil.which("dh"):
        tap.skip("Debian packages", "no dpkg-dev or debhelper")
        tap.done()
    top = kit.scratch()
    root, home = os.path.join(top, "root"), os.path.join(top, "home")
    os.mkdir(root)
    os.mkdir(home)
    build(tap, top)
    if not tap.failed:
        contents(tap, top, root)
        used(tap, root, home)
        lint(tap, top)
    shutil.rmtree(top)
    tap.done()


if __name__ == "__main__":
    main()
