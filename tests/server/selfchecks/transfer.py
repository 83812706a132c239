"""Resolving, redirects, ranges, signed URLs, connections, the log and TLS."""

import gzip
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse

from .harness import (BIG, BIG_SHA256, COMMIT_OF_PR, EMPTY_GIT, GOOD, ODD_NAME, PINNED, SMALL,
                      SMALL_GIT, World, check, expect, make_config)

RESOLVE = "/acme/tiny/resolve/main/"


@check
def small_file_redirects_within_the_hub(world):
    for method in ("HEAD", "GET"):
        hop = world.ask(RESOLVE + "config.json", method)
        expect(hop.status, 307, method)
        location = hop.header("Location")
        expect(location.startswith(
            f"/api/resolve-cache/models/acme/tiny/{world.commit()}/config.json?"), True, location)
        expect(hop.header("X-Repo-Commit"), world.commit(), "commit on the 307")
        expect(hop.header("X-Linked-Etag"), f'"{SMALL_GIT}"', "X-Linked-Etag on the 307")
        expect(hop.header("X-Linked-Size"), None, "X-Linked-Size on the 307")
        end = world.ask(location, method)
        expect((end.status, end.header("ETag"), end.header("X-Repo-Commit")),
               (200, f'"{SMALL_GIT}"', world.commit()), "second hop")
        expect(end.header("Content-Length"), str(len(SMALL)), "Content-Length")
        expect(end.body, SMALL if method == "GET" else b"", "body")


@check
def lfs_file_redirects_to_the_bytes_host(world):
    for method in ("HEAD", "GET"):
        hop = world.ask(RESOLVE + "model.safetensors", method)
        expect(hop.status, 302, method)
        expect(hop.header("X-Repo-Commit"), world.commit(), "X-Repo-Commit")
        expect(hop.header("X-Linked-Etag"), f'"{BIG_SHA256}"', "X-Linked-Etag")
        expect(hop.header("X-Linked-Size"), str(len(BIG)), "X-Linked-Size")
        expect(hop.header("Content-Length") != str(len(BIG)), True, "length of the redirect")
        expect(hop.header("X-Xet-Hash"), None, "X-Xet-Hash")
        location = hop.header("Location")
        expect(location.startswith(world.bytes + "/"), True, location)
        hosts = [urllib.parse.urlsplit(url).hostname for url in (world.hub, world.bytes)]
        expect(hosts[0] != hosts[1], True, "two host names")
        end = world.ask(location, method)
        expect((end.status, end.header("Content-Length")), (200, str(len(BIG))), "bytes host")
        expect(end.header("ETag") != f'"{BIG_SHA256}"', True, "the ETag is the CDN's own")
        expect(end.body == (BIG if method == "GET" else b""), True, "body")


@check
def ollama_gets_307(world):
    reply = world.ask(RESOLVE + "model.safetensors", headers={"User-Agent": "ollama/0.5"})
    expect(reply.status, 307, "status")


@check
def direct_repo_answers_at_once(world):
    target = "/acme/direct/resolve/main/model.safetensors"
    for method in ("HEAD", "GET"):
        reply = world.ask(target, method)
        expect((reply.status, reply.header("ETag"), reply.header("X-Linked-Size")),
               (200, f'"{BIG_SHA256}"', str(len(BIG))), method)
    expect(world.ask(target, headers={"Range": "bytes=1-3"}).body, BIG[1:4], "range")


@check
def xet_repo_advertises_xet(world):
    hop = world.ask("/acme/xet/resolve/main/model.safetensors", "HEAD")
    etag = world.ask(hop.header("Location"), "HEAD").header("ETag")
    expect(etag, f'"{hop.header("X-Xet-Hash")}"', "CDN ETag is the Xet hash")
    expect('rel="xet-auth"' in hop.header("Link"), True, "Link")
    entries = world.ask("/api/models/acme/xet/tree/main").json()
    expect(sum("xetHash" in entry for entry in entries), 2, "entries with xetHash")


@check
def if_none_match(world):
    cached = world.ask(RESOLVE + "config.json").header("Location")
    for target, etag in ((RESOLVE + "config.json", SMALL_GIT), (cached, SMALL_GIT),
                         (RESOLVE + "model.safetensors", BIG_SHA256)):
        reply = world.ask(target, headers={"If-None-Match": f'"{etag}"'})
        expect((reply.status, reply.body), (304, b""), target)
        other = world.ask(target, headers={"If-None-Match": '"0000"'})
        expect(other.status != 304, True, "other etag " + target)


@check
def missing_file(world):
    reply = world.ask(RESOLVE + "absent.json", "HEAD")
    expect((reply.status, reply.header("X-Error-Code"), reply.header("X-Repo-Commit")),
           (404, "EntryNotFound", world.commit()), "answer")
    for path in ("../tiny/config.json", "%2e%2e/tiny/config.json", "onnx", "a%0d%0ab"):
        expect(world.ask(RESOLVE + path).header("X-Error-Code"), "EntryNotFound", path)


