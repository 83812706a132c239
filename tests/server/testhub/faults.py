"""Fault rules: which requests go wrong, and how.

A rule is used up only by a response it can act on: `flip` waits for the range that holds its
byte, `wrong_range` for a 206, and body faults pass over redirects, errors and HEAD.
"""

import fnmatch
import re
import threading

from .errors import ConfigError

MATCH_KEYS = {"host", "method", "path", "range", "holds", "times", "after"}
ANSWER_KEYS = {"status", "body", "hangup"}
BODY_KEYS = {"cut", "flip", "stall", "rate", "short_length", "ignore_range", "wrong_range"}
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
# Every key a rule may have; a misspelt rule would otherwise be a fault that never happens.
VALID = {
    "host": lambda v: v in ("hub", "bytes"),
    "method": lambda v: isinstance(v, str),
    "path": lambda v: isinstance(v, str),
    "range": lambda v: isinstance(v, str),
    "holds": lambda v: isinstance(v, int) and v >= 0,
    "times": lambda v: isinstance(v, int),
    "after": lambda v: isinstance(v, int) and v >= 0,
    "status": lambda v: isinstance(v, int) and 200 <= v <= 599,
    "body": lambda v: True,
    "hangup": lambda v: v is True,
    "reset": lambda v: v is True,
    "drip": lambda v: isinstance(v, (int, float)) and v > 0,
    "cut": lambda v: isinstance(v, int) and v >= 0,
    "flip": lambda v: isinstance(v, int) and v >= 0,
    "stall": lambda v: (isinstance(v, list) and len(v) == 2 and isinstance(v[0], int)
                        and isinstance(v[1], (int, float))),
    "rate": lambda v: isinstance(v, (int, float)) and v > 0,
    "short_length": lambda v: v is True,
    "ignore_range": lambda v: v is True,
    "wrong_range": lambda v: v is True or isinstance(v, str),
    "headers": lambda v: isinstance(v, dict),
    "delay": lambda v: isinstance(v, (int, float)) and v >= 0,
}


class Rule:
    def __init__(self, spec):
        if not isinstance(spec, dict):
            raise ConfigError("a fault rule is an object")
        for key, value in spec.items():
            if key not in VALID or not VALID[key](value):
                raise ConfigError(f"fault rule {spec}: bad or unknown {key}")
        actions = set(spec) - MATCH_KEYS
        if not actions:
            raise ConfigError(f"fault rule {spec}: no action")
        if actions & ANSWER_KEYS and actions & BODY_KEYS:
            raise ConfigError(f"fault rule {spec}: replaces the answer and also damages it")
        if "body" in actions and "status" not in actions:
            raise ConfigError(f"fault rule {spec}: a body needs a status")
        if "reset" in actions and not actions & {"hangup", "cut"}:
            raise ConfigError(f"fault rule {spec}: reset says how to hang up or cut")
        self.spec = spec
        self.actions = {key: spec[key] for key in sorted(actions)}
        self.for_body = bool(actions & BODY_KEYS)
        self.seen = 0

    def get(self, key, default=None):
        return self.actions.get(key, default)

    def matches(self, request):
        subjects = {"host": request.host, "method": request.method, "path": request.path,
                    "range": request.headers.get("Range", "")}
        return (self._holds(subjects["range"])
                and all(fnmatch.fnmatchcase(value, self.spec.get(key, "*"))
                        for key, value in subjects.items()))

    def _holds(self, asked):
        """Whether the byte at the offset `holds` is in the range asked for."""
        part = RANGE.fullmatch(asked)
        if "holds" not in self.spec or not part:
            return True
        last = int(part[2]) if part[2] else self.spec["holds"]
        return int(part[1]) <= self.spec["holds"] <= last

    def can_damage(self, start, length, ranged):
        """Whether every body fault of the rule bites on a body of these bytes of the file."""
        actions = self.actions
        if ("ignore_range" in actions or "wrong_range" in actions) and not ranged:
            return False
        if "flip" in actions and not start <= actions["flip"] < start + length:
            return False
        if "cut" in actions and actions["cut"] >= length:
            return False
        if "stall" in actions and actions["stall"][0] >= length:
            return False
        return length > 0

    def count(self):
        """Count one match; whether the rule acts on it."""
        first = self.spec.get("after", 0)
        times = self.spec.get("times", 1)
        self.seen += 1
        return self.seen > first and (times < 0 or self.seen <= first + times)


class FaultPlan:
    def __init__(self, specs=()):
        self._lock = threading.Lock()
        self.replace(specs)

    def replace(self, specs):
        if not isinstance(specs, (list, tuple)):
            raise ConfigError("fault rules are a list")
        rules = [Rule(spec) for spec in specs]
        with self._lock:
            self._rules = rules

    def describe(self):
        with self._lock:
            return [{**rule.spec, "seen": rule.seen} for rule in self._rules]

    def for_request(self, request):
        """The rule that answers in place of the route, or changes its headers."""
        with self._lock:
            return next((rule for rule in self._rules if not rule.for_body
                         and rule.matches(request) and rule.count()), None)

    def for_body(self, request, full_length, part):
        """The rule that damages a body; part is (start, length) of a ranged answer or None."""
        with self._lock:
            for rule in self._rules:
                whole = part is None or rule.get("ignore_range")
                start, length = (0, full_length) if whole else part
                if (rule.for_body and rule.matches(request)
                        and rule.can_damage(start, length, part is not None) and rule.count()):
                    return rule
        return None
