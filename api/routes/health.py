"""Whether the process lives, and whether it can be used."""

from __future__ import annotations

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.lean import Operation
from api.models import StatusOut
from api.problems import Problem


class HealthRoutes:
    """`/livez` and `/readyz`"""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/livez", "Does the process live?", self.live, answer=StatusOut, tag="Operations"),
            Operation(
                "GET", "/readyz", "Can it be used?", self.ready, answer=StatusOut, tag="Operations",
                problems=("database-unavailable",),
                description="503 while the database is starting or away, and while the server stops.",
            ),
        ]  # fmt: skip

    async def live(self, call: Call) -> Answer:
        return Answer(200, b'{"status":"alive"}')

    async def ready(self, call: Call) -> Answer:
        condition = self._backend.condition
        if condition != "ready":
            raise Problem("database-unavailable", f"The server is not ready: {condition}", condition=condition)
        return Answer(200, b'{"status":"ready"}')
