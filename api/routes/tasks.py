"""Tasks: how agents share work. Create, claim, read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from api import cursors
from api.answer import Answer, Header
from api.backend import Backend
from api.call import Call
from api.headers import CommandHeaders, ListHeaders, ReadHeaders, WriteHeaders
from api.instants import AsOfQuery, as_of_header, resolve
from api.lean import Operation
from api.models.fields import Identifier, Limit
from api.models.tasks import ClaimIn, ClaimOut, TaskIn, TaskOut, TasksOut, TaskStatusOut
from api.problems import Problem
from api.task_answers import content, entity_tag, found_content
from api.task_facts import TaskFacts, check_agent, free_json
from api.writes import About, Writes, last_of, written
from domain import task, task_events
from domain.task_events import STATUSES
from eventstore.records import Receipt, RecordedEvent
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS, TaskFilter, task_state

PAYLOAD = CONTEXTS["payload"]

Status = Literal["pending", "claimed", "completed", "failed", "cancelled"]
assert Status.__args__ == STATUSES  # type: ignore[attr-defined]  # a Literal's values


class ClientTasksQuery(BaseModel):
    """Which of a client's tasks, and how many at a time; oldest first."""

    status: Status | None = None
    agent_name: Identifier | None = None
    limit: Limit = 100
    cursor: Annotated[str | None, Field(default=None, description="`next_cursor` of the page before.")]

    model_config = ConfigDict(extra="forbid")


class TasksQuery(ClientTasksQuery):
    """Which tasks, and how many at a time; oldest first."""

    client_id: Identifier | None = None


