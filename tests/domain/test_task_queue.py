"""The queue of claimable tasks: equal, at any time, to looking through all tasks."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import task_events
from domain.task_events import (
    Task,
    TaskCancelled,
    TaskClaimed,
    TaskCompletionRejected,
    TaskCreated,
    TaskEvent,
    TaskLeaseExpired,
    TaskReleased,
)
from domain.task_queue import TaskQueue
from tests.domain.stories import START, Recorded, sealed

AGENTS = ("a", "b")
STEPS = st.lists(
    st.tuples(st.sampled_from(("create", "claim", "release", "expire", "end", "reject")), st.integers(0, 11)),
    max_size=60,
)


def first(queue: TaskQueue, agent: str, now: datetime, number: int = 100) -> list[str]:
    """The first streams the queue gives."""
    with closing(queue.claimable(agent, now)) as streams:
        return list(islice(streams, number))


def scan(tasks: dict[str, Task], agent: str, now: datetime) -> list[str]:
    """The same by looking at every task."""
    found = [
        (task.priority, task.created_position, stream)
        for stream, task in tasks.items()
        if task.agent_name == agent and (task.status == "pending" or task.lease_is_over(now))
    ]
    return [stream for _, _, stream in sorted(found)]


def event_for(step: str, stream: str, number: int, task: Task | None) -> TaskEvent | None:
    """The event of a step, where the task's state allows it."""
    agent = AGENTS[number % 2]
    if task is None:
        return TaskCreated(stream, "c", agent, sealed("p"), 1 + number % 3) if step == "create" else None
    token = task.claim_token or "none"
    match step, task.status:
        case "claim", "pending":
            return TaskClaimed(stream, "c", agent, task.attempt + 1, 5 + number)
        case "release", "claimed":
            return TaskReleased(stream, "c", agent, task.attempt, token, None)
        case "expire", "claimed":
            return TaskLeaseExpired(stream, "c", agent, task.attempt, token)
        case "end", "pending" | "claimed":
            return TaskCancelled(stream, "c", agent, task.attempt, None)
        case "reject", _:
            return TaskCompletionRejected(stream, "c", agent, task.attempt, "old", "result")
    return None


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_the_queue_gives_what_a_scan_of_all_tasks_gives(steps: list[tuple[str, int]]) -> None:
    """After every event and as time goes on, in the same order, each stream once; also one restored in the middle."""
    queue, restored = TaskQueue(), TaskQueue()
    tasks: dict[str, Task] = {}
    for position, (step, number) in enumerate(steps, 1):
        stream = f"task-{number}"
        event = event_for(step, stream, number, tasks.get(stream))
        now = START + timedelta(seconds=position)
        if event is not None:
            recorded = Recorded(event, position, 1)
            tasks[stream] = task_events.evolve(tasks.get(stream), recorded)
            queue.evolve(stream, recorded)
            restored.evolve(stream, recorded)
        if position == len(steps) // 2:
            restored = TaskQueue()
            for name, task in tasks.items():
                if task.status in task_events.OPEN:
                    restored.put(name, task.agent_name, (task.priority, task.created_position), task.lease_expires_at)
        for agent in AGENTS:
            expected = scan(tasks, agent, now)
            assert first(queue, agent, now) == expected
            assert first(queue, agent, now, 2) == expected[:2], "asking again changes nothing"
            if position >= len(steps) // 2:
                assert first(restored, agent, now) == expected
    assert len(queue) == sum(task.status in task_events.OPEN for task in tasks.values())
