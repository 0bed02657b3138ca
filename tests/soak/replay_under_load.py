"""Part 2: a long log is replayed over damaged read models, while writes go on and do not notice. (P1, P7)"""

from __future__ import annotations

import asyncio

import psycopg
from psycopg import sql

from tests.processes.fidelog_process import Folders
from tests.soak.filling import filled, unguarded
from tests.soak.findings import Findings, Tell
from tests.soak.paced_load import PacedLoad, quantiles
from tests.soak.watched_process import Watched, watch

EVENTS = 1_000_000
PER_SECOND = 200
LONGEST = 1.0
"""No write may wait longer, in seconds."""
MEMORY = 512 << 20
"""All processes of a replay together may have no more."""
QUIET_WRITES = 1_000
"""So many are made before the replay begins, to compare with."""

DAMAGE = {
    "agent_tasks": (
        "UPDATE fidelog.agent_tasks SET fold_version = 0",
        "DELETE FROM fidelog.agent_tasks WHERE hashtext(task_id::text) % 100 = 0",
    ),
    "client_profiles": (
        "DELETE FROM fidelog.client_profiles WHERE hashtext(client_id) % 10 = 0",
        "UPDATE fidelog.client_profiles SET risk_profile = 'growth' WHERE hashtext(client_id) % 10 = 1",
    ),
}
"""What a superuser does to each read model with its guards off."""


async def replay_under_load(folders: Folders, tell: Tell, events: int = EVENTS) -> Findings:
    """On a prepared data folder that is not running."""
    findings = Findings("replay under load")
    await asyncio.to_thread(_fill_and_damage, folders, events, findings, tell)
    server = await asyncio.to_thread(lambda: folders.serve().ready())
    load = PacedLoad(server.url, PER_SECOND)
    while len(load.seconds) < QUIET_WRITES:
        await asyncio.sleep(0.01)
    quiet = len(load.seconds)
    findings.line(f"writes before: {quantiles(load.seconds)}")
    if max(load.seconds) > LONGEST:
        findings.line("this machine is too busy with other work for a judgement of how long writes wait")
    replayed = await watch(folders, "replay")
    tell(f"replay took {replayed.seconds:.0f} s")
    until_checked = len(load.seconds)
    checked = await watch(folders, "replay", "--check")
    tell(f"replay --check took {checked.seconds:.0f} s")
    await load.finish()
    findings.line(f"writes during replay: {quantiles(load.seconds[quiet:until_checked])}")
    findings.line(f"writes during replay --check: {quantiles(load.seconds[until_checked:])}")
    findings.line(f"{len(load.seconds):,} writes at {PER_SECOND} a second")
    findings.require(max(load.seconds) <= LONGEST, f"a write took {max(load.seconds):.2f} s")
    findings.faults += load.failed
    for name, done in (("replay", replayed), ("replay --check", checked)):
        _judge(findings, name, done, events)
    findings.require(await asyncio.to_thread(server.stop) == 0, "the server did not stop as it should")
    findings.require(not server.tracebacks(), f"the server failed: {server.stderr()[-2000:]}")
    return findings.finish()


def _judge(findings: Findings, name: str, done: Watched, events: int) -> None:
    rate, mib = events / done.seconds, done.peak_bytes / (1 << 20)
    findings.line(f"{name}: {done.seconds:.1f} s, {rate:,.0f} events/s, {mib:.0f} MiB at most, exit {done.status}")
    said = done.said.strip().splitlines()
    findings.lines += [f"  {line}" for line in said[:4]]
    findings.require(done.status == 0, f"{name}: exit {done.status}: {said[-5:]}")
    findings.require(done.peak_bytes <= MEMORY, f"{name} had {mib:.0f} MiB")


def _fill_and_damage(folders: Folders, events: int, findings: Findings, tell: Tell) -> None:
    with filled(folders, events) as url:
        tell(f"{events:,} events filled in")
        damaged = [f"{number:,} of {table}" for table in DAMAGE for number in _damage(url, table)]
    findings.line(f"{events:,} events; rows damaged: {', '.join(damaged)}")
    tell(findings.lines[-1])


def _damage(url: str, table: str) -> list[int]:
    """Spoil a read model behind the log's back; the number of rows by statement."""
    with psycopg.connect(url) as connection:
        with unguarded(connection, table) as name:
            numbers = [connection.execute(statement.encode()).rowcount for statement in DAMAGE[table]]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(name))
    return numbers
