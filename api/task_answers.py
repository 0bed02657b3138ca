"""A task as answers show it."""

from __future__ import annotations

from typing import Any

from domain.task_events import Task
from eventstore.times import timestamp
from eventstore.vault.keys import DataKey
from projections.queries import Found, open_value, task_state


def entity_tag(version: int, *, erased: bool = False) -> str:
    """Of the task at a version of its stream; of another representation once the client was erased, so that nobody goes on
    using a copy that shows more."""
    return f'"{version}.task.erased"' if erased else f'"{version}.task"'


def found_content(found: Found, tenant_id: str) -> dict[str, Any]:
    """A task that was read."""
    return content(task_state(found), found.key, tenant_id)


def content(state: Task, key: DataKey | None, tenant_id: str) -> dict[str, Any]:
    """The task, its personal values opened, or {"erased": true} in their place."""
    return {
        "task_id": state.task_id,
        "client_id": state.client_id,
        "agent_name": state.agent_name,
        "status": state.status,
        "priority": state.priority,
        "attempt": state.attempt,
        "payload": open_value("payload", key, tenant_id, state.payload),
        "result": open_value("result", key, tenant_id, state.result),
        "error": open_value("error", key, tenant_id, state.error),
        "claimed_by": state.claimed_by,
        "lease_expires_at": timestamp(state.lease_expires_at),
        "created_at": timestamp(state.created_at),
        "updated_at": timestamp(state.updated_at),
    }
