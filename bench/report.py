"""The report: a row for each comparison with its goal, the figures behind it, the machine, the commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from bench.rounds import Figure, Series

WIDTH = 132
TIMES = "\N{MULTIPLICATION SIGN}"
RATIO_IS = "ratio: the median of the rounds' ratios; every round measured each contender once, in rotating order"


@dataclass(frozen=True)
class Goal:
    """What a ratio, ours to the peer's, should be."""

    sense: Literal["≥", "≤"]
    ratio: float

    def __str__(self) -> str:
        return f"{self.sense} {self.ratio:g}{TIMES}"

    def verdict(self, ratio: float) -> str:
        """`met`, or by how much of the goal it was missed."""
        met = ratio >= self.ratio if self.sense == "≥" else ratio <= self.ratio
        return "met" if met else f"missed by {abs(ratio / self.ratio - 1):.0%}"


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


@dataclass
class Report:
    """Everything one run found."""

    machine: Mapping[str, str]
    commands: Sequence[str]
    rows: list[tuple[Row, Series | None]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    series: list[tuple[str, Series]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, title: str, series: Series, rows: Sequence[Row]) -> None:
        """The readings of one kind of work, and the comparisons drawn from them."""
        self.series.append((title, series))
        self.rows += [(row, series) for row in rows]
        self.notes.append(f"{title}: {series.disturbance.note()}")

    def print(self) -> None:
        """The report as text on standard output."""
        console = Console() if Console().is_terminal else Console(width=WIDTH)
        console.print(_comparisons(self.rows))
        if self.facts:
            console.print(_facts(self.facts))
        for title, series in self.series:
            console.print(_contenders(title, series))
        for note in (RATIO_IS, *self.notes, *(f"{name}: {value}" for name, value in self.machine.items())):
            console.print(note, highlight=False, markup=False)
        console.print(
            "commands:", *(f"  {command}" for command in self.commands), sep="\n", highlight=False, markup=False
        )

    def write(self, path: Path) -> None:
        """The report as JSON; times in seconds, rates per second."""
        path.parent.mkdir(exist_ok=True)
        content = {
            "machine": self.machine,
            "commands": self.commands,
            "notes": [RATIO_IS, *self.notes],
            "rows": [_as_json(row, series) for row, series in self.rows],
            "facts": [{**asdict(fact), "goal": str(fact.goal) if fact.goal else None} for fact in self.facts],
            "rounds": {title: _readings(series) for title, series in self.series},
        }
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _comparisons(rows: Sequence[tuple[Row, Series | None]]) -> Table:
    table = Table("work", "figure", "ours", "peer", "", "ratio", "goal", "", box=box.SIMPLE_HEAD, title="Comparisons")
    for row, series in rows:
        goal = str(row.goal or "")
        if series is None:
            table.add_row(row.work, row.figure, "", row.peer, "", "not run", goal, row.not_run)
            continue
        ratio = series.ratio(row.ours, row.peer, row.figure)
        values = [_text(row.figure, series.median(name, row.figure)) for name in (row.ours, row.peer)]
        verdict = row.goal.verdict(ratio) if row.goal else "for information"
        table.add_row(row.work, row.figure, values[0], row.peer, values[1], f"{ratio:.2f}{TIMES}", goal, verdict)
    return table


def _facts(facts: Sequence[Fact]) -> Table:
    table = Table("work", "figure", "value", "against", "goal", "", box=box.SIMPLE_HEAD, title="Figures")
    for fact in facts:
        goal = f"{fact.goal.sense} {fact.goal.ratio:g} {fact.unit}" if fact.goal else ""
        if fact.value is None:
            table.add_row(fact.work, fact.figure, "not run", fact.against, goal, fact.not_run)
            continue
        verdict = fact.goal.verdict(fact.value) if fact.goal else "for information"
        table.add_row(fact.work, fact.figure, f"{fact.value:,.2f} {fact.unit}", fact.against, goal, verdict)
    return table


def _contenders(title: str, series: Series) -> Table:
    table = Table("contender", "rate", "p50", "p99", "rate in each round", "stolen", box=box.SIMPLE_HEAD, title=title)
    for name in series.readings:
        figures: tuple[Figure, ...] = ("rate", "p50", "p99")
        rounds = ", ".join(f"{value:,.0f}" for value in series.values(name, "rate"))
        stolen = ", ".join(f"{share:.0%}" for share in series.stolen[name])
        table.add_row(name, *(_text(figure, series.median(name, figure)) for figure in figures), rounds, stolen)
    return table


def _text(figure: Figure, value: float) -> str:
    return f"{value:,.0f}/s" if figure == "rate" else f"{value * 1000:.2f} ms"


def _as_json(row: Row, series: Series | None) -> dict[str, Any]:
    found: dict[str, Any] = {**asdict(row), "goal": str(row.goal) if row.goal else None}
    if series is not None:
        ratio = series.ratio(row.ours, row.peer, row.figure)
        found |= {"ratio": ratio, "verdict": row.goal.verdict(ratio) if row.goal else None}
    return found


def _readings(series: Series) -> dict[str, Any]:
    return {
        name: {
            "rounds": [asdict(reading) for reading in readings],
            "median_rate": median(r.rate for r in readings),
            "stolen": series.stolen[name],
        }
        for name, readings in series.readings.items()
    }
