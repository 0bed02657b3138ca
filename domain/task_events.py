"""What happens to a task that agents share, and the state it leaves. Stream `task-{task_id}`.

The claim token is the id of the TaskClaimed event: a fencing token, which a later claim makes stale (P11). A lease is over
when the time of recording reaches it, whether or not the server has taken the task back yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class Completion:
    """What completed the task: the event's version, and the token it was completed with."""

    version: int
    claim_token: str | None


class Task(NamedTuple):
    """As its events left it. (A tuple: every event makes a new one, and it is folded by the million.)"""

    task_id: str
    client_id: str
    agent_name: str
    status: str
    priority: int
    attempt: int
    payload: Sealed
    created_at: datetime
    updated_at: datetime
    created_position: int
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
    event = recorded.event
    if isinstance(event, TaskCreated):
        return _evolve_created(event, recorded)
    assert state is not None, "a task's stream begins with TaskCreated"
    if isinstance(event, TaskCompletionRejected):
        return state  # the attempt is on record, the task is as it was
    at = recorded.recorded_at
    match event:
        case TaskClaimed():
            return state._replace(
                status=CLAIMED,
                attempt=event.attempt,
                claimed_by=recorded.actor,
                claim_token=recorded.event_id,
                lease_expires_at=at + timedelta(seconds=event.lease_seconds),
                updated_at=at,
            )
        case TaskCompleted():
            done = Completion(recorded.version, event.claim_token)
            return state._replace(
                status=COMPLETED, result=event.result, completion=done, lease_expires_at=None, updated_at=at
            )
        case TaskFailed():
            return state._replace(status=FAILED, error=event.error, lease_expires_at=None, updated_at=at)
        case TaskCancelled():
            return state._replace(status=CANCELLED, lease_expires_at=None, updated_at=at)
        case _:  # TaskReleased, TaskLeaseExpired: the token stays the newest attempt's until the next claim
            return state._replace(status=PENDING, claimed_by=None, lease_expires_at=None, updated_at=at)


def _evolve_created(event: TaskCreated, recorded: Recorded[TaskEvent]) -> Task:
    return Task(
        event.task_id,
        event.client_id,
        event.agent_name,
        PENDING,
        event.priority,
        attempt=0,
        payload=event.payload,
        created_at=recorded.recorded_at,
        updated_at=recorded.recorded_at,
        created_position=recorded.position,
    )


FOLD = Fold(CATEGORY, 1, evolve)
