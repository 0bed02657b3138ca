"""Worker processes: each works on one range at a time and says what it did, over a pipe.

A worker is told to stop by anything on its pipe, the end of the other process included: none is left behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import psycopg

from projections.replay.faults import Cancelled, ReplayFailed
from projections.replay.healing import Pace
from projections.replay.memory import keep_between_batches
from projections.replay.replayable import Found, Replayable, Tally
from projections.replay.sessions import Session

FOUND_AT_ONCE = 20
STOP_SECONDS = 5.0
NICENESS = 10
"""Whoever serves on this machine comes first."""


@dataclass(frozen=True, slots=True)
class Job:
    """A range of one tenant's rows."""

    name: str
    tenant_id: str
    part: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker's last word."""

    why: str


Message = int | list[Found] | Tally | Failed
"""Events read since the last message; differences in order; the job is done; it is not."""


class PipedWork:
    """Work of a worker process (replayable.Work)."""

    def __init__(self, pipe: Connection[Any, Any], keeper_url: str, heal: bool) -> None:
        self.reading = Session(keeper_url)
        self.healing = Session(keeper_url, locks=True) if heal else None
        self.pace = Pace()
        self._pipe = pipe
        self._found: list[Found] = []
        self._stopped = threading.Event()

    def step(self, events: int) -> None:
        if self._pipe.poll():
            self._stopped.set()
            raise Cancelled
        self._pipe.send(events)

    def pause(self) -> None:
        if self._stopped.is_set() or self._pipe.poll():
            raise Cancelled

    def found(self, found: Found) -> None:
        self._found.append(found)
        if len(self._found) >= FOUND_AT_ONCE:
            self._send_found()

    def done(self, tally: Tally) -> None:
        """Everything of the job was told."""
        self._send_found()
        self._pipe.send(tally)

    def _send_found(self) -> None:
        if self._found:
            self._pipe.send(self._found)
            self._found = []


def _work(pipe: Connection[Any, Any], keeper_url: str, models: Callable[[], Sequence[Replayable]], heal: bool) -> None:
    os.nice(NICENESS)
    keep_between_batches()
    try:
        work = PipedWork(pipe, keeper_url, heal)
        by_name = {model.name: model for model in models()}
        while True:
            job = pipe.recv()
            work.done(by_name[job.name].run(work, job.tenant_id, job.part))
    except (EOFError, OSError, Cancelled):
        return  # told to stop, or nobody is left to tell
    except (ReplayFailed, psycopg.Error) as fault:
        pipe.send(Failed(str(fault)))
    except Exception as fault:  # a fault of this code: said as such, and the other process ends in order
        pipe.send(Failed(f"{type(fault).__name__}: {fault}"))


class Worker:
    """The other end: a worker process and the job it has."""

    def __init__(self, keeper_url: str, models: Callable[[], Sequence[Replayable]], heal: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.job: Job | None = None
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs, keeper_url, models, heal))
        with _signals_blocked():  # for the worker's whole life: a Ctrl-C of the terminal is for us to pass on
            self.process.start()
        theirs.close()

    def begin(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        try:
            self.pipe.send(job)
        except OSError as error:
            raise self._ended() from error

    def message(self) -> Message:
        """What the worker said. Raises ReplayFailed when it failed or ended."""
        try:
            message: Message = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(message, Failed):
            raise ReplayFailed(message.why)
        return message

    def _ended(self) -> ReplayFailed:
        self.process.join(STOP_SECONDS)
        return ReplayFailed(f"a worker process ended (exit status {self.process.exitcode}); run replay again")


@contextmanager
def workers(
    number: int, keeper_url: str, models: Callable[[], Sequence[Replayable]], heal: bool
) -> Iterator[list[Worker]]:
    """So many workers, ended at the end: each within a batch, or killed (its transaction is undone)."""
    resource_tracker.ensure_running()  # starting it unblocks the signals that a worker must begin with blocked
    started: list[Worker] = []
    try:
        for _ in range(number):
            started.append(Worker(keeper_url, models, heal))  # noqa: PERF401  # each one started must be ended
        yield started
    finally:
        for worker in started:
            worker.pipe.close()
        for worker in started:
            worker.process.join(STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def speaking(among: Sequence[Worker], seconds: float) -> list[Worker]:
    """The workers that have something to say, within so many seconds."""
    ready = wait([worker.pipe for worker in among], seconds)
    return [worker for worker in among if worker.pipe in ready]


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
