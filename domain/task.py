"""A task that agents share: created, claimed under a fencing token, completed with a result. Stream `task-{task_id}`.

The claim token is the id of the TaskClaimed event; a later claim makes it stale (P11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from domain import client
from domain.decider import Fold, Recorded, Repeat, Sealed, Selected, Selection, same
from domain.refusals import ClientNotFound, Refusal, TaskConflict, TaskNotFound, WrongState

CATEGORY = "task"
PENDING, CLAIMED, COMPLETED = "pending", "claimed", "completed"
PENDING_TASKS = "pending_tasks"
DEFAULT_LEASE_SECONDS = 60


def stream(task_id: str) -> str:
    """The task's stream."""
    return f"task-{task_id}"


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
    """Take up to `limit` pending tasks of the agent, by priority, then age."""

    agent_name: str
    limit: int
    lease_seconds: int

    streams = ()

    @property
    def selection(self) -> Selection:
        return Selection(PENDING_TASKS, self.agent_name, self.limit)


@dataclass(frozen=True, slots=True)
class CompleteTask:
    """Complete under a claim token; without one, claim and complete a pending task at once."""

    task_id: str
    claim_token: str | None
    result: Sealed

    selection = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (stream(self.task_id),)


TaskCommand = CreateTask | ClaimTasks | CompleteTask


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
class TaskCompletionRejected(TaskEvent):
    """Somebody tried to complete under a token that is not the newest attempt's."""

    attempt: int
    claim_token: str


# State


@dataclass(frozen=True, slots=True)
class Completion:
    """What completed the task: the event's version, and the token it was completed with."""

    version: int
    claim_token: str | None


@dataclass(frozen=True, slots=True)
class Task:
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


Events = tuple[tuple[str, TaskEvent], ...]


def decide(states: Mapping[str, Any], command: TaskCommand, selected: Selected) -> Events | Refusal | Repeat:
    match command:
        case CreateTask():
            return _create(states, command)
        case ClaimTasks():
            return _claim(command, selected)
        case CompleteTask():
            return _complete(states[stream(command.task_id)], command)


def _create(states: Mapping[str, Any], command: CreateTask) -> Events | Refusal | Repeat:
    name = stream(command.task_id)
    task: Task | None = states[name]
    if task is not None:
        if _same_task(task, command):
            return Repeat(name, 1)
        return TaskConflict("The task exists with other content")
    if states[client.stream(command.client_id)] is None:
        return ClientNotFound("/client_id")
    created = TaskCreated(command.task_id, command.client_id, command.agent_name, command.payload, command.priority)
    return ((name, created),)


def _same_task(task: Task, command: CreateTask) -> bool:
    return (
        task.client_id == command.client_id
        and task.agent_name == command.agent_name
        and task.priority == command.priority
        and same(task.payload, command.payload)
    )


def _claim(command: ClaimTasks, selected: Selected) -> Events:
    events: list[tuple[str, TaskEvent]] = []
    for name, task in selected:
        # Another command of the same batch may have claimed it since the query.
        if task.status == PENDING:
            events.append((name, _claimed(task, command.lease_seconds)))
            if len(events) == command.limit:
                break
    return tuple(events)


def _claimed(task: Task, lease_seconds: int) -> TaskClaimed:
    return TaskClaimed(task.task_id, task.client_id, task.agent_name, task.attempt + 1, lease_seconds)


def _complete(task: Task | None, command: CompleteTask) -> Events | Refusal | Repeat:
    if task is None:
        return TaskNotFound()
    name = stream(task.task_id)
    if task.completion is not None and task.completion.claim_token == command.claim_token:
        if same(task.result, command.result):
            return Repeat(name, task.completion.version)
        return TaskConflict("The task was completed with another result")
    if command.claim_token is None:
        if task.status != PENDING:
            return WrongState(task.status)
        claim = _claimed(task, DEFAULT_LEASE_SECONDS)
        return ((name, claim), (name, _completed(task, claim.attempt, command)))
    if command.claim_token != task.claim_token:
        rejected = TaskCompletionRejected(
            task.task_id, task.client_id, task.agent_name, task.attempt, command.claim_token
        )
        return ((name, rejected),)
    if task.status != CLAIMED:
        return WrongState(task.status)
    return ((name, _completed(task, task.attempt, command)),)


def _completed(task: Task, attempt: int, command: CompleteTask) -> TaskCompleted:
    return TaskCompleted(task.task_id, task.client_id, task.agent_name, attempt, command.claim_token, command.result)


def evolve(state: Task | None, recorded: Recorded[TaskEvent]) -> Task:
    event = recorded.event
    if isinstance(event, TaskCreated):
        return _evolve_created(event, recorded)
    assert state is not None, "a task's stream begins with TaskCreated"
    match event:
        case TaskClaimed():
            return replace(
                state,
                status=CLAIMED,
                attempt=event.attempt,
                claimed_by=recorded.actor,
                claim_token=recorded.event_id,
                lease_expires_at=recorded.recorded_at + timedelta(seconds=event.lease_seconds),
                updated_at=recorded.recorded_at,
            )
        case TaskCompleted():
            return replace(
                state,
                status=COMPLETED,
                result=event.result,
                lease_expires_at=None,
                completion=Completion(recorded.version, event.claim_token),
                updated_at=recorded.recorded_at,
            )
        case _:
            return state  # TaskCompletionRejected: the attempt is on record, the task is as it was


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
