"""Reads that share sessions: each has its own answer, its own failure and its own tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from eventstore.database import Database
from eventstore.errors import DatabaseUnavailable
from eventstore.reading import Reader
from eventstore.sessions import begun
from eventstore.statements import Statement
from tests.clusters import Cluster

ECHO = Statement("echo", "SELECT $1::int")
HALVES = Statement("halves", "SELECT 10 / $1::int")
TENANT = Statement("tenant", "SELECT current_setting('fidelog.tenant_id'), $1::int")
LATER = Statement("later", "SELECT n FROM fidelog.made_later WHERE n = $1::int")
LOCKED = Statement("locked", "SELECT pg_advisory_xact_lock(1)::text, $1::int")
SLEEPS = Statement("sleeps", "SELECT pg_sleep($1::int)::text")
MODE = Statement("mode", "SELECT current_setting('plan_cache_mode'), $1::int")
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE usename = 'fidelog_reader' AND datname = current_database()"


@asynccontextmanager
async def reading(database: Database, sessions: int = 1, patience: float = 10.0) -> AsyncIterator[Reader]:
    """A reader of the database, open."""
    reader = Reader(database.url("reader"), sessions=sessions, patience=patience)
    await reader.open()
    try:
        yield reader
    finally:
        await reader.close()


async def together(reader: Reader, *asked: tuple[Statement, int], tenant_id: str = "default") -> list[Any]:
    """What each read, asked at one moment, gave: the rows or the error."""
    reads = [reader.rows(tenant_id, statement, (value,)) for statement, value in asked]
    return await asyncio.gather(*reads, return_exceptions=True)


def test_each_of_many_reads_asked_together_gets_its_own_rows(database: Database) -> None:
    """Answers are handed out in the order of the questions, on however many sessions."""

    async def check() -> None:
        async with reading(database, sessions=3) as reader:
            for _ in range(20):
                assert await together(reader, *((ECHO, n) for n in range(50))) == [[(n,)] for n in range(50)]

    asyncio.run(check())


def test_reads_that_are_planned_for_their_values_have_sessions_of_their_own(database: Database) -> None:
    """There no plan is kept; reads by key keep theirs."""

    async def check() -> None:
        async with reading(database) as reader:
            for mode, read in (("force_custom_plan", reader.rows_planned), ("auto", reader.rows)) * 2:
                assert await read("default", MODE, (1,)) == [(mode, 1)]

    asyncio.run(check())


def test_a_failure_is_its_own_reads_alone(database: Database) -> None:
    """Reads that the server skipped because one before them failed are carried out all the same."""

    async def check() -> None:
        async with reading(database) as reader:
            for _ in range(3):
                before, failed, after, again = await together(reader, (ECHO, 1), (HALVES, 0), (HALVES, 5), (HALVES, 0))
                assert isinstance(failed, psycopg.errors.DivisionByZero)
                assert isinstance(again, psycopg.errors.DivisionByZero)
                assert (before, after) == ([(1,)], [(2,)])

    asyncio.run(check())


def test_a_read_that_takes_too_long_is_ended_and_the_others_are_answered(database: Database) -> None:
    """The statement timeout ends one read, with 503; it counts for each read anew."""
    hurried = replace(database, extra={"statement_timeout": "300ms"})

    async def check() -> None:
        async with reading(hurried) as reader:
            slow, *others = await together(reader, (SLEEPS, 5), (ECHO, 1), (ECHO, 2))
            assert isinstance(slow, DatabaseUnavailable)
            assert others == [[(1,)], [(2,)]]

    asyncio.run(check())


def test_reads_of_two_tenants_on_one_session_each_see_their_own(database: Database) -> None:
    """P9: what names the tenant goes before each read whose tenant differs from the one before."""

    async def check() -> None:
        async with reading(database) as reader:
            reads = [reader.rows(name, TENANT, (n,)) for n in range(30) for name in ("alpha", "beta", "beta")]
            given = await asyncio.gather(*reads)
            assert given == [[(name, n)] for n in range(30) for name in ("alpha", "beta", "beta")]

    asyncio.run(check())


def test_a_failure_does_not_take_the_tenant_back(database: Database) -> None:
    """P9: a failure undoes what shares its sync; the tenant set before it stays set."""

    async def check() -> None:
        async with reading(database) as reader:
            failed, seen = await together(reader, (HALVES, 0), (TENANT, 1), tenant_id="alpha")
            assert isinstance(failed, psycopg.errors.DivisionByZero)
            assert seen == [("alpha", 1)]
            assert await reader.rows("alpha", TENANT, (2,)) == [("alpha", 2)]

    asyncio.run(check())


def test_no_read_is_answered_when_its_tenant_could_not_be_set(
    pg: Cluster, database: Database, database_name: str
) -> None:
    """P9: it would see the rows of the tenant before."""

    async def check() -> None:
        async with reading(database) as reader:
            assert await reader.rows("alpha", TENANT, (1,)) == [("alpha", 1)]
            pg.execute("REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC", database_name)
            for given in await together(reader, (TENANT, 2), (TENANT, 3), tenant_id="beta"):
                assert isinstance(given, DatabaseUnavailable)
            pg.execute("GRANT EXECUTE ON FUNCTION set_config TO PUBLIC", database_name)
            assert await reader.rows("beta", TENANT, (4,)) == [("beta", 4)]

    asyncio.run(check())


def test_a_statement_that_could_not_be_prepared_is_prepared_when_it_can_be(
    pg: Cluster, database: Database, database_name: str
) -> None:
    """Every read meanwhile fails for the true reason, those asked behind the first too."""

    async def check() -> None:
        async with reading(database) as reader:
            for given in await together(reader, (LATER, 1), (LATER, 2), (LATER, 3)):
                assert isinstance(given, psycopg.errors.UndefinedTable)
            pg.execute("CREATE TABLE fidelog.made_later AS SELECT 7 AS n", database_name)
            pg.execute("GRANT SELECT ON fidelog.made_later TO fidelog_reader", database_name)
            assert await together(reader, (LATER, 7), (LATER, 8)) == [[(7,)], []]

    asyncio.run(check())


def test_reads_under_way_on_sessions_that_end_are_asked_once_more(
    pg: Cluster, database: Database, database_name: str
) -> None:
    """Nobody learns that the sessions were ended; new ones take their place."""

    async def check() -> None:
        async with reading(database, sessions=2) as reader:
            await together(reader, (ECHO, 1), (ECHO, 2))
            with psycopg.connect(pg.url(database_name), autocommit=True) as holder:
                holder.execute("SELECT pg_advisory_lock(1)")
                reads = asyncio.ensure_future(together(reader, (LOCKED, 1), (LOCKED, 2), (ECHO, 3), (ECHO, 4)))
                await _until(holder, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'")
                holder.execute(f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS}) AS reads".encode())
                holder.execute("SELECT pg_advisory_unlock(1)")
            assert await reads == [[("", 1)], [("", 2)], [(3,)], [(4,)]]

    asyncio.run(check())


def test_a_server_that_stands_still_is_503_and_not_waited_for(
    pg: Cluster, database: Database, database_name: str
) -> None:
    """A read is never awaited for ever; the next one is answered."""

    async def check() -> None:
        async with reading(database, patience=0.2) as reader:
            assert await reader.rows("default", ECHO, (1,)) == [(1,)]
            with psycopg.connect(pg.url(database_name), autocommit=True) as holder:
                holder.execute("SELECT pg_advisory_lock(1)")
                (given,) = await together(reader, (LOCKED, 1))
                assert isinstance(given, DatabaseUnavailable)
                assert await reader.rows("default", ECHO, (2,)) == [(2,)]

    asyncio.run(check())


def test_a_caller_that_goes_away_leaves_the_others_their_answers(database: Database) -> None:
    """Its answer comes and is dropped."""

    async def check() -> None:
        async with reading(database) as reader:
            reads = [asyncio.ensure_future(reader.rows("default", ECHO, (n,))) for n in range(5)]
            while not reader.busy:
                await asyncio.sleep(0)
            reads[2].cancel()
            given = await asyncio.gather(*reads, return_exceptions=True)
            assert isinstance(given.pop(2), asyncio.CancelledError)
            assert given == [[(0,)], [(1,)], [(3,)], [(4,)]]

    asyncio.run(check())


@pytest.mark.parametrize("value", [None, 2**40, "text of any length ä" * 2_000, ["a", None, 'b"\\{'], b"\x00\xff"])
def test_values_come_back_as_they_went(database: Database, value: object) -> None:
    """Parameters and results of every kind the statements use; a large one takes several writes and reads."""
    types = {int: "bigint", str: "text", list: "text[]", bytes: "bytea"}
    echo = Statement("echo", f"SELECT $1::{types.get(type(value), 'text')}")

    async def check() -> None:
        async with reading(database) as reader:
            reads = [reader.rows("default", echo, (value,)) for _ in range(40)]
            assert await asyncio.gather(*reads) == [[(value,)]] * 40

    asyncio.run(check())


def test_a_session_whose_beginning_fails_or_is_cancelled_is_closed(database: Database) -> None:
    """Nobody else knows of it, so it would stay open, with whoever connected gone."""

    async def connected() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(database.url("reader"), autocommit=True)

    async def check() -> None:
        failing, cancelled = await connected(), await connected()
        with pytest.raises(psycopg.errors.DivisionByZero):
            await begun(failing, "SELECT 1 / 0")
        beginning = asyncio.create_task(begun(cancelled, "SELECT pg_sleep(60)"))
        await asyncio.sleep(0.1)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        assert failing.closed
        assert cancelled.closed
        whole = await begun(await connected(), "SELECT 1")
        assert not whole.closed
        await whole.close()

    asyncio.run(check())


async def _until(connection: psycopg.Connection[Any], query: str) -> None:
    async with asyncio.timeout(10):
        while connection.execute(query.encode()).fetchone() is None:
            await asyncio.sleep(0.01)
