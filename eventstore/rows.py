"""A row of events, as every statement selects it, as a RecordedEvent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, overload

from eventstore.records import RecordedEvent


class Decoder(Protocol):
    """The half of a codec that reads."""

    def decode(self, type_name: str, schema_version: int, data: bytes) -> Any: ...


class Undecoded:
    """Leaves events as they are stored, also those of types that this code does not know."""

    def decode(self, type_name: str, schema_version: int, data: bytes) -> None:
        return None


@overload
def utc(value: datetime) -> datetime: ...
@overload
def utc(value: None) -> None: ...
def utc(value: datetime | None) -> datetime | None:
    """The instant with UTC as its zone."""
    return None if value is None else value.astimezone(UTC)


def recorded_event(row: Sequence[Any], codec: Decoder) -> RecordedEvent:
    """The columns in table order, `data` as text, ids as text."""
    (tenant_id, position, stream, version, event_id, type_name, schema_version, text, subjects, actor, on_behalf_of,
     command_id, correlation_id, causation_id, idempotency_key, request_hash, effective_at, recorded_at) = row  # fmt: skip
    data = text.encode()
    return RecordedEvent(
        tenant_id=tenant_id,
        position=position,
        stream=stream,
        version=version,
        event_id=event_id,
        type=type_name,
        schema_version=schema_version,
        data=data,
        subjects=tuple(subjects),
        actor=actor,
        on_behalf_of=on_behalf_of,
        command_id=command_id,
        correlation_id=correlation_id,
        causation_id=causation_id,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        effective_at=utc(effective_at),
        recorded_at=recorded_at.astimezone(UTC),
        event=codec.decode(type_name, schema_version, data),
    )
