"""A client's timeline: every event about the client, across streams, told in readable lines without personal values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from eventstore.database import Database
from eventstore.records import RecordedEvent
from projections.codec import EVENT_TYPES
from projections.titles import TITLES, title
from tests.api.conftest import FULL_NAME, Caller, client_body, fresh_agent, fresh_client, places, problem
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows
from tests.running import RunningApi


def timeline(caller: Caller, client_id: str, **query: Any) -> list[dict[str, Any]]:
    """The timeline, up to what was written before."""
    answer = caller.http.get(f"/clients/{client_id}/timeline", params={"at_least": caller.head(), **query})
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


def test_a_clients_story_is_told_in_titles(caller: Caller) -> None:
    """Its own stream and its tasks', in order; the title is each event's last key, the rest is as in the audit trail."""
    client_id, agent_name = fresh_client(), fresh_agent()
    caller.post("/clients", client_body(client_id, risk_profile="moderately_conservative"))
    task_id = caller.task(agent_name, client_id, priority=2)
    caller.task(agent_name)
    answer = caller.post(
        "/tasks/claim", {"agent_name": agent_name, "lease_seconds": 90}, fidelog_actor=f"agent:{agent_name}@2"
    )
    token = answer.json()["tasks"][0]["claim_token"]
    caller.post(f"/tasks/{task_id}/result", {"claim_token": task_id, "result": {}}, fidelog_actor="user:eve")
    caller.post(
        f"/tasks/{task_id}/result", {"claim_token": token, "result": {"x": 1}}, fidelog_actor=f"agent:{agent_name}"
    )
    caller.post("/clients", client_body(client_id, risk_profile="growth"))
    caller.post("/clients", client_body(client_id, risk_profile="growth"))
    events = timeline(caller, client_id)
    assert [event["title"] for event in events] == [
        "Client onboarded with risk profile moderately conservative",
        f"Task created for {agent_name}, priority 2",
        f"Task claimed by agent:{agent_name}@2, attempt 1, for 90 seconds",
        "Result by user:eve rejected: attempt 1 is the newest",
        f"Task completed by agent:{agent_name}, attempt 1",
        "Client profile updated, risk profile growth",
        "Client profile confirmed, risk profile growth",
    ]
    for event in events:
        assert list(event)[-1] == "title"
        del event["title"]
        assert caller.http.get(f"/audit/events/{event['position']}").json() == event
    assert events[0]["data"]["full_name"] == FULL_NAME


def test_the_timeline_takes_the_filters_of_the_trail(caller: Caller) -> None:
    """All but client_id, which stands in the path; cursor and Link stay on the timeline."""
    client_id = caller.client()
    for _ in range(5):
        caller.task(client_id=client_id)
    created = timeline(caller, client_id, type="TaskCreated", order="desc")
    assert [event["type"] for event in created] == ["TaskCreated"] * 5
    first = caller.http.get(f"/clients/{client_id}/timeline?type=TaskCreated&order=desc&limit=2")
    url = first.headers["link"].removeprefix("<").partition(">")[0]
    assert url.startswith(f"/clients/{client_id}/timeline?type=TaskCreated&order=desc&limit=2&cursor=")
    assert caller.http.get(url).json()["events"] == created[2:4]
    refused = caller.http.get(f"/clients/{client_id}/timeline?client_id=c")
    assert places(problem(refused, "invalid-request")) == {"client_id"}
    other = caller.client()
    cursor = first.json()["next_cursor"]
    refused = caller.http.get(f"/clients/{other}/timeline?type=TaskCreated&order=desc&cursor={cursor}")
    assert places(problem(refused, "invalid-request")) == {"cursor"}


def test_an_unknown_client_has_no_timeline(caller: Caller) -> None:
    """404, also with a filter that nothing matches; a name that cannot be is 422."""
    problem(caller.http.get("/clients/nobody/timeline"), "client-not-found")
    problem(caller.http.get("/clients/-/timeline"), "invalid-request")


def test_an_erased_clients_timeline_stays(pg: Cluster, database: Database, fresh: Caller) -> None:
    """200 with the events, their values shown as erased: what was done stays on record."""
    fresh.post("/clients", client_body("c"))
    rows(database, "ALTER TABLE fidelog.client_keys DISABLE TRIGGER USER")
    rows(database, "UPDATE fidelog.client_keys SET wrapped = NULL WHERE subject = 'c'")
    problem(fresh.http.get("/clients/c"), "client-erased")
    (event,) = timeline(fresh, "c")
    assert event["data"]["full_name"] == {"erased": True}
    assert event["title"] == "Client onboarded with risk profile moderate"


DATA = {
    "client_id": "c", "task_id": "t", "agent_name": "advisor", "risk_profile": "growth", "priority": 1, "attempt": 3,
    "lease_seconds": 60, "claim_token": None, "retryable": False, "full_name": {"s": "SEALED"}, "payload": {"s": "SEALED"},
    "result": {"s": "SEALED"}, "error": {"s": "SEALED"}, "reason": {"s": "SEALED"}, "tenant": "acme", "key_id": "k3v9d2ma",
    "actor": "agent:reb", "expires_at": "2027-01-01T00:00:00.000000Z", "route": "GET /tasks", "status": 403,
    "hold_id": "m-1", "record_class": "account", "counts_from": "2026-01-31", "legal_basis": "GDPR 17", "action": "approval",
    "cause": "legal-hold", "requested_by": "user:olga", "position": 41, "count": 3, "differences": ["a trigger is off"],
    "sha256": "0" * 64, "kind": "full", "verdict": "verified",
    "old_origin": "example.com/a", "new_origin": "example.com/a/2",
}  # fmt: skip


@pytest.fixture
def event(api: RunningApi, fresh: Caller) -> RecordedEvent:
    """Any recorded event."""
    fresh.post("/clients", client_body("c"))
    found: RecordedEvent = api.run(lambda: api.backend.trail.event("default", 1))
    return found


@pytest.mark.parametrize("kind", sorted(set(EVENT_TYPES) | set(TITLES)))
def test_every_event_type_has_a_title(event: RecordedEvent, kind: str) -> None:
    """A type added without a title fails here. Titles are made of open members, and never fail on others."""
    assert kind in TITLES
    told = title(replace(event, type=kind, data=orjson.dumps(DATA)))
    assert told != title(replace(event, type=kind, data=b"{}")) or kind in {"TaskCancelled", "ErasureWithdrawn"}
    assert told[0].isupper()
    assert "SEALED" not in told
    assert "None" not in told
    for odd in (b"{}", b"[]", b'{"risk_profile": 7}', b'"text"', b"null"):
        assert title(replace(event, type=kind, data=odd))


def test_an_unknown_type_is_told_by_its_name(event: RecordedEvent) -> None:
    """What a newer process wrote is shown too."""
    assert title(replace(event, type="MandateSignedTwice")) == "Mandate signed twice"


def test_types_this_code_does_not_know_are_shown(pg: Cluster, database: Database, fresh: Caller) -> None:
    """Trail, single event and timeline answer them as stored: reading the record never depends on knowing it."""
    fresh.post("/clients", client_body("c"))
    with_columns = (
        "INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,"
        " subjects, actor, command_id, correlation_id, recorded_at) VALUES ('default', 2, 1, 'mandate-m', 1,"
        " gen_random_uuid(), 'MandateSigned', 3, '{\"a\": [1]}', '{c}', 'user:x', gen_random_uuid(), 'x', now())"
    )
    rows(database, with_columns)
    single = fresh.http.get("/audit/events/2").json()
    assert (single["type"], single["data"]) == ("MandateSigned", {"a": [1]})
    assert timeline(fresh, "c")[1] == {**single, "title": "Mandate signed"}
    assert fresh.events()[1] == single
