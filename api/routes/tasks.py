"""Tasks: how agents share work. Create, claim, complete, read."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import orjson

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.headers import CommandHeaders, ReadHeaders, WriteHeaders
from api.lean import Operation
from api.models import MAX_FREE_JSON_BYTES, UUID, ClaimIn, ClaimOut, ResultIn, TaskIn, TaskOut, TaskStatusOut
from api.problems import Problem
from api.writes import About, Writes, last_of, written
from domain import task, task_events
from eventstore.records import Receipt, RecordedEvent
from eventstore.times import timestamp
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import seal
from projections.queries import CONTEXTS, open_json, task_state

PAYLOAD, RESULT = CONTEXTS["payload"], CONTEXTS["result"]
CACHED_FACTS = 50_000


def entity_tag(version: int) -> str:
    """Of the task at a version of its stream."""
    return f'"{version}.task"'


class Facts(NamedTuple):
    """What never changes of a task, so that it may be cached: whose data it holds, and which agent's work it is."""

    client_id: str
    agent_name: str


class TaskRoutes:
    """`/tasks`"""

    def __init__(self, backend: Backend, writes: Writes) -> None:
        self._backend = backend
        self._writes = writes
        self._facts: OrderedDict[str, Facts] = OrderedDict()

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST", "/tasks", "Create a task for an agent", self.create,
                answer=TaskStatusOut, status=201, body=TaskIn, headers=WriteHeaders, tag="Tasks", free_json="payload",
                problems=("client-not-found", "task-conflict", "payload-too-large", "version-mismatch"),
                description="The same task again is answered as the first time; with other content it is a conflict.",
            ),
            Operation(
                "POST", "/tasks/claim", "Take pending tasks under a lease", self.claim,
                answer=ClaimOut, body=ClaimIn, headers=CommandHeaders, tag="Tasks", problems=("forbidden",),
                authorise=self._may_claim,
                description="Up to `limit` tasks by priority, then age. `claim_token` is a fencing token: whoever "
                "claims the task later makes it stale.",
            ),
            Operation(
                "POST", "/tasks/{task_id}/result", "Complete a task", self.result,
                answer=TaskStatusOut, body=ResultIn, headers=WriteHeaders, tag="Tasks", free_json="result",
                authorise=self._may_complete,
                problems=("forbidden", "task-not-found", "task-conflict", "wrong-state", "stale-claim-token",
                          "version-mismatch", "payload-too-large"),
                description="Under a claim token; without one a pending task is claimed and completed at once.",
            ),
            Operation(
                "GET", "/tasks/{task_id}", "Read a task", self.get,
                answer=TaskOut, headers=ReadHeaders, tag="Tasks", problems=("task-not-found",),
            ),
        ]  # fmt: skip

    async def create(self, call: Call) -> Answer:
        body: TaskIn = call.input
        payload = _free_json(body.payload, "/payload")
        tenant_id = self._backend.tenant_id

        def build(key: DataKey) -> task.CreateTask:
            sealed = seal(key, tenant_id, PAYLOAD, payload)
            return task.CreateTask(body.task_id, body.client_id, body.agent_name, sealed, body.priority)

        receipt = await self._writes.submit(
            call, "/tasks", About(body.client_id, build), call.expected(task_events.stream(body.task_id))
        )
        created = last_of(receipt.events, task_events.TaskCreated)
        return written(
            201, {"task_id": created.event.task_id, "status": task_events.PENDING}, receipt, entity_tag(created.version)
        )

    async def claim(self, call: Call) -> Answer:
        body: ClaimIn = call.input
        command = task.ClaimTasks(body.agent_name, body.limit, body.lease_seconds)
        receipt = await self._writes.submit(call, "/tasks/claim", command)
        states = [await self._claimed(receipt, event) for event in receipt.events]
        keys = await self._backend.queries.keys(self._backend.tenant_id, {state.client_id for state in states})
        tasks = [
            {**self._content(state, keys.get(state.client_id)), "claim_token": event.event_id}
            for state, event in zip(states, receipt.events, strict=True)
        ]
        return written(200, {"tasks": tasks}, receipt)

    async def _claimed(self, receipt: Receipt, event: RecordedEvent) -> task_events.Task:
        """The task as its claim left it: just folded by the writer, or folded again from its stream."""
        state: Any = receipt.states.get(event.stream) if receipt.states is not None else None
        if state is None:
            for past in await self._backend.log.stream(self._backend.tenant_id, event.stream, limit=event.version):
                state = task_events.evolve(state, past)
        assert isinstance(state, task_events.Task)
        self._remember(state)
        return state

    async def _may_claim(self, call: Call) -> None:
        _check_agent(call, call.body.get("agent_name") if isinstance(call.body, dict) else None)

    async def _may_complete(self, call: Call) -> None:
        task_id = call.path_parameter("task_id")
        if re.fullmatch(UUID, task_id) and (facts := await self._facts_of(task_id)) is not None:
            _check_agent(call, facts.agent_name)

    async def result(self, call: Call) -> Answer:
        task_id = call.path_parameter("task_id")
        body: ResultIn = call.input
        result = _free_json(body.result, "/result")
        facts = await self._facts_of(task_id)
        if facts is None:
            raise Problem("task-not-found", "Task not found")
        tenant_id = self._backend.tenant_id

        def build(key: DataKey) -> task.CompleteTask:
            return task.CompleteTask(task_id, body.claim_token, seal(key, tenant_id, RESULT, result))

        expected = call.expected(task_events.stream(task_id))
        path = f"/tasks/{task_id}/result"
        receipt = await self._writes.submit(call, path, About(facts.client_id, build), expected)
        last = last_of(receipt.events, task_events.TaskCompleted, task_events.TaskCompletionRejected)
        if isinstance(last.event, task_events.TaskCompletionRejected):
            raise _stale(receipt)
        return written(200, {"task_id": task_id, "status": task_events.COMPLETED}, receipt, entity_tag(last.version))

    async def get(self, call: Call) -> Answer:
        task_id = call.path_parameter("task_id")
        found = await self._backend.queries.task(self._backend.tenant_id, task_id)
        if found is None:
            raise Problem("task-not-found", "Task not found")
        tag = entity_tag(found.version)
        headers = [(b"etag", tag.encode()), (b"fidelog-position", b"%d" % found.position)]
        if call.not_modified(tag):
            return Answer(304, b"", headers)
        return Answer(200, orjson.dumps(self._content(task_state(found), found.key)), headers)

    def _content(self, state: task_events.Task, key: DataKey | None) -> dict[str, Any]:
        tenant_id = self._backend.tenant_id
        return {
            "task_id": state.task_id,
            "client_id": state.client_id,
            "agent_name": state.agent_name,
            "status": state.status,
            "priority": state.priority,
            "attempt": state.attempt,
            "payload": open_json(key, tenant_id, PAYLOAD, state.payload),
            "result": open_json(key, tenant_id, RESULT, state.result),
            "error": None,
            "claimed_by": state.claimed_by,
            "lease_expires_at": timestamp(state.lease_expires_at),
            "created_at": timestamp(state.created_at),
            "updated_at": timestamp(state.updated_at),
        }

    async def _facts_of(self, task_id: str) -> Facts | None:
        """Whose personal values the result is, needed before it is sealed."""
        facts = self._facts.get(task_id)
        if facts is None:
            found = await self._backend.queries.task(self._backend.tenant_id, task_id)
            facts = self._remember(task_state(found)) if found is not None else None
        return facts

    def _remember(self, state: task_events.Task) -> Facts:
        facts = self._facts[state.task_id] = Facts(state.client_id, state.agent_name)
        if len(self._facts) > CACHED_FACTS:
            self._facts.popitem(last=False)
        return facts


def _check_agent(call: Call, agent_name: object) -> None:
    if isinstance(agent_name, str) and not call.may_act_as(agent_name):
        raise Problem("forbidden", "An agent works only its own tasks", missing_scope="tasks:manage")


def _free_json(value: dict[str, Any], pointer: str) -> bytes:
    """The value as compact JSON, keys sorted so that equal values have equal fingerprints. Raises Problem (413)."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(text) > MAX_FREE_JSON_BYTES:
        raise Problem(
            "payload-too-large",
            f"{pointer[1:]} may have at most {MAX_FREE_JSON_BYTES} bytes as compact JSON",
            errors=[{"pointer": pointer, "message": f"has {len(text)} bytes"}],
            limit=MAX_FREE_JSON_BYTES,
            size=len(text),
        )
    return text


def _stale(receipt: Receipt) -> Problem:
    """P11: refused, and on record."""
    rejected = receipt.events[-1]
    headers = {"fidelog-position": str(rejected.position)}
    if receipt.replayed:
        headers["idempotency-replayed"] = "true"
    return Problem(
        "stale-claim-token",
        "The claim token is not the newest attempt's; the attempt was recorded",
        headers=headers,
        correlation_id=rejected.correlation_id,
    )
