"""The audit trail: every event as recorded, in the leaf's key order."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ListHeaders
from api.lean import Operation
from api.models import EventOut, EventsOut
from api.problems import Problem, invalid
from eventstore.reading import MAX_POSITION
from eventstore.records import RecordedEvent
from eventstore.times import timestamp
from projections.queries import Keys, open_data


def _plain(value: object) -> object:
    """An integer in a query string is written in digits, and in no other way Python would accept."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        raise ValueError("must be an integer")
    return value


class EventsQuery(BaseModel):
    """Which events, and how many at a time."""

    stream: Annotated[str | None, Field(default=None, min_length=3, max_length=200, pattern=r"^[a-z]+-[^\x00]+$")]
    order: Literal["asc", "desc"] = "asc"
    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(_plain)] = 100
    cursor: Annotated[str | None, Field(default=None, description="`next_cursor` of the page before.")]

    model_config = ConfigDict(extra="forbid")


class AuditRoutes:
    """`/audit`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET", "/audit/events", "List events in order", self.get_events,
                answer=EventsOut, query=EventsQuery, headers=ListHeaders, tag="Audit",
                description="Pages by cursor; the cost of a page does not depend on how long the log is.",
            ),
            Operation(
                "GET", "/audit/events/{position}", "Read one event", self.get_event,
                answer=EventOut, headers=ListHeaders, tag="Audit", problems=("event-not-found",),
            ),
        ]  # fmt: skip

    async def get_events(self, call: Call) -> Answer:
        query: EventsQuery = call.query
        after = _read_cursor(query)
        events = await self._page(query, after)
        page, rest = events[: query.limit], events[query.limit :]
        cursor = _write_cursor(_place(page[-1], query), query) if rest else None
        content = {"events": await self._contents(page), "next_cursor": cursor}
        headers = []
        if cursor is not None:
            stream = f"stream={query.stream}&" if query.stream else ""
            link = f'</audit/events?{stream}order={query.order}&limit={query.limit}&cursor={cursor}>; rel="next"'
            headers.append((b"link", link.encode("ascii", "backslashreplace")))
        return Answer(200, orjson.dumps(content), headers)

    async def _page(self, query: EventsQuery, after: int | None) -> list[RecordedEvent]:
        """One event more than the page holds, to know whether there is a next."""
        log, tenant_id, limit = self._backend.log, self._backend.tenant_id, query.limit + 1
        if query.order == "asc":
            start = after or 0
            if query.stream is not None:
                return await log.stream(tenant_id, query.stream, after=start, limit=limit)
            return await log.forward(tenant_id, after=start, limit=limit)
        below = MAX_POSITION if after is None else after
        if query.stream is not None:
            return await log.stream_backward(tenant_id, query.stream, below=below, limit=limit)
        return await log.backward(tenant_id, below=below, limit=limit)

    async def get_event(self, call: Call) -> Answer:
        position = int(call.path_parameter("position"))
        events = await self._backend.log.forward(self._backend.tenant_id, after=position - 1, limit=1)
        if not events or events[0].position != position:
            raise Problem("event-not-found", "Event not found")
        contents = await self._contents(events)
        return Answer(200, orjson.dumps(contents[0]))

    async def _contents(self, events: list[RecordedEvent]) -> list[dict[str, Any]]:
        tenant_id = self._backend.tenant_id
        subjects = {subject for event in events for subject in event.subjects}
        keys = await self._backend.queries.keys(tenant_id, subjects)
        return [event_content(event, keys, tenant_id) for event in events]


def event_content(event: RecordedEvent, keys: Keys, tenant_id: str) -> dict[str, Any]:
    """The leaf's members in the leaf's order, without format and tenant, personal values opened."""
    return {
        "actor": event.actor,
        "causation_id": event.causation_id,
        "command_id": event.command_id,
        "correlation_id": event.correlation_id,
        "data": open_data(event.type, orjson.loads(event.data), keys, tenant_id),
        "effective_at": timestamp(event.effective_at),
        "event_id": event.event_id,
        "idempotency_key": None if event.idempotency_key is None else event.idempotency_key.hex(),
        "on_behalf_of": event.on_behalf_of,
        "position": event.position,
        "recorded_at": timestamp(event.recorded_at),
        "request_hash": None if event.request_hash is None else event.request_hash.hex(),
        "schema_version": event.schema_version,
        "stream": event.stream,
        "subjects": list(event.subjects),
        "type": event.type,
        "version": event.version,
    }


def _place(event: RecordedEvent, query: EventsQuery) -> int:
    return event.position if query.stream is None else event.version


def _write_cursor(place: int, query: EventsQuery) -> str:
    """A cursor belongs to its list: order and stream are part of it."""
    return base64.urlsafe_b64encode(f"{place}:{query.order}:{query.stream or ''}".encode()).decode().rstrip("=")


def _read_cursor(query: EventsQuery) -> int | None:
    if query.cursor is None:
        return None
    place = query.cursor.encode("ascii", "replace") + b"=" * (-len(query.cursor) % 4)
    try:
        found = re.fullmatch(r"([0-9]{1,18}):(.*)", base64.urlsafe_b64decode(place).decode(), re.ASCII | re.DOTALL)
    except ValueError:
        found = None
    if found is None or found[2] != f"{query.order}:{query.stream or ''}":
        raise invalid({"parameter": "cursor", "message": "is not a cursor of this list"})
    return int(found[1])
