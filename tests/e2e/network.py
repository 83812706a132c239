#!/usr/bin/env python3
"""What stands between here and the Hub: certificates and the clock, proxies,
name servers with two kinds of addresses. Each failure names its cause."""
import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, fails, good, kit, make_model, shimmed  # noqa: E402

REPO = "acme/tiny"
NAMES = "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"
CA_CONF = """[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
x509_extensions = usr
[any]
commonName = supplied
[usr]
%s
"""


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True,
                   capture_output=True)


class Authority:
    """A certificate authority that signs what no honest one would."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-days", "30", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
                "/CN=test authority")
        openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout",
                "key.pem", "-out", "req.pem", "-subj", "/CN=hub")
        self.ca = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "key.pem")

    def sign(self, name, start, end, names=NAMES):
        """A certificate for these days from now on."""
        for file, text in (("index.txt", ""), ("serial", "01"),
                           ("ca.cnf", CA_CONF % names)):
            with open(os.path.join(self.folder, file), "w",
                      encoding="utf-8") as f:
                f.write(text)
        days = [time.strftime("%Y%m%d%H%M%SZ",
                              time.gmtime(time.time() + 86400 * d))
                for d in (start, end)]
        openssl(self.folder, "ca", "-batch", "-config", "ca.cnf", "-cert",
                "ca.pem", "-keyfile", "ca.key", "-in", "req.pem", "-out",
                name, "-startdate", days[0], "-enddate", days[1], "-notext")
        return os.path.join(self.folder, name)


def certificates(tap, config, files, folder):
    authority = Authority(folder)
    cases = [
        ("a good certificate", (-1, 5), NAMES, 0, ""),
        ("a certificate that has expired", (-9, -2), NAMES, 5, "expired"),
        ("a certificate of the future", (2, 9), NAMES, 5, "not yet valid"),
        ("a certificate of another host", (-1, 5),
         "subjectAltName=DNS:hub.example", 5, "match"),
    ]
    for name, (start, end), names, status, text in cases:
        cert = authority.sign("cert.pem", start, end, names)
        with kit.Hub(config, tls={"cert": cert, "key": authority.key}) as hub:
            with World(hub.url, SSL_CERT_FILE=authority.ca) as w:
                began = time.monotonic()
                done = w.pull(REPO)
                took = time.monotonic() - began
                if status == 0:
                    good(tap, done, files, name)
                    downgraded(tap, hub, authority)
                    continue
                fails(tap, done, status, text, f"{name}: {status}")
                tap.ok(("date -u" in done.stderr) == (text != "match"),
                       "the clock is named where it may be the cause",
                       done.stderr)
                tap.ok(took < 10, "at once", took)
            if text == "match":
                with World(hub.url) as w:
                    fails(tap, w.pull(REPO), 5, "SSL_CERT_FILE",
                          "an unknown authority: 5")


def downgraded(tap, hub, authority):
    """A redirect from https to http is not followed, wherever it leads."""
    for place in ({"path": "*/resolve/*"}, {"host": "bytes"}):
        with World(hub.url, SSL_CERT_FILE=authority.ca) as w:
            hub.faults([dict(place, status=302, times=-1, headers={
                "Location": "http://127.0.0.1:1/x"})])
            fails(tap, w.pull(REPO), 8, "https to http",
                  f"a redirect from https to http, {place}: 8")
        hub.faults([])
    with World(hub.url.replace("https:", "http:")) as w:
        done = w.pull(REPO, "--retry-time", "2")
        fails(tap, done, 5, hub.url.partition("//")[2],
              "http where there is TLS: 5")


TWO_ADDRESSES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
typedef int look(const char *, const char *, const struct addrinfo *,
                 struct addrinfo **);
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h,
                struct addrinfo **r)
{
    look *real = (look *)dlsym(RTLD_NEXT, "getaddrinfo");
    struct addrinfo *six = 0, hint = { .ai_socktype = SOCK_STREAM };
    if (n == 0 || strcmp(n, "both.example") != 0)
        return real(n, s, h, r);
    if (real("127.0.0.1", s, &hint, r) != 0)
        return EAI_NONAME;
    if (real("::1", s, &hint, &six) == 0) {
        six->ai_next = *r;
        *r = six;
    }
    return 0;
}
"""


