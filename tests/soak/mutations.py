"""Ways to spoil a valid request. Each gives bytes to send; strings put in hold a canary that no answer may echo."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from tests.soak.requests import Request

Mutation = Callable[[Request, Random, str], bytes]

NUMBERS = (
    b"1e400", b"-1e400", b"1e-400", b"9" * 5000, b"9007199254740992", b"-9223372036854775809", b"NaN", b"Infinity",
    b"-Infinity", b"1.", b".5", b"01", b"-0", b"0x10", b"1e", b"+1", b"2.0", b"3.5",
)  # fmt: skip
TEXTS = (
    b'"\\u0000%s"', b'"\\ud800%s"', b'"%s\\udc00\\ud800"', b'"\\u202e%s"', b'"%s\xff"', b'"%s\xc0\x80"', b'"%s\n"',
    b'"\\x%s"', b'"%s', b'"%s" "%s"', b"'%s'", b'"  %s  "', b'"\xed\xa0\x80%s"', b'"\\uD83D%s"', b'"%s\\"',
)  # fmt: skip
MARK = "\N{REPLACEMENT CHARACTER}mark\N{REPLACEMENT CHARACTER}"
METHODS = ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "POST", "get", "QUERY", "POSTT", "PURGE")


def _odd(random: Random, canary: str) -> Any:
    """A value that is seldom the right one."""
    deep: Any = canary
    for _ in range(random.choice((3, 63, 64, 65, 500))):
        deep = [deep] if random.random() < 0.5 else {"d": deep}
    return random.choice((
        None, True, False, 0, -1, 1, 5, 6, 101, 3601, 2**53, -(2**63), 1.5, "", " ", canary, f"../{canary}", f"{canary}\x00",
        f"{canary}' OR 1=1 --", canary * 20, canary * 300, canary * 3000, f"{canary}\u202e", f"\u00e9{canary}", [], {}, [canary],
        {canary: canary}, {"": {}}, {"$ref": canary}, deep, [[]] * 50, "0" * 36, "00000000-0000-0000-0000-000000000000",
    ))  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key, child in value.items() for place in _places(child, (*path, key))]
    elif isinstance(value, list):
        found += [place for index, child in enumerate(value) for place in _places(child, (*path, index))]
    return found


def _replaced(body: Any, random: Random, new: Any) -> Any:
    """The body with something else at a place of chance."""
    place = random.choice(_places(body))
    if not place:
        return new
    body = copy.deepcopy(body)
    parent = body
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = new
    return body


def value(request: Request, random: Random, canary: str) -> bytes:
    """Another value somewhere in the body."""
    body = _replaced(request.body, random, _odd(random, canary))
    try:
        return request.raw(orjson.dumps(body))
    except orjson.JSONEncodeError:  # deeper than that library goes
        return request.raw(b"[" * 400 + b"]" * 400)


def literal(request: Request, random: Random, canary: str) -> bytes:
    """A number or string somewhere in the body that JSON does not have, or hardly has."""
    text = random.choice((*NUMBERS, *TEXTS)).replace(b"%s", canary.encode())
    marked = orjson.dumps(_replaced(request.body, random, MARK))
    return request.raw(marked.replace(orjson.dumps(MARK), text, 1))


def member(request: Request, random: Random, canary: str) -> bytes:
    """A member left out, added, renamed or given twice."""
    body = dict(request.body)
    name = random.choice(list(body) or [canary])
    match random.randrange(4):
        case 0:
            body.pop(name, None)
        case 1:
            body[canary] = _odd(random, canary)
        case 2:
            body[name.upper()] = body.pop(name, None)
        case _:
            twice = b"{" + orjson.dumps(name) + b":" + orjson.dumps(canary) + b","
            return request.raw(request.content.replace(b"{", twice, 1))
    try:
        return request.raw(orjson.dumps(body))
    except orjson.JSONEncodeError:
        return request.raw(b'{"a":' * 300 + b"1" + b"}" * 300)


def content(request: Request, random: Random, canary: str) -> bytes:
    """The body's bytes flipped, cut, repeated, in another encoding, or none."""
    body = bytearray(request.content)
    place = random.randrange(len(body))
    match random.randrange(8):
        case 0:
            body[place] ^= 1 << random.randrange(8)
        case 1:
            del body[place:]
        case 2:
            body[place:place] = body[: random.randrange(len(body) + 1)]
        case 3:
            body[place:place] = random.randbytes(random.randint(1, 8))
        case 4:
            body = bytearray(bytes(body).decode().encode(random.choice(("utf-16", "utf-8-sig", "utf-32"))))
        case 5:
            body = bytearray()
        case 6:
            body = bytearray(random.choice((b"null", b"[]", b'""', b"0", b"{}", b"[[[[", b"\x00", b"{" * 100_000)))
        case _:
            body += b" " * random.choice((10, 1 << 20)) + canary.encode()
    return request.raw(bytes(body))


