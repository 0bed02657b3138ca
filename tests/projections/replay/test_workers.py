"""Several processes: every range is done once, differences come in order, and memory stays bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventstore.database import Database
from projections.agent_tasks import agent_tasks
from projections.client_profiles import client_profiles
from projections.replay.replayable import FoldedStreams, Replayable, Tally
from projections.replay.running import Replay, Unwatched
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows
from tests.projections.replay.harness import append, created, damage, onboarded

NAMES = ("client_profiles", "agent_tasks")
PROJECT = Path(__file__).resolve().parents[3]


def small() -> Sequence[Replayable]:
    """Ranges of a few events, so that there are many."""
    return [FoldedStreams(client_profiles(), 7), FoldedStreams(agent_tasks(), 7)]


class Watching(Unwatched):
    """What the observer is told."""

    def __init__(self) -> None:
        super().__init__()
        self.expected, self.done = 0, 0

    def expect(self, events: int) -> None:
        self.expected += events

    def read(self, events: int) -> None:
        self.done += events


@pytest.mark.parametrize("number", [1, 3])
def test_all_is_done_once_and_told_in_order(pg: Cluster, database: Database, number: int) -> None:
    """Over many ranges, tenants and workers, with more differences in a range than a message holds."""
    rows(database, "INSERT INTO fidelog.logs (tenant_id) VALUES ('other')")
    clients = [f"c{n:03}" for n in range(60)]
    tasks = [f"00000000-0000-4000-8000-{n:012d}" for n in range(20)]
    for tenant_id in ("default", "other"):
        append(database, [*map(onboarded, clients), *map(created, tasks)], tenant_id)
    checked = Watching()
    tallies = Replay(database, NAMES, heal=False, workers=number, models=small).run(checked)
    wanted = [("agent_tasks", tenant, task) for tenant in ("default", "other") for task in tasks]
    wanted += [("client_profiles", tenant, client) for tenant in ("default", "other") for client in clients]
    assert [(f.table, f.tenant_id, f.id) for f in checked.differences] == wanted
    assert tallies == {"agent_tasks": Tally(40, 40, 40), "client_profiles": Tally(120, 120, 120)}
    assert (checked.expected, checked.done) == (160, 160)
    healed = Replay(database, NAMES, heal=True, workers=number, models=small).run(Unwatched())
    assert healed == tallies
    damage(database, "client_profiles", "SET risk_profile = 'a', version = 0, position = 0, created_at = '2020-01-01'")
    checked = Watching()
    Replay(database, NAMES, heal=False, workers=number, models=small).run(checked)
    order = [(f.table, f.tenant_id, f.id) for f in checked.differences]
    assert order == sorted(order)
    assert len(order) == 4 * 120


MEASURED = """
import resource, sys
from eventstore.database import Database
from projections.replay.running import Replay, Unwatched

if __name__ == "__main__":
    urls = dict(zip(("keeper", "auditor"), sys.argv[1:]))
    Replay(Database("embedded", urls), ("agent_tasks", "client_profiles"), heal=True, workers=1).run(Unwatched())
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(*(resource.getrusage(kind).ru_maxrss // 1024 for kind in kinds))
"""

EVENTS = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,
        subjects, actor, command_id, correlation_id, recorded_at)
    SELECT 'default', {after} + g, 1, 'client-' || {client}, {version}, gen_random_uuid(), 'ClientOnboarded', 1,
        format('{{"client_id":"%s","full_name":%s,"risk_profile":"moderate"}}', {client},
               format('{{"fingerprint":"f","key":"k","sealed":"%s"}}', repeat('x', 2000)))::json,
        '{{x}}', 'user:x', gen_random_uuid(), 'x', clock_timestamp()
    FROM generate_series(1, {number}) AS g
"""


def peak(database: Database, tmp_path: Path) -> tuple[int, int]:
    """MiB that the command's process and its worker need at most for bringing everything level."""
    program = tmp_path / "measured.py"
    program.write_text(MEASURED)
    variables = {**os.environ, "PYTHONPATH": str(PROJECT)}
    urls = [database.url("keeper"), database.url("auditor")]
    done = subprocess.run(
        [sys.executable, str(program), *urls], env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ours, worker = map(int, done.stdout.split())
    return ours, worker


def test_memory_does_not_grow_with_the_log(database: Database, tmp_path: Path) -> None:
    """100 MB of events in one stream of 50,000 and 20 MB in 10,000 streams, their rows all missing, need no more than
    a small log does, but for a few batches."""
    rows(database, EVENTS.format(after=0, client="'c1'", version="g", number=50))
    small_log = peak(database, tmp_path)
    rows(database, EVENTS.format(after=50, client="'c1'", version="50 + g", number=49_950))
    rows(database, EVENTS.format(after=50_000, client="'d' || g", version="1", number=10_000))
    large_log = peak(database, tmp_path)
    assert rows(database, "SELECT count(*) FROM fidelog.client_profiles") == [(10_001,)]
    assert large_log[0] - small_log[0] <= 16, (small_log, large_log)
    assert large_log[1] - small_log[1] <= 40, (small_log, large_log)
