"""What `python -m bench` is asked for."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.duels import DUELS
from bench.works import DUEL, FULL, QUICK, QUICK_WORKS, WORKS, Plan

ABOUT = """Side-by-side measurements: ours and its peers alternately, on one PostgreSQL, as ratios.

A run prints its tables and writes .bench/NAME.json; a whole one writes docs/performance.md and its plot too. The exit
status is 1 when a measurement was invalid and 130 when it was interrupted; no figure changes it."""


@dataclass(frozen=True)
class Chosen:
    """A run. `name` is its results': full, quick, part, against, self-check."""

    name: str
    works: tuple[str, ...]
    plan: Plan
    command: str
    """As it is told beside the results."""
    revision: str = ""
    """For `against`."""
    page_only: bool = False
    logs: Path | None = None
    """Where filled logs stay, to be used again."""

    @property
    def is_whole(self) -> bool:
        """Whether docs/performance.md is made of it."""
        return self.name == "full"


def chosen(arguments: Sequence[str]) -> Chosen:
    """Read the options. Exits with 2 and a line on stderr when they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    duel = bool(given.against or given.self_check)
    preset = QUICK if given.quick else DUEL if duel else FULL
    plan = Plan(given.rounds or preset.rounds, given.seconds or preset.seconds, given.sizes or preset.sizes)
    table = list(DUELS if duel else WORKS)
    only = [name for names in given.only or () for name in names]
    if unknown := [name for name in only if name not in table]:
        parser.error(f"there is no work {', '.join(unknown)} here; there are {', '.join(table)}")
    asked = only or (QUICK_WORKS if given.quick else table)
    return Chosen(
        name=_name(given),
        works=tuple(name for name in table if name in asked),
        plan=plan,
        command=_told(arguments, given.logs),
        revision=given.against or "",
        page_only=given.page,
        logs=given.logs and given.logs.resolve(),
    )


def _told(arguments: Sequence[str], logs: Path | None) -> str:
    """The command line; what is published names no folder of the machine."""
    line = shlex.join(["python", "-m", "bench", *arguments])
    return line if logs is None else line.replace(str(logs), "FOLDER")


def _name(given: argparse.Namespace) -> str:
    if given.against:
        return "against"
    if given.self_check:
        return "self-check"
    return "part" if given.only else "quick" if given.quick else "full"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", action="append", type=lambda text: text.split(","), metavar="WORK,…", help=f"of {', '.join(WORKS)}")
    add("--quick", action="store_true", help=f"{' and '.join(QUICK_WORKS)}, fewer and shorter rounds")
    add(
        "--rounds",
        type=_above(0, int),
        help=f"of every load; {FULL.rounds}, quick {QUICK.rounds}, two trees {DUEL.rounds}",
    )
    add(
        "--seconds",
        type=_above(0, float),
        help=f"of a round; {FULL.seconds:g}, quick {QUICK.seconds:g}, two trees {DUEL.seconds:g}",
    )
    add("--sizes", type=_sizes, metavar="EVENTS,…", help="of the log, for what is measured as it grows")
    add("--logs", type=Path, metavar="FOLDER", help="keep the filled logs there, and use those that a run left there")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--against", metavar="REV", help="this tree against another commit of ours")
    kinds.add_argument("--self-check", action="store_true", help="this tree against itself: 1.0 but for the noise")
    kinds.add_argument("--page", action="store_true", help="measure nothing: the page anew, of the last whole run")
    return parser


def _above(least: int, kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        if (value := kind(text)) <= least:
            raise argparse.ArgumentTypeError(f"must be more than {least}")
        return value

    return number


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(sorted({int(size.replace("_", "")) for size in text.split(",")}))
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError("must be more than 0")
    return sizes
