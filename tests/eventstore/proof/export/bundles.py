"""Bundles of a small log in memory, and the many ways to change one."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from eventstore.exporting.bundle import Asked, Bundle, Told
from eventstore.exporting.proving import Published
from eventstore.exporting.reading_forms import Shown
from eventstore.leaves import leaf
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.export.check import verify_export
from eventstore.proof.export.selection import Selection
from eventstore.proof.export.trust import Held, LogKeys
from eventstore.proof.export.verdict import Verdict
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof, inclusion_proof, span_hash
from eventstore.proof.multiproof import Span
from eventstore.proof.note import Note, sign
from eventstore.proof.rotation import rotation
from eventstore.proof.signing_keys import SigningKey
from eventstore.records import RecordedEvent

ORIGIN = "log.example/default"
OLD_KEY = SigningKey(ORIGIN, Kind.LOG, bytes(range(32)))
KEY = SigningKey(ORIGIN, Kind.LOG, bytes(range(1, 33)))
WITNESS = SigningKey("witness.example/w", Kind.COSIGNER, bytes(range(2, 34)))
KEYS = LogKeys((OLD_KEY.verifier, KEY.verifier), (rotation(OLD_KEY, KEY),))
BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
EVENTS = 40

Members = dict[str, bytes]


def event(
    position: int, type_name: str, stream: str, version: int, data: Mapping[str, Any], *who: str
) -> RecordedEvent:
    """An event as the log would have it."""
    one = f"00000000-0000-7000-8000-{position:012x}"
    return RecordedEvent(
        "default", position, stream, version, one, type_name, 1, orjson.dumps(data), who, "agent:a@1", None, one,
        f"order-{position % 3}", None, None, None, None, BEGIN + timedelta(minutes=position), None,
    )  # fmt: skip


def small_log(count: int = EVENTS) -> list[RecordedEvent]:
    """Three clients with a stream each, in turn."""
    return [
        event(n, "TaskCreated", f"task-{n % 3}", -(-n // 3), {"n": n, "note": "ä <b> =1+1"}, f"client-{n % 3}")
        for n in range(1, count + 1)
    ]


@dataclass
class MemorySource:
    """A source of a log in memory, and the tree over it. Two events come between the export and ExportMade."""

    log: list[RecordedEvent]
    asked: Asked
    change: Callable[[Told], Told] = lambda told: told
    leave_out: frozenset[int] = frozenset()
    """Positions that a lying exporter does not export."""
    selected: Selection | None = None
    """What an index finds that is not as it should be."""
    tree_of: MemoryTree = field(default_factory=MemoryTree)

    def _wanted(self) -> list[RecordedEvent]:
        selection = self.selected or self.asked.selection
        return [
            one
            for one in self.log[: self.asked.tree_size]
            if one.position not in self.leave_out and (selection.subject is None or selection.subject in one.subjects)
        ]

    async def events(self) -> AsyncIterator[Sequence[RecordedEvent]]:
        found = self._wanted()
        for start in range(0, len(found), 7):
            yield found[start : start + 7]

    async def shown(self) -> AsyncIterator[Sequence[Shown]]:
        async for batch in self.events():
            yield [Shown(one, f"Event {one.position}", one.data.decode()) for one in batch]

    async def made(self, told: Told) -> int:
        data = data_of(self.change(told))
        for _ in range(2):
            self.log.append(event(len(self.log) + 1, "PersonalDataRead", "log-access", 1, {}))
        self.log.append(event(len(self.log) + 1, "ExportMade", "log-exports", 1, data))
        self.log.append(event(len(self.log) + 1, "PersonalDataRead", "log-access", 2, {}))
        self.tree_of = MemoryTree(leaf_hash(leaf(one)) for one in self.log)
        return len(self.log) - 1

    async def sealed(self, position: int) -> Published:
        note = checkpoint_of(self.tree_of, len(self.log), self.asked.origin)
        return Published(Checkpoint.parse(note.text), note)

    async def leaf(self, position: int) -> bytes:
        return leaf(self.log[position - 1])

    def tree(self, size: int) -> InMemory:
        return InMemory(self.tree_of, size)

    def keys(self) -> LogKeys:
        return KEYS


def data_of(told: Told) -> dict[str, Any]:
    """ExportMade's data."""
    return {
        "count": told.count, "key_id": None, "manifest": told.manifest, "purpose": None, "query": told.selection.members,
        "rows": told.rows, "streams": told.streams, "tree_size": told.tree_size,
    }  # fmt: skip


@dataclass
class InMemory:
    """Proofs of a tree in memory."""

    tree: MemoryTree
    size: int

    async def inclusion(self, index: int) -> list[bytes]:
        return inclusion_proof(index, self.size, self.tree.node)

    async def consistency(self, old_size: int) -> list[bytes]:
        return consistency_proof(old_size, self.size, self.tree.node)

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        return [span_hash(start, end, self.tree.node) for start, end in spans]


def checkpoint_of(tree: MemoryTree, size: int, origin: str = ORIGIN, key: SigningKey = KEY) -> Note:
    """The signed and cosigned checkpoint of a size."""
    return sign(Checkpoint(origin, size, tree.root(size)).text, [key, WITNESS], 1_800_000_000)


@dataclass
class Made:
    """A bundle and the log it is of."""

    source: MemorySource
    data: bytes

    @property
    def members(self) -> Members:
        """Its members by name."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    @property
    def size(self) -> int:
        """Of its checkpoint."""
        return len(self.source.log)

    def checkpoint(self, size: int | None = None) -> bytes:
        """The log's checkpoint of a size; the bundle's own unless another is asked for."""
        return checkpoint_of(self.source.tree_of, size or self.size).data


def make(subject: str | None = "client-1", *, old: int | None = None, **source: Any) -> Made:
    """A bundle of one client's events, or of all."""
    asked = Asked(ORIGIN, "default", Selection(subject=subject), EVENTS, old)
    from_log = MemorySource(small_log(), asked, **source)

    async def whole() -> bytes:
        return b"".join([chunk async for chunk in Bundle(asked, from_log).chunks()])

    return Made(from_log, asyncio.run(whole()))


def packed(members: Members) -> bytes:
    """An archive of the members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def verdict(data: bytes, checkpoint: bytes | None, **held: Any) -> Verdict:
    """What the verifier says."""
    return verify_export(io.BytesIO(data), Held(checkpoint, **held))
