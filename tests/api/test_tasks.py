"""Tasks: who gets which, in what order, under which token, and how results are taken."""

from __future__ import annotations

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from tests.api.conftest import Caller, fresh_agent, problem

KEYS = [
    "task_id", "client_id", "agent_name", "status", "priority", "attempt", "payload", "result", "error", "claimed_by",
    "lease_expires_at", "created_at", "updated_at",
]  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def read(caller: Caller, task_id: str) -> dict[str, Any]:
    """The task as it is."""
    task: dict[str, Any] = caller.http.get(f"/tasks/{task_id}").json()
    return task


def test_a_new_task_has_every_key_in_order(caller: Caller) -> None:
    """The shape of a pending task: nothing missing, nothing more, in the documented order."""
    client_id, agent_name = caller.client(), fresh_agent()
    task_id = caller.task(agent_name, client_id, payload={"b": 1, "a": [2]})
    task = read(caller, task_id)
    assert list(task) == KEYS
    assert TIME.fullmatch(task["created_at"])
    assert task == {
        "task_id": task_id, "client_id": client_id, "agent_name": agent_name, "status": "pending", "priority": 3,
        "attempt": 0, "payload": {"b": 1, "a": [2]}, "result": None, "error": None, "claimed_by": None,
        "lease_expires_at": None, "created_at": task["created_at"], "updated_at": task["created_at"],
    }  # fmt: skip


def test_a_claimed_task_says_who_has_it_until_when(caller: Caller) -> None:
    """The claim's answer is the task as claimed plus its token, which is the TaskClaimed event's id."""
    agent_name = fresh_agent()
    task_id = caller.task(agent_name)
    actor = {"fidelog_actor": f"agent:{agent_name}@1.0"}
    answer = caller.post("/tasks/claim", {"agent_name": agent_name, "lease_seconds": 90}, **actor)
    (claimed,) = answer.json()["tasks"]
    assert list(claimed) == [*KEYS, "claim_token"]
    assert (claimed["status"], claimed["attempt"], claimed["claimed_by"]) == ("claimed", 1, actor["fidelog_actor"])
    event = caller.events(stream=f"task-{task_id}")[-1]
    assert (event["type"], event["event_id"]) == ("TaskClaimed", claimed["claim_token"])
    lease = datetime.fromisoformat(claimed["lease_expires_at"]) - datetime.fromisoformat(event["recorded_at"])
    assert (lease, TIME.fullmatch(claimed["lease_expires_at"]) is not None) == (timedelta(seconds=90), True)
    del claimed["claim_token"]
    assert read(caller, task_id) == claimed
    assert int(answer.headers["fidelog-position"]) == event["position"]


def test_a_lease_is_60_seconds_unless_said_otherwise(caller: Caller) -> None:
    """The defaults of a claim: one task, one minute."""
    agent_name, client_id = fresh_agent(), caller.client()
    for _ in range(2):
        caller.task(agent_name, client_id)
    (task,) = caller.claim(agent_name)
    lease = datetime.fromisoformat(task["lease_expires_at"]) - datetime.fromisoformat(task["updated_at"])
    assert lease == timedelta(seconds=60)


def test_tasks_are_given_by_priority_then_age_up_to_the_limit(caller: Caller) -> None:
    """1 before 5, older before newer, never more than asked for, none twice, in the order of the answer."""
    agent_name, client_id = fresh_agent(), caller.client()
    priorities = [3, 5, 1, 3, 2, 1, 4, 3]
    tasks = [caller.task(agent_name, client_id, priority=priority) for priority in priorities]
    expected = [task for _, task in sorted(zip(priorities, tasks, strict=True), key=lambda pair: pair[0])]
    pages = [caller.claim(agent_name, limit=limit) for limit in (1, 3, 100, 1)]
    assert [len(page) for page in pages] == [1, 3, 4, 0]
    assert [task["task_id"] for task in chain.from_iterable(pages)] == expected


def test_agents_get_only_tasks_of_their_name(caller: Caller) -> None:
    """A claim by name finds the tasks of exactly that name."""
    agent_name, client_id = fresh_agent(), caller.client()
    mine = caller.task(agent_name, client_id)
    for other in (agent_name + "x", agent_name.upper(), agent_name[:-1] + "."):
        caller.task(other, client_id)
    assert [task["task_id"] for task in caller.claim(agent_name, limit=100)] == [mine]


def test_16_agents_claiming_at_once_never_get_the_same_task(caller: Caller) -> None:
    """Every task is given exactly once, under a token of its own, however many ask at the same moment."""
    agent_name, client_id, threads = fresh_agent(), caller.client(), 16
    tasks = {caller.task(agent_name, client_id) for _ in range(40)}
    start = threading.Barrier(threads)

    def work(number: int) -> list[dict[str, Any]]:
        start.wait(30)
        mine: list[dict[str, Any]] = []
        while found := caller.claim(agent_name, limit=1 + number % 3):
            mine += found
        return mine

    with ThreadPoolExecutor(threads) as pool:
        claimed = list(chain.from_iterable(pool.map(work, range(threads))))
    assert sorted(task["task_id"] for task in claimed) == sorted(tasks)
    assert len({task["claim_token"] for task in claimed}) == len(tasks)


