"""What is decided about a task: create, claim under a lease, end it with a result or a failure, give it back, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain import client
from domain.decider import Repeat, Sealed, Selected, Selection, same
from domain.refusals import ClientErased, ClientNotFound, Refusal, TaskConflict, TaskNotFound, WrongState
from domain.task_events import (
    CLAIMED,
    OPEN,
    PENDING,
    Task,
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskCompletionRejected,
    TaskCreated,
    TaskEvent,
    TaskFailed,
    TaskLeaseExpired,
    TaskReleased,
    stream,
)

CLAIMABLE_TASKS = "claimable_tasks"
DEFAULT_LEASE_SECONDS = 60

# Commands


@dataclass(frozen=True, slots=True)
class CreateTask:
    task_id: str
    client_id: str
    agent_name: str
    payload: Sealed
    priority: int

    selection = None

    @property
    def streams(self) -> tuple[str, ...]:
        return stream(self.task_id), client.stream(self.client_id)


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Take up to `limit` of the agent's tasks that are pending or whose lease is over, by priority, then age."""

    agent_name: str
    limit: int
    lease_seconds: int

    streams = ()

    @property
    def selection(self) -> Selection:
        return Selection(CLAIMABLE_TASKS, self.agent_name, self.limit)


@dataclass(frozen=True, slots=True)
class _OneTask:
    task_id: str

    selection = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (stream(self.task_id),)


@dataclass(frozen=True, slots=True)
class CompleteTask(_OneTask):
    """Complete under a claim token; without one, claim and complete a pending task at once."""

    claim_token: str | None
    result: Sealed


@dataclass(frozen=True, slots=True)
class FailTask(_OneTask):
    """The work failed. `retryable` is recorded; the task ends all the same."""

    claim_token: str
    error: Sealed
    retryable: bool


@dataclass(frozen=True, slots=True)
class ReleaseTask(_OneTask):
    """Give the task back, for others to claim."""

    claim_token: str
    reason: Sealed | None


@dataclass(frozen=True, slots=True)
class CancelTask(_OneTask):
    """Nobody needs to do the work any more."""

    reason: Sealed | None


@dataclass(frozen=True, slots=True)
class ExpireLeases:
    """Take back those of the tasks whose lease is over."""

    task_ids: tuple[str, ...]

    selection = None

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(stream(task_id) for task_id in self.task_ids)


TaskCommand = CreateTask | ClaimTasks | CompleteTask | FailTask | ReleaseTask | CancelTask | ExpireLeases


Events = tuple[tuple[str, TaskEvent], ...]


def decide(
    states: Mapping[str, Any], command: TaskCommand, selected: Selected, now: datetime
) -> Events | Refusal | Repeat:
    """`now` is the time of recording: the database's clock, read under the tenant's lock."""
    match command:
        case CreateTask():
            return _create(states, command)
        case ClaimTasks():
            return _claim(command, selected, now)
        case ExpireLeases():
            return _expire(states, command, now)
        case _:
            task: Task | None = states[stream(command.task_id)]
            return TaskNotFound() if task is None else _act(task, command, now)


def _create(states: Mapping[str, Any], command: CreateTask) -> Events | Refusal | Repeat:
    name = stream(command.task_id)
    task: Task | None = states[name]
    if task is not None:
        if _same_task(task, command):
            return Repeat(name, 1)
        return TaskConflict("The task exists with other content")
    about: client.Client | None = states[client.stream(command.client_id)]
    if about is None:
        return ClientNotFound("/client_id")
    if about.erased:
        return ClientErased()
    created = TaskCreated(command.task_id, command.client_id, command.agent_name, command.payload, command.priority)
    return ((name, created),)


def _same_task(task: Task, command: CreateTask) -> bool:
    return (
        task.client_id == command.client_id
        and task.agent_name == command.agent_name
        and task.priority == command.priority
        and same(task.payload, command.payload)
    )


