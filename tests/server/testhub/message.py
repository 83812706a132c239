"""Requests and responses as the routes see them, free of sockets."""

import contextlib
import json
import os
import urllib.parse
from dataclasses import dataclass, field
from typing import Any


class Request:
    def __init__(self, host, method, target, headers, body):
        self.host = host            # "hub" or "bytes"
        self.method = method
        self.target = target        # verbatim, with the query
        self.headers = headers
        self.body = body
        self.raw_path, _, self.raw_query = target.partition("?")
        self.query = urllib.parse.parse_qs(self.raw_query, keep_blank_values=True)
        # Split first, decode afterwards: "refs%2Fpr%2F1" is one segment.
        self.segments = [unquote(part) for part in self.raw_path.strip("/").split("/")]
        self.repo = None            # set by the route once it is known

    @property
    def path(self):
        return unquote(self.raw_path)

    def flag(self, name):
        return self.query.get(name, [""])[-1].lower() in ("true", "1")


class Memory:
    """A body held in memory."""

    def __init__(self, data, start=0, length=None):
        self.data = data
        self.start = start
        self.length = len(data) if length is None else length

    def window(self, start, length):
        return Memory(self.data, start, length)

    @contextlib.contextmanager
    def reader(self):
        yield lambda offset, count: self.data[offset:offset + count]


class OnDisk:
    """A body that is a file, or a range of one."""

    def __init__(self, local, start, length):
        self.local = local
        self.start = start
        self.length = length

    def window(self, start, length):
        return OnDisk(self.local, start, length)

    @contextlib.contextmanager
    def reader(self):
        descriptor = os.open(self.local, os.O_RDONLY)
        try:
            yield lambda offset, count: os.pread(descriptor, count, offset)
        finally:
            os.close(descriptor)


@dataclass
class Response:
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: Any = field(default_factory=lambda: Memory(b""))
    ranged: bool = False                  # Range, If-Range and 206 apply to this body


def unquote(text):
    # surrogateescape, as in file names, so that bytes that are not UTF-8 survive
    return urllib.parse.unquote(text, errors="surrogateescape")


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe, errors="surrogateescape")


def json_response(value, headers=None, status=200):
    data = json.dumps(value, indent=1).encode()
    return Response(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
                    Memory(data))


def error_response(error):
    headers = {"X-Error-Message": error.message, **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return json_response({"error": error.message}, headers, error.status)


def redirect(status, location, headers=None):
    word = "Found" if status == 302 else "Temporary Redirect"
    text = f"{word}. Redirecting to {location}".encode()
    return Response(status, {"Location": location, "Content-Type": "text/plain; charset=utf-8",
                             **(headers or {})}, Memory(text))


def change_headers(headers, changes):
    """Headers with some set, or removed where the new value is None; names in any case."""
    lowered = {name.lower() for name in changes}
    kept = {name: value for name, value in headers.items() if name.lower() not in lowered}
    kept.update((name, value) for name, value in changes.items() if value is not None)
    return kept