def test_a_claimed_task_is_completed_under_its_token(caller: Caller) -> None:
    """200 completed; the task keeps its attempt and holder, has the result and no lease, and is claimed no more."""
    task_id, token = caller.claimed()
    before = read(caller, task_id)
    answer = caller.post(f"/tasks/{task_id}/result", {"claim_token": token, "result": {"ok": [1]}})
    assert (answer.status_code, answer.text) == (200, f'{{"task_id":"{task_id}","status":"completed"}}')
    task = read(caller, task_id)
    changed = {"status": "completed", "result": {"ok": [1]}, "lease_expires_at": None, "updated_at": task["updated_at"]}
    assert task == {**before, **changed}
    assert (list(task), task["updated_at"] > before["updated_at"]) == (KEYS, True)
    assert answer.headers["etag"] == caller.http.get(f"/tasks/{task_id}").headers["etag"]
    assert caller.claim(task["agent_name"], limit=100) == []


def test_a_pending_task_is_completed_without_a_token_in_one_step(caller: Caller) -> None:
    """The one-worker flow: claimed and completed by one command, two events, attempt 1."""
    agent_name = fresh_agent()
    task_id, before = caller.task(agent_name), caller.head()
    answer = caller.post(f"/tasks/{task_id}/result", {"result": {}}, fidelog_actor=f"agent:{agent_name}")
    assert answer.json() == {"task_id": task_id, "status": "completed"}
    assert int(answer.headers["fidelog-position"]) == caller.head() == before + 2
    _, claimed, completed = caller.events(stream=f"task-{task_id}")
    assert [claimed["type"], completed["type"]] == ["TaskClaimed", "TaskCompleted"]
    assert claimed["command_id"] == completed["command_id"]
    task = read(caller, task_id)
    assert (task["status"], task["attempt"], task["claimed_by"]) == ("completed", 1, f"agent:{agent_name}")
    assert caller.claim(agent_name) == []


def test_a_token_that_is_not_the_newest_attempts_is_stale_whatever_the_state(caller: Caller) -> None:
    """Pending, claimed or completed: 409, on record, and the task stays as it was."""
    pending, (claimed, token) = caller.task(), caller.claimed()
    completed, old = caller.claimed()
    assert caller.post(f"/tasks/{completed}/result", {"claim_token": old, "result": {}}).status_code == 200
    for task_id in (pending, claimed, completed):
        before = read(caller, task_id)
        answer = caller.post(f"/tasks/{task_id}/result", {"claim_token": str(uuid.uuid4()), "result": {}})
        problem(answer, "stale-claim-token")
        event = caller.http.get(f"/audit/events/{answer.headers['fidelog-position']}").json()
        assert (event["type"], event["stream"]) == ("TaskCompletionRejected", f"task-{task_id}")
        assert read(caller, task_id) == before
    assert caller.post(f"/tasks/{claimed}/result", {"claim_token": token, "result": {}}).status_code == 200


def test_another_tasks_token_is_stale(caller: Caller) -> None:
    """A token is good for its own task only."""
    (one, _), (_, other) = caller.claimed(), caller.claimed()
    problem(caller.post(f"/tasks/{one}/result", {"claim_token": other, "result": {}}), "stale-claim-token")


def test_one_of_16_results_completes_a_task(caller: Caller) -> None:
    """Different results sent at once under one token: one completes, the others are conflicts, one event."""
    task_id, token = caller.claimed()
    before = caller.head()

    def complete(number: int) -> int:
        return caller.post(f"/tasks/{task_id}/result", {"claim_token": token, "result": {"n": number}}).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(complete, range(16)))
    assert statuses == [200] + [409] * 15
    assert caller.head() == before + 1


def test_an_agent_works_its_own_tasks_and_the_local_user_any(caller: Caller) -> None:
    """agent:x, of any version, claims and completes for x alone; user:local for every agent."""
    agent_name, client_id = fresh_agent(), caller.client()
    for actor in (f"agent:{agent_name}", f"agent:{agent_name}@2.1", "user:local"):
        task_id = caller.task(agent_name, client_id)
        claim = {"agent_name": agent_name}
        for foreign in (f"agent:{agent_name}x", f"agent:x@{agent_name}", f"agent:{agent_name.upper()}"):
            caller.refused("forbidden", "POST", "/tasks/claim", json=claim, headers={"fidelog-actor": foreign})
        (task,) = caller.post("/tasks/claim", claim, fidelog_actor=actor).json()["tasks"]
        body = {"claim_token": task["claim_token"], "result": {}}
        path = f"/tasks/{task_id}/result"
        caller.refused("forbidden", "POST", path, json=body, headers={"fidelog-actor": "agent:other"})
        assert caller.post(path, body, fidelog_actor=actor).status_code == 200
        assert caller.events(stream=f"task-{task_id}")[-1]["actor"] == actor


def test_a_task_is_read_by_anyone_and_its_etag_is_the_streams_version(caller: Caller) -> None:
    """ETag and Fidelog-Position on the read are those of the task's last event."""
    task_id, _ = caller.claimed()
    answer = caller.http.get(f"/tasks/{task_id}", headers={"fidelog-actor": "agent:other"})
    assert answer.status_code == 200
    last = caller.events(stream=f"task-{task_id}")[-1]
    assert answer.headers["etag"].startswith(f'"{last["version"]}')
    assert int(answer.headers["fidelog-position"]) >= last["position"]


def test_if_match_guards_a_result(caller: Caller) -> None:
    """The version read lets the result through; an older one is 412 with the current version."""
    task_id, token = caller.claimed()
    path, body = f"/tasks/{task_id}/result", {"claim_token": token, "result": {}}
    content = caller.refused("version-mismatch", "POST", path, json=body, headers={"if-match": '"1.task"'})
    assert content["current_version"] == 2
    etag = caller.http.get(f"/tasks/{task_id}").headers["etag"]
    assert caller.post(path, body, if_match=etag).status_code == 200
