"""A log with a story in it, read models that are damaged on purpose, and replay within the test's own process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from domain.client import ClientOnboarded, ClientProfileUpdated
from domain.task_events import TaskClaimed, TaskCompleted, TaskCreated
from eventstore.database import Database
from eventstore.ids import RandomIds
from projections.codec import Codec
from projections.replay.healing import Pace
from projections.replay.replayable import Found, Replayable, Tally
from projections.replay.sessions import Session
from projections.replay.tables import tables

TENANT = "default"
TASK = "0000000{}-0000-4000-8000-000000000000"
TABLES = {"client_profiles": "client_id", "agent_tasks": "task_id"}

Event = tuple[str, Any]

_ids = RandomIds()
_texts = itertools.count()


def sealed(text: str) -> dict[str, str]:
    """A sealed value as it is stored; equal fingerprints for equal texts."""
    return {"fingerprint": text, "key": "k", "sealed": f"box {next(_texts)}"}


def onboarded(client_id: str, risk_profile: str = "moderate") -> Event:
    """A client's first event, with its stream."""
    return f"client-{client_id}", ClientOnboarded(client_id, sealed("name"), risk_profile)


def updated(client_id: str, risk_profile: str) -> Event:
    """A later event of a client."""
    return f"client-{client_id}", ClientProfileUpdated(client_id, sealed("name"), risk_profile)


def created(task_id: str, client_id: str = "c1") -> Event:
    """A task's first event."""
    return f"task-{task_id}", TaskCreated(task_id, client_id, "agent", sealed("payload"), 3)


def claimed(task_id: str, client_id: str = "c1") -> Event:
    """The task is claimed."""
    return f"task-{task_id}", TaskClaimed(task_id, client_id, "agent", 1, 60)


def completed(task_id: str, client_id: str = "c1") -> Event:
    """The task is completed under a token."""
    return f"task-{task_id}", TaskCompleted(task_id, client_id, "agent", 1, _ids(), sealed("result"))


STORY: Sequence[Event] = (
    onboarded("c1"), onboarded("c2"), updated("c1", "growth"), onboarded("c3"),
    created(TASK.format(1)), created(TASK.format(2)), claimed(TASK.format(1)), claimed(TASK.format(2)),
    completed(TASK.format(1)), created(TASK.format(3)), updated("c1", "moderate"),
)  # fmt: skip
"""Every kind of client and of task: pending, claimed, completed."""


def append(database: Database, events: Sequence[Event], tenant_id: str = TENANT, actor: str = "agent:a@1") -> None:
    """Append events as the writer would have, the guards on, one statement each; no row is made."""
    codec = Codec()
    insert = (
        "INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,"
        " subjects, actor, command_id, correlation_id, recorded_at) SELECT %(tenant)s, (SELECT coalesce(max(position), 0)"
        " + 1 FROM fidelog.events WHERE tenant_id = %(tenant)s), 1, %(stream)s, (SELECT coalesce(max(version), 0) + 1 FROM"
        " fidelog.events WHERE tenant_id = %(tenant)s AND stream = %(stream)s), %(id)s::uuid, %(type)s, 1, %(data)s::json,"
        " '{x}', %(actor)s, %(id)s::uuid, 'x', clock_timestamp()"
    )
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        for stream, event in events:
            encoded = codec.encode(event)
            values = {"tenant": tenant_id, "stream": stream, "id": _ids(), "type": encoded.type, "actor": actor}
            connection.execute(insert, {**values, "data": encoded.data.decode()})


@contextmanager
def unguarded(database: Database, *tables: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser who took the guards of the tables away (they are back at the end)."""
    with psycopg.connect(database.url("superuser")) as connection:
        for table in tables:
            connection.execute(f"ALTER TABLE fidelog.{table} DISABLE TRIGGER USER".encode())
        yield connection
        for table in tables:
            for (trigger,) in connection.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", (f"fidelog.{table}",)
            ).fetchall():
                guard = sql.SQL("ALTER TABLE fidelog.{} ENABLE ALWAYS TRIGGER {}")
                connection.execute(guard.format(sql.Identifier(table), sql.Identifier(trigger)))


def damage(database: Database, table: str, change: str) -> None:
    """Do `change`, a statement's end: `SET …`, or `DELETE`, with the guards off."""
    statement = f"UPDATE fidelog.{table} {change}" if change.startswith("SET") else f"{change}"
    with unguarded(database, table) as connection:
        cursor = connection.execute(statement.encode())
        assert cursor.rowcount > 0, "something was damaged"


class Direct:
    """Replay's work without a worker process (replayable.Work). `between` is called after every batch of events."""

    def __init__(self, database: Database, heal: bool, between: Callable[[], None] = lambda: None) -> None:
        self.reading = Session(database.url("keeper"))
        self.healing = Session(database.url("keeper"), locks=True) if heal else None
        self.pace = Pace()
        self.differences: list[Found] = []
        self._between = between

    def step(self, events: int) -> None:
        self._between()

    def pause(self) -> None:
        pass

    def found(self, found: Found) -> None:
        self.differences.append(found)

    def close(self) -> None:
        """Close the connections."""
        self.reading.close()
        if self.healing is not None:
            self.healing.close()


def run(
    database: Database,
    *,
    heal: bool,
    models: Sequence[Replayable] | None = None,
    tenants: Sequence[str] = (TENANT,),
    between: Callable[[], None] = lambda: None,
) -> tuple[Tally, list[Found]]:
    """Replay or check everything here; what was done, and what a check found."""
    work, total = Direct(database, heal, between), Tally()
    try:
        for model in models or tables():
            for tenant_id in tenants:
                if heal:
                    model.refuse(work.reading, tenant_id)
                for part in list(model.ranges(work.reading, tenant_id)):
                    total.add(model.run(work, tenant_id, part))
    finally:
        work.close()
    return total, work.differences


def check(database: Database, **options: Any) -> list[Found]:
    """What a check finds."""
    return run(database, heal=False, **options)[1]


def heal(database: Database, **options: Any) -> Tally:
    """Bring everything level."""
    return run(database, heal=True, **options)[0]


def table(database: Database, name: str) -> list[tuple[Any, ...]]:
    """All rows of a table, as text, in order."""
    with psycopg.connect(database.url("superuser")) as connection:
        return connection.execute(f"SELECT t::text FROM fidelog.{name} AS t ORDER BY 1".encode()).fetchall()
