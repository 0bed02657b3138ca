"""The first round trip of a batch: what it locks and loads, and how the answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from eventstore import arrays
from eventstore.errors import DatabaseUnavailable
from eventstore.pipeline import Call, Pipeline, Rows
from eventstore.records import Envelope
from eventstore.rows import recorded_event
from eventstore.statements import statement
from eventstore.vault.vault import KeyRow
from eventstore.writer.deciding import Known, Loaded
from eventstore.writer.engine import Engine, Folded, StateStorage, category
from eventstore.writer.frame import BEGIN, HEAD, LOCK, SET_TENANT
from eventstore.writer.selections import CATCH_UP_EVENTS, READ_CATEGORY, Kept, fold_streams

KNOWN = statement("eventstore", "known_commands")
KEYS = statement("eventstore", "subject_keys")
STATEMENTS = (KNOWN, KEYS)

SPARE_AFTER_UNUSABLE = 64
"""So many more streams are looked at with each further round trip that unusable ones cost."""

CLOCK_TOLERANCE = timedelta(seconds=2)
"""How far the database's clock may lie below the newest event before writes stop."""


class ClockBehind(DatabaseUnavailable):
    """The database's clock is below the newest event's time: events would no longer be in time order (P3)."""


class SelectionBehind(Exception):
    """The log went on so far that a selection is not caught up under the lock: restore it first."""


