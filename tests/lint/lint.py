#!/usr/bin/env python3
"""The rules of the house, checked by machine (docs/design/README.md).

Prints one line per rule, then every place that breaks it, and ends with the
count. Needs a release build for the rules about linking.
"""
import glob
import os
import re
import subprocess
import sys

FLOORS = {
    "base": [],
    "formats": ["base"],
    "net": ["base"],
    "s3": ["net", "base"],
    "cache": ["base"],
    "bucket": ["s3", "cache", "net", "base"],
    "fetch": ["cache", "net", "base"],
    "convert": ["cache", "formats", "base"],
    "verify": ["cache", "formats", "base"],
    "verify-run": ["cache", "formats", "base"],
    "serve": ["fetch", "bucket", "s3", "cache", "net", "base"],
    "lib": ["fetch", "verify", "cache", "net", "formats", "base"],
}
# A program's command line stands above all rooms that it is made of.
MADE_OF = {"fetch": ["serve", "fetch", "bucket", "s3", "cache", "net", "base"],
           "cache": ["bucket", "s3", "cache", "net", "base"]}
# A plugin is no floor: it has its own sources, the words of base that it is
# linked with, and of the program's room the interface alone.
PLUGIN = "cuda"
PLUGIN_MAY = re.compile(r"cuda/|base/(clock|err|human|pool|sys)\.h$|formats/dtype\.h$|"
                        r"verify-run/(plugin|pass|kinds)\.h$")
FOREIGN = {
    "openssl/": "base/hash.c",
    "openssl/ssl": "net/tls.c",
    "cjson/": "base/json.c",
    "curl/": "net/http.c net/http_request.c net/wire.c late/curl.c",
    "sodium": "base/sign.c",
    "zstd": "base/zst.c",
    "cublas": "cuda/blas.c",
    "microhttpd": "serve/daemon.c serve/exchange.h late/microhttpd.c",
}
TOP = {"Makefile", "README.md", "base", "net", "s3", "bucket", "fetch", "convert",
       "cache", "verify", "verify-run", "formats", "serve", "lib", "late", "cuda", "debian",
       "static", "tests", "docs"}
BANNED = ["atoi", "atol", "atoll", "atof", "strcpy", "strcat", "strncpy",
          "strncat", "sprintf", "vsprintf", "gets", "strtok", "sscanf",
          "scanf", "fscanf", "system", "popen", "alloca", "tmpnam", "mktemp",
          "abort"]
