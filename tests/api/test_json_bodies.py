"""Bodies that are no well-formed JSON, too deep, too large, or of another media type."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import FULL_NAME, JSON, Caller, client_body, fresh_client, problem, task_body
from tests.running import RunningApi

MEBIBYTE = 1 << 20
POSTS = ("/clients", "/tasks", "/tasks/claim", "/tasks/550e8400-e29b-41d4-a716-446655440000/result")

MALFORMED = {
    "empty": b"",
    "white space only": b" \n",
    "byte order mark": b"\xef\xbb\xbf{}",
    "bare word": b'{"client_id": nope}',
    "unfinished": b'{"client_id": "c',
    "trailing comma": b'{"client_id": "c",}',
    "trailing text": b"{} {}",
    "single quotes": b"{'client_id': 'c'}",
    "comment": b"{/* c */}",
    "leading zero": b'{"a": 01}',
    "plus sign": b'{"a": +1}',
    "bare fraction": b'{"a": .5}',
    "bare point": b'{"a": 1.}',
    "hexadecimal": b'{"a": 0x10}',
    "raw control character": b'{"a": "\x01"}',
    "raw NUL": b'{"a": "\x00"}',
    "trailing NUL": b"{}\x00",
    "form feed": b"{}\x0c",
    "bad escape": b'{"a": "\\x41"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "invalid UTF-8": b'{"a": "\xff"}',
    "invalid UTF-8 in a key": b'{"\xff": 1}',
    "overlong UTF-8": b'{"a": "\xc0\x80"}',
    "surrogate as UTF-8": b'{"a": "\xed\xa0\x80"}',
    "lone high surrogate": b'{"a": "\\ud800"}',
    "lone low surrogate": b'{"a": "\\udc00"}',
    "high surrogate before text": b'{"a": "\\ud800x"}',
    "two high surrogates": b'{"a": "\\ud800\\ud800"}',
    "lone surrogate in a key": b'{"\\ud800": 1}',
    "duplicate key": b'{"client_id": "a", "client_id": "a"}',
    "duplicate key, one escaped": b'{"a": 1, "\\u0061": 2}',
    "duplicate key in depth": b'{"payload": [[{"b": {"a": 1, "a": 1}}]]}',
    "duplicate empty key": b'{"": 1, "": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "overflow": b'{"payload": {"a": 1e400}}',
    "negative overflow": b'{"payload": {"a": [-1e400]}}',
    "overflow of the mantissa": b'{"a": ' + b"9" * 400 + b".0}",
    "array never closed": b"[" * 100_000,
    "object never closed": b'{"a":' * 10_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_body_that_is_no_strict_json_is_refused_and_nothing_stored(caller: Caller, case: str) -> None:
    """Syntax, UTF-8, duplicate keys, numbers without a double and lone surrogates: 400 on every route that writes."""
    before = caller.head()
    for path in POSTS:
        content = problem(caller.http.post(path, content=MALFORMED[case], headers=JSON), "malformed-json")
        for fault in content.get("errors", []):
            assert 0 <= fault["offset"] <= len(MALFORMED[case])
    assert caller.head() == before


def nested(levels: int) -> bytes:
    """A task's body of so many levels, the body itself counted."""
    inner = b'{"x":' * (levels - 2) + b"1" + b"}" * (levels - 2)
    fields = b'"task_id":"550e8400-e29b-41d4-a716-446655440009","client_id":"nobody","agent_name":"a"'
    return b"{" + fields + b',"payload":{"a":' + inner + b"}}"


def test_64_levels_are_taken_and_65_refused(caller: Caller) -> None:
    """Depth counts over the whole body, objects and arrays alike, to the level."""
    caller.refused("client-not-found", "POST", "/tasks", content=nested(64), headers=JSON)
    caller.refused("malformed-json", "POST", "/tasks", content=nested(65), headers=JSON)
    caller.refused("invalid-request", "POST", "/tasks", content=b"[" * 64 + b"]" * 64, headers=JSON)
    caller.refused("malformed-json", "POST", "/tasks", content=b"[" * 65 + b"]" * 65, headers=JSON)


