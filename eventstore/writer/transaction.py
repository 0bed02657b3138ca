"""One batch, one transaction, two round trips: lock and load; then append, save and commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from eventstore import arrays
from eventstore.errors import ConnectionLost, DatabaseUnavailable
from eventstore.pipeline import Call, Pipeline, Rows
from eventstore.records import Envelope, RecordedEvent, Selection
from eventstore.rows import recorded_event
from eventstore.statements import statement
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import KeyRow, Vault
from eventstore.writer.deciding import BatchDecision, Known, Loaded, Outcome, rows_by_category
from eventstore.writer.engine import Engine, StateStorage, category

BEGIN = statement("eventstore", "begin")
SET_TENANT = statement("eventstore", "set_tenant")
LOCK = statement("eventstore", "lock_tenant")
HEAD = statement("eventstore", "head")
KNOWN = statement("eventstore", "known_commands")
KEYS = statement("eventstore", "subject_keys")
INSERT_EVENTS = statement("eventstore", "insert_events")
INSERT_KEYS = statement("eventstore", "insert_subject_keys")
COMMIT = statement("eventstore", "commit")
ROLLBACK = statement("eventstore", "rollback")
STATEMENTS = (BEGIN, SET_TENANT, LOCK, HEAD, KNOWN, KEYS, INSERT_EVENTS, INSERT_KEYS, COMMIT, ROLLBACK)

CLOCK_TOLERANCE = timedelta(seconds=2)
"""How far the database's clock may lie below the newest event before writes stop."""


class ClockBehind(DatabaseUnavailable):
    """The database's clock is below the newest event's time: events would no longer be in time order (P3)."""


async def run(pipeline: Pipeline, engine: Engine, vault: Vault, batch: Sequence[Envelope]) -> list[Outcome]:
    """Decide and commit a batch of one tenant; an outcome for each command, in order.

    Raises StatementFailed (on a statement other than COMMIT: nothing was committed; the transaction is rolled back),
    ConnectionLost, or DatabaseUnavailable. Only what is known to be durable is returned (P6).
    """
    try:
        decision = await _decide(pipeline, engine, vault, batch)
        if decision.events:
            await pipeline.trip(_writes(engine, batch[0].tenant_id, decision))
        else:
            await pipeline.trip([(ROLLBACK, ())])
    except ConnectionLost:
        raise
    except Exception:
        await pipeline.trip([(ROLLBACK, ())])
        raise
    return decision.outcomes


async def _decide(pipeline: Pipeline, engine: Engine, vault: Vault, batch: Sequence[Envelope]) -> BatchDecision:
    tenant_id = batch[0].tenant_id
    wanted = _Wanted(engine, batch)
    answers = await pipeline.trip(wanted.calls(tenant_id.encode()))
    decision = BatchDecision(engine, vault, tenant_id, wanted.loaded(answers))
    decision.decide(batch)
    return decision


class _Wanted:
    """What the first round trip asks for, and how its answers are read."""

    def __init__(self, engine: Engine, batch: Sequence[Envelope]) -> None:
        self._engine = engine
        self._keys = list({envelope.idempotency_key for envelope in batch})
        self._subjects = list({e.sealing.subject for e in batch if e.sealing is not None})
        self._streams: dict[str, set[str]] = {}
        self._limits: dict[str, dict[str, int]] = {}
        for envelope in batch:
            for stream in envelope.command.streams:
                self._streams.setdefault(category(stream), set()).add(stream)
            if envelope.command.selection is not None:
                self._select(envelope.command.selection)
        self._storages = [s for s in engine.storages if s.category in self._streams]
        self._selections = [s for s in engine.selections if s.name in self._limits]

    def _select(self, selection: Selection) -> None:
        limits = self._limits.setdefault(selection.name, {})
        limits[selection.key] = limits.get(selection.key, 0) + selection.limit

    def calls(self, tenant: bytes) -> list[Call]:
        calls: list[Call] = [
            (BEGIN, ()),
            (SET_TENANT, (tenant,)),
            (LOCK, (tenant,)),
            (HEAD, (tenant,)),
            (KNOWN, (tenant, arrays.varlena_array("bytea", self._keys))),
        ]
        if self._subjects:
            calls.append((KEYS, (tenant, arrays.text_array(self._subjects))))
        for storage in self._storages:
            ids = [name.partition("-")[2] for name in self._streams[storage.category]]
            calls.append((storage.load, (tenant, arrays.text_array(ids))))
        for selection in self._selections:
            # Commands of this batch that name streams may use up what is selected: ask for that many more.
            spare = len(self._streams.get(selection.storage.category, ()))
            limits = self._limits[selection.name]
            numbers = [limit + spare for limit in limits.values()]
            calls.append((selection.statement, (tenant, arrays.text_array(list(limits)), arrays.int8_array(numbers))))
        return calls

    def loaded(self, answers: Sequence[Rows]) -> Loaded:
        rest = iter(answers[2:])
        lock, head = next(rest), next(rest)
        if len(lock) != 1:
            raise DatabaseUnavailable("the tenant's row in logs cannot be locked; run fidelog migrate")
        position, newest, clock = head[0]
        loaded = Loaded(position, _time_of_recording(newest, clock))
        loaded.known = self._known(next(rest))
        if self._subjects:
            loaded.keys = {row[0]: KeyRow(*row) for row in next(rest)}
        for storage in self._storages:
            loaded.streams.update(storage.row(row) for row in next(rest))
        for selection in self._selections:
            for key, *row in next(rest):
                stream, folded = selection.storage.row(row)
                loaded.streams.setdefault(stream, folded)
                loaded.selected.setdefault((selection.name, key), deque()).append(stream)
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


