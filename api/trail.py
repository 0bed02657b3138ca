"""The audit trail over HTTP: its query, its cursors, and a page as an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api import cursors
from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.models.fields import Identifier, Limit, Uuid, digits
from api.problems import Problem
from domain.administration import NAMING
from eventstore.instants import instant
from eventstore.reading import MAX_POSITION
from eventstore.records import RecordedEvent
from eventstore.times import timestamp
from eventstore.vault.keys import DataKey
from projections.codec import SEALED_FIELDS
from projections.queries import open_data
from projections.trail import Filters, Page

AT_LEAST_SECONDS = 5.0


def _time(value: object) -> object:
    return instant(value, up=True) if isinstance(value, str) else value


def _each_once(values: list[str]) -> list[str]:
    return sorted(set(values))


Time = Annotated[datetime, BeforeValidator(_time)]
TypeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,99}$")]
Visible = r"^[\x21-\x7e]+$"


class EventFilters(BaseModel):
    """Which events. Filters are ANDed; several types are ORed."""

    actor: Annotated[str | None, Field(max_length=255, pattern=Visible)] = None
    type: Annotated[list[TypeName], Field(max_length=20), AfterValidator(_each_once)] = []
    stream: Annotated[str | None, Field(default=None, min_length=3, max_length=200, pattern=r"^[a-z]+-[^\x00]+$")]
    correlation_id: Annotated[str | None, Field(max_length=128, pattern=Visible)] = None
    decision_id: Uuid | None = None
    since: Annotated[Time | None, Field(alias="from", description="Recorded at this time or later; RFC 3339.")] = None
    until: Annotated[Time | None, Field(alias="to", description="Recorded before this time; RFC 3339.")] = None

    model_config = ConfigDict(extra="forbid")

    def filters(self, client_id: str | None) -> Filters:
        """What the trail is asked for."""
        return Filters(
            client_id=client_id,
            actor=self.actor,
            types=tuple(self.type),
            stream=self.stream,
            correlation_id=self.correlation_id,
            decision_id=self.decision_id,
            since=self.since,
            until=self.until,
        )


class TrailQuery(EventFilters):
    """Which events, in which order, and how many at a time."""

    order: Literal["asc", "desc"] = "asc"
    at_least: Annotated[
        int | None,
        Field(ge=0, le=MAX_POSITION, description="Wait until the list has got to this position, at most 5 seconds."),
        BeforeValidator(digits),
    ] = None
    limit: Limit = 100
    cursor: Annotated[str | None, Field(default=None, description="`next_cursor` of the page before.")]

    def pairs(self) -> list[tuple[str, str]]:
        """The query that asks for the same list again, without the cursor."""
        given: dict[str, str | None] = {
            "actor": self.actor,
            "stream": self.stream,
            "correlation_id": self.correlation_id,
            "decision_id": self.decision_id,
            "from": timestamp(self.since),
            "to": timestamp(self.until),
            "order": self.order,
        }
        return [*(("type", name) for name in self.type), *((k, v) for k, v in given.items() if v is not None)]


class EventsQuery(TrailQuery):
    """As every list of events, and about whom."""

    client_id: Identifier | None = None

    def pairs(self) -> list[tuple[str, str]]:
        return [*([("client_id", self.client_id)] if self.client_id is not None else []), *super().pairs()]


Extra = Callable[[RecordedEvent], dict[str, Any]]


class TrailPages:
    """Pages of the trail as answers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def answer(self, call: Call, path: str, client_id: str | None, extra: Extra = lambda event: {}) -> Answer:
        """The page that the call's query asks for, each event with what `extra` says of it at its end.

        Raises Problem (422 a foreign cursor, 503 `at_least` not reached), DatabaseUnavailable.
        """
        query: TrailQuery = call.query
        tenant_id, filters = call.tenant_id, query.filters(client_id)
        cursor = cursors.read(query.cursor, path, query.pairs())
        await self._wait(tenant_id, query.at_least, filters)
        page = await self._backend.trail.page(tenant_id, filters, query.order, cursor=cursor, limit=query.limit)
        call.shows = shown(page.events, client_id)
        contents = [event_content(event, page.keys, tenant_id) for event in page.events]
        for content, event in zip(contents, page.events, strict=True):
            content.update(extra(event))
        next_cursor = None if page.next is None else cursors.write(page.next, path, query.pairs())
        body = orjson.dumps({"events": contents, "next_cursor": next_cursor})
        return Answer(200, body, _headers(path, query, page, next_cursor))

    async def _wait(self, tenant_id: str, at_least: int | None, filters: Filters) -> None:
        """Until the list's source has got to the position. Raises Problem (503)."""
        if at_least is None:
            return
        await self._backend.serve(tenant_id)
        tail = self._backend.index(tenant_id)

        def reached() -> bool:
            return (tail.position if filters.indexed else tail.head) >= at_least

        if not reached() and not await tail.until(reached, AT_LEAST_SECONDS):
            raise Problem("position-not-reached", "The list has not got to this position")


def _headers(path: str, query: TrailQuery, page: Page, next_cursor: str | None) -> list[tuple[bytes, bytes]]:
    headers = [(b"fidelog-position", b"%d" % page.reached)]
    if next_cursor is not None:
        headers.append(cursors.link(path, [*query.pairs(), ("limit", str(query.limit)), ("cursor", next_cursor)]))
    return headers


def shown(events: Sequence[RecordedEvent], asked: str | None = None) -> list[str]:
    """Whose data the events show, each once; and of whom was `asked`, if there are any."""
    clients = {subject for event in events if event.type not in NAMING for subject in event.subjects}
    return sorted(clients | {asked} if asked is not None and events else clients)


def event_content(event: RecordedEvent, keys: Mapping[str, DataKey], tenant_id: str) -> dict[str, Any]:
    """The leaf's members in the leaf's order, without format and tenant, personal values opened by `keys`, by id."""
    return {
        "actor": event.actor,
        "causation_id": event.causation_id,
        "command_id": event.command_id,
        "correlation_id": event.correlation_id,
        "data": _data(event, keys, tenant_id),
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


def _data(event: RecordedEvent, keys: Mapping[str, DataKey], tenant_id: str) -> Any:
    """The stored text as it is, unless there are personal values to open."""
    if event.type not in SEALED_FIELDS:
        return orjson.Fragment(event.data)
    return open_data(event.type, orjson.loads(event.data), keys, tenant_id)
