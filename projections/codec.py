"""Domain events and their stored text. Stored bytes are a contract: docs/events.md, one vector file an event type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import orjson

from domain import client, task_events
from eventstore.records import Encoded

EVENT_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        client.ClientOnboarded,
        client.ClientProfileUpdated,
        client.ClientProfileConfirmed,
        task_events.TaskCreated,
        task_events.TaskClaimed,
        task_events.TaskCompleted,
        task_events.TaskCompletionRejected,
        task_events.TaskFailed,
        task_events.TaskReleased,
        task_events.TaskLeaseExpired,
        task_events.TaskCancelled,
    )
}

SCHEMA_VERSION = dict.fromkeys(EVENT_TYPES, 1) | {"TaskCompletionRejected": 2}

_FIELDS = {name: frozenset(field.name for field in fields(kind)) for name, kind in EVENT_TYPES.items()}

UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Before failures and releases could be refused, what was refused was a result.
    ("TaskCompletionRejected", 1): lambda data: {**data, "action": "result"},
}
"""(type, schema version) → the data as the next schema version has it. Old events are read, never rewritten."""

SEALED_FIELDS: dict[str, tuple[str, ...]] = {
    "ClientOnboarded": ("full_name",),
    "ClientProfileUpdated": ("full_name",),
    "ClientProfileConfirmed": ("full_name",),
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
        while (upcast := UPCASTS.get((type_name, schema_version))) is not None:
            members, schema_version = upcast(members), schema_version + 1
        if SCHEMA_VERSION.get(type_name) != schema_version:
            raise UnknownEvent(f"{type_name} in schema version {schema_version}")
        kind = EVENT_TYPES[type_name]
        if members.keys() != _FIELDS[type_name]:
            return kind(**members)  # with its defaults, or the error that says which member is wrong
        event = object.__new__(kind)
        # A frozen dataclass's own way sets field by field, at twice the cost of all else here.
        event.__dict__.update(members)
        return event
