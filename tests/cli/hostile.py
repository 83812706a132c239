#!/usr/bin/env python3
"""Every hostile and malformed file, given to each program that reads one:
mlconvert, mlconvert --list, mlverify check, scan and diff. Each ends with a
status its row allows, in time, in bounded memory, without a crash, names the
file, leaves nothing behind, and nothing in it is ever executed. Controls show
that execution, time and memory beyond the limits would be noticed, and that
every row of the catalogue has files (docs/design/hostile.md)."""
import json
import os
import resource
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402

SECONDS = 10
MEMORY = 1 << 30    # address space, where no sanitizer needs it all
RESIDENT = 400 << 20
# a pickle that is whole, around tensors, records or an archive that are not:
# whoever asks what it calls may be told "nothing"
NO_PICKLE = {"1", "9", "10.2", "2.5", "12.3", "12.4", "12.5", "12.6", "12.7",
             "npy", "P14", "P23", "Z3", "Z6", "Z12", "Z13", "Z14"}
# what is wrong there is known to torch only: what a tensor may be asked for,
# and which folder of an archive counts
NOT_TOLD = {"p10-setitems-tensor.pt", "z11-prefix.pt"}
MAKER = os.path.join(kit.ROOT, "tests/fixtures/make_hostile.py")


def sanitized(path):
    """Sanitizers need address space that no limit may cut."""
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def limits(bounded):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if bounded:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def attempt(args, cwd, env, bounded, seconds=6 * SECONDS):
    """(status or None when it took too long, stdout, stderr, seconds)"""
    start = time.monotonic()
    try:
        done = subprocess.run(args, cwd=cwd, env=env, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=seconds,
                              preexec_fn=lambda: limits(bounded))
    except subprocess.TimeoutExpired as late:
        return None, late.stdout or b"", late.stderr or b"", seconds
    return (done.returncode, done.stdout, done.stderr,
            time.monotonic() - start)


def allowed(what, row):
    """The statuses of one program for one file."""
    statuses = set(row["exit"])
    if what == "mlconvert --list" and row["list"]:
        statuses = set(row["list"])
    if what == "mlverify diff" and 0 in statuses:
        statuses.add(9)      # read, and not the other file
    if what == "mlverify scan":
        if row["canary"]:
            return {8}       # whatever else is wrong, the call is told
        if row["row"] in NO_PICKLE or row["file"] in NOT_TOLD:
            statuses.add(0)
    return statuses


def harmless(text):
    """Nothing a terminal would obey, or a reader be fooled by."""
    try:
        said = text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(c not in "\n\t" and (c < " " or "\x7f" <= c <= "\x9f"
                                        or c in "\u200e\u200f\u061c"
                                        or "\u2028" <= c <= "\u202e"
                                        or "\u2066" <= c <= "\u2069")
                   for c in said)


def names(row, text):
    """The message says which file it is about."""
    name = os.path.basename(row["file"]).encode("utf-8", "surrogateescape")
    return name in text or b"\x1b" in name and b"\\x9b" in text


def files_in(folder):
    found = []
    for top, dirs, names in os.walk(folder):
        found += [os.path.join(top, n) for n in dirs + names]
    return sorted(found)


class Verdicts:
    """What one program did wrong, by kind."""

    def __init__(self):
        self.wrong, self.slow, self.crashed, self.silent = [], [], [], []
        self.leaking, self.nameless, self.left = [], [], []

    def add(self, what, row, got, asan):
        status, out, err, seconds = got
        file = ascii(row["file"])
        note = f"{file}: status {status}, allowed {allowed(what, row)}: " \
               f"{row['why']}\n    {err[-300:].decode('utf-8', 'replace')}"
        if status is None or seconds > SECONDS * (4 if asan else 1):
            self.slow.append(f"{file}: {seconds:.1f} s")
        elif status < 0 or status >= 128 or b"ERROR: AddressSan" in err \
                or b"runtime error" in err:
            self.crashed.append(note)
        elif status not in allowed(what, row):
            self.wrong.append(note)
        if status and b": error: " not in err:
            self.silent.append(file)
        if status and not names(row, err):
            self.nameless.append(note)
        if not harmless(out + err):
            self.leaking.append(file)

    def tell(self, tap, what, n):
        for what_not, rows in (
                (f"{n} files, no crash", self.crashed),
                (f"{n} files, each ends as it must", self.wrong),
                (f"each within {SECONDS} s", self.slow),
                ("every refusal says why", self.silent),
                ("every refusal names the file", self.nameless),
                ("nothing reaches the terminal that should not", self.leaking),
                ("a refusal leaves nothing behind", self.left)):
            tap.ok(not rows, f"{what}: {what_not}", "\n".join(rows))


