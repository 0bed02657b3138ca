"""The task decider: create, claim, complete under a fencing token."""

from __future__ import annotations

from typing import Any

import pytest

from domain.client import ClientOnboarded
from domain.decider import Repeat
from domain.refusals import ClientNotFound, TaskConflict, TaskNotFound, WrongState
from domain.task import ClaimTasks, CompleteTask, CreateTask
from domain.task_events import (
    TaskClaimed,
    TaskCompleted,
    TaskCompletionRejected,
    TaskCreated,
)
from tests.domain.stories import Story, sealed

T = "550e8400-e29b-41d4-a716-446655440000"
STREAM = f"task-{T}"
CLIENT = ("client-c", ClientOnboarded("c", sealed("n"), "moderate"))
CREATED = (STREAM, TaskCreated(T, "c", "a", sealed("p"), 3))
CLAIMED = (STREAM, TaskClaimed(T, "c", "a", 1, 60))
FIRST_TOKEN = "00000000-0000-7000-8000-000000000003"
"""The id of the third event of a story: the first claim, after client and task."""
SECOND_TOKEN = "00000000-0000-7000-8000-000000000004"


def create(**changes: Any) -> CreateTask:
    """The command that CREATED came from, or one that differs."""
    values: dict[str, Any] = {
        "task_id": T,
        "client_id": "c",
        "agent_name": "a",
        "payload": sealed("p"),
        "priority": 3,
    } | changes
    return CreateTask(**values)


def test_a_task_needs_its_client() -> None:
    """The task depends on another stream."""
    assert Story().when(create()) == ClientNotFound("/client_id")
    (event,) = Story().given(CLIENT).when(create())
    assert type(event[1]) is TaskCreated


def test_the_same_task_again_is_a_repeat_whatever_happened_since() -> None:
    """A natural key: nothing is appended."""
    story = Story().given(CLIENT, CREATED)
    assert story.when(create()) == Repeat(STREAM, 1)
    assert story.given(CLAIMED).when(create()) == Repeat(STREAM, 1)


@pytest.mark.parametrize("change", [{"client_id": "d"}, {"agent_name": "b"}, {"priority": 1}, {"payload": sealed("q")}])
def test_the_same_id_with_other_content_is_a_conflict(change: dict[str, Any]) -> None:
    """Also when the other client does not exist: the task does."""
    assert isinstance(Story().given(CLIENT, CREATED).when(create(**change)), TaskConflict)


def test_a_claim_takes_what_is_still_pending_up_to_its_limit() -> None:
    """What another command of the batch claimed since the query is passed over; the attempt rises."""
    story = Story().given(CLIENT, CREATED)
    pending = story.states[STREAM]
    claimed = story.given(CLAIMED).states[STREAM]
    events = story.when(ClaimTasks("a", 1, 60), [("task-x", claimed), (STREAM, pending), ("task-y", pending)])
    assert events == ((STREAM, TaskClaimed(T, "c", "a", 1, 60)),)


def test_the_claim_token_is_the_claims_event_id() -> None:
    """The fencing token: the newest claim's event."""
    state = Story().given(CLIENT, CREATED, CLAIMED).states[STREAM]
    assert (state.status, state.claim_token, state.attempt) == ("claimed", FIRST_TOKEN, 1)
    assert (state.lease_expires_at - state.updated_at).seconds == 60


def test_the_newest_token_completes() -> None:
    """And the state keeps what it was completed with."""
    story = Story().given(CLIENT, CREATED, CLAIMED)
    events = story.when(CompleteTask(T, FIRST_TOKEN, sealed("r")))
    assert [type(event) for _, event in events] == [TaskCompleted]
    state = story.given(*events).states[STREAM]
    assert (state.status, state.result["fingerprint"], state.lease_expires_at) == ("completed", "r", None)
    assert state.completion.claim_token == FIRST_TOKEN


@pytest.mark.parametrize("completed", [False, True])
def test_an_older_token_is_rejected_on_record_whatever_the_status(completed: bool) -> None:
    """P11: the attempt is an event, and changes nothing else."""
    story = Story().given(CLIENT, CREATED, CLAIMED, (STREAM, TaskClaimed(T, "c", "a", 2, 60)))
    if completed:
        story.given((STREAM, TaskCompleted(T, "c", "a", 2, SECOND_TOKEN, sealed("r"))))
    before = story.states[STREAM]
    events = story.when(CompleteTask(T, FIRST_TOKEN, sealed("late")))
    assert events == ((STREAM, TaskCompletionRejected(T, "c", "a", 2, FIRST_TOKEN, "result")),)
    assert story.given(*events).states[STREAM] == before


def test_without_a_token_a_pending_task_is_claimed_and_completed_at_once() -> None:
    """The article's one-worker flow."""
    story = Story().given(CLIENT, CREATED)
    events = story.when(CompleteTask(T, None, sealed("r")))
    assert [type(event) for _, event in events] == [TaskClaimed, TaskCompleted]
    assert story.given(*events).when(CompleteTask(T, None, sealed("r"))) == Repeat(STREAM, 3)


def test_without_a_token_a_task_that_is_not_pending_is_in_the_wrong_state() -> None:
    """Somebody else works on it, or completed it under a token."""
    story = Story().given(CLIENT, CREATED, CLAIMED)
    assert story.when(CompleteTask(T, None, sealed("r"))) == WrongState("claimed")
    story.given((STREAM, TaskCompleted(T, "c", "a", 1, FIRST_TOKEN, sealed("r"))))
    assert story.when(CompleteTask(T, None, sealed("r"))) == WrongState("completed")


def test_the_same_result_again_is_a_repeat_and_another_a_conflict() -> None:
    """Under the same token; whatever happened since."""
    completed = (STREAM, TaskCompleted(T, "c", "a", 1, FIRST_TOKEN, sealed("r")))
    rejected = (STREAM, TaskCompletionRejected(T, "c", "a", 1, SECOND_TOKEN, "result"))
    story = Story().given(CLIENT, CREATED, CLAIMED, completed, rejected)
    assert story.when(CompleteTask(T, FIRST_TOKEN, sealed("r"))) == Repeat(STREAM, 3)
    assert isinstance(story.when(CompleteTask(T, FIRST_TOKEN, sealed("s"))), TaskConflict)


def test_an_unknown_task_cannot_be_completed() -> None:
    """There is nothing to complete."""
    assert Story().when(CompleteTask(T, None, sealed("r"))) == TaskNotFound()
