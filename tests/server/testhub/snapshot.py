"""The contents of one commit: its files and folders, named the way git names them."""

import fnmatch
import os
from dataclasses import dataclass
from typing import Optional

from .digest import git_object_sha1, lfs_pointer
from .errors import ConfigError


@dataclass(frozen=True)
class File:
    path: str                # in the repo, "/" between components
    local: str               # on this machine
    size: int
    oid: str                 # git blob SHA-1; of the pointer text for an LFS file
    sha256: Optional[str]    # LFS files only: the Hub knows no SHA-256 of the others

    @property
    def etag(self):
        return self.sha256 or self.oid

    @property
    def pointer(self):
        return lfs_pointer(self.sha256, self.size)


class Snapshot:
    """Files and folders of one folder on disk. Empty folders do not exist in git."""

    def __init__(self, folder, lfs_patterns, digests, known=()):
        self.files = {}
        self.folders = {}    # path -> git tree SHA-1
        if folder is not None:
            self._scan(folder, lfs_patterns, digests, known)
        self.root_oid = self._hash_folders()

    def _scan(self, folder, lfs_patterns, digests, known):
        if not os.path.isdir(folder):
            raise ConfigError(f"not a folder: {folder}")
        for where, _, names in os.walk(folder):
            for name in names:
                local = os.path.join(where, name)
                path = os.path.relpath(local, folder).replace(os.sep, "/")
                self.files[path] = _describe(path, local, lfs_patterns, digests, known)

    def _hash_folders(self):
        root = {}
        for path, file in self.files.items():
            node = root
            *parents, name = path.split("/")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[name] = file
        return self._hash_tree("", root)

    def _hash_tree(self, prefix, node):
        rows = []
        for name, child in node.items():
            if isinstance(child, File):
                rows.append((os.fsencode(name), b"100644", child.oid))
            else:
                path = prefix + name
                self.folders[path] = self._hash_tree(path + "/", child)
                # git sorts a folder as if its name ended in "/"
                rows.append((os.fsencode(name) + b"/", b"40000", self.folders[path]))
        data = b"".join(mode + b" " + name.rstrip(b"/") + b"\0" + bytes.fromhex(oid)
                        for name, mode, oid in sorted(rows))
        return git_object_sha1("tree", data)


def _describe(path, local, lfs_patterns, digests, known):
    size = os.stat(local).st_size
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in lfs_patterns):
        sha256 = known[path] if path in known else digests.sha256(local)
        return File(path, local, size, git_object_sha1("blob", lfs_pointer(sha256, size)), sha256)
    return File(path, local, size, digests.git_blob(local), None)
