"""One repo: its access rules, its refs and the contents behind each commit."""

import hashlib
import os
import re

from .errors import ConfigError
from .snapshot import Snapshot

TYPES = ("model", "dataset", "space", "kernel")
DEFAULT_LFS = ("*.bin", "*.pt", "*.pth", "*.safetensors")
KEYS = {"dir", "type", "private", "gated", "tokens", "branches", "tags", "refs", "lfs", "page",
        "extra_tree", "patch_tree", "revisions", "headers_drop", "direct", "xet", "digests"}
COMMIT = re.compile(r"[0-9a-f]{40}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")


class Repo:
    def __init__(self, repo_id, spec, base, digests):
        unknown = set(spec) - KEYS
        if unknown:
            raise ConfigError(f"repo {repo_id}: unknown keys {sorted(unknown)}")
        self.id = repo_id
        self.type = spec.get("type", "model")
        if self.type not in TYPES:
            raise ConfigError(f"repo {repo_id}: unknown type {self.type}")
        self.private = bool(spec.get("private", False))
        self.gated = spec.get("gated", False)
        self.tokens = set(spec.get("tokens", ()))
        self.page = spec.get("page", 1000)
        self.extra_tree = list(spec.get("extra_tree", ()))
        self.patch_tree = dict(spec.get("patch_tree", {}))
        self.headers_drop = {name.lower() for name in spec.get("headers_drop", ())}
        self.direct = bool(spec.get("direct", False))
        self.xet = bool(spec.get("xet", False))
        self.branches = dict(spec.get("branches") or {"main": None})
        self.tags = dict(spec.get("tags", {}))
        self.refs = dict(spec.get("refs", {}))
        self.commits = {}    # commit -> Snapshot
        self.names = {}      # branch, tag or ref -> commit
        self._load(spec, base, digests)

    @property
    def url_prefix(self):
        """What comes before the id in web and resolve URLs."""
        return "" if self.type == "model" else self.type + "s/"

    @property
    def default_branch(self):
        return "main" if "main" in self.branches else next(iter(self.branches))

    def resolve(self, revision):
        """The full commit of a branch, tag, ref, commit or short commit; None if unknown."""
        if revision in self.names:
            return self.names[revision]
        if revision in self.commits:
            return revision
        if SHORT_COMMIT.fullmatch(revision):
            matches = [c for c in self.commits if c.startswith(revision)]
            return matches[0] if len(matches) == 1 else None
        return None

    def _load(self, spec, base, digests):
        lfs = spec.get("lfs", DEFAULT_LFS)

        def scan(folder):
            return Snapshot(os.path.join(base, folder) if folder else None, lfs, digests,
                            spec.get("digests", {}))

        default = scan(spec.get("dir"))
        own = {name: scan(part["dir"]) for name, part in spec.get("revisions", {}).items()}
        for name, snapshot in own.items():
            if COMMIT.fullmatch(name):
                self.commits[name] = snapshot
            elif name not in self.tags and name not in self.refs:
                kind = self.refs if name.startswith("refs/") else self.branches
                kind.setdefault(name, None)
        targets = {**self.branches, **self.tags, **self.refs}
        for name, target in targets.items():
            if target is None or COMMIT.fullmatch(target):
                snapshot = own.get(name) or self.commits.get(target) or default
                self.names[name] = target or self._derive_commit(snapshot)
                self.commits.setdefault(self.names[name], snapshot)
        for name, target in targets.items():
            if name not in self.names:    # the name of another ref
                if target not in self.names:
                    raise ConfigError(f"repo {self.id}: {name} points to unknown {target}")
                self.names[name] = self.names[target]

    def _derive_commit(self, snapshot):
        # The same contents must give the same commit in every run of the server.
        return hashlib.sha1(f"commit {self.id} {snapshot.root_oid}".encode()).hexdigest()
