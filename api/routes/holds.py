"""What stands against an erasure: legal holds, and classes of records that must be kept."""

from __future__ import annotations

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import WriteHeaders
from api.lean import Operation
from api.models.erasure import HoldIn, HoldStatusOut, LiftIn, RetentionIn, RetentionOut
from api.routes.clients import entity_tag
from api.writes import About, Build, Writes, written
from domain import client, erasure
from domain.decider import Sealed
from eventstore.records import Receipt
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS

ON_CLIENT = ("client-not-found", "version-mismatch")


class HoldRoutes:
    """`/clients/{client_id}/holds` and `/clients/{client_id}/retention`"""

    def __init__(self, backend: Backend, writes: Writes) -> None:
        self._backend = backend
        self._writes = writes

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/clients/{client_id}/holds", "Place a legal hold", self.place,
                answer=HoldStatusOut, status=201, body=HoldIn, headers=WriteHeaders, tag="Erasure",
                problems=(*ON_CLIENT, "wrong-state"),
                description="Until every hold is lifted, nothing of the client is erased.",
            ),
            Operation(
                "POST", "/clients/{client_id}/holds/{hold_id}/lift", "Lift a legal hold", self.lift,
                answer=HoldStatusOut, body=LiftIn, headers=WriteHeaders, tag="Erasure",
                problems=(*ON_CLIENT, "not-found"),
            ),
            Operation(
                "POST", "/clients/{client_id}/retention", "Say that records of a class must be kept", self.retain,
                answer=RetentionOut, status=201, body=RetentionIn, headers=WriteHeaders, tag="Erasure",
                problems=ON_CLIENT,
                description="Nothing of the client is erased before the class's time is over; of several days the latest counts.",
            ),
        ]  # fmt: skip

    async def place(self, call: Call) -> Answer:
        body: HoldIn = call.input
        client_id, hold_id = call.path_parameter("client_id"), body.hold_id or self._backend.ids()
        receipt = await self._submit(
            call,
            "holds",
            lambda key: erasure.PlaceHold(client_id, hold_id, self._seal(call, key, body.reason)),
        )
        return self._answer(201, receipt, "placed")

    async def lift(self, call: Call) -> Answer:
        body: LiftIn = call.input
        client_id, hold_id = call.path_parameter("client_id"), call.path_parameter("hold_id")
        receipt = await self._submit(
            call,
            f"holds/{hold_id}/lift",
            lambda key: erasure.LiftHold(client_id, hold_id, self._seal(call, key, body.reason)),
        )
        return self._answer(200, receipt, "lifted")

    async def retain(self, call: Call) -> Answer:
        body: RetentionIn = call.input
        client_id = call.path_parameter("client_id")
        command = erasure.RetainRecords(client_id, body.record_class, body.counts_from)
        receipt = await self._submit(call, "retention", lambda key: command)
        event = receipt.events[-1].event
        content = {"client_id": client_id, "record_class": event.record_class, "counts_from": event.counts_from}
        return written(201, content, receipt, entity_tag(receipt.events[-1].version))

    def _seal(self, call: Call, key: DataKey, reason: str) -> Sealed:
        return seal(key, call.tenant_id, CONTEXTS["reason"], reason.encode())

    async def _submit(self, call: Call, what: str, build: Build) -> Receipt:
        client_id = call.path_parameter("client_id")
        expected = call.expected(client.stream(client_id))
        return await self._writes.submit(call, f"/clients/{client_id}/{what}", About(client_id, build), expected)

    def _answer(self, status: int, receipt: Receipt, became: str) -> Answer:
        last = receipt.events[-1]
        content = {"client_id": last.event.client_id, "hold_id": last.event.hold_id, "status": became}
        return written(status, content, receipt, entity_tag(last.version))
