"""A client's timeline: every event about the client, across streams, each with a readable title."""

from __future__ import annotations

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ListHeaders
from api.lean import Operation
from api.models.trail import TimelineOut
from api.problems import Problem
from api.routes.audit import PAGES
from api.trail import TrailPages, TrailQuery
from projections.titles import title


class TimelineRoutes:
    """`/clients/{client_id}/timeline`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pages = TrailPages(backend)

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET", "/clients/{client_id}/timeline", "List every event about a client", self.get,
                answer=TimelineOut, query=TrailQuery, headers=ListHeaders, tag="Clients",
                problems=("client-not-found", "position-not-reached"), description=PAGES,
            ),
        ]  # fmt: skip

    async def get(self, call: Call) -> Answer:
        """Of an erased client too: its events stay, its values are shown as erased."""
        client_id = call.path_parameter("client_id")
        if await self._backend.queries.client(call.tenant_id, client_id) is None:
            raise Problem("client-not-found", "Client not found")
        return await self._pages.answer(
            call, f"/clients/{client_id}/timeline", client_id, lambda event: {"title": title(event)}
        )
