"""Clients: onboard, update or confirm; read."""

from __future__ import annotations

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ReadHeaders, WriteHeaders
from api.lean import Operation
from api.models import ClientIn, ClientOut
from api.problems import Problem
from api.writes import About, Writes, written
from domain import client
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS, client_state, open_text

FULL_NAME = CONTEXTS["full_name"]


def entity_tag(version: int) -> str:
    """Of the profile at a version of its stream."""
    return f'"{version}.client"'


class ClientRoutes:
    """`/clients`"""

    def __init__(self, backend: Backend, writes: Writes) -> None:
        self._backend = backend
        self._writes = writes

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/clients", "Onboard, update or confirm a client", self.post,
                answer=ClientOut, body=ClientIn, headers=WriteHeaders, tag="Clients",
                problems=("version-mismatch",),
                description="An upsert. Every call is recorded, also one that changes nothing.",
            ),
            Operation(
                "GET", "/clients/{client_id}", "Read a client", self.get,
                answer=ClientOut, headers=ReadHeaders, tag="Clients",
                problems=("client-not-found", "client-erased"),
            ),
        ]  # fmt: skip

    async def post(self, call: Call) -> Answer:
        body: ClientIn = call.input
        client_id, full_name, risk_profile = body.client_id, body.full_name.encode(), body.risk_profile

        def build(key: DataKey) -> client.RecordClient:
            return client.RecordClient(
                client_id, seal(key, self._backend.tenant_id, FULL_NAME, full_name), risk_profile
            )

        stream = client.stream(client_id)
        receipt = await self._writes.submit(call, "/clients", About(client_id, build), call.expected(stream))
        recorded = receipt.events[-1]
        event: client.ClientEvent = recorded.event
        content = {
            "client_id": event.client_id,
            "full_name": open_text(receipt.key, self._backend.tenant_id, FULL_NAME, event.full_name),
            "risk_profile": event.risk_profile,
        }
        return written(200, content, receipt, entity_tag(recorded.version))

    async def get(self, call: Call) -> Answer:
        client_id = call.path_parameter("client_id")
        found = await self._backend.queries.client(self._backend.tenant_id, client_id)
        if found is None:
            raise Problem("client-not-found", "Client not found")
        if found.key is None:
            raise Problem("client-erased", "The client was erased")
        tag = entity_tag(found.version)
        headers = [(b"etag", tag.encode()), (b"fidelog-position", b"%d" % found.position)]
        if call.not_modified(tag):
            return Answer(304, b"", headers)
        state = client_state(found)
        content = {
            "client_id": state.client_id,
            "full_name": open_text(found.key, self._backend.tenant_id, FULL_NAME, state.full_name),
            "risk_profile": state.risk_profile,
        }
        return Answer(200, orjson.dumps(content), headers)
