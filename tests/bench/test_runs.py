"""Runs on a real PostgreSQL: one work's failure is its own, ours against ours, an end in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import http_load
from bench.duels import MANY, ONE, duels
from bench.postgres import Postgres
from bench.progress import Steps, Tell
from bench.report import Goal, Report, Row
from bench.rounds import MeasurementError, Reading, alternate
from bench.run import run
from bench.self_check import findings, twin
from bench.servers import ROOT
from bench.trees import this_tree
from bench.works import Entry, Plan
from eventstore.embedded.processes import processes_in, wait_until_gone
from tests.conftest import scratch
from tests.processes.fidelog_process import environment

PLAN = Plan(rounds=1, seconds=0.2, sizes=())
ROW = Row("fixed", "rate", "thrice", "once", Goal("≥", 2.0))
BENCH = (sys.executable, "-m", "bench")


@dataclass(frozen=True)
class Fixed:
    """A contender of a fixed rate."""

    name: str
    count: int

    def measure(self, seconds: float) -> Reading:
        return Reading(self.count, seconds, 0.1, 0.2)


@dataclass(frozen=True)
class Tripling:
    """A work that finds a ratio of three, or fails."""

    fails: bool = False

    @property
    def steps(self) -> int:
        return 2

    @property
    def commands(self) -> list[str]:
        return ["none"]

    def run(self, postgres: Postgres, report: Report, tell: Tell) -> None:
        if self.fails:
            raise MeasurementError(f"answers were wrong: see {ROOT}/some.log")
        report.add("fixed", alternate([Fixed("thrice", 3), Fixed("once", 1)], 1, 0.01, tell), [ROW])


def test_a_work_that_fails_is_reported_and_the_others_go_on() -> None:
    """Its rows are invalid with the reason, which names no folder of the machine; the next work is whole."""
    entries = {
        "F1": Entry("a failure", lambda _: Tripling(fails=True), [ROW]),
        "F2": Entry("a success", lambda _: Tripling(), [ROW]),
    }
    found = run(entries, PLAN, "a test")
    assert [line.verdict for line in found.lines] == ["invalid: answers were wrong: see some.log", "met"]
    assert [work.failed for work in found.works] == ["answers were wrong: see some.log", ""]
    assert found.failed
    assert "fsync on" in found.machine["its settings"]
    assert str(ROOT) not in str(found)


def test_the_time_left_follows_from_the_steps_made() -> None:
    """A work that told fewer steps than announced does not spoil the count of the next."""
    clock, shown = iter([0.0, 0.0, 10.0, 30.0]), list[tuple[int, str]]()
    steps = Steps({"A": 2, "B": 3}, lambda begun, message: shown.append((begun, message)), lambda: next(clock))
    steps.work("A")("starts")
    tell = steps.work("B")
    tell("one")
    tell("two")
    assert shown == [(1, "A: starts"), (3, "B: one (about 0 s left)"), (4, "B: two (about 7 s left)")]


@pytest.mark.skipif(not http_load.available(), reason=f"wrk is missing; install it: {http_load.INSTALL}")
def test_ours_against_ours_is_measured_and_judged_by_its_own_noise() -> None:
    """Two servers of this tree on two databases of one PostgreSQL; each ratio is told with whether it holds 1.0."""
    table = duels((this_tree(), twin()))
    found = run({"S1": table["S1"]}, PLAN, "a test")
    assert [work.failed for work in found.works] == [""]
    assert [(line.work, line.figure) for line in found.lines] == [
        (MANY, "rate"), (MANY, "p50"), (MANY, "p99"), (ONE, "p50")
    ]  # fmt: skip
    assert all(line.value is not None and line.value > 0 for line in found.lines)
    *told, _ = findings(found)
    assert len(told) == 4
    assert all(("WITHIN" in text.upper()) != ("OUTSIDE" in text) for text in told)


def test_an_unknown_commit_is_a_clear_error() -> None:
    """Before anything is started."""
    done = subprocess.run(
        [*BENCH, "--against", "no-such-commit"], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    said = "bench: there is no commit 'no-such-commit' in this repository; give REV=<commit>, branch or tag\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, "pgbench"), (signal.SIGTERM, "1 in flight")], ids=str)
def test_an_interrupted_run_leaves_nothing_behind(number: signal.Signals, phase: str) -> None:
    """No server, no PostgreSQL, no folder; 130. Also while another program, or the engine in process, is loaded."""
    with tempfile.TemporaryDirectory(prefix="fdl-", dir=scratch()) as folder:
        process = subprocess.Popen(
            [*BENCH, "--only", "S2", "--rounds", "1", "--seconds", "2"], cwd=ROOT, env=environment(TMPDIR=folder),
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stderr is not None
        told = next(line for line in process.stderr if phase in line)
        used = [process for data in Path(folder).glob("*/data/postgres") for process in processes_in(data)]
        process.send_signal(number)
        process.send_signal(number)  # a second one does not stop the cleaning up
        _, rest = process.communicate(timeout=60)
        assert (process.returncode, rest.splitlines()[-1]) == (130, "bench: stopped"), told
        assert used
        assert wait_until_gone(used, 10) == []
        assert list(Path(folder).iterdir()) == []