def _time_of_recording(newest: datetime | None, clock: datetime) -> datetime:
    """P3: never below the event before; refused, not stamped alike for ever, when the clock was set back."""
    clock = clock.astimezone(UTC)
    if newest is None or clock >= newest:
        return clock
    if newest - clock > CLOCK_TOLERANCE:
        raise ClockBehind(f"the database clock is {newest - clock} behind the newest event; set it right")
    return newest.astimezone(UTC)


def _writes(engine: Engine, tenant_id: str, decision: BatchDecision) -> list[Call]:
    tenant = tenant_id.encode()
    calls: list[Call] = [(INSERT_EVENTS, _event_columns(tenant, decision.events))]
    if decision.new_keys:
        calls.append((INSERT_KEYS, _key_columns(tenant, decision.new_keys)))
    rows = rows_by_category(decision.changed)
    for storage in engine.storages:
        calls += _saves(storage, tenant_id, rows.get(storage.category, ()))
    calls.append((COMMIT, ()))
    return calls


def _saves(storage: StateStorage, tenant_id: str, rows: Sequence[Any]) -> list[Call]:
    new = [row for row in rows if not row[1].stored]
    old = [row for row in rows if row[1].stored]
    calls: list[Call] = []
    if new:
        calls.append((storage.insert, storage.parameters(tenant_id, new)))
    if old:
        calls.append((storage.update, storage.parameters(tenant_id, old)))
    return calls


def _event_columns(tenant: bytes, events: Sequence[RecordedEvent]) -> Sequence[bytes | None]:
    first = events[0]
    return (
        tenant,
        arrays.int8(first.position - 1),
        arrays.timestamptz(first.recorded_at),
        arrays.text_array([e.stream for e in events]),
        arrays.int8_array([e.version for e in events]),
        arrays.uuid_array([e.event_id for e in events]),
        arrays.text_array([e.type for e in events]),
        arrays.int8_array([e.schema_version for e in events]),
        arrays.varlena_array("json", [e.data for e in events]),
        arrays.text_array([",".join(e.subjects) for e in events]),
        arrays.text_array([e.actor for e in events]),
        arrays.text_array([e.on_behalf_of for e in events]),
        arrays.uuid_array([e.command_id for e in events]),
        arrays.text_array([e.correlation_id for e in events]),
        arrays.uuid_array([e.causation_id for e in events]),
        arrays.varlena_array("bytea", [e.idempotency_key for e in events]),
        arrays.varlena_array("bytea", [e.request_hash for e in events]),
        arrays.int8(len(events)),
    )


def _key_columns(tenant: bytes, keys: dict[str, DataKey]) -> Sequence[bytes | None]:
    return (
        tenant,
        arrays.text_array(list(keys)),
        arrays.uuid_array([key.key_id for key in keys.values()]),
        arrays.int8_array([key.epoch for key in keys.values()]),
        arrays.varlena_array("bytea", [key.wrapped for key in keys.values()]),
        arrays.int8(len(keys)),
    )
