"""How tasks end over HTTP: failure, release and cancel; what each answers, refuses, records and repeats."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.api.conftest import Caller, fresh_agent, places, problem
from tests.api.test_idempotency import assert_repeat, key
from tests.api.test_tasks import read
from tests.clusters import CLEAR_NAMES
from tests.eventstore.writer.harness import rows
from tests.running import RunningApi

NOBODY = "550e8400-e29b-41d4-a716-446655440000"
SECRET = f"{CLEAR_NAMES[0]} — no price\n\twas found 🙂"
STATUS = {"result": "completed", "failure": "failed", "release": "pending", "cancel": "cancelled"}
TYPES = {"result": "TaskCompleted", "failure": "TaskFailed", "release": "TaskReleased", "cancel": "TaskCancelled"}
ACTIONS = ["failure", "release", "cancel"]
UNDER_TOKEN = ["result", "failure", "release"]
NEEDED: dict[str, dict[str, Any]] = {"result": {"result": {}}, "failure": {"error": "e"}}


def body(action: str, token: str) -> dict[str, Any]:
    """The smallest valid body of an action."""
    return {**({} if action == "cancel" else {"claim_token": token}), **NEEDED.get(action, {})}


def act(caller: Caller, task_id: str, action: str, token: str, **headers: str) -> httpx.Response:
    """The action, however it is answered."""
    return caller.post(f"/tasks/{task_id}/{action}", body(action, token), **headers)


def in_state(caller: Caller, state: str) -> tuple[str, str]:
    """A task that was claimed once and then brought into the state, and its newest token."""
    task_id, token = caller.claimed()
    ends = {status: action for action, status in STATUS.items()}
    if state != "claimed":
        assert act(caller, task_id, ends[state], token).json()["status"] == state
    return task_id, token


# What is answered, and what the task is afterwards


@pytest.mark.parametrize("action", ACTIONS)
def test_an_end_answers_id_and_status_and_leaves_one_event(caller: Caller, action: str) -> None:
    """Exactly {"task_id", "status"}; the lease is gone; ETag is the stream's version; the event names what it acts on."""
    task_id, token = caller.claimed()
    before, head = read(caller, task_id), caller.head()
    answer = act(caller, task_id, action, token)
    assert (answer.status_code, answer.text) == (200, f'{{"task_id":"{task_id}","status":"{STATUS[action]}"}}')
    assert int(answer.headers["fidelog-position"]) == caller.head() == head + 1
    event = caller.events(stream=f"task-{task_id}")[-1]
    assert (event["type"], event["version"], event["position"]) == (TYPES[action], 3, head + 1)
    assert event["causation_id"] == (None if action == "cancel" else token)
    found = caller.http.get(f"/tasks/{task_id}")
    assert answer.headers["etag"] == found.headers["etag"] == '"3.task"'
    changed: dict[str, Any] = {"status": STATUS[action], "lease_expires_at": None, "updated_at": event["recorded_at"]}
    if action == "failure":
        changed["error"] = "e"
    if action == "release":
        changed["claimed_by"] = None
    assert found.json() == {**before, **changed}
    again = caller.claim(before["agent_name"], limit=100)
    assert [task["task_id"] for task in again] == ([task_id] if action == "release" else [])


def test_a_pending_task_can_be_cancelled(caller: Caller) -> None:
    """Nobody has to claim work in order to say that it is not needed."""
    agent_name = fresh_agent()
    task_id = caller.task(agent_name)
    answer = caller.post(f"/tasks/{task_id.upper()}/cancel", {})
    assert (answer.status_code, answer.json()) == (200, {"task_id": task_id, "status": "cancelled"})
    assert answer.headers["etag"] == '"2.task"'
    task = read(caller, task_id)
    assert (task["attempt"], task["claimed_by"], task["error"]) == (0, None, None)
    assert caller.claim(agent_name) == []


@pytest.mark.parametrize("retryable", [True, False, None])
def test_a_failure_is_final_whatever_it_says_of_retrying(caller: Caller, retryable: bool | None) -> None:
    """`retryable` is on record, false unless given, and the task is failed all the same."""
    task_id, token = caller.claimed()
    more = {} if retryable is None else {"retryable": retryable}
    answer = caller.post(f"/tasks/{task_id}/failure", {**body("failure", token), **more})
    assert answer.json()["status"] == "failed"
    assert caller.events(stream=f"task-{task_id}")[-1]["data"]["retryable"] is bool(retryable)
    assert caller.claim(read(caller, task_id)["agent_name"]) == []


