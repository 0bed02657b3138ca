"""Whether the process lives, and whether it can be used."""

from __future__ import annotations

from typing import Any

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.lean import Operation
from api.metrics import CONTENT_TYPE
from api.models.health import ReadyOut, StatusOut
from api.problems import Problem
from eventstore.following import Following
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.witnesses import Witness


class HealthRoutes:
    """`/livez`, `/readyz` and `/metrics`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/livez", "Does the process live?", self.live, answer=StatusOut, tag="Operations"),
            Operation(
                "GET", "/readyz", "Can it be used?", self.ready, answer=ReadyOut, tag="Operations",
                problems=("database-unavailable",),
                description="503 while the database is starting or away, and while the server stops. A tail that stands "
                "still has a `fault`, a verification that is overdue is `silent`; the server can be used all the same.",
            ),
            Operation(
                "GET", "/metrics", "Figures of this process, for Prometheus", self.figures, answer=None, tag="Operations"
            ),
        ]  # fmt: skip

    async def live(self, call: Call) -> Answer:
        return Answer(200, b'{"status":"alive"}')

    async def ready(self, call: Call) -> Answer:
        condition = self._backend.condition
        if condition != "ready":
            raise Problem("database-unavailable", f"The server is not ready: {condition}", condition=condition)
        if call.caller is None:
            return Answer(200, b'{"status":"ready"}')
        tails = [tail for tail in self._backend.tails if tail.tenant_id == call.caller.tenant_id]
        content: dict[str, Any] = {
            "status": "ready",
            "tails": [_place(one, one.name, one.position, one.lag) for one in tails],
        }
        for one in tails:
            if isinstance(one, Cosigning):
                content["witnesses"] = [
                    _place(seen, seen.key.name, seen.cosigned, max(one.newest - seen.cosigned, 0))
                    for seen in one.witnesses
                ]
        if (verification := self._backend.verification(call.caller.tenant_id)) is not None:
            content["verification"] = verification
        return Answer(200, orjson.dumps(content))

    async def figures(self, call: Call) -> Answer:
        return Answer(200, self._backend.metrics.text(), content_type=CONTENT_TYPE)


def _place(of: Following | Witness, name: str, position: int, lag: int) -> dict[str, str | int]:
    found: dict[str, str | int] = {"name": name, "position": position, "lag": lag}
    return found if of.fault is None else {**found, "fault": of.fault}
