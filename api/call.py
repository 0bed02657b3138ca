"""A request as a handler sees it: read and checked in the order that decides which fault is answered first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from api.json_body import escape, parse
from api.models import IDENTIFIER, UUID
from api.problems import Fault, Problem, invalid
from eventstore.records import ExpectedVersion

MAX_BODY_BYTES = 1 << 20
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
LOCAL_ACTOR = "user:local"

Scope = Mapping[str, Any]

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"')
_ACTOR = re.compile(r"(?:agent|user):[A-Za-z0-9][A-Za-z0-9._:-]{0,127}(?:@[A-Za-z0-9._-]{1,64})?")
_ENTITY_TAG = re.compile(r'(?P<weak>W/)?"(?P<version>[0-9]{1,18})?[^"]*"')
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_JSON_TYPE = re.compile(rb"application/json\s*(?:;.*)?", re.IGNORECASE)
_PATTERNS = {"client_id": re.compile(IDENTIFIER), "task_id": re.compile(UUID)}


@dataclass(slots=True)
class Call:
    """One request. `body` is as parsed, before any model; `path` has its parameters in canonical form."""

    scope: Scope
    headers: dict[bytes, bytes]
    actor: str
    correlation_id: str | None
    body: Any

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def identifier(self, name: str) -> str:
        """A path parameter. Raises Problem when it cannot be an id; UUIDs come back in lower case."""
        value = str(self.scope["path_params"][name])
        if not _PATTERNS[name].fullmatch(value):
            raise invalid({"parameter": name, "message": "is not a valid identifier"})
        return value.lower() if name == "task_id" else value

    def model(self, model: type[BaseModel]) -> Any:
        """The body as `model`. Raises Problem listing every fault."""
        try:
            return model.__pydantic_validator__.validate_python(self.body)
        except ValidationError as error:
            raise invalid(*_faults(error, "pointer")) from None

    def query(self, model: type[BaseModel]) -> Any:
        """The query string as `model`. Raises Problem listing every fault."""
        values: dict[str, str] = {}
        faults: list[Fault] = []
        try:
            pairs = parse_qsl(self.scope["query_string"].decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            raise invalid({"parameter": "", "message": "the query string is not valid UTF-8"}) from None
        for name, value in pairs:
            if name in values:
                faults.append({"parameter": name, "message": "is given more than once"})
            values[name] = value
        try:
            found = model.model_validate(values, strict=False)
        except ValidationError as error:
            faults += _faults(error, "parameter")
        if faults:
            raise invalid(*faults)
        return found

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header, quoted (an RFC 8941 string) or bare; both forms are one key."""
        raw = self.headers.get(b"idempotency-key")
        if raw is None:
            return None
        text = raw.decode("latin-1").strip()
        if text.startswith('"'):
            bare = re.sub(r"\\(.)", r"\1", text[1:-1]) if _QUOTED.fullmatch(text) else ""
        else:
            bare = text
        if not _VISIBLE.fullmatch(bare):
            message = "must be 1 to 255 visible ASCII characters, bare or as a quoted string"
            raise invalid({"parameter": "Idempotency-Key", "message": message})
        return bare

    def expected(self, stream: str) -> ExpectedVersion | None:
        """The If-Match header as the versions the stream may be at; a weak tag never matches (RFC 9110, 13.1.1)."""
        raw = self.headers.get(b"if-match")
        if raw is None:
            return None
        text = raw.decode("latin-1").strip()
        if text == "*":
            return ExpectedVersion(stream, None)
        tags = [tag.strip() for tag in text.split(",")]
        found = [_ENTITY_TAG.fullmatch(tag) for tag in tags]
        if not all(found):
            raise invalid({"parameter": "If-Match", "message": "must be * or a list of entity tags"})
        return ExpectedVersion(
            stream, frozenset(int(m["version"]) for m in found if m is not None and m["version"] and not m["weak"])
        )

    def not_modified(self, entity_tag: str) -> bool:
        """Whether If-None-Match holds the representation's tag (weak comparison, RFC 9110, 13.1.2)."""
        raw = self.headers.get(b"if-none-match")
        if raw is None:
            return False
        tags = [tag.strip().removeprefix("W/") for tag in raw.decode("latin-1").split(",")]
        return "*" in tags or entity_tag in tags

    def may_act_as(self, agent_name: str) -> bool:
        """`user:…` may act for any agent, `agent:x` (of any version) only for x."""
        kind, _, name = self.actor.partition(":")
        return kind == "user" or name.partition("@")[0] == agent_name


