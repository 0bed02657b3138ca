"""The audit trail: events as recorded, listed completely and without repeats, one by one by position."""

from __future__ import annotations

import base64
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import FULL_NAME, Caller, client_body, fresh_client, places, problem

KEYS = [
    "actor", "causation_id", "command_id", "correlation_id", "data", "effective_at", "event_id", "idempotency_key",
    "on_behalf_of", "position", "recorded_at", "request_hash", "schema_version", "stream", "subjects", "type", "version",
]  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HASH = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture(scope="module")
def filled(caller: Caller) -> Caller:
    """A log of at least 30 events."""
    client_id = caller.client()
    for _ in range(12):
        caller.task(client_id=client_id)
        caller.claimed()
    return caller


def test_an_event_has_every_key_in_order(caller: Caller) -> None:
    """The leaf's members without format and tenant, in the leaf's order, personal values opened."""
    client_id = fresh_client()
    answer = caller.post("/clients", client_body(client_id), idempotency_key="shape", fidelog_correlation_id="why")
    event = caller.http.get(f"/audit/events/{answer.headers['fidelog-position']}").json()
    assert list(event) == KEYS
    assert all(UUID.fullmatch(event[name]) for name in ("command_id", "event_id"))
    assert all(HASH.fullmatch(event[name]) for name in ("idempotency_key", "request_hash"))
    assert TIME.fullmatch(event["recorded_at"])
    expected = {
        "actor": "user:local", "causation_id": None, "correlation_id": "why", "effective_at": None, "on_behalf_of": None,
        "data": {"client_id": client_id, "full_name": FULL_NAME, "risk_profile": "moderate"},
        "schema_version": 1, "stream": f"client-{client_id}", "subjects": [client_id], "type": "ClientOnboarded", "version": 1,
    }  # fmt: skip
    assert {name: event[name] for name in expected} == expected


def test_the_list_and_the_single_event_are_equal(filled: Caller) -> None:
    """Whichever way an event is asked for, it is answered alike."""
    for event in filled.events()[:5]:
        assert list(event) == KEYS
        assert filled.http.get(f"/audit/events/{event['position']}").json() == event


def test_positions_are_gapless_and_versions_continue_each_stream(filled: Caller) -> None:
    """1, 2, 3 … in the log and in every stream, times never going back; refusals leave no hole."""
    filled.refused("client-not-found", "POST", "/tasks", json={**TASK, "client_id": "nobody"})
    filled.client()
    events = filled.events(limit=500)
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    versions: dict[str, int] = {}
    for event in events:
        assert event["version"] == versions.get(event["stream"], 0) + 1
        versions[event["stream"]] = event["version"]
    assert [event["recorded_at"] for event in events] == sorted(event["recorded_at"] for event in events)


TASK = {"task_id": "550e8400-e29b-41d4-a716-446655440000", "agent_name": "a", "payload": {}}


@pytest.mark.parametrize("limit", [1, 2, 7, 500])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_are_complete_and_without_repeats(filled: Caller, order: str, limit: int) -> None:
    """Following next_cursor gives every event once, in order, whatever the page's size; the last page has null."""
    everything = list(range(1, filled.head() + 1))
    positions = [event["position"] for event in filled.events(order=order, limit=limit)]
    assert positions == (everything if order == "asc" else everything[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_that_ends_with_the_list_has_no_next(filled: Caller, order: str) -> None:
    """A page as long as the list says that there is nothing more, and has no Link."""
    answer = filled.http.get("/audit/events", params={"limit": filled.head(), "order": order})
    assert (list(answer.json()), answer.json()["next_cursor"]) == (["events", "next_cursor"], None)
    assert "link" not in answer.headers


def test_an_empty_log_has_one_empty_page(fresh: Caller) -> None:
    """No events, no cursor, and no position 1."""
    for order in ("asc", "desc"):
        answer = fresh.http.get(f"/audit/events?order={order}")
        assert (answer.text, "link" in answer.headers) == ('{"events":[],"next_cursor":null}', False)
    problem(fresh.http.get("/audit/events/1"), "event-not-found")


@pytest.mark.parametrize(
    "query", ["limit=2", "limit=3&order=desc", "limit=1&stream=STREAM", "order=desc&limit=1&stream=STREAM"]
)
def test_the_link_header_leads_to_the_next_page(filled: Caller, query: str) -> None:
    """rel=next is the same list, continued where next_cursor continues it."""
    task_id, _ = filled.claimed()
    path = "/audit/events?" + query.replace("STREAM", f"task-{task_id}")
    first = filled.http.get(path)
    link = re.fullmatch(r'<([^>]+)>; rel="next"', first.headers["link"])
    assert link is not None
    by_link = filled.http.get(link[1])
    assert by_link.json() == filled.http.get(f"{path}&cursor={first.json()['next_cursor']}").json()
    assert by_link.json()["events"]


def test_the_default_page_has_100_events(fresh: Caller) -> None:
    """limit defaults to 100, in ascending order; 500 is the most."""
    body = client_body(fresh_client())
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: fresh.post("/clients", body), range(101))} == {200}
    page = fresh.http.get("/audit/events").json()
    assert [event["position"] for event in page["events"]] == list(range(1, 101))
    assert page["next_cursor"] is not None
    assert len(fresh.http.get("/audit/events?limit=500").json()["events"]) == 101


