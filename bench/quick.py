"""`make bench-quick`: S1 and S2 in two to three minutes. Exit 1 when a measurement was invalid, never for a figure."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, Protocol

import psycopg

from bench.engine_load import EngineWork
from bench.freshness import Freshness
from bench.machine import machine
from bench.postgres import Postgres, running
from bench.progress import Tell, progress
from bench.read_load import ReadLoad
from bench.report import Report
from bench.rounds import MeasurementError
from bench.servers import ROOT
from bench.write_load import WriteLoad
from eventstore.embedded import EmbeddedServerError

RESULTS = ROOT / ".bench" / "quick.json"


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


def options() -> argparse.Namespace:
    """What to run, and how long."""
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every work (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a round over HTTP (default 5)")
    parser.add_argument("--engine-seconds", type=float, default=3, help="length of a round of the engine (default 3)")
    parser.add_argument("--only", choices=("S1", "S2", "S8", "S11"), help="one of the works")
    return parser.parse_args()


def run(given: argparse.Namespace) -> Report:
    """Measure. Raises MeasurementError and what starting PostgreSQL raises."""
    works: dict[str, Work] = {
        "S1": WriteLoad(given.rounds, given.seconds),
        "S2": EngineWork(given.rounds, given.engine_seconds),
        "S8": Freshness(given.rounds, given.seconds),
        "S11": ReadLoad(given.rounds, given.seconds),
    }
    chosen = [work for name, work in works.items() if given.only in {None, name}]
    commands = [command for work in chosen for command in work.commands]
    with (
        TemporaryDirectory(prefix="fdl-bench-") as folder,
        running(Path(folder)) as postgres,
        progress(sum(work.steps for work in chosen)) as tell,
    ):
        report = Report(machine(postgres), commands)
        for work in chosen:
            work.run(postgres, report, tell)
    return report


def main() -> int:
    """Run, print, write the results; the exit status."""
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        report = run(options())
    except (MeasurementError, EmbeddedServerError, psycopg.Error, OSError) as error:
        print(f"bench: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    report.print()
    report.write(RESULTS)
    print(f"results: {RESULTS}")
    return 0


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt  # the servers and the folder are cleaned up on the way out


if __name__ == "__main__":
    sys.exit(main())