async def read(scope: Scope, receive: Any, *, with_body: bool) -> Call:
    """Read and check a request, in contract order: 413, 415, 400, 403, then what 422 there is in the headers."""
    headers, repeated = _headers(scope)
    body = None
    if with_body:
        body = parse(await _body(headers, receive))
    _check_origin(headers)
    if repeated:
        raise invalid(*({"parameter": name.decode(), "message": "is given more than once"} for name in repeated))
    return Call(scope, headers, _actor(headers), _correlation(headers), body)


_SINGLE = frozenset({b"idempotency-key", b"if-match", b"fidelog-actor", b"fidelog-correlation-id", b"host", b"origin"})


def _headers(scope: Scope) -> tuple[dict[bytes, bytes], list[bytes]]:
    headers: dict[bytes, bytes] = {}
    repeated = []
    for name, value in scope["headers"]:
        if name in headers and name in _SINGLE:
            repeated.append(name)
        headers[name] = value
    return headers, repeated


async def _body(headers: Mapping[bytes, bytes], receive: Any) -> bytes:
    length = headers.get(b"content-length", b"0")
    if int(length) > MAX_BODY_BYTES:
        raise Problem("body-too-large", limit=MAX_BODY_BYTES, size=int(length), headers={"connection": "close"})
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Problem("body-too-large", limit=MAX_BODY_BYTES, size=size, headers={"connection": "close"})
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if not _JSON_TYPE.fullmatch(headers.get(b"content-type", b"").strip()):
        raise Problem("unsupported-media-type", "The body must be application/json")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class Disconnected(Exception):
    """The client went away before its request was whole; nobody is left to answer."""


def _check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Keyless mode trusts the loopback interface, so a page of another origin must not reach it, not even by a name
    that was made to resolve to it (DNS rebinding)."""
    host = headers.get(b"host", b"").decode("latin-1")
    if not _is_local(host):
        raise Problem("foreign-origin", "The Host header must be localhost, 127.0.0.1 or [::1]")
    origin = headers.get(b"origin")
    if origin is not None:
        scheme, _, authority = origin.decode("latin-1").partition("://")
        if scheme not in {"http", "https"} or authority.lower() != host.lower():
            raise Problem("foreign-origin", "The Origin header names another origin")


def _is_local(host: str) -> bool:
    return re.sub(r":[0-9]{1,5}$", "", host).lower() in LOCAL_HOSTS


def _actor(headers: Mapping[bytes, bytes]) -> str:
    raw = headers.get(b"fidelog-actor")
    if raw is None:
        return LOCAL_ACTOR
    actor = raw.decode("latin-1").strip()
    if not _ACTOR.fullmatch(actor):
        raise invalid({"parameter": "Fidelog-Actor", "message": "must be agent:<name>[@version] or user:<id>"})
    return actor


def _correlation(headers: Mapping[bytes, bytes]) -> str | None:
    raw = headers.get(b"fidelog-correlation-id")
    if raw is not None:
        text = raw.decode("latin-1").strip()
        if not _VISIBLE.fullmatch(text) or len(text) > 128:
            message = "must be 1 to 128 visible ASCII characters"
            raise invalid({"parameter": "Fidelog-Correlation-Id", "message": message})
        return text
    trace = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1"))
    return trace["trace"] if trace else None


_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_pattern_mismatch": "does not have the required form",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "string_type": "must be a string",
    "int_type": "must be an integer",
}


def _faults(error: ValidationError, kind: str) -> list[Fault]:
    """pydantic's errors as faults, without the values they are about."""
    faults: list[Fault] = []
    for item in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in item["loc"]]
        where = "".join("/" + escape(part) for part in place) if kind == "pointer" else ".".join(place)
        message = _MESSAGES.get(item["type"], item["msg"].removeprefix("Value error, "))
        faults.append({kind: where, "message": message})
    return faults
