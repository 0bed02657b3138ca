"""P6: what was acknowledged is durable; an outcome that is unknown is resolved, never guessed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventstore.database import Database
from eventstore.errors import DatabaseUnavailable
from eventstore.records import Receipt
from tests.clusters import Cluster
from tests.eventstore.writer.cutting_proxy import Moment, cutting
from tests.eventstore.writer.harness import TENANT, assert_gapless, envelope, rows, vault_of, writing
from tests.eventstore.writer.test_batches import lock_tenant, until_waiting

PROJECT = Path(__file__).resolve().parents[3]

embedded_only = pytest.mark.skipif(
    bool(os.environ.get("FIDELOG_TEST_DATABASE_URL")), reason="needs the embedded server's socket or processes"
)


@embedded_only
@pytest.mark.parametrize(("moment", "cuts"), [("before", 2), ("after", 1)])
def test_a_connection_cut_during_commit_is_resolved_under_the_lock(
    pg: Cluster, database: Database, moment: Moment, cuts: int
) -> None:
    """64 callers with one key and 20 others: whichever side of the COMMIT the cut is, each command stands once."""

    async def check() -> list[Any]:
        vault = await vault_of(pg, database)
        async with cutting(database, moment, cuts=cuts) as (url, proxy):
            async with writing(database, vault, url=url) as writer:
                same = [writer.submit(envelope(vault, "same", key="k")) for _ in range(64)]
                others = [writer.submit(envelope(vault, key=f"k{n}")) for n in range(20)]
                receipts = await asyncio.gather(*same, *others)
                assert proxy.cuts == 0, "the cuts happened"
                again = await writer.submit(envelope(vault, "same", key="k"))
        assert isinstance(again, Receipt)
        assert again.replayed
        return [*receipts, again]

    receipts = asyncio.run(check())
    assert len({receipt.events[0].event_id for receipt in (*receipts[:64], receipts[-1])}) == 1
    # Whoever was first is answered as the first, also when its answer had to be found in the log.
    assert sum(not receipt.replayed for receipt in receipts[:64]) == 1
    assert all(not receipt.replayed for receipt in receipts[64:-1])
    assert assert_gapless(database) == 21


@embedded_only
def test_an_outcome_that_stays_unknown_is_answered_with_503_and_found_later(pg: Cluster, database: Database) -> None:
    """Every COMMIT is cut: the caller is told to ask again, and the repeat finds the one event."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with cutting(database, "before", cuts=10**6) as (url, _):
            async with writing(database, vault, url=url, resolve_seconds=0.3) as writer:
                with pytest.raises(DatabaseUnavailable):
                    await writer.submit(envelope(vault, "c", key="k"))
        async with writing(database, vault) as writer:
            receipt = await writer.submit(envelope(vault, "c", key="k"))
            assert isinstance(receipt, Receipt)
            assert not receipt.replayed

    asyncio.run(check())
    assert assert_gapless(database) == 1


