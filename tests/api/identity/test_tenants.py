"""P9: a tenant's data is invisible to every other, over HTTP and in PostgreSQL itself: nothing read, written or told."""

from __future__ import annotations

import re
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from api.identity.roles import ROLES, ROUTES
from eventstore.database import LOGINS, Login
from tests.api.conftest import client_body, fresh_agent, fresh_client, task_body
from tests.api.identity.conftest import HOME, OTHER, Door

EVERY_ROLE = tuple(role for role in ROLES if role != "agent")
SECRET = "Zoë Quartzfeld"


@pytest.fixture(scope="module")
def theirs(door: Door) -> dict[str, str]:
    """What the other tenant has: a client, a claimed task, a key."""
    caller = door.somebody(*EVERY_ROLE, actor="user:them", tenant=OTHER, fidelog_purpose="own")
    client_id, agent_name = fresh_client(), fresh_agent()
    body = client_body(client_id, full_name=SECRET)
    written = caller.post("/clients", json=body)
    task = task_body(client_id, agent_name)
    assert caller.post("/tasks", json=task).status_code == 201
    (claimed,) = caller.post("/tasks/claim", json={"agent_name": agent_name}).json()["tasks"]
    return {
        "client_id": client_id, "task_id": task["task_id"], "agent_name": agent_name, "position": "6",
        "tenant": OTHER, "bundle": "000.p/1",
        "claim_token": claimed["claim_token"], "etag": written.headers["etag"],
        "key_id": door.key("agent:theirs", "agent", tenant=OTHER).key_id, "hold_id": "m-1",
    }  # fmt: skip


def asked(caller: httpx.Client, route: str, names: dict[str, str]) -> httpx.Response:
    """The route, about what `names` names."""
    method, path = route.split(" ")
    token = {"claim_token": names["claim_token"]}
    bodies: dict[str, dict[str, Any]] = {
        "POST /clients": client_body(fresh_client()),
        "POST /tasks": task_body(names["client_id"], names["agent_name"]),
        "POST /tasks/claim": {"agent_name": names["agent_name"]},
        "POST /tasks/{task_id}/result": {**token, "result": {}},
        "POST /tasks/{task_id}/failure": {**token, "error": "x"},
        "POST /tasks/{task_id}/release": token,
        "POST /tasks/{task_id}/cancel": {},
        "POST /clients/{client_id}/holds": {"hold_id": "m-1", "reason": "x"},
        "POST /clients/{client_id}/holds/{hold_id}/lift": {"reason": "x"},
        "POST /clients/{client_id}/retention": {"record_class": "account", "counts_from": "2026-01-31"},
        "POST /clients/{client_id}/erasure": {"legal_basis": "x"},
        "POST /clients/{client_id}/erasure/approval": {},
        "POST /clients/{client_id}/erasure/withdrawal": {},
        "POST /admin/keys": {"replaces": names["key_id"]},
    }
    return caller.request(method, path.format(**names), json=bodies.get(route))


def comparable(answer: httpx.Response, names: dict[str, str]) -> tuple[int, str]:
    """Status and text, without what was asked about and what differs from call to call."""
    text = re.sub(r'"correlation_id":"[^"]*",?', "", answer.text)
    for name, value in names.items():
        if name not in ("position", "bundle"):  # digits stand in many places
            text = text.replace(value, name)
    return answer.status_code, text


def test_every_route_says_of_anothers_what_it_says_of_nothing(door: Door, theirs: dict[str, str]) -> None:
    """The same answer, to the byte, as for ids that nobody has."""
    caller = door.somebody(*EVERY_ROLE, actor="user:us", fidelog_purpose="curious")
    nothing = {
        "client_id": "client-nowhere", "task_id": "550e8400-e29b-41d4-a716-44665544ffff", "agent_name": "agent_nowhere",
        "claim_token": "550e8400-e29b-41d4-a716-44665544eeee", "key_id": "zzzzzzzz", "tenant": "nobody",
    }  # fmt: skip
    for route, need in ROUTES.items():
        if (
            need.public
            or "position" in route
            or route in ("GET /audit/events", "GET /audit/export", "GET /metrics", "GET /admin/keys")
        ):
            continue
        about_theirs = asked(caller, route, theirs)
        about_nothing = asked(caller, route, {**theirs, **nothing})
        assert SECRET not in about_theirs.text
        if route != "POST /clients":
            assert comparable(about_theirs, theirs) == comparable(about_nothing, {**theirs, **nothing}), route
    for path in ("/tasks", "/audit/events"):
        query = {"client_id": theirs["client_id"]}
        assert next(iter(caller.get(path, params=query).json().values())) == []
    for path in ("/tasks", "/audit/events", "/admin/keys", "/readyz"):
        text = caller.get(path, params={"limit": 500} if path in ("/tasks", "/audit/events") else {}).text
        assert all(theirs[name] not in text for name in ("client_id", "task_id", "agent_name", "key_id")), path
        assert SECRET not in text


