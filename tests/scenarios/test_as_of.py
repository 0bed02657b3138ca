"""As-of reads: how things stood at every position and time of a history, and the same answer whenever it is asked."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import psycopg
import pytest

from api.leases import LeaseSweep
from tests.api.conftest import places, problem
from tests.clocks import PassingClock
from tests.clusters import CLEAR_NAMES, Cluster
from tests.running import running_api
from tests.scenarios.beside_the_model import Service
from tests.scenarios.model import rfc3339

COMMANDS = 110
CLIENTS, TASKS = 2, 12
MICROSECOND = timedelta(microseconds=1)


ENDS = ["result", "failure", "release", "cancel"]


def write_history(service: Service, order: random.Random) -> None:
    """Commands of every kind in any order, then a task for each way it can go, refused once on record."""
    for _ in range(COMMANDS):
        task, value = order.randrange(TASKS), {"n": order.randrange(3)}
        kind = order.choice(["upsert", "create", "create", "claim", "claim", "claim", "end", "end", "sweep", "time"])
        if kind == "upsert":
            service.upsert(order.randrange(CLIENTS), order.choice(CLEAR_NAMES), order.choice(["moderate", "growth"]))
        elif kind == "create":
            service.create(task, order.randrange(CLIENTS), task % 2, value, order.randint(1, 3))
        elif kind == "claim":
            service.claim(order.randrange(2), order.randint(1, 3), order.choice([50, 350]))
        elif kind == "end":
            service.end(order.choice(ENDS), task, order.choice(["newest", "newest", "stale", "none"]), value)
        elif kind == "sweep":
            service.expire(*range(TASKS))
        else:
            service.pass_seconds(100)
    for task, end in enumerate([*ENDS, "expire"], TASKS):
        service.create(task, task % CLIENTS, task, {}, 3)
        service.claim(task, 1, 50)
        service.end("result", task, "stale", {})
        if end == "expire":
            service.pass_seconds(100)
            service.claim(task, 1, 50)
        else:
            service.end(end, task, "newest", {})


@pytest.fixture(scope="module")
def service(pg: Cluster) -> Iterator[Service]:
    """A service with a history of some hours that ends now. Its own sweep rests: it would go by another clock."""
    clock = PassingClock()
    clock.ahead = timedelta(hours=-5)
    with pytest.MonkeyPatch.context() as patch, pg.copy() as name:
        patch.setattr(LeaseSweep, "turn", _rest)
        with running_api(pg.settings(name), engine=clock.engine()) as api:
            found = Service(api, clock)
            write_history(found, random.Random(11))
            clock.ahead = timedelta()
            found.upsert(0, CLEAR_NAMES[0], "aggressive")
            found.catch_up()
            yield found


async def _rest(sweep: LeaseSweep) -> bool:
    return False


def test_the_history_has_everything_in_it(pg: Cluster, service: Service) -> None:
    """Every type of event, clients and tasks that begin at different positions: else the tests below show little."""
    assert set(service.model.types) == {
        "ClientOnboarded", "ClientProfileUpdated", "ClientProfileConfirmed", "TaskCreated", "TaskClaimed", "TaskCompleted",
        "TaskFailed", "TaskReleased", "TaskLeaseExpired", "TaskCancelled", "TaskCompletionRejected",
    }  # fmt: skip
    assert len(service.model.clients) == CLIENTS
    assert len(service.model.tasks) >= TASKS
    assert len(service.model.types) > 90
    assert max(len(service.model.as_of(p).open_tasks(service.client_id(0))) for p in service.times) >= 3


def test_every_position_gives_the_state_there(pg: Cluster, service: Service) -> None:
    """From 0 to the head: body, ETag and Fidelog-Position of clients, with and without open tasks, and of tasks are
    those of the state then; 404 before they exist."""
    for position in range(service.model.head + 1):
        for number in range(CLIENTS):
            service.check_client(service.client_id(number), position)
        for number in (position, position + 5):
            service.check_task(service.task_id(number % (TASKS + 5)), position)


def forms(at: datetime) -> list[str]:
    """One time in the ways it may be written; the last ones as they stand in a URL."""
    text, digits = rfc3339(at), f"{at.microsecond:06}"
    east = at.astimezone(timezone(timedelta(hours=2))).strftime("%Y-%m-%dT%H:%M:%S.") + digits
    west = at.astimezone(timezone(timedelta(hours=-9, minutes=-30))).strftime("%Y-%m-%dT%H:%M:%S.") + digits
    return [text, text.lower(), f"{text[:-1]}000Z", f"{text[:-1]}9999999Z", f"{text[:-1]}+00:00", f"{text[:-1]}-00:00",
            f"{east}+02:00", f"{east} 02:00", f"{west}-09:30"]  # fmt: skip


def test_a_time_stands_for_the_last_position_recorded_by_then(pg: Cluster, service: Service) -> None:
    """Inclusive, to the microsecond, whatever zone and precision it is written in; just before an event, without it."""
    times = service.times
    for number, at in enumerate(times.values()):
        for asked in (at, at - MICROSECOND):
            expected = max((p for p in times if times[p] <= asked), default=0)
            text = forms(asked)[number % 9]
            if number % 2:
                service.check_client(service.client_id(number // 2 % CLIENTS), expected, text)
            else:
                service.check_task(service.task_id(number // 2 % (TASKS + 5)), expected, text)
    position, at = next((p, at) for p, at in times.items() if p > 1 and at.microsecond % 10)
    before = max(p for p in times if times[p] < at)
    for text, expected in [
        *((text, max(p for p in times if times[p] == at)) for text in forms(at)),
        *((text, before) for text in forms(at - MICROSECOND)),
        (f"{rfc3339(at)[:-2]}Z", before),
    ]:
        service.check_client(service.client_id(0), expected, text)
    url = f"/clients/{service.client_id(0)}?as_of="
    east = forms(at)[6]
    answers = [
        service.http.get(url + written) for written in (east, east.replace("+", "%2B"), east.replace("+", "%20"))
    ]
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].status_code == 200
    resolved = max(p for p in times if times[p] == at)
    assert {int(answer.headers["fidelog-as-of"]) for answer in answers} == {resolved}
    position = service.model.as_of(resolved).clients[service.client_id(0)].position
    assert {int(answer.headers["fidelog-position"]) for answer in answers} == {position}


def test_a_past_read_has_the_entity_tag_of_its_version(pg: Cluster, service: Service) -> None:
    """304 for the tag of the state then, and only for it."""
    client_id = service.client_id(0)
    now, then = service.get(f"/clients/{client_id}"), service.get(f"/clients/{client_id}", service.model.head - 1)
    for answer, as_of, other in ((now, service.model.head, then), (then, service.model.head - 1, now)):
        path = f"/clients/{client_id}?as_of={as_of}"
        same = service.http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.headers["fidelog-position"]) == (304, answer.headers["fidelog-position"])
        assert service.http.get(path, headers={"if-none-match": other.headers["etag"]}).status_code == 200


INVALID = [
    "", "x", "-1", "+1", "1.0", "1e3", " 1", "٣", "9" * 19, "1" * 40, "now", "2026-01-01", "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00Z",
    "2026-01-01T00:00:00+0200", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00.Z", "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+02:00", "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00Z2026-01-01T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z",
]  # fmt: skip


def test_what_is_no_position_and_no_time_is_refused_without_echo(pg: Cluster, service: Service) -> None:
    """422 at as_of, whatever is asked about, also what does not exist; the value is not in the answer."""
    head = service.model.head
    future = [rfc3339(datetime.now(UTC) + ahead) for ahead in (timedelta(minutes=1), timedelta(days=9999))]
    for path in (f"/clients/{service.client_id(0)}", f"/tasks/{service.task_id(0)}", "/clients/nobody"):
        for value in (*INVALID, str(head + 1), str(2**63 - 1), "9999-12-31T23:59:59.999999Z", *future):
            answer = service.get(path, value)
            assert places(problem(answer, "invalid-request")) == {"as_of"}, value
            assert len(value) < 4 or value not in answer.text.replace(answer.json()["instance"], "")
        twice = service.http.get(f"{path}?as_of=1&as_of=1")
        assert places(problem(twice, "invalid-request")) == {"as_of"}
        problem(service.get(path, 0), path.split("/")[1][:-1] + "-not-found")
        problem(service.get(path, "1999-12-31T23:59:59Z"), path.split("/")[1][:-1] + "-not-found")


# The same question has the same answer, also while something is being recorded


@contextmanager
def holding(pg: Cluster, service: Service, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session's transaction that ran the statement; at the end it lets go."""
    name = psycopg.conninfo.conninfo_to_dict(service.api.backend.database.url("reader"))["dbname"]
    with psycopg.connect(pg.url(str(name))) as connection:
        connection.execute(statement.encode())
        yield connection
        connection.rollback()


