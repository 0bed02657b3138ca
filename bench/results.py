"""What a run found, as plain data: printed, saved as JSON, and made into docs/performance.md and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import gettempdir

from pydantic import TypeAdapter

from bench.report import TIMES, Fact, Goal, Report, Row, in_unit
from bench.rounds import CONFIDENCE, ENOUGH_ROUNDS, Figure, Interval, Reading, Series, median_interval
from bench.servers import ROOT

RATIO_IS = (
    "A ratio is the median of the rounds' ratios; every round measured each contender once, in rotating order. Beside "
    "it stand the smallest and the largest of the rounds, and the noise: the interval that holds the true median with "
    "the probability given, from the order of the rounds alone. It reaches "
    f"{CONFIDENCE:.0%} from {ENOUGH_ROUNDS} rounds on. A verdict says so when the goal lies within it."
)
NOT_RUN = "not run"
INVALID = "invalid"


@dataclass(frozen=True)
class Line:
    """One comparison or figure, as every output shows it."""

    work: str
    figure: str
    ours: str
    """Who, with the figure."""
    peer: str
    value: float | None
    """The ratio, or the figure in `unit`. None: not measured."""
    unit: str
    spread: tuple[float, float] | None
    """The smallest and the largest of the rounds."""
    noise: Interval | None
    goal: Goal | None
    met: bool | None
    verdict: str
    """Met, missed by how much; or `not run` or `invalid` and why."""

    @property
    def is_ratio(self) -> bool:
        """Whether it can stand beside other ratios."""
        return self.unit == TIMES

    def cells(self) -> tuple[str, ...]:
        """Nine texts: work, figure, ours, peer, ratio, rounds, noise, goal, verdict.

        A figure that is no ratio stands under `ours`.
        """
        value = self.text(self.value) if self.value is not None else ""
        ours, ratio = (self.ours, value) if self.is_ratio else (value, "")
        spread = self._between(*self.spread) if self.spread else ""
        goal = self.goal.text(self.unit) if self.goal else ""
        return (self.work, self.figure, ours, self.peer, ratio, spread, self.noise_text(), goal, self.verdict)

    def noise_text(self) -> str:
        """The interval and its probability."""
        return f"{self._between(self.noise.low, self.noise.high)} ({self.noise.coverage:.0%})" if self.noise else ""

    def text(self, value: float) -> str:
        """A value of this line with its unit."""
        return in_unit(self._number(value), self.unit)

    def _between(self, low: float, high: float) -> str:
        return f"{self._number(low)} … {self._number(high)}"

    def _number(self, value: float) -> str:
        return f"{value:,.3f}" if self.is_ratio and abs(value) < 1 else f"{value:,.2f}"


@dataclass(frozen=True)
class Reached:
    """The readings of one contender, round by round."""

    name: str
    rounds: list[Reading]
    stolen: list[float]
    """The share of the processors that the host gave to others, in each round."""

    def median(self, figure: Figure) -> float:
        """The figure's median over the rounds."""
        values: list[float] = [getattr(reading, figure) for reading in self.rounds]
        return median(values)


@dataclass(frozen=True)
class Load:
    """Contenders measured alternately."""

    title: str
    contenders: list[Reached]


@dataclass(frozen=True)
class WorkResults:
    """One work."""

    name: str
    title: str
    failed: str
    lines: list[Line]
    loads: list[Load]
    notes: list[str]
    commands: list[str]


@dataclass(frozen=True)
class Results:
    """One run."""

    date: str
    commit: str
    command: str
    machine: dict[str, str]
    works: list[WorkResults]

    @property
    def lines(self) -> list[Line]:
        """Those of all works."""
        return [line for work in self.works for line in work.lines]

    @property
    def failed(self) -> bool:
        """Whether a measurement was invalid."""
        return any(work.failed for work in self.works)

    def write(self, path: Path) -> None:
        """Save as JSON; times in seconds, rates per second."""
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_ADAPTER.dump_json(self, indent=2) + b"\n")


_ADAPTER = TypeAdapter(Results)


def read(path: Path) -> Results:
    """What `write` saved. Raises OSError, ValueError."""
    return _ADAPTER.validate_json(path.read_bytes())


def results_of(report: Report, rows: Sequence[Row | Fact]) -> WorkResults:
    """A work's report as data. When it failed, those of its `rows` that it had not reported stand as invalid."""
    lines = [_compared(row, series) for row, series in report.rows] + [_stated(fact) for fact in report.facts]
    if report.failed:
        done: list[Row | Fact] = [*(row for row, _ in report.rows), *report.facts]
        reported = {_about(row) for row in done}
        lines += [_blank(row, f"{INVALID}: {report.failed}") for row in rows if _about(row) not in reported]
    return WorkResults(
        name=report.name,
        title=report.title,
        failed=without_paths(report.failed),
        lines=lines,
        loads=[_load(title, series) for title, series in report.series],
        notes=[without_paths(note) for note in report.notes],
        commands=[without_paths(command) for command in report.commands],
    )


def _compared(row: Row, series: Series | None) -> Line:
    if series is None:
        return _blank(row, f"{NOT_RUN}: {row.not_run}")
    ratios = series.ratios(row.ours, row.peer, row.figure)
    ours, peer = (
        f"{name}: {figure_text(row.figure, series.median(name, row.figure))}" for name in (row.ours, row.peer)
    )
    return _measured(row.work, row.figure, ours, peer, median(ratios), TIMES, ratios, row.goal)


def _stated(fact: Fact) -> Line:
    if fact.value is None:
        return _blank(fact, f"{NOT_RUN}: {fact.not_run}")
    return _measured(fact.work, fact.figure, "", fact.against, fact.value, fact.unit, fact.rounds, fact.goal)


def _about(row: Row | Fact) -> tuple[str, ...]:
    """What tells it from the others of its work."""
    return (row.work, row.figure) if isinstance(row, Fact) else (row.work, row.figure, row.ours, row.peer)


def _blank(row: Row | Fact, why: str) -> Line:
    ours, peer, unit = ("", row.against, row.unit) if isinstance(row, Fact) else (row.ours, row.peer, TIMES)
    return Line(row.work, row.figure, ours, peer, None, unit, None, None, row.goal, None, without_paths(why))


def _measured(
    work: str, figure: str, ours: str, peer: str, value: float, unit: str, rounds: Sequence[float], goal: Goal | None
) -> Line:
    spread = (min(rounds), max(rounds)) if rounds else None
    noise = median_interval(rounds) if rounds else None
    met = goal.is_met(value) if goal else None
    verdict = goal.verdict(value) if goal else "for information"
    if goal and noise and noise.holds(goal.ratio):
        verdict += ", within the noise"
    return Line(work, figure, ours, peer, value, unit, spread, noise, goal, met, verdict)


def _load(title: str, series: Series) -> Load:
    return Load(title, [Reached(name, found, series.stolen[name]) for name, found in series.readings.items()])


def figure_text(figure: Figure, value: float) -> str:
    """A rate or a time of a reading."""
    return f"{value:,.0f}/s" if figure == "rate" else f"{value * 1000:.2f} ms"


def without_paths(text: str) -> str:
    """What is published names no folder of the machine."""
    return text.replace(f"{ROOT}/", "").replace(f"{gettempdir()}/", "")
