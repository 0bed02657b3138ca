"""Domain events and their stored text. Stored bytes are a contract: docs/events.md, one vector file an event type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import orjson

from domain import administration, attestation, client, erasure_events, exports, task_events
from eventstore.records import Encoded

EVENT_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        client.ClientOnboarded,
        client.ClientProfileUpdated,
        client.ClientProfileConfirmed,
        erasure_events.LegalHoldPlaced,
        erasure_events.LegalHoldLifted,
        erasure_events.RetentionAssigned,
        erasure_events.ErasureRequested,
        erasure_events.ErasureWithdrawn,
        erasure_events.ErasureRefused,
        erasure_events.ClientErased,
        erasure_events.ClientErasedAgain,
        task_events.TaskCreated,
        task_events.TaskClaimed,
        task_events.TaskCompleted,
        task_events.TaskCompletionRejected,
        task_events.TaskFailed,
        task_events.TaskReleased,
        task_events.TaskLeaseExpired,
        task_events.TaskCancelled,
        administration.TenantCreated,
        administration.ApiKeyIssued,
        administration.ApiKeyExpirySet,
        administration.ApiKeyRevoked,
        administration.PersonalDataRead,
        administration.AccessRefused,
        administration.LogReincarnated,
        attestation.SchemaAttested,
        attestation.GuardsRepaired,
        attestation.VerificationMade,
        exports.ExportMade,
    )
}

SCHEMA_VERSION = dict.fromkeys(EVENT_TYPES, 1) | {"TaskCompletionRejected": 2}

_CURRENT = {
    name: (kind, SCHEMA_VERSION[name], frozenset(field.name for field in fields(kind)))
    for name, kind in EVENT_TYPES.items()
}

UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Before failures and releases could be refused, what was refused was a result.
    ("TaskCompletionRejected", 1): lambda data: {**data, "action": "result"},
}
"""(type, schema version) → the data as the next schema version has it. Old events are read, never rewritten."""

SEALED_FIELDS: dict[str, tuple[str, ...]] = {
    "ClientOnboarded": ("full_name",),
    "ClientProfileUpdated": ("full_name",),
    "ClientProfileConfirmed": ("full_name",),
    "LegalHoldPlaced": ("reason",),
    "LegalHoldLifted": ("reason",),
    "TaskCreated": ("payload",),
    "TaskCompleted": ("result",),
    "TaskFailed": ("error",),
    "TaskReleased": ("reason",),
    "TaskCancelled": ("reason",),
}
"""The personal values of each event type, sealed under the client's key."""

FREE_JSON = {"payload", "result"}
"""Sealed fields whose plaintext is JSON text; the others are UTF-8 text."""


class UnknownEvent(Exception):
    """An event of a type or schema version this code does not know: a newer Fidelog wrote it."""


class Codec:
    """Encodes with sorted keys, once: that text is what is stored and hashed."""

    def encode(self, event: Any) -> Encoded:
        kind = type(event).__name__
        data = orjson.dumps(vars(event), option=orjson.OPT_SORT_KEYS)
        return Encoded(kind, SCHEMA_VERSION[kind], data, event.subjects, event.acts_on)

    def decode(self, type_name: str, schema_version: int, data: bytes) -> Any:
        """The event as today's type. Raises UnknownEvent."""
        members = orjson.loads(data)
        kind, current, names = _CURRENT.get(type_name, _UNKNOWN)
        if schema_version != current:
            members = _upcast(type_name, schema_version, members)
        if members.keys() != names:
            return kind(**members)  # with its defaults, or the error that says which member is wrong
        event = _new(kind)
        # A frozen dataclass's own way sets field by field, at twice the cost of all else here.
        _set(event, "__dict__", members)
        return event


_new, _set = object.__new__, object.__setattr__

_UNKNOWN: tuple[type[Any], int, frozenset[str]] = (object, 0, frozenset())


def _upcast(type_name: str, schema_version: int, members: dict[str, Any]) -> dict[str, Any]:
    """The members as today's schema version has them."""
    found = schema_version
    while (upcast := UPCASTS.get((type_name, found))) is not None:
        members, found = upcast(members), found + 1
    if SCHEMA_VERSION.get(type_name) != found:
        raise UnknownEvent(f"{type_name} in schema version {schema_version}")
    return members
