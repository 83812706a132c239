#!/usr/bin/env python3
"""A file of 5 GB (conformance point 8: offsets of 64 bits), and with --long
one of 100 GB, pulled in less than 64 MB of memory (`make huge`).

The body is sparse: zeros, with its own offset written at every 10^9 bytes. All
of it is sent, received, hashed against a digest known beforehand and given its
name. What is not done is to store it: a preloaded library drops writes of
nothing but zeros, and the file that was reserved reads as zeros there. So this
measures memory and offsets, not the disk. Needs root and loop devices.
"""
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, kit, shimmed  # noqa: E402

LONG = "--long" in sys.argv[1:]
GB = 10 ** 9
MEMORY = 64 * 10 ** 6
# Disk that may really be used; more means that the writes were not dropped.
DISK_MAX = 2 * GB
DIGESTS = {
    5: "6045e3fbea0819ac8933b9e2214531ff1ee39ca8215e56f5b74a457452a760b3",
    100: "24149c15051d0f3412a4ead870e432aa8719e96843b25a0d1b75d1a9030ddb62",
}
DROP_ZEROS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static int zeros(const char *p, size_t n)
{
    return n >= 4096 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}
typedef ssize_t writer(int, const void *, size_t, off_t);
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    static writer *real;
    if (zeros(p, n))
        return (ssize_t)n;
    if (real == 0)
        real = (writer *)dlsym(RTLD_NEXT, "pwrite");
    return real(fd, p, n, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at);
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    ssize_t sum = 0, put;
    for (int i = 0; i < n; i++, sum += put) {
        put = pwrite(fd, v[i].iov_base, v[i].iov_len, at + sum);
        if (put != (ssize_t)v[i].iov_len)
            return -1;
    }
    return sum;
}
ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
    return pwritev(fd, v, n, at);
}
"""


def make_sparse(path, size):
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as f:
        f.truncate(size)
        for at in range(0, size, GB):
            f.seek(at)
            f.write(b"%020d" % at)


def used(path):
    return os.stat(path).st_blocks * 512


def guarded(proc, image):
    """Wait for the end; (status, peak memory in bytes). A full disk of the
    machine would be everybody's trouble: the image is watched."""
    over = []

    def watch():
        while proc.returncode is None:
            if used(image) > DISK_MAX and not over:
                over.append(used(image))
                proc.kill()
            time.sleep(0.2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _, status, usage = os.wait4(proc.pid, 0)
    proc.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    return proc.returncode, usage.ru_maxrss * 1024, over


def pull(tap, hub, gigabytes, shim, folder):
    name = f"point 8: {gigabytes} GB"
    image, mnt = (os.path.join(folder, n) for n in ("image", "mnt"))
    os.makedirs(mnt)
    with open(image, "wb") as f:
        f.truncate((gigabytes + 10) * GB)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1",
                        "-T", "largefile4", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mnt], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        tap.skip(name, f"cannot mount an image: {problem}")
        return
    try:
        measured(tap, hub, name, gigabytes, shim, image, mnt)
    finally:
        subprocess.run(["umount", mnt], check=True)


def measured(tap, hub, name, gigabytes, shim, image, mnt):
    said = os.path.join(mnt, "said")
    with World(hub.url, LD_PRELOAD=shim) as w, open(said, "w+b") as out:
        w.env["HF_HOME"] = os.path.join(mnt, "hf")
        began = time.monotonic()
        proc = subprocess.Popen(
            [kit.program("mlfetch"), "pull", "acme/huge", "-j", "8"],
            env=w.env, stdout=subprocess.PIPE, stderr=out)
        status, peak, over = guarded(proc, image)
        seconds = time.monotonic() - began
        snapshot = proc.stdout.read().decode().strip()
        out.seek(0)
        text = out.read().decode()[-2000:]
        if over:
            tap.ok(False, name, f"{over[0]} bytes of disk were used")
            return
        tap.ok(status == 0, f"{name}: received, hashed, named",
               f"{status} {text}")
        path = os.path.join(snapshot, "model.safetensors")
        tap.eq(status == 0 and os.path.getsize(path), gigabytes * GB,
               f"{name}: of that size")
        tap.ok(status == 0 and tags_right(path, gigabytes),
               f"{name}: every mark is at its own offset")
        tap.ok(peak < MEMORY, f"{name}: in less than {MEMORY // 10 ** 6} MB "
               "of memory", f"{peak} bytes")
        print(f"# {gigabytes} GB: peak RSS {peak / 1e6:.1f} MB, "
              f"{seconds:.0f} s, {used(image) / 1e6:.0f} MB of disk")


def tags_right(path, gigabytes):
    with open(path, "rb") as f:
        for k in range(gigabytes):
            f.seek(k * GB)
            if f.read(20) != b"%020d" % (k * GB):
                return False
    return True


def main():
    tap = kit.Tap()
    gigabytes = 100 if LONG else 5
    folder = kit.scratch()
    shim = shimmed(folder, DROP_ZEROS)
    if os.getuid() != 0 or shim is None:
        tap.skip(f"point 8: {gigabytes} GB", "not root, or no library can be "
                 "preloaded here")
        tap.done()
    make_sparse(os.path.join(folder, "repo/model.safetensors"),
                gigabytes * GB)
    config = {"acme/huge": {"dir": os.path.join(folder, "repo"), "digests": {
        "model.safetensors": DIGESTS[gigabytes]}}}
    with kit.Hub(config) as hub:
        pull(tap, hub, gigabytes, shim, folder)
    shutil.rmtree(folder)
    tap.done()


if __name__ == "__main__":
    main()
