"""What the OpenAPI document says beyond the models: path parameters, the headers of answers, who may ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from api.headers import ReadHeaders, WriteHeaders
from api.identity.keys import KEY_ID
from api.identity.roles import ROUTES, Need
from api.models.fields import IDENTIFIER, UUID
from api.problems import RETRY_AFTER
from eventstore.provision import TENANT
from eventstore.reading import MAX_POSITION

Headers = dict[str, dict[str, Any]]

TILE = r"(?:x[0-9]{3}/){0,6}[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?"

PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "client_id": {"pattern": IDENTIFIER, "example": "client-001"},
    "task_id": {"pattern": UUID, "example": "550e8400-e29b-41d4-a716-446655440000"},
    "hold_id": {"pattern": IDENTIFIER, "example": "matter-4711"},
    "position": {"type": "integer", "minimum": 1, "maximum": MAX_POSITION, "example": 1},
    "tenant": {"pattern": f"^{TENANT}$", "example": "default"},
    "tile": {"pattern": f"^(?:0|[1-9]|[1-5][0-9]|6[0-3])/{TILE}$", "example": "0/000.p/1"},
    "bundle": {"pattern": f"^{TILE}$", "example": "000.p/1"},
    "key_id": {"pattern": KEY_ID, "example": "k3x9q2ma"},
}
"""What each may be; api/call.py checks it."""

SCHEME = "bearer"
SECURITY_SCHEMES = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`fdl_…`), or a JWT of the issuer that the operator trusts.",
    }
}

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}


def _header(description: str, schema: Mapping[str, Any] = _TEXT, *, required: bool = False) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": dict(schema)}


_WAITING = {*RETRY_AFTER, "rate-limited"}
_ALWAYS: Headers = {"Fidelog-Correlation-Id": _header("As given, else as recorded.")}
_OF_STATUS: dict[int, Headers] = {
    401: {"WWW-Authenticate": _header("The challenge of RFC 6750.", required=True)},
}


def answer_headers(headers: type[BaseModel] | None, query: type[BaseModel] | None, *, write: bool) -> Headers:
    """The headers of a route's good answers, by what the route takes."""
    asked = query.model_fields if query is not None else {}
    found: Headers = {}
    if headers is not None:
        found["Fidelog-Position"] = _header("The command's last event, or how far the read has got.", _NUMBER)
    if write:
        found["Idempotency-Replayed"] = _header("That the answer is a repeat.", {"type": "string", "enum": ["true"]})
    if headers in (ReadHeaders, WriteHeaders):
        found["ETag"] = _header("Representation and version.", required=True)
    if "as_of" in asked:
        found["Fidelog-As-Of"] = _header("The position that `as_of` stood for.", _NUMBER)
    if "cursor" in asked:
        found["Link"] = _header("The next page.")
    return found | _ALWAYS


def problem_headers(status: int, slugs: Iterable[str]) -> Headers:
    """The headers of a status whose problems are these."""
    retry = {"Retry-After": _header("Seconds.", _NUMBER)} if any(slug in _WAITING for slug in slugs) else {}
    return _OF_STATUS.get(status, {}) | retry | _ALWAYS


def finish(document: dict[str, Any], *, keyless: bool, opened: frozenset[str]) -> None:
    """Say who may ask each route, and that no parameter can be null. `keyless`: callers without a credential are the
    local operator; `opened`: routes that need none here."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for path, item in document["paths"].items():
        for method, operation in item.items():
            route = f"{method.upper()} {path}"
            operation["security"] = _security(ROUTES[route], optional=keyless or route in opened)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _never_null(parameter["schema"])


def _security(need: Need, *, optional: bool) -> list[dict[str, list[str]]]:
    """Any one of these: a credential with the scope, or none. Nothing at all: the route is public."""
    if need.public and not need.told_more:
        return []
    wanted: list[dict[str, list[str]]] = [{SCHEME: [scope]} for scope in need.scopes] or [{SCHEME: []}]
    return [*wanted, {}] if optional or need.public else wanted


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not wanted is left out; nobody can write null."""
    rest = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    kinds = [kind for kind in rest.pop("anyOf", ()) if kind != {"type": "null"}]
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest} if kinds else rest
