"""What the starters of the real S3 servers share: ports, lives, ends."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PR_SET_PDEATHSIG = 1


def free_ports(count):
    """Ports of 127.0.0.1 that nobody has at the moment, one after another."""
    for _ in range(200):
        held = []
        try:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for k in range(1, count):
                s = socket.socket()
                held.append(s)
                s.bind(("127.0.0.1", port + k))
            return port
        except (OSError, OverflowError):
            continue
        finally:
            for s in held:
                s.close()
    raise RuntimeError("no free ports")


def with_parent():
    """In the child: a session of its own that ends when its starter does."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Process:
    """A throw-away server in a folder of its own: `with Radosgw() as s:`."""

    region = "us-east-1"

    def __init__(self, folder=None):
        self.why = self.missing()
        if self.why:
            raise RuntimeError(self.why)
        self.own = folder is None
        self.folder = os.path.abspath(folder or tempfile.mkdtemp(
            prefix=type(self).__name__.lower() + "-"))
        self.children = []
        for left in (2, 1, 0):
            try:
                self.start()
                return
            except (RuntimeError, subprocess.SubprocessError):
                self.kill()
                if not left:
                    raise
                # somebody else may have taken the port: a new folder
                shutil.rmtree(self.folder, ignore_errors=True)
                os.makedirs(self.folder)
            except BaseException:
                self.stop()
                raise

    def spawn(self, args, name, **more):
        log = open(os.path.join(self.folder, name + ".out"), "wb")
        with log:
            p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, preexec_fn=with_parent, **more)
        self.children.append(p)
        return p

    def wait_for(self, url, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(p.poll() is not None for p in self.children):
                raise RuntimeError("a server ended: see " + self.folder)
            if answers(url):
                return
            time.sleep(0.03)
        raise RuntimeError("no answer from " + url)

    def kill(self):
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
        self.children = []

    def stop(self):
        self.kill()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def env(self):
        """The environment by which a client finds it."""
        return {"AWS_ACCESS_KEY_ID": self.key,
                "AWS_SECRET_ACCESS_KEY": self.secret,
                "AWS_REGION": self.region,
                "AWS_ENDPOINT_URL_S3": self.endpoint}

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.stop()


def main(kind):
    """`radosgw.py [DIR]`: run until SIGTERM or SIGINT, say how to reach it."""
    why = kind.missing()
    if why:
        print(why, file=sys.stderr)
        sys.exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *why: sys.exit(0))
    with kind(sys.argv[1] if len(sys.argv) > 1 else None) as s:
        for name, value in s.env().items():
            print(f"export {name}='{value}'")
        sys.stdout.flush()
        signal.pause()
