"""The officer's index is checked against the log and brought level with it like a read model (P7)."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import AsyncRawCursor

from eventstore.database import Database
from projections.audit_index import audit_index
from projections.replay.faults import Cancelled
from projections.replay.indexed import IndexedEvents
from projections.tail import OPEN, SESSION
from tests.eventstore.writer.harness import TENANT
from tests.projections.replay.harness import STORY, Direct, append, check, heal, table

INDEX = [IndexedEvents(at_once=3)]


def filled(database: Database) -> None:
    """Let the tail index all there is."""

    async def follow() -> None:
        async with await psycopg.AsyncConnection.connect(
            database.url("keeper"), autocommit=True, cursor_factory=AsyncRawCursor
        ) as connection:
            await connection.execute(SESSION.sql.encode(), (TENANT,))
            tail = audit_index(TENANT)
            await connection.execute(OPEN.sql.encode(), (TENANT, tail.name))
            while await tail.turn(connection):
                pass

    asyncio.run(follow())


def spoil(database: Database, statement: str) -> None:
    """Change the index as superuser."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount > 0


@pytest.fixture
def indexed(database: Database) -> Database:
    """A story, and its index."""
    append(database, STORY)
    filled(database)
    return database


DAMAGE = {
    "leads": "leads = NOT leads",
    "stream": "stream = 'client-other'",
    "type": "type = 'Other'",
    "actor": "actor = 'user:other'",
    "correlation_id": "correlation_id = 'other'",
    "decision_id": "decision_id = 'other'",
    "recorded_at": "recorded_at = recorded_at + interval '1 microsecond'",
}


@pytest.mark.parametrize("column", DAMAGE)
def test_a_damaged_column_is_found_and_healed(indexed: Database, column: str) -> None:
    """By table, id and column."""
    before = table(indexed, "audit_index")
    assert check(indexed, models=INDEX) == []
    spoil(indexed, f"UPDATE fidelog.audit_index SET {DAMAGE[column]} WHERE position = 4")
    (found,) = check(indexed, models=INDEX)
    assert (found.table, found.id, found.column) == ("audit_index", "4:x", column)
    assert heal(indexed, models=INDEX).differing == 1
    assert check(indexed, models=INDEX) == []
    assert table(indexed, "audit_index") == before


def test_lost_rows_and_rows_that_nothing_calls_for(indexed: Database) -> None:
    """Rows deleted, rows about somebody else, rows before their turn: told, and put right."""
    before = table(indexed, "audit_index")
    spoil(indexed, "DELETE FROM fidelog.audit_index WHERE position IN (1, 7)")
    for subject, position in (("nobody", 5), ("", 2), ("x", 999)):
        spoil(
            indexed,
            "INSERT INTO fidelog.audit_index SELECT tenant_id, '"
            + subject
            + f"', {position}, false, stream, type, actor,"
            " correlation_id, decision_id, recorded_at FROM fidelog.audit_index WHERE position = 3",
        )
    found = {(one.id, one.column, one.live, one.fold) for one in check(indexed, models=INDEX)}
    lost = {(place, "row", "absent", "present") for place in ("1:x", "7:x")}
    extra = {(place, "row", "present", "absent") for place in ("5:nobody", "2:", "999:x")}
    assert found == lost | extra
    tally = heal(indexed, models=INDEX)
    assert (tally.differing, tally.events) == (5, len(STORY))
    assert table(indexed, "audit_index") == before


def test_what_the_tail_has_not_reached_is_not_missing(indexed: Database) -> None:
    """The index is right as far as it has got; an index never begun holds nothing."""
    append(indexed, STORY[1:2])
    assert check(indexed, models=INDEX) == []
    filled(indexed)
    assert len(table(indexed, "audit_index")) == len(STORY) + 1
    spoil(indexed, "DELETE FROM fidelog.tail_checkpoints")
    assert len(check(indexed, models=INDEX)) == len(STORY) + 1
    assert heal(indexed, models=INDEX).differing == len(STORY) + 1
    assert table(indexed, "audit_index") == []


@pytest.mark.parametrize("given_up", [False, True])
def test_the_checkpoint_is_waited_for_and_waiting_can_be_cancelled(indexed: Database, given_up: bool) -> None:
    """The tail, or another replay, holds it for longer than a try: replay tries again until it has it, or until it is told
    to stop, and has then changed nothing."""
    before = table(indexed, "audit_index")
    spoil(indexed, "DELETE FROM fidelog.audit_index")
    with psycopg.connect(indexed.url("superuser")) as holder:
        holder.execute("SELECT 1 FROM fidelog.tail_checkpoints FOR UPDATE")

        def after_a_try() -> None:
            if given_up:
                raise Cancelled
            holder.rollback()

        work = Direct(indexed, heal=True)
        work.pause = after_a_try  # type: ignore[method-assign]
        part = next(INDEX[0].ranges(work.reading, TENANT))
        try:
            if given_up:
                with pytest.raises(Cancelled):
                    INDEX[0].run(work, TENANT, part)
            else:
                assert INDEX[0].run(work, TENANT, part).differing > 0
        finally:
            work.close()
    rows = table(indexed, "audit_index")
    assert rows == ([] if given_up else [row for row in before if row in rows])
    assert bool(rows) != given_up
