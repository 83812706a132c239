"""A plain S3 client for the tests: signs, sends, believes what comes.

It shares no code with the programs, checks no digest, and so is the control
that shows what a bucket really delivers.
"""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"status {status}: {body[:300]!r}")
        self.status = status
        self.body = body


class Plain:
    def __init__(self, server, endpoint=None):
        self.key, self.secret = server.key, server.secret
        self.region = server.region
        where = urllib.parse.urlsplit(endpoint or server.endpoint)
        self.host = where.netloc

    def sign(self, method, path, query, headers, payload):
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        headers = {k.lower(): v for k, v in headers.items()}
        headers.update({"host": self.host, "x-amz-date": stamp,
                        "x-amz-content-sha256": payload})
        names = sorted(k for k in headers if k == "host"
                       or k.startswith("x-amz-"))
        text = "\n".join([method, path, query,
                          *[f"{k}:{headers[k]}" for k in names], "",
                          ";".join(names), payload])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = mac(key, part)
        todo = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(text.encode()).hexdigest()])
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, "
            f"Signature={mac(key, todo).hex()}")
        return headers

    def ask(self, method, bucket="", key="", query=None, body=b"",
            headers=None, good=(200, 204, 206)):
        """The status, headers and body of one request."""
        path = "/" + bucket
        if key:
            path += "/" + "/".join(quoted(p) for p in key.split("/"))
        q = "&".join(f"{quoted(k)}={quoted(v)}"
                     for k, v in sorted((query or {}).items()))
        h = self.sign(method, path, q, headers or {},
                      hashlib.sha256(body).hexdigest())
        c = http.client.HTTPConnection(self.host, timeout=60)
        try:
            c.request(method, path + ("?" + q if q else ""), body, h)
            r = c.getresponse()
            got = r.read()
        finally:
            c.close()
        if r.status not in good:
            raise Refused(r.status, got)
        return r.status, r.headers, got

    def make_bucket(self, name):
        self.ask("PUT", name)

    def put(self, bucket, key, body, **headers):
        return self.ask("PUT", bucket, key, body=body, headers=headers)[1]

    def get(self, bucket, key):
        return self.ask("GET", bucket, key)[2]

    def remove(self, bucket, key):
        self.ask("DELETE", bucket, key)

    def keys(self, bucket, prefix=""):
        """{key: size} of all that LIST tells of."""
        found, token = {}, None
        while True:
            q = {"list-type": "2", "prefix": prefix}
            if token:
                q["continuation-token"] = token
            text = self.ask("GET", bucket, query=q)[2].decode()
            for one in re.findall(r"<Contents>(.*?)</Contents>", text, re.S):
                name = re.search(r"<Key>(.*?)</Key>", one, re.S).group(1)
                size = re.search(r"<Size>(\d+)</Size>", one).group(1)
                for a, b in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'),
                             ("&amp;", "&")):
                    name = name.replace(a, b)
                found[name] = int(size)
            more = re.search(r"<NextContinuationToken>(.*?)</", text)
            if not more:
                return found
            token = more.group(1)

    def uploads(self, bucket):
        """[(key, upload id)] of the multipart uploads under way."""
        text = self.ask("GET", bucket, query={"uploads": ""})[2].decode()
        return [(re.search(r"<Key>(.*?)</Key>", u, re.S).group(1),
                 re.search(r"<UploadId>(.*?)</UploadId>", u, re.S).group(1))
                for u in re.findall(r"<Upload>(.*?)</Upload>", text, re.S)]

    def flip(self, bucket, key, at):
        """One bit of a stored object, changed behind everybody's back."""
        data = bytearray(self.get(bucket, key))
        data[at] ^= 1
        self.put(bucket, key, bytes(data))
