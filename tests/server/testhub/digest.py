"""File identities: git object names, SHA-256, and a cache so that files are hashed once."""

import hashlib
import os


def git_object_sha1(kind, data):
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest()


def lfs_pointer(sha256, size):
    return (f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\n"
            f"size {size}\n").encode()


class DigestCache:
    """Digests by file identity; a file touched since is hashed again."""

    def __init__(self):
        self._known = {}

    def sha256(self, path):
        return self._digest(path, "sha256", hashlib.sha256)

    def git_blob(self, path):
        header = b"blob %d\0" % os.stat(path).st_size
        return self._digest(path, "git", lambda: hashlib.sha1(header))

    def _digest(self, path, kind, new_hash):
        info = os.stat(path)
        key = (kind, path, info.st_ino, info.st_size, info.st_mtime_ns)
        if key not in self._known:
            with open(path, "rb") as stream:
                self._known[key] = hashlib.file_digest(stream, new_hash).hexdigest()
        return self._known[key]
