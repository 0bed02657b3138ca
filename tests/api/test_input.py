"""Fields of bodies and queries: nothing unknown, nothing coerced, every fault at once, no value echoed, never a 500."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.conftest import JSON, Caller, client_body, fresh_agent, fresh_client, places, problem, task_body

MARK = "Xq7-marker-value"


def valid_bodies(caller: Caller) -> dict[str, dict[str, Any]]:
    """A body for each POST route that would be taken."""
    agent_name = fresh_agent()
    path = f"/tasks/{caller.task(agent_name)}/result"
    return {
        "/clients": client_body(fresh_client()),
        "/tasks": {**task_body(caller.client(), agent_name), "priority": 2},
        "/tasks/claim": {"agent_name": agent_name, "limit": 1, "lease_seconds": 60, "wait_seconds": 0},
        path: {"result": {}, "claim_token": None},
    }


def test_unknown_fields_are_refused(caller: Caller) -> None:
    """A field no model has is 422 at its pointer, on every route; a wrong letter's case makes it unknown."""
    bodies = valid_bodies(caller)
    with caller.unchanged():
        for path, body in bodies.items():
            for name in ("extra", "actor", "Client_id", "", "a/b"):
                content = problem(caller.post(path, {**body, name: 1}), "invalid-request")
                assert places(content) == {"/" + name.replace("/", "~1")}


OPTIONAL = {"priority", "limit", "lease_seconds", "wait_seconds", "claim_token"}


def test_required_fields_are_required(caller: Caller) -> None:
    """Leaving out a required field is 422 at its pointer; null is no value for it either."""
    bodies = valid_bodies(caller)
    with caller.unchanged():
        for path, body in bodies.items():
            for name in body.keys() - OPTIONAL:
                without = {field: value for field, value in body.items() if field != name}
                assert places(problem(caller.post(path, without), "invalid-request")) == {f"/{name}"}
                assert places(problem(caller.post(path, {**body, name: None}), "invalid-request")) == {f"/{name}"}


WRONG: dict[str, list[Any]] = {
    "client_id": [1, True, ["c"], {"c": 1}, 1.5],
    "agent_name": [1, False, ["c"], {}],
    "task_id": [1, ["550e8400-e29b-41d4-a716-446655440000"], 5.0],
    "claim_token": [1, False, [], {}],
    "full_name": [1, True, ["a"], {"name": 1}],
    "priority": [0, 6, -1, "3", 3.0, True, None, [3], 2**53, 10**30],
    "limit": [0, 101, "1", 1.0, True, None, 10**30],
    "lease_seconds": [4, 3601, "60", 60.0, False, None, -60],
    "wait_seconds": [1, 30, -1, "0", 0.0, False, None],
}


def test_wrong_types_and_ranges_are_refused_not_coerced(caller: Caller) -> None:
    """ "3" is no integer, 3.0 neither, true is not 1 and null is not the default: 422 at the field."""
    bodies = valid_bodies(caller)
    with caller.unchanged():
        for path, body in bodies.items():
            for name, value in [(field, wrong) for field in body.keys() & WRONG.keys() for wrong in WRONG[field]]:
                content = problem(caller.post(path, {**body, name: value}), "invalid-request")
                assert places(content) == {f"/{name}"}, (name, value)


def test_ranges_are_taken_at_their_edges(caller: Caller) -> None:
    """Priority 1 and 5, limit 1 and 100, leases of 5 and 3,600 seconds, wait 0."""
    client_id, agent_name = caller.client(), fresh_agent()
    for priority in (1, 5):
        caller.task(agent_name, client_id, priority=priority)
    for limit, lease_seconds in ((1, 5), (100, 3600)):
        fields = {"limit": limit, "lease_seconds": lease_seconds, "wait_seconds": 0}
        assert len(caller.claim(agent_name, **fields)) == 1


def test_all_faults_of_a_body_are_listed_at_once(caller: Caller) -> None:
    """Whoever repairs a request sees everything that is wrong with it, free JSON included."""
    body = {"task_id": "x", "client_id": "", "agent_name": 1, "payload": [], "priority": 9, "more": 1}
    content = caller.refused("invalid-request", "POST", "/tasks", json=body)
    assert places(content) == {f"/{name}" for name in body}
    body = {"task_id": "x", "agent_name": "a", "payload": {"a": 2**60, "b": {"c": "\x00"}}}
    content = caller.refused("invalid-request", "POST", "/tasks", json=body)
    assert places(content) == {"/task_id", "/client_id", "/payload/a", "/payload/b/c"}


def test_faults_of_path_query_headers_and_body_are_listed_together(caller: Caller) -> None:
    """One answer lists the faults of all parts of a request."""
    headers = {
        "idempotency-key": "two words",
        "fidelog-correlation-id": "",
        "fidelog-actor": "robot:x",
        "if-match": "1",
    }
    content = caller.refused("invalid-request", "POST", "/tasks/x/result?y=1", json={"result": 1}, headers=headers)
    found = {place.lower() for place in places(content)}
    assert found == {"task_id", "y", "/result", *headers}


def test_faults_of_a_query_are_listed_at_once(caller: Caller) -> None:
    """Unknown, repeated and wrong parameters are all named."""
    content = caller.refused(
        "invalid-request", "GET", "/audit/events?limit=0&order=up&order=asc&x=1&stream=%00&cursor=!"
    )
    assert places(content) >= {"limit", "order", "x", "stream"}


