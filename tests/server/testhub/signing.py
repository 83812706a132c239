"""Signed, expiring URLs for the bytes host, in the manner of a CDN."""

import hashlib
import hmac
import math
import secrets
import time
import urllib.parse


class Signer:
    def __init__(self):
        self._key = secrets.token_bytes(32)

    def sign(self, path, lifetime, extra):
        """The target `path?query`, valid for at least `lifetime` seconds if that is positive."""
        now = time.time()
        expires = math.ceil(now + lifetime) if lifetime > 0 else math.floor(now + lifetime)
        query = {**extra, "Expires": expires, "Signature": self._signature(path, expires),
                 "Key-Pair-Id": "TESTHUB"}
        return path + "?" + urllib.parse.urlencode(query)

    def problem(self, path, query):
        """Why this request is refused, or None."""
        expires = query.get("Expires", [""])[0]
        signature = query.get("Signature", [""])[0]
        if not expires.isdecimal() or not signature:
            return "Missing signature"
        if not hmac.compare_digest(signature.encode(), self._signature(path, expires).encode()):
            return "Signature does not match"
        return "Request has expired" if time.time() >= int(expires) else None

    def _signature(self, path, expires):
        text = f"{path}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