class Loading:
    """Everything a batch needs to be decided, in one round trip; in a second one, under the same lock, what the first
    showed to be missing: selected streams that were not foreseen, and streams whose row an older fold wrote."""

    def __init__(self, engine: Engine, batch: Sequence[Envelope], kept: Mapping[str, Kept]) -> None:
        self._engine = engine
        self._tenant_id = batch[0].tenant_id
        self._tenant = self._tenant_id.encode()
        self._keys = list({envelope.idempotency_key for envelope in batch})
        self._subjects = list({e.sealing.subject for e in batch if e.sealing is not None})
        self._named: dict[str, set[str]] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        for envelope in batch:
            for stream in envelope.command.streams:
                self._named.setdefault(category(stream), set()).add(stream)
            if (selection := envelope.command.selection) is not None:
                numbers = self._numbers.setdefault(selection.name, {})
                numbers[selection.key] = numbers.get(selection.key, 0) + selection.limit
        self._kept = {name: kept[name] for name in self._numbers}
        self._spare = 0
        self._fold_versions = {storage.category: storage.fold_version for storage in engine.storages}

    async def load(self, pipeline: Pipeline) -> Loaded:
        """Lock the tenant and load. Raises SelectionBehind, DatabaseUnavailable and what `trip` raises."""
        wanted = {name: set(streams) for name, streams in self._named.items()}
        for stream in self._selected():
            wanted.setdefault(category(stream), set()).add(stream)
        storages = [storage for storage in self._engine.storages if storage.category in wanted]
        answers = await pipeline.trip(self._calls(storages, wanted))
        loaded = self._read(answers, storages)
        if self._kept:
            await self._complete(pipeline, loaded)
        await self._fold_older(pipeline, loaded)
        return loaded

    async def _complete(self, pipeline: Pipeline, loaded: Loaded) -> None:
        """Load selected streams that were not foreseen. What this process cannot use must not stand before what it can:
        rows of a newer fold, and rows that are lost (the next batch restores the selection)."""
        while True:
            selected = self._selected()
            if missing := [stream for stream in selected if stream not in loaded.streams]:
                await self._load_more(pipeline, loaded, missing)
            newer = self._newer(loaded)
            unusable = [stream for stream in selected if stream in newer or stream not in loaded.streams]
            if not unusable:
                return
            self._spare += SPARE_AFTER_UNUSABLE
            for kept in self._kept.values():
                for stream in unusable:
                    kept.queue.drop(stream)
                    kept.doubtful = kept.doubtful or stream not in newer

    def _newer(self, loaded: Loaded) -> set[str]:
        versions = self._fold_versions
        return {name for name, row in loaded.streams.items() if row.fold_version > versions[category(name)]}

    def _calls(self, storages: Sequence[StateStorage], wanted: Mapping[str, set[str]]) -> list[Call]:
        calls: list[Call] = [
            (BEGIN, ()),
            (SET_TENANT, (self._tenant,)),
            (LOCK, (self._tenant,)),
            (HEAD, (self._tenant,)),
            (KNOWN, (self._tenant, arrays.varlena_array("bytea", self._keys))),
        ]
        if self._subjects:
            calls.append((KEYS, (self._tenant, arrays.text_array(self._subjects))))
        calls += [self._load(storage, list(wanted[storage.category])) for storage in storages]
        calls += [self._catch_up(kept) for kept in self._kept.values()]
        return calls

    def _load(self, storage: StateStorage, streams: Sequence[str]) -> Call:
        return storage.load, (self._tenant, arrays.text_array([name.partition("-")[2] for name in streams]))

    def _catch_up(self, kept: Kept) -> Call:
        name = kept.fold.category.encode()
        bounds = arrays.int8(kept.position), arrays.int8(kept.position + CATCH_UP_EVENTS)
        return READ_CATEGORY, (self._tenant, *bounds, name + b"-", name + b".")  # "." follows "-"

    def _selected(self) -> list[str]:
        """The streams that the selections would give now. Commands of this batch that name streams may use some up:
        that many more are asked for."""
        found: list[str] = []
        for name, kept in self._kept.items():
            spare = self._spare + len(self._named.get(kept.fold.category, ()))
            for key, number in self._numbers[name].items():
                found += kept.first(key, number + spare)
        return found

    def _read(self, answers: Sequence[Rows], storages: Sequence[StateStorage]) -> Loaded:
        rest = iter(answers[2:])
        lock, head = next(rest), next(rest)
        if len(lock) != 1:
            raise DatabaseUnavailable("the tenant's row in logs cannot be locked; run fidelog migrate")
        position, newest, clock = head[0]
        loaded = Loaded(position, _time_of_recording(newest, self._engine.clock(clock)))
        loaded.known = self._known(next(rest))
        if self._subjects:
            loaded.keys = {row[0]: KeyRow(*row) for row in next(rest)}
        for storage in storages:
            loaded.streams.update(storage.row(row) for row in next(rest))
        for kept in self._kept.values():
            if position - kept.position > CATCH_UP_EVENTS:
                raise SelectionBehind
            kept.evolve([recorded_event(row, self._engine.codec) for row in next(rest)])
            kept.position = position
            kept.now = max(kept.now, loaded.now)
        return loaded

    def _known(self, rows: Rows) -> dict[bytes, Known]:
        known: dict[bytes, Known] = {}
        for key, *row in rows:
            event = recorded_event(row, self._engine.codec)
            if key not in known:
                known[key] = Known(event.command_id, event.request_hash, [])
            events = known[key].events
            assert isinstance(events, list)
            events.append(event)
        return known

    async def _load_more(self, pipeline: Pipeline, loaded: Loaded, streams: Sequence[str]) -> None:
        for storage in self._engine.storages:
            if of_storage := [stream for stream in streams if category(stream) == storage.category]:
                (rows,) = await pipeline.trip([self._load(storage, of_storage)])
                loaded.streams.update(storage.row(row) for row in rows)

    async def _fold_older(self, pipeline: Pipeline, loaded: Loaded) -> None:
        """P7: a row that an older fold wrote is not read as ours; the stream is folded from the log."""
        if not loaded.streams:
            return
        versions = self._fold_versions
        older = [name for name, row in loaded.streams.items() if row.fold_version < versions[category(name)]]
        loaded.newer = self._newer(loaded)
        if older:
            folded = await fold_streams(pipeline, self._engine, self._tenant, older)
            for stream, (state, version, position) in folded.items():
                fold_version = versions[category(stream)]
                loaded.streams[stream] = Folded(state, version, position, stored=True, fold_version=fold_version)


def _time_of_recording(newest: datetime | None, clock: datetime) -> datetime:
    """P3: never below the event before; refused, not stamped alike for ever, when the clock was set back."""
    clock = clock.astimezone(UTC)
    if newest is None or clock >= newest:
        return clock
    if newest - clock > CLOCK_TOLERANCE:
        raise ClockBehind(f"the database clock is {newest - clock} behind the newest event; set it right")
    return newest.astimezone(UTC)
