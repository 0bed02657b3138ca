"""What happens to a task that agents share, and the state it leaves. Stream `task-{task_id}`.

The claim token is the id of the TaskClaimed event: a fencing token, which a later claim makes stale (P11). A lease is over
when the time of recording reaches it, whether or not the server has taken the task back yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from domain.decider import Fold, Recorded, Sealed

CATEGORY = "task"
PENDING, CLAIMED, COMPLETED, FAILED, CANCELLED = STATUSES = ("pending", "claimed", "completed", "failed", "cancelled")
OPEN = (PENDING, CLAIMED)


def stream(task_id: str) -> str:
    """The task's stream."""
    return f"task-{task_id}"


# Events


@dataclass(frozen=True)
class TaskEvent:
    task_id: str
    client_id: str
    agent_name: str

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.client_id,)

    @property
    def acts_on(self) -> str | None:
        """The id of the event this one acts on, where it names one."""
        return None


@dataclass(frozen=True)
class TaskCreated(TaskEvent):
    payload: Sealed
    priority: int


@dataclass(frozen=True)
class TaskClaimed(TaskEvent):
    attempt: int
    lease_seconds: int


@dataclass(frozen=True)
class TaskCompleted(TaskEvent):
    attempt: int
    claim_token: str | None
    """As the caller gave it: None when the task was claimed and completed at once."""
    result: Sealed

    @property
    def acts_on(self) -> str | None:
        return self.claim_token


@dataclass(frozen=True)
class _UnderToken(TaskEvent):
    attempt: int
    claim_token: str

    @property
    def acts_on(self) -> str | None:
        return self.claim_token


@dataclass(frozen=True)
class TaskFailed(_UnderToken):
    error: Sealed
    retryable: bool


@dataclass(frozen=True)
class TaskReleased(_UnderToken):
    reason: Sealed | None


@dataclass(frozen=True)
class TaskLeaseExpired(_UnderToken):
    """The lease ran out: the server took the task back."""


@dataclass(frozen=True)
class TaskCancelled(TaskEvent):
    attempt: int
    reason: Sealed | None


@dataclass(frozen=True)
class TaskCompletionRejected(TaskEvent):
    """Somebody tried to act under a token that is not the newest attempt's."""

    attempt: int
    claim_token: str
    action: str
    """What was tried: result, failure or release."""


# State


class Completion(NamedTuple):
    """What completed the task: the event's version, and the token it was completed with."""

    version: int
    claim_token: str | None


class Task(NamedTuple):
    """As its events left it. (A tuple: every event makes a new one, and it is folded by the million.)

    What its creation settled comes first; each later event takes that over as it is.
    """

    task_id: str
    client_id: str
    agent_name: str
    priority: int
    payload: Sealed
    created_at: datetime
    created_position: int
    updated_at: datetime
    status: str
    attempt: int
    result: Sealed | None = None
    error: Sealed | None = None
    claimed_by: str | None = None
    claim_token: str | None = None
    lease_expires_at: datetime | None = None
    completion: Completion | None = None

    def lease_is_over(self, now: datetime) -> bool:
        """Whether the task is claimed under a lease that ran out."""
        return self.status == CLAIMED and self.lease_expires_at is not None and self.lease_expires_at <= now


def evolve(state: Task | None, recorded: Recorded[TaskEvent]) -> Task:
    return _EVOLVE[type(recorded.event)](state, recorded)


def _created(_: None, recorded: Recorded[TaskCreated]) -> Task:
    event, at = recorded.event, recorded.recorded_at
    return Task(
        event.task_id, event.client_id, event.agent_name, event.priority, event.payload, at, recorded.position, at,
        PENDING, 0,
    )  # fmt: skip


def _claimed(task: Task, recorded: Recorded[TaskClaimed]) -> Task:
    event, at = recorded.event, recorded.recorded_at
    lease_ends = at + _length(event.lease_seconds)
    return Task(
        *task[:7], at, CLAIMED, event.attempt, task.result, task.error,
        recorded.actor, recorded.event_id, lease_ends, task.completion,
    )  # fmt: skip


def _completed(task: Task, recorded: Recorded[TaskCompleted]) -> Task:
    event = recorded.event
    done = Completion(recorded.version, event.claim_token)
    return Task(
        *task[:7], recorded.recorded_at, COMPLETED, task.attempt, event.result, task.error,
        task.claimed_by, task.claim_token, None, done,
    )  # fmt: skip


def _failed(task: Task, recorded: Recorded[TaskFailed]) -> Task:
    return Task(
        *task[:7], recorded.recorded_at, FAILED, task.attempt, task.result, recorded.event.error,
        task.claimed_by, task.claim_token, None, task.completion,
    )  # fmt: skip


def _cancelled(task: Task, recorded: Recorded[TaskCancelled]) -> Task:
    return task._replace(status=CANCELLED, lease_expires_at=None, updated_at=recorded.recorded_at)


def _given_back(task: Task, recorded: Recorded[TaskReleased | TaskLeaseExpired]) -> Task:
    """The token stays the newest attempt's until the next claim."""
    return task._replace(status=PENDING, claimed_by=None, lease_expires_at=None, updated_at=recorded.recorded_at)


def _refused(task: Task, _: Recorded[TaskCompletionRejected]) -> Task:
    """The attempt is on record, the task is as it was."""
    assert task is not None, "a task's stream begins with TaskCreated"
    return task


_EVOLVE: dict[type[TaskEvent], Callable[[Any, Any], Task]] = {
    TaskCreated: _created,
    TaskClaimed: _claimed,
    TaskCompleted: _completed,
    TaskFailed: _failed,
    TaskCancelled: _cancelled,
    TaskReleased: _given_back,
    TaskLeaseExpired: _given_back,
    TaskCompletionRejected: _refused,
}
"""Without a state to build on, all but the first raise."""


@lru_cache
def _length(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)


FOLD = Fold(CATEGORY, 1, evolve)
