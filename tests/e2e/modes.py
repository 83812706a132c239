#!/usr/bin/env python3
"""A file system that gives no file a mode of its own, as vfat does where the
files are another user's: what is brought there is right all the same."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import (World, fails, good, kit, make_model,  # noqa: E402
                     shimmed, write)

SHIM = """
#include <errno.h>
int fchmod(int fd, unsigned m) { (void)fd; (void)m; errno = %s; return -1; }
int chmod(const char *p, unsigned m)
{ (void)p; (void)m; errno = %s; return -1; }
"""
OWN = b"of my own\n"


def volume(tap, w, error):
    made, got = (os.path.join(w.home, n) for n in ("made.txt", "got.txt"))
    write(made, OWN)
    env = dict(w.env, MLFETCH_VOLUMES=os.path.join(w.home, "volumes"))
    for args in (["put", "v", made, "a.txt"], ["get", "v", "a.txt", got],
                 ["mv", "v", "a.txt", "b.txt"]):
        done = kit.run(["mlfetch", *args], env)
        tap.ok(done.returncode == 0, f"{error}: {args[0]}", done.stderr)
    with open(got, "rb") as f:
        tap.ok(f.read() == OWN, f"{error}: the bytes are those")


def without_modes(tap, hub, files, shim, error):
    with World(hub.url, LD_PRELOAD=shim) as w:
        good(tap, w.pull("acme/tiny"), files, f"{error}: a pull")
        folder = os.path.join(w.home, "plain")
        done = w.pull("acme/tiny", "--local-dir", folder)
        tap.ok(done.returncode == 0, f"{error}: to a folder", done.stderr)
        volume(tap, w, error)


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "model"))
    repos = {"acme/tiny": {"dir": os.path.join(data, "model")}}
    with kit.Hub(repos) as hub:
        for error in ("EPERM", "EOPNOTSUPP", "ENOSYS", "EIO"):
            shim = shimmed(data, SHIM % (error, error))
            if shim is None:
                tap.skip(f"{error}: files without modes",
                         "no library can be preloaded here")
            elif error != "EIO":
                without_modes(tap, hub, files, shim, error)
            else:
                with World(hub.url, LD_PRELOAD=shim) as w:
                    fails(tap, w.pull("acme/tiny"), 1, "Input/output error",
                          "control: any other failure of it is one")
            if shim is not None:
                os.unlink(shim)
    tap.done()


if __name__ == "__main__":
    main()
