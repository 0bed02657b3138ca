"""What follows the log, as a caller and an operator see it: how far it has got, waiting for it, and a tail that stands."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import trail
from api.backend import Backend
from api.operate import status_command
from eventstore.database import Database
from tests.api.conftest import Caller, client_body, problem
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows
from tests.running import RunningApi, running_api

BREAK = "ALTER TABLE fidelog.audit_index ADD CONSTRAINT broken CHECK (position <> 4) NOT VALID"
MEND = "ALTER TABLE fidelog.audit_index DROP CONSTRAINT broken"
INDEXED = "SELECT position FROM fidelog.audit_index ORDER BY position"


def until(condition: Callable[[], Any]) -> None:
    """Until it holds; 20 seconds at most."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def tail_of(caller: Caller) -> dict[str, Any]:
    """The index tail, as /readyz shows it."""
    ready = caller.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    return next(dict(tail) for tail in ready.json()["tails"] if tail["name"] == "audit_index")


def figures(caller: Caller) -> dict[tuple[str, str], float]:
    """Every sample of /metrics by name and label."""
    families = text_string_to_metric_families(caller.http.get("/metrics").text)
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def status(pg: Cluster, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The index tail in `fidelog status`: as JSON, and the whole text for people."""
    asyncio.run(status_command(pg.settings(name), as_json=True))
    tails = orjson.loads(capsys.readouterr().out)["tenants"][0]["tails"]
    tail = next(tail for tail in tails if tail["name"] == "audit_index")
    asyncio.run(status_command(pg.settings(name), as_json=False))
    return dict(tail), capsys.readouterr().out


def test_a_tail_that_fails_stops_at_its_position_says_so_and_loses_nothing(
    pg: Cluster, database_name: str, database: Database, fresh: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands exactly before the event it cannot index; writes go on; /readyz, status and metrics name the event and
    the kind of error, and nothing of its text; when the cause is gone it goes on and every event is indexed once."""
    rows(database, BREAK)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: fresh.post("/clients", client_body(f"c{n}")), range(6)))
    until(lambda: "fault" in tail_of(fresh))
    fault = "CheckViolation at position 4"
    assert tail_of(fresh) == {"name": "audit_index", "position": 3, "lag": 3, "fault": fault}
    until(lambda: status(pg, database_name, capsys)[0].get("fault"))
    as_json, as_text = status(pg, database_name, capsys)
    assert as_json == {"name": "audit_index", "position": 3, "lag": 3, "fault": fault}
    assert "CheckViolation" in as_text
    shown = figures(fresh)
    names = ("fidelog_tail_position", "fidelog_tail_lag", "fidelog_tail_fault")
    assert [shown[name, "audit_index,default"] for name in names] == [3, 3, 1]
    assert rows(database, INDEXED) == [(1,), (2,), (3,)]
    answer = fresh.http.get("/audit/events?type=ClientOnboarded")
    assert (len(answer.json()["events"]), answer.headers["fidelog-position"]) == (3, "3")
    assert len(fresh.events()) == 6, "the log itself answers completely"
    rows(database, MEND)
    assert fresh.http.get("/audit/events?type=ClientOnboarded&at_least=6").status_code == 200
    assert tail_of(fresh) == {"name": "audit_index", "position": 6, "lag": 0}
    assert status(pg, database_name, capsys)[0] == {"name": "audit_index", "position": 6, "lag": 0}
    assert figures(fresh)["fidelog_tail_fault", "audit_index,default"] == 0
    assert rows(database, INDEXED) == [(n,) for n in range(1, 7)]


def test_two_processes_fill_one_index(pg: Cluster, database_name: str, database: Database) -> None:
    """Every event once, whichever process indexed it; each knows how far the index has got."""
    with running_api(pg.settings(database_name)) as one, running_api(pg.settings(database_name)) as two:
        callers = [Caller(one.client), Caller(two.client)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: callers[n % 2].post("/clients", client_body(f"c{n}")), range(100)))
        for caller in callers:
            assert caller.http.get("/audit/events?actor=user:local&at_least=100").status_code == 200
            assert tail_of(caller) == {"name": "audit_index", "position": 100, "lag": 0}
    assert rows(database, INDEXED) == [(n,) for n in range(1, 101)]


