"""A proxy in front of an S3 server that does it harm, as it is told.

    with s3_faults.Faults(server) as f:
        f.add("PUT", "/bucket/key", s3_faults.answer(503, code="SlowDown"), 2)

A client is given f.endpoint. Every request goes on a connection of its own;
what is forwarded keeps its head, so that signatures hold. f.seen is the list
of (method, target, headers) that came.
"""
import re
import socket
import ssl
import struct
import threading
import urllib.parse


def error_body(code, message="as the test wants it", more=""):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}'
            f"</Code><Message>{message}</Message>{more}</Error>").encode()


class Drop(Exception):
    """The connection ends with a reset."""


def answer(status, body=None, code=None, headers=None, more=""):
    """This, and the server hears nothing of it."""
    if code is not None:
        body = error_body(code, more=more)

    def act(request, forward):
        return compose(status, headers or {}, body or b"")
    return act


def instead(status, body=None, code=None, headers=None):
    """The server does it; the client is told this."""
    def act(request, forward):
        forward()
        return answer(status, body, code, headers)(request, forward)
    return act


def reset(request, forward):
    """Nobody hears anything."""
    raise Drop


def lost(request, forward):
    """The server does it, and the answer is lost."""
    forward()
    raise Drop


def cut(after):
    """The answer ends after so many bytes of its body."""
    def act(request, forward):
        head, _, body = forward().partition(b"\r\n\r\n")
        return head + b"\r\n\r\n" + body[:after], "drop"
    return act


def changed(function):
    """The answer's bytes through a function."""
    def act(request, forward):
        return function(forward())
    return act


def compose(status, headers, body):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}",
             "Connection: close"]
    lines += [f"{k}: {v}" for k, v in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Request:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.body = body
        kept = [line for line in lines
                if not re.match(r"(?i)(connection|expect):", line)]
        self.bytes = ("\r\n".join([*kept, "Connection: close"]) +
                      "\r\n\r\n").encode("latin-1") + body


class Rule:
    def __init__(self, method, target, act, times, skip):
        self.method, self.target = method, re.compile(target)
        self.act, self.times, self.skip = act, times, skip

    def takes(self, r):
        if self.times == 0 or self.method not in ("*", r.method) or \
                not self.target.search(r.target):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Faults:
    def __init__(self, server, certificate=None):
        """certificate: a file with a key and a certificate, for https."""
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.upstream = urllib.parse.urlsplit(server.endpoint)
        self.lock = threading.Lock()
        self.rules = []
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.endpoint = ("https" if certificate else "http") + \
            f"://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def add(self, method, target, act, times=1, skip=0):
        """For that method ("*": any) and a target that a pattern is in."""
        with self.lock:
            self.rules.append(Rule(method, target, act, times, skip))

    def clear(self):
        with self.lock:
            self.rules, self.seen = [], []

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,),
                             daemon=True).start()

    def serve(self, c):
        try:
            if self.tls:
                c = self.tls.wrap_socket(c, server_side=True)
        except OSError:
            c.close()
            return
        with c:
            try:
                r = self.read(c)
                if r is None:
                    return
                with self.lock:
                    self.seen.append((r.method, r.target, r.headers))
                    rule = next((x for x in self.rules if x.takes(r)), None)
                out = rule.act(r, lambda: self.forward(r)) if rule \
                    else self.forward(r)
                if isinstance(out, tuple):
                    c.sendall(out[0])
                    raise Drop
                c.sendall(out)
            except Drop:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
            except OSError:
                pass

    @staticmethod
    def read(c):
        data = b""
        while b"\r\n\r\n" not in data:
            more = c.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if re.search(rb"(?i)\r\nexpect: *100-continue", head):
            c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        m = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        parts, left = [body], (int(m.group(1)) if m else 0) - len(body)
        while left > 0:
            more = c.recv(1 << 20)
            if not more:
                return None
            parts.append(more)
            left -= len(more)
        return Request(head, b"".join(parts))

    def forward(self, r):
        parts = []
        with socket.create_connection(
                (self.upstream.hostname, self.upstream.port)) as s:
            s.sendall(r.bytes)
            while True:
                more = s.recv(1 << 20)
                if not more:
                    return b"".join(parts)
                parts.append(more)

    def stop(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.stop()