def test_pages_stay_complete_while_events_are_appended(caller: Caller) -> None:
    """Forwards, a reader sees all there was and what came, once each; backwards, exactly what there was."""
    caller.client()
    stop, body = threading.Event(), client_body(fresh_client())

    def append() -> None:
        while not stop.is_set():
            caller.post("/clients", body)

    writer = threading.Thread(target=append)
    head = caller.head()
    writer.start()
    try:
        pages: list[list[int]] = []
        cursor = ""
        while len(pages) < 15:
            page = caller.http.get(f"/audit/events?limit=5{cursor}").json()
            pages.append([event["position"] for event in page["events"]])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        backwards = [event["position"] for event in caller.events(order="desc", limit=10)]
    finally:
        stop.set()
        writer.join(30)
    forwards = [position for page in pages for position in page]
    assert forwards == list(range(1, len(forwards) + 1))
    assert len(forwards) >= min(head, 75)
    assert backwards == list(range(backwards[0], 0, -1))
    assert backwards[0] >= head


BAD_CURSORS = [
    "", "!", "x", "é", "YXNj", "a" * 5000, base64.urlsafe_b64encode(b"asc:x").decode(), base64.urlsafe_b64encode(b"asc:-1").decode(),
    base64.urlsafe_b64encode("asc:٣".encode()).decode(), base64.urlsafe_b64encode(b"asc:1\n").decode(), "%00", "null",
    base64.urlsafe_b64encode(b"asc:" + b"9" * 30).decode(),
]  # fmt: skip


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_a_cursor_nobody_gave_is_refused(caller: Caller, cursor: str) -> None:
    """What is no cursor is 422 at the parameter: not the first page again, and never a failure."""
    content = problem(caller.http.get("/audit/events", params={"cursor": cursor}), "invalid-request")
    assert places(content) == {"cursor"}


def test_a_cursor_of_another_list_is_refused(filled: Caller) -> None:
    """A cursor continues the list it came from; in another order or stream it would silently leave events out."""
    cursor = filled.http.get("/audit/events?limit=20").json()["next_cursor"]
    problem(filled.http.get(f"/audit/events?order=desc&cursor={cursor}"), "invalid-request")
    task_id, _ = filled.claimed()
    problem(filled.http.get(f"/audit/events?stream=task-{task_id}&cursor={cursor}"), "invalid-request")
    of_stream = filled.http.get(f"/audit/events?limit=1&stream=task-{task_id}").json()["next_cursor"]
    problem(filled.http.get(f"/audit/events?cursor={of_stream}"), "invalid-request")
    other, _ = filled.claimed()
    problem(filled.http.get(f"/audit/events?stream=task-{other}&cursor={of_stream}"), "invalid-request")


