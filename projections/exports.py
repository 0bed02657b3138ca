"""What an export goes through: the events that filters give, up to a position, and how people are shown them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import orjson

from eventstore.exporting.reading_forms import Shown
from eventstore.proof.export.selection import Selection
from eventstore.records import RecordedEvent
from eventstore.times import timestamp
from eventstore.vault.keys import DataKey
from projections.codec import SEALED_FIELDS
from projections.queries import open_data
from projections.titles import title
from projections.trail import Filters, Page, Trail

PAGE_EVENTS = 500


def selection_of(filters: Filters) -> Selection:
    """The same question to a leaf. ValueError where it cannot be asked: a decision is a stream, and an event is on one."""
    stream = filters.stream
    if filters.decision_id is not None:
        if stream is not None:
            raise ValueError("a decision and a stream cannot be asked for together")
        stream = f"decision-{filters.decision_id}"
    return Selection(
        filters.client_id,
        filters.actor,
        filters.types,
        stream,
        filters.correlation_id,
        timestamp(filters.since),
        timestamp(filters.until),
    )


async def pages(trail: Trail, tenant_id: str, filters: Filters, last: int) -> AsyncIterator[Page]:
    """All events up to the position `last`, page by page, each read by itself: no statement runs for long, and each
    page has the keys of its own moment. Raises DatabaseUnavailable."""
    cursor: int | None = 0
    while cursor is not None and cursor < last:
        page = await trail.page(tenant_id, filters, "asc", cursor=cursor, limit=PAGE_EVENTS)
        events = [event for event in page.events if event.position <= last]
        if events:
            yield Page(events, page.keys, page.next, page.reached)
        cursor = page.next if len(events) == len(page.events) else None


def shown(events: Sequence[RecordedEvent], keys: Mapping[str, DataKey], tenant_id: str) -> list[Shown]:
    """With a line that says what happened, and the data opened by the living keys."""
    return [Shown(event, title(event), _opened(event, keys, tenant_id)) for event in events]


def _opened(event: RecordedEvent, keys: Mapping[str, DataKey], tenant_id: str) -> str:
    if event.type not in SEALED_FIELDS:
        return event.data.decode()
    return orjson.dumps(open_data(event.type, orjson.loads(event.data), keys, tenant_id)).decode()
