#!/usr/bin/env python3
"""How fast held files are hashed, beside one core's SHA-256 in memory.

    BUILD_DIR=build/release python3 tests/perf/hash.py
        [--mib N] [--rounds N] [--folder DIR]

Puts one file into one volume, and two into another, and lets mlcache verify
hash them out of the page cache, in turn with as many bytes hashed in memory
(hash_floor.c), and with openssl dgst and sha256sum. The two files should take
both cores.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from race import Entrant, kit, race

MIB = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


def noise(path, mib):
    with open("/dev/urandom", "rb") as source, open(path, "wb") as out:
        for _ in range(mib):
            out.write(source.read(MIB))
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--mib", type=int, default=1024)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--folder", help="where the volumes are")
    args = p.parse_args()
    folder = tempfile.mkdtemp(prefix="mlrace.", dir=args.folder)
    env = kit.clean_env(folder)
    floor = os.path.join(folder, "hash_floor")
    subprocess.run(["cc", "-O2", "-o", floor,
                    os.path.join(HERE, "hash_floor.c"), "-lcrypto"],
                   check=True)
    try:
        file = noise(os.path.join(folder, "file"), args.mib)
        for volume, n in (("one", 1), ("two", 2)):
            for i in range(n):
                with open(file, "r+b") as f:
                    f.write(bytes([i]))
                subprocess.run([kit.program("mlfetch"), "put",
                                os.path.join(folder, volume), file, f"f{i}",
                                "-q"], env=env, check=True)

        def verify(name, volume):
            return Entrant(name, [kit.program("mlcache"), "verify",
                                  "--volume", os.path.join(folder, volume),
                                  "-q"], env)
        runs = [Entrant("SHA-256 in memory, one core",
                        [floor, str(args.mib)]),
                verify("mlcache verify, one file", "one"),
                verify("mlcache verify, two files", "two"),
                Entrant("openssl dgst -sha256",
                        ["openssl", "dgst", "-sha256", file]),
                Entrant("sha256sum", ["sha256sum", file])]
        race(runs, args.rounds, folder, f"hashing {args.mib} MiB a file")
        memory, one, two = (statistics.median(
            [m / x for m, x in zip(runs[0].wall, run.wall)])
            for run in runs[:3])
        print(f"rate of one core: one file {one / memory:.3f}, "
              f"two files {2 * two / memory:.3f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
