"""Idempotency: a request sent again is answered as the first time, and recorded once."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import (
    JSON,
    Caller,
    client_body,
    fresh_agent,
    fresh_client,
    problem,
    task_body,
)
from tests.clusters import Cluster
from tests.running import running_api


def key() -> str:
    """A key nobody has used."""
    return str(uuid.uuid4())


def first_answer(answer: httpx.Response) -> tuple[Any, ...]:
    """What a repeat must give again: status, body, ETag and position."""
    headers = answer.headers
    return answer.status_code, answer.json(), headers.get("etag"), headers.get("fidelog-position")


def assert_repeat(caller: Caller, first: httpx.Response, path: str, body: Any, **headers: str) -> httpx.Response:
    """The request again is answered as the first time, said to be a repeat, and appends nothing."""
    before = caller.head()
    again = caller.post(path, body, **headers)
    assert first_answer(again) == first_answer(first)
    assert again.headers["idempotency-replayed"] == "true"
    assert caller.head() == before
    return again


def test_every_write_repeated_with_its_key_is_answered_as_the_first_time(caller: Caller) -> None:
    """Clients, tasks, claims and results: equal status, body, ETag and position, one event each."""
    client_id, agent_name, task_id = fresh_client(), fresh_agent(), str(uuid.uuid4())
    writes: list[tuple[str, Any]] = [
        ("/clients", client_body(client_id)),
        ("/tasks", task_body(client_id, agent_name, task_id=task_id)),
        ("/tasks/claim", {"agent_name": agent_name}),
        (f"/tasks/{task_id}/result", {"result": {"done": 1}}),
    ]
    done: list[tuple[httpx.Response, str, Any]] = []
    for path, body in writes:
        if path.endswith("/result"):
            body["claim_token"] = done[2][0].json()["tasks"][0]["claim_token"]
        done.append((caller.post(path, body, idempotency_key=f"{task_id}{path[:9]}{len(done)}"), path, body))
        assert "idempotency-replayed" not in done[-1][0].headers
    for number, (first, path, body) in enumerate(done):
        assert int(first.headers["fidelog-position"]) >= 1
        assert_repeat(caller, first, path, body, idempotency_key=f"{task_id}{path[:9]}{number}")


def test_a_client_repeat_gives_the_first_answer_after_the_client_changed(caller: Caller) -> None:
    """The answer is rebuilt from the command's own event, not from today's state."""
    body, used = client_body(fresh_client()), key()
    first = caller.post("/clients", body, idempotency_key=used)
    assert caller.post("/clients", {**body, "risk_profile": "growth"}).status_code == 200
    again = assert_repeat(caller, first, "/clients", body, idempotency_key=used)
    assert again.json()["risk_profile"] == "moderate"


def test_quoted_and_bare_keys_are_one_key(caller: Caller) -> None:
    """An RFC 8941 string and the bare characters are equal, escapes resolved."""
    for bare, quoted in (("k-1", '"k-1"'), ('a"b\\c', '"a\\"b\\\\c"')):
        body = client_body(fresh_client())
        first = caller.post("/clients", body, idempotency_key=bare + body["client_id"])
        assert_repeat(caller, first, "/clients", body, idempotency_key=f'{quoted[:-1]}{body["client_id"]}"')


def test_key_order_white_space_and_escapes_of_the_body_do_not_matter(caller: Caller) -> None:
    """The body counts as parsed, keys sorted at every depth."""
    body, used = task_body(caller.client(), fresh_agent(), payload={"a": {"x": 1, "y": "é"}, "b": 2}), key()
    first = caller.post("/tasks", body, idempotency_key=used)
    ids = f'"client_id":"{body["client_id"]}","task_id":"{body["task_id"]}","agent_name":"{body["agent_name"]}"'
    sent = '{ "payload" :\n{"b":2,"a":{"y":"\\u00e9","x":1}}, ' + ids + "}"
    again = caller.http.post("/tasks", content=sent.encode(), headers={**JSON, "idempotency-key": used})
    assert first_answer(again) == first_answer(first)
    assert again.headers["idempotency-replayed"] == "true"


def test_a_key_used_for_another_request_is_refused(caller: Caller) -> None:
    """Another body (a default spelt out is another body), path or subject under the same key is 422."""
    used, agent_name = key(), fresh_agent()
    body = task_body(caller.client(), agent_name)
    caller.post("/tasks", body, idempotency_key=used)
    headers = {"idempotency-key": used}
    others: list[tuple[str, Any]] = [
        ("/tasks", {**body, "payload": {"ask": 2}}),
        ("/tasks", {**body, "priority": 3}),
        ("/tasks", {**body, "client_id": caller.client()}),
        ("/tasks", {**body, "task_id": body["task_id"].upper().replace("0", "1")}),
        ("/tasks/claim", {"agent_name": agent_name}),
        (f"/tasks/{body['task_id']}/result", {"result": {}}),
        ("/clients", client_body(body["client_id"])),
        ("/clients", client_body(fresh_client())),
    ]
    for path, other in others:
        caller.refused("idempotency-key-reused", "POST", path, json=other, headers=headers)


def test_the_path_is_compared_with_its_id_in_canonical_form(caller: Caller) -> None:
    """A result repeated with the task id in upper case is the same request."""
    task_id, token = caller.claimed()
    used, body = key(), {"claim_token": token, "result": {}}
    first = caller.post(f"/tasks/{task_id}/result", body, idempotency_key=used)
    assert_repeat(caller, first, f"/tasks/{task_id.upper()}/result", body, idempotency_key=used)


def test_principals_have_keys_of_their_own(caller: Caller) -> None:
    """The same key of two principals is two keys: both requests are carried out, each repeats by itself."""
    used, body = key(), client_body(fresh_client())
    one = caller.post("/clients", body, idempotency_key=used, fidelog_actor="user:one")
    two = caller.post("/clients", body, idempotency_key=used, fidelog_actor="user:two")
    assert "idempotency-replayed" not in two.headers
    assert one.headers["fidelog-position"] != two.headers["fidelog-position"]
    assert_repeat(caller, one, "/clients", body, idempotency_key=used, fidelog_actor="user:one")
    other = client_body(fresh_client())
    assert caller.post("/clients", other, idempotency_key=used, fidelog_actor="user:three").status_code == 200


def test_refusals_that_appended_nothing_do_not_bind_the_key(caller: Caller) -> None:
    """404, 409, 412, 413 and 422 leave the key free for the repaired request."""
    used, agent_name, client_id = key(), fresh_agent(), fresh_client()
    headers = {"idempotency-key": used}
    body = task_body(client_id, agent_name)
    caller.refused("client-not-found", "POST", "/tasks", json=body, headers=headers)
    caller.refused("invalid-request", "POST", "/tasks", json={**body, "priority": 9}, headers=headers)
    caller.refused("payload-too-large", "POST", "/tasks", json={**body, "payload": {"a": "x" * 32768}}, headers=headers)
    caller.refused(
        "version-mismatch", "POST", "/clients", json=client_body(client_id), headers={**headers, "if-match": "*"}
    )
    caller.post("/clients", client_body(client_id))
    task_id, _ = caller.claimed()
    caller.refused("wrong-state", "POST", f"/tasks/{task_id}/result", json={"result": {}}, headers=headers)
    first = caller.post("/tasks", body, **{"idempotency_key": used})
    assert first.status_code == 201
    assert_repeat(caller, first, "/tasks", body, idempotency_key=used)


def test_an_empty_claim_binds_nothing(caller: Caller) -> None:
    """A claim that found no task may be sent again with its key and finds the task that came meanwhile."""
    used, agent_name = key(), fresh_agent()
    body = {"agent_name": agent_name}
    empty = caller.post("/tasks/claim", body, idempotency_key=used)
    assert (empty.status_code, empty.json()) == (200, {"tasks": []})
    assert "fidelog-position" not in empty.headers
    task_id = caller.task(agent_name)
    found = caller.post("/tasks/claim", body, idempotency_key=used)
    assert [task["task_id"] for task in found.json()["tasks"]] == [task_id]
    assert "idempotency-replayed" not in found.headers
    assert_repeat(caller, found, "/tasks/claim", body, idempotency_key=used)


def test_a_repeated_claim_gives_equal_tasks_and_tokens_after_the_tasks_moved_on(caller: Caller) -> None:
    """Whoever lost the answer of a claim gets it again, as it was, when the tasks are long completed."""
    used, agent_name, client_id = key(), fresh_agent(), caller.client()
    for priority in (2, 1, 3):
        caller.task(agent_name, client_id, priority=priority)
    body = {"agent_name": agent_name, "limit": 2, "lease_seconds": 600}
    first = caller.post("/tasks/claim", body, idempotency_key=used)
    assert_repeat(caller, first, "/tasks/claim", body, idempotency_key=used)
    for task in first.json()["tasks"]:
        done = caller.post(f"/tasks/{task['task_id']}/result", {"claim_token": task["claim_token"], "result": {}})
        assert done.status_code == 200
    again = assert_repeat(caller, first, "/tasks/claim", body, idempotency_key=used)
    assert again.content == first.content


def test_if_match_is_compared_after_the_key_is_looked_up(caller: Caller) -> None:
    """A repeat under a version that its own first time made stale is answered, not refused."""
    body, used = client_body(caller.client(), risk_profile="growth"), key()
    headers = {"idempotency_key": used, "if_match": '"1.client"'}
    first = caller.post("/clients", body, **headers)
    assert first.status_code == 200
    assert_repeat(caller, first, "/clients", body, **headers)
    content = caller.refused("version-mismatch", "POST", "/clients", json=body, headers={"if-match": '"1.client"'})
    assert content["current_version"] == 2


def test_a_stale_token_is_recorded_once_and_answered_alike_with_the_same_key(caller: Caller) -> None:
    """The rejection is an event, so it binds the key: the repeat gives the same 409 and appends nothing."""
    task_id, _ = caller.claimed()
    path, used = f"/tasks/{task_id}/result", key()
    body = {"claim_token": str(uuid.uuid4()), "result": {"late": True}}
    before = caller.head()
    first = caller.post(path, body, idempotency_key=used)
    problem(first, "stale-claim-token")
    assert int(first.headers["fidelog-position"]) == caller.head() == before + 1
    event = caller.events(stream=f"task-{task_id}")[-1]
    assert (event["type"], event["data"]["claim_token"]) == ("TaskCompletionRejected", body["claim_token"])
    assert_repeat(caller, first, path, body, idempotency_key=used)
    caller.refused(
        "idempotency-key-reused", "POST", path, json={**body, "result": {}}, headers={"idempotency-key": used}
    )
    problem(caller.post(path, body), "stale-claim-token")
    assert caller.head() == before + 2, "without a key each attempt is on record"


CALLERS = 64


def at_once(caller: Caller, path: str, body: Any, **headers: str) -> list[httpx.Response]:
    """The same request from many threads that start together."""
    start = threading.Barrier(CALLERS)

    def send(_: int) -> httpx.Response:
        start.wait(30)
        return caller.post(path, body, **headers)

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(send, range(CALLERS)))


@pytest.mark.parametrize("route", ["/clients", "/tasks", "/tasks/claim", "result"])
def test_64_callers_with_one_new_key_append_once_and_get_equal_answers(caller: Caller, route: str) -> None:
    """Concurrent repeats of a request nobody has answered yet: one event, 64 equal answers, 63 of them repeats."""
    client_id, agent_name = caller.client(), fresh_agent()
    task_id = caller.task(agent_name, client_id)
    path, body = {
        "/clients": ("/clients", client_body(fresh_client())),
        "/tasks": ("/tasks", task_body(client_id, agent_name)),
        "/tasks/claim": ("/tasks/claim", {"agent_name": agent_name, "limit": 5}),
        "result": (f"/tasks/{task_id}/result", {"result": {}, "claim_token": str(uuid.uuid4())}),
    }[route]
    before = caller.head()
    answers = at_once(caller, path, body, idempotency_key=key(), fidelog_correlation_id="one")
    assert caller.head() == before + 1
    assert all(first_answer(answer) == first_answer(answers[0]) for answer in answers)
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == CALLERS - 1


def test_repeats_are_answered_alike_after_a_restart(pg: Cluster, database_name: str) -> None:
    """Keys, claims and natural keys live in the log: another process on the same database answers as the first."""
    client_id, agent_name, used = fresh_client(), fresh_agent(), key()
    task = task_body(client_id, agent_name)
    writes: list[tuple[str, Any]] = [
        ("/clients", client_body(client_id)),
        ("/tasks", task),
        ("/tasks/claim", {"agent_name": agent_name}),
    ]
    with running_api(pg.settings(database_name)) as api:
        caller = Caller(api.client)
        firsts = [caller.post(path, body, idempotency_key=f"{used}-{path}") for path, body in writes]
        token = firsts[2].json()["tasks"][0]["claim_token"]
        result = (f"/tasks/{task['task_id']}/result", {"claim_token": token, "result": {"a": 1}})
        firsts.append(caller.post(result[0], result[1], idempotency_key=f"{used}-{result[0]}"))
    with running_api(pg.settings(database_name)) as api:
        caller = Caller(api.client)
        for first, (path, body) in zip(firsts, [*writes, result], strict=True):
            assert_repeat(caller, first, path, body, idempotency_key=f"{used}-{path}")
        assert_repeat(caller, firsts[1], "/tasks", task)
        assert_repeat(caller, firsts[3], *result)
