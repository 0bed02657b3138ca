"""docs/performance.md, from the results of a whole run and our remarks on them. Nobody edits that page by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.plot import plot
from bench.results import RATIO_IS, Load, Results, WorkResults, figure_text
from bench.rounds import FIGURES
from bench.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"
REMARKS = Path(__file__).with_name("remarks")

HEAD = """# Performance

Written by `make bench`, not by hand. Everything was measured in one run on one PostgreSQL, the load generators on the same
cores. Absolute figures say little about other machines; the ratios say more. No test asserts any of them."""


def write(results: Results, page: Path = PAGE, remarks: Path = REMARKS) -> None:
    """Write the page and, beside it, its plot. Remarks are Markdown files named as the works, taken word for word."""
    texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(remarks.glob("*.md"))}
    svg = page.with_suffix(".svg")
    page.write_text(text(results, texts, svg.name), encoding="utf-8")
    svg.write_text(plot(results.lines), encoding="utf-8")


def text(results: Results, remarks: Mapping[str, str], plot_name: str) -> str:
    """The page."""
    occasion = f"{results.date}, commit {results.commit}, by `{results.command}`."
    parts = [HEAD, occasion, f"![Each ratio and its goal]({plot_name})", RATIO_IS, *_outcome(results)]
    for work in results.works:
        parts += _work(work, remarks.get(work.name, ""))
    parts += ["## Measured on", _table(("", ""), results.machine.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _outcome(results: Results) -> Iterator[str]:
    """How many goals are met, and which are not."""
    aimed = [line for line in results.lines if line.goal]
    others = [(line.work, line.figure, line.peer, *line.cells()[-2:]) for line in aimed if not line.met]
    yield "## Goals"
    yield f"{len(aimed) - len(others)} of {len(aimed)} goals are met{'. The others:' if others else '.'}"
    if others:
        yield _table(("", "figure", "against", "goal", ""), others)
    for work in results.works:
        if work.failed:
            yield f"{work.name} is invalid: {work.failed}"


def _work(work: WorkResults, remarks: str) -> Iterator[str]:
    yield f"## {work.name}: {work.title}"
    if work.failed:
        yield f"**The measurement is invalid:** {work.failed}"
    if work.lines:
        headings = ("", "figure", "ours", "peer", "ratio", "rounds", "noise", "goal", "")
        yield _table(headings, (line.cells() for line in work.lines))
    yield remarks
    for load in work.loads:
        yield f"{load.title}, median of each contender:"
        yield _readings(load)
    yield "\n".join(f"- {note}" for note in work.notes)
    if work.commands:
        yield "\n".join(["How the load was made:", "", "```", *work.commands, "```"])


def _readings(load: Load) -> str:
    rows = [
        (
            contender.name,
            *(figure_text(figure, contender.median(figure)) for figure in FIGURES),
            ", ".join(f"{reading.rate:,.0f}" for reading in contender.rounds),
        )
        for contender in load.contenders
    ]
    return _table(("", "rate", "p50", "p99", "rate in each round"), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [cells(headings), "|" + "---|" * len(headings), *map(cells, rows)]
    return "\n".join(lines)


def cells(texts: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(" ".join(text.split()).replace("|", "\\|") for text in texts) + " |"
