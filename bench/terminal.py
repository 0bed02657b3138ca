"""The results as tables on standard output."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from bench.results import RATIO_IS, Line, Load, Results, figure_text
from bench.rounds import FIGURES

WIDTH = 160


def show(results: Results) -> None:
    """Print everything."""
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    console.print(_comparisons(results.lines))
    for work in results.works:
        for load in work.loads:
            console.print(_contenders(load))
    told = [f"{work.name} is invalid: {work.failed}" for work in results.works if work.failed]
    told += [RATIO_IS, *(note for work in results.works for note in work.notes)]
    told += [f"{name}: {value}" for name, value in results.machine.items()]
    told += ["commands:", *(f"  {command}" for work in results.works for command in work.commands)]
    for text in told:
        console.print(text, highlight=False, markup=False)


def _comparisons(lines: list[Line]) -> Table:
    headings = ("work", "figure", "ours", "peer", "ratio", "rounds", "noise", "goal", "")
    table = Table(*headings, box=box.SIMPLE_HEAD, title="Comparisons")
    for line in lines:
        table.add_row(*line.cells())
    return table


def _contenders(load: Load) -> Table:
    headings = ("contender", "rate", "p50", "p99", "rate in each round", "stolen")
    table = Table(*headings, box=box.SIMPLE_HEAD, title=load.title)
    for contender in load.contenders:
        rounds = ", ".join(f"{reading.rate:,.0f}" for reading in contender.rounds)
        stolen = ", ".join(f"{share:.0%}" for share in contender.stolen)
        medians = (figure_text(figure, contender.median(figure)) for figure in FIGURES)
        table.add_row(contender.name, *medians, rounds, stolen)
    return table