def test_no_cursor_leads_back_to_the_start(filled: Caller) -> None:
    """Before position 1 there is nothing: a cursor made up to say so is refused or gives an empty page."""
    cursor = base64.urlsafe_b64encode(b"desc:0").decode().rstrip("=")
    answer = filled.http.get(f"/audit/events?order=desc&cursor={cursor}")
    assert answer.status_code == 422 or answer.json() == {"events": [], "next_cursor": None}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_stream_filter_gives_one_stream_completely(filled: Caller, order: str) -> None:
    """Every event of the stream and no other, page by page, in the order of its versions."""
    task_id, token = filled.claimed()
    assert filled.post(f"/tasks/{task_id}/result", {"claim_token": token, "result": {}}).status_code == 200
    types = ["TaskCreated", "TaskClaimed", "TaskCompleted"]
    for limit in (1, 2, 3, 500):
        events = filled.events(stream=f"task-{task_id}", order=order, limit=limit)
        assert [event["type"] for event in events] == (types if order == "asc" else types[::-1])
        assert {event["stream"] for event in events} == {f"task-{task_id}"}


def test_a_stream_that_is_not_there_is_an_empty_list(caller: Caller) -> None:
    """Unknown streams have no events; names are compared exactly, patterns mean nothing."""
    caller.client()
    for stream in ("client-nobody", "client-%", "client-_", "task-x", "nothing-at all"):
        answer = caller.http.get("/audit/events", params={"stream": stream})
        assert (answer.status_code, answer.json()["events"]) == (200, []), stream


@pytest.mark.parametrize("stream", ["", "x", "client", "-", "CLIENT-a", "client-\x00", "client-" + "x" * 300, "a'--"])
def test_a_stream_that_cannot_be_is_refused(caller: Caller, stream: str) -> None:
    """A name no stream can have is 422 at the parameter."""
    content = problem(caller.http.get("/audit/events", params={"stream": stream}), "invalid-request")
    assert places(content) == {"stream"}


@pytest.mark.parametrize("position", ["1000000", str(2**53), str(2**63 - 1)])
def test_a_position_beyond_the_head_is_not_found(caller: Caller, position: str) -> None:
    """404 event-not-found up to the largest position there can be."""
    problem(caller.http.get(f"/audit/events/{position}"), "event-not-found")


@pytest.mark.parametrize(
    "position", ["0", "-1", "x", "1.0", "01", "+1", "%201", "1%0A", "%D9%A3", str(2**63), "9" * 5000, "null"]
)
def test_a_position_that_cannot_be_is_refused(caller: Caller, position: str) -> None:
    """Positions are plain positive integers: 422 at the parameter."""
    assert places(problem(caller.http.get(f"/audit/events/{position}"), "invalid-request")) == {"position"}


def test_only_a_commands_first_event_carries_its_key(caller: Caller) -> None:
    """A claim of two tasks: one command, one correlation, the hash of key and request on the first event only."""
    client_id, agent_name = caller.client(), "agent-of-two"
    for _ in range(2):
        caller.task(agent_name, client_id)
    answer = caller.post("/tasks/claim", {"agent_name": agent_name, "limit": 2}, idempotency_key="two")
    last = int(answer.headers["fidelog-position"])
    events: list[dict[str, Any]] = [caller.http.get(f"/audit/events/{n}").json() for n in (last - 1, last)]
    assert len({(event["command_id"], event["correlation_id"]) for event in events}) == 1
    assert [event["idempotency_key"] is None for event in events] == [False, True]
    assert [event["request_hash"] is None for event in events] == [False, True]


def test_a_completion_names_the_claim_it_acts_on_and_a_rejection_names_none(caller: Caller) -> None:
    """causation_id is an event of the log: the claim, never an id that somebody merely sent."""
    task_id, token = caller.claimed()
    path = f"/tasks/{task_id}/result"
    assert caller.post(path, {"claim_token": str(uuid.uuid4()), "result": {}}).status_code == 409
    assert caller.post(path, {"claim_token": token, "result": {}}).status_code == 200
    found = {event["type"]: event["causation_id"] for event in caller.events(stream=f"task-{task_id}")}
    assert found == {
        "TaskCreated": None,
        "TaskClaimed": None,
        "TaskCompletionRejected": None,
        "TaskCompleted": token,
    }
