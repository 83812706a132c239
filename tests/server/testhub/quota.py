"""Rate-limit headers, and a limit that is enforced where the configuration sets one."""

import threading
import time

# High enough that a client which slows down as its quota shrinks never does so by accident.
UNENFORCED = {"api": 100_000, "resolvers": 500_000, "pages": 10_000}


def bucket_of(path):
    if "/resolve/" in path or path.startswith("/api/resolve-cache/"):
        return "resolvers"
    return "api" if path.startswith("/api/") else "pages"


class Quota:
    def __init__(self):
        self._lock = threading.Lock()
        self.configure({})

    def configure(self, limits):
        """limits: {"api": N, "resolvers": N, "pages": N, "window": seconds}, all optional."""
        with self._lock:
            self._enforced = {name: limits[name] for name in UNENFORCED if name in limits}
            self._window = limits.get("window", 300)
            self._used = {}
            self._start = time.monotonic()

    def reset(self):
        with self._lock:
            self._used = {}
            self._start = time.monotonic()

    def spend(self, path):
        """Count one request; returns (allowed, headers)."""
        bucket = bucket_of(path)
        with self._lock:
            age = time.monotonic() - self._start
            if age >= self._window:
                self._used, self._start, age = {}, time.monotonic(), 0
            limit = self._enforced.get(bucket, UNENFORCED[bucket])
            used = self._used.get(bucket, 0)
            allowed = used < limit or bucket not in self._enforced
            self._used[bucket] = used + 1
        left = max(limit - used - 1, 0 if bucket in self._enforced else 1)
        reset = max(int(self._window - age), 1)
        return allowed, {
            "RateLimit": f'"{bucket}";r={left};t={reset}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={limit};w={self._window}'}
