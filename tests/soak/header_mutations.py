"""Ways to spoil a valid request's headers and its framing."""

from __future__ import annotations

import copy
from random import Random

from tests.soak.mutations import Mutation, anywhere, content, literal, member, method, query, target, value
from tests.soak.requests import Request

TRACE = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ODD = (
    b"", b" ", b'"', b'""', b'"{}', b'"{}"', b"{}\xff", b"{}" * 40, b"{}" * 2000, b"*", b'W/"1.task"', b'"1.client"',
    b'"1.client", "2"', b'"9999999999999999999.task"', b'"0"', b",", b"1", b"-1", b"null", b"{}\x01", b"\xc3\xa9{}",
    b"agent:{}@1", b"agent:mutant_agent@9", b"agent:", b"user:{}", b"system:fidelog", b"user:local", b"agent:{}@",
    b"00-{}-01", b"00-" + TRACE, b"ff-" + TRACE, b"{},{}", b"{}; {}",
)  # fmt: skip
NAMES = (
    "idempotency-key", "if-match", "if-none-match", "fidelog-actor", "fidelog-correlation-id", "traceparent", "accept",
    "authorization", "cookie", "fidelog-tenant", "x-forwarded-for", "x-http-method-override", "accept-encoding", "range",
)  # fmt: skip
HOSTS = (
    b"",
    b"evil.example",
    b"127.0.0.1.evil.example",
    b"LOCALHOST",
    b"localhost:99999999",
    b"[::1]",
    b"127.0.0.1:abc",
    b"{}",
    b"127.0.0.1@{}",
)
ORIGINS = (b"null", b"http://evil.example", b"http://{}", b"file://", b"http://127.0.0.1", b"", b"\xff")
TYPES = (
    b"", b"text/plain", b"application/json; charset=utf-16", b"APPLICATION/JSON", b"application/jsonx", b"multipart/form-data; boundary={}",
    b"application/json, text/plain", b"application/x-www-form-urlencoded", b"application/json;{}", b"application/\xff",
)  # fmt: skip
LENGTHS = (
    b"0",
    b"1",
    b"-1",
    b"abc",
    b"+5",
    b"0x10",
    b"99999999999999999999999",
    b"1048577",
    b"5, 5",
    b" ",
    b"1_0",
    b"\xd9\xa1",
)


def header(request: Request, random: Random, canary: str) -> bytes:
    """A header with an odd value, given twice, or left out."""
    changed = copy.copy(request)
    name = random.choice(NAMES)
    new = random.choice(ODD).replace(b"{}", canary.encode())
    changed.headers = [*request.headers, (name, new)]
    if random.random() < 0.7:
        changed.headers = [(n, v) for n, v in request.headers if n != name] + [(name, new)]
    if random.random() < 0.1:
        del changed.headers[random.randrange(len(changed.headers))]
    return changed.raw()


def many_headers(request: Request, random: Random, canary: str) -> bytes:
    """Very many headers, or one very long one."""
    changed = copy.copy(request)
    number = random.choice((10, 100, 500))
    changed.headers = [*request.headers, *((f"x-{n}", canary.encode() * random.choice((1, 3))) for n in range(number))]
    return changed.raw()


def origin(request: Request, random: Random, canary: str) -> bytes:
    """Another host or origin, or another type of content."""
    changed = copy.copy(request)
    name, values = random.choice((("host", HOSTS), ("origin", ORIGINS), ("content-type", TYPES)))
    new = random.choice(values).replace(b"{}", canary.encode())
    kept = [(n, v) for n, v in request.headers if n != name or random.random() < 0.2]
    changed.headers = [*kept, (name, new)]
    return changed.raw()


def framing(request: Request, random: Random, canary: str) -> bytes:
    """A length that is not the body's, chunks of odd sizes, or both at once."""
    changed, body = copy.copy(request), request.content
    changed.headers = [*request.headers]
    match random.randrange(5):
        case 0:
            changed.headers.append(("content-length", random.choice(LENGTHS)))
        case 1:
            changed.headers.append(("content-length", b"%d" % (len(body) + random.randint(-20, 20))))
        case 2:
            changed.headers.append(
                ("transfer-encoding", random.choice((b"chunked", b"Chunked", b"gzip, chunked", b"identity")))
            )
            body = _chunked(body, random)
        case 3:
            changed.headers += [("transfer-encoding", b"chunked"), ("content-length", b"%d" % len(body))]
            body = _chunked(body, random)
        case _:
            changed.headers += [
                ("expect", b"100-continue"),
                ("connection", random.choice((b"close", b"upgrade", canary.encode()))),
            ]
            changed.headers += [("upgrade", b"websocket")] if random.random() < 0.5 else []
    return changed.raw(body)


def _chunked(body: bytes, random: Random) -> bytes:
    """In chunks; one in three is not as it should be."""
    parts, rest = [], body
    while rest:
        size = random.randint(1, 40)
        part, rest = rest[:size], rest[size:]
        parts.append(b"%x%s\r\n%s\r\n" % (len(part), random.choice((b"", b"", b";a=b", b" ")), part))
    odd = random.choice((b"", b"", b"", b"", b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5\r\nab\r\n"))
    return (
        b"".join(parts) + odd + random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n", b"00\r\n\r\n"))
    )


OF_ANY: dict[Mutation, int] = {header: 10, origin: 4, many_headers: 1, anywhere: 6, target: 6, query: 8, method: 3}
OF_BODIES: dict[Mutation, int] = {value: 14, literal: 10, member: 10, content: 10, framing: 7}


def mutate(request: Request, random: Random, canary: str) -> bytes:
    """The request, spoilt in one way."""
    ways = OF_ANY | (OF_BODIES if request.body is not None else {})
    (way,) = random.choices(list(ways), list(ways.values()))
    return way(request, random, canary)
