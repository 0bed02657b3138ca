"""What the service should answer, in plain Python: the model that the state machine compares with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelTask:
    """A task as its callers know it."""

    task_id: str
    client_id: str
    agent_name: str
    payload: dict[str, Any]
    priority: int
    age: int
    status: str = "pending"
    attempt: int = 0
    result: dict[str, Any] | None = None
    claimed_by: str | None = None
    tokens: list[str] = field(default_factory=list)
    completed_with: str | None = None
    version: int = 1


@dataclass
class Model:
    """Clients, tasks, and how many events there are."""

    clients: dict[str, dict[str, str]] = field(default_factory=dict)
    client_versions: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, ModelTask] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)

    def upsert(self, body: dict[str, str]) -> tuple[int, Any]:
        """POST /clients"""
        known = self.clients.get(body["client_id"])
        kind = (
            "ClientOnboarded"
            if known is None
            else "ClientProfileConfirmed"
            if known == body
            else "ClientProfileUpdated"
        )
        self.types.append(kind)
        self.clients[body["client_id"]] = dict(body)
        self.client_versions[body["client_id"]] = self.client_versions.get(body["client_id"], 0) + 1
        return 200, body

    def create(self, body: dict[str, Any]) -> tuple[int, Any]:
        """POST /tasks"""
        known = self.tasks.get(body["task_id"])
        if known is not None:
            same = (known.client_id, known.agent_name, known.payload, known.priority) == (
                body["client_id"],
                body["agent_name"],
                body["payload"],
                body["priority"],
            )
            return (201, {"task_id": known.task_id, "status": "pending"}) if same else (409, "task-conflict")
        if body["client_id"] not in self.clients:
            return 404, "client-not-found"
        self.tasks[body["task_id"]] = ModelTask(**body, age=len(self.types))
        self.types.append("TaskCreated")
        return 201, {"task_id": body["task_id"], "status": "pending"}

    def claimable(self, agent_name: str, limit: int) -> list[ModelTask]:
        """What a claim must give, in order."""
        pending = [t for t in self.tasks.values() if t.agent_name == agent_name and t.status == "pending"]
        return sorted(pending, key=lambda t: (t.priority, t.age))[:limit]

    def claimed(self, task: ModelTask, token: str | None, by: str) -> None:
        """A claim was given."""
        task.status, task.claimed_by = "claimed", by
        task.attempt += 1
        task.version += 1
        task.tokens.append(token or "at once")
        self.types.append("TaskClaimed")

    def complete(self, task_id: str, token: str | None, result: dict[str, Any], by: str) -> tuple[int, Any]:
        """POST /tasks/{id}/result"""
        task = self.tasks.get(task_id)
        done = 200, {"task_id": task_id, "status": "completed"}
        if task is None:
            return 404, "task-not-found"
        if task.status == "completed" and task.completed_with == token:
            return done if task.result == result else (409, "task-conflict")
        if token is None:
            if task.status != "pending":
                return 409, "wrong-state"
            self.claimed(task, None, by)
        elif not task.tokens or task.tokens[-1] != token:
            task.version += 1
            self.types.append("TaskCompletionRejected")
            return 409, "stale-claim-token"
        task.status, task.result, task.completed_with = "completed", result, token
        task.version += 1
        self.types.append("TaskCompleted")
        return done
