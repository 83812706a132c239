#!/usr/bin/env python3
"""TLS records cut in every way a server may cut them. libcurl takes one at a
time and bytes are read ahead of it: what no socket will tell of must not be
waited for. The server sends all records of an answer at once, then it is
silent; who waits for the socket waits until the stall time is over."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, good, kit, noise, write  # noqa: E402

REPO = "acme/records"
FILE = "model.safetensors"
SIZE = (5 << 20) + 12345
SMALL = 3000  # all of its answer is read ahead with the first record
SOON_S = 18  # the stall time is 20


def sized(data, head):
    head += f"Content-Length: {len(data)}\r\n\r\n"
    return head.encode(), data, b""


def chunked(data, head):
    head += "Transfer-Encoding: chunked\r\n\r\n"
    return head.encode(), data, b"0\r\n\r\n"


def whole(head, data, tail):
    return [head + data + tail]


def apart(head, data, tail):
    return [head, data, tail]


def lines(head, data, tail):
    return [line + b"\r\n" for line in head[:-2].split(b"\r\n")] + [data, tail]


def crumbs(head, data, tail):
    return [head, *(data[i:i + 1] for i in range(50)), data[50:], tail]


def in_chunks(head, data, tail):
    """The size of a chunk, its bytes and its end are records of their own."""
    out = [head]
    for at in range(0, len(data), 100_000):
        part = data[at:at + 100_000]
        out += [b"%x\r\n" % len(part), part, b"\r\n"]
    return [*out, tail]


def crumbled(head, data, tail):
    """Nothing but records that bring no byte of the file, then all of it."""
    return [*(head[i:i + 1] for i in range(len(head))), data, tail]


CASES = [("everything in full records", sized, whole),
         ("a record for the head", sized, apart),
         ("a record for each header", sized, lines),
         ("records of one byte", sized, crumbs),
         ("a head of records of one byte", sized, crumbled),
         ("chunks, their sizes in records of their own", chunked, in_chunks)]


class Bytes:
    """A bytes host that encrypts by hand."""

    def __init__(self, files, cert, key):
        self.files, self.frame, self.cut = files, sized, whole
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "https://127.0.0.1:%d/" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        got, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(got, to_send, server_side=True)

        def pump(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(to_send.read())
                    more = sock.recv(1 << 16)
                    if not more:
                        raise ConnectionError from None
                    got.write(more)

        try:
            pump(tls.do_handshake)
            while True:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += pump(lambda: tls.read(1 << 16))
                for record in self.answer(request):
                    if record:
                        tls.write(record)
                sock.sendall(to_send.read())
        except (OSError, ssl.SSLError):
            sock.close()

    def answer(self, request):
        data = self.files[re.match(rb"GET /(\S+) ", request)[1].decode()]
        asked = re.search(rb"Range: bytes=(\d+)-(\d+)", request)
        head = "HTTP/1.1 200 OK\r\n"
        if asked is not None:
            first, last = map(int, asked.groups())
            head = ("HTTP/1.1 206 Partial Content\r\n"
                    f"Content-Range: bytes {first}-{last}/{len(data)}\r\n")
            data = data[first:last + 1]
        head += "".join(f"X-Header-{i}: {i}\r\n" for i in range(9))
        return self.cut(*self.frame(data, head))


def main():
    tap = kit.Tap()
    if shutil.which("openssl") is None:
        tap.skip("TLS records", "no openssl program")
        tap.done()
        return
    folder = kit.scratch()
    files = {FILE: noise(SIZE, "records"), "config.json": noise(SMALL, "few")}
    for name, data in files.items():
        write(os.path.join(folder, "repo", name), data)
    cert, key = (os.path.join(folder, n) for n in ("cert.pem", "key.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "30", "-keyout", key, "-out", cert, "-subj", "/CN=bytes", "-addext",
         "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    host = Bytes(files, cert, key)
    with kit.Hub({REPO: {"dir": os.path.join(folder, "repo")}}) as hub:
        hub.faults([{"path": f"*/resolve/*/{name}", "times": -1,
                     "headers": {"Location": host.url + name}}
                    for name in files])
        for name, host.frame, host.cut in CASES:
            for more in ((), ("--jobs", "2"), ("--limit-rate", "8M")):
                with World(hub.url, SSL_CERT_FILE=cert) as w:
                    began = time.monotonic()
                    good(tap, w.pull(REPO, *more), files,
                         " ".join((name, *more)))
                    took = time.monotonic() - began
                    tap.ok(took < SOON_S, "nothing is waited for", took)
    shutil.rmtree(folder)
    tap.done()


main()
