"""What the service should answer, in plain Python: the model that the scenarios compare with.

It keeps what every event left, so that it also knows how things stood at any earlier position. Its time is `now`, in
seconds; a lease is over once that many have passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Answer = tuple[int, Any]
"""Status, and the body or the problem's slug."""

AT_ONCE = "at once"
"""In place of a token that nobody was given: the task was claimed and completed by one command."""

OPEN = ("pending", "claimed")


def rfc3339(time: datetime) -> str:
    """The time as answers show it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class ModelClient:
    """A client as its callers know it. `position` is of its newest event."""

    body: dict[str, str]
    version: int = 0
    position: int = 0


@dataclass
class ModelTask:
    """A task as its callers know it."""

    task_id: str
    client_id: str
    agent_name: str
    payload: dict[str, Any]
    priority: int
    created: int = 0
    status: str = "pending"
    attempt: int = 0
    result: dict[str, Any] | None = None
    error: str | None = None
    claimed_by: str | None = None
    tokens: list[str] = field(default_factory=list)
    lease: tuple[int, int] | None = None
    """Position it was claimed at, and seconds."""
    lease_until: float = 0.0
    completed_with: str | None = None
    updated: int = 0
    version: int = 0
    position: int = 0

    def body(self, times: Mapping[int, datetime]) -> dict[str, Any]:
        """The answer to GET, given each position's time of recording."""
        lease = None if self.lease is None else times[self.lease[0]] + timedelta(seconds=self.lease[1])
        return {
            "task_id": self.task_id,
            "client_id": self.client_id,
            "agent_name": self.agent_name,
            "status": self.status,
            "priority": self.priority,
            "attempt": self.attempt,
            "payload": self.payload,
            "result": self.result,
            "error": self.error,
            "claimed_by": self.claimed_by,
            "lease_expires_at": None if lease is None else rfc3339(lease),
            "created_at": rfc3339(times[self.created]),
            "updated_at": rfc3339(times[self.updated]),
        }


State = ModelClient | ModelTask


@dataclass
class Model:
    """Clients, tasks, and what every event left; the first event comes after the position `start`."""

    start: int = 0
    now: float = 0.0
    clients: dict[str, ModelClient] = field(default_factory=dict)
    tasks: dict[str, ModelTask] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)
    left: list[State] = field(default_factory=list)

    @property
    def head(self) -> int:
        """The newest position."""
        return self.start + len(self.types)

    def as_of(self, position: int) -> Model:
        """Clients and tasks as they were after the event at `position`."""
        past = Model(self.start)
        for state in self.left[: max(0, position - self.start)]:
            if isinstance(state, ModelClient):
                past.clients[state.body["client_id"]] = state
            else:
                past.tasks[state.task_id] = state
        return past

    def listed(self, chosen: Callable[[ModelTask], bool]) -> list[ModelTask]:
        """The chosen tasks, oldest first."""
        return sorted(filter(chosen, self.tasks.values()), key=lambda task: task.created)

    def open_tasks(self, client_id: str) -> list[ModelTask]:
        """GET /clients/{id}?include=open_tasks"""
        return self.listed(lambda task: task.client_id == client_id and task.status in OPEN)

    def _happened(self, kind: str, state: State) -> None:
        self.types.append(kind)
        state.version += 1
        state.position = self.head
        if isinstance(state, ModelTask) and kind != "TaskCompletionRejected":
            state.updated = self.head
        self.left.append(deepcopy(state))

    # commands

    def upsert(self, body: dict[str, str]) -> Answer:
        """POST /clients"""
        known = self.clients.setdefault(body["client_id"], ModelClient({}))
        same = "ClientProfileConfirmed" if known.body == body else "ClientProfileUpdated"
        known.body = dict(body)
        self._happened(same if known.version else "ClientOnboarded", known)
        return 200, body

    def create(self, body: dict[str, Any]) -> Answer:
        """POST /tasks"""
        known = self.tasks.get(body["task_id"])
        created = 201, {"task_id": body["task_id"], "status": "pending"}
        if known is not None:
            return created if all(getattr(known, name) == body[name] for name in body) else (409, "task-conflict")
        if body["client_id"] not in self.clients:
            return 404, "client-not-found"
        task = self.tasks[body["task_id"]] = ModelTask(**body, created=self.head + 1)
        self._happened("TaskCreated", task)
        return created

    def _lapsed(self, task: ModelTask) -> bool:
        return task.status == "claimed" and task.lease_until <= self.now

    def claimable(self, agent_name: str, limit: int) -> list[ModelTask]:
        """What a claim must give, in order."""
        free = [t for t in self.tasks.values() if t.status == "pending" or self._lapsed(t)]
        mine = [task for task in free if task.agent_name == agent_name]
        return sorted(mine, key=lambda task: (task.priority, task.created))[:limit]

    def claim(self, tasks: list[ModelTask], tokens: list[str], by: str, seconds: int) -> None:
        """POST /tasks/claim gave these tasks under these tokens."""
        for task, token in zip(tasks, tokens, strict=True):
            self._take_back(task)
            task.status, task.claimed_by = "claimed", by
            task.attempt += 1
            task.tokens.append(token)
            task.lease, task.lease_until = (self.head + 1, seconds), self.now + seconds
            self._happened("TaskClaimed", task)

    def expire(self, task_ids: list[str]) -> None:
        """The server looks at these leases."""
        for task_id in task_ids:
            if task_id in self.tasks:
                self._take_back(self.tasks[task_id])

    def _take_back(self, task: ModelTask) -> bool:
        if not self._lapsed(task):
            return False
        self._pend(task, "TaskLeaseExpired")
        return True

    def _pend(self, task: ModelTask, kind: str) -> None:
        task.status, task.claimed_by, task.lease = "pending", None, None
        self._happened(kind, task)

    def end(self, action: str, task_id: str, token: str | None, value: Any, by: str) -> Answer:
        """POST /tasks/{id}/result, failure, release or cancel; `value` is the result or the error."""
        task = self.tasks.get(task_id)
        if task is None:
            return 404, "task-not-found"
        if action == "cancel":
            return self._ended(action, task) if task.status in OPEN else (409, "wrong-state")
        if action == "result":
            if task.status == "completed" and task.completed_with == token:
                return self._answer(task) if task.result == value else (409, "task-conflict")
            if token is None:
                return self._complete_at_once(task, value, by)
        if not task.tokens or task.tokens[-1] != token:
            self._happened("TaskCompletionRejected", task)
            return 409, "stale-claim-token"
        if self._take_back(task) or task.status != "claimed":
            return 409, "wrong-state"
        return self._ended(action, task, token, value)

    def _complete_at_once(self, task: ModelTask, result: Any, by: str) -> Answer:
        if task.status != "pending" and not self._lapsed(task):
            return 409, "wrong-state"
        self.claim([task], [AT_ONCE], by, 60)
        return self._ended("result", task, None, result)

    def _ended(self, action: str, task: ModelTask, token: str | None = None, value: Any = None) -> Answer:
        if action == "release":
            self._pend(task, "TaskReleased")
            return self._answer(task)
        task.lease = None
        if action == "result":
            task.status, task.result, task.completed_with = "completed", value, token
        elif action == "failure":
            task.status, task.error = "failed", value
        else:
            task.status = "cancelled"
        self._happened({"result": "TaskCompleted", "failure": "TaskFailed"}.get(action, "TaskCancelled"), task)
        return self._answer(task)

    def _answer(self, task: ModelTask) -> Answer:
        return 200, {"task_id": task.task_id, "status": task.status}