@pytest.mark.parametrize(("action", "field"), [("failure", "error"), ("release", "reason"), ("cancel", "reason")])
def test_what_people_wrote_is_opened_for_readers_and_stored_encrypted_only(
    caller: Caller, shared_api: RunningApi, action: str, field: str
) -> None:
    """P8: the text comes back to the letter in the task and in its event; log and read model hold it sealed."""
    task_id, token = caller.claimed()
    answer = caller.post(f"/tasks/{task_id}/{action}", {**body(action, token), field: SECRET})
    assert answer.status_code == 200
    event = caller.events(stream=f"task-{task_id}")[-1]
    assert event["data"][field] == SECRET
    assert read(caller, task_id)["error"] == (SECRET if field == "error" else None)
    database = shared_api.backend.database
    ((stored,),) = rows(database, f"SELECT data FROM fidelog.events WHERE position = {event['position']}", "reader")
    ((row,),) = rows(database, f"SELECT error FROM fidelog.agent_tasks WHERE task_id = '{task_id}'", "reader")
    for value in [stored[field], *([row] if field == "error" else [])]:
        assert {"fingerprint", "key"} <= set(value)
        assert "price" not in str(value)


# Validation

TEXTS: list[Any] = ["", "x" * 4_001, "a\x00b", 1, True, {}, []]


@pytest.mark.parametrize(
    ("action", "field", "wrong"),
    [
        ("failure", "error", [*TEXTS, None]),
        ("failure", "retryable", [None, 0, 1, "true", "", []]),
        ("failure", "claim_token", [None, 7, "", "x", NOBODY + "0", NOBODY.replace("-", "")]),
        ("release", "claim_token", [None, 7, "", "x", NOBODY[:-1]]),
        ("release", "reason", TEXTS),
        ("cancel", "reason", TEXTS),
    ],
)
def test_fields_are_checked(caller: Caller, action: str, field: str, wrong: list[Any]) -> None:
    """422 at the field for every wrong value; nothing is stored, nothing of the value is echoed."""
    task_id, token = caller.claimed()
    with caller.unchanged():
        for value in wrong:
            answer = caller.post(f"/tasks/{task_id}/{action}", {**body(action, token), field: value})
            assert places(problem(answer, "invalid-request")) == {f"/{field}"}, value
            assert "xxx" not in answer.text


def test_required_fields_and_unknown_ones(caller: Caller) -> None:
    """claim_token and error are required; what is not known is refused; each fault at its pointer, all at once."""
    task_id, token = caller.claimed()
    expected: list[tuple[str, dict[str, Any], set[str]]] = [
        ("failure", {}, {"/claim_token", "/error"}),
        ("failure", {"error": "e"}, {"/claim_token"}),
        ("failure", {"claim_token": token}, {"/error"}),
        ("failure", {**body("failure", token), "reason": "r"}, {"/reason"}),
        ("release", {}, {"/claim_token"}),
        ("release", {**body("release", token), "error": "e"}, {"/error"}),
        ("cancel", {"claim_token": token}, {"/claim_token"}),
        ("cancel", {"retryable": True, "reason": ""}, {"/retryable", "/reason"}),
    ]
    for action, sent, where in expected:
        content = caller.refused("invalid-request", "POST", f"/tasks/{task_id}/{action}", json=sent)
        assert places(content) == where, sent
        caller.refused("invalid-request", "POST", f"/tasks/{task_id}/{action}?x=1", json=body(action, token))
    for action in ACTIONS:
        caller.refused("invalid-request", "POST", f"/tasks/{task_id}0/{action}", json=body(action, token))
        caller.refused("invalid-request", "POST", f"/tasks/{task_id}/{action}", json=[])


