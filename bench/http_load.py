"""Many callers at once: wrk, and what it found."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import credentials
from bench.report import Row
from bench.rounds import MeasurementError, Reading

WRK = "wrk"
INSTALL = "apt-get install wrk"
FOLDER = Path(__file__).parent

_ERRORS = {
    "status": "answers were not 2xx",
    "connect": "connections failed",
    "read": "reads failed",
    "write": "writes failed",
    "timeout": "answers took longer than 10 s",
}
_runs = itertools.count(1)


@dataclass(frozen=True)
class Requests:
    """What the callers ask for: wrk's script, its arguments for the run of a number, and how many callers."""

    script: str
    arguments: Callable[[int], list[str]]
    connections: int


POST_CLIENTS = Requests("post_clients.lua", lambda run: [f"w{run:03d}"], connections=128)


def available() -> bool:
    """Whether wrk is installed."""
    return shutil.which(WRK) is not None


def not_run(rows: Iterable[Row]) -> list[tuple[Row, None]]:
    """The rows of a load that cannot be made, saying why."""
    missing = f"{WRK} is missing; install it: {INSTALL}"
    return [(replace(row, not_run=missing), None) for row in rows]


def command(url: str, seconds: float, requests: Requests, run: int) -> list[str]:
    """The load generator's command line. One thread: it is far from busy, and the cores are shared."""
    options = ["--threads", "1", "--connections", str(requests.connections), "--duration", f"{max(1, round(seconds))}s"]
    script = str(FOLDER / requests.script)
    plain, headers = credentials.split(url)
    given = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    return [
        WRK,
        *options,
        *given,
        "--timeout",
        "10s",
        "--script",
        script,
        f"{plain}/clients",
        "--",
        *requests.arguments(run),
    ]


class HttpLoad:
    """A contender asked by many callers at once."""

    def __init__(self, name: str, url: str, requests: Requests = POST_CLIENTS) -> None:
        self.name = name
        self._url = url
        self._requests = requests
        self.answered = 0
        """2xx answers since the start."""

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`, in whole seconds."""
        line = command(self._url, seconds, self._requests, next(_runs))
        ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=seconds + 60)
        summary = _summary(self.name, ended)
        faults = [f"{summary[kind]} {meaning}" for kind, meaning in _ERRORS.items() if summary[kind]]
        if faults or not summary["requests"]:
            raise MeasurementError(f"a round of {self.name} is invalid: {', '.join(faults) or 'no answer at all'}")
        self.answered += summary["requests"]
        return Reading(summary["requests"], summary["microseconds"] / 1e6, summary["p50"] / 1e6, summary["p99"] / 1e6)


def _summary(name: str, ended: subprocess.CompletedProcess[str]) -> dict[str, int]:
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode or len(lines) != 1:
        words = (ended.stderr or ended.stdout).strip().splitlines()
        raise MeasurementError(f"wrk failed on {name}: {words[-1] if words else f'exit {ended.returncode}'}")
    summary: dict[str, int] = json.loads(lines[0])
    return summary
