#!/usr/bin/env python3
"""mlconvert when something goes wrong in the middle of it.

Whatever it is: nothing under the final name, nothing temporary left by a
failure, the inputs byte for byte as they were, the right status, and a
message with file and cause. Beside each there is a run that shows that the
moment was the right one.
"""
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import Check, kit, sha256, write_safetensors  # noqa: E402

MIB = 1 << 20
KILLS = 20


def make_source(t):
    """A folder: 48 MiB of floats, a config."""
    source = t.at("source")
    os.mkdir(source)
    block = struct.pack("<65536f", *(i * 0.5 for i in range(65536)))
    write_safetensors(os.path.join(source, "model.safetensors"), {
        f"layers.{i}.weight": ("F32", [16, 65536], (block, 16))
        for i in range(12)})
    with open(os.path.join(source, "config.json"), "w",
              encoding="utf-8") as f:
        json.dump({"model_type": "llama", "torch_dtype": "float32"}, f)
    return source


def digests(folder):
    return {name: sha256(os.path.join(folder, name))
            for name in sorted(os.listdir(folder))}


def tracer():
    """Does strace run here? It is how system calls are made to fail."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"],
                          check=False, capture_output=True)
    return done.returncode == 0


class Traced:
    """mlconvert with some of its system calls bent, running; for `with`."""

    def __init__(self, t, inject, *args):
        env = dict(t.env)
        # (the leak checker cannot work while another traces)
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.command = ["strace", "-f", "-q", "-o", t.at("trace"),
                        "-e", "inject=" + inject,
                        kit.program("mlconvert"), "--progress", "none",
                        *map(str, args)]
        self.env = env

    def __enter__(self):
        self.proc = subprocess.Popen(self.command, env=self.env,
                                     stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        return self

    def end(self):
        self.stdout, self.stderr = self.proc.communicate(timeout=300)
        return self.proc.returncode

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.communicate()


def temporaries(t, out):
    name = os.path.basename(out) + "."
    return [x for x in os.listdir(t.home)
            if x.startswith(name) and x.endswith(".tmp")]


def bent(t, source):
    """Each system call that may fail, at a moment when all is under way."""
    model = os.path.join(source, "model.safetensors")
    want = digests(source)
    cases = (
        ("reading fails", "pread64:error=EIO:when=9", 1, model),
        ("a write finds the disk full", "pwrite64:error=ENOSPC:when=5", 7,
         "model.safetensors"),
        ("a write fails", "pwrite64:error=EIO:when=5", 1,
         "model.safetensors"),
        ("no room to begin with", "fallocate:error=ENOSPC", 7,
         "model.safetensors"),
        ("syncing fails", "fsync:error=EIO:when=1", 1, "model.safetensors"),
        ("the last sync fails", "fsync:error=EIO:when=3+", 1, ""),
        ("renaming fails", "rename,renameat,renameat2:error=EACCES", 1, ""))
    for name, inject, status, says in cases:
        out = t.out()
        before = sorted(os.listdir(t.home) + ["trace"])
        with Traced(t, inject, "--fp16", "-o", out, source) as run:
            got = run.end()
        error = [x for x in run.stderr.splitlines() if ": error: " in x]
        with open(t.at("trace"), encoding="utf-8", errors="replace") as f:
            hit = "INJECTED" in f.read()
        os.unlink(t.at("trace"))
        t.tap.ok(hit and got == status and len(error) == 1 and
                 says in error[0] and not run.stdout,
                 f"{name}: exit {status}, a message with the file",
                 f"hit {hit}, status {got}\n{run.stderr}")
        t.tap.eq((sorted(os.listdir(t.home) + ["trace"]), digests(source)),
                 (before, want), f"{name}: nothing left, nothing touched")


def changed(t, source):
    """Somebody writes to the source in the middle of a conversion."""
    slow = "pwrite64:delay_enter=30000"

    def run(meddle):
        """Status, message, and whether it was in the middle of it."""
        out = t.out()
        before = os.listdir(t.home)
        with Traced(t, slow, "--fp16", "-o", out, copy) as r:
            until = time.monotonic() + 60
            while not temporaries(t, out) and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(0.03)
            meddle()
            middle = r.proc.poll() is None and bool(temporaries(t, out)) \
                and not os.path.exists(out)
            status = r.end()
        os.unlink(t.at("trace"))
        left = sorted(set(os.listdir(t.home)) - set(before))
        return status, r.stderr, middle, left, os.path.exists(out)

    def overwrite():
        with open(model, "r+b") as f:
            f.seek(size - 5)
            f.write(b"\x41")

    def grow():
        with open(model, "ab") as f:
            f.write(b"more")

    def replace():
        other = t.at("other")
        shutil.copy(model, other)
        os.rename(other, model)

    copy = t.at("copy")
    model = os.path.join(copy, "model.safetensors")
    size = os.path.getsize(os.path.join(source, "model.safetensors"))
    cases = (("nobody", lambda: None, 0), ("one byte is written", overwrite, 6),
             ("it grows", grow, 6),
             ("it loses its second half",
              lambda: os.truncate(model, size // 2), 6),
             ("it loses everything", lambda: os.truncate(model, 0), 6),
             ("another takes its name", replace, 6),
             ("it is removed", lambda: os.unlink(model), 3))
    for name, meddle, status in cases:
        shutil.copytree(source, copy)
        got, text, middle, left, there = run(meddle)
        shutil.rmtree(copy)
        if status == 0:
            t.tap.ok(got == 0 and middle and there,
                     "changed by nobody, at that speed: done", text)
            continue
        t.tap.ok(got == status and middle and "model.safetensors" in text and
                 ": error: " in text, f"changed: {name}: exit {status}",
                 f"status {got}, in the middle {middle}\n{text}")
        t.tap.eq((left, there), ([], False), f"changed: {name}: nothing left")


def killed(t, source):
    """kill -9 at many moments; then a run that ends."""
    want = digests(source)
    out = t.at("killed")
    began = time.monotonic()
    t.run("--fp16", "-o", out, source)
    whole = digests(out)
    seconds = time.monotonic() - began
    shutil.rmtree(out)
    kills = begun = wrong = 0
    for turn in range(6 * KILLS):
        before = set(temporaries(t, out))
        proc = subprocess.Popen(
            [kit.program("mlconvert"), "-q", "--progress", "none", "--fp16",
             "-o", out, source], env=t.env, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(seconds * (turn % KILLS + 0.5) / KILLS)
        proc.kill()
        if proc.wait() == -signal.SIGKILL:
            kills += 1
            begun += bool(set(temporaries(t, out)) - before)
        if os.path.exists(out):  # it was done, or as good as
            wrong += digests(out) != whole
            shutil.rmtree(out)
        if kills >= KILLS and begun >= 3:
            break
    t.tap.ok(kills >= KILLS and begun >= 3,
             f"killed {kills} times, {begun} times with work begun")
    t.tap.eq(wrong, 0, "killed: what has the final name is whole")
    t.tap.eq(digests(source), want, "killed: the source is as it was")
    then = time.time() - 60
    left = temporaries(t, out)
    for name in left:
        os.utime(t.at(name), (then, then))
    done = t.run("--fp16", "-o", out, source)
    t.tap.ok(done.returncode == 0 and digests(out) == whole,
             "killed: the next run ends well", done.stderr)
    t.tap.ok(done.stderr.count("left by a conversion that did not end") ==
             len(left) and not temporaries(t, out),
             "killed: it removes what the others left, and says so",
             done.stderr)
    shutil.rmtree(out)


def full(t):
    """A disk that has room for the weights, and not for the manifest."""
    name = "a disk that is full at the end"
    source, disk = t.at("many"), t.at("disk")
    os.mkdir(source)
    os.mkdir(disk)
    write_safetensors(os.path.join(source, "model.safetensors"), {
        f"layers.{i}.weight": ("F32", [4], bytes(16)) for i in range(8000)})
    out = t.out()
    t.run("--fp16", "-o", out, source)
    room = os.path.getsize(os.path.join(out, "model.safetensors"))
    shutil.rmtree(out)
    for free, status, why in ((room + 192 * 1024, 7, name),
                              (room + 8 * MIB, 0, "the same, a little larger"),
                              (room // 2, 7, "a disk that is too small")):
        if subprocess.run(["mount", "-t", "tmpfs", "-o",
                           f"size={free >> 10}k", "none", disk],
                          check=False, capture_output=True).returncode != 0:
            t.tap.skip(why, "no mounting here")
            continue
        try:
            done = t.run("--fp16", "-o", os.path.join(disk, "out"), source)
            t.tap.ok(done.returncode == status and
                     (status == 0 or disk in done.stderr),
                     f"{why}: exit {status}",
                     f"status {done.returncode}\n{done.stderr}")
            t.tap.eq(os.listdir(disk), ["out"] if status == 0 else [],
                     f"{why}: nothing half done is left")
        finally:
            subprocess.run(["umount", disk], check=True)


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))


def places(t, source):
    """The output is the input, by whatever name."""
    model = os.path.join(source, "model.safetensors")
    want = digests(source)
    hard, soft, folder = t.at("hard"), t.at("soft"), t.at("folder")
    os.link(model, hard)
    os.symlink(model, soft)
    os.symlink(source, folder)
    for name, out in (("the source itself", model), ("a hard link to it", hard),
                      ("a link to it", soft), ("a link to its folder", folder),
                      ("its folder", source)):
        for force in ((), ("--force",)):
            t.fails(2, f"OUT is {name} {''.join(force)}", "--fp16", *force,
                    "-o", out, model)
    t.fails(1, "a file that may not grow to its end", "--fp16", "-o",
            t.at("x"), source, preexec_fn=limited, says="model.safetensors")
    # An older conversion whose file is the source, by another name.
    old = t.out()
    t.run("--keep", "-o", old, source)
    os.link(os.path.join(old, "model.safetensors"), t.at("same"))
    before = sha256(t.at("same"))
    done = t.run("--fp16", "--force", "-o", old, t.at("same"))
    t.tap.eq((done.returncode, sha256(t.at("same"))), (0, before),
             "OUT held the source by another name: replaced, not written to")
    t.tap.eq(digests(source), want, "the source is as it was")


def main():
    t = Check()
    source = make_source(t)
    places(t, source)
    killed(t, source)
    full(t)
    if tracer():
        bent(t, source)
        changed(t, source)
    else:
        for name in ("system calls that fail", "a source that changes"):
            t.tap.skip(name, "no strace, or it may not trace")
    shutil.rmtree(t.home)
    t.tap.done()


if __name__ == "__main__":
    main()