@contextlib.contextmanager
def silent_port(port):
    """[::1]:port takes no connection and refuses none: its queue is full."""
    server = socket.socket(socket.AF_INET6)
    fillers = []
    try:
        server.bind(("::1", port))
        server.listen(0)
        for _ in range(4):
            s = socket.socket(socket.AF_INET6)
            s.setblocking(False)
            s.connect_ex(("::1", port))
            fillers.append(s)
        yield
    finally:
        for s in [server, *fillers]:
            s.close()


def two_addresses(tap, hub, files, folder):
    names = ["IPv6 is refused: IPv4 is used",
             "IPv6 says nothing: IPv4 is used, soon"]
    shim = shimmed(folder, TWO_ADDRESSES)
    if shim is None or not socket.has_ipv6:
        for name in names:
            tap.skip(name, "no IPv6, or no library can be preloaded here")
        return
    port = int(hub.url.rpartition(":")[2])
    url = f"http://both.example:{port}"
    with World(url, LD_PRELOAD=shim) as w:
        good(tap, w.pull(REPO), files, names[0])
    try:
        with silent_port(port), World(url, LD_PRELOAD=shim) as w:
            began = time.monotonic()
            done = w.pull(REPO)
            took = time.monotonic() - began
            good(tap, done, files, names[1])
            tap.ok(took < 10, "each connection loses a fraction of a second",
                   took)
    except OSError as problem:
        tap.skip(names[1], f"no silent IPv6 port: {problem}")


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy that lets nothing through."""
    status = 403

    def refuse(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_CONNECT = refuse

    def log_message(self, *args):
        pass


def proxies(tap, hub):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy = f"http://127.0.0.1:{server.server_port}"
    with World("https://hub.example", https_proxy=proxy) as w:
        for status, text in ((403, "the proxy refuses (403)"),
                             (407, "user name and a password")):
            Proxy.status = status
            began = time.monotonic()
            fails(tap, w.pull(REPO), 5, text, f"CONNECT answered {status}: 5")
            tap.ok(time.monotonic() - began < 15, "well before the minute "
                   "is over")
    with World(hub.url, http_proxy=proxy) as w:
        Proxy.status = 407
        fails(tap, w.pull(REPO), 5, "the proxy", "a proxy that wants a "
              "password: 5")
        Proxy.status = 502
        fails(tap, w.pull(REPO, "--retry-time", "1"), 5, "502",
              "a proxy that reaches nobody: 5")
    with World("https://hub.example", https_proxy="http://127.0.0.1:1") as w:
        fails(tap, w.pull(REPO, "--retry-time", "1"), 5, "127.0.0.1 port 1",
              "a proxy that is not there is named: 5")
    for proxy in ("http://user:S3cret#x@127.0.0.1:1",
                  "socks9://user:S3cret@127.0.0.1:1",
                  "http://user:p@S3cret/x@127.0.0.1:1"):
        with World("https://hub.example", https_proxy=proxy) as w:
            got = w.pull(REPO, "--retry-time", "1")
            tap.ok(got.returncode == 5 and "cret" not in got.stderr and
                   "%40" in got.stderr, "a proxy's password is not told, "
                   "also where it cannot be read", got.stderr)
    server.shutdown()


def main():
    tap = kit.Tap()
    data = kit.scratch()
    files = make_model(os.path.join(data, "tiny"))
    config = {REPO: {"dir": os.path.join(data, "tiny")}}
    if shutil.which("openssl") is None:
        tap.skip("certificates", "no openssl program")
    else:
        certificates(tap, config, files, os.path.join(data, "tls"))
    with kit.Hub(config) as hub:
        two_addresses(tap, hub, files, data)
        proxies(tap, hub)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
