"""One run: works one after the other on one PostgreSQL, in a temporary folder that is removed at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import psycopg

from bench.machine import commit, machine
from bench.postgres import Postgres, running
from bench.progress import Tell, progress
from bench.report import Report
from bench.results import Results, results_of
from bench.rounds import MeasurementError
from bench.works import Entry, Plan, Work
from eventstore.embedded import EmbeddedServerError

FAULTS = (MeasurementError, EmbeddedServerError, psycopg.Error, OSError, subprocess.SubprocessError)
"""What makes a measurement invalid."""

INTERRUPTED = 130


def run(entries: Mapping[str, Entry], plan: Plan, command: str, logs: Path | None = None) -> Results:
    """Measure these works. One that fails is reported as failed, and the others go on. `logs`: where filled logs stay.

    Raises one of FAULTS when PostgreSQL does not start or its commits are not durable.
    """
    works = {name: entry.make(plan) for name, entry in entries.items()}
    found = []
    with (
        TemporaryDirectory(prefix="fdl-bench-") as folder,
        running(Path(folder), logs) as postgres,
        progress({name: work.steps for name, work in works.items()}) as steps,
    ):
        measured_on = machine(postgres)
        for name, work in works.items():
            report = Report(name, entries[name].title, work.commands)
            _attempt(work, postgres, report, steps.work(name))
            found.append(results_of(report, entries[name].comparisons(plan)))
    return Results(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", commit(), command, measured_on, found)


def _attempt(work: Work, postgres: Postgres, report: Report, tell: Tell) -> None:
    try:
        work.run(postgres, report, tell)
    except FAULTS as error:
        report.failed = one_line(error)
        tell(f"invalid: {report.failed}")


def one_line(error: BaseException) -> str:
    """What a fault says."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGINT and SIGTERM unwind the run once: servers, worktrees and folders are cleaned up, and a further signal
    does not stop that. Raises SystemExit: 1 for a fault, 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        yield
    except FAULTS as error:
        print(f"bench: {one_line(error)}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        print("bench: stopped", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from error


def _interrupted(number: int, frame: object) -> NoReturn:
    for further in (signal.SIGINT, signal.SIGTERM):
        signal.signal(further, signal.SIG_IGN)
    raise KeyboardInterrupt
