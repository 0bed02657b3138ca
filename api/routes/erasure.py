"""Erasure of a client: one person asks, another approves, and with the approval it is done."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ReadHeaders, WriteHeaders
from api.instants import AsOfQuery, as_of_header, resolve
from api.lean import Operation
from api.models.erasure import ApprovalIn, ErasureIn, ErasureOut, ErasureStatusOut, WithdrawalIn
from api.problems import Problem
from api.routes.clients import entity_tag
from api.routes.holds import ON_CLIENT
from api.writes import About, Build, Writes, recorded_refusal, written
from domain import client, erasure, retention
from domain.erasure_events import ERASED, NONE, NOTHING, REQUESTED, ErasureRefused, Standing, status
from eventstore.records import Receipt
from projections.queries import client_state

AGAINST = ("legal-hold", "retention-running", "second-person-required", "wrong-state")


class ErasureRoutes:
    """`/clients/{client_id}/erasure`"""

    def __init__(self, backend: Backend, writes: Writes) -> None:
        self._backend = backend
        self._writes = writes
        self._years = backend.settings.retention

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/clients/{client_id}/erasure", "Ask that a client be erased", self.request,
                answer=ErasureStatusOut, status=202, body=ErasureIn, headers=WriteHeaders, tag="Erasure",
                problems=(*ON_CLIENT, *AGAINST),
                description="A natural person asks; nothing is erased before another approves. Refused, and that "
                "recorded, while a legal hold stands or a class of records must be kept.",
            ),
            Operation(
                "POST", "/clients/{client_id}/erasure/approval", "Approve the erasure, and erase", self.approve,
                answer=ErasureStatusOut, body=ApprovalIn, headers=WriteHeaders, tag="Erasure",
                problems=(*ON_CLIENT, *AGAINST),
                description="By a natural person who neither asked nor was asked for. The client's key is destroyed: every "
                "personal value reads `{\"erased\": true}` from then on, and the client's id is never used again. A repeat is "
                "answered 410.",
            ),
            Operation(
                "POST", "/clients/{client_id}/erasure/withdrawal", "Withdraw the request", self.withdraw,
                answer=ErasureStatusOut, body=WithdrawalIn, headers=WriteHeaders, tag="Erasure",
                problems=(*ON_CLIENT, "wrong-state"),
            ),
            Operation(
                "GET", "/clients/{client_id}/erasure", "Read how far the erasure has got", self.get,
                answer=ErasureOut, query=AsOfQuery, headers=ReadHeaders, tag="Erasure", problems=("client-not-found",),
                description="And what stands against it. Without personal data; of an erased client too.",
            ),
        ]  # fmt: skip

    async def request(self, call: Call) -> Answer:
        body: ErasureIn = call.input
        client_id = call.path_parameter("client_id")
        command = erasure.RequestErasure(client_id, body.legal_basis, _person(call), self._years)
        receipt = await self._submit(call, "erasure", lambda key: command)
        return _answer(202, receipt, REQUESTED)

    async def approve(self, call: Call) -> Answer:
        client_id, person = call.path_parameter("client_id"), _person(call)
        receipt = await self._submit(
            call, "erasure/approval", lambda key: erasure.ApproveErasure(client_id, key.key_id, person, self._years)
        )
        return _answer(200, receipt, ERASED)

    async def withdraw(self, call: Call) -> Answer:
        command = erasure.WithdrawErasure(call.path_parameter("client_id"))
        receipt = await self._submit(call, "erasure/withdrawal", lambda key: command)
        return _answer(200, receipt, NONE)

    async def _submit(self, call: Call, what: str, build: Build) -> Receipt:
        client_id = call.path_parameter("client_id")
        expected = call.expected(client.stream(client_id))
        return await self._writes.submit(call, f"/clients/{client_id}/{what}", About(client_id, build), expected)

    async def get(self, call: Call) -> Answer:
        as_of = await resolve(self._backend, call.tenant_id, call.query.as_of)
        client_id = call.path_parameter("client_id")
        found = await self._backend.queries.client(call.tenant_id, client_id, as_of)
        if found is None:
            raise Problem("client-not-found", "Client not found")
        tag = f'"{found.version}.erasure"'
        headers = [(b"etag", tag.encode()), (b"fidelog-position", b"%d" % found.position), *as_of_header(as_of)]
        if call.not_modified(tag):
            return Answer(304, b"", headers)
        content = _content(client_id, client_state(found).standing or NOTHING, self._years)
        return Answer(200, orjson.dumps(content), headers)


def _person(call: Call) -> erasure.Person:
    return erasure.Person(call.actor, call.on_behalf_of)


def _answer(code: int, receipt: Receipt, became: str) -> Answer:
    """From the command's own event, so that a repeat is answered alike (P5)."""
    last = receipt.events[-1]
    if isinstance(last.event, ErasureRefused):
        raise recorded_refusal(receipt, _problem(last.event))
    return written(code, {"client_id": last.event.client_id, "status": became}, receipt, entity_tag(last.version))


def _problem(refused: ErasureRefused) -> Problem:
    if refused.cause == "legal-hold":
        return Problem("legal-hold", "A legal hold stands; the refusal was recorded", hold_ids=refused.holds)
    if refused.cause == "retention-running":
        detail = f"Records of class {refused.record_class} must be kept until {refused.until}; the refusal was recorded"
        return Problem("retention-running", detail, record_class=refused.record_class, kept_until=refused.until)
    if refused.cause == "algorithm":
        detail = "A natural person asks for an erasure, and another approves it; the refusal was recorded"
    else:
        detail = "Whoever asked for the erasure does not approve it; the refusal was recorded"
    return Problem("second-person-required", detail, cause=refused.cause)


def _content(client_id: str, standing: Standing, years: retention.Years) -> dict[str, Any]:
    asked = standing["erasure"] or {}
    told = ("legal_basis", "requested_by", "requested_at", "approved_by", "erased_at")
    records = sorted(standing["records"].items())
    return {
        "client_id": client_id,
        "status": status(standing),
        **{name: asked.get(name) for name in told},
        "holds": [{"hold_id": name, **_hold(hold)} for name, hold in sorted(standing["holds"].items())],
        "records": [
            {"record_class": name, "counts_from": day, "kept_until": _kept_until(day, years[name])}
            for name, day in records
        ],
    }


def _hold(hold: dict[str, str]) -> dict[str, str]:
    return {"placed_by": hold["placed_by"], "placed_at": hold["placed_at"]}


def _kept_until(day: str, years: int) -> str:
    return retention.until(date.fromisoformat(day), years).isoformat()
