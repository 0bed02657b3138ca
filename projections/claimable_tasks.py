"""The selection of tasks that an agent can claim: the domain's queue, restored from agent_tasks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from domain import task_events
from domain.task import CLAIMABLE_TASKS
from domain.task_queue import TaskQueue
from eventstore.records import RecordedEvent
from eventstore.rows import utc
from eventstore.statements import statement


class ClaimableTasks:
    """See SelectionFold."""

    name = CLAIMABLE_TASKS
    category = task_events.CATEGORY
    snapshot = statement("projections", "open_tasks")

    def __init__(self, fold_version: int = task_events.FOLD.version) -> None:
        self._fold_version = fold_version

    def queue(self) -> Queue:
        """An empty queue."""
        return Queue(self._fold_version)


class Queue:
    """See SelectionQueue. Keys are agents' names."""

    def __init__(self, fold_version: int) -> None:
        self._fold_version = fold_version
        self._tasks = TaskQueue()

    def restore(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Take in rows of the snapshot; the streams left out because an older fold wrote their row. What a newer fold
        wrote is for processes that know it."""
        older: list[str] = []
        for created_position, task_id, agent_name, priority, lease_expires_at, fold_version in rows:
            stream = task_events.stream(task_id)
            if fold_version == self._fold_version:
                self._tasks.put(stream, agent_name, (priority, created_position), utc(lease_expires_at))
            elif fold_version < self._fold_version:
                older.append(stream)
        return older

    def put(self, stream: str, state: Any) -> None:
        """Take in a stream's state."""
        task: task_events.Task = state
        if task.status in task_events.OPEN:
            rank = task.priority, task.created_position
            self._tasks.put(stream, task.agent_name, rank, task.lease_expires_at)

    def drop(self, stream: str) -> None:
        """Leave the task out."""
        self._tasks.drop(stream)

    def evolve(self, stream: str, recorded: RecordedEvent) -> None:
        """Fold in the next event."""
        self._tasks.evolve(stream, recorded)

    def first(self, key: str, now: datetime) -> Generator[str]:
        """The streams the agent can claim, in order."""
        return self._tasks.claimable(key, now)
