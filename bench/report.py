"""What a work reports: a row for each comparison with its goal, figures that are no ratio, the readings behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.rounds import Figure, Series

TIMES = "\N{MULTIPLICATION SIGN}"
"""The unit of a ratio."""


@dataclass(frozen=True)
class Goal:
    """What a ratio, ours to the peer's, should be; for a `Fact` in its unit."""

    sense: Literal["≥", "≤"]
    ratio: float

    def __str__(self) -> str:
        return self.text(TIMES)

    def text(self, unit: str) -> str:
        """As it is shown: `≥ 2×`, `≤ 10 ms`."""
        return f"{self.sense} {in_unit(f'{self.ratio:g}', unit)}"

    def is_met(self, ratio: float) -> bool:
        """Whether the ratio is as it should be."""
        return ratio >= self.ratio if self.sense == "≥" else ratio <= self.ratio

    def verdict(self, ratio: float) -> str:
        """`met`, or by how much of the goal it was missed."""
        return "met" if self.is_met(ratio) else f"missed by {abs(ratio / self.ratio - 1):.0%}"


def in_unit(number: str, unit: str) -> str:
    """A number with its unit: `2.31×`, `8.10 ms`."""
    return number + unit if unit in {"", TIMES, "%"} else f"{number} {unit}"


@dataclass(frozen=True)
class Row:
    """One comparison. A goal of None: reported for information."""

    work: str
    figure: Figure
    ours: str
    peer: str
    goal: Goal | None = None
    not_run: str = ""
    """Why it was not measured."""


@dataclass(frozen=True)
class Fact:
    """One figure that is no ratio of two readings of a series: bytes, milliseconds, a share. `value` in `unit`."""

    work: str
    figure: str
    value: float | None
    """None: not measured, and `not_run` says why."""
    unit: str
    goal: Goal | None = None
    against: str = ""
    """What it is compared with or a ratio to, with that figure."""
    not_run: str = ""
    rounds: tuple[float, ...] = ()
    """The values of the rounds, where `value` is their median: they tell its noise."""


@dataclass
class Report:
    """Everything one work found. `name` is the work's in bench.works."""

    name: str
    title: str
    commands: Sequence[str]
    rows: list[tuple[Row, Series | None]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    series: list[tuple[str, Series]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: str = ""
    """Why the measurement was invalid. What was reported before stands."""

    def add(self, title: str, series: Series, rows: Sequence[Row]) -> None:
        """The readings of one kind of load, and the comparisons drawn from them."""
        self.series.append((title, series))
        self.rows += [(row, series) for row in rows]
        self.notes.append(f"{title}: {series.disturbance.note()}")
