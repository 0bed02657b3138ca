"""S4: replay into empty read models against a raw copy of the log, and against `eventsourcing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.engine_load import order_to
from bench.grown import Grown, named
from bench.postgres import Postgres
from bench.programs import Program, ProgramLoad, in_python
from bench.progress import Tell
from bench.replay_loads import RawCopy, ReplayLoad
from bench.report import TIMES, Fact, Goal, Report, Row
from bench.rounds import Contender, alternate
from eventstore.database import Database
from projections.audit_index import NAME as INDEX

WORK = "S4 replay"
ONE, TWO, APART = "one process", "two processes", "officer's index, two processes"
GOALS: Mapping[str, Goal] = {ONE: Goal("≥", 0.2), TWO: Goal("≥", 0.3)}
MEMORY, FLAT = Goal("≤", 512), Goal("≤", 1.1)
LARGE, LARGE_ROUNDS = 5_000_000, 1
"""A log of so many events takes minutes a round, and its officer's index, which has no goal, a quarter of an hour: that is
left out."""

AGGREGATES, PROJECTION = "eventsourcing, aggregates", "eventsourcing, projection"
LIBRARIES = {AGGREGATES: "aggregates", PROJECTION: "projection"}
LIBRARY_DATABASE = "eventsourcing_replay"
LIBRARY_EVENTS, LIBRARY_SECONDS = 20_000, 5.0

NOTE = (
    f"{WORK}: all read models are emptied, made again from the log and saved, guards on; starting the workers is "
    "included. Raw COPY: the rows of all events, received and thrown away. The officer's index is filled by a tail and "
    f"counted apart. eventsourcing has {LIBRARY_EVENTS:,} events of its own, because it would take hours for as many: "
    "aggregates are got from its repository one after the other and not saved; its projection runner upserts a row of "
    "PostgreSQL an event."
)


def rows(events: int) -> tuple[Row, ...]:
    """The comparisons on a log of so many events."""
    work = work_of(events)
    copies = [Row(work, "rate", name, RawCopy.name, GOALS.get(name)) for name in _ours(events)]
    return (*copies, *(Row(work, "rate", ONE, peer, Goal("≥", 4.0)) for peer in LIBRARIES))


def _ours(events: int) -> Sequence[str]:
    """What is replayed of a log of so many."""
    return (ONE, TWO) if events >= LARGE else (ONE, TWO, APART)


def all_rows(sizes: Sequence[int]) -> tuple[Row, ...]:
    """The comparisons on logs of these sizes, ascending."""
    return tuple(row for events in measured(sizes) for row in rows(events))


def measured(sizes: Sequence[int]) -> Sequence[int]:
    """The logs to replay: all but the smallest, which is too short, unless it is the only one."""
    return sizes[1:] or sizes


def work_of(events: int) -> str:
    """The work's name with the size of the log."""
    return f"{WORK}, {named(events)} events"


NAMES = ("agent_tasks", "client_profiles")
"""The read models that are made; the officer's index is measured apart."""


@dataclass(frozen=True)
class ReplayWork:
    """The work on logs of the sizes `measured` names; `sizes` ascend."""

    sizes: Sequence[int]
    rounds: int

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        libraries = 0 if _library().missing else len(LIBRARIES)
        contenders = {log: 1 + len(_ours(log)) + libraries for log in measured(self.sizes)}
        return Grown.steps(self.sizes) + 1 + sum(number * self._rounds(log) + 1 for log, number in contenders.items())

    @property
    def commands(self) -> list[str]:
        """How the loads are made."""
        return ["python -m bench.replay_process JSON", _library().shown]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        grown = Grown(postgres.logs)
        grown.build(self.sizes, tell)
        with grown.running() as server:
            tell("making the library's database")
            libraries = _libraries(server)
            for events in measured(self.sizes):
                measure(grown.database(server, events), events, self._rounds(events), libraries, report, tell)
                tell(f"vacuuming what was replayed of {named(events)} events")
                grown.vacuum(server, events)
        report.notes += [NOTE, *grown.notes]

    def _rounds(self, events: int) -> int:
        return LARGE_ROUNDS if events >= LARGE else self.rounds


def measure(
    database: Database, events: int, rounds: int, libraries: Sequence[Contender], report: Report, tell: Tell
) -> None:
    """Measure and report on a database that holds so many events, its officer's index level. Raises MeasurementError."""
    replays = [ReplayLoad(name, database, NAMES, workers, events) for name, workers in ((ONE, 1), (TWO, 2))]
    index = [ReplayLoad(APART, database, [INDEX], 2, events)] if APART in _ours(events) else []
    loads: list[Contender] = [RawCopy(database, events), *replays, *index, *libraries]
    series = alternate(loads, rounds, LIBRARY_SECONDS, lambda message: tell(f"{named(events)} events, {message}"))
    wanted = rows(events)
    report.add(work_of(events), series, [row for row in wanted if row.peer in series.readings])
    missing = _library().missing
    report.rows += [
        (Row(r.work, r.figure, r.ours, r.peer, r.goal, missing), None) for r in wanted if r.peer not in series.readings
    ]
    report.facts += [fact for load in replays for fact in _memory(work_of(events), load)]


def _memory(work: str, load: ReplayLoad) -> list[Fact]:
    peak = median(memory.peak for memory in load.memory) / (1 << 20)
    grown = median(memory.last_quarter / memory.second_quarter for memory in load.memory)
    return [
        Fact(work, f"memory of all its processes at most, {load.name}", peak, "MiB", MEMORY),
        Fact(work, f"memory in the last quarter, {load.name}", grown, TIMES, FLAT, "that in the second quarter"),
    ]


def _library() -> Program:
    return in_python("eventsourcing_replay", "eventsourcing")


def _libraries(server: Postgres) -> list[ProgramLoad]:
    if _library().missing:
        return []
    order = {**order_to(server, LIBRARY_DATABASE), "events": LIBRARY_EVENTS}
    return [ProgramLoad(name, _library(), {**order, "kind": kind}) for name, kind in LIBRARIES.items()]
