"""agent_tasks: one row a task, the fold of its stream; and the selection of pending tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from domain import task
from domain.decider import Sealed
from eventstore import arrays
from eventstore.rows import utc
from eventstore.statements import statement
from eventstore.writer.engine import Folded, FoldMismatch, StateStorage


class AgentTasks:
    """Storage of task states. Row columns: see load_agent_tasks.sql."""

    category = task.CATEGORY
    load = statement("projections", "load_agent_tasks")
    insert = statement("projections", "insert_agent_tasks")
    update = statement("projections", "update_agent_tasks")

    def row(self, row: Sequence[Any]) -> tuple[str, Folded]:
        *state, version, position, fold_version = row
        if fold_version != task.FOLD.version:
            raise FoldMismatch(f"agent_tasks {row[0]}: written by fold {fold_version}")
        return task.stream(row[0]), Folded(_state(state), version, position, stored=True)

    def columns(self, tenant_id: str, rows: Sequence[tuple[str, Folded]]) -> Sequence[bytes | None]:
        states: list[task.Task] = [folded.state for _, folded in rows]
        completions = [s.completion or task.Completion(0, None) for s in states]
        return (
            tenant_id.encode(),
            arrays.uuid_array([s.task_id for s in states]),
            arrays.text_array([s.client_id for s in states]),
            arrays.text_array([s.agent_name for s in states]),
            arrays.text_array([s.status for s in states]),
            arrays.int8_array([s.priority for s in states]),
            arrays.int8_array([s.attempt for s in states]),
            arrays.varlena_array("json", [_json(s.payload) for s in states]),
            arrays.varlena_array("json", [_json(s.result) for s in states]),
            arrays.varlena_array("json", [_json(s.error) for s in states]),
            arrays.text_array([s.claimed_by for s in states]),
            arrays.uuid_array([s.claim_token for s in states]),
            arrays.timestamptz_array([s.lease_expires_at for s in states]),
            arrays.int8_array([c.version or None for c in completions]),
            arrays.uuid_array([c.claim_token for c in completions]),
            arrays.int8_array([s.created_position for s in states]),
            arrays.timestamptz_array([s.created_at for s in states]),
            arrays.timestamptz_array([s.updated_at for s in states]),
            arrays.int8_array([folded.version for _, folded in rows]),
            arrays.int8_array([folded.position for _, folded in rows]),
            arrays.int8(task.FOLD.version),
            arrays.int8(len(rows)),
        )


def _json(sealed: Sealed | None) -> bytes | None:
    return None if sealed is None else orjson.dumps(sealed)


def _sealed(text: str | None) -> Sealed | None:
    return None if text is None else orjson.loads(text)


def _state(columns: Sequence[Any]) -> task.Task:
    (task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by, claim_token,
     lease_expires_at, completed_version, completed_token, created_position, created_at, updated_at) = columns  # fmt: skip
    return task.Task(
        task_id,
        client_id,
        agent_name,
        status,
        priority,
        attempt,
        orjson.loads(payload),
        utc(created_at),
        utc(updated_at),
        created_position,
        _sealed(result),
        _sealed(error),
        claimed_by,
        claim_token,
        utc(lease_expires_at),
        task.Completion(completed_version, completed_token) if completed_version else None,
    )


class PendingTasks:
    """Pending tasks of an agent, by priority, then age."""

    name = task.PENDING_TASKS
    statement = statement("projections", "select_pending_tasks")

    def __init__(self, storage: StateStorage) -> None:
        self.storage = storage