@pytest.mark.parametrize(("action", "field"), [("failure", "error"), ("release", "reason"), ("cancel", "reason")])
def test_texts_are_taken_at_their_edges(caller: Caller, action: str, field: str) -> None:
    """1 and 4,000 characters (not bytes) are taken as they are; a reason may be null or left out."""
    for text in ["x", "🙂" * 4_000, " spaces stay ", *([None] if field == "reason" else [])]:
        task_id, token = caller.claimed()
        answer = caller.post(f"/tasks/{task_id}/{action}", {**body(action, token), field: text})
        assert answer.status_code == 200, answer.text
        assert caller.events(stream=f"task-{task_id}")[-1]["data"][field] == text


# Refusals


@pytest.mark.parametrize("state", ["pending", "claimed", "completed", "failed", "cancelled"])
def test_the_newest_token_in_another_state_is_refused_and_nothing_is_recorded(caller: Caller, state: str) -> None:
    """Only a claimed task ends under its token, only an open one is cancelled: 409 wrong-state with the status."""
    for action in [*UNDER_TOKEN, "cancel"]:
        if state == "claimed" or (state, action) in {("pending", "cancel"), ("completed", "result")}:
            continue  # allowed, or the result's natural repeat
        task_id, token = in_state(caller, state)
        content = caller.refused("wrong-state", "POST", f"/tasks/{task_id}/{action}", json=body(action, token))
        assert content["task_status"] == state
        assert caller.http.get(f"/tasks/{task_id}").headers["etag"] == '"3.task"'


@pytest.mark.parametrize("state", ["pending", "claimed", "completed", "failed", "cancelled"])
@pytest.mark.parametrize("action", UNDER_TOKEN)
def test_a_stale_token_is_refused_on_record_whatever_the_state(caller: Caller, action: str, state: str) -> None:
    """P11: 409, a TaskCompletionRejected that says what was tried with which token, at the answer's position."""
    task_id, _ = in_state(caller, state)
    before, stale = read(caller, task_id), str(uuid.uuid4())
    answer = act(caller, task_id, action, stale, fidelog_actor=f"agent:{before['agent_name']}@9")
    problem(answer, "stale-claim-token")
    assert int(answer.headers["fidelog-position"]) == caller.head()
    event = caller.events(stream=f"task-{task_id}")[-1]
    assert (event["type"], event["actor"]) == ("TaskCompletionRejected", f"agent:{before['agent_name']}@9")
    tried = event["position"], event["data"]["action"], event["data"]["claim_token"]
    assert tried == (caller.head(), action, stale)
    assert read(caller, task_id) == before


@pytest.mark.parametrize("action", UNDER_TOKEN)
def test_the_token_of_an_attempt_before_is_stale(caller: Caller, action: str) -> None:
    """P11: who gave the task back cannot end it once another has it; the other can."""
    task_id, old = caller.claimed()
    act(caller, task_id, "release", old)
    (task,) = caller.claim(read(caller, task_id)["agent_name"])
    assert (task["attempt"], task["claim_token"] != old) == (2, True)
    problem(act(caller, task_id, action, old), "stale-claim-token")
    assert act(caller, task_id, action, task["claim_token"].upper()).json()["status"] == STATUS[action]


def test_404_then_412_then_409(caller: Caller) -> None:
    """An unknown task hides the version, a stale version hides the state; the version read lets the end through."""
    for action in ACTIONS:
        stale = {"if-match": '"9.task"'}
        unknown = f"/tasks/{NOBODY}/{action}"
        caller.refused("task-not-found", "POST", unknown, json=body(action, NOBODY), headers=stale)
        ended, token = in_state(caller, "failed")
        sent = body(action, token)
        content = caller.refused("version-mismatch", "POST", f"/tasks/{ended}/{action}", json=sent, headers=stale)
        assert content["current_version"] == 3
        caller.refused("wrong-state", "POST", f"/tasks/{ended}/{action}", json=sent, headers={"if-match": '"3.task"'})
        task_id, token = caller.claimed()
        path, sent = f"/tasks/{task_id}/{action}", body(action, token)
        caller.refused("version-mismatch", "POST", path, json=sent, headers={"if-match": '"1.task"'})
        if action != "cancel":  # a stale token is not even recorded under a stale version
            other = body(action, str(uuid.uuid4()))
            caller.refused("version-mismatch", "POST", path, json=other, headers=stale)
        etag = caller.http.get(f"/tasks/{task_id}").headers["etag"]
        assert caller.post(path, sent, if_match=etag).status_code == 200


