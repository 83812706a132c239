#!/usr/bin/python3
"""OpenStack Swift with its S3 interface, from Debian's packages.

    swift.py [DIR]        until SIGTERM; prints the environment for a client

`with swift.Swift() as s:` in a test; `Swift.missing()` says why not. One
process, four ports of 127.0.0.1, no root, no memcached. DIR must be on a file
system with extended attributes. It has no conditional PUT (501), and its key
id has a colon in it.
"""
import os
import subprocess

import s3_process

SYSTEM_PYTHON = "/usr/bin/python3"      # the one that has Debian's packages
# run without this folder in its path, where a module of the name of swift is
SERVING = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "swift_serving.py")


class Swift(s3_process.Process):
    name = "swift"
    conditional = False
    key, secret = "test:tester", "testing"

    @staticmethod
    def missing():
        probe = subprocess.run(
            [SYSTEM_PYTHON, "-I", "-c", "import eventlet, swift.proxy.server, "
             "swift.account.server, swift.container.server, "
             "swift.obj.server, swift.common.middleware.s3api"],
            capture_output=True)
        if probe.returncode:
            return ("swift is not installed (packages swift-proxy, "
                    "swift-account, swift-container, swift-object)")
        return None

    def start(self):
        port = s3_process.free_ports(4)
        os.makedirs(self.folder, exist_ok=True)
        try:
            os.setxattr(self.folder, "user.ml.test", b"1")
        except OSError as e:
            raise RuntimeError(f"{self.folder}: no extended attributes: {e}")
        self.spawn([SYSTEM_PYTHON, "-I", SERVING, self.folder, str(port)],
                   "swift")
        self.endpoint = f"http://127.0.0.1:{port}"
        self.wait_for(self.endpoint + "/healthcheck")


if __name__ == "__main__":
    s3_process.main(Swift)
