"""Putting a body on the wire: fast when all is well, slowly and wrongly on request."""

import os
import select
import ssl
import time

from .message import OnDisk

CHUNK = 256 * 1024
SENDFILE_CHUNK = 1 << 30
FLIPPED_BIT = 0x01
NAP = 0.05
PEER_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class BodySender:
    """Sends one body; `sent` is right even after an exception."""

    def __init__(self, connection, stopping):
        self._connection = connection
        self._stopping = stopping
        self.sent = 0

    def send_head(self, head, drip):
        """The head at once, or byte by byte with a nap of `drip` seconds after each."""
        for byte in head if drip else b"":
            self._connection.sendall(bytes([byte]))
            self._sleep(drip)
        if not drip:
            self._connection.sendall(head)

    def send(self, body, rule=None):
        """Whether the whole body went out; False means: close the connection."""
        if rule is None and isinstance(body, OnDisk) and not isinstance(self._connection,
                                                                       ssl.SSLSocket):
            return self._sendfile(body)
        return self._send_in_chunks(body, rule)

    def _sendfile(self, body):
        with open(body.local, "rb", buffering=0) as stream:
            while self.sent < body.length:
                count = os.sendfile(self._connection.fileno(), stream.fileno(),
                                    body.start + self.sent,
                                    min(SENDFILE_CHUNK, body.length - self.sent))
                if count == 0:    # the file shrank since it was hashed
                    return False
                self.sent += count
        return True

    def _send_in_chunks(self, body, rule):
        actions = rule.actions if rule else {}
        cut = actions.get("cut", body.length)
        stall_at, stall_seconds = actions.get("stall", (None, 0))
        rate = actions.get("rate")
        begun = time.monotonic()
        with body.reader() as read:
            while self.sent < cut:
                if self.sent == stall_at:
                    self._sleep(stall_seconds)
                    stall_at = None
                size = self._chunk_size(cut, stall_at, rate)
                chunk = read(body.start + self.sent, size)
                if not chunk:
                    return False
                self._connection.sendall(_flip(chunk, body.start + self.sent,
                                               actions.get("flip")))
                self.sent += len(chunk)
                if rate:
                    self._sleep(begun + self.sent / rate - time.monotonic())
        return cut == body.length

    def _chunk_size(self, cut, stall_at, rate):
        stop = cut if stall_at is None or stall_at < self.sent else min(cut, stall_at)
        size = min(CHUNK, stop - self.sent)
        # A tenth of a second at a time, so that a slow stream drips rather than jerks.
        return max(min(size, int(rate / 10)), 1) if rate else size

    def _sleep(self, seconds):
        """Wait, but not for a client that has given up meanwhile."""
        watch = select.poll()
        watch.register(self._connection, PEER_GONE)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stopping.wait(min(left, NAP)) or watch.poll(0):
                raise ConnectionAbortedError("client or server is going away")


def _flip(chunk, offset, target):
    if target is None or not offset <= target < offset + len(chunk):
        return chunk
    damaged = bytearray(chunk)
    damaged[target - offset] ^= FLIPPED_BIT
    return bytes(damaged)
