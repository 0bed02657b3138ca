"""The audit trail: answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class EventOut(BaseModel):
    """An event as recorded; personal values opened for whoever may read them."""

    actor: str
    causation_id: str | None
    command_id: str
    correlation_id: str
    data: dict[str, Any]
    effective_at: str | None
    event_id: str
    idempotency_key: str | None
    on_behalf_of: str | None
    position: int
    recorded_at: str
    request_hash: str | None
    schema_version: int
    stream: str
    subjects: list[str]
    type: str
    version: int


class EventsOut(BaseModel):
    """A page of events; `next_cursor` is null on the last."""

    events: list[EventOut]
    next_cursor: str | None


class TimelineEventOut(EventOut):
    """An event with a readable line, which holds no personal value."""

    title: str


class TimelineOut(BaseModel):
    """A page of a client's timeline; `next_cursor` is null on the last."""

    events: list[TimelineEventOut]
    next_cursor: str | None


class ConsistencyOut(BaseModel):
    """That the tree of the size `new` continues that of the size `old`: hashes in base64."""

    old: int
    new: int
    hashes: list[str]