# stdout belongs to the command line
PRINTS = re.compile(r"\b(printf|puts|putchar)\s*\(|\bstdout\b")
COMMAND_LINE = re.compile(r"/(main|cmd_[a-z_]+)\.c$")
PRINTERS = re.compile(r"/(cmd|cmd_[a-z_]+)\.c$")
NEEDED = {
    "mlfetch": {"libssl.so.3", "libsodium.so.23"},
    "mlcache": {"libssl.so.3", "libsodium.so.23", "libzstd.so.1"},
    "mlconvert": set(),
    "mlverify": {"libsodium.so.23"},
    "mlverify-run": set(),
}
NEEDED_ALL = {"libc.so.6", "libcrypto.so.3", "libcjson.so.1", "libm.so.6",
              "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
FUNCTION_MAX, FILE_MAX, HEADER_MAX, MAIN_MAX = 100, 600, 200, 60
PUBLIC = {"lib/mlfetch.h": 300}  # all that strangers may see is in one file
LINE_MAX = 80
GENERATED = {"verify-run/unicode_tables.c"}


def sources():
    found = []
    for room in FLOORS:
        found += glob.glob(f"{room}/*.[ch]")
    found += glob.glob(f"{PLUGIN}/*.[ch]") + glob.glob(f"{PLUGIN}/*.cu")
    return sorted(found)


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def code_of(path):
    """The text without comments and string contents, same line numbers."""
    text = text_of(path)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text,
                  flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def rule_top_level():
    """the top level holds only its rooms"""
    out = subprocess.run(["git", "ls-tree", "--name-only", "HEAD"],
                         capture_output=True, text=True)
    for name in out.stdout.split():
        if name not in TOP and not name.startswith("."):
            yield name


def rule_floors():
    """a room includes only itself and the floors below it"""
    for path in sources():
        room = path.split("/")[0]
        allowed = set(FLOORS.get(room, [])) | {room}
        if COMMAND_LINE.search(path):
            allowed |= set(MADE_OF.get(room, []))
        for n, line in enumerate(text_of(path).splitlines(), 1):
            m = re.match(r'#include "([^"]+)"', line)
            if not m:
                continue
            target = m.group(1).split("/")[0]
            if room == PLUGIN:
                if not PLUGIN_MAY.match(m.group(1)):
                    yield f"{path}:{n}: {m.group(1)}"
                continue
            if "/" not in m.group(1) or target not in allowed:
                yield f"{path}:{n}: {m.group(1)}"
            elif m.group(1).endswith("_internal.h") and target != room:
                yield f"{path}:{n}: {m.group(1)} belongs to its room"


def rule_foreign():
    """each library is included in one file, or in those that are named"""
    for path in sources():
        for n, line in enumerate(text_of(path).splitlines(), 1):
            m = re.match(r"#include <([^>]+)>", line)
            homes = [h for prefix, h in FOREIGN.items()
                     if m and m.group(1).startswith(prefix)]
            if homes and path not in homes[-1].split():
                yield f"{path}:{n}: {m.group(1)}"
            if m and m.group(1).startswith("cuda") and \
                    not path.startswith(PLUGIN + "/"):
                yield f"{path}:{n}: {m.group(1)}"


def rule_nouns():
    """a noun names one thing in the whole tree"""
    homes = {}
    for path in sources():
        name = os.path.basename(path)
        if path.endswith(".h") and name != "commands.h":
            homes.setdefault(name, []).append(path)
    for paths in homes.values():
        if len(paths) > 1:
            yield ", ".join(paths)


def rule_headers_alone():
    """every header compiles alone"""
    for path in sources():
        if not path.endswith(".h"):
            continue
        how = ["cc", "-std=c17", "-x", "c"]
        if path.startswith(PLUGIN + "/"):  # the emulator has CUDA's headers
            how = ["g++", "-std=c++17", "-x", "c++", "-Itests/cuda/emulator",
                   "-Wno-unused-function"]
        done = subprocess.run(
            [*how, "-D_GNU_SOURCE", "-I.", "-Wall", "-Werror",
             "-fsyntax-only", "-"], text=True, capture_output=True,
            input=f'#include "{path}"\n')
        if done.returncode != 0:
            yield f"{path}: {done.stderr.splitlines()[0]}"


def functions(path):
    start = name = None
    lines = code_of(path).splitlines()
    for n, line in enumerate(lines, 1):
        if line == "{" and start is None:
            start = n
            back = n - 2
            while back > 0 and not re.match(r"[A-Za-z_]", lines[back]):
                back -= 1
            m = re.search(r"(\w+)\s*\(", lines[back])
            name = m.group(1) if m else "?"
        elif line == "}" and start is not None:
            yield name, start, n - start - 1
            start = None


def rule_sizes():
    """functions, files, headers and mains stay small"""
    for path in sources():
        n = len(text_of(path).splitlines())
        limit = HEADER_MAX if path.endswith(".h") else FILE_MAX
        if path.endswith("/main.c"):
            limit = MAIN_MAX
        limit = PUBLIC.get(path, limit)
        if n > limit and path not in GENERATED:
            yield f"{path}: {n} lines, at most {limit}"
        if not path.endswith(".h"):
            for name, at, length in functions(path):
                if length > FUNCTION_MAX:
                    yield f"{path}:{at}: {name} has {length} lines"


def rule_layout():
    """80 columns, no tabs, no trailing blanks"""
    for path in sources():
        if path in GENERATED:
            continue
        for n, line in enumerate(text_of(path).splitlines(), 1):
            if len(line) > LINE_MAX or "\t" in line or line != line.rstrip():
                yield f"{path}:{n}"


def rule_format():
    """clang-format agrees"""
    done = subprocess.run(["clang-format", "--dry-run", "-Werror"] +
                          [p for p in sources() if p not in GENERATED],
                          capture_output=True, text=True)
    for line in done.stderr.splitlines():
        if "error:" in line:
            yield line.split(": error")[0]


def rule_banned():
    """no banned calls"""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in sources():
        for n, line in enumerate(code_of(path).splitlines(), 1):
            m = pattern.search(line)
            if m:
                yield f"{path}:{n}: {m.group(1)}"


def rule_exit():
    """nobody exits below main"""
    for path in sources():
        for n, line in enumerate(code_of(path).splitlines(), 1):
            if re.search(r"(?<!\w)exit\s*\(", line):
                yield f"{path}:{n}"


def rule_prints():
    """libraries never print"""
    for path in sources():
        if PRINTERS.search("/" + path) or path.endswith(".h"):
            continue
        for n, line in enumerate(code_of(path).splitlines(), 1):
            if PRINTS.search(line):
                yield f"{path}:{n}"


def rule_upward_calls():
    """every room links with only the floors below it"""
    for room, below in FLOORS.items():
        libs = [f"build/release/libml-{r}.a" for r in below]
        done = subprocess.run(
            ["cc", "-pthread", "-o", "/dev/null", "-x", "c", "-", "-x", "none",
             "-Wl,--whole-archive", f"build/release/libml-{room}.a",
             "-Wl,--no-whole-archive", *libs, "-lcurl", "-lssl", "-lsodium",
             "-lcrypto", "-lcjson", "-lzstd", "-lm", "-lmicrohttpd"],
            input="int main(void) { return 0; }\n", capture_output=True,
            text=True)
        if done.returncode != 0:
            bad = [x for x in done.stderr.splitlines() if "undefined" in x]
            yield f"{room}: {(bad or done.stderr.splitlines())[0]}"


def rule_link_lines():
    """each program links only what it needs"""
    for program, extra in NEEDED.items():
        out = subprocess.run(["readelf", "-d", f"build/release/{program}"],
                             capture_output=True, text=True).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*?)\]", out))
        for lib in sorted(needed - NEEDED_ALL - extra):
            yield f"{program}: {lib}"


def rule_no_sockets():
    """only mlfetch opens sockets of its own"""
    for program in NEEDED:
        if program == "mlfetch":
            continue
        out = subprocess.run(["nm", "-D", f"build/release/{program}"],
                             capture_output=True, text=True).stdout
        for symbol in ("socket", "connect"):
            if re.search(rf"\bU {symbol}(@|$)", out, re.M):
                yield f"{program}: {symbol}"


def rule_words():
    """no left-over notes"""
    for path in sources():
        for n, line in enumerate(text_of(path).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{n}"


def main():
    rules = [v for k, v in globals().items() if k.startswith("rule_")]
    failed = 0
    for n, rule in enumerate(rules, 1):
        broken = list(rule())
        failed += bool(broken)
        print(f"{'not ' if broken else ''}ok {n} - lint: {rule.__doc__}")
        for place in broken:
            print(f"#   {place}")
    print(f"1..{len(rules)}")
    return 1 if failed else 0


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "../.."))
    sys.exit(main())
