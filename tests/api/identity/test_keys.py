"""API keys: who has none is nobody; one that ended is none; one proves its holder in its own tenant only."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from api.identity import keys
from api.identity.directory import FRESH_SECONDS
from tests.api.conftest import client_body, fresh_client, problem
from tests.api.identity.conftest import OTHER, Door
from tests.running import running_api
from tests.waiting import until


def refused(response: httpx.Response) -> dict[str, Any]:
    """401, with the challenge that RFC 6750 asks for."""
    content = problem(response, "unauthenticated")
    assert response.headers["www-authenticate"].startswith('Bearer realm="fidelog"')
    return content


def onboard(caller: httpx.Client) -> httpx.Response:
    return caller.post("/clients", json=client_body(fresh_client()))


def test_a_key_proves_who_acts(door: Door) -> None:
    """The actor of the event is the key's, whatever the body says."""
    written = onboard(door.somebody("advisor", actor="user:ada"))
    assert written.status_code == 200
    event = door.somebody("compliance", fidelog_purpose="test").get(
        f"/audit/events/{written.headers['fidelog-position']}"
    )
    assert event.json()["actor"] == "user:ada"


def test_without_a_credential_nobody_comes_in(door: Door) -> None:
    """Loopback or not: this service does not have a local operator."""
    assert "error=" not in door.caller().get("/tasks").headers["www-authenticate"]
    refused(door.caller().get("/tasks"))
    refused(onboard(door.caller()))


@pytest.mark.parametrize(
    "credential",
    ["fdl_", "fdl_abcdefgh_", f"fdl_abcdefgh_{'A' * 43}", f"fdl_ABCDEFGH_{'A' * 43}", "é", "a b", "x" * 9_000],
)
def test_what_is_no_key_is_refused(door: Door, credential: str) -> None:
    """Malformed, unknown, too long, of other characters: 401 and nothing else."""
    with httpx.Client(base_url=door.api.url) as caller:
        value = b"Bearer " + credential.encode()
        refused(caller.get("/tasks", headers=[(b"authorization", value)]))


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "fdl_abcdefgh_x", ""])
def test_other_schemes_are_refused(door: Door, header: str) -> None:
    """Only bearer credentials are known."""
    with httpx.Client(base_url=door.api.url) as caller:
        refused(caller.get("/tasks", headers={"authorization": header}))


def test_a_changed_secret_is_refused(door: Door) -> None:
    """The name of a key is no secret, so it proves nothing."""
    key = door.key("user:ada", "advisor")
    other = keys.ApiKey(key.key_id, keys.draw().secret)
    assert door.caller(key).get("/tasks").status_code == 200
    refused(door.caller(other).get("/tasks"))


def test_a_revoked_key_is_refused_and_told_so(door: Door) -> None:
    """It ends at once where it was revoked."""
    key = door.key("user:ada", "advisor")
    assert door.caller(key).get("/tasks").status_code == 200
    door.revoke(key)
    assert refused(door.caller(key).get("/tasks"))["detail"] == "The API key is revoked"


def test_an_expired_key_is_refused(door: Door) -> None:
    """Its last second is its last."""
    key = door.key("user:ada", "advisor", seconds=1)
    caller = door.caller(key)
    until("it expires", lambda: caller.get("/tasks").status_code != 200)
    assert refused(caller.get("/tasks"))["detail"] == "The API key is expired"


def test_another_process_refuses_a_revoked_key_within_a_second(door: Door) -> None:
    """No process believes what it knew of keys for longer than that."""
    key = door.key("user:ada", "advisor")
    with running_api(door.api.backend.settings) as second:
        there = second.client
        there.headers["authorization"] = f"Bearer {key}"
        assert there.get("/tasks").status_code == 200
        door.revoke(key)
        revoked, status = time.monotonic(), 200
        while status == 200:
            asked = time.monotonic()
            status = there.get("/tasks").status_code
        assert status == 401
        assert asked - revoked < FRESH_SECONDS + 0.2


def test_a_rotated_key_holds_on_for_the_overlap(door: Door) -> None:
    """Both work; then only the new one, with actor and roles of the old."""
    admin = door.somebody("operator", actor="user:olga")
    old = door.key("agent:reb", "agent")
    given = admin.post("/admin/keys", json={"replaces": old.key_id, "overlap_seconds": 1}).json()
    assert (given["actor"], given["roles"], given["replaces"]) == ("agent:reb", ["agent"], old.key_id)
    new = door.caller(given["key"])
    assert new.get("/tasks").status_code == 200
    caller = door.caller(old)
    until("the old one ends", lambda: caller.get("/tasks").status_code != 200)
    assert new.get("/tasks").status_code == 200


