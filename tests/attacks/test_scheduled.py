"""The service verifies its log by itself: what it finds is an event, and its silence shows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.database import attested, check_shape
from api.repairing import repair_command
from eventstore.migrations import MigrationError
from tests.attacks.sealed import attack
from tests.clusters import Cluster
from tests.running import RunningApi, running_api
from tests.waiting import until

CLIENT = {"client_id": "c", "full_name": "Amina Patel", "risk_profile": "moderate"}


def events(api: RunningApi, stream: str) -> list[dict[str, Any]]:
    """The stream's events."""
    found: list[dict[str, Any]] = api.client.get("/audit/events", params={"stream": stream}).json()["events"]
    return found


def verification(api: RunningApi) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/readyz").json()["verification"]
    return found


def test_the_schedule(pg: Cluster, database_name: str) -> None:
    """In order of time, told to the schedule by its clock: nothing before the time; then incremental and full ones, whose
    verdicts are events, with the schema's hash before the first; what was tampered with is found; silence shows."""
    with running_api(pg.settings(database_name)) as api:
        assert api.client.post("/clients", json=CLIENT).status_code == 200
        head = until("sealed", lambda: sealed(pg, database_name, 1))
        assert head == 1
        schedule = api.backend._schedule
        assert schedule is not None
        until("the schedule has looked", lambda: schedule.told("default") is not None)
        (watching,) = (task for task in api.backend._tasks if task.get_name() == "verification")
        api.run(lambda: asyncio.wait({watching}) if watching.cancel() else asyncio.sleep(0))
        assert verification(api) == {"verdict": None, "kind": None, "at": None, "silent": False}
        assert events(api, "log-verification") == []

        def after(hours: float) -> Any:
            schedule._now = lambda: datetime.now(UTC) + timedelta(hours=hours)
            return api.run(lambda: schedule.turn("default"))

        assert after(0.9) is None
        assert after(1.1).outcome.value == "verified"
        assert after(0) is None, "it was done"
        (made,) = events(api, "log-verification")
        assert made["actor"] == "system:verifier"
        assert made["data"] == {
            "kind": "incremental", "verdict": "verified", "position": None, "cause": None, "checkpoint_size": 1,
        }  # fmt: skip
        (schema,) = events(api, "log-schema")
        assert schema["data"] == {"sha256": attested()}
        until("all is sealed", lambda: sealed(pg, database_name, 3) or None)
        attack(pg.database(database_name), "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 1")
        assert after(24.1).outcome.value == "tampered"
        assert verification(api)["verdict"] == "tampered"
        (_, found) = events(api, "log-verification")
        assert (found["data"]["kind"], found["data"]["verdict"], found["data"]["position"]) == ("full", "tampered", 1)
        assert len(events(api, "log-schema")) == 1, "the schema did not change"
        metrics = api.client.get("/metrics").text
        assert 'fidelog_verification_failed{tenant="default"} 1.0' in metrics
        schedule._now = lambda: datetime.now(UTC) + timedelta(hours=27)
        assert verification(api)["silent"] is True
        assert 'fidelog_verification_silent{tenant="default"} 1.0' in api.client.get("/metrics").text


def sealed(pg: Cluster, name: str, size: int) -> int | None:
    """The newest checkpoint's size, once it is so large."""
    with psycopg.connect(pg.url(name)) as connection:
        row = connection.execute("SELECT max(size) FROM fidelog.checkpoints").fetchone()
    return row[0] if row and row[0] is not None and row[0] >= size else None


def test_guards_are_repaired_and_that_is_on_record(
    pg: Cluster, database_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A restore that demoted the guards keeps the service from starting; the repair puts everything back, says what, and is
    an event; what no statement puts back is said, and nothing is recorded as repaired."""
    settings = replace(pg.settings(database_name), database_url=pg.url(database_name))
    for change in (
        "ALTER TABLE fidelog.events ENABLE TRIGGER events_never_change",
        "DROP TRIGGER tiles_never_change ON fidelog.tiles",
        "CREATE OR REPLACE FUNCTION fidelog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "GRANT UPDATE ON fidelog.events TO fidelog_writer",
    ):
        pg.execute(change, database_name)
    with pytest.raises(MigrationError, match="fidelog migrate --repair-guards"):
        asyncio.run(check_shape(pg.database(database_name)))
    assert asyncio.run(repair_command(settings)) == 0
    said = capsys.readouterr().out
    for word in ("events_never_change", "tiles_never_change", "refuse_change()", "REVOKE UPDATE"):
        assert word in said
    with running_api(settings) as api:
        (repaired,) = events(api, "log-schema")
        assert (repaired["type"], repaired["data"]["sha256"]) == ("GuardsRepaired", attested())
        assert len(repaired["data"]["differences"]) == 4
    assert asyncio.run(repair_command(settings)) == 0
    assert "0 repaired" in capsys.readouterr().out
    pg.execute("ALTER TABLE fidelog.events ADD COLUMN more text", database_name)
    with pytest.raises(MigrationError, match=r"cannot be repaired: column more of fidelog\.events was added"):
        asyncio.run(repair_command(settings))
