"""Errors: every slug these routes give, how it looks, and which fault is answered first."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from api.problems import PROBLEMS
from eventstore.writer.queues import Limits
from tests.api.conftest import (
    FULL_NAME,
    JSON,
    Caller,
    client_body,
    fresh_agent,
    fresh_client,
    places,
    problem,
    task_body,
)
from tests.clusters import Cluster
from tests.running import running_api
from tests.waiting import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
NOBODY = "550e8400-e29b-41d4-a716-446655440000"
HUGE = {"a": "x" * 32_768}


def test_the_page_on_errors_lists_exactly_the_problems_there_are() -> None:
    """docs/errors.md has one section a slug, with its status, and none besides."""
    sections = re.findall(r"^### `([a-z-]+)` — (\d{3})$", PAGE.read_text(), re.MULTILINE)
    assert {slug: int(status) for slug, status in sections} == {slug: status for slug, (status, _) in PROBLEMS.items()}
    assert len(sections) == len(PROBLEMS)


def test_unknown_things_are_not_found(caller: Caller) -> None:
    """Unknown paths, clients, tasks and events each have a type of their own."""
    for path in ("/", "/client", "/clients/", "/clients/a/b", "/tasks/", f"/tasks/{NOBODY}/", "/audit", "/docs"):
        problem(caller.http.get(path), "not-found")
    problem(caller.http.post("/nowhere", content=b"{"), "not-found")
    assert problem(caller.http.get("/clients/nobody"), "client-not-found")["detail"] == "Client not found"
    problem(caller.http.get(f"/tasks/{NOBODY}"), "task-not-found")
    caller.refused("task-not-found", "POST", f"/tasks/{NOBODY}/result", json={"result": {}})
    problem(caller.http.get("/audit/events/999999999"), "event-not-found")


def test_a_task_for_an_unknown_client_points_at_the_field(caller: Caller) -> None:
    """404 with the pointer /client_id."""
    content = caller.refused("client-not-found", "POST", "/tasks", json=task_body(fresh_client(), "a"))
    assert (content["detail"], places(content)) == ("Client not found", {"/client_id"})


METHODS = {
    "/clients": "POST", "/clients/c": "GET", "/tasks": "GET POST", f"/tasks/{NOBODY}": "GET",
    **{f"/tasks/{NOBODY}/{end}": "POST" for end in ("result", "failure", "release", "cancel")}, "/clients/c/tasks": "GET",
    "/audit/events": "GET", "/audit/events/1": "GET", "/livez": "GET", "/readyz": "GET", "/openapi.json": "GET",
}  # fmt: skip


@pytest.mark.parametrize("path", METHODS)
def test_another_method_is_405_with_the_methods_there_are(caller: Caller, path: str) -> None:
    """Allow names what the path has; the other methods are refused before anything else is looked at."""
    allowed = METHODS[path].split()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(allowed):
        answer = caller.http.request(method, path, content=b"{", headers={"content-type": "text/plain"})
        problem(answer, "method-not-allowed")
        assert answer.headers["allow"].split(", ") == allowed


def test_a_path_of_its_own_is_no_other_routes(caller: Caller) -> None:
    """`/tasks/claim` has one method; another is not taken for a task named so."""
    for method in ("GET", "PUT", "DELETE"):
        answer = caller.http.request(method, "/tasks/claim")
        problem(answer, "method-not-allowed")
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/clients/%00", "/clients/a%20b", "/clients/%ff", "/tasks/%3Fx", "/%E2%80%AE"])
def test_the_instance_is_the_path_as_it_was_asked_for(caller: Caller, path: str) -> None:
    """RFC 9457: a URI reference, so what was percent-encoded stays so."""
    assert caller.http.get(path).json()["instance"] == path


def test_an_agent_works_only_its_own_tasks(caller: Caller) -> None:
    """403 names the scope that would allow it."""
    agent_name, headers = fresh_agent(), {"fidelog-actor": "agent:other"}
    path = f"/tasks/{caller.task(agent_name)}/result"
    for target, body in (("/tasks/claim", {"agent_name": agent_name}), (path, {"result": {}})):
        content = caller.refused("forbidden", "POST", target, json=body, headers=headers)
        assert isinstance(content["missing_scope"], str)


def test_states_that_do_not_allow_a_result(caller: Caller) -> None:
    """409 wrong-state carries the task's status, stale-claim-token the position of its record."""
    task_id, token = caller.claimed()
    path = f"/tasks/{task_id}/result"
    assert caller.refused("wrong-state", "POST", path, json={"result": {}})["task_status"] == "claimed"
    answer = caller.post(path, {"claim_token": str(uuid.uuid4()), "result": {}})
    problem(answer, "stale-claim-token")
    assert int(answer.headers["fidelog-position"]) == caller.head()
    assert caller.post(path, {"claim_token": token, "result": {}}).status_code == 200
    assert caller.refused("wrong-state", "POST", path, json={"result": {}})["task_status"] == "completed"
    caller.refused("task-conflict", "POST", path, json={"claim_token": token, "result": {"a": 1}})