def try_all(tap, what, words, rows, folder, env):
    """One program over all rows; a row that fails is named."""
    binary = kit.program(words[0])
    if not os.path.exists(binary):
        tap.ok(False, f"{words[0]} is built")
        return
    asan = sanitized(binary)
    found = Verdicts()
    place = os.path.join(env["HOME"], "out")
    for row in rows:
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        args = [w.replace("OUT", os.path.join(place, "x")) for w in words[1:]]
        args += [os.fsencode(row["file"])]
        if what == "mlverify diff":
            args.append("control.pt")
        got = attempt([binary, *args], folder, env, not asan)
        found.add(what, row, got, asan)
        if got[0] != 0 and os.listdir(place):
            found.left.append(ascii(row["file"]))
    found.tell(tap, what, len(rows))


def controls(tap, folder, env):
    """The limits bite, and a file that is executed is seen."""
    hungry = [sys.executable, "-c", f"b = bytearray({2 * MEMORY}); print(1)"]
    tap.eq([attempt(hungry, folder, env, bounded)[0] == 0
            for bounded in (True, False)], [False, True],
           "control: memory beyond the limit is refused, and only then")
    tap.eq(attempt([sys.executable, "-c", "import time; time.sleep(60)"],
                   folder, env, True, 0.5)[0], None,
           "control: what takes too long is seen")
    for name in ("p01-os-system", "p21-pickle"):
        path = os.path.join(folder, name + (".pt" if "21" not in name
                                            else ".png"))
        subprocess.run([sys.executable, MAKER, "--load", path], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        there = files_in(os.path.join(folder, "canary"))
        tap.eq(len(there), 1, f"control: Python's pickle runs {name}")
        for path in there:
            os.unlink(path)


def check_table(tap):
    """docs/design/hostile.md is the table of what there is."""
    done = subprocess.run([sys.executable, MAKER, "--table"], check=False,
                          capture_output=True, text=True)
    with open(os.path.join(kit.ROOT, "docs/design/hostile.md"),
              encoding="utf-8") as f:
        tap.ok(f.read().endswith(done.stdout) and done.stdout.count("\n") > 40,
               "docs/design/hostile.md is the table of the files",
               "make it again: " + MAKER + " --table")


def main():
    tap = kit.Tap()
    home = kit.scratch()
    folder = os.path.join(home, "corpus")
    subprocess.run([sys.executable, MAKER, folder], check=True,
                   stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "index.json"), encoding="utf-8") as f:
        rows = json.load(f)
    env = kit.clean_env(home)
    before = files_in(folder)
    tap.ok(len(rows) > 450, f"there are {len(rows)} files to try")
    for what, words in (
            ("mlverify check", ["mlverify", "check"]),
            ("mlverify scan", ["mlverify", "scan"]),
            ("mlverify diff", ["mlverify", "diff", "-q"]),
            ("mlconvert --list", ["mlconvert", "--list"]),
            ("mlconvert", ["mlconvert", "--keep", "-o", "OUT"])):
        try_all(tap, what, words, rows, folder, env)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    if sanitized(kit.program("mlconvert")):
        tap.skip("resident memory", "sanitizers keep what is freed")
    else:
        tap.ok(peak <= RESIDENT, f"none had more than {RESIDENT >> 20} MiB "
               f"resident: {peak >> 20} MiB")
    tap.ok(files_in(os.path.join(folder, "canary")) == [],
           "nothing was executed: no canary")
    tap.eq(files_in(folder), before, "nothing was left beside them")
    controls(tap, folder, env)
    check_table(tap)
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
