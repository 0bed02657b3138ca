"""Limits of requests: how many of one caller, how large together, how long a read may take; and headers of every answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import psycopg
import pytest

from api.limits import RequestLimits
from api.settings import read
from tests.api.conftest import JSON, client_body, fresh_client, problem
from tests.api.sockets import Caller, parsed
from tests.clusters import Cluster
from tests.running import RunningApi, running_api
from tests.waiting import until

MIB = 1 << 20


@contextmanager
def served(pg: Cluster, limits: RequestLimits) -> Iterator[RunningApi]:
    """The application on a database of its own with these limits."""
    with pg.copy() as name, running_api(replace(pg.settings(name), limits=limits)) as api:
        yield api


@pytest.fixture(scope="module")
def slow(pg: Cluster) -> Iterator[RunningApi]:
    """An application that gives each caller ten requests, and one a second."""
    with served(pg, RequestLimits(rate_per_second=1, rate_burst=10)) as api:
        yield api


def test_limits_are_settings() -> None:
    """Documented defaults are the limits in force; the environment changes them, an option of `serve` wins."""
    assert read(environment={}).limits == RequestLimits()
    environment = {"FIDELOG_CONNECTIONS": "7", "FIDELOG_BODY_SECONDS": "0.5", "FIDELOG_RATE_BURST": "9"}
    changed = read({"connections": "8"}, environment).limits
    assert changed == RequestLimits(connections=8, body_seconds=0.5, rate_burst=9)


def exhaust(api: RunningApi, actor: str) -> httpx.Response:
    """Ask until it was too often; the refusal."""
    started, headers = time.monotonic(), {"fidelog-actor": actor}
    for asked in range(1, 1_000):
        answer = api.client.get("/tasks", headers=headers)
        if answer.status_code != 200:
            assert 10 < asked <= 11 + (time.monotonic() - started) + 1
            return answer
    raise AssertionError("never too often")


def test_who_asks_too_often_is_told_when_to_come_again(slow: RunningApi) -> None:
    """429 with Retry-After and both RateLimit headers, which agree; after that time the caller is let through."""
    answer = exhaust(slow, "user:eager")
    problem(answer, "rate-limited")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["ratelimit-policy"] == '"requests";q=10;w=10'
    assert answer.headers["ratelimit"] == '"requests";r=0;t=1'
    again = {"fidelog-actor": "user:eager"}
    until("it is let through", lambda: slow.client.get("/tasks", headers=again).status_code == 200, seconds=3)


def test_others_are_not_held_up(slow: RunningApi) -> None:
    """The limit is each principal's own; an agent's versions are one principal."""
    problem(exhaust(slow, "agent:eager@1"), "rate-limited")
    headers = {"fidelog-actor": "agent:eager@2"}
    problem(slow.client.get("/tasks", headers=headers), "rate-limited")
    assert slow.client.get("/tasks", headers={"fidelog-actor": "agent:modest"}).status_code == 200


def test_probes_are_not_counted(slow: RunningApi) -> None:
    """Whoever watches the process may look as often as it likes, and never hears 429."""
    watcher = {"fidelog-actor": "user:watcher"}
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        assert {slow.client.get(path, headers=watcher).status_code for _ in range(15)} == {200}


def test_429_comes_after_400_and_before_403_and_422(slow: RunningApi) -> None:
    """Faults of the request as such are told first; who may do what, and what is valid, is told to no one who asks too often."""
    eager = {"fidelog-actor": "agent:insistent"}
    exhaust(slow, "agent:insistent")
    post, text = slow.client.post, {"content-type": "text/plain"}
    problem(post("/nowhere", headers=eager), "not-found")
    problem(slow.client.put("/clients", headers=eager), "method-not-allowed")
    problem(post("/clients", content=b" " * (MIB + 1), headers={**eager, **JSON}), "body-too-large")
    problem(post("/clients", content=b"{", headers={**eager, **text}), "unsupported-media-type")
    problem(post("/clients", content=b"{", headers={**eager, **JSON}), "malformed-json")
    problem(post("/tasks/claim", json={"agent_name": "other"}, headers=eager), "rate-limited")
    problem(post("/clients", json={}, headers=eager), "rate-limited")
    problem(post("/clients", json={}, headers={**eager, "host": "evil.example"}), "rate-limited")


def body_of(size: int) -> bytes:
    """A client of so many bytes, most of them white space."""
    content = b'{"client_id":"%s","full_name":"Amina Patel","risk_profile":"moderate"}' % fresh_client().encode()
    return content + b" " * (size - len(content))


def head_of(body: bytes) -> bytes:
    """The head of a request to send it."""
    return (
        b"POST /clients HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )


def test_bodies_in_flight_have_room_together(pg: Cluster) -> None:
    """Large bodies beyond the room get 503 with Retry-After and are taken to their end; small ones still have theirs; room
    that was given is given back."""
    limits = RequestLimits(bodies_bytes=4 * MIB)
    with served(pg, limits) as api:
        bodies = api.app.intake.bodies
        body = body_of(MIB)
        slow = [Caller(api.url, head_of(body) + body[:-1]) for _ in range(3)]
        until("there is room for three bodies", lambda: bodies.held == 3 * MIB)
        refused = api.client.post("/clients", content=body, headers=JSON)
        problem(refused, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert api.client.post("/clients", content=body_of(60_000), headers=JSON).status_code == 200
        assert bodies.held == 3 * MIB
        for caller in slow:
            caller.send(body[-1:])
        assert [caller.answer()[0] for caller in slow] == [200, 200, 200]
        assert bodies.held == 0
        assert api.client.post("/clients", content=body, headers=JSON).status_code == 200
        gone = Caller(api.url, head_of(body) + body[:-1])
        until("it is held", lambda: bodies.held)
        gone.close()
        until("nothing is held of who went away", lambda: bodies.held == 0)


def test_a_read_that_takes_too_long_is_ended(pg: Cluster) -> None:
    """503 with Retry-After once the statement's time is over; the next read is answered as ever."""
    limits = RequestLimits(statement_seconds=0.2)
    with pg.copy() as name, running_api(replace(pg.settings(name), limits=limits)) as api:
        with psycopg.connect(pg.url(name)) as holder:
            holder.execute("LOCK TABLE fidelog.agent_tasks IN ACCESS EXCLUSIVE MODE")
            for path in ("/tasks", "/tasks/550e8400-e29b-41d4-a716-446655440000"):
                answer = api.client.get(path)
                problem(answer, "database-unavailable")
                assert int(answer.headers["retry-after"]) >= 1
        assert api.client.get("/tasks").json() == {"tasks": [], "next_cursor": None}


def test_every_answer_carries_the_security_headers(slow: RunningApi) -> None:
    """Answers of routes, of paths that no route has, of the HTTP layer and of refused connections alike; nothing may be
    kept but what the caller asks for again by its tag."""
    client_id = fresh_client()
    headers = {"fidelog-actor": "user:looker"}
    answers = [
        slow.client.post("/clients", json=client_body(client_id), headers=headers),
        slow.client.get(f"/clients/{client_id}", headers=headers),
        slow.client.get("/livez"),
        slow.client.get("/nowhere"),
        slow.client.put("/clients"),
        slow.client.post("/clients", json={}, headers=headers),
    ]
    found = [(answer.status_code, dict(answer.headers)) for answer in answers]
    found += [
        parsed(Caller(slow.url, raw).rest().partition(b"\r\n\r\n")[0])
        for raw in (b"\x00\r\n\r\n", b"GET /" + b"x" * 50_000)
    ]
    assert [status for status, _ in found] == [200, 200, 200, 404, 405, 422, 400, 431]
    for _, sent in found:
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert sent["referrer-policy"] == "no-referrer"
    kept = [sent.get("cache-control") for _, sent in found]
    assert kept == ["no-store", "private, no-cache", *["no-store"] * 4, None, "no-store"]
