"""The task decider: failure, release, cancel, and leases that run out."""

from __future__ import annotations

from typing import Any

import pytest

from domain.client import ClientOnboarded
from domain.refusals import TaskNotFound, WrongState
from domain.task import CancelTask, ClaimTasks, CompleteTask, ExpireLeases, FailTask, ReleaseTask
from domain.task_events import (
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskCompletionRejected,
    TaskCreated,
    TaskFailed,
    TaskLeaseExpired,
    TaskReleased,
)
from tests.domain.stories import Story, sealed

T = "550e8400-e29b-41d4-a716-446655440000"
STREAM = f"task-{T}"
CLIENT = ("client-c", ClientOnboarded("c", sealed("n"), "moderate"))
CREATED = (STREAM, TaskCreated(T, "c", "a", sealed("p"), 3))
LEASE = 60
CLAIMED = (STREAM, TaskClaimed(T, "c", "a", 1, LEASE))
TOKEN = "00000000-0000-7000-8000-000000000003"
NEXT_TOKEN = "00000000-0000-7000-8000-000000000004"
EXPIRED = (STREAM, TaskLeaseExpired(T, "c", "a", 1, TOKEN))

ERROR, REASON = sealed("e"), sealed("why")
UNDER_TOKEN = [
    (CompleteTask(T, TOKEN, sealed("r")), "result"),
    (FailTask(T, TOKEN, ERROR, False), "failure"),
    (ReleaseTask(T, TOKEN, REASON), "release"),
]


def claimed() -> Story:
    """A story of a task claimed under TOKEN."""
    return Story().given(CLIENT, CREATED, CLAIMED)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_failure_ends_the_task_whatever_it_says_of_retrying(retryable: bool) -> None:
    """Retries come with a later version; until then a failed task stays failed."""
    story = claimed()
    events = story.when(FailTask(T, TOKEN, ERROR, retryable))
    assert events == ((STREAM, TaskFailed(T, "c", "a", 1, TOKEN, ERROR, retryable)),)
    task = story.given(*events).states[STREAM]
    assert (task.status, task.error, task.lease_expires_at) == ("failed", ERROR, None)


def test_a_released_task_can_be_claimed_again_and_its_old_token_is_stale() -> None:
    """P11: giving back and claiming again raises the attempt."""
    story = claimed()
    events = story.when(ReleaseTask(T, TOKEN, REASON))
    assert events == ((STREAM, TaskReleased(T, "c", "a", 1, TOKEN, REASON)),)
    task = story.given(*events).states[STREAM]
    assert (task.status, task.claimed_by, task.lease_expires_at) == ("pending", None, None)
    (again,) = story.when(ClaimTasks("a", 1, LEASE), [(STREAM, task)])
    assert again == (STREAM, TaskClaimed(T, "c", "a", 2, LEASE))
    late = story.given(again).when(FailTask(T, TOKEN, ERROR, False))
    assert late == ((STREAM, TaskCompletionRejected(T, "c", "a", 2, TOKEN, "failure")),)


@pytest.mark.parametrize("first", [(), (CLAIMED,)])
def test_an_open_task_can_be_cancelled_once(first: Any) -> None:
    """From pending and from claimed; what has ended stays as it ended."""
    story = Story().given(CLIENT, CREATED, *first)
    events = story.when(CancelTask(T, REASON))
    assert events == ((STREAM, TaskCancelled(T, "c", "a", len(first), REASON)),)
    assert story.given(*events).states[STREAM].status == "cancelled"
    assert story.when(CancelTask(T, REASON)) == WrongState("cancelled")


@pytest.mark.parametrize(("command", "action"), UNDER_TOKEN)
@pytest.mark.parametrize(
    "end", [TaskCancelled(T, "c", "a", 2, None), TaskReleased(T, "c", "a", 2, NEXT_TOKEN, None), None]
)
def test_a_token_that_is_not_the_newest_attempts_is_refused_on_record(command: Any, action: str, end: Any) -> None:
    """P11: whatever the status, and nothing else changes."""
    story = claimed().given((STREAM, TaskClaimed(T, "c", "a", 2, LEASE)))
    if end is not None:
        story.given((STREAM, end))
    before = story.states[STREAM]
    events = story.when(command)
    assert events == ((STREAM, TaskCompletionRejected(T, "c", "a", 2, TOKEN, action)),)
    assert story.given(*events).states[STREAM] == before


@pytest.mark.parametrize(("command", "action"), UNDER_TOKEN)
def test_the_newest_token_holds_while_the_task_is_claimed(command: Any, action: str) -> None:
    """After the task was released or cancelled, its newest token finds it in the wrong state."""
    released = claimed().given((STREAM, TaskReleased(T, "c", "a", 1, TOKEN, None)))
    assert released.when(command) == WrongState("pending")
    cancelled = claimed().given((STREAM, TaskCancelled(T, "c", "a", 1, None)))
    assert cancelled.when(command) == WrongState("cancelled")


@pytest.mark.parametrize(("command", "action"), UNDER_TOKEN)
def test_a_lease_is_over_when_its_time_is_reached(command: Any, action: str) -> None:
    """A late worker is refused though nobody took the task: the end of its lease is what is recorded."""
    assert claimed().when(command, after=LEASE - 0.001)[0][1].__class__ is not TaskLeaseExpired
    assert claimed().when(command, after=LEASE) == (EXPIRED,)


def test_the_server_takes_back_only_leases_that_are_over() -> None:
    """Decided at the time of recording; a second sweep, or one after the task ended, finds nothing."""
    sweep = ExpireLeases((T, "00000000-0000-4000-8000-000000000000"))
    story = claimed()
    assert story.when(sweep, after=LEASE - 0.001) == ()
    assert story.when(sweep, after=LEASE) == (EXPIRED,)
    task = story.given(EXPIRED).states[STREAM]
    assert (task.status, task.claimed_by, task.attempt) == ("pending", None, 1)
    assert story.when(sweep, after=2 * LEASE) == ()
    ended = claimed().given((STREAM, TaskCompleted(T, "c", "a", 1, TOKEN, sealed("r"))))
    assert ended.when(sweep, after=2 * LEASE) == ()


def test_a_claim_takes_a_task_whose_lease_is_over() -> None:
    """Nobody waits for the sweep; the end of the old lease is on record before the new claim."""
    story = claimed()
    selected = [(STREAM, story.states[STREAM])]
    assert story.when(ClaimTasks("a", 1, LEASE), selected, after=LEASE - 0.001) == ()
    events = story.when(ClaimTasks("a", 1, LEASE), selected, after=LEASE)
    assert events == (EXPIRED, (STREAM, TaskClaimed(T, "c", "a", 2, LEASE)))
    without_token = story.when(CompleteTask(T, None, sealed("r")), after=LEASE)
    assert [type(event) for _, event in without_token] == [TaskLeaseExpired, TaskClaimed, TaskCompleted]


@pytest.mark.parametrize("command", [*[command for command, _ in UNDER_TOKEN], CancelTask(T, None)])
def test_there_is_nothing_to_do_on_an_unknown_task(command: Any) -> None:
    """A refusal, not an error."""
    assert Story().when(command) == TaskNotFound()
