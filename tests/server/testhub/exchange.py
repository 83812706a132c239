"""From one request to the response that goes out: quota, faults, routes, ranges, headers."""

import secrets
import sys
import traceback

from . import ranges
from .access import Redirected
from .api import api
from .errors import HubError
from .message import Memory, Response, change_headers, error_response, json_response
from .resolve import bytes_host, web

EXPOSED = ("X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,"
           "Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash")


class Exchange:
    """The outcome: a response, the rule that damages its body, the actions that were taken."""

    def __init__(self, response, faults=(), body_rule=None, hang_up=False, rule=None):
        self.response = response
        rules = [r for r in (rule, body_rule) if r]
        self.reset = any(r.get("reset") for r in rules)
        self.drip = max((r.get("drip", 0) for r in rules), default=0)
        self.faults = list(faults)
        self.body_rule = body_rule
        self.hang_up = hang_up


def perform(hub, request):
    limit_headers, response = {}, None
    if request.host == "hub":
        allowed, limit_headers = hub.quota.spend(request.path)
        if not allowed:
            response = json_response({"error": "Too many requests: the quota is used up"},
                                     status=429)
    rule = hub.faults.for_request(request)
    taken = [rule.actions] if rule else []
    if rule:
        hub.stopping.wait(rule.get("delay", 0))
        if rule.get("hangup"):
            return Exchange(Response(0), taken, hang_up=True, rule=rule)
        if rule.get("status"):
            response = canned(rule)
    replaced = response is not None
    if not replaced:
        response = answer(hub, request)
    body_rule = None
    if response.status == 200 and request.method != "HEAD" and not replaced:
        response, body_rule = apply_range(hub, request, response)
    if body_rule:
        taken.append(body_rule.actions)
        hub.stopping.wait(body_rule.get("delay", 0))
    response.headers = final_headers(hub, request, response, limit_headers, (rule, body_rule))
    return Exchange(response, taken, body_rule, rule=rule)


def answer(hub, request):
    """The response of the route, before ranges and faults."""
    try:
        if request.host == "bytes":
            return bytes_host(hub, request)
        if request.segments[0] == "api" and len(request.segments) > 1:
            return api(hub, request)
        return web(hub, request)
    except Redirected as moved:
        return moved.response
    except HubError as error:
        return error_response(error)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return json_response({"error": "The test hub failed; see its stderr"}, status=500)


def canned(rule):
    """The answer a fault rule gives in place of the route."""
    text = rule.get("body", "")
    if not isinstance(text, str):
        return json_response(text, status=rule.get("status"))
    return Response(rule.get("status"), {"Content-Type": "text/plain; charset=utf-8"},
                    Memory(text.encode()))


def apply_range(hub, request, response):
    """Cut the body down to the range asked for, and pick the rule that damages it."""
    size = response.body.length
    part = None
    if response.ranged and same_entity(request, response):
        part = ranges.parse(request.headers.get("Range"), size)
    if part is ranges.UNSATISFIABLE:
        headers = change_headers(response.headers, {"Content-Range": f"bytes */{size}"})
        return Response(416, headers), None
    rule = hub.faults.for_body(request, size, part)
    if part and not (rule and rule.get("ignore_range")):
        start, length = part
        shown = content_range(rule, start, length, size)
        response = Response(206, {**response.headers, "Content-Range": shown},
                            response.body.window(start, length))
    elif response.ranged and size == 0 and request.headers.get("Range"):
        response.headers["Content-Range"] = "bytes */0"
    if rule and rule.get("short_length"):
        shorter = response.body.length // 2
        response.body = response.body.window(response.body.start, shorter)
    return response, rule


def same_entity(request, response):
    condition = request.headers.get("If-Range")
    return condition is None or condition == response.headers.get("ETag")


def content_range(rule, start, length, size):
    wrong = rule.get("wrong_range") if rule else None
    if isinstance(wrong, str):
        return wrong
    shift = 1 if wrong else 0
    return f"bytes {start + shift}-{start + length - 1 + shift}/{size}"


def final_headers(hub, request, response, limit_headers, rules):
    headers = {"Server": "testhub", "X-Request-Id": "Root=1-" + secrets.token_hex(12)}
    if request.host == "hub":
        headers["Access-Control-Expose-Headers"] = EXPOSED
        headers = change_headers(headers, limit_headers)
    headers = change_headers(headers, response.headers)
    if response.status not in (204, 304) and "Transfer-Encoding" not in headers:
        headers["Content-Length"] = str(response.body.length)
    if request.repo:
        headers = change_headers(headers, dict.fromkeys(request.repo.headers_drop))
    for rule in rules:
        if rule:
            headers = change_headers(headers, {
                name: fill(hub, value) for name, value in rule.get("headers", {}).items()})
    return headers


def fill(hub, value):
    """Ports are not known when rules are written, so header values may name the hosts."""
    if value is None:
        return None
    return str(value).replace("{hub}", hub.hub_url).replace("{bytes}", hub.bytes_url)
