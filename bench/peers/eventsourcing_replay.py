"""`eventsourcing`: aggregates rebuilt from its recorder, or a projection run from the first event on.

Its page "Projections" has a materialised view in PostgreSQL that records each event's tracking in the same transaction, run
by a ProjectionRunner; its page "Application" gets aggregates from the repository. The order, one argument of JSON: host,
port, dbname, `kind` (aggregates or projection), `events` to have in its log, `seconds`. Of seven events four are a client's and
three a task's: created, claimed, completed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL
from psycopg.types.json import Json

SEALED = {"fingerprint": "f" * 32, "key": "k" * 36, "sealed": "s" * 180}
AT_ONCE = 100

order: dict[str, Any] = json.loads(sys.argv[1])


class Client(Aggregate):  # type: ignore[misc]  # untyped here: the package is optional
    """A client's profile."""

    @event("ClientOnboarded")  # type: ignore[untyped-decorator]
    def __init__(self, full_name: dict[str, str], risk_profile: str) -> None:
        self.full_name, self.risk_profile = full_name, risk_profile

    @event("ClientProfileUpdated")  # type: ignore[untyped-decorator]
    def update(self, full_name: dict[str, str], risk_profile: str) -> None:
        self.full_name, self.risk_profile = full_name, risk_profile


class Task(Aggregate):  # type: ignore[misc]
    """A task's way."""

    @event("TaskCreated")  # type: ignore[untyped-decorator]
    def __init__(self, client_id: str, agent_name: str, payload: dict[str, str]) -> None:
        self.client_id, self.agent_name, self.payload, self.status = client_id, agent_name, payload, "pending"

    @event("TaskClaimed")  # type: ignore[untyped-decorator]
    def claim(self, attempt: int) -> None:
        self.attempt, self.status = attempt, "claimed"

    @event("TaskCompleted")  # type: ignore[untyped-decorator]
    def complete(self, result: dict[str, str]) -> None:
        self.result, self.status = result, "completed"


class Rows(PostgresTrackingRecorder):  # type: ignore[misc]
    """A row an aggregate: what its events said last."""

    def __init__(self, datastore: Any, **options: Any) -> None:
        super().__init__(datastore, **options)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS view_rows (id uuid PRIMARY KEY, version bigint, state jsonb)")
        )

    def record(self, happened: Any, tracking: Tracking) -> None:
        """The row as the event leaves it."""
        said = {
            k: v for k, v in vars(happened).items() if k not in {"originator_id", "originator_version", "timestamp"}
        }
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO view_rows VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET version = excluded.version,"
                " state = view_rows.state || excluded.state",
                (
                    happened.originator_id,
                    happened.originator_version,
                    Json(said, dumps=lambda v: json.dumps(v, default=str)),
                ),
                prepare=True,
            )


class View(Projection[Rows]):  # type: ignore[misc]
    """Every event goes into the row of its aggregate."""

    name = "view"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.record(domain_event, tracking)


def _environment() -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": order["host"],
        "POSTGRES_PORT": str(order["port"]),
        "POSTGRES_DBNAME": order["dbname"],
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "",
        "POSTGRES_SINGLE_ROW_TRACKING": "yes",
    }


def _fill(app: Any, database: psycopg.Connection[Any]) -> None:
    """Until there are enough events."""
    while _number(database, "application_events") < order["events"]:
        for _ in range(order["events"] // (7 * AT_ONCE) + 1):
            app.save(*[aggregate for _ in range(AT_ONCE) for aggregate in (_client(), _task())])


def _client() -> Any:
    client = Client(SEALED, "moderate")
    for risk_profile in ("growth", "moderate", "growth"):
        client.update(SEALED, risk_profile)
    return client


def _task() -> Any:
    task = Task("c-1", "agent", SEALED)
    task.claim(1)
    task.complete(SEALED)
    return task


def _aggregates(app: Any, database: psycopg.Connection[Any]) -> int:
    """Get one aggregate after the other; how many events they were rebuilt from."""
    ids = database.execute("SELECT originator_id FROM application_events WHERE originator_version = 1").fetchall()
    end, events = time.perf_counter() + order["seconds"], 0
    for (identifier,) in ids:
        events += app.repository.get(identifier).version
        if time.perf_counter() > end:
            break
    return events


def _projection(database: psycopg.Connection[Any]) -> int:
    """Run the projection from the beginning; how many events it got through."""
    found = database.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'application_events'"
    )
    for (table,) in found.fetchall():
        database.execute(f'DROP TABLE "{table}"'.encode())
    with ProjectionRunner(application_class=Application, projection_class=View, view_class=Rows, env=_environment()):
        end = time.perf_counter() + order["seconds"]
        while time.perf_counter() < end and _seen(database) < order["events"]:
            time.sleep(0.01)
        return _seen(database)


def _seen(database: psycopg.Connection[Any]) -> int:
    return int(database.execute("SELECT coalesce(sum(version), 0) FROM view_rows").fetchall()[0][0])


def _number(database: psycopg.Connection[Any], table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()[0][0])


def main() -> None:
    """Measure, and print the answer."""
    app: Any = Application(env=_environment())
    where = psycopg.conninfo.make_conninfo(
        host=order["host"], port=order["port"], dbname=order["dbname"], user="postgres"
    )
    with psycopg.connect(where, autocommit=True) as database:
        _fill(app, database)
        started = time.perf_counter()
        count = _aggregates(app, database) if order["kind"] == "aggregates" else _projection(database)
        seconds = time.perf_counter() - started
    print(json.dumps({"count": count, "seconds": seconds, "sent": count, "times": [seconds]}))
    app.close()


if __name__ == "__main__":
    main()
