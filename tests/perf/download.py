#!/usr/bin/env python3
"""A verified TLS download to disk over loopback, beside floor and peers.

    BUILD_DIR=build/release python3 tests/perf/download.py
        [--mib N] [--rounds N] [--folder DIR] [--rows full,resume,held]
        [--congestion cubic]

nginx serves one random file from memory, the test hub answers the API and
sends whoever asks for the file to nginx. All commands run in turn, so that
what disturbs one disturbs the other. full: mlfetch pull beside dl_floor
(direct, 4 connections), curl and then openssl dgst, aria2c with its
checksum, and huggingface_hub. resume: the first half is there; beside the
longer of hashing all and fetching the rest. held: a pull with nothing to do,
beside one request made by curl. A peer that is not there is named.

--congestion: in a network of its own, with that congestion control (root).
bbr sends by timers, and a receiver on the same machine pays for them.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from race import (FILE, REPO, Entrant, Front, Server, build_floor, emptied,
                  have, kit, nginx, own_network, peer, race, skip)

MIB = 1 << 20
OFFICIAL = ("import sys; from huggingface_hub import snapshot_download; "
            "snapshot_download(sys.argv[1])")


def mlfetch(front, home, *args):
    return Entrant("mlfetch pull" + "".join(" " + a for a in args),
                   [kit.program("mlfetch"), "pull", REPO, *args],
                   front.env(home), emptied(home))


def floors(server, folder, out):
    floor = build_floor(folder)
    if floor is None:
        skip("dl_floor", "its source is not there")
        return []
    return [Entrant("dl_floor direct, 4 connections", [
        floor, server.address, server.port, "/" + FILE, server.size, 4, 4096,
        "direct:" + os.path.join(out, "f"), 1, 1], prepare=emptied(out))]


def peers(server, front, out, home, python):
    target = os.path.join(out, "f")
    curl = (f"curl -s --cacert {server.cert} -o {target} {server.url} && "
            f"openssl dgst -sha256 -r {target} | grep -q {server.sha}")
    found = [Entrant("curl, then openssl dgst", ["sh", "-c", curl],
                     prepare=emptied(out))]
    if have("aria2c"):
        found.append(Entrant("aria2c -x8 --checksum", [
            "aria2c", "-q", "--no-conf", f"--ca-certificate={server.cert}",
            "-x8", "-s8", "-k1M", "--file-allocation=falloc", "-d", out, "-o",
            "f", f"--checksum=sha-256={server.sha}", server.url],
            prepare=emptied(out)))
    else:
        skip("aria2c", "not installed")
    if peer(python):
        off = front.env(home)
        on = {k: v for k, v in off.items() if k != "HF_HUB_DISABLE_XET"}
        for name, env in (("without Xet", off), ("Xet allowed", on)):
            found.append(Entrant(f"huggingface_hub, {name} (sizes only)",
                                 [python, "-c", OFFICIAL, REPO], env,
                                 emptied(home)))
    else:
        skip("huggingface_hub", "no Python has it (make test makes one, "
             "--python names it)")
    return found


def full(args, server, front, folder):
    out, home = os.path.join(folder, "out"), os.path.join(folder, "home")
    runs = floors(server, folder, out)
    runs += [mlfetch(front, home), mlfetch(front, home, "-j", "4"),
             mlfetch(front, home, "-j", "8")]
    runs += peers(server, front, out, home, args.python)
    race(runs, args.rounds, folder,
         f"verified TLS download to disk, {server.size // MIB} MiB")


def half_there(server, home):
    """What a killed run leaves: half of the bytes, and a journal."""
    repo = os.path.join(home, "hf/hub/models--" + REPO.replace("/", "--"))

    def prepare():
        emptied(home)()
        blobs, notes = (os.path.join(repo, n) for n in ("blobs", "ml/journal"))
        os.makedirs(blobs)
        os.makedirs(notes)
        part = os.path.join(blobs, server.sha + ".ml.incomplete")
        subprocess.run(["dd", f"if={server.path}", f"of={part}", "bs=1M",
                        f"count={server.size // 2 // MIB}", "conv=fsync",
                        "status=none"], check=True)
        os.truncate(part, server.size)
        with open(os.path.join(notes, server.sha), "w",
                  encoding="ascii") as f:
            f.write(kit.journal(server.sha, server.size, server.size // 2))
    return prepare


def resume(args, server, front, folder):
    home = os.path.join(folder, "home")
    goes_on = Entrant("mlfetch pull, half is there",
                      [kit.program("mlfetch"), "pull", REPO], front.env(home),
                      half_there(server, home))
    hashing = Entrant("openssl dgst of all",
                      ["openssl", "dgst", "-sha256", server.path])
    with Server(server.size // 2) as small:
        with Front(small) as half:
            rest = mlfetch(half, home)
            rest.name = "mlfetch pull of a file half as large"
            race([goes_on, hashing, rest], args.rounds, folder,
                 "resume: the first half is hashed while the rest comes")
    ratio = statistics.median(
        r / max(h, d) for r, h, d in zip(goes_on.wall, hashing.wall,
                                         rest.wall))
    print(f"resume / the longer of the two: {ratio:.3f}")


def held(args, server, front, folder):
    home = os.path.join(folder, "home")
    first = mlfetch(front, home)
    first.run(folder)
    env = front.env(home)
    ask = f"{front.url}/api/models/{REPO}/revision/main"
    runs = [Entrant("curl, one request", ["curl", "-s", "-o", "/dev/null",
                                          ask]),
            Entrant("mlfetch pull, held", first.command, env),
            Entrant("mlfetch pull --offline", [*first.command, "--offline"],
                    env)]
    race(runs, 4 * args.rounds, folder, "a pull of what is held")
    own = statistics.median(a - b for a, b in zip(runs[1].wall,
                                                  runs[0].wall))
    print(f"held: {1000 * own:.1f} ms beyond curl's request; CPU "
          f"{1000 * statistics.median(runs[1].cpu):.0f} ms")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--mib", type=int, default=1024)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--folder", help="on the disk to be written to")
    p.add_argument("--rows", default="full,resume,held")
    p.add_argument("--python", default=os.path.join(
        kit.ROOT, "build/venv-safetensors/bin/python"),
        help="one that has huggingface_hub")
    p.add_argument("--congestion", help="the TCP congestion control")
    args = p.parse_args()
    if not nginx.installed():
        sys.exit("nginx is not installed: nothing was measured")
    own_network(args.congestion)
    rows = {"full": full, "resume": resume, "held": held}
    folder = tempfile.mkdtemp(prefix="mlrace.", dir=args.folder)
    try:
        with Server(args.mib * MIB) as server, Front(server) as front:
            for name in args.rows.split(","):
                rows[name](args, server, front, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
