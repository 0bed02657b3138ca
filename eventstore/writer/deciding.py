"""Deciding a batch: commands in arrival order against states already evolved in this batch. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from eventstore.errors import CommandRefused, KeyReused, Poisoned, StoreError, SubjectErased, VersionMismatch
from eventstore.ids import uuid7s
from eventstore.records import (
    Command,
    Context,
    Decision,
    Envelope,
    ExpectedVersion,
    Receipt,
    RecordedEvent,
    Refused,
    Repeated,
    Selected,
    Selection,
)
from eventstore.vault.keys import HASH_BYTES, DataKey
from eventstore.vault.vault import KeyRow, Vault
from eventstore.writer.engine import Engine, Folded, NewerFold, category
from eventstore.writer.selections import Kept

log = logging.getLogger(__name__)

MAX_EVENTS_PER_COMMAND = 250
MAX_DATA_BYTES = 60_000
"""Keeps a leaf within the 65,535 bytes that a log entry may have (docs/spec/event-record.md)."""

_NOTHING: Selected = iter(())
_EMPTY = Folded(None, 0, 0, stored=False)
"""A stream without events. Never changed: a fold makes a new state of it."""

Outcome = Receipt | Repeated | Exception


class Known(NamedTuple):
    """A command the log already holds."""

    command_id: str
    request_hash: bytes | None
    events: Sequence[RecordedEvent]


@dataclass(slots=True)
class Loaded:
    """What the first round trip brought, all of it read under the tenant's lock."""

    position: int
    now: datetime
    known: dict[bytes, Known] = field(default_factory=dict)
    keys: dict[str, KeyRow] = field(default_factory=dict)
    streams: dict[str, Folded] = field(default_factory=dict)
    newer: set[str] = field(default_factory=set)
    """Streams whose row a newer fold wrote."""


