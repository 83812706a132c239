"""Disks of a test's own: an image in a loop device, whose power can be cut."""
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

import kit

MIB = 1 << 20
FILE_SYSTEMS = ("ext4", "xfs")
SHUTDOWN = 0x8004587D    # _IOR('X', 125, u32), of ext4 and of xfs
NO_LOG_FLUSH = struct.pack("I", 2)
CLONE_NEWNS = 0x20000
NOISE = """
import os, sys, time
f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
while True:
    os.pwrite(f, os.urandom(64), 0)
    os.fsync(f)
    time.sleep(0.02)
"""
NO_SYNC = """
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
void sync(void) { }
int sync_file_range(int fd, long o, long n, unsigned f)
{ (void)fd; (void)o; (void)n; (void)f; return 0; }
"""


class Disk:
    """An image of a file system, mounted through a loop device."""

    def __init__(self, kind, size=500 * MIB, options=()):
        self.folder = kit.scratch()
        self.image = os.path.join(self.folder, "image")
        self.mount_point = os.path.join(self.folder, "mnt")
        os.makedirs(self.mount_point)
        with open(self.image, "wb") as f:
            f.truncate(size)
        self.run(f"mkfs.{kind}", "-q", *options, self.image)
        self.mount()

    def run(self, *args):
        env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        subprocess.run(args, check=True, capture_output=True, env=env)

    def mount(self):
        self.run("mount", "-o", "loop", self.image, self.mount_point)

    def cut(self):
        """All that is not on the disk by now is gone."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, NO_LOG_FLUSH)
        os.close(fd)

    def fill(self):
        """Not a block is left, nor one that a new file could have."""
        size, n = 1 << 40, 0
        try:
            folder = tempfile.mkdtemp(dir=self.mount_point)
        except OSError:
            return
        while size >= 512:
            try:
                fd = os.open(os.path.join(folder, str(n)),
                             os.O_WRONLY | os.O_CREAT)
                try:
                    os.posix_fallocate(fd, 0, size)
                finally:
                    os.close(fd)
            except OSError:
                size //= 2
            n += 1
        try:
            for n in range(n, 10**6):
                os.mkdir(os.path.join(folder, str(n)))
        except OSError:
            pass

    def unmount(self):
        for _ in range(50):
            try:
                return self.run("umount", self.mount_point)
            except subprocess.CalledProcessError:
                time.sleep(0.1)  # a killed process is still on its way out
        return self.run("umount", "-l", self.mount_point)

    def close(self):
        self.unmount()
        shutil.rmtree(self.folder)


def alone():
    """From now on nobody else sees what this process mounts. Who copies all
    mounts of the machine, as "ip netns exec" does, would keep a disk alive
    that was cut and unmounted, and the next mount would be of that one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mounts of its own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True,
                   capture_output=True)


def cannot(kind):
    """Why there can be no such disk here, or None."""
    if os.getuid() != 0:
        return "not root"
    try:
        alone()
        Disk(kind).close()
    except (OSError, subprocess.CalledProcessError) as problem:
        return f"no loop-mounted {kind}: {problem}"
    return None
