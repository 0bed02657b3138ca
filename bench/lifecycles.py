"""S3: task lifecycles, create, claim, complete, against queues on PostgreSQL doing their own enqueue, work, complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.postgres import Postgres
from bench.programs import Program, ProgramLoad, in_node, in_python
from bench.progress import Tell
from bench.report import Fact, Goal, Report, Row
from bench.rounds import MeasurementError, Series, alternate
from bench.tasks import AGENTS, PAYLOAD, TaskLoad

WORK = f"S3 task lifecycles, {AGENTS} agents"
OURS = "Fidelog"
BEST = "the best of the queues"
GOAL = Goal("≥", 2.0)


@dataclass(frozen=True)
class Queue:
    """A peer."""

    name: str
    program: Callable[[], Program]
    in_flight: int
    """Enqueuing calls at once. Of what was tried, this and `open` served it best."""
    open: int
    """Jobs open at once, at most."""


QUEUES = (
    Queue("PgQueuer", lambda: in_python("pgqueuer_queue", "pgqueuer"), 20, 256),
    Queue("procrastinate", lambda: in_python("procrastinate_queue", "procrastinate"), 8, 32),
    Queue("pg-boss", lambda: in_node("pg_boss", "pg-boss"), 128, 1024),
    Queue("graphile-worker", lambda: in_node("graphile_worker", "graphile-worker"), 256, 1024),
)
ROWS = (Row(f"{WORK}: {BEST}", "rate", OURS, BEST, GOAL), *(Row(WORK, "rate", OURS, queue.name) for queue in QUEUES))

STORED = "SELECT count(*), count(*) FILTER (WHERE status = 'completed') FROM fidelog.agent_tasks"
AUDITED = "SELECT count(*) FROM fidelog.events WHERE stream LIKE 'task-%'"
NOTE = (
    "S3: tasks come one a request, for every contender; the work is nothing, the payload the same. A lifecycle counts when its "
    "completion is durable within the round, which begins and ends under full load. Ours: the routes' "
    "own handlers, idempotency keys, sealed payloads and results, three audited events each, claims of several tasks. "
    "The queues: unaudited, batches and local queues as each one's documentation recommends (bench/peers)."
)


@dataclass(frozen=True)
class LifecycleWork:
    """The work: how often and how long."""

    rounds: int
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""
        return 1 + (1 + sum(not queue.program().missing for queue in QUEUES)) * self.rounds

    @property
    def commands(self) -> list[str]:
        """How the peers' load was made."""
        return [queue.program().shown for queue in QUEUES]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""
        tell("making the databases of tasks and queues")
        ours = TaskLoad(OURS, postgres.settings(postgres.migrated("tasks")))
        peers: list[ProgramLoad] = []
        for queue in QUEUES:
            program = queue.program()
            if program.missing:
                row = Row(WORK, "rate", OURS, queue.name, not_run=program.missing)
                report.rows.append((row, None))
                continue
            order = {"url": postgres.create(queue.name), "in_flight": queue.in_flight, "open": queue.open}
            peers.append(ProgramLoad(queue.name, program, {**order, "payload": PAYLOAD}))
        series = alternate([ours, *peers], self.rounds, self.seconds, tell)
        _check(postgres, ours)
        if peers:
            report.add(WORK, series, _rows(series, [peer.name for peer in peers]))
        else:
            report.add(WORK, series, ())
            report.rows.append((replace(ROWS[0], not_run="none of the queues is installed"), None))
        report.facts.append(_claims(ours))
        report.notes += [NOTE, *(f"{peer.name}: {peer.sent:,} jobs enqueued and completed" for peer in peers)]


def _rows(series: Series, peers: Sequence[str]) -> list[Row]:
    """The goal is about the queue with the highest median rate."""
    rows = [Row(WORK, "rate", OURS, name) for name in peers]
    best = max(peers, key=lambda name: series.median(name, "rate"))
    return [Row(f"{WORK}: {BEST}", "rate", OURS, best, GOAL), *(row for row in rows if row.peer != best)]


def _claims(ours: TaskLoad) -> Fact:
    milliseconds = tuple(one * 1000 for one in ours.claim_p99)
    return Fact(WORK, "p99 of a claim", median(milliseconds), "ms", rounds=milliseconds)


def _check(postgres: Postgres, ours: TaskLoad) -> None:
    """What was counted is stored. (The queues' programs end only when all they enqueued is completed in the tables.)"""
    tasks, completed = postgres.row(STORED, "tasks")
    (events,) = postgres.row(AUDITED, "tasks")
    if (tasks, completed, events) != (ours.completed, ours.completed, 3 * ours.completed):
        raise MeasurementError(
            f"{ours.completed} lifecycles were counted; {tasks} tasks, {completed} of them completed, and {events} "
            "events are stored"
        )