@pytest.mark.parametrize(
    "path", ["/clients/c", "/tasks/550e8400-e29b-41d4-a716-446655440000", "/audit/events/1", "/livez"]
)
@pytest.mark.parametrize("query", ["x=1", "limit=1", "as_of", "=", "%00=1", "client_id=a"])
def test_unknown_query_parameters_are_refused(caller: Caller, path: str, query: str) -> None:
    """A parameter that would be ignored misleads whoever sent it: 422, on reads without parameters too."""
    problem(caller.http.get(f"{path}?{query}"), "invalid-request")


def test_unknown_query_parameters_are_refused_on_writes(caller: Caller) -> None:
    """A valid body does not excuse an unknown parameter; nothing is stored."""
    for path, body in valid_bodies(caller).items():
        assert places(caller.refused("invalid-request", "POST", f"{path}?dry_run=1", json=body)) == {"dry_run"}


@pytest.mark.parametrize(
    "limit", ["0", "501", "-1", "", "1.0", "1_0", "%201", "1%20", "%2B1", "1e2", "true", "٣", "9" * 5000]
)
def test_a_limit_is_a_plain_integer_from_1_to_500(caller: Caller, limit: str) -> None:
    """Numbers in queries are held to digits; nothing is trimmed or rounded into one."""
    content = problem(caller.http.get(f"/audit/events?limit={limit}"), "invalid-request")
    assert places(content) == {"limit"}


def test_no_value_is_ever_echoed_by_an_error(caller: Caller) -> None:
    """Errors land in other people's logs: a marker sent in every field, header and parameter appears in none."""
    deep = {"a": [MARK, {"b": MARK}], "n": 2**60}
    answers = [
        caller.post("/clients", {"client_id": MARK + " ", "full_name": MARK + "\x00", "risk_profile": MARK}),
        caller.post("/tasks", dict.fromkeys(("task_id", "client_id", "agent_name", "payload", "priority"), MARK + "\n")),
        caller.post("/tasks", {**task_body(MARK, MARK), "payload": deep}),
        caller.post("/tasks", task_body(MARK, MARK, payload={"a": MARK * 3000})),
        caller.post("/tasks", task_body(MARK, MARK)),
        caller.post("/tasks/claim", {"agent_name": MARK + "/", "limit": MARK, "lease_seconds": MARK, "wait_seconds": MARK}),
        caller.post(f"/tasks/{uuid.uuid4()}/result", {"claim_token": MARK, "result": MARK}),
        caller.post(f"/tasks/{uuid.uuid4()}/result", {"result": {"a": MARK}}),
        caller.post("/clients", client_body("c"), idempotency_key=MARK + " x"),
        caller.post("/clients", client_body("c"), fidelog_actor=MARK),
        caller.post("/clients", client_body("c"), fidelog_correlation_id=MARK + " x"),
        caller.post("/clients", client_body("c"), if_match=MARK),
        caller.post("/tasks/claim", {"agent_name": "x"}, fidelog_actor=f"agent:{MARK}"),
        caller.http.post("/clients", content=b'{"client_id": "%s", oops' % MARK.encode(), headers=JSON),
        caller.http.post("/clients", content=b'{"%s": 1, "%s": 2}' % ((MARK.encode(),) * 2), headers=JSON),
        caller.http.post("/clients", content=b"{}", headers={"content-type": f"text/{MARK}"}),
        caller.http.get("/audit/events", params={"limit": MARK, "order": MARK, "stream": MARK, "cursor": MARK}),
        caller.http.get("/livez", headers={"host": MARK}),
        caller.http.get("/livez", headers={"origin": f"http://{MARK}"}),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code >= 400, answer.text
        assert MARK not in answer.text, answer.text
        assert MARK not in str(answer.headers), answer.headers


# Arbitrary bodies. Names of fields are drawn often, so that whole bodies are nearly right.

NAMES = st.sampled_from(
    ["client_id", "full_name", "risk_profile", "task_id", "agent_name", "payload", "priority", "limit", "claim_token", "result"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20)
    | st.sampled_from(["a", "moderate", "550e8400-e29b-41d4-a716-446655440000", "\ud800", "\x00", "x" * 129])
    | st.integers(min_value=10**300, max_value=10**301)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=10).map(lambda value: json.dumps(value).encode())
BODIES = OBJECTS | VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
PATHS = st.sampled_from(
    ["/clients", "/tasks", "/tasks/claim", "/tasks/550e8400-e29b-41d4-a716-446655440000/result", "/tasks/%00/result"]
)


@pytest.fixture
def positions(caller: Caller) -> dict[str, int]:
    """The log's head before the next example."""
    return {"head": caller.head()}


@settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(path=PATHS, body=BODIES)
@example(path="/tasks/claim", body=b'{"agent_name": ["a"]}')
@example(path="/tasks/claim", body=b"[]")
@example(path="/tasks/claim", body=b'{"agent_name":"a","limit":' + b"9" * 4000 + b"}")
def test_no_body_fails_the_server_and_only_answers_of_200_store_events(
    caller: Caller, positions: dict[str, int], path: str, body: bytes
) -> None:
    """Whatever is sent, the status is below 500, an error is a problem, and the log grows on success only."""
    answer, before = caller.http.post(path, content=body, headers=JSON), positions.get("head", 0)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem(answer, answer.json()["type"].removeprefix("urn:fidelog:problem:"))
    positions["head"] = caller.head()
    # A recorded refusal (a stale token) is the one error that appends.
    if answer.status_code >= 300 and "stale-claim-token" not in answer.text:
        assert positions["head"] == before