@check
def odd_names_and_revisions(world):
    quoted = urllib.parse.quote(ODD_NAME)
    for revision in ("main", "refs%2Fpr%2F1", "refs/pr/1", "v1", COMMIT_OF_PR, COMMIT_OF_PR[:7]):
        hop = world.ask(f"/acme/tiny/resolve/{revision}/{quoted}")
        expect(hop.status, 307, revision)
        expect(world.ask(hop.header("Location")).body, SMALL, "body at " + revision)
    hop = world.ask("/acme/tiny/resolve/feature%2Fx/config.json", "HEAD")
    expect(hop.header("X-Repo-Commit"), PINNED, "branch with a slash")


@check
def ranges(world):
    url, size = world.signed(), len(BIG)
    cases = [("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19),
             (f"bytes={size - 5}-", size - 5, size - 1),
             ("bytes=-7", size - 7, size - 1), (f"bytes=0-{size * 2}", 0, size - 1),
             (f"bytes=-{size * 2}", 0, size - 1)]
    for header, first, last in cases:
        reply = world.ask(url, headers={"Range": header})
        expect((reply.status, reply.header("Content-Range")),
               (206, f"bytes {first}-{last}/{size}"), header)
        expect(reply.body == BIG[first:last + 1], True, "body of " + header)
    for header in (f"bytes={size}-", f"bytes={size}-{size + 1}", "bytes=-0"):
        reply = world.ask(url, headers={"Range": header})
        expect((reply.status, reply.header("Content-Range"), reply.body),
               (416, f"bytes */{size}", b""), header)
    for header in ("bytes=0-1,5-6", "lines=1-2", "bytes=5-2", "bytes=-"):
        expect(world.ask(url, headers={"Range": header}).status, 200, header)


@check
def ranges_of_a_small_file(world):
    target = world.ask(RESOLVE + "config.json").header("Location")
    reply = world.ask(target, headers={"Range": "bytes=1-2"})
    expect((reply.status, reply.body), (206, SMALL[1:3]), "range")
    expect(reply.header("X-Repo-Commit"), world.commit(), "commit on a 206")
    expect(world.ask(target, headers={"Range": "bytes=6-"}).status, 416, "past the end")


@check
def if_range(world):
    url = world.signed()
    etag = world.ask(url, "HEAD").header("ETag")
    for condition, status in ((etag, 206), (f'"{BIG_SHA256}"', 200)):
        reply = world.ask(url, headers={"Range": "bytes=0-9", "If-Range": condition})
        expect(reply.status, status, "If-Range " + condition)


@check
def zero_byte_files(world):
    git = world.ask(RESOLVE + "empty.txt")
    expect(git.header("X-Linked-Etag"), f'"{EMPTY_GIT}"', "etag")
    for url in (git.header("Location"), world.signed(RESOLVE + "empty.bin")):
        plain = world.ask(url)
        expect((plain.status, plain.header("Content-Length")), (200, "0"), "plain")
        ranged = world.ask(url, headers={"Range": "bytes=0-0"})
        expect((ranged.status, ranged.header("Content-Range"), ranged.body),
               (200, "bytes */0", b""), "ranged")


@check
def signed_urls_expire(world):
    world.knobs(url_ttl=1)
    try:
        url = world.signed()
        expect(world.ask(url).status, 200, "fresh")
        time.sleep(2.1)
        reply = world.ask(url)
        expect((reply.status, b"expired" in reply.body), (403, True), "stale")
        world.knobs(url_ttl=0)
        expect(world.ask(world.signed()).status, 403, "lifetime of zero")
    finally:
        world.knobs(url_ttl=3600)


@check
def signed_urls_cannot_be_forged(world):
    url = world.signed()
    later = url.replace("Expires=", "Expires=9")
    for forged in (later, url.partition("?")[0], url.replace("model.saf", "modem.saf")):
        expect(world.ask(forged).status, 403, forged)
    expect(world.ask(url, "POST", body=b"").status, 405, "POST to the bytes host")


@check
def bytes_host_can_refuse_a_token(world):
    world.knobs(bytes_reject_auth=True)
    try:
        url = world.signed(token=GOOD)
        expect(world.ask(url, token=GOOD).status, 400, "with a token")
        expect(world.ask(url).status, 200, "without")
    finally:
        world.knobs(bytes_reject_auth=False)


@check
def dropped_headers(world):
    reply = world.ask("/acme/bare/resolve/main/model.safetensors", "HEAD")
    expect((reply.status, reply.header("X-Repo-Commit")), (302, None), "resolve")
    expect(world.ask("/api/models/acme/bare/tree/main").header("X-Repo-Commit"), None, "tree")


@check
def gzip_knob(world):
    target = world.ask(RESOLVE + "config.json").header("Location")
    offer = {"Accept-Encoding": "gzip, deflate"}
    expect(world.ask(target, headers=offer).body, SMALL, "off")
    world.knobs(gzip=True)
    try:
        reply = world.ask(target, headers=offer)
        expect((reply.header("Content-Encoding"), reply.header("Content-Length")),
               ("gzip", None), "on")
        expect(gzip.decompress(reply.body), SMALL, "unpacked")
        plain = world.ask(target, headers={"Accept-Encoding": "identity"})
        expect(plain.body, SMALL, "identity")
    finally:
        world.knobs(gzip=False)


@check
def keep_alive(world):
    world.post("/_test/reset", None)
    parts = urllib.parse.urlsplit(world.hub)
    connection = http.client.HTTPConnection(parts.netloc)
    for method in ("HEAD", "GET", "HEAD", "GET"):
        connection.request(method, RESOLVE + "config.json")
        connection.getresponse().read()
    connection.close()
    expect(len({record["connection"] for record in world.log()}), 1, "connections")


@check
def a_client_that_leaves_does_no_harm(world):
    parts = urllib.parse.urlsplit(world.signed())
    with socket.create_connection((parts.hostname, parts.port)) as peer:
        peer.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        peer.recv(100)
    expect(world.ask(RESOLVE + "config.json").status, 307, "server still there")


@check
def request_log(world):
    url = world.signed(token=GOOD)
    world.post("/_test/reset", None)
    world.ask(RESOLVE + "config.json?x=1", "HEAD", token=GOOD, headers={"User-Agent": "me/1"})
    world.ask(url, headers={"Range": "bytes=0-9"})
    first, second = world.log()
    expect((first["host"], first["method"], first["path"], first["status"], first["bytes"]),
           ("hub", "HEAD", RESOLVE + "config.json?x=1", 307, 0), "first record")
    expect((first["authorization"], first["user_agent"]), ("Bearer " + GOOD, "me/1"), "headers")
    expect((second["host"], second["range"], second["status"], second["bytes"],
            second["authorization"]), ("bytes", "bytes=0-9", 206, 10, None), "second record")
    with open(world.log_path, encoding="utf-8") as stream:
        expect([json.loads(line) for line in stream][-2:], [first, second], "log file")
    expect(world.post("/_test/reset", None).status, 200, "reset")
    expect(world.log(), [], "log after reset")


@check
def bad_requests(world):
    expect(world.ask("/_test/absent").status, 404, "unknown control route")
    expect(world.ask("/_test/config", "POST", body=b"{").status, 400, "broken JSON")
    expect(world.post("/_test/config", {"tls": {}}).status, 400, "fixed key")
    chunked = world.ask("/api/x", "POST", body=iter([b"a"]),
                        headers={"Transfer-Encoding": "chunked"})
    expect(chunked.status, 411, "chunked upload")


@check
def five_gigabyte_file(world):
    size = 5 * 10 ** 9
    os.makedirs(world.folder + "/huge", exist_ok=True)
    with open(world.folder + "/huge/model.bin", "wb") as stream:
        stream.truncate(size)
        stream.seek(size - 4)
        stream.write(b"tail")
    # Adding the repo hashes the file, which takes seconds.
    reply = world.ask("/_test/config", "POST", timeout=120, body=json.dumps(
        {"repos": {"acme/huge": {"dir": "huge"}}}).encode())
    expect(reply.status, 200, "adding the repo")
    url = world.signed("/acme/huge/resolve/main/model.bin")
    expect(world.ask(url, "HEAD").header("Content-Length"), str(size), "Content-Length")
    reply = world.ask(url, headers={"Range": f"bytes={size - 6}-"})
    expect((reply.status, reply.header("Content-Range"), reply.body),
           (206, f"bytes {size - 6}-{size - 1}/{size}", b"\0\0tail"), "tail")
    os.unlink(world.folder + "/huge/model.bin")


@check
def tls(world):
    if not shutil.which("openssl"):
        return "skipped, there is no openssl program to make a certificate"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=testhub", "-addext",
                    "subjectAltName=IP:127.0.0.1,IP:127.0.0.2,DNS:localhost"],
                   cwd=world.folder, check=True, capture_output=True)
    config = {**make_config(), "tls": {"cert": "cert.pem", "key": "key.pem"}}
    secure = World(world.folder, config, "tls")
    try:
        expect(secure.hub.startswith("https://"), True, "scheme")
        url = secure.signed()
        expect(url.startswith("https://"), True, "scheme of the bytes host")
        expect(secure.ask(url).body == BIG, True, "body")
        reply = secure.ask("/api/models/acme/many/tree/main")
        expect("<https://" in reply.header("Link"), True, "scheme of the next page")
    finally:
        expect(secure.stop(), 0, "exit status")
    return None
