"""Connections: what a caller may send, how long it may take, how many there may be; and that others are served meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from api.limits import RequestLimits
from tests.api.conftest import Caller as ApiCaller
from tests.api.conftest import client_body, fresh_agent, problem
from tests.api.sockets import Caller
from tests.clusters import Cluster
from tests.processes.fidelog_process import tenant_locked
from tests.running import RunningApi, running_api
from tests.waiting import until

HALF = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-"
WHOLE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /clients HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
SHORT = RequestLimits(header_seconds=0.4, body_seconds=0.4)


@contextmanager
def served(pg: Cluster, limits: RequestLimits) -> Iterator[RunningApi]:
    """The application on a database of its own with these limits."""
    with pg.copy() as name, running_api(replace(pg.settings(name), limits=limits)) as api:
        yield api


@pytest.fixture(scope="module")
def short(pg: Cluster) -> Iterator[RunningApi]:
    """An application that waits for nobody."""
    with served(pg, SHORT) as api:
        yield api


@pytest.fixture(scope="module")
def bounded(pg: Cluster) -> Iterator[RunningApi]:
    """An application with the limits there are by default."""
    with served(pg, RequestLimits()) as api:
        yield api


def test_two_hundred_half_open_connections_hurt_nobody(short: RunningApi) -> None:
    """Some are silent, some stop within their headers, some dribble on: a caller among them is answered all the time,
    and each of them is told 408 and closed."""
    slow = [Caller(short.url, b"" if number % 4 == 0 else HALF) for number in range(200)]
    dribbling = slow[1::8]

    def gone() -> bool:
        assert short.client.get("/livez", timeout=5).status_code == 200
        return not [caller for caller in dribbling if caller.send(b"a")]

    until("the dribbling ones are closed", gone)
    for caller in slow:
        if caller not in dribbling:  # whoever sent on into a closed connection may find it reset
            caller.refused("request-timeout")
        caller.close()
    until("nothing is left of them", lambda: short.connections == 1)


def test_a_body_that_does_not_come_is_not_waited_for(short: RunningApi) -> None:
    """408 while the request is not answered yet; nothing of it is carried out."""
    for request in (POST + b"content-length: 1000\r\n\r\n{", CHUNKED + b"1\r\n{\r\n"):
        Caller(short.url, request).refused("request-timeout")
    assert short.client.get("/audit/events").json()["events"] == []


def test_a_body_that_nobody_asked_for_is_not_waited_for(short: RunningApi) -> None:
    """The answer was given before the body came; the connection ends all the same."""
    caller = Caller(short.url, b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
    assert caller.answer()[0] == 404
    assert caller.rest() == b""


def test_line_ends_are_no_request(short: RunningApi) -> None:
    """A caller that sends only what stands between requests is held to the time of one."""
    caller = Caller(short.url, WHOLE)
    assert caller.answer()[0] == 200
    until("it is closed", lambda: not caller.send(b"\r\n"))


def test_an_idle_connection_stays(short: RunningApi) -> None:
    """Between requests nothing is owed: the time for headers begins with their first byte."""
    idle = Caller(short.url, WHOLE)
    assert idle.answer()[0] == 200
    Caller(short.url, HALF).refused("request-timeout")  # so long it was idle
    assert idle.send(WHOLE)
    assert idle.answer()[0] == 200


def test_waiting_for_an_answer_is_not_slow(pg: Cluster) -> None:
    """A request that came whole is answered, however long that takes."""
    with pg.copy() as name, running_api(replace(pg.settings(name), limits=SHORT)) as api:
        answers: list[httpx.Response] = []
        with tenant_locked(pg.url(name)) as holder:
            write = threading.Thread(target=lambda: answers.append(api.client.post("/clients", json=client_body("c"))))
            write.start()
            Caller(api.url, HALF).refused("request-timeout")
            Caller(api.url, HALF).refused("request-timeout")
            holder.rollback()
            write.join()
        assert [answer.status_code for answer in answers] == [200]


def test_an_answer_that_nobody_takes_is_cut_off(short: RunningApi) -> None:
    """Megabytes that somebody asked for and does not read are not kept for ever."""
    caller = ApiCaller(short.client)
    agent_name, client_id = fresh_agent(), caller.client()
    with ThreadPoolExecutor(20) as pool:
        payload = {"text": "x" * 32_000}
        list(pool.map(lambda _: caller.task(agent_name, client_id, payload=payload), range(200)))
    held = short.connections
    request = f"GET /tasks?limit=200&agent_name={agent_name} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    lazy = Caller(short.url, request, receive_buffer=4096)
    until("it is connected", lambda: short.connections == held + 1)
    until("it is cut off", lambda: short.connections == held)
    assert b"HTTP/1.1 200" in (got := lazy.rest())
    assert len(got) < 200 * 32_000


ENDLESS = {
    "headers": b"GET /livez HTTP/1.1\r\nhost: localhost\r\n" + b"x-padding: 12345\r\n" * 3_000,
    "one header": HALF + b"a: " + b"x" * 50_000,
    "a header's name": HALF + b"x" * 50_000,
    "a path": b"GET /" + b"x" * 50_000,
    "a query": b"GET /livez?" + b"x" * 50_000,
    "trailers": CHUNKED + b"1\r\n{\r\n0\r\n" + b"x: y\r\n" * 10_000,
    "a chunk's extension": CHUNKED + b"1;" + b"x" * 50_000,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_has_no_end_is_refused_before_it_ends(bounded: RunningApi, kind: str) -> None:
    """431 without having seen the end, whatever it is that does not end; the process holds no more than a little."""
    caller = Caller(bounded.url)
    for start in range(0, len(ENDLESS[kind]), 8_192):
        caller.send(ENDLESS[kind][start : start + 8_192])
    caller.refused("headers-too-large")


@pytest.mark.parametrize("kind", ["headers", "one header", "a header's name"])
def test_what_has_no_end_is_refused_at_once(bounded: RunningApi, kind: str) -> None:
    """The same when all of it comes in one piece."""
    Caller(bounded.url, ENDLESS[kind]).refused("headers-too-large")


def test_sixteen_kibibytes_of_headers_are_taken(bounded: RunningApi) -> None:
    """The limit is what it says: names and values, the path and the query; a byte more is 431."""
    own = sum(len(name) + len(value) for name, value in bounded.client.build_request("GET", "/livez").headers.raw)
    room = 16_384 - own - len("/livez") - len("x-padding")
    headers = {"x-padding": "x" * room}
    assert bounded.client.get("/livez", headers=headers).status_code == 200
    headers = {"x-padding": "x" * (room + 1)}
    problem(bounded.client.get("/livez", headers=headers), "headers-too-large")
    headers = {"x-padding": "x" * (room - 10)}
    problem(bounded.client.get("/livez?x=12345678901", headers=headers), "headers-too-large")


def test_large_bodies_and_many_small_chunks_are_taken(bounded: RunningApi) -> None:
    """What frames a body is no header: a mebibyte passes, also a byte at a time."""
    body = b'{"client_id":"many-chunks","full_name":"Amina Patel","risk_profile":"moderate"}'
    answer = bounded.client.post(
        "/clients", content=body + b" " * ((1 << 20) - len(body)), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    chunks = [bytes([byte]) for byte in body + b" " * 4_000]
    answer = bounded.client.post("/clients", content=iter(chunks), headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_a_second_request_without_end_takes_no_answer_from_the_first(bounded: RunningApi) -> None:
    """Sent in one piece: the first is answered, then the connection ends."""
    caller = Caller(bounded.url, WHOLE + ENDLESS["headers"])
    status, headers, body = caller.answer()
    assert (status, body) == (200, b'{"status":"alive"}')
    caller.rest()
    if headers.get("connection") != "close":
        assert b"431" in caller.got.split(b"\r\n")[0]


def test_a_request_that_would_upgrade_is_answered_and_the_next_one_too(bounded: RunningApi) -> None:
    """Nothing is upgraded here."""
    for _ in range(2):
        upgrade = {"connection": "upgrade", "upgrade": "h2c"}
        assert bounded.client.get("/livez", headers=upgrade).status_code == 200
        assert bounded.client.get("/livez").status_code == 200


def test_connections_beyond_the_limit_are_told_so(pg: Cluster) -> None:
    """503 with Retry-After, and closed; those that were there first go on, and room that they leave is used."""
    with served(pg, RequestLimits(connections=3)) as api:
        inside = [Caller(api.url, WHOLE) for _ in range(3)]
        assert [caller.answer()[0] for caller in inside] == [200, 200, 200]
        for _ in range(5):
            headers = Caller(api.url, WHOLE).refused("overloaded")
            assert int(headers["retry-after"]) >= 1
        for caller in inside:
            assert caller.send(WHOLE)
            assert caller.answer()[0] == 200
        inside.pop().close()

        def served_again() -> bool:
            caller = Caller(api.url, WHOLE)
            return b"HTTP/1.1 200" in (caller.socket.recv(1 << 16))

        until("a new connection is served", served_again)