def test_an_erased_client_is_gone_and_what_remains_says_so(pg: Cluster, database_name: str) -> None:
    """Without the key: 410 for the client, 200 with {"erased": true} in place of values in tasks and events."""
    with running_api(pg.settings(database_name)) as api:
        caller = Caller(api.client)
        client_id, agent_name = caller.client(), fresh_agent()
        task_id = caller.task(agent_name, client_id)
        pg.execute("ALTER TABLE fidelog.client_keys DISABLE TRIGGER USER", database_name)
        pg.execute("UPDATE fidelog.client_keys SET wrapped = NULL", database_name)
        problem(caller.http.get(f"/clients/{client_id}"), "client-erased")
        caller.refused("client-erased", "POST", "/clients", json=client_body(client_id))
        assert caller.http.get(f"/tasks/{task_id}").json()["payload"] == {"erased": True}
        assert [event["data"].get("full_name", event["data"].get("payload")) for event in caller.events()] == [
            {"erased": True}, {"erased": True}
        ]  # fmt: skip
        assert caller.claim(agent_name)[0]["payload"] == {"erased": True}


def test_headers_without_end_are_refused(caller: Caller) -> None:
    """A quarter of a mebibyte of headers is 431, not memory."""
    problem(caller.http.get("/livez", headers={"x-padding": "x" * 262_144}), "headers-too-large")


