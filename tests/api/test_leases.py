"""Leases that run out: who takes the task back, when, and what is left to whoever came too late."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import httpx
import pytest

from tests.api.conftest import Caller, fresh_agent, problem
from tests.api.test_idempotency import assert_repeat, first_answer, key
from tests.api.test_task_ends import UNDER_TOKEN, body
from tests.api.test_tasks import read
from tests.clocks import PassingClock
from tests.clusters import Cluster
from tests.running import running_api
from tests.waiting import until

LEASE = 5


class Processes:
    """Two processes on one database, and the clock they share. The server's own sweep, which goes by the database's
    clock, sees no lease end here."""

    def __init__(self, clock: PassingClock, one: Caller, other: Caller) -> None:
        self.clock = clock
        self.one = one
        self.other = other

    def lapsed(self) -> tuple[str, str, str]:
        """A task whose lease just ran out, its agent and its token."""
        agent_name = fresh_agent()
        task_id = self.one.task(agent_name)
        (task,) = self.one.claim(agent_name, lease_seconds=LEASE)
        self.clock.pass_seconds(LEASE)
        return task_id, agent_name, task["claim_token"]


@pytest.fixture(scope="module")
def two(pg: Cluster) -> Iterator[Processes]:
    clock = PassingClock()
    with pg.copy() as name:
        with running_api(pg.settings(name), engine=clock.engine()) as one:
            with running_api(pg.settings(name), engine=clock.engine()) as other:
                yield Processes(clock, Caller(one.client), Caller(other.client))


def types(caller: Caller, task_id: str) -> list[str]:
    """What happened to the task."""
    return [event["type"] for event in caller.events(stream=f"task-{task_id}")]


def refused_late(caller: Caller, answer: httpx.Response) -> dict[str, Any]:
    """409 wrong-state pending; the end of the lease, which the answer's position names."""
    assert problem(answer, "wrong-state")["task_status"] == "pending"
    event: dict[str, Any] = caller.http.get(f"/audit/events/{answer.headers['fidelog-position']}").json()
    assert event["type"] == "TaskLeaseExpired"
    return event


def test_the_server_takes_a_task_back_without_any_workers_help(caller: Caller) -> None:
    """By itself, soon after the lease's end and not before; the old token then finds it pending, later is stale."""
    agent_name = fresh_agent()
    task_id = caller.task(agent_name)
    (task,) = caller.claim(agent_name, lease_seconds=LEASE)
    until("the task is taken back", lambda: read(caller, task_id)["status"] != "claimed", LEASE + 15)
    found = read(caller, task_id)
    *_, expired = caller.events(stream=f"task-{task_id}")
    assert (expired["type"], expired["actor"]) == ("TaskLeaseExpired", "system:fidelog")
    assert (expired["causation_id"], expired["data"]["attempt"]) == (task["claim_token"], 1)
    assert expired["recorded_at"] >= task["lease_expires_at"]
    changed = {"status": "pending", "claimed_by": None, "lease_expires_at": None, "updated_at": expired["recorded_at"]}
    assert found == {**{name: task[name] for name in found}, **changed}
    path, late = f"/tasks/{task_id}/result", body("result", task["claim_token"])
    assert caller.refused("wrong-state", "POST", path, json=late)["task_status"] == "pending"
    (again,) = caller.claim(agent_name)
    assert again["attempt"] == 2
    problem(caller.post(path, late), "stale-claim-token")
    rejected = caller.events(stream=f"task-{task_id}")[-1]
    assert (rejected["type"], rejected["data"]["claim_token"]) == ("TaskCompletionRejected", task["claim_token"])
    assert caller.post(path, body("result", again["claim_token"])).status_code == 200


def test_a_lease_holds_until_its_last_second(two: Processes) -> None:
    """While it holds nobody else gets the task, and its holder may end it."""
    agent_name = fresh_agent()
    task_id = two.one.task(agent_name)
    (task,) = two.one.claim(agent_name, lease_seconds=60)
    two.clock.pass_seconds(50)
    assert two.other.claim(agent_name) == []
    assert two.other.post(f"/tasks/{task_id}/result", body("result", task["claim_token"])).status_code == 200


def test_a_claim_takes_tasks_whose_lease_is_over(two: Processes) -> None:
    """Nobody waits for the sweep: one command ends each lease and claims the task anew; the answer has the tasks only."""
    caller, agent_name = two.one, fresh_agent()
    client_id = caller.client()
    tasks = [caller.task(agent_name, client_id, priority=priority) for priority in (2, 1, 3)]
    first = {task["task_id"]: task for task in caller.claim(agent_name, limit=2, lease_seconds=LEASE)}
    assert list(first) == [tasks[1], tasks[0]]
    two.clock.pass_seconds(LEASE)
    before = caller.head()
    answer = caller.post("/tasks/claim", {"agent_name": agent_name, "limit": 100})
    again = answer.json()["tasks"]
    assert [task["task_id"] for task in again] == [tasks[1], tasks[0], tasks[2]], "by priority, lapsed or new"
    assert [task["attempt"] for task in again] == [2, 2, 1]
    events = [event for event in caller.events() if event["position"] > before]
    expired_claimed = ["TaskLeaseExpired", "TaskClaimed"]
    assert [event["type"] for event in events] == [*expired_claimed * 2, "TaskClaimed"]
    assert len({event["command_id"] for event in events}) == 1
    assert int(answer.headers["fidelog-position"]) == events[-1]["position"] == before + 5
    for task, expired in zip(again[:2], events[:4:2], strict=True):
        assert expired["causation_id"] == first[task["task_id"]]["claim_token"] != task["claim_token"]
        token = task.pop("claim_token")
        assert read(two.other, task["task_id"]) == task
        assert caller.post(f"/tasks/{task['task_id']}/result", body("result", token)).status_code == 200