class TaskRoutes:
    """`/tasks`"""

    def __init__(self, backend: Backend, writes: Writes, facts: TaskFacts) -> None:
        self._backend = backend
        self._writes = writes
        self._facts = facts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/tasks", "Create a task for an agent", self.create,
                answer=TaskStatusOut, status=201, body=TaskIn, headers=WriteHeaders, tag="Tasks", free_json="payload",
                authorise=self._may_create, problems=("client-not-found", "task-conflict", "payload-too-large", "version-mismatch"),
                description="The same task again is answered as the first time; with other content it is a conflict.",
            ),
            Operation(
                "POST", "/tasks/claim", "Take pending tasks under a lease", self.claim,
                answer=ClaimOut, body=ClaimIn, headers=CommandHeaders, tag="Tasks", problems=("forbidden",),
                authorise=self._may_claim,
                description="Up to `limit` tasks by priority, then age. `claim_token` is a fencing token: whoever "
                "claims the task later makes it stale. A task whose lease ran out can be claimed again.",
            ),
            Operation(
                "GET", "/tasks", "List tasks", self.list_tasks,
                answer=TasksOut, query=TasksQuery, headers=ListHeaders, tag="Tasks",
                description="Oldest first. Filters are ANDed; pages by cursor.",
            ),
            Operation(
                "GET", "/tasks/{task_id}", "Read a task", self.get,
                answer=TaskOut, query=AsOfQuery, headers=ReadHeaders, tag="Tasks", problems=("task-not-found",),
            ),
            Operation(
                "GET", "/clients/{client_id}/tasks", "List a client's tasks", self.list_client_tasks,
                answer=TasksOut, query=ClientTasksQuery, headers=ListHeaders, tag="Tasks",
                problems=("client-not-found",), description="Oldest first. Filters are ANDed; pages by cursor.",
            ),
        ]  # fmt: skip

    async def create(self, call: Call) -> Answer:
        body: TaskIn = call.input
        payload = free_json(body.payload, "/payload")
        tenant_id = call.tenant_id

        def build(key: DataKey) -> task.CreateTask:
            sealed = seal(key, tenant_id, PAYLOAD, payload)
            return task.CreateTask(body.task_id, body.client_id, body.agent_name, sealed, body.priority)

        receipt = await self._writes.submit(
            call, "/tasks", About(body.client_id, build), call.expected(task_events.stream(body.task_id))
        )
        created = last_of(receipt.events, task_events.TaskCreated)
        answer = {"task_id": created.event.task_id, "status": task_events.PENDING}
        return written(201, answer, receipt, entity_tag(created.version))

    async def claim(self, call: Call) -> Answer:
        body: ClaimIn = call.input
        command = task.ClaimTasks(body.agent_name, body.limit, body.lease_seconds)
        receipt = await self._writes.submit(call, "/tasks/claim", command)
        claims = [event for event in receipt.events if isinstance(event.event, task_events.TaskClaimed)]
        states = [await self._claimed(call, receipt, event) for event in claims]
        keys = await self._backend.queries.keys(call.tenant_id, {state.client_id for state in states})
        tasks = [
            {**content(state, keys.get(state.client_id), call.tenant_id), "claim_token": event.event_id}
            for state, event in zip(states, claims, strict=True)
        ]
        return written(200, {"tasks": tasks}, receipt)

    async def _claimed(self, call: Call, receipt: Receipt, event: RecordedEvent) -> task_events.Task:
        """The task as its claim left it: just folded by the writer, or folded again from its stream."""
        state: Any = receipt.states.get(event.stream) if receipt.states is not None else None
        if state is None:
            for past in await self._backend.log.streams_until(call.tenant_id, [event.stream], event.position):
                state = self._backend.engine.evolve[task_events.CATEGORY](state, past)
        assert isinstance(state, task_events.Task)
        self._facts.remember(call.tenant_id, state)
        return state

    async def _may_create(self, call: Call) -> None:
        if not call.manages_tasks:
            await self._may_claim(call)

    async def _may_claim(self, call: Call) -> None:
        check_agent(call, call.body.get("agent_name") if isinstance(call.body, dict) else None)

    async def get(self, call: Call) -> Answer:
        as_of = await resolve(self._backend, call.tenant_id, call.query.as_of)
        task_id = call.path_parameter("task_id")
        found = await self._backend.queries.task(call.tenant_id, task_id, as_of)
        if found is None:
            raise Problem("task-not-found", "Task not found")
        tag = entity_tag(found.version, erased=found.key is None)
        headers = [(b"etag", tag.encode()), (b"fidelog-position", b"%d" % found.position), *as_of_header(as_of)]
        if call.not_modified(tag):
            return Answer(304, b"", headers)
        call.shows = (task_state(found).client_id,)
        return Answer(200, orjson.dumps(found_content(found, call.tenant_id)), headers)

    async def list_tasks(self, call: Call) -> Answer:
        return await self._list(call, "/tasks", call.query.client_id)

    async def list_client_tasks(self, call: Call) -> Answer:
        client_id = call.path_parameter("client_id")
        if await self._backend.queries.client(call.tenant_id, client_id) is None:
            raise Problem("client-not-found", "Client not found")
        return await self._list(call, f"/clients/{client_id}/tasks", client_id)

    async def _list(self, call: Call, path: str, client_id: str | None) -> Answer:
        query: ClientTasksQuery = call.query
        filters = [
            (name, value) for name in ("status", "agent_name", "client_id") if (value := getattr(query, name, None))
        ]
        after = cursors.read(query.cursor, path, filters) or 0
        wanted = TaskFilter((query.status,) if query.status else STATUSES, query.agent_name, client_id)
        tenant_id = call.tenant_id
        found = await self._backend.queries.tasks(tenant_id, wanted, after, query.limit + 1)
        page, cursor, headers = found[: query.limit], None, list[Header]()
        call.shows = [task_state(one).client_id for one in page]
        if len(found) > query.limit:
            cursor = cursors.write(task_state(page[-1]).created_position, path, filters)
            headers.append(cursors.link(path, [*filters, ("limit", str(query.limit)), ("cursor", cursor)]))
        answer = {"tasks": [found_content(one, tenant_id) for one in page], "next_cursor": cursor}
        return Answer(200, orjson.dumps(answer), headers)
