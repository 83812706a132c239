#!/usr/bin/env python3
"""Every hostile and malformed file, given to mlverify check and to mlconvert:
each ends with a status its row allows, in time, in bounded memory, without a
crash, and nothing in it is ever executed."""
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
MEMORY = 1 << 30
MAKER = os.path.join(kit.ROOT, "tests/fixtures/make_hostile.py")


def sanitized(path):
    """Sanitizers need address space that no limit may cut."""
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def limits(bounded):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if bounded:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def attempt(args, cwd, env, bounded):
    """(status or None when it took too long, stdout, stderr, seconds)"""
    start = time.monotonic()
    try:
        done = subprocess.run(args, cwd=cwd, env=env, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=6 * SECONDS,
                              preexec_fn=lambda: limits(bounded))
    except subprocess.TimeoutExpired as late:
        return None, late.stdout or b"", late.stderr or b"", 6 * SECONDS
    return (done.returncode, done.stdout, done.stderr,
            time.monotonic() - start)


def files_in(folder):
    found = []
    for top, dirs, names in os.walk(folder):
        found += [os.path.join(top, n) for n in dirs + names]
    return sorted(found)


def try_all(tap, what, words, rows, folder, env):
    """One program over all rows; a row that fails is named."""
    binary = kit.program(words[0])
    if not os.path.exists(binary):
        tap.ok(False, f"{words[0]} is built")
        return
    asan = sanitized(binary)
    wrong, slow, crashed, silent, leaking = [], [], [], [], []
    for row in rows:
        status, out, err, seconds = attempt(
            [binary, *words[1:], row["file"]], folder, env, not asan)
        note = f"{row['file']}: status {status}, allowed {row['exit']}: " \
               f"{row['why']}\n    {err[-300:].decode('utf-8', 'replace')}"
        if status is None or seconds > SECONDS * (4 if asan else 1):
            slow.append(f"{row['file']}: {seconds:.1f} s")
        elif status < 0 or status >= 128 or b"ERROR: AddressSan" in err \
                or b"runtime error" in err:
            crashed.append(note)
        elif status not in row["exit"]:
            wrong.append(note)
        if status and b": error: " not in err:
            silent.append(row["file"])
        if any(c < 32 and c not in b"\n\t" for c in out + err):
            leaking.append(row["file"])
    n = len(rows)
    tap.ok(not crashed, f"{what}: {n} files, no crash", "\n".join(crashed))
    tap.ok(not wrong, f"{what}: {n} files, each ends as it must",
           "\n".join(wrong))
    tap.ok(not slow, f"{what}: each within {SECONDS} s", "\n".join(slow))
    tap.ok(not silent, f"{what}: every refusal says why", "\n".join(silent))
    tap.ok(not leaking, f"{what}: no control character reaches the terminal",
           "\n".join(leaking))


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
    tap.ok(len(rows) > 300, f"there are {len(rows)} files to try")
    try_all(tap, "mlverify check", ["mlverify", "check"], rows, folder, env)
    try_all(tap, "mlconvert --list", ["mlconvert", "--list"], rows, folder, env)
    tap.ok(files_in(os.path.join(folder, "canary")) == [],
           "nothing was executed: no canary")
    tap.eq(files_in(folder), before, "nothing was left behind")
    shutil.rmtree(home)
    tap.done()


if __name__ == "__main__":
    main()
