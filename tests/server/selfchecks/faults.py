"""Every fault, and the matching of rules."""

import http.client
import time

from .harness import BIG, check, expect

FILE = "/acme/tiny/resolve/main/model.safetensors"
ON_FILE = {"host": "bytes", "path": "*/model.safetensors"}


def fetch(world, first=None, last=None):
    headers = {} if first is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
    return world.ask(world.signed(), headers=headers)


def flipped(offset):
    return BIG[:offset] + bytes([BIG[offset] ^ 1]) + BIG[offset + 1:]


@check
def fault_cut(world):
    world.faults({**ON_FILE, "cut": 1000})
    reply = fetch(world)
    expect((reply.status, reply.complete, reply.body == BIG[:1000]), (200, False, True), "cut")
    expect(reply.header("Content-Length"), str(len(BIG)), "announced length")
    expect(world.log()[-1]["bytes"], 1000, "bytes in the log")
    expect(fetch(world).body == BIG, True, "once only")


@check
def fault_cut_of_a_range_and_of_json(world):
    world.faults({**ON_FILE, "cut": 0}, {"path": "*/tree/*", "cut": 5})
    reply = fetch(world, 100, 199)
    expect((reply.status, reply.complete, reply.body), (206, False, b""), "cut at once")
    reply = world.ask("/api/models/acme/tiny/tree/main")
    expect((reply.complete, len(reply.body)), (False, 5), "listing cut short")


@check
def fault_flip(world):
    world.faults({**ON_FILE, "flip": 5000})
    expect(fetch(world, 0, 4999).body == BIG[:5000], True, "range before the byte")
    reply = fetch(world, 4000, 5999)
    expect(reply.body == flipped(5000)[4000:6000], True, "range with the byte")
    expect(fetch(world).body == BIG, True, "once only")
    world.faults({**ON_FILE, "flip": 0, "times": -1})
    for _ in range(3):
        expect(fetch(world).body == flipped(0), True, "for ever")


@check
def fault_status(world):
    world.faults({**ON_FILE, "status": 503, "headers": {"Retry-After": "1"}, "body": "busy"},
                 {"host": "hub", "path": "/api/*", "status": 429,
                  "headers": {"RateLimit": '"api";r=0;t=1'}, "body": {"error": "slow down"}})
    reply = fetch(world)
    expect((reply.status, reply.header("Retry-After"), reply.body), (503, "1", b"busy"), "503")
    reply = world.ask("/api/models/acme/tiny")
    expect((reply.status, reply.header("RateLimit"), reply.json()),
           (429, '"api";r=0;t=1', {"error": "slow down"}), "429")
    expect(world.ask("/api/models/acme/tiny").status, 200, "once only")


@check
def fault_ignore_range(world):
    world.faults({**ON_FILE, "ignore_range": True})
    expect(fetch(world).status, 200, "a plain request does not use the rule up")
    reply = fetch(world, 10, 19)
    expect((reply.status, reply.header("Content-Range"), reply.body == BIG), (200, None, True),
           "ranged request")
    expect(fetch(world, 10, 19).status, 206, "once only")


@check
def fault_wrong_range(world):
    world.faults({**ON_FILE, "wrong_range": True}, {**ON_FILE, "wrong_range": "bytes 0-9/10"})
    shown = [fetch(world, 10, 19).header("Content-Range") for _ in range(3)]
    expect(shown, [f"bytes 11-20/{len(BIG)}", "bytes 0-9/10", f"bytes 10-19/{len(BIG)}"],
           "Content-Range")


@check
def fault_stall(world):
    world.faults({**ON_FILE, "stall": [1000, 1]})
    url, begun = world.signed(), time.monotonic()
    reply = world.ask(url)
    expect(reply.body == BIG, True, "body")
    expect(time.monotonic() - begun >= 1, True, "stalled for a second")
    world.faults({**ON_FILE, "stall": [0, 30]})
    try:
        world.ask(url, timeout=0.3)
        raise AssertionError("a stalled body arrived")
    except TimeoutError:
        pass
    record = world.log()[-1]
    expect((record["bytes"], (record["seconds"] or 30) < 2), (0, True),
           "the server notices that the client left")


@check
def fault_rate(world):
    world.faults({**ON_FILE, "rate": len(BIG)})
    url, begun = world.signed(), time.monotonic()
    expect(world.ask(url).body == BIG, True, "body")
    seconds = time.monotonic() - begun
    expect(0.8 < seconds < 5, True, f"{seconds:.2f} s for what should take one second")