def test_a_terminated_session_is_replaced(pg: Cluster, database: Database) -> None:
    """pg_terminate_backend while a batch waits for the lock: the batch is run again, nothing is lost or doubled."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            lock = await lock_tenant(database)
            pending = [asyncio.ensure_future(writer.submit(envelope(vault))) for _ in range(5)]
            await until_waiting(database)
            rows(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            await until_waiting(database)
            await lock.close()
            assert all(isinstance(receipt, Receipt) for receipt in await asyncio.gather(*pending))

    asyncio.run(check())
    assert assert_gapless(database) == 5


def test_a_lock_held_too_long_is_waited_for_again(pg: Cluster, database: Database) -> None:
    """55P03 retries the whole batch."""
    impatient = Database(database.kind, database.urls, database.fallback, database.data_dir, {"lock_timeout": "100ms"})

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(impatient, vault) as writer:
            lock = await lock_tenant(database)
            pending = asyncio.ensure_future(writer.submit(envelope(vault)))
            seen: set[int] = set()
            while len(seen) < 2:  # a second session waits: the first gave up
                seen |= {
                    pid for (pid,) in rows(database, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                }
                await asyncio.sleep(0.01)
            await lock.close()
            assert isinstance(await pending, Receipt)

    asyncio.run(check())
    assert assert_gapless(database) == 1


def test_a_read_only_server_stops_writes_with_503_and_nothing_is_lost(pg: Cluster, database: Database) -> None:
    """25006 stops the batch; when the server takes writes again, so does the writer."""
    read_only = Database(
        database.kind, database.urls, database.fallback, database.data_dir, {"default_transaction_read_only": "on"}
    )

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(read_only, vault) as writer:
            with pytest.raises(DatabaseUnavailable):
                await writer.submit(envelope(vault, "c", key="k"))
        async with writing(database, vault) as writer:
            assert isinstance(await writer.submit(envelope(vault, "c", key="k")), Receipt)

    asyncio.run(check())
    assert assert_gapless(database) == 1


@pytest.mark.parametrize(
    "swallow",
    [
        "CREATE RULE swallow AS ON INSERT TO fidelog.events DO INSTEAD NOTHING",
        "CREATE FUNCTION fidelog.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER swallow BEFORE INSERT ON fidelog.events FOR EACH ROW EXECUTE FUNCTION fidelog.swallow()",
        "CREATE FUNCTION fidelog.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER swallow BEFORE INSERT ON fidelog.client_profiles FOR EACH ROW EXECUTE FUNCTION fidelog.swallow()",
    ],
)
def test_a_rule_or_trigger_that_swallows_rows_fails_the_command(pg: Cluster, database: Database, swallow: str) -> None:
    """P1, P2: as many rows come back as went in, or nothing is acknowledged and nothing is stored."""
    rows(database, swallow)

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            with pytest.raises(DatabaseUnavailable):
                await writer.submit(envelope(vault))

    asyncio.run(check())
    assert rows(
        database, "SELECT (SELECT count(*) FROM fidelog.events), (SELECT count(*) FROM fidelog.client_keys)"
    ) == [(0, 0)]


def test_a_clock_set_back_stops_writes(pg: Cluster, database: Database) -> None:
    """P3: seconds below the newest event writes stop with a clear error; slightly below, the newest time is kept."""

    async def check(ahead: timedelta) -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            await writer.submit(envelope(vault))
            # An event from the future, as a clock that was set back since would have left it.
            rows(
                database,
                "INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type,"
                " schema_version, data, subjects, actor, command_id, correlation_id, recorded_at)"
                " SELECT tenant_id, position + 1, 1, 'client-future' || position, 1, gen_random_uuid(), type, 1, data, subjects,"
                f" actor, command_id, 'x', clock_timestamp() + interval '{ahead.total_seconds()} seconds'"
                " FROM fidelog.events ORDER BY position DESC LIMIT 1",
            )
            await writer.submit(envelope(vault))

    asyncio.run(check(timedelta(seconds=1)))
    assert assert_gapless(database) == 3
    with pytest.raises(DatabaseUnavailable, match="clock"):
        asyncio.run(check(timedelta(hours=1)))


def _start(pg: Cluster, database: Database, name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.eventstore.writer.writing_process", str(pg.state_dir), database.url("writer"),
         database.url("reader"), name, *arguments],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_processes_and_100_writers_leave_no_gap(pg: Cluster, database: Database) -> None:
    """P3, P4: two processes, 100 callers in all, new clients and shared ones."""
    processes = [_start(pg, database, name, "write", "50", "10") for name in ("one", "two")]
    acknowledged = [int(line) for process in processes for line in process.communicate(timeout=120)[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(acknowledged) == 1000
    assert assert_gapless(database) == 1000


def test_a_stopped_process_holds_a_tenant_for_three_seconds_at_most(pg: Cluster, database: Database) -> None:
    """A process is stopped by SIGSTOP under the tenant's lock; another's write goes through; the first goes on after
    SIGCONT and its command stands once."""
    stopped = _start(pg, database, "stopped", "stop-under-lock")
    try:
        while Path(f"/proc/{stopped.pid}/stat").read_text().split()[2] != "T":
            time.sleep(0.01)

        async def check() -> float:
            vault = await vault_of(pg, database)
            async with writing(database, vault) as writer:
                started = time.monotonic()
                await writer.submit(envelope(vault))
                return time.monotonic() - started

        waited = asyncio.run(check())
        os.kill(stopped.pid, signal.SIGCONT)
        assert stopped.communicate(timeout=30)[0].strip() == "1"
    finally:
        stopped.kill()
        stopped.wait()
    assert waited <= 3.0
    assert assert_gapless(database) == 2


def test_a_missing_lock_row_is_a_clear_error(pg: Cluster, database: Database) -> None:
    """The lock must return exactly one row: without the UPDATE policy or grant it would silently lock nothing."""
    rows(database, "DROP POLICY own_tenant ON fidelog.logs")

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            with pytest.raises(DatabaseUnavailable, match="cannot be locked"):
                await writer.submit(envelope(vault))

    asyncio.run(check())
    assert rows(database, "SELECT count(*) FROM fidelog.events") == [(0,)]


def test_the_connection_is_left_clean_after_a_refused_batch(pg: Cluster, database: Database) -> None:
    """No batch leaves a transaction open, whatever ended it: another session gets the lock at once."""

    async def check() -> None:
        vault = await vault_of(pg, database)
        async with writing(database, vault) as writer:
            await writer.submit(envelope(vault, "c", key="k"))
            await writer.submit(envelope(vault, "c", key="k"))  # a repeat appends nothing
            connection = await psycopg.AsyncConnection.connect(database.url("superuser"))
            await connection.execute(
                "SELECT 1 FROM fidelog.logs WHERE tenant_id = %s FOR NO KEY UPDATE NOWAIT", (TENANT,)
            )
            await connection.close()

    asyncio.run(check())
