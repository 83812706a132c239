"""The state behind both hosts: repos, tokens, knobs, faults, log."""

import hashlib
import threading

from .digest import DigestCache
from .errors import ConfigError
from .faults import FaultPlan
from .message import quote
from .quota import Quota
from .repo import Repo
from .requestlog import RequestLog
from .signing import Signer

KNOBS = {"repos", "renamed", "tokens", "url_ttl", "faults", "disabled", "quota", "gzip",
         "bytes_reject_auth"}


class Hub:
    def __init__(self, config, base, log_path=None):
        self.base = base             # folder that relative "dir" entries start from
        self.repos = {}              # id -> Repo
        self.objects = {}            # path on the bytes host -> File
        self.renamed = {}
        self.tokens = {}
        self.disabled = set()
        self.url_ttl = 3600
        self.gzip = False
        self.bytes_reject_auth = False
        self.hub_url = self.bytes_url = ""    # set once the ports are known
        self.stopping = threading.Event()
        self.faults = FaultPlan()
        self.quota = Quota()
        self.signer = Signer()
        self.log = RequestLog(log_path)
        self._digests = DigestCache()
        self.update({key: value for key, value in config.items() if key != "tls"})

    def update(self, changes):
        """Apply top-level configuration; `repos` adds to and replaces the repos there are."""
        unknown = set(changes) - KNOBS
        if unknown:
            raise ConfigError(f"unknown or fixed configuration keys {sorted(unknown)}")
        repos = {repo_id: Repo(repo_id, spec, self.base, self._digests)
                 for repo_id, spec in changes.get("repos", {}).items()}
        if "faults" in changes:
            self.faults.replace(changes["faults"])
        if "quota" in changes:
            self.quota.configure(changes["quota"])
        for name in ("renamed", "tokens", "url_ttl", "gzip", "bytes_reject_auth"):
            if name in changes:
                setattr(self, name, changes[name])
        self.disabled = set(changes.get("disabled", self.disabled))
        for repo in repos.values():
            self._publish(repo)

    def _publish(self, repo):
        objects = {object_path(repo, file): file for snapshot in repo.commits.values()
                   for file in snapshot.files.values() if file.sha256}
        # New dictionaries, not changed ones: requests under way read the old.
        self.objects = {**self.objects, **objects}
        self.repos = {**self.repos, repo.id: repo}

    def user_of(self, token):
        """What the token stands for, or None if nobody issued it."""
        if token in self.tokens:
            return self.tokens[token]
        issued = any(token in repo.tokens for repo in self.repos.values())
        return {"name": "user"} if issued else None


def xet_hash(file):
    """A stand-in: what matters is 64 hex digits that are not the SHA-256."""
    return hashlib.sha256(b"xet " + file.sha256.encode()).hexdigest()


def object_path(repo, file):
    # The real CDN path ends at the hash; the file name is there for fault patterns to match.
    return f"/objects/{repo.type}s/{repo.id}/{xet_hash(file)}/{quote(file.path, '/')}"