@check
def fault_short_length(world):
    world.faults({**ON_FILE, "short_length": True})
    reply = fetch(world)
    expect((reply.status, reply.header("Content-Length"), reply.complete),
           (200, str(len(BIG) // 2), True), "short answer")
    expect(reply.body == BIG[:len(BIG) // 2], True, "body")


@check
def fault_headers(world):
    world.faults({"path": "*/resolve/*", "headers": {"x-repo-commit": None, "ETAG": "W/\"x\""}},
                 {"path": "*/tree/*", "headers": {"Link": "<{bytes}/evil>; rel=\"next\""}})
    reply = world.ask(FILE, "HEAD")
    expect((reply.status, reply.header("X-Repo-Commit"), reply.header("ETag")),
           (302, None, 'W/"x"'), "resolve")
    reply = world.ask("/api/models/acme/tiny/tree/main")
    expect(reply.header("Link"), f'<{world.bytes}/evil>; rel="next"', "placeholder")


@check
def fault_delay_and_hangup(world):
    world.faults({"path": "*/resolve/*", "delay": 0.5}, {"path": "*/resolve/*", "hangup": True})
    begun = time.monotonic()
    expect(world.ask(FILE, "HEAD").status, 302, "delayed")
    expect(time.monotonic() - begun >= 0.5, True, "delay")
    try:
        world.ask(FILE, "HEAD")
        raise AssertionError("an answer in spite of the hangup")
    except (http.client.RemoteDisconnected, ConnectionError):
        pass
    expect(world.log()[-1]["status"], None, "status in the log")
    expect(world.ask(FILE, "HEAD").status, 302, "once only")


@check
def fault_combination(world):
    world.faults({**ON_FILE, "flip": 10, "cut": 20, "headers": {"X-Test": "1"}})
    reply = fetch(world)
    expect((reply.body == flipped(10)[:20], reply.header("X-Test")), (True, "1"), "answer")
    expect(world.log()[-1]["faults"], [{"cut": 20, "flip": 10, "headers": {"X-Test": "1"}}],
           "faults in the log")


@check
def rule_matching(world):
    world.faults({"method": "GET", "path": "/acme/*", "after": 1, "times": 2, "status": 500})
    statuses = [world.ask(FILE).status for _ in range(4)]
    expect(statuses, [302, 500, 500, 302], "after and times")
    world.faults({"host": "bytes", "status": 500}, {"method": "POST", "status": 501},
                 {"range": "bytes=5-*", "path": "/acme/*", "status": 502})
    expect(world.ask(FILE).status, 302, "no rule matches")
    expect(world.ask(FILE, headers={"Range": "bytes=5-6"}).status, 502, "range pattern")
    seen = [rule["seen"] for rule in world.ask("/_test/faults").json()]
    expect(seen, [0, 0, 1], "matches counted")


@check
def body_faults_pass_over_redirects(world):
    world.faults({"path": "*model.safetensors", "cut": 10})
    expect(world.ask(FILE).complete, True, "redirect")
    expect(fetch(world).complete, False, "file")


@check
def rules_that_make_no_sense(world):
    for rules in ({}, [{}], [{"path": "*"}], [{"kut": 1}], [{"cut": 1, "status": 500}],
                  [{"body": "x"}], [{"stall": 5}], [{"rate": 0}],
                  [{"host": "cdn", "cut": 1}], [3]):
        expect(world.post("/_test/faults", rules).status, 400, f"status for {rules}")


@check
def fault_reset(world):
    world.faults({**ON_FILE, "cut": 1000, "reset": True},
                 {"path": "*/tree/*", "hangup": True, "reset": True})
    for ask in (fetch, lambda w: w.ask("/api/models/acme/tiny/tree/main")):
        try:
            ask(world)
        except ConnectionResetError:
            continue
        raise AssertionError("no reset")


@check
def fault_drip(world):
    world.faults({**ON_FILE, "drip": 0.002})
    begun = time.monotonic()
    expect(fetch(world).body == BIG, True, "body")
    expect(time.monotonic() - begun > 0.2, True, "the head came slowly")


@check
def fault_holds(world):
    world.faults({**ON_FILE, "holds": 5000, "status": 503, "times": -1})
    expect(fetch(world, 0, 4999).status, 206, "range before the byte")
    expect(fetch(world, 5001).status, 206, "range behind the byte")
    expect([fetch(world, *r).status for r in ((0, 5000), (5000, None), (None, None))],
           [503] * 3, "ranges with the byte")


@check
def digests_that_are_believed(world):
    world.knobs(repos={"acme/claimed": {"dir": "tiny", "digests": {"model.safetensors":
                                                                   "ab" * 32}}})
    reply = world.ask("/acme/claimed/resolve/main/model.safetensors")
    expect(reply.header("X-Linked-Etag"), f'"{"ab" * 32}"', "etag")