def test_keys_are_administered_over_http(door: Door) -> None:
    """Issued once with its secret, listed without, revoked; every step an event on log-admin."""
    admin = door.somebody("operator", actor="user:olga")
    issued = admin.post("/admin/keys", json={"actor": "agent:reb@2", "roles": ["agent"], "valid_seconds": 60})
    assert issued.status_code == 201
    key = issued.json()
    assert keys.parse(key["key"]) is not None
    listed = {one["key_id"]: one for one in admin.get("/admin/keys").json()["keys"]}
    assert listed[key["key_id"]]["status"] == "active"
    assert {one["actor"]: one["kind"] for one in listed.values()}.items() >= {
        ("agent:reb@2", "algorithm"), ("user:olga", "natural person"),
    }  # fmt: skip
    assert key["key"] not in admin.get("/admin/keys").text
    assert admin.delete(f"/admin/keys/{key['key_id']}").json() == {"key_id": key["key_id"], "status": "revoked"}
    again = problem(
        admin.delete(f"/admin/keys/{key['key_id']}"),
        "wrong-state",
    )
    assert again["key_status"] == "revoked"
    problem(admin.delete("/admin/keys/abcdefgh"), "not-found")
    problem(admin.post("/admin/keys", json={"replaces": "abcdefgh"}), "not-found")
    officer = door.somebody("compliance", fidelog_purpose="test")
    events = officer.get("/audit/events", params={"stream": "log-admin", "order": "desc", "limit": 20}).json()["events"]
    of_key = [event["type"] for event in events if event["data"].get("key_id") == key["key_id"]]
    assert of_key == ["ApiKeyRevoked", "ApiKeyIssued"]
    assert key["key"] not in str(events)


def test_a_repeat_does_not_show_the_key_again(door: Door) -> None:
    """The same request is the same key, which is shown once; nothing is issued twice."""
    admin = door.somebody("operator", actor="user:olga", idempotency_key="issue-1")
    body = {"actor": "agent:reb", "roles": ["agent"]}
    first, second = (admin.post("/admin/keys", json=body) for _ in range(2))
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == {**first.json(), "key": None}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"actor": "agent:x"}, {"roles": ["agent"]}, {"actor": "system:x", "roles": ["agent"]},
        {"actor": "agent:x", "roles": []}, {"actor": "agent:x", "roles": ["root"]},
        {"actor": "agent:x", "roles": ["agent"], "valid_seconds": 0}, {"replaces": "x"},
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_is_refused(door: Door, body: dict[str, Any]) -> None:
    """422 says what is wrong."""
    problem(door.somebody("operator").post("/admin/keys", json=body), "invalid-request")


def test_a_key_of_another_tenant_is_not_known_there(door: Door) -> None:
    """Nothing tells whether a key exists in another tenant."""
    key = door.key("agent:x", "agent", tenant=OTHER)
    admin = door.somebody("operator")
    theirs, nobodys = (problem(admin.delete(f"/admin/keys/{name}"), "not-found") for name in (key.key_id, "zzzzzzzz"))
    assert {**theirs, "correlation_id": "", "instance": ""} == {**nobodys, "correlation_id": "", "instance": ""}
    assert key.key_id not in admin.get("/admin/keys").text
    assert door.caller(key).get("/tasks").status_code == 200


def test_who_is_proven_is_not_talked_away(door: Door) -> None:
    """Fidelog-Actor may only add an agent's version to what the credential proves."""
    agent = door.key("agent:reb", "agent")
    for stated in ("agent:other", "user:ada", "agent:reb2@1"):
        answer = door.caller(agent, fidelog_actor=stated).get("/tasks")
        assert problem(answer, "invalid-request")["errors"][0]["parameter"] == "Fidelog-Actor"
    assert door.caller(agent, fidelog_actor="agent:reb@7").get("/tasks").status_code == 200
    fixed = door.key("agent:reb@1", "agent")
    assert door.caller(fixed, fidelog_actor="agent:reb@2").get("/tasks").status_code == 422


def test_a_delegated_call_names_whom_it_is_for(door: Door) -> None:
    """The actor stays the proven one; on_behalf_of stands beside it."""
    caller = door.somebody("advisor", actor="user:ada", fidelog_on_behalf_of="user:chief")
    written = onboard(caller)
    officer = door.somebody("compliance", fidelog_purpose="test")
    event = officer.get(f"/audit/events/{written.headers['fidelog-position']}").json()
    assert (event["actor"], event["on_behalf_of"]) == ("user:ada", "user:chief")
    problem(onboard(door.somebody("advisor", fidelog_on_behalf_of="agent:x")), "invalid-request")


def test_last_use_is_written_down(door: Door) -> None:
    """Some seconds late, by the watch."""
    key = door.key("user:ada", "advisor")
    assert door.caller(key).get("/tasks").status_code == 200
    backend = door.api.backend
    backend._uses_saved = float("-inf")
    admin = door.somebody("operator")

    def last_used_at() -> str | None:
        listed = {one["key_id"]: one for one in admin.get("/admin/keys").json()["keys"]}
        found: str | None = listed[key.key_id]["last_used_at"]
        return found

    until("its use is written down", last_used_at)
