#!/usr/bin/env python3
"""Libraries that are loaded when they are needed, and are not there.

A file that is no library stands before the one that asks a network: who asks
nobody does not notice, who asks somebody is told which library it is.
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                ".."))
import kit  # noqa: E402


def without(tap, folder, library, args):
    """The command's status is 1, and it names the library."""
    with open(os.path.join(folder, library), "w", encoding="ascii") as f:
        f.write("no library\n")
    env = kit.clean_env(folder, LD_LIBRARY_PATH=folder,
                        HF_ENDPOINT="http://127.0.0.1:9")
    done = kit.run(args, env)
    tap.eq(done.returncode, 1, f"{library}: {args[1]} ends")
    tap.ok(f"{library} cannot be used" in done.stderr and
           "file too short" in done.stderr,
           f"{library}: and says why", done.stderr)
    for quiet in (["mlfetch", "--version"], ["mlfetch", "volume", "ls"],
                  ["mlcache", "ls"]):
        done = kit.run(quiet, env)
        tap.eq((done.returncode, done.stderr), (0, ""),
               f"{library}: {' '.join(quiet)} does without")
    os.remove(os.path.join(folder, library))


def main():
    tap, folder = kit.Tap(), kit.scratch()
    os.makedirs(os.path.join(folder, "hf/hub"))
    without(tap, folder, "libcurl.so.4", ["mlfetch", "pull", "acme/one"])
    without(tap, folder, "libmicrohttpd.so.12",
            ["mlfetch", "serve", "--listen", "127.0.0.1:0"])
    shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