def test_the_index_can_be_filled_anew(database: Database, fresh: Caller) -> None:
    """As docs/operate.md says, as keeper: what was in it, other than the log has it, is gone, and nothing is missing."""
    for number in range(5):
        fresh.post("/clients", client_body(f"c{number}"))
    assert len(fresh.events(actor="user:local", at_least=5)) == 5
    rows(database, "UPDATE fidelog.audit_index SET actor = 'user:forged', position = position + 100")
    assert fresh.events(actor="user:local") == []
    page = (Path(__file__).resolve().parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    found = re.search(r"^```sql\n([^`]*DELETE FROM audit_index;.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    rows(database, found[1], "keeper")
    until(lambda: rows(database, INDEXED) == [(n,) for n in range(1, 6)])
    assert len(fresh.events(actor="user:local")) == 5


@pytest.mark.parametrize("query", ["client_id=c", "actor=user:local", "type=ClientOnboarded", "", "stream=client-c"])
def test_a_list_waits_for_the_position_of_a_write(fresh: Caller, query: str) -> None:
    """Read your own write, from the index as from the log: at_least of its Fidelog-Position shows it."""
    for number in range(5):
        position = fresh.post("/clients", client_body("c")).headers["fidelog-position"]
        if query.startswith("type"):
            position = fresh.post("/clients", client_body(f"d{number}")).headers["fidelog-position"]
        answer = fresh.http.get(f"/audit/events?{query}&order=desc&at_least={position}")
        assert int(answer.headers["fidelog-position"]) >= int(position)
        assert answer.json()["events"][0]["position"] == int(position)
    assert fresh.http.get(f"/audit/events?{query}&at_least=0").status_code == 200


def test_what_another_process_writes_is_waited_for(pg: Cluster, api: RunningApi, database_name: str) -> None:
    """A process that nobody woke finds the position by looking itself."""
    with running_api(pg.settings(database_name)) as other, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(api.client.get, f"/audit/events?{query}at_least=1") for query in ("", "client_id=c&")]
        Caller(other.client).post("/clients", client_body("c"))
        assert [len(answer.result().json()["events"]) for answer in answers] == [1, 1]


@pytest.mark.parametrize("path", ["/audit/events?actor=a&", "/audit/events?", "/clients/c/timeline?"])
def test_a_position_that_does_not_come_is_503(fresh: Caller, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait: position-not-reached, with Retry-After; up to the largest position there can be."""
    monkeypatch.setattr(trail, "AT_LEAST_SECONDS", 0.2)
    fresh.post("/clients", client_body("c"))
    for position in (2, 2**63 - 1):
        answer = fresh.http.get(f"{path}at_least={position}")
        problem(answer, "position-not-reached")
        assert int(answer.headers["retry-after"]) > 0


def test_the_wait_is_at_most_five_seconds() -> None:
    """The figure the contract gives."""
    assert trail.AT_LEAST_SECONDS == 5


def test_many_that_wait_do_not_ask_the_database_more_often(
    fresh: Caller, api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait, one look every 50 ms serves them all."""
    monkeypatch.setattr(trail, "AT_LEAST_SECONDS", 1.0)
    before, started = api.backend.index("default").turns, time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: fresh.http.get("/audit/events?actor=a&at_least=9"), range(16)))
    elapsed = time.monotonic() - started
    assert {answer.status_code for answer in answers} == {503}
    assert 4 <= api.backend.index("default").turns - before <= elapsed / 0.05 + 2


def test_who_waits_is_answered_when_the_server_stops(pg: Cluster, database_name: str) -> None:
    """At once, not after five seconds; and nobody who comes later waits either."""
    api = RunningApi(pg.settings(database_name)).start()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(api.client.get, "/audit/events?actor=a&at_least=9") for _ in range(4)]
        until(lambda: api.backend.index("default")._waiting == 4)
        started = time.monotonic()
        api._loop.call_soon_threadsafe(api.backend.end_waits)
        for answer in answers:
            problem(answer.result(), "position-not-reached")
        problem(api.client.get("/audit/events?actor=a&at_least=9"), "position-not-reached")
        assert time.monotonic() - started < 3
    api.stop()


def test_the_metrics_are_true(fresh: Caller) -> None:
    """Prometheus reads them; what was done is what they count, by type, and no label holds an id or a name."""
    for _ in range(3):
        fresh.post("/clients", client_body("c-secret"))
    task_id, token = fresh.claimed()
    assert fresh.post(f"/tasks/{task_id}/result", {"claim_token": task_id, "result": {}}).status_code == 409
    assert fresh.post(f"/tasks/{task_id}/result", {"claim_token": token, "result": {}}).status_code == 200
    assert fresh.http.get(f"/audit/events?actor=x&at_least={fresh.head()}").status_code == 200
    answer = fresh.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "secret" not in answer.text
    assert task_id not in answer.text
    shown = figures(fresh)
    assert shown["fidelog_write_seconds_count", ""] == 8
    assert shown["fidelog_write_seconds_bucket", "+Inf"] == 8
    assert 0 < shown["fidelog_write_seconds_sum", ""] < 60
    assert (shown["fidelog_queue_commands", ""], shown["fidelog_lease_expiries_total", ""]) == (0, 0)
    assert shown["fidelog_tail_position", "audit_index,default"] == fresh.head()
    assert shown["process_resident_memory_bytes", ""] > 1 << 20
    names = {name for name, _ in shown}
    assert 0 <= shown["fidelog_checkpoint_age_seconds", "default"] < 60
    assert {"fidelog_batch_commands_bucket", "fidelog_batch_seconds_sum", "fidelog_stale_completions_total"} <= names


def test_events_and_batches_are_counted(api: RunningApi, fresh: Caller) -> None:
    """By event type; buckets are cumulative, a value on a bound belongs to it."""
    fresh.post("/clients", client_body("c"))
    events = api.run(lambda: api.backend.log.forward("default"))
    for kind in ("TaskCompletionRejected", "TaskLeaseExpired", "TaskLeaseExpired"):
        events[0].type = kind
        api.backend.metrics.appended(events)
    for size, seconds in ((1, 0.001), (2, 0.0015), (3, 20.0)):
        api.backend.metrics.batch(size, seconds)
    shown = figures(fresh)
    assert shown["fidelog_events_appended_total", "TaskLeaseExpired"] == 2
    assert (shown["fidelog_lease_expiries_total", ""], shown["fidelog_stale_completions_total", ""]) == (2, 1)
    sizes = [shown["fidelog_batch_commands_bucket", bound] for bound in ("1.0", "2.0", "4.0", "512.0", "+Inf")]
    assert sizes == [2, 3, 4, 4, 4], "the client's own batch, and the three"
    assert (shown["fidelog_batch_seconds_bucket", "10.0"], shown["fidelog_batch_seconds_bucket", "+Inf"]) == (3, 4)


def test_metrics_are_there_before_and_without_the_database(pg: Cluster, database_name: str) -> None:
    """A server that is starting, or stands without its database, can still be scraped."""
    backend = Backend(pg.settings(database_name))
    assert b"fidelog_write_seconds_count 0.0" in backend.metrics.text()
