"""The one JSON parser of all routes: RFC 8259, strict UTF-8, no duplicate keys, no NaN, finite numbers, bounded depth."""

from __future__ import annotations

import math
import re
from typing import Any

import jiter

from api.problems import Fault, Problem, invalid

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

_PLACE = re.compile(r"^(?P<what>.*) at line (?P<line>\d+) column (?P<column>\d+)$", re.DOTALL)


def parse(body: bytes) -> Any:
    """The body's value. Raises Problem: 400 malformed-json, or 422 for an integer that is out of range everywhere."""
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
    except ValueError as error:
        raise _malformed(body, str(error)) from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise Problem("malformed-json", f"The body is nested deeper than {MAX_DEPTH} levels")
    if not _finite(value):
        raise Problem("malformed-json", "A number is too large for a double")
    return value


def _malformed(body: bytes, message: str) -> Problem:
    found = _PLACE.match(message)
    if found is None:
        return Problem("malformed-json")
    what = found["what"]
    if what.startswith("Detected duplicate key"):
        what = "duplicate key"  # the library's message repeats the key
    line, column = int(found["line"]), int(found["column"])
    start = 0
    for _ in range(line - 1):
        start = body.find(b"\n", start) + 1
    fault: Fault = {"offset": start + max(column - 1, 0), "message": what}
    if what == "number out of range":
        return invalid({**fault, "message": f"an integer must be within ±{MAX_INTEGER}"})
    return Problem("malformed-json", errors=[fault])


def _depth(value: Any) -> int:
    """How many objects and arrays lie in one another. Iterative: depth is the sender's choice."""
    deepest, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        deepest += 1
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
    return deepest


def _finite(value: Any) -> bool:
    """Whether no number overflowed to infinity."""
    if isinstance(value, str) or value is None:
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list) else True


def check_free_json(value: Any, pointer: str) -> list[Fault]:
    """What free JSON may not hold: integers beyond ±(2^53−1) and NUL characters, in values and keys."""
    faults: list[Fault] = []
    pending: list[tuple[str, Any]] = [(pointer, value)]
    while pending:
        where, item = pending.pop()
        if isinstance(item, str):
            if "\x00" in item:
                faults.append({"pointer": where, "message": "must not contain a NUL character"})
        elif isinstance(item, int) and not isinstance(item, bool):
            if abs(item) > MAX_INTEGER:
                faults.append({"pointer": where, "message": f"an integer must be within ±{MAX_INTEGER}"})
        elif isinstance(item, list):
            pending += [(f"{where}/{index}", child) for index, child in enumerate(item)]
        elif isinstance(item, dict):
            if any("\x00" in key for key in item):
                faults.append({"pointer": where, "message": "a key must not contain a NUL character"})
            pending += [(f"{where}/{escape(key)}", child) for key, child in item.items()]
    return faults


def escape(token: str) -> str:
    """A reference token of a JSON pointer (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")
