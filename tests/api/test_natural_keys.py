"""Natural keys: the same task, or the same result of a completed task, sent again without an Idempotency-Key."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.api.conftest import Caller, client_body, fresh_agent, fresh_client, task_body
from tests.api.test_idempotency import assert_repeat


def test_the_same_task_again_is_pending_whatever_happened_since(caller: Caller) -> None:
    """201 pending with the first ETag and position: pending, claimed and completed alike."""
    agent_name = fresh_agent()
    body = task_body(caller.client(), agent_name)
    first = caller.post("/tasks", body)
    assert (first.status_code, first.json()["status"]) == (201, "pending")
    assert_repeat(caller, first, "/tasks", body)
    (task,) = caller.claim(agent_name)
    assert_repeat(caller, first, "/tasks", body)
    result = {"claim_token": task["claim_token"], "result": {}}
    assert caller.post(f"/tasks/{body['task_id']}/result", result).status_code == 200
    again = assert_repeat(caller, first, "/tasks", body)
    assert again.json() == {"task_id": body["task_id"], "status": "pending"}


def test_equal_content_is_equal_however_it_is_written(caller: Caller) -> None:
    """The default priority spelt out, the id in upper case, the payload's members in another order: the same task."""
    body = task_body(caller.client(), fresh_agent(), payload={"a": 1, "b": {"c": 2, "d": 3}})
    first = caller.post("/tasks", body)
    assert_repeat(caller, first, "/tasks", {**body, "priority": 3})
    assert_repeat(caller, first, "/tasks", {**body, "task_id": body["task_id"].upper()})
    assert_repeat(caller, first, "/tasks", {**body, "payload": {"b": {"d": 3, "c": 2}, "a": 1}})


def test_the_same_task_with_other_content_is_a_conflict(caller: Caller) -> None:
    """Another client, known or not, agent, payload or priority under a known task id is 409, whoever asks."""
    body = task_body(caller.client(), fresh_agent())
    assert caller.post("/tasks", body).status_code == 201
    others: list[dict[str, Any]] = [
        {"client_id": caller.client()},
        {"client_id": fresh_client()},
        {"agent_name": fresh_agent()},
        {"payload": {"ask": 2}},
        {"payload": {}},
        {"payload": {"ask": True}},
        {"priority": 1},
    ]
    for other in others:
        caller.refused("task-conflict", "POST", "/tasks", json={**body, **other})


@pytest.mark.parametrize("with_token", [True, False])
def test_the_same_result_again_is_completed(caller: Caller, with_token: bool) -> None:
    """With the token both times or without it both times, 200 completed as the first time; another result is 409."""
    if with_token:
        task_id, token = caller.claimed()
        body: dict[str, Any] = {"claim_token": token, "result": {"a": 1, "b": 2}}
    else:
        task_id, body = caller.task(), {"result": {"a": 1, "b": 2}}
    path = f"/tasks/{task_id}/result"
    first = caller.post(path, body)
    assert (first.status_code, first.json()) == (200, {"task_id": task_id, "status": "completed"})
    assert_repeat(caller, first, path, body)
    assert_repeat(caller, first, path, {**body, "result": {"b": 2, "a": 1}})
    caller.refused("task-conflict", "POST", path, json={**body, "result": {"a": 2}})
    if not with_token:
        assert_repeat(caller, first, path, {**body, "claim_token": None})


def test_a_result_with_a_token_is_not_repeated_without_it(caller: Caller) -> None:
    """One call with and one without a token are two different claims to the work: 409, not a repeat."""
    task_id, token = caller.claimed()
    path = f"/tasks/{task_id}/result"
    assert caller.post(path, {"claim_token": token, "result": {}}).status_code == 200
    content = caller.refused("wrong-state", "POST", path, json={"result": {}})
    assert content["task_status"] == "completed"


def test_a_natural_repeat_binds_no_key(caller: Caller) -> None:
    """The key of a natural repeat stays free, since nothing was appended under it."""
    body, used = task_body(caller.client(), fresh_agent()), str(uuid.uuid4())
    first = caller.post("/tasks", body)
    assert_repeat(caller, first, "/tasks", body, idempotency_key=used)
    other = caller.post("/clients", client_body(fresh_client()), idempotency_key=used)
    assert other.status_code == 200
    assert "idempotency-replayed" not in other.headers


def test_natural_repeats_of_another_principal_are_answered_too(caller: Caller) -> None:
    """The task's own id is the key, whoever sends it again."""
    body = task_body(caller.client(), fresh_agent())
    first = caller.post("/tasks", body, fidelog_actor="user:one", idempotency_key="same")
    assert_repeat(caller, first, "/tasks", body, fidelog_actor="user:two", idempotency_key="same")


def test_upserts_of_a_client_without_a_key_are_all_recorded(caller: Caller) -> None:
    """A client has no natural key: the same profile again is a confirmation and an event of its own."""
    body = client_body(fresh_client())
    answers = [caller.post("/clients", body) for _ in range(3)]
    assert [answer.headers["etag"] for answer in answers] == ['"1.client"', '"2.client"', '"3.client"']
    types = [event["type"] for event in caller.events(stream=f"client-{body['client_id']}")]
    assert types == ["ClientOnboarded", "ClientProfileConfirmed", "ClientProfileConfirmed"]
