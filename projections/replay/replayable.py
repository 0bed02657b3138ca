"""What replay asks of a read model, and the answer for those that hold one row a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from eventstore.statements import statement
from projections.codec import Codec
from projections.read_model import ReadModel
from projections.replay.chunks import EVENTS_IN_RANGE, StreamRange, stream_ranges
from projections.replay.comparing import Comparison, Difference, Unequal, describe
from projections.replay.faults import NewerFold
from projections.replay.folding import Folder
from projections.replay.healing import Healer, Pace
from projections.replay.sessions import Row, Session, snapshot, text

EVENTS = statement("projections", "replay_events")


@dataclass(frozen=True, slots=True)
class Found:
    """One column of one row that is not as it should be. The values are what JSON can hold, or times."""

    table: str
    tenant_id: str
    id: str
    column: str
    live: Any
    fold: Any


@dataclass(slots=True)
class Tally:
    """Events folded, rows compared, rows that differed (healed, unless it was a check)."""

    events: int = 0
    rows: int = 0
    differing: int = 0

    def add(self, other: Tally) -> None:
        self.events += other.events
        self.rows += other.rows
        self.differing += other.differing


class Work(Protocol):
    """What a worker offers to whoever works on a range."""

    @property
    def reading(self) -> Session: ...
    @property
    def healing(self) -> Session | None:
        """The connection to change rows with; None when this is a check."""

    @property
    def pace(self) -> Pace:
        """How many rows to change at a time; kept from range to range."""

    def step(self, events: int) -> None:
        """So many events more were read. Raises Cancelled when somebody asked to stop."""

    def pause(self) -> None:
        """Raises Cancelled likewise; for threads other than the worker's own."""

    def found(self, found: Found) -> None:
        """A check found this; to be called in order of the id."""


class Replayable(Protocol):
    """A table that can be made from the log. Its work is cut into ranges, in order of the ids in them."""

    name: str
    source: str
    """Tables with the same source share one pass over the log: each event is for one of them."""

    def refuse(self, session: Session, tenant_id: str) -> None:
        """Raises ReplayFailed when the table may not be changed by this code."""

    def ranges(self, session: Session, tenant_id: str) -> Iterator[Any]:
        """All of the tenant's ranges. What stands for one can be pickled."""

    def run(self, work: Work, tenant_id: str, part: Any) -> Tally:
        """Check a range or bring it level. Raises Cancelled, ReplayFailed, psycopg.Error."""


class FoldedStreams:
    """A read model with one row a stream of its category, in ranges of about so many events."""

    source = "streams"

    def __init__(self, model: ReadModel, events: int = EVENTS_IN_RANGE) -> None:
        self.name = model.table
        self._model = model
        self._events = events
        self._codec = Codec()

    def refuse(self, session: Session, tenant_id: str) -> None:
        with snapshot(session, tenant_id):
            newest = session.call(self._model.newest_fold, (text(tenant_id),))[0][0] or 0
        if newest > self._model.fold_version:
            raise NewerFold(self.name, newest, self._model.fold_version)

    def ranges(self, session: Session, tenant_id: str) -> Iterator[StreamRange]:
        return stream_ranges(session, tenant_id, self._model.category, self._events)

    def run(self, work: Work, tenant_id: str, part: StreamRange) -> Tally:
        model, session, tenant = self._model, work.reading, text(tenant_id)
        with snapshot(session, tenant_id) as head:
            events = session.open("events", EVENTS, (tenant, text(part.first), text(part.end)))
            live = session.open("live", model.range, (tenant, text(part.first_id), text(part.end_id)))
            folder, comparison = Folder(tenant_id, model.fold, self._codec), Comparison(model)
            streams = folder.streams(_stepping(events, work.step))
            differences = comparison.differences(streams, chain.from_iterable(live))
            if work.healing is None:
                differing = self._report(work, tenant_id, differences)
            else:
                healer = Healer(work.healing, work.pace, work.pause, model, self._codec, tenant_id, head)
                differing = _heal(healer, differences, folder)
        return Tally(folder.events, comparison.rows, differing)

    def _report(self, work: Work, tenant_id: str, differences: Iterable[Difference]) -> int:
        number = 0
        for difference in differences:
            number += 1
            for column, live, fold in describe(self._model, difference):
                work.found(Found(self.name, tenant_id, difference.id, column, live, fold))
        return number


def _heal(healer: Healer, differences: Iterable[Difference], folder: Folder) -> int:
    before = 0
    try:
        for difference in differences:
            healer.add(difference, folder.bytes - before)
            before = folder.bytes
        healer.finish()
    finally:
        healer.close()
    return healer.healed


def _stepping(batches: Iterable[list[Row]], step: Callable[[int], None]) -> Iterator[list[Row]]:
    for rows in batches:
        step(len(rows))
        yield rows


__all__ = ["FoldedStreams", "Found", "Replayable", "Tally", "Unequal", "Work"]
