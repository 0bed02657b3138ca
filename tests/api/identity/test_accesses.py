"""Who was shown personal data, and who was refused, is on record: before they are answered, for a list soon after."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from api.identity import accesses as accesses_module
from api.identity.roles import ROUTES
from domain.administration import NAMING
from eventstore.proof.tiles import Tile
from eventstore.sealing.serving import Bundle, TiledLog
from projections.codec import EVENT_TYPES
from projections.trail import Filters
from tests.api.conftest import client_body, fresh_agent, fresh_client, task_body
from tests.api.identity.conftest import Door
from tests.sealed import edge, sealed_size
from tests.waiting import until

WAITING = """SELECT count(*)::int FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def accesses(door: Door, client_id: str) -> list[dict[str, Any]]:
    """What the log holds of reads of the client, in order."""
    officer = door.somebody("compliance", actor="user:officer", fidelog_purpose="looking")
    head = officer.get("/audit/events", params={"order": "desc", "limit": 1}).json()["events"][0]["position"]
    query: dict[str, str | int] = {"client_id": client_id, "type": "PersonalDataRead", "at_least": head}
    found: list[dict[str, Any]] = officer.get("/audit/events", params=query).json()["events"]
    return found


@pytest.fixture
def story(door: Door) -> dict[str, str]:
    """A client with a task."""
    advisor = door.somebody("advisor", actor="user:ada")
    client_id, agent_name = fresh_client(), fresh_agent()
    written = advisor.post("/clients", json=client_body(client_id))
    body = task_body(client_id, agent_name)
    assert advisor.post("/tasks", json=body).status_code == 201
    position = written.headers["fidelog-position"]
    return {
        "client_id": client_id, "task_id": body["task_id"], "position": position, "tenant": "default",
        "bundle": edge(sealed_size(door.caller(), int(position))), "agent_name": agent_name,
    }  # fmt: skip


def test_every_read_of_personal_data_is_recorded(door: Door, story: dict[str, str]) -> None:
    """Route, whose data, who, why: for each route that the table says shows personal data."""
    reader = door.somebody("compliance", actor="user:eve", fidelog_purpose="case 7")
    before = len(accesses(door, story["client_id"]))
    personal = [route for route, need in ROUTES.items() if need.personal]
    for route in personal:
        path = route.split(" ")[1].format(**story)
        listed = path in ("/tasks", "/audit/events")
        answer = reader.get(path, params={"client_id": story["client_id"]} if listed else {})
        assert answer.status_code == 200, (route, answer.text)

    def recorded() -> list[dict[str, Any]]:
        return [event for event in accesses(door, story["client_id"])[before:] if event["actor"] == "user:eve"]

    until("the lists are recorded too", lambda: len(recorded()) >= len(personal))
    events = recorded()
    assert sorted(event["data"]["route"] for event in events) == sorted(personal)
    for event in events:
        assert event["data"]["purpose"] == "case 7"
        assert story["client_id"] in event["data"]["clients"]
        assert event["stream"] == "log-access"


def test_no_key_is_looked_up_for_a_record_of_who_was_read(door: Door, story: dict[str, str]) -> None:
    """It names many people and holds no value of theirs; what does hold one is opened."""
    assert door.somebody("advisor", actor="user:eve").get(f"/clients/{story['client_id']}").status_code == 200
    assert accesses(door, story["client_id"]), "waits for the index"
    keys = {}
    for type_name in ("PersonalDataRead", "ClientOnboarded"):
        filters = Filters(client_id=story["client_id"], types=(type_name,))
        page = door.api.run(partial(door.api.backend.trail.page, "default", filters, "asc"))
        assert page.events
        keys[type_name] = len(page.keys)
    assert keys == {"PersonalDataRead": 0, "ClientOnboarded": 1}


