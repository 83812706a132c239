"""The /_test/ routes, by which a test steers the server. Never logged, never at fault."""

import json

from .errors import ConfigError, HubError
from .message import json_response


def control(hub, request):
    route = ROUTES.get((request.method, request.path))
    if route is None:
        raise HubError(404, f"no control route {request.method} {request.path}")
    try:
        return route(hub, request)
    except (ValueError, TypeError, AttributeError, KeyError, OSError) as problem:
        # A test that posts nonsense should learn what was wrong with it.
        kind = "" if isinstance(problem, ConfigError) else type(problem).__name__ + ": "
        raise HubError(400, f"{kind}{problem}") from problem


def set_faults(hub, request):
    hub.faults.replace(json.loads(request.body))
    return json_response({"ok": True})


def get_faults(hub, request):
    return json_response(hub.faults.describe())


def get_log(hub, request):
    return json_response(hub.log.snapshot())


def reset(hub, request):
    hub.log.clear()
    hub.quota.reset()
    return json_response({"ok": True})


def update(hub, request):
    hub.update(json.loads(request.body))
    return json_response({"ok": True})


ROUTES = {
    ("POST", "/_test/faults"): set_faults,
    ("GET", "/_test/faults"): get_faults,
    ("GET", "/_test/log"): get_log,
    ("POST", "/_test/reset"): reset,
    ("POST", "/_test/config"): update,
}