def anywhere(request: Request, random: Random, canary: str) -> bytes:
    """The whole request's bytes flipped, cut or repeated; the blank line stays, or it might never end."""
    head, _, rest = request.raw().partition(b"\r\n\r\n")
    spoilt = bytearray(head)
    place = random.randrange(len(spoilt))
    match random.randrange(4):
        case 0:
            spoilt[place] ^= 1 << random.randrange(8)
        case 1:
            del spoilt[place : place + random.randint(1, 10)]
        case 2:
            spoilt[place:place] = random.choice((b"\r", b"\n", b"\x00", b"\xff", b"\t", b" ", b":", canary.encode()))
        case _:
            return request.raw() * random.randint(2, 3)
    return bytes(spoilt) + b"\r\n\r\n" + rest


def target(request: Request, random: Random, canary: str) -> bytes:
    """Another path: odd encodings, parts too many or too few, ids that are none."""
    path = request.path
    last = path.rpartition("/")[0]
    odd = random.choice((
        f"{path}/", f"/{path}", f"{last}/{canary}", f"{last}/{quote(canary + '/../x', safe='')}", f"{last}/%00{canary}",
        f"{last}/%ff%fe", f"{path}%20", f"{last}/{canary * 100}", f"{last}/..", path.upper(), f"{path}/{canary}",
        f"http://127.0.0.1{path}", "*", "/", f"{last}/%", f"{last}/%zz", f"{path};{canary}", f"{path}#{canary}", f"{last}/0",
        f"{last}/99999999999999999999", f"{last}/-1", f"{last}/1e3", f"{last}/\u0661", f"{last}/9223372036854775807",
        path.replace("-", "\u2010"), path.replace("a", "%61"),
    ))  # fmt: skip
    return request.raw(target=odd.encode())


ODD_PARAMETERS = (
    "", "0", "-1", "1", "501", "1e2", "\u0661", "9" * 30, "99999999", "9223372036854775807", "9223372036854775808", "{}", "%", "null",
    "{}\x00", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:60Z", "2026-01-01",
    "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00.1234567890123Z", "desc", "asc", "pending",
    "claimed", "open_tasks", "client-{}", "task-{}", "client-\x00", "MTA6ZGVzYzo", "e30", "MQ", "-_-_", "{}' OR 1=1", "a" * 300,
)  # fmt: skip
PARAMETERS = (
    "as_of", "at_least", "cursor", "limit", "include", "status", "order", "stream", "agent_name", "client_id", "actor",
    "type", "correlation_id", "decision_id", "from", "to",
)  # fmt: skip


def query(request: Request, random: Random, canary: str) -> bytes:
    """Parameters that are odd, unknown, given twice, or wrongly encoded."""
    pairs = list(request.query)
    name = random.choice((*PARAMETERS, *(name for name, _ in pairs), canary))
    pairs.append((name, random.choice(ODD_PARAMETERS).replace("{}", canary)))
    if random.random() < 0.6:
        pairs = list(dict(pairs).items())
    text = urlencode(pairs).encode()
    if random.random() < 0.15:
        text += random.choice((b"&%ff=1", b"&a=%ff%fe", b"&&&", b"&=", b"?", b"&limit", b"&%00=%00", b"&a=%", b"\xff"))
    return request.raw(target=request.path.encode() + b"?" + text)


def method(request: Request, random: Random, canary: str) -> bytes:
    """Another method."""
    changed = copy.copy(request)
    changed.method = random.choice(METHODS)
    return changed.raw()