def test_reading_the_records_is_not_recorded_about_everybody_they_name(door: Door, story: dict[str, str]) -> None:
    """Or each reading of the newest would append records as long, to be read the next time. Who asks about one client is
    recorded about that one."""
    advisor, other = door.somebody("advisor", actor="user:ada"), fresh_client()
    assert advisor.post("/clients", json=client_body(other)).status_code == 200
    body = task_body(other, story["agent_name"])
    assert advisor.post("/tasks", json=body).status_code == 201
    agents = {"agent_name": story["agent_name"]}
    assert len(door.somebody("advisor", actor="user:eve").get("/tasks", params=agents).json()["tasks"]) == 2
    (record,) = until("both are recorded", lambda: [one for one in accesses(door, other) if one["actor"] == "user:eve"])
    assert set(record["data"]["clients"]) == {story["client_id"], other}

    reader = door.somebody("compliance", actor="user:reader", fidelog_purpose="case 9")
    asked = {"type": "PersonalDataRead", "order": "desc"}
    assert reader.get("/audit/events", params=asked).json()["events"]
    assert reader.get(f"/audit/events/{record['position']}").json()["data"] == record["data"]
    last = reader.get("/audit/events", params={**asked, "client_id": other})
    assert {other, story["client_id"]} <= {name for event in last.json()["events"] for name in event["subjects"]}

    def read() -> list[list[str]]:
        return [event["data"]["clients"] for event in accesses(door, other) if event["actor"] == "user:reader"]

    until("the one read about a client is recorded", read)
    assert read() == [[other]]
    assert "user:reader" not in {event["actor"] for event in accesses(door, story["client_id"])}


def test_entries_show_whom_more_than_such_records_name(door: Door, story: dict[str, str]) -> None:
    """The types that only name are told; were all of them such, a bundle would show nobody."""
    backend, tile = door.api.backend, Tile.parse(f"tile/entries/{story['bundle']}")
    origin = backend.logs.current("default").origin

    def shown(naming: Collection[str]) -> list[str]:
        found: Bundle | None = door.api.run(partial(TiledLog(backend.reader, naming).bundle, "default", origin, tile))
        assert found is not None
        return found.subjects

    assert story["client_id"] in shown(NAMING)
    assert shown(EVENT_TYPES) == []


def test_the_answer_waits_for_the_record(door: Door, story: dict[str, str]) -> None:
    """While the record cannot be written, because another holds the tenant's lock, nothing is shown."""
    reader = door.somebody("advisor", actor="user:eve")
    with psycopg.connect(door.superuser_url) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = 'default' FOR NO KEY UPDATE")
        asked = threads.submit(reader.get, f"/clients/{story['client_id']}")
        with psycopg.connect(door.superuser_url, autocommit=True) as watcher:
            until("the record waits", lambda: watcher.execute(WAITING).fetchone() == (1,))
        assert not asked.done()
        holder.rollback()
        assert asked.result().status_code == 200
    assert "user:eve" in {event["actor"] for event in accesses(door, story["client_id"])}