class BatchDecision:
    """The decision on one batch: outcomes, events to append, rows and keys to save."""

    def __init__(
        self, engine: Engine, vault: Vault, tenant_id: str, loaded: Loaded, kept: Collection[Kept] = ()
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._tenant_id = tenant_id
        self._loaded = loaded
        self._kept = {selection.fold.name: selection for selection in kept}
        self._ids: Iterator[str] = iter(())
        self._drawn = 0
        self._at_once = 1
        self._context = Context(loaded.now, "")
        self.outcomes: list[Outcome] = []
        self.events: list[RecordedEvent] = []
        self.changed: dict[str, Folded] = {}
        self.new_keys: dict[str, DataKey] = {}
        self.destroyed: dict[str, int] = {}
        """Whose keys are destroyed, each with the position of the event that says so."""
        self.erased: dict[str, int] = {}
        """The same, and those whose keys an attempt destroyed whose answer was lost."""

    def decide(self, batch: Sequence[Envelope]) -> None:
        """Decide every command; one command's refusal touches no other."""
        self._at_once = len(batch)
        for envelope in batch:
            try:
                self.outcomes.append(self._decide(envelope))
            except StoreError as refusal:
                self.outcomes.append(refusal)
            except Exception as fault:  # a fault in one command's decider or codec fails that command alone
                log.exception("a command of type %s failed", type(envelope.command).__name__)
                self.outcomes.append(fault)

    def _decide(self, envelope: Envelope) -> Receipt | Repeated:
        known = self._loaded.known.get(envelope.idempotency_key)
        try:
            key = self._key(envelope)
        except SubjectErased:
            if known is not None and known.command_id == envelope.command_id and self._erasing(known.events):
                # P6: our own erasure, committed by an attempt whose answer was lost.
                self.erased |= {subject: event.position for event in known.events for subject in event.subjects}
                return Receipt(known.events, replayed=False)
            raise
        if known is not None:
            return self._again(envelope, known, key)
        command, loaded = envelope.command, self._loaded
        streams = command.streams
        if loaded.newer and not loaded.newer.isdisjoint(streams):
            raise NewerFold("a newer Fidelog wrote what this concerns; ask the newer one")
        if self._context.actor != envelope.actor:
            self._context = Context(loaded.now, envelope.actor)
        states = {name: loaded.streams.get(name, _EMPTY).state for name in streams}
        selection = command.selection
        if selection is None:
            decision = self._engine.decide(states, command, _NOTHING, self._context)
        else:
            decision = self._decide_selected(states, command, selection, self._context)
        if envelope.expected is not None and not (isinstance(decision, Refused) and decision.absent):
            self._check_version(envelope.expected)
        if isinstance(decision, Refused):
            raise CommandRefused(decision.refusal)
        if isinstance(decision, Repeated):
            return decision
        return self._append(envelope, decision, key)

    def _erasing(self, events: Sequence[RecordedEvent]) -> bool:
        return any(event.type in self._engine.erasing for event in events)

    # P5: a command that appended events gives its first answer again.

    def _again(self, envelope: Envelope, known: Known, key: DataKey | None) -> Receipt:
        if known.command_id == envelope.command_id:
            # Our own command, committed by an attempt whose answer was lost (P6).
            return Receipt(known.events, replayed=False, key=key)
        if _hash(known) != _hash(envelope):
            raise KeyReused
        return Receipt(known.events, replayed=True, key=key)

    # P8: what is appended is sealed under the subject's living key.

    def _key(self, envelope: Envelope) -> DataKey | None:
        sealing = envelope.sealing
        if sealing is None:
            return None
        row = self._loaded.keys.get(sealing.subject)
        living = self.new_keys.get(sealing.subject) if row is None else self._vault.key_of(self._tenant_id, row)
        if living is None:
            if row is not None:
                raise SubjectErased
        elif living is not sealing.key and living.key_id != sealing.key.key_id:
            sealing.key = living
            envelope.command, envelope.request_hash = sealing.bind(living)
        return sealing.key

    def _check_version(self, expected: ExpectedVersion) -> None:
        current = self._loaded.streams.get(expected.stream, _EMPTY).version
        if current == 0 or (expected.versions is not None and current not in expected.versions):
            raise VersionMismatch(current)

    def _decide_selected(
        self, states: Mapping[str, Any], command: Command, selection: Selection, context: Context
    ) -> Decision:
        kept, given = self._kept[selection.name], list[str]()
        with closing(self._selected(kept, selection.key, given)) as selected:
            decision = self._engine.decide(states, command, selected, context)
        if not set(given).issubset(stream for stream, _ in _events(decision)):
            kept.doubtful = True  # the queue and the rows disagree
        return decision

    def _selected(self, kept: Kept, key: str, given: list[str]) -> Generator[tuple[str, Any]]:
        with closing(kept.queue.first(key, kept.now)) as streams:
            for stream in streams:
                folded = self._loaded.streams.get(stream)
                if folded is not None and stream not in self._loaded.newer:
                    given.append(stream)
                    yield stream, folded.state

    def _append(self, envelope: Envelope, decision: Sequence[tuple[str, Any]], key: DataKey | None) -> Receipt:
        if not decision:
            return Receipt((), False, {}, key)
        if len(decision) > MAX_EVENTS_PER_COMMAND:
            raise Poisoned(f"a command may append at most {MAX_EVENTS_PER_COMMAND} events")
        appended, changed = self._record(envelope, decision)
        # Only now, with nothing left that can fail, does the command become part of the batch.
        loaded, sealing = self._loaded, envelope.sealing
        self.events += appended
        loaded.streams.update(changed)
        self.changed.update(changed)
        for selection in self._kept.values():
            selection.follow(appended)
        loaded.known[envelope.idempotency_key] = Known(envelope.command_id, envelope.request_hash, appended)
        if sealing is not None and sealing.subject not in loaded.keys:
            self.new_keys[sealing.subject] = sealing.key
        for event in appended:
            if event.type in self._engine.erasing:
                self._destroy(event)
        return Receipt(appended, False, {name: folded.state for name, folded in changed.items()}, key)

    def _destroy(self, event: RecordedEvent) -> None:
        """P8: the rest of the batch finds the key destroyed, as it will be when the batch is committed."""
        for subject in event.subjects:
            self.destroyed[subject] = self.erased[subject] = event.position
            self._loaded.keys[subject] = KeyRow(subject, "", 0, None)

    def _record(
        self, envelope: Envelope, decision: Sequence[tuple[str, Any]]
    ) -> tuple[list[RecordedEvent], dict[str, Folded]]:
        """The command's events at the next positions, and the states of their streams after them."""
        events: list[RecordedEvent] = []
        changed: dict[str, Folded] = {}
        streams, evolve, position = self._loaded.streams, self._engine.evolve, self._loaded.position + len(self.events)
        for stream, event in decision:
            position += 1
            before = changed.get(stream) or streams.get(stream, _EMPTY)
            version = before.version + 1
            recorded = self._recorded(envelope, position, stream, version, event)
            if not events:  # the command is remembered by its first event
                recorded.idempotency_key, recorded.request_hash = envelope.idempotency_key, envelope.request_hash
            events.append(recorded)
            state = evolve[category(stream)](before.state, recorded)
            changed[stream] = Folded(state, version, position, before.stored)
        return events, changed

    def _recorded(self, envelope: Envelope, position: int, stream: str, version: int, event: Any) -> RecordedEvent:
        type_name, schema_version, data, subjects, acts_on = self._engine.codec.encode(event)
        if len(data) > MAX_DATA_BYTES:
            raise Poisoned(f"an event's data may have at most {MAX_DATA_BYTES} bytes")
        return RecordedEvent(
            # By place: names of so many cost three times the object.
            self._tenant_id, position, stream, version, next(self._ids, None) or self._next_id(), type_name,
            schema_version, data, subjects, envelope.actor, envelope.on_behalf_of, envelope.command_id,
            envelope.correlation_id, acts_on or envelope.causation_id, None, None, None, self._loaded.now, event,
        )  # fmt: skip

    def _next_id(self) -> str:
        milliseconds = int(self._loaded.now.timestamp() * 1000)
        self._ids = iter(uuid7s(milliseconds, self._drawn, self._at_once))
        self._drawn += self._at_once
        return next(self._ids)


def _hash(asked: Known | Envelope) -> bytes | None:
    """Of rows that hold all 32 bytes, the first count."""
    return asked.request_hash and asked.request_hash[:HASH_BYTES]


def _events(decision: Decision) -> Sequence[tuple[str, Any]]:
    return () if isinstance(decision, Refused | Repeated) else decision


def rows_by_category(changed: Mapping[str, Folded]) -> dict[str, list[tuple[str, Folded]]]:
    """Changed streams grouped for the one statement a read model."""
    rows: dict[str, list[tuple[str, Folded]]] = {}
    for stream, folded in changed.items():
        rows.setdefault(category(stream), []).append((stream, folded))
    return rows
