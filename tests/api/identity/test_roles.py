"""The table of roles and routes is what the service does: each role at each route, and nobody."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.routing import Route

from api.app import Fidelog
from api.identity.roles import ROLES, ROUTES, SCOPES
from tests.api.conftest import client_body, fresh_agent, fresh_client, problem, task_body
from tests.api.identity.conftest import Door

TASK = "550e8400-e29b-41d4-a716-446655440000"
PLACES = {
    "client_id": "client-nobody", "task_id": TASK, "position": "999999", "key_id": "zzzzzzzz", "tenant": "default",
    "tile": "0/999", "bundle": "999",
    "hold_id": "m-1",
}  # fmt: skip


def test_every_route_is_in_the_table_and_nothing_else(door: Door) -> None:
    """A route that says nothing of who may call it does not exist."""
    app = Fidelog(door.api.backend)
    found = {
        f"{method} {route.path}" for route in app.routes if isinstance(route, Route) for method in route.methods or ()
    }
    assert {route for route in found if not route.startswith("HEAD")} == set(ROUTES)
    assert {scope for need in ROUTES.values() for scope in need.scopes} <= set(SCOPES)
    assert {scope for scopes in ROLES.values() for scope in scopes} == set(SCOPES)


def ask(caller: httpx.Client, route: str) -> httpx.Response:
    """A request that is well-formed; what it names need not exist."""
    method, path = route.split(" ")
    body: dict[str, Any] | None = {}
    if route == "POST /clients":
        body = client_body(fresh_client())
    elif route == "POST /tasks":
        body = task_body("client-nobody", fresh_agent())
    elif method != "POST":
        body = None
    return caller.request(method, path.format(**PLACES), json=body)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_no_more(door: Door, role: str) -> None:
    """403 names a scope that would do; whatever else happens, it is not a refusal of the caller."""
    actor = "agent:some" if role == "agent" else "user:some"
    caller = door.somebody(role, actor=actor, fidelog_purpose="test")
    for route, need in ROUTES.items():
        answer = ask(caller, route)
        if need.public or not ROLES[role].isdisjoint(need.scopes):
            assert answer.status_code not in (401, 500), route
            if answer.status_code == 403:  # an agent works only its own tasks
                assert (role, route) == ("agent", "POST /tasks")
        else:
            assert problem(answer, "forbidden")["missing_scope"] == need.scopes[0], route


def test_nobody_gets_what_is_public_and_nothing_else(door: Door) -> None:
    """And of readiness the word alone. (Metrics are open where only this machine is served.)"""
    for route, need in ROUTES.items():
        answer = ask(door.caller(), route)
        if need.public or route == "GET /metrics":
            assert answer.status_code == (404 if "{tile}" in route else 200), route
        else:
            problem(answer, "unauthenticated")
    assert door.caller().get("/readyz").json() == {"status": "ready"}
    assert "tails" in door.somebody("operator").get("/readyz").json()


def test_an_agent_works_only_its_own_tasks(door: Door) -> None:
    """Whatever is tried with another's: 403. Whoever manages tasks works them all."""
    advisor = door.somebody("advisor", actor="user:ada")
    client_id, mine, other = fresh_client(), fresh_agent(), fresh_agent()
    assert advisor.post("/clients", json=client_body(client_id)).status_code == 200
    body = task_body(client_id, other)
    assert advisor.post("/tasks", json=body).status_code == 201
    agent = door.somebody("agent", actor=f"agent:{mine}")
    for path, content in (
        ("/tasks", task_body(client_id, other)),
        ("/tasks/claim", {"agent_name": other}),
        (f"/tasks/{body['task_id']}/result", {"result": {}}),
        (f"/tasks/{body['task_id']}/cancel", {}),
    ):
        assert problem(agent.post(path, json=content), "forbidden")["missing_scope"] == "tasks:manage"
    assert agent.post("/tasks", json=task_body(client_id, mine)).status_code == 201
    assert len(agent.post("/tasks/claim", json={"agent_name": mine}).json()["tasks"]) == 1
    assert advisor.post(f"/tasks/{body['task_id']}/cancel", json={}).status_code == 200


def test_a_purpose_is_asked_of_those_who_audit(door: Door) -> None:
    """Compliance and auditors say why they look at personal data, and only there."""
    for role in ("compliance", "auditor"):
        caller = door.somebody(role)
        for route, need in ROUTES.items():
            if need.personal:
                fault = problem(ask(caller, route), "invalid-request")["errors"]
                assert {"parameter": "Fidelog-Purpose"}.items() <= fault[0].items(), route
    assert door.somebody("advisor").get("/tasks").status_code == 200
    bad = door.somebody("auditor", fidelog_purpose="x" * 201)
    problem(bad.get("/audit/events"), "invalid-request")


def test_what_an_agent_may_not_create_is_refused_before_what_is_wrong_with_it(door: Door) -> None:
    """403 comes before 422, also for a task of another agent."""
    agent = door.somebody("agent", actor="agent:reb")
    body = task_body("client-nobody", "other", priority=9)
    problem(agent.post("/tasks", json=body), "forbidden")
    problem(agent.post("/tasks", json={**body, "agent_name": "reb"}), "invalid-request")
