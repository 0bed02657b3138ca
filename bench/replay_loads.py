"""Contenders of S4: the log copied out by PostgreSQL, and replayed into read models that were emptied."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import psycopg
from psycopg import sql

from bench.rounds import MeasurementError, Reading
from bench.servers import ROOT
from eventstore.database import Database

COPY = "COPY fidelog.events TO STDOUT"
SAMPLE_SECONDS = 0.05
END_SECONDS = 10.0


class RawCopy:
    """The rows of all events, as PostgreSQL sends them, received and thrown away."""

    name = "raw COPY"

    def __init__(self, database: Database, events: int) -> None:
        self._url = database.url("superuser")
        self._events = events

    def measure(self, seconds: float) -> Reading:
        """Once, whatever `seconds`."""
        with psycopg.connect(self._url) as connection, connection.cursor() as cursor:
            started, rows = time.perf_counter(), 0
            with cursor.copy(COPY) as copy:
                for _ in copy:
                    rows += 1
            taken = time.perf_counter() - started
        if rows != self._events:
            raise MeasurementError(f"{COPY} gave {rows} rows of {self._events}")
        return Reading(self._events, taken, taken, taken)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that the processes of a replay had together at most: in all, and in the second and the last quarter."""

    peak: int
    second_quarter: int
    last_quarter: int


class ReplayLoad:
    """A replay of everything in `names`, by so many worker processes, its tables emptied before (unmeasured)."""

    def __init__(self, name: str, database: Database, names: Sequence[str], workers: int, events: int) -> None:
        self.name = name
        self.memory: list[Memory] = []
        """Of each round."""
        self._superuser_url = database.url("superuser")
        self._names = names
        self._events = events
        urls = {login: database.url(login) for login in ("keeper", "auditor")}
        order = json.dumps({"urls": urls, "names": names, "workers": workers})
        self._command = [sys.executable, "-m", "bench.replay_process", order]

    def measure(self, seconds: float) -> Reading:
        """Once, whatever `seconds`. Raises MeasurementError unless every row was made."""
        self._empty()
        # Standard output is read at the end: it is one line.
        with _running(self._command) as process:
            samples = _sampled(process)
            out, err = process.communicate()
        if process.returncode:
            raise MeasurementError(f"{self.name}: {(err.strip() or 'it failed').splitlines()[-1]}")
        done = json.loads(out)
        if done["events"] != self._events or not 0 < done["rows"] <= done["differing"]:
            raise MeasurementError(f"{self.name} did not make every row from {self._events} events: {done}")
        quarter = len(samples) // 4
        self.memory.append(Memory(max(samples), max(samples[quarter : 2 * quarter]), max(samples[-quarter:])))
        return Reading(self._events, done["seconds"], done["seconds"], done["seconds"])

    def _empty(self) -> None:
        with psycopg.connect(self._superuser_url, autocommit=True) as connection:
            for name in self._names:
                connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("fidelog", name)))
            connection.execute("CHECKPOINT")  # each round begins with as much of it to come


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive an interrupted round, nor do those it started: they end when it does."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            with suppress(psutil.NoSuchProcess):
                below = psutil.Process(process.pid).children(recursive=True)
                process.terminate()
                for left in psutil.wait_procs(below, END_SECONDS)[1]:
                    left.kill()
            raise


def _sampled(process: subprocess.Popen[str]) -> list[int]:
    """The bytes in memory of the process and all below it, until it ends."""
    watched, samples = psutil.Process(process.pid), list[int]()
    while process.poll() is None:
        with suppress(psutil.Error):  # one of them just ended
            samples.append(sum(one.memory_info().rss for one in (watched, *watched.children(recursive=True))))
        time.sleep(SAMPLE_SECONDS)
    if len(samples) < 4:
        raise MeasurementError("a replay ended before its memory could be watched")
    return samples
