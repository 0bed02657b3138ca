"""Clients: onboard, update or confirm; read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import ReadHeaders, WriteHeaders
from api.instants import AsOfQuery, as_of_header, resolve
from api.lean import Operation
from api.models.clients import ClientIn, ClientOut, ClientWithTasksOut
from api.problems import Problem
from api.task_answers import found_content
from api.writes import About, Writes, written
from domain import client
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS, Found, client_state, open_value, task_state

FULL_NAME = CONTEXTS["full_name"]


OPEN_TASKS = 500
"""As many open tasks are included; GET /clients/{client_id}/tasks lists all."""


class ClientQuery(AsOfQuery):
    """When, and what more than the profile."""

    include: Annotated[
        Literal["open_tasks"] | None,
        Field(
            default=None, description="`open_tasks`: the client's first 500 pending and claimed tasks, oldest first."
        ),
    ]


def entity_tag(version: int, open_tasks: Sequence[Found] | None = None) -> str:
    """Of the profile at a version of its stream; of another representation with the open tasks at theirs."""
    if open_tasks is None:
        return f'"{version}.client"'
    tasks = ",".join(f"{task_state(task).task_id}:{task.version}" for task in open_tasks)
    return f'"{version}.client.{hashlib.blake2b(tasks.encode(), digest_size=8).hexdigest()}"'


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
                answer=ClientWithTasksOut, query=ClientQuery, headers=ReadHeaders, tag="Clients",
                problems=("client-not-found", "client-erased"),
                description="`open_tasks` is there only when `include` asks for it.",
            ),
        ]  # fmt: skip

    async def post(self, call: Call) -> Answer:
        body: ClientIn = call.input
        client_id, full_name, risk_profile = body.client_id, body.full_name.encode(), body.risk_profile

        def build(key: DataKey) -> client.RecordClient:
            return client.RecordClient(client_id, seal(key, call.tenant_id, FULL_NAME, full_name), risk_profile)

        stream = client.stream(client_id)
        receipt = await self._writes.submit(call, "/clients", About(client_id, build), call.expected(stream))
        recorded = receipt.events[-1]
        event: client.ClientEvent = recorded.event
        content = {
            "client_id": event.client_id,
            "full_name": open_value("full_name", receipt.key, call.tenant_id, event.full_name),
            "risk_profile": event.risk_profile,
        }
        return written(200, content, receipt, entity_tag(recorded.version))

    async def get(self, call: Call) -> Answer:
        query: ClientQuery = call.query
        as_of = await resolve(self._backend, call.tenant_id, query.as_of)
        tenant_id, client_id = call.tenant_id, call.path_parameter("client_id")
        found = await self._backend.queries.client(tenant_id, client_id, as_of)
        if found is None:
            raise Problem("client-not-found", "Client not found")
        if found.key is None or client_state(found).erased:
            raise Problem("client-erased", "The client was erased")
        tag, position, open_tasks = entity_tag(found.version), found.position, list[Found]()
        if query.include is not None:
            open_tasks = await self._backend.queries.open_tasks(tenant_id, client_id, as_of, OPEN_TASKS)
            tag = entity_tag(found.version, open_tasks)
            position = max(position, *(task.position for task in open_tasks), 0)
        headers = [(b"etag", tag.encode()), (b"fidelog-position", b"%d" % position), *as_of_header(as_of)]
        if call.not_modified(tag):
            return Answer(304, b"", headers)
        call.shows = (client_id,)
        state = client_state(found)
        content: dict[str, Any] = {
            "client_id": state.client_id,
            "full_name": open_value("full_name", found.key, tenant_id, state.full_name),
            "risk_profile": state.risk_profile,
        }
        if query.include is not None:
            content["open_tasks"] = [found_content(task, tenant_id) for task in open_tasks]
        return Answer(200, orjson.dumps(content), headers)
