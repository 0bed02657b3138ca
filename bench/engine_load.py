"""S2: the engine in process against pgbench, one guarded insert a commit."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine import EngineLoad
from bench.pgbench import SCRIPT, Pgbench, sample_event
from bench.postgres import Postgres
from bench.progress import Tell
from bench.report import Goal, Report, Row
from bench.rounds import MeasurementError, alternate

WORK = "S2 engine, commands"
PEER = "pgbench, 32 clients"
HOT_STREAMS = 100

NEW = "256 in flight, new streams"
HOT = f"256 in flight, {HOT_STREAMS} hot streams"
SHAPES: tuple[tuple[str, int, int | None], ...] = (
    ("1 in flight, new streams", 1, None),
    ("64 in flight, new streams", 64, None),
    (NEW, 256, None),
    (HOT, 256, HOT_STREAMS),
)
ROWS = tuple(
    Row(f"{WORK}, {name}", "rate", name, PEER, Goal("≥", 3.0) if name in {NEW, HOT} else None) for name, *_ in SHAPES
)
NOTE = (
    "pgbench: each client is a tenant of its own, because positions of one tenant have no gap and its writers would "
    "queue; same table, indexes, guards, policies, login and session settings as the engine's. The engine's commands "
    "also write a data key and a read-model row, and look up their idempotency keys."
)


@dataclass(frozen=True)
class EngineWork:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + (len(SHAPES) + 1) * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the peer's load was made."""
        seconds = max(1, round(self.seconds))
        return [f"pgbench -n -c 32 -j 2 -M prepared -T {seconds} -l -f {SCRIPT} -D NAME=VALUE … URL"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("making the engine's and the peer's databases")
        ours, peers = postgres.migrated("engine"), postgres.migrated("peer")
        engines = [EngineLoad(name, postgres.settings(ours), number, hot) for name, number, hot in SHAPES]
        engines[0].measure(0.3)  # writes the event that serves the peer as a sample
        peer = Pgbench(PEER, postgres.server.bin_dir, peers, sample_event(ours))
        series = alternate([peer, *engines], self.rounds, self.seconds, tell)
        committed = sum(engine.committed for engine in engines)
        events = int(postgres.row("SELECT count(*) FROM fidelog.events", "engine")[0])
        if events != committed:
            raise MeasurementError(f"the engine answered {committed} commands and stored {events} events")
        report.add(WORK, series, ROWS)
        report.notes.append(NOTE)
