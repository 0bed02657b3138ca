"""The one JSON parser of all routes: RFC 8259, strict UTF-8, no duplicate keys, no NaN, finite numbers, bounded depth."""

from __future__ import annotations

import math
import re
from typing import Any

import jiter

from api.models.fields import MAX_FREE_JSON_BYTES
from api.problems import Fault, Problem

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1
MOST_VALUES = MAX_FREE_JSON_BYTES // 2
"""More values than free JSON of the largest size has room for, each with a comma."""

_PLACE = re.compile(r" at line (?P<line>\d+) column (?P<column>\d+)$")
_DIGITS = re.compile(rb"\d{4300,}")
_MAY_OVERFLOW = re.compile(rb"\d[eE]|\d{309}")
"""What a number too large for a double has: an exponent, or more digits than 308. Text may look like it."""


def parse(body: bytes) -> tuple[Any, list[Fault]]:
    """The body's value, and faults that make it invalid wherever they stand. Raises Problem (400)."""
    faults: list[Fault] = []
    try:
        value = _parsed(body)
    except ValueError as error:
        if not str(error).startswith("number out of range"):
            raise _malformed(body, str(error)) from None
        # An integer of thousands of digits is too large for any field. What else is at fault shows without it.
        faults = [_fault(body, str(error), f"an integer must be within ±{MAX_INTEGER}")]
        try:
            value = _parsed(_DIGITS.sub(b"%d" % 10**17, body))
        except ValueError as other:
            raise _malformed(body, str(other)) from None
    numbers = _MAY_OVERFLOW.search(body) is not None
    if numbers or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_levels(value, numbers=numbers)
    return value, faults


def _parsed(body: bytes) -> Any:
    return jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")


def _malformed(body: bytes, message: str) -> Problem:
    what = message.rpartition(" at line ")[0]
    if what.startswith("Detected duplicate key"):
        what = "duplicate key"  # the library's message repeats the key
    return Problem("malformed-json", errors=[_fault(body, message, what or "is not JSON")])


def _fault(body: bytes, message: str, what: str) -> Fault:
    """Where the library's message places the fault, as an offset into the body."""
    found = _PLACE.search(message)
    if found is None:
        return {"offset": 0, "message": what}
    start = 0
    for _ in range(int(found["line"]) - 1):
        start = body.find(b"\n", start) + 1
    return {"offset": start + max(int(found["column"]) - 1, 0), "message": what}


def _check_levels(value: Any, *, numbers: bool) -> None:
    """Raises Problem (400) when objects and arrays lie in one another too deep or, looking at `numbers`, one overflowed to
    infinity. Level by level: depth and breadth are the sender's choice, and a mebibyte holds half a million values."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if numbers and (math.inf in level or -math.inf in level):
            raise Problem("malformed-json", "A number is too large for a double")
        inner = [item for item in level if item.__class__ is dict or item.__class__ is list]
        if not inner:
            return
        level = []
        for item in inner:
            if item:
                level.extend(item.values() if isinstance(item, dict) else item)
    raise Problem("malformed-json", f"The body is nested deeper than {MAX_DEPTH} levels")


def check_free_json(value: Any, pointer: str) -> list[Fault]:
    """What free JSON may not hold: integers beyond ±(2^53−1) and NUL characters, in values and keys.

    Of a value that is refused by its size in any case, not all is looked at: walking a mebibyte takes half a second.
    """
    faults: list[Fault] = []
    pending: list[tuple[str, Any]] = [(pointer, value)]
    left = MOST_VALUES
    while pending:
        where, item = pending.pop()
        if isinstance(item, str):
            if "\x00" in item:
                faults.append({"pointer": where, "message": "must not contain a NUL character"})
        elif isinstance(item, int) and not isinstance(item, bool):
            if abs(item) > MAX_INTEGER:
                faults.append({"pointer": where, "message": f"an integer must be within ±{MAX_INTEGER}"})
        elif isinstance(item, list | dict) and (left := left - len(item)) < 0:
            continue
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