def test_nothing_of_theirs_was_changed(door: Door, theirs: dict[str, str]) -> None:
    """After all that was tried their client and task are as they were, and the same ids may be used by us."""
    caller = door.somebody(*EVERY_ROLE, actor="user:them", tenant=OTHER, fidelog_purpose="own")
    assert caller.get(f"/clients/{theirs['client_id']}").json()["full_name"] == SECRET
    assert caller.get(f"/clients/{theirs['client_id']}").headers["etag"] == theirs["etag"]
    assert caller.get(f"/tasks/{theirs['task_id']}").json()["status"] == "claimed"
    ours = door.somebody("advisor", actor="user:us")
    assert ours.post("/clients", json=client_body(theirs["client_id"], full_name="Amina Patel")).status_code == 200
    assert caller.get(f"/clients/{theirs['client_id']}").json()["full_name"] == SECRET
    assert ours.get(f"/clients/{theirs['client_id']}").json()["full_name"] == "Amina Patel"


def test_an_idempotency_key_is_its_tenants_own(door: Door) -> None:
    """Same actor, same key, same request in two tenants: two events."""
    body = client_body(fresh_client())
    for tenant in (HOME, OTHER):
        caller = door.somebody("advisor", actor="user:same", tenant=tenant, idempotency_key="one")
        answer = caller.post("/clients", json=body)
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers


def test_no_part_of_a_request_names_a_tenant(door: Door, theirs: dict[str, str]) -> None:
    """Bodies, queries and headers that try are refused or mean nothing."""
    caller = door.somebody("advisor", actor="user:us")
    for request in (
        caller.build_request("GET", "/tasks", params={"tenant": OTHER}),
        caller.build_request("POST", "/clients", json={**client_body(fresh_client()), "tenant_id": OTHER}),
    ):
        assert caller.send(request).status_code == 422
    headers = {"fidelog-tenant": OTHER, "x-tenant-id": OTHER}
    assert caller.get(f"/tasks/{theirs['task_id']}", headers=headers).status_code == 404


def tables(url: str) -> list[tuple[str, str]]:
    """Every table and view of the schema that has a tenant, with the logins that may read it."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """SELECT c.relname, r.rolname FROM pg_class AS c
               JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
               CROSS JOIN pg_roles AS r
               WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind IN ('r', 'v')
                 AND r.rolname IN ('fidelog_writer', 'fidelog_reader', 'fidelog_keeper', 'fidelog_sealer')
                 AND has_table_privilege(r.oid, c.oid, 'SELECT') ORDER BY 1, 2"""
        ).fetchall()


def test_every_table_hides_anothers_rows_from_every_login(door: Door, theirs: dict[str, str]) -> None:
    """Row-level security: as our tenant, as none and as one that does not exist, not one of their rows is seen, and none
    can be written in their name."""
    database, seen = door.api.backend.database, set()
    for table, role in tables(door.superuser_url):
        login: Login = next(login for login in LOGINS if f"fidelog_{login}" == role)
        with psycopg.connect(database.url(login), autocommit=True) as connection:
            count = sql.SQL("SELECT count(*) FROM fidelog.{} WHERE tenant_id = {}").format(
                sql.Identifier(table), sql.Literal(OTHER)
            )
            for tenant in (HOME, "", "nobody"):
                connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (tenant,))
                assert connection.execute(count).fetchone() == (0,), (table, role, tenant)
            connection.execute("RESET ALL")
            assert connection.execute(count).fetchone() == (0,), (table, role)
            connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (OTHER,))
            (own,) = connection.execute(count).fetchone() or (0,)
            seen.add((table, own > 0))
    assert {("events", True), ("client_profiles", True), ("administration", True)} <= seen


def test_no_login_writes_in_anothers_name(door: Door) -> None:
    """An INSERT with another tenant's id is refused by policy, for every table a login may insert into."""
    with psycopg.connect(door.superuser_url) as connection:
        found = connection.execute(
            """SELECT c.relname, r.rolname FROM pg_class AS c CROSS JOIN pg_roles AS r
               WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations'
                 AND r.rolname IN ('fidelog_writer', 'fidelog_reader', 'fidelog_keeper', 'fidelog_sealer')
                 AND has_table_privilege(r.oid, c.oid, 'INSERT') ORDER BY 1, 2"""
        ).fetchall()
    assert ("events", "fidelog_writer") in found
    for table, role in found:
        login: Login = next(login for login in LOGINS if f"fidelog_{login}" == role)
        with psycopg.connect(door.api.backend.database.url(login), autocommit=True) as connection:
            connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (HOME,))
            row = sql.SQL("INSERT INTO fidelog.{} SELECT (json_populate_record(NULL::fidelog.{}, {})).*").format(
                sql.Identifier(table), sql.Identifier(table), sql.Literal(f'{{"tenant_id": "{OTHER}"}}')
            )
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.NotNullViolation)) as refused:
                connection.execute(row)
            if isinstance(refused.value, psycopg.errors.InsufficientPrivilege):
                assert "row-level security" in str(refused.value)


def test_every_table_with_a_tenant_has_row_level_security(door: Door) -> None:
    """None is forgotten."""
    with psycopg.connect(door.superuser_url) as connection:
        bare = connection.execute(
            """SELECT c.relname FROM pg_class AS c
               JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
               WHERE c.relnamespace = 'fidelog'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity"""
        ).fetchall()
    assert bare == []