@pytest.mark.parametrize("action", ACTIONS)
def test_an_agent_ends_only_its_own_tasks(caller: Caller, action: str) -> None:
    """403 for another agent, whatever else is wrong; any version of the agent, and the local user, may."""
    for version in ("", "@1.0", "@2.0"):
        task_id, token = caller.claimed()
        agent_name, path = read(caller, task_id)["agent_name"], f"/tasks/{task_id}/{action}"
        for other in (f"agent:{agent_name}x", f"agent:x@{agent_name}", f"agent:{agent_name.upper()}"):
            for sent in (body(action, token), body(action, NOBODY), {"unknown": 1}):
                content = caller.refused("forbidden", "POST", path, json=sent, headers={"fidelog-actor": other})
                assert isinstance(content["missing_scope"], str)
        actor = f"agent:{agent_name}{version}"
        assert caller.post(path, body(action, token), fidelog_actor=actor).status_code == 200
        assert caller.events(stream=f"task-{task_id}")[-1]["actor"] == actor


# Repeats (P5)


def go_on(caller: Caller, task_id: str) -> None:
    """More happens to the task, so that answers can no longer be read off its state."""
    for task in caller.claim(read(caller, task_id)["agent_name"]):
        assert act(caller, task_id, "failure", task["claim_token"]).status_code == 200
    problem(act(caller, task_id, "result", NOBODY), "stale-claim-token")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_repeat_is_answered_as_the_first_time_also_after_the_task_went_on(caller: Caller, action: str) -> None:
    """Status, body, ETag and position again, nothing appended; another request under the key is 422."""
    task_id, token = caller.claimed()
    path, sent, used = f"/tasks/{task_id}/{action}", body(action, token), key()
    first = caller.post(path, sent, idempotency_key=used, if_match='"2.task"')
    assert (first.status_code, "idempotency-replayed" in first.headers) == (200, False)
    assert_repeat(caller, first, path, sent, idempotency_key=used, if_match='"2.task"')
    go_on(caller, task_id)
    assert_repeat(caller, first, path, sent, idempotency_key=used)
    assert_repeat(caller, first, path.replace(task_id, task_id.upper()), sent, idempotency_key=f'"{used}"')
    others = [(path, {**sent, "error" if action == "failure" else "reason": "another"})]
    others += [(f"/tasks/{task_id}/{other}", body(other, token)) for other in STATUS if other != action]
    others += [(f"/tasks/{caller.task(client_id=read(caller, task_id)['client_id'])}/{action}", sent)]
    for other_path, other in others:
        caller.refused("idempotency-key-reused", "POST", other_path, json=other, headers={"idempotency-key": used})


@pytest.mark.parametrize("action", UNDER_TOKEN)
def test_a_recorded_refusal_is_repeated_too(caller: Caller, action: str) -> None:
    """The rejection is an event: the same 409 at the same position, once on record, whatever happened since."""
    task_id, _ = caller.claimed()
    path, sent, used = f"/tasks/{task_id}/{action}", body(action, str(uuid.uuid4())), key()
    first = caller.post(path, sent, idempotency_key=used)
    problem(first, "stale-claim-token")
    assert_repeat(caller, first, path, sent, idempotency_key=used)
    go_on(caller, task_id)
    assert caller.post(f"/tasks/{task_id}/cancel", {}).status_code == 200
    assert_repeat(caller, first, path, sent, idempotency_key=used)


def test_a_refusal_that_was_not_recorded_leaves_the_key_free(caller: Caller) -> None:
    """409 wrong-state appends nothing: the key serves the next request."""
    (ended, token), used = in_state(caller, "cancelled"), key()
    headers = {"idempotency-key": used}
    caller.refused("wrong-state", "POST", f"/tasks/{ended}/cancel", json={}, headers=headers)
    caller.refused("wrong-state", "POST", f"/tasks/{ended}/failure", json=body("failure", token), headers=headers)
    task_id, token = caller.claimed()
    first = act(caller, task_id, "failure", token, idempotency_key=used)
    assert_repeat(caller, first, f"/tasks/{task_id}/failure", body("failure", token), idempotency_key=used)
