"""What routes must know of a task before they act on it: whose data it holds, and who may work on it."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import orjson

from api.backend import Backend
from api.call import Call
from api.models.fields import MAX_FREE_JSON_BYTES, UUID
from api.problems import Problem
from domain.task_events import Task
from projections.queries import task_state

CACHED_FACTS = 50_000


class Facts(NamedTuple):
    """What never changes of a task, so that it may be cached: whose data it holds, and which agent's work it is."""

    client_id: str
    agent_name: str


class TaskFacts:
    """Facts of tasks, the last ones used kept."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: OrderedDict[tuple[str, str], Facts] = OrderedDict()

    async def of(self, tenant_id: str, task_id: str) -> Facts:
        """The task's facts. Raises Problem (404)."""
        facts = await self._find(tenant_id, task_id)
        if facts is None:
            raise Problem("task-not-found", "Task not found")
        return facts

    async def may_act(self, call: Call) -> None:
        """Whether the caller may act on the task it names. Raises Problem (403)."""
        task_id = call.path_parameter("task_id")
        if re.fullmatch(UUID, task_id) and (facts := await self._find(call.tenant_id, task_id)) is not None:
            check_agent(call, facts.agent_name)

    async def _find(self, tenant_id: str, task_id: str) -> Facts | None:
        facts = self._kept.get((tenant_id, task_id))
        if facts is None:
            found = await self._backend.queries.task(tenant_id, task_id)
            facts = self.remember(tenant_id, task_state(found)) if found is not None else None
        return facts

    def remember(self, tenant_id: str, state: Task) -> Facts:
        """Keep a task's facts."""
        facts = self._kept[tenant_id, state.task_id] = Facts(state.client_id, state.agent_name)
        if len(self._kept) > CACHED_FACTS:
            self._kept.popitem(last=False)
        return facts


def check_agent(call: Call, agent_name: object) -> None:
    """Raises Problem (403) unless the caller may act for the agent."""
    if isinstance(agent_name, str) and not call.may_act_as(agent_name):
        raise Problem("forbidden", "An agent works only its own tasks", missing_scope="tasks:manage")


def free_json(value: dict[str, Any], pointer: str) -> bytes:
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
