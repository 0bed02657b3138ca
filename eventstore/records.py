"""The plain records that pass between a caller, the writer and the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from eventstore.vault.keys import REQUEST, DataKey


@dataclass(slots=True)
class RecordedEvent:
    """One event as the log keeps it; immutable once recorded. Times are UTC, ids lower-case UUID text."""

    tenant_id: str
    position: int
    stream: str
    version: int
    event_id: str
    type: str
    schema_version: int
    data: bytes
    """The stored JSON text, UTF-8, byte for byte as it was hashed."""
    subjects: tuple[str, ...]
    actor: str
    on_behalf_of: str | None
    command_id: str
    correlation_id: str
    causation_id: str | None
    idempotency_key: bytes | None
    request_hash: bytes | None
    effective_at: datetime | None
    recorded_at: datetime
    event: Any
    """The decoded domain event."""


class Encoded(NamedTuple):
    """What a codec makes of a domain event: the type's name and version, the stored text, whom it is about, and the
    id of the event it acts on, if it names one."""

    type: str
    schema_version: int
    data: bytes
    subjects: tuple[str, ...]
    causation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedVersion:
    """An If-Match: the stream must exist and, unless any version will do (None), be at this one."""

    stream: str
    versions: frozenset[int] | None


@dataclass(slots=True)
class Sealing:
    """Personal values of one subject, sealed under `key`; `bind` seals them, and hashes the request, under a key."""

    subject: str
    key: DataKey
    build: Callable[[DataKey], Command]
    request: bytes

    def bind(self, key: DataKey) -> tuple[Command, bytes]:
        """The command with its values sealed under `key`, and the request's hash."""
        return self.build(key), key.hash(REQUEST, self.request)


class Command(Protocol):
    """What the writer needs to know of a command."""

    @property
    def streams(self) -> Sequence[str]:
        """The streams the command reads; `decide` gets their states."""

    @property
    def selection(self) -> Selection | None:
        """A named query for streams the command does not name."""


class Selection(Protocol):
    """The first `limit` streams that the selection called `name` finds for `key`."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def limit(self) -> int: ...


@dataclass(slots=True)
class Envelope:
    """A command on its way to the writer, with who sent it and how it is recognised when it comes again."""

    tenant_id: str
    actor: str
    command: Command
    command_id: str
    idempotency_key: bytes
    """Keyed hash of the caller's key, or of `command_id` when the caller gave none."""
    request_hash: bytes | None
    correlation_id: str
    causation_id: str | None = None
    on_behalf_of: str | None = None
    expected: ExpectedVersion | None = None
    sealing: Sealing | None = None
    size: int = 0
    """Bytes of the request, for the queue's and the batch's bounds."""


class Context(NamedTuple):
    """What `decide` may know besides states: the time of recording and who acts."""

    now: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The domain said no; nothing was appended."""

    refusal: Any
    absent: bool = False
    """What the command is about does not exist: said before the caller is told of a version (404 before 412)."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The command repeats, by its natural key, what the event at (stream, version) recorded; nothing was appended."""

    stream: str
    version: int


Decision = Sequence[tuple[str, Any]] | Refused | Repeated
"""Events, each with the stream it is for; or a refusal; or a repeat."""

Selected = Iterator[tuple[str, Any]]
"""Streams handed to a command by its selection, with their states, in the selection's order."""


@dataclass(slots=True)
class Receipt:
    """What a command appended, now or (replayed) the first time.

    `states` holds each stream's state after the command's own events where the writer just folded it; it is None for
    a command answered from the log. `key` is the subject's data key, found alive under the lock.
    """

    events: Sequence[RecordedEvent]
    replayed: bool
    states: Mapping[str, Any] | None = None
    key: DataKey | None = None