@pytest.mark.parametrize("action", UNDER_TOKEN)
def test_a_token_whose_lease_is_over_holds_nothing(two: Processes, action: str) -> None:
    """P11: though nobody took the task, 409 wrong-state pending, the lease's end on record; the repeat is alike."""
    task_id, agent_name, token = two.lapsed()
    path, sent, used = f"/tasks/{task_id}/{action}", body(action, token), key()
    first = two.other.post(path, sent, idempotency_key=used, fidelog_actor=f"agent:{agent_name}")
    event = refused_late(two.one, first)
    assert (event["actor"], event["causation_id"]) == (f"agent:{agent_name}", token)
    assert types(two.one, task_id) == ["TaskCreated", "TaskClaimed", "TaskLeaseExpired"]
    task = read(two.one, task_id)
    assert (task["status"], task["claimed_by"], task["lease_expires_at"]) == ("pending", None, None)
    two.one.refused("wrong-state", "POST", path, json=sent)
    (again,) = two.one.claim(agent_name)
    problem(two.one.post(path, sent), "stale-claim-token")
    assert_repeat(two.one, first, path, sent, idempotency_key=used, fidelog_actor=f"agent:{agent_name}")
    assert two.one.post(path, body(action, again["claim_token"])).status_code == 200


def test_a_task_whose_lease_is_over_can_be_completed_without_a_token_or_cancelled(two: Processes) -> None:
    """It is as good as pending: the one-worker flow works, and nobody needs the old token to cancel."""
    task_id, _, _ = two.lapsed()
    assert two.one.post(f"/tasks/{task_id}/result", {"result": {}}).json()["status"] == "completed"
    assert types(two.one, task_id)[2:] == ["TaskLeaseExpired", "TaskClaimed", "TaskCompleted"]
    assert read(two.one, task_id)["attempt"] == 2
    task_id, agent_name, _ = two.lapsed()
    assert two.one.post(f"/tasks/{task_id}/cancel", {}).json()["status"] == "cancelled"
    assert two.other.claim(agent_name, limit=100) == []


def test_if_match_comes_before_the_end_of_the_lease(two: Processes) -> None:
    """412 appends nothing, not even what could have been recorded."""
    task_id, _, token = two.lapsed()
    path, headers = f"/tasks/{task_id}/result", {"if-match": '"1.task"'}
    two.one.refused("version-mismatch", "POST", path, json=body("result", token), headers=headers)
    refused_late(two.one, two.one.post(path, body("result", token), if_match='"2.task"'))


def test_a_repeated_claim_is_answered_alike_after_the_lease_ran_out(two: Processes) -> None:
    """P5: the first answer, with its token and its lease, whoever has the task by now; also of a claim that met a
    lapsed lease."""
    agent_name, path = fresh_agent(), "/tasks/claim"
    two.one.task(agent_name)
    sent = {"agent_name": agent_name, "lease_seconds": LEASE}
    used: list[tuple[str, httpx.Response]] = []
    for attempt in (1, 2, 3):
        name = key()
        first = two.one.post(path, sent, idempotency_key=name)
        assert first.json()["tasks"][0]["attempt"] == attempt
        assert two.other.claim(agent_name) == [], "the lease holds"
        used.append((name, first))
        two.clock.pass_seconds(LEASE)
        for process in (two.one, two.other):
            for name, answer in used:
                again = assert_repeat(process, answer, path, sent, idempotency_key=name)
                assert again.content == answer.content


def test_two_processes_never_give_a_task_to_two(two: Processes) -> None:
    """New tasks and lapsed ones, claimed at once at both: each is given exactly once a round, every token differs."""
    agent_name, threads = fresh_agent(), 8
    client_id = two.one.client()
    tasks = {two.one.task(agent_name, client_id) for _ in range(20)}
    tokens: set[str] = set()
    for attempt in (1, 2, 3):
        start = threading.Barrier(threads)

        def work(number: int, start: threading.Barrier = start) -> list[dict[str, Any]]:
            process = (two.one, two.other)[number % 2]
            start.wait(30)
            mine: list[dict[str, Any]] = []
            while found := process.claim(agent_name, limit=1 + number % 3, lease_seconds=LEASE):
                mine += found
            return mine

        with ThreadPoolExecutor(threads) as pool:
            given = list(chain.from_iterable(pool.map(work, range(threads))))
        assert sorted(task["task_id"] for task in given) == sorted(tasks)
        assert {task["attempt"] for task in given} == {attempt}
        tokens |= {task["claim_token"] for task in given}
        two.clock.pass_seconds(LEASE)
    assert len(tokens) == 3 * len(tasks)


def test_of_a_late_result_and_a_claim_at_once_only_the_claim_wins(two: Processes) -> None:
    """P11: sent to two processes at the same moment, the late result is refused on record, either way round."""
    for _ in range(8):
        task_id, agent_name, token = two.lapsed()
        start = threading.Barrier(2)

        def late(task_id: str = task_id, token: str = token, start: threading.Barrier = start) -> httpx.Response:
            start.wait(30)
            return two.other.post(f"/tasks/{task_id}/result", body("result", token), idempotency_key=str(uuid.uuid4()))

        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(late)
            start.wait(30)
            (task,) = two.one.claim(agent_name)
            answer = pending.result(30)
        assert answer.status_code == 409
        assert "fidelog-position" in answer.headers
        assert first_answer(answer)[1]["type"].rpartition(":")[2] in {"wrong-state", "stale-claim-token"}
        assert types(two.one, task_id).count("TaskLeaseExpired") == 1
        assert read(two.other, task_id)["status"] == "claimed"
        assert two.other.post(f"/tasks/{task_id}/result", body("result", task["claim_token"])).status_code == 200
