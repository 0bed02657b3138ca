"""Part 4: what a snapshot held open elsewhere costs the claims, measured against the same work without it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import median

import psycopg

from tests.processes.fidelog_process import Folders
from tests.soak.findings import Findings, Tell
from tests.soak.sharing import Drain, create_tasks, share

SHARED = 5_000
RATIO = 0.8
WITHOUT, WITH = "without a snapshot", "with a snapshot held"
NOT_COMPLETED = "SELECT count(*) FROM fidelog.agent_tasks WHERE status <> 'completed'"


async def held_snapshot(folders: Folders, seed: int, tell: Tell, tasks: int = 20_000, pairs: int = 2) -> Findings:
    """On a prepared data folder: agents share tasks, then drain queues by turns without and with a snapshot held."""
    server = await asyncio.to_thread(lambda: folders.serve().ready())
    findings = await share(server.url, SHARED, seed)
    findings.name = "held snapshot"
    tell(findings.lines[0])
    rates: dict[str, list[float]] = {WITHOUT: [], WITH: []}
    for number in range(2 * pairs):
        leg = (WITHOUT, WITH)[number % 2]
        rates[leg].append(await _leg(folders, server.url, tasks, Random(seed + number), leg == WITH))
        tell(f"drain {number + 1}/{2 * pairs} of {tasks:,} tasks {leg}: {rates[leg][-1]:,.0f} claims/s")
    for leg, found in rates.items():
        findings.line(f"{leg}: {median(found):,.0f} claims/s ({', '.join(f'{rate:,.0f}' for rate in found)})")
    ratio = median(rates[WITH]) / median(rates[WITHOUT])
    findings.line(f"ratio {ratio:.2f}, to be at least {RATIO}")
    findings.require(ratio >= RATIO, f"claims under a held snapshot have {ratio:.2f} of the rate without")
    findings.require(await asyncio.to_thread(server.stop) == 0, "the server did not stop as it should")
    return findings.finish()


async def _leg(folders: Folders, url: str, tasks: int, random: Random, held: bool) -> float:
    """Claims a second. Each leg begins without the dead rows that the one before left."""
    with psycopg.connect(folders.superuser_url(), autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    await create_tasks(url, tasks)
    if held:
        with snapshot(folders):
            drain = await Drain(url, tasks, random).run()
    else:
        drain = await Drain(url, tasks, random).run()
    with psycopg.connect(folders.superuser_url(), autocommit=True) as connection:
        assert connection.execute(NOT_COMPLETED).fetchone() == (0,), "every task is completed"
    return drain.rate


@contextmanager
def snapshot(folders: Folders) -> Iterator[None]:
    """Another session sits in a transaction that sees the log as it is now."""
    with psycopg.connect(folders.superuser_url()) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1 FROM fidelog.events LIMIT 1")
        yield
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS, "it was held all the time"
        connection.rollback()
