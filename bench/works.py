"""The table of works: what `python -m bench` measures, in this order. One line adds a work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench import (
    engine_load,
    freshness,
    growth,
    keyed_load,
    lifecycles,
    officers_queries,
    read_load,
    replaying,
    verifying,
    write_load,
)
from bench.engine_load import EngineWork
from bench.freshness import Freshness
from bench.growth import Growth
from bench.keyed_load import KeyedLoad
from bench.lifecycles import LifecycleWork
from bench.officers_queries import OfficersQueries
from bench.postgres import Postgres
from bench.progress import Tell
from bench.read_load import ReadLoad
from bench.replaying import ReplayWork
from bench.report import Fact, Report, Row
from bench.rounds import ENOUGH_ROUNDS
from bench.storage import StorageWork
from bench.tasks import TaskLoad
from bench.verifying import VerificationWork
from bench.write_load import WriteLoad


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    """Length of a round."""
    sizes: tuple[int, ...]
    """Events in the log, for what is measured as it grows, ascending."""


FULL = Plan(rounds=ENOUGH_ROUNDS, seconds=5, sizes=(10_000, 1_000_000, 10_000_000))
QUICK = Plan(rounds=3, seconds=3, sizes=(10_000, 100_000))
DUEL = Plan(rounds=10, seconds=2, sizes=())
"""Two trees of ours differ by little: more rounds tell it sooner than longer ones. Ten are the fewest of which the noise
leaves out the smallest and the largest, and each tree begins as often as the other."""
REPLAYS = 3
"""Rounds of what takes minutes each."""
QUICK_WORKS = ("S1", "S2")


class Work(Protocol):
    """Something to measure and report."""

    @property
    def steps(self) -> int:
        """How many steps of progress it tells."""

    @property
    def commands(self) -> list[str]:
        """How the load is made."""

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        """Measure and report. Raises MeasurementError."""


@dataclass(frozen=True)
class Entry:
    """A work of the table."""

    title: str
    make: Callable[[Plan], Work]
    rows: Sequence[Row | Fact] | Callable[[Plan], Sequence[Row | Fact]] = ()
    """The comparisons and figures it will report: should it fail, they are shown as invalid."""

    def comparisons(self, plan: Plan) -> Sequence[Row | Fact]:
        """`rows` of a run of this plan."""
        return self.rows(plan) if callable(self.rows) else self.rows


WORKS: dict[str, Entry] = {
    "S1": Entry("writing over HTTP", lambda plan: WriteLoad(plan.rounds, plan.seconds), write_load.ROWS),
    "S2": Entry("the engine in process", lambda plan: EngineWork(plan.rounds, plan.seconds), engine_load.ROWS),
    "S3": Entry("task lifecycles", lambda plan: LifecycleWork(plan.rounds, plan.seconds), lifecycles.ROWS),
    "S4": Entry(
        "replay",
        lambda plan: ReplayWork(plan.sizes, min(plan.rounds, REPLAYS)),
        lambda plan: replaying.all_rows(plan.sizes),
    ),
    "S5": Entry(
        "officers' queries as the log grows",
        lambda plan: OfficersQueries(plan.sizes, plan.rounds),
        lambda plan: officers_queries.aims(plan.sizes),
    ),
    "S6": Entry(
        "verification",
        lambda plan: VerificationWork(plan.sizes, plan.rounds, plan.seconds),
        lambda plan: verifying.rows(plan.sizes),
    ),
    "S7": Entry("storage", lambda plan: StorageWork(plan.seconds)),
    "S8": Entry("freshness of tails", lambda plan: Freshness(plan.rounds, plan.seconds), freshness.AIMS),
    "S10": Entry(
        "growth",
        lambda plan: Growth(plan.sizes, plan.rounds, plan.seconds, TaskLoad),
        lambda plan: growth.aims(plan.sizes),
    ),
    "S11": Entry("reading over HTTP", lambda plan: ReadLoad(plan.rounds, plan.seconds), read_load.ALL_ROWS),
    "Keys": Entry("with API keys", lambda plan: KeyedLoad(plan.rounds, plan.seconds), keyed_load.ALL_ROWS),
}
