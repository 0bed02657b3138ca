"""A whole replay or check: every read model, tenant and range, in order, by several workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from eventstore.database import Database
from eventstore.describing import TENANTS
from projections.replay.chunks import missing_positions
from projections.replay.faults import Cancelled, DamagedLog
from projections.replay.replayable import Found, Replayable, Tally
from projections.replay.sessions import Session
from projections.replay.tables import tables
from projections.replay.workers import Job, Worker, speaking, workers

POLL_SECONDS = 0.1


class Observer(Protocol):
    """Who is told, and asked."""

    def expect(self, events: int) -> None:
        """About so many events there are."""

    def read(self, events: int) -> None:
        """So many more were read."""

    def found(self, found: Found) -> None:
        """A difference; in order of table, tenant and id."""

    def cancelled(self) -> bool:
        """Whether to stop."""


@dataclass(frozen=True)
class Replay:
    """What to do: `names` of read models, heal or only check, by how many worker processes."""

    database: Database
    names: Sequence[str]
    heal: bool
    workers: int
    models: Callable[[], Sequence[Replayable]] = tables
    """A function of a module, so that a worker process finds it too."""

    def run(self, observer: Observer) -> dict[str, Tally]:
        """Do it; what was done, by name. Raises Cancelled, ReplayFailed, psycopg.Error, LookupError."""
        keeper_url = self.database.url("keeper")
        models = sorted((m for m in self.models() if m.name in self.names), key=lambda m: m.name)
        tenants = self._tenants(observer, passes=len({model.source for model in models}))
        session = Session(keeper_url)
        try:
            for tenant_id in tenants:
                _refuse_gaps(session, tenant_id, observer)
                for model in models if self.heal else ():
                    model.refuse(session, tenant_id)
            with workers(self.workers, keeper_url, self.models, self.heal) as started:
                running = _Running(started, observer, {model.name: Tally() for model in models})
                return running.all(_jobs(session, models, tenants))
        finally:
            session.close()

    def _tenants(self, observer: Observer, passes: int) -> list[str]:
        """Every tenant, which the auditor sees."""
        with psycopg.connect(self.database.url("auditor"), autocommit=True) as connection:
            found = connection.execute(TENANTS.sql.encode()).fetchall()
        observer.expect(passes * sum(head for _, head, _ in found))
        return [tenant_id for tenant_id, _, _ in found]


def _refuse_gaps(session: Session, tenant_id: str, observer: Observer) -> None:
    for after, last, missing in missing_positions(session, tenant_id):
        if missing:
            raise DamagedLog(tenant_id, f"of the positions {after + 1} to {last} {missing} are missing")
        if observer.cancelled():
            raise Cancelled


def _jobs(session: Session, models: Sequence[Replayable], tenants: Sequence[str]) -> Iterator[Job]:
    for model in models:
        for tenant_id in tenants:
            for part in model.ranges(session, tenant_id):
                yield Job(model.name, tenant_id, part)


@dataclass(slots=True)
class _Begun:
    """A job under way; what it found is kept until all jobs before it are done."""

    worker: Worker
    job: Job
    found: list[Found] = field(default_factory=list)
    done: bool = False


class _Running:
    def __init__(self, started: Sequence[Worker], observer: Observer, tallies: dict[str, Tally]) -> None:
        self._workers = started
        self._observer = observer
        self._tallies = tallies
        self._begun: deque[_Begun] = deque()

    def all(self, jobs: Iterator[Job]) -> dict[str, Tally]:
        """Run all jobs."""
        upcoming = next(jobs, None)
        while upcoming is not None or self._begun:
            if self._observer.cancelled():
                raise Cancelled
            free = next((worker for worker in self._workers if worker.job is None), None)
            if free is not None and upcoming is not None:
                free.begin(upcoming)
                self._begun.append(_Begun(free, upcoming))
                upcoming = next(jobs, None)
            else:
                self._listen()
        return self._tallies

    def _listen(self) -> None:
        """Take in what the workers say. One whose findings must wait for another's is not listened to meanwhile, and
        soon waits: memory stays bounded however much differs."""
        heard = {id(b.worker): b for b in self._begun if not b.done and (not b.found or b is self._begun[0])}
        for worker in speaking([b.worker for b in heard.values()], POLL_SECONDS):
            self._take(heard[id(worker)])
        while self._begun and (self._begun[0].done or self._begun[0].found):
            for found in self._begun[0].found:
                self._observer.found(found)
            self._begun[0].found = []
            if not self._begun[0].done:
                return
            self._begun.popleft()

    def _take(self, begun: _Begun) -> None:
        message = begun.worker.message()
        if isinstance(message, int):
            self._observer.read(message)
        elif isinstance(message, Tally):
            self._tallies[begun.job.name].add(message)
            begun.done, begun.worker.job = True, None
        elif isinstance(message, list):
            begun.found.extend(message)


class Unwatched:
    """An observer that nobody listens to; it keeps what a check found."""

    def __init__(self) -> None:
        self.differences: list[Found] = []

    def expect(self, events: int) -> None:
        """Of no interest."""

    def read(self, events: int) -> None:
        """Of no interest."""

    def found(self, found: Found) -> None:
        """Kept in memory: for tests and small databases."""
        self.differences.append(found)

    def cancelled(self) -> bool:
        """Never."""
        return False
