"""agent_tasks: one row a task, the fold of its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import task_events as task
from domain.decider import Fold
from projections.read_model import Column, ReadModel

COLUMNS: tuple[Column, ...] = (
    ("task_id", "uuid"),
    ("client_id", "text"),
    ("agent_name", "text"),
    ("status", "text"),
    ("priority", "int8"),
    ("attempt", "int8"),
    ("payload", "json"),
    ("result", "json"),
    ("error", "json"),
    ("claimed_by", "text"),
    ("claim_token", "uuid"),
    ("lease_expires_at", "timestamptz"),
    ("completed_version", "int8"),
    ("completed_token", "uuid"),
    ("created_position", "int8"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
)


def agent_tasks(fold: Fold[task.Task] = task.FOLD) -> ReadModel:
    """The read model of tasks."""
    return ReadModel("agent_tasks", fold, COLUMNS, _values, _state)


_NOT_COMPLETED = (None, None)


def _values(state: task.Task) -> Sequence[Any]:
    # Taken apart at once: member by member it takes twice as long, and replay asks for every row.
    (task_id, client_id, agent_name, priority, payload, created_at, created_position, updated_at, status, attempt,
     result, error, claimed_by, claim_token, lease_expires_at, completion) = state  # fmt: skip
    completed_version, completed_token = completion or _NOT_COMPLETED
    return (
        task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by, claim_token,
        lease_expires_at, completed_version, completed_token, created_position, created_at, updated_at,
    )  # fmt: skip


def _state(columns: Sequence[Any]) -> task.Task:
    (task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by, claim_token,
     lease_expires_at, completed_version, completed_token, created_position, created_at, updated_at) = columns  # fmt: skip
    completion = task.Completion(completed_version, completed_token) if completed_version else None
    return task.Task(
        task_id, client_id, agent_name, priority, payload, created_at, created_position, updated_at, status, attempt,
        result, error, claimed_by, claim_token, lease_expires_at, completion,
    )  # fmt: skip