def test_many_brackets_side_by_side_or_in_text_are_not_deep(caller: Caller) -> None:
    """Only nesting counts: a wide body and brackets inside a string are taken."""
    body = task_body(caller.client(), "a", payload={"wide": [[] for _ in range(500)], "text": "[{" * 500})
    assert caller.post("/tasks", body).status_code == 201


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"1.5", b"true", b"null", b"-0"])
def test_json_that_is_no_object_is_invalid(caller: Caller, body: bytes) -> None:
    """Well-formed JSON of another kind is 422, with a pointer to the whole body."""
    for path in POSTS:
        content = caller.refused("invalid-request", "POST", path, content=body, headers=JSON)
        assert [fault.get("pointer") for fault in content["errors"]] == [""]


@pytest.mark.parametrize(
    "content_type",
    [
        None, "", "text/plain", "text/json", "application/jsonx", "application/problem+json", "application/json-seq",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain", "json",
        "x application/json",
    ],
)  # fmt: skip
def test_another_media_type_is_refused(caller: Caller, content_type: str | None) -> None:
    """A body must say that it is application/json; a form that a foreign page can send does not."""
    headers = {} if content_type is None else {"content-type": content_type}
    body = b'{"client_id":"c","full_name":"x","risk_profile":"moderate"}'
    caller.refused("unsupported-media-type", "POST", "/clients", content=body, headers=headers)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;a=b"]
)
def test_json_media_types_are_taken(caller: Caller, content_type: str) -> None:
    """The media type is compared without case and parameters."""
    body = b'{"client_id":"%s","full_name":"%s","risk_profile":"moderate"}' % (
        fresh_client().encode(),
        FULL_NAME.encode(),
    )
    assert caller.http.post("/clients", content=body, headers={"content-type": content_type}).status_code == 200


def padded(size: int) -> bytes:
    """A valid body of POST /clients of exactly `size` bytes."""
    body = b'{"client_id":"%s","full_name":"%s","risk_profile":"moderate"' % (
        fresh_client().encode(),
        FULL_NAME.encode(),
    )
    return body + b" " * (size - len(body) - 1) + b"}"


def chunks(body: bytes) -> Iterator[bytes]:
    """The body in pieces, so that it is sent without a content length."""
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


def test_a_body_of_one_mebibyte_is_taken(caller: Caller) -> None:
    """The limit itself is allowed, with a content length and in chunks."""
    assert caller.http.post("/clients", content=padded(MEBIBYTE), headers=JSON).status_code == 200
    assert caller.http.post("/clients", content=chunks(padded(MEBIBYTE)), headers=JSON).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_a_byte_more_is_too_large(caller: Caller, chunked: bool) -> None:
    """One byte more than 1 MiB is 413 with the limit and a size beyond it, also when no length was announced."""
    body = padded(MEBIBYTE + 1)
    content = caller.refused(
        "body-too-large", "POST", "/clients", content=chunks(body) if chunked else body, headers=JSON
    )
    assert content["limit"] == MEBIBYTE
    assert content["size"] == MEBIBYTE + 1


@pytest.mark.parametrize("mebibytes", [2, 8])
def test_the_413_of_a_much_larger_body_reaches_its_sender(shared_api: RunningApi, mebibytes: int) -> None:
    """Whoever sends all of a body before reading gets the problem, not a reset connection."""
    parts, size = urlsplit(shared_api.url), mebibytes * MEBIBYTE
    head = (
        f"POST /clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(head.encode() + b" " * size)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:fidelog:problem:body-too-large" in answer


def test_after_a_refused_body_the_connection_or_a_new_one_serves_on(caller: Caller) -> None:
    """A refused body leaves nothing behind that the next request would be read from."""
    for body in (b"{", b"[" * 70 + b"]" * 70, padded(MEBIBYTE + 1)):
        caller.http.post("/clients", content=body, headers=JSON)
        assert caller.post("/clients", client_body(fresh_client())).status_code == 200