def _claim(command: ClaimTasks, selected: Selected, now: datetime) -> Events:
    events: list[tuple[str, TaskEvent]] = []
    taken = 0
    for name, task in selected:
        # Another command of the same batch may have taken it since it was selected.
        lapsed = task.lease_is_over(now)
        if lapsed or task.status == PENDING:
            events += [*_taken_back(task, lapsed), (name, _claimed(task, command.lease_seconds))]
            taken += 1
            if taken == command.limit:
                break
    return tuple(events)


def _claimed(task: Task, lease_seconds: int) -> TaskClaimed:
    return TaskClaimed(task.task_id, task.client_id, task.agent_name, task.attempt + 1, lease_seconds)


def _taken_back(task: Task, lapsed: bool) -> Events:
    if not lapsed:
        return ()
    assert task.claim_token is not None, "a claimed task has a token"
    expired = TaskLeaseExpired(task.task_id, task.client_id, task.agent_name, task.attempt, task.claim_token)
    return ((stream(task.task_id), expired),)


def _expire(states: Mapping[str, Any], command: ExpireLeases, now: datetime) -> Events:
    tasks: list[Task] = [states[name] for name in command.streams if states[name] is not None]
    return tuple(event for task in tasks for event in _taken_back(task, task.lease_is_over(now)))


def _act(
    task: Task, command: CompleteTask | FailTask | ReleaseTask | CancelTask, now: datetime
) -> Events | Refusal | Repeat:
    match command:
        case CompleteTask():
            return _complete(task, command, now)
        case CancelTask():
            if task.status not in OPEN:
                return WrongState(task.status)
            cancelled = TaskCancelled(task.task_id, task.client_id, task.agent_name, task.attempt, command.reason)
            return ((stream(task.task_id), cancelled),)
        case FailTask(_, token, error, retryable):
            identity = task.task_id, task.client_id, task.agent_name, task.attempt, token
            return _under_token(task, token, "failure", now) or _one(TaskFailed(*identity, error, retryable))
        case ReleaseTask(_, token, reason):
            identity = task.task_id, task.client_id, task.agent_name, task.attempt, token
            return _under_token(task, token, "release", now) or _one(TaskReleased(*identity, reason))


def _one(event: TaskEvent) -> Events:
    return ((stream(event.task_id), event),)


def _under_token(task: Task, token: str, action: str, now: datetime) -> Events | WrongState | None:
    """P11: None when the token's holder may act; else why not, on record where it matters.

    A token whose lease is over holds nothing, though nobody has claimed the task since: the lease's end is recorded.
    """
    if token != task.claim_token:
        identity = task.task_id, task.client_id, task.agent_name, task.attempt
        return _one(TaskCompletionRejected(*identity, token, action))
    if task.lease_is_over(now):
        return _taken_back(task, lapsed=True)
    return None if task.status == CLAIMED else WrongState(task.status)


def _complete(task: Task, command: CompleteTask, now: datetime) -> Events | Refusal | Repeat:
    name = stream(task.task_id)
    if task.completion is not None and task.completion.claim_token == command.claim_token:
        if same(task.result, command.result):
            return Repeat(name, task.completion.version)
        return TaskConflict("The task was completed with another result")
    if command.claim_token is None:
        lapsed = task.lease_is_over(now)
        if task.status != PENDING and not lapsed:
            return WrongState(task.status)
        claim = _claimed(task, DEFAULT_LEASE_SECONDS)
        return (*_taken_back(task, lapsed), (name, claim), (name, _completed(task, claim.attempt, command)))
    refused = _under_token(task, command.claim_token, "result", now)
    return refused or ((name, _completed(task, task.attempt, command)),)


def _completed(task: Task, attempt: int, command: CompleteTask) -> TaskCompleted:
    return TaskCompleted(task.task_id, task.client_id, task.agent_name, attempt, command.claim_token, command.result)