def test_a_full_queue_says_when_to_come_again(pg: Cluster, database_name: str) -> None:
    """503 overloaded with Retry-After; nothing was taken, reads go on."""
    with running_api(pg.settings(database_name), Limits(queue_commands=0)) as api:
        answer = api.client.post("/clients", json=client_body("c"))
        problem(answer, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        problem(api.client.get("/clients/c"), "client-not-found")


def test_a_database_that_is_gone_is_503_and_nothing_of_it_is_told(pg: Cluster) -> None:
    """Writes and reads answer 503 with Retry-After; the process lives; no word of PostgreSQL's gets out."""
    limits = Limits(connect_seconds=0.1, resolve_seconds=0.1)
    with pg.copy() as name, running_api(pg.settings(name), limits) as api:
        pg.drop(name)
        for answer in (api.client.post("/clients", json=client_body("c")), api.client.get("/clients/c")):
            problem(answer, "database-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert name not in answer.text
        assert api.client.get("/livez").json() == {"status": "alive"}
        until("/readyz notices", lambda: api.client.get("/readyz").status_code != 200)
        ready = api.client.get("/readyz")
        assert (ready.status_code, "retry-after" in ready.headers) == (503, True)


def test_a_fault_nobody_foresaw_is_500_and_says_nothing(pg: Cluster, database_name: str) -> None:
    """The answer is a problem like any other, without a word of the fault."""
    with running_api(pg.settings(database_name)) as api:
        pg.execute("ALTER TABLE fidelog.agent_tasks RENAME TO hidden_table", database_name)
        answer = api.client.get(f"/tasks/{NOBODY}")
        problem(answer, "internal-error")
        assert not re.search(r"agent_tasks|SELECT|psycopg|Traceback|\brelation", answer.text)
        assert answer.headers["fidelog-correlation-id"] == answer.json()["correlation_id"], "the log is searched for it"


# Which of two faults is answered: 404 or 405, 413 body, 415, 400, 401, 429, 403, 422, 413 payload, 404 or 410, 412, 409.

LARGE = b" " * (1 << 20) + b"{"
FOREIGN = {"host": "evil.example"}
FIVE_THOUSAND_DIGITS = b'{"agent_name":"a","limit":' + b"9" * 5000 + b"}"


def test_faults_of_the_request_as_such_come_in_order(caller: Caller) -> None:
    """Route, size, media type, syntax, origin: each hides the ones after it."""
    text = {"content-type": "text/plain"}
    caller.refused("not-found", "POST", "/nowhere", content=LARGE, headers={**text, **FOREIGN})
    caller.refused("method-not-allowed", "PUT", "/clients", content=b"{", headers={**text, **FOREIGN})
    caller.refused("body-too-large", "POST", "/clients", content=LARGE, headers={**text, **FOREIGN})
    caller.refused("unsupported-media-type", "POST", "/clients", content=b"{", headers={**text, **FOREIGN})
    caller.refused("malformed-json", "POST", "/clients", content=b"{", headers={**JSON, **FOREIGN})
    caller.refused("foreign-origin", "POST", "/clients", json={}, headers=FOREIGN)
    caller.refused("foreign-origin", "POST", "/clients?x=1", json={}, headers={**FOREIGN, "idempotency-key": ""})
    caller.refused("foreign-origin", "GET", "/clients/%00?x=1", headers={**FOREIGN, "fidelog-actor": "x"})


def test_an_integer_out_of_range_is_422_and_so_comes_after_403(caller: Caller) -> None:
    """That the parser meets it first does not make it the first fault; 400 elsewhere in the body goes before it."""
    headers = {**JSON, **FOREIGN}
    caller.refused("foreign-origin", "POST", "/tasks/claim", content=FIVE_THOUSAND_DIGITS, headers=headers)
    headers = {**JSON, "fidelog-actor": "agent:b"}
    caller.refused("forbidden", "POST", "/tasks/claim", content=FIVE_THOUSAND_DIGITS, headers=headers)
    caller.refused("malformed-json", "POST", "/tasks/claim", content=FIVE_THOUSAND_DIGITS + b"}", headers=JSON)


@pytest.mark.parametrize("fault", ["body", "query", "idempotency-key", "fidelog-correlation-id", "if-match"])
def test_403_of_the_agent_comes_before_422(caller: Caller, fault: str) -> None:
    """Who may not do it is not told what else is wrong with the request."""
    headers = {"fidelog-actor": "agent:other", **({fault: ""} if "-" in fault else {})}
    more, query = {"body": {"x": 1}}.get(fault, {}), "?x=1" if fault == "query" else ""
    path = f"/tasks/{caller.task()}/result{query}"
    caller.refused("forbidden", "POST", path, json={"result": {}, **more}, headers=headers)
    if fault != "if-match":
        body = {"agent_name": "mine", **more}
        caller.refused("forbidden", "POST", f"/tasks/claim{query}", json=body, headers=headers)


@pytest.mark.parametrize("fault", ["body", "query", "idempotency-key", "if-match", "integer"])
def test_422_comes_before_the_payloads_size_and_before_404(caller: Caller, fault: str) -> None:
    """An invalid request is said to be invalid, whatever it is about and however large its payload."""
    headers = {fault: ""} if "-" in fault else {}
    more = {"body": {"x": 1}}.get(fault, {})
    payload = {**HUGE, "n": 2**60} if fault == "integer" else HUGE
    query = "?x=1" if fault == "query" else ""
    path = f"/tasks/{NOBODY}/result{query}"
    caller.refused("invalid-request", "POST", path, json={"result": payload, **more}, headers=headers)
    small = {name: value for name, value in payload.items() if name != "a"}
    caller.refused("invalid-request", "POST", path, json={"result": small, **more}, headers=headers)
    if fault != "if-match":
        body = {**task_body("nobody", "a", payload=payload), **more}
        caller.refused("invalid-request", "POST", f"/tasks{query}", json=body, headers=headers)


def test_then_the_payloads_size_then_404_then_412_then_409(caller: Caller) -> None:
    """413 payload hides an unknown client or task; a stale version hides a state that does not allow the result."""
    caller.refused("payload-too-large", "POST", "/tasks", json=task_body("nobody", "a", payload=HUGE))
    headers = {"if-match": '"9"'}
    path = f"/tasks/{NOBODY}/result"
    caller.refused("payload-too-large", "POST", path, json={"result": HUGE}, headers=headers)
    caller.refused("task-not-found", "POST", path, json={"result": {}}, headers=headers)
    task_id, _ = caller.claimed()
    path = f"/tasks/{task_id}/result"
    caller.refused("version-mismatch", "POST", path, json={"result": {}}, headers=headers)
    stale = {"claim_token": str(uuid.uuid4()), "result": {}}
    caller.refused("version-mismatch", "POST", path, json=stale, headers=headers)
    caller.refused("wrong-state", "POST", path, json={"result": {}})


def test_no_error_carries_the_name_of_a_person(caller: Caller) -> None:
    """The personal value of a refused request is in no answer."""
    for fields in ({"client_id": ""}, {"risk_profile": "x"}, {"full_name": FULL_NAME + "\x00"}):
        answer = caller.post("/clients", client_body("c", **{"full_name": FULL_NAME, **fields}))
        assert FULL_NAME not in answer.text