def until_waiting(connection: psycopg.Connection[Any], number: int) -> None:
    """Until `number` sessions wait for a lock of this database."""
    query = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    give_up = time.monotonic() + 3
    while connection.execute(query).fetchall()[0][0] < number:
        connection.execute(b"SELECT pg_stat_clear_snapshot()")
        assert time.monotonic() < give_up, f"{number} sessions never waited"
        time.sleep(0.01)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_time_that_just_passed_is_answered_once_what_is_being_recorded_is_decided(
    pg: Cluster, service: Service, recorded: bool
) -> None:
    """A write waits for the tenant's lock, or holds it, its time taken and its events not yet committed. A question
    about a moment later than that waits for the end of it, and has the same answer ever after."""
    path = f"/clients/{service.client_id(0)}"
    before = service.get(path).json()["risk_profile"]
    after = "growth" if before != "growth" else "moderate"
    # The row of the client cannot be saved: the batch stands between taking its time and COMMIT.
    saving = "LOCK TABLE fidelog.client_profiles IN SHARE MODE"
    tenant = "SELECT 1 FROM fidelog.logs WHERE tenant_id = 'default' FOR NO KEY UPDATE"
    with ThreadPoolExecutor(3) as pool, holding(pg, service, saving if recorded else tenant) as session:
        writing = pool.submit(service.upsert, 0, CLEAR_NAMES[0], after)
        until_waiting(session, 1)
        ((asked,),) = session.execute(b"SELECT clock_timestamp() - interval '1 microsecond'").fetchall()
        asking = [pool.submit(service.get, path, rfc3339(asked)) for _ in range(2)]
        until_waiting(session, 3)
        assert not any(question.done() for question in asking)
        old = service.get(path, rfc3339(datetime.now(UTC) - timedelta(minutes=2)))
        assert old.status_code == 200, "a question about what is long decided waits for nobody"
        session.rollback()
        answers = [question.result(30) for question in asking]
        writing.result(30)
    answers.append(service.get(path, rfc3339(asked)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len({answer.headers["fidelog-position"] for answer in answers}) == 1
    service.catch_up()
    was_recorded_by_then = service.times[service.model.head] <= asked
    assert was_recorded_by_then is recorded
    assert answers[0].json()["risk_profile"] == (after if recorded else before)


def test_while_others_write_every_answer_about_a_time_stays(pg: Cluster, service: Service) -> None:
    """Questions about the moment just past, asked under load and again when all is done, are answered alike."""
    path, done = f"/clients/{service.client_id(1)}", threading.Event()
    service.upsert(1, CLEAR_NAMES[1], "moderate")
    asked: list[tuple[str, httpx.Response]] = []

    def ask() -> None:
        with httpx.Client(base_url=service.api.url, timeout=30) as http:
            while not done.is_set():
                text = rfc3339(datetime.now(UTC) - timedelta(microseconds=200))
                asked.append((text, http.get(path, params={"as_of": text})))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for number in range(40):
            service.upsert(1, CLEAR_NAMES[1], ("moderate", "growth", "aggressive")[number % 3])
        done.set()
        for each in asking:
            each.result(30)
    assert len(asked) > 20
    for text, answer in asked:
        assert answer.status_code == 200, answer.text
        again = service.get(path, text)
        assert (again.text, again.headers["fidelog-position"]) == (answer.text, answer.headers["fidelog-position"])
