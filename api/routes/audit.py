"""The audit trail: every event as recorded, in the leaf's key order."""

from __future__ import annotations

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ListHeaders
from api.instants import AsOfQuery, as_of_header, resolve
from api.lean import Operation
from api.models.trail import EventOut, EventsOut
from api.problems import Problem
from api.trail import EventsQuery, TrailPages, event_content, shown
from projections.queries import by_key_id

PAGES = (
    "Pages by cursor; the cost of a page does not depend on how long the log is. A page may hold fewer events than "
    "`limit`, even none, and still have a `next_cursor`: then the list goes on there."
)


class AuditRoutes:
    """`/audit`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pages = TrailPages(backend)

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET", "/audit/events", "List events in order", self.get_events,
                answer=EventsOut, query=EventsQuery, headers=ListHeaders, tag="Audit",
                problems=("position-not-reached",), description=PAGES,
            ),
            Operation(
                "GET", "/audit/events/{position}", "Read one event", self.get_event,
                answer=EventOut, query=AsOfQuery, headers=ListHeaders, tag="Audit", problems=("event-not-found",),
            ),
        ]  # fmt: skip

    async def get_events(self, call: Call) -> Answer:
        query: EventsQuery = call.query
        return await self._pages.answer(call, "/audit/events", query.client_id)

    async def get_event(self, call: Call) -> Answer:
        as_of = await resolve(self._backend, call.tenant_id, call.query.as_of)
        event = await self._backend.trail.event(call.tenant_id, int(call.path_parameter("position")))
        if event is None or (as_of is not None and event.position > as_of):
            raise Problem("event-not-found", "Event not found")
        call.shows = shown([event])
        keys = by_key_id((await self._backend.queries.keys(call.tenant_id, call.shows)).values())
        content = event_content(event, keys, call.tenant_id)
        return Answer(200, orjson.dumps(content), [(b"fidelog-position", b"%d" % event.position), *as_of_header(as_of)])
