"""What the writer is given: deciders, codec and read-model storage. The store runs them without knowing a domain type."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from eventstore.errors import DatabaseUnavailable
from eventstore.records import Context, Decision, Encoded, RecordedEvent, Selected
from eventstore.statements import Statement


@dataclass(slots=True)
class Folded:
    """A stream's state with the version and position of the last event folded in; version 0 is an empty stream."""

    state: Any
    version: int
    position: int
    stored: bool
    """Whether the read model has a row for it."""
    fold_version: int = 0
    """Of the fold that made the state; in a row, the one that wrote it."""


class StateStorage(Protocol):
    """The read model that keeps one category of streams: three statements, and how a row and a state correspond."""

    category: str
    fold_version: int
    """Of the fold this process runs."""
    load: Statement
    """$1 tenant, $2 text[] of ids (the stream names without category): the rows there are."""
    insert: Statement
    update: Statement
    """Both: parameters as `parameters` gives them; fail unless they write as many rows as they were sent."""

    def row(self, row: Sequence[Any]) -> tuple[str, Folded]:
        """A loaded row as (stream, folded state)."""

    def parameters(self, tenant_id: str, rows: Sequence[tuple[str, Folded]]) -> Sequence[bytes | None]:
        """States as the parameters of `insert` and `update`."""


class SelectionQueue(Protocol):
    """What a selection chooses from, kept in memory: a fold over all streams of its category.

    The time it is asked with must not go back.
    """

    def restore(self, rows: Sequence[Sequence[Any]]) -> Sequence[str]:
        """Take in rows of the snapshot; the streams left out because an older fold wrote their row. Those that a newer
        fold wrote are left out for good."""

    def put(self, stream: str, state: Any) -> None:
        """Take in a stream's state."""

    def drop(self, stream: str) -> None:
        """Leave the stream out: this process cannot use it."""

    def evolve(self, stream: str, recorded: RecordedEvent) -> None:
        """Fold in the next event of the category."""

    def first(self, key: str, now: datetime) -> Generator[str]:
        """The streams for `key` at `now`, in order. To be closed before the queue changes."""


class SelectionFold(Protocol):
    """A named query for streams that a command does not name."""

    name: str
    category: str
    snapshot: Statement
    """$1 tenant, $2 place, $3 number: rows of the read model in the order of their places, which come first."""

    def queue(self) -> SelectionQueue: ...


class Codec(Protocol):
    """Domain events and their stored form."""

    def encode(self, event: Any) -> Encoded: ...
    def decode(self, type_name: str, schema_version: int, data: bytes) -> Any: ...


Decide = Callable[[Mapping[str, Any], Any, Selected, Context], Decision]
Evolve = Callable[[Any, RecordedEvent], Any]


@dataclass(frozen=True)
class Engine:
    """Everything the writer does not know by itself."""

    decide: Decide
    evolve: Mapping[str, Evolve]
    """By category: the part of a stream's name before its first hyphen."""
    codec: Codec
    storages: Sequence[StateStorage]
    selections: Sequence[SelectionFold] = ()
    erasing: frozenset[str] = frozenset()
    """Types of events with which the keys of their subjects are destroyed (P8)."""
    clock: Callable[[datetime], datetime] = lambda database_clock: database_clock
    """The time of recording, from the database's clock under the lock. Time is an argument: a test lets it pass."""

    def statements(self) -> list[Statement]:
        """All statements of read models and selections, to be prepared."""
        of_storages = [s for storage in self.storages for s in (storage.load, storage.insert, storage.update)]
        return [*of_storages, *(selection.snapshot for selection in self.selections)]


def category(stream: str) -> str:
    """`client` of `client-c-1`."""
    return stream.partition("-")[0]


class NewerFold(DatabaseUnavailable):
    """A row was written by a newer version of the fold than this process runs: it may not be written by ours (P7)."""