def test_a_list_of_several_people_does_not_wait_for_its_record_but_within_a_bound(
    door: Door, story: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event with all of them, under way when they are shown, durable soon. When too many are under way, or one
    person's data is shown, the answer waits; and once the database is back all are on record."""
    monkeypatch.setattr(accesses_module, "LATE_LISTS", 2)
    advisor, reader = door.somebody("advisor", actor="user:ada"), door.somebody("compliance", actor="user:lister")
    reader.headers["fidelog-purpose"] = "case 8"
    other, agent_name = fresh_client(), fresh_agent()
    assert advisor.post("/clients", json=client_body(other)).status_code == 200
    for client_id in (story["client_id"], other):
        assert advisor.post("/tasks", json=task_body(client_id, agent_name)).status_code == 201
    asked = {"agent_name": agent_name}
    with psycopg.connect(door.superuser_url) as holder, ThreadPoolExecutor(2) as threads:
        holder.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = 'default' FOR NO KEY UPDATE")
        assert [reader.get("/tasks", params=asked).status_code for _ in range(2)] == [200, 200]
        third = threads.submit(reader.get, "/tasks", params=asked)
        alone = threads.submit(reader.get, f"/clients/{other}/tasks")
        with psycopg.connect(door.superuser_url, autocommit=True) as watcher:
            until("the records wait", lambda: watcher.execute(WAITING).fetchone() == (1,))
        assert not third.done()
        assert not alone.done()
        holder.rollback()
        assert [third.result().status_code, alone.result().status_code] == [200, 200]

    def of(route: str) -> list[set[str]]:
        read = [event["data"] for event in accesses(door, other) if event["actor"] == "user:lister"]
        return [set(data["clients"]) for data in read if data["route"] == route]

    until("all three lists are recorded", lambda: len(of("GET /tasks")) == 3)
    assert of("GET /tasks") == [{story["client_id"], other}] * 3
    assert of("GET /clients/{client_id}/tasks") == [{other}]


def test_a_list_waits_when_a_record_is_under_way_for_too_long(
    door: Door, story: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second after a list was shown without its record, and that is not durable yet, the next one waits for its own."""
    advisor, reader = (
        door.somebody("advisor"),
        door.somebody("compliance", actor="user:later", fidelog_purpose="case 9"),
    )
    other, agent_name = fresh_client(), fresh_agent()
    assert advisor.post("/clients", json=client_body(other)).status_code == 200
    for client_id in (story["client_id"], other):
        assert advisor.post("/tasks", json=task_body(client_id, agent_name)).status_code == 201
    gate, now = door.api.backend._gate, time.monotonic()
    assert gate is not None
    asked = {"agent_name": agent_name}
    monkeypatch.setattr(gate._accesses, "_clock", lambda: now)
    with psycopg.connect(door.superuser_url) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = 'default' FOR NO KEY UPDATE")
        assert reader.get("/tasks", params=asked).status_code == 200
        now += accesses_module.LATE_SECONDS
        assert reader.get("/tasks", params=asked).status_code == 200
        now += 0.1
        third = threads.submit(reader.get, "/tasks", params=asked)
        assert not wait([third], 0.3).done
        holder.rollback()
        assert third.result().status_code == 200


def test_what_shows_nothing_is_not_recorded(door: Door, story: dict[str, str]) -> None:
    """Not found, not modified, refused: nobody saw anything."""
    reader = door.somebody("advisor", actor="user:eve")
    found = reader.get(f"/clients/{story['client_id']}")
    before = len(accesses(door, story["client_id"]))
    assert reader.get("/clients/nobody").status_code == 404
    unchanged = reader.get(f"/clients/{story['client_id']}", headers={"if-none-match": found.headers["etag"]})
    assert unchanged.status_code == 304
    assert door.somebody("operator").get(f"/clients/{story['client_id']}").status_code == 403
    events = accesses(door, story["client_id"])[before:]
    assert [event for event in events if event["actor"] != "user:officer"] == []


def refusals(door: Door, actor: str) -> list[tuple[str, int, str]]:
    """What the log holds of refusals of the actor."""
    officer = door.somebody("compliance", fidelog_purpose="looking")
    query: dict[str, str | int] = {"stream": "log-access", "order": "desc", "limit": 200}
    events = officer.get("/audit/events", params=query).json()["events"]
    found = [event for event in events if event["type"] == "AccessRefused" and event["actor"] == actor]
    return [(event["data"]["route"], event["data"]["status"], event["data"]["reason"]) for event in reversed(found)]


def test_refusals_are_recorded_once_a_minute_for_a_key_and_a_route(door: Door) -> None:
    """403 with the scope that was missing; 401 of a key that had ended; nothing of who was never known."""
    key = door.key("user:mallory", "operator")
    caller = door.caller(key)
    for _ in range(3):
        assert caller.get("/clients/x").status_code == 403
        assert caller.get("/audit/events").status_code == 403
    door.revoke(key)
    for _ in range(2):
        assert caller.get("/tasks").status_code == 401
    assert httpx.get(f"{door.api.url}/tasks", headers={"authorization": "Bearer nonsense"}).status_code == 401
    assert refusals(door, "user:mallory") == [
        ("GET /clients/{client_id}", 403, "clients:read"),
        ("GET /audit/events", 403, "audit:read"),
        ("GET /tasks", 401, "revoked"),
    ]
