"""Selections kept in memory between batches: restored from the read model, caught up under the tenant's lock.

A query under the lock would rescan an index that every batch changes, and slow down with every snapshot held open
elsewhere. What was seen of the log is remembered by position; the rest is read from the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from eventstore import arrays
from eventstore.pipeline import Pipeline
from eventstore.records import RecordedEvent
from eventstore.rows import recorded_event
from eventstore.statements import statement
from eventstore.writer.engine import Engine, SelectionFold, SelectionQueue, category
from eventstore.writer.frame import BEGIN_SNAPSHOT, HEAD, ROLLBACK, SET_TENANT

READ_CATEGORY = statement("eventstore", "read_category")
READ_STREAMS = statement("eventstore", "read_streams")
STATEMENTS = (READ_CATEGORY, READ_STREAMS)

SNAPSHOT_ROWS = 10_000
CATCH_UP_EVENTS = 2_000
"""More than these are not read under the lock: the selection is restored outside it instead."""

RESTORE_SECONDS = 300.0
"""A selection is restored from time to time, so that rows healed by replay are seen again."""


BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Kept:
    """A selection's queue as of `position`; `now` is the latest time it was asked with."""

    fold: SelectionFold
    queue: SelectionQueue
    position: int = 0
    now: datetime = BEFORE_ALL
    restored: float = 0.0
    doubtful: bool = False
    """It gave a stream that no command could use: its row and its events disagree."""

    def first(self, key: str, number: int) -> list[str]:
        """The first `number` streams for `key`."""
        return list(islice(self.queue.first(key, self.now), number))

    def evolve(self, events: Sequence[RecordedEvent]) -> None:
        """Fold in those of the events that are of the category; whoever calls sees to the order."""
        for event in events:
            if category(event.stream) == self.fold.category:
                self.queue.evolve(event.stream, event)

    def follow(self, events: Sequence[RecordedEvent]) -> None:
        """Fold in what a batch appends, unless events before it are still to be caught up with."""
        if events[0].position == self.position + 1:
            self.evolve(events)
            self.position = events[-1].position


@dataclass(slots=True)
class Selections:
    """All tenants' selections of one writer."""

    engine: Engine
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, dict[str, Kept]] = field(default_factory=dict)

    def of(self, tenant_id: str) -> dict[str, Kept]:
        """The tenant's selections, by name, as far as they were asked for."""
        return self._kept.setdefault(tenant_id, {})

    def forget(self, tenant_id: str) -> None:
        """What was folded in may not have been committed."""
        self._kept.pop(tenant_id, None)

    async def ready(self, pipeline: Pipeline, tenant_id: str, names: Sequence[str]) -> None:
        """Restore those of `names` that are not kept, are in doubt, or are due."""
        kept = self.of(tenant_id)
        for fold in self.engine.selections:
            if fold.name not in names:
                continue
            found = kept.get(fold.name)
            if found is None or found.doubtful or self.clock() - found.restored > RESTORE_SECONDS:
                kept[fold.name] = await self._restore(pipeline, tenant_id, fold)

    async def _restore(self, pipeline: Pipeline, tenant_id: str, fold: SelectionFold) -> Kept:
        """From one snapshot of the read model and the log. Nothing is locked."""
        tenant, kept = tenant_id.encode(), Kept(fold, fold.queue(), restored=self.clock())
        try:
            answers = await pipeline.trip([(BEGIN_SNAPSHOT, ()), (SET_TENANT, (tenant,)), (HEAD, (tenant,))])
            kept.position, place, full = answers[2][0][0], 0, True
            while full:
                page = (tenant, arrays.int8(place), arrays.int8(SNAPSHOT_ROWS))
                ((*rows,),) = await pipeline.trip([(fold.snapshot, page)])
                if others := kept.queue.restore(rows):
                    for stream, (state, _, _) in (await fold_streams(pipeline, self.engine, tenant, others)).items():
                        kept.queue.put(stream, state)
                full = len(rows) == SNAPSHOT_ROWS
                place = rows[-1][0] if rows else 0
        finally:
            if not pipeline.lost:
                await pipeline.trip([(ROLLBACK, ())])
        return kept


async def fold_streams(
    pipeline: Pipeline, engine: Engine, tenant: bytes, streams: Sequence[str]
) -> dict[str, tuple[object, int, int]]:
    """States of streams folded from the log, in the transaction that is open: stream → (state, version, position)."""
    (rows,) = await pipeline.trip([(READ_STREAMS, (tenant, arrays.text_array(list(streams))))])
    folded: dict[str, tuple[object, int, int]] = {}
    for row in rows:
        event = recorded_event(row, engine.codec)
        state = folded.get(event.stream, (None, 0, 0))[0]
        folded[event.stream] = engine.evolve[category(event.stream)](state, event), event.version, event.position
    return folded
