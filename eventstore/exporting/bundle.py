"""A bundle is written (docs/spec/export.md): as a stream, member after member, whatever its size.

The events are gone through once for each form they are written in. What is held in memory does not grow with their
number; positions and hashes lie in a temporary file until they are written.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain, islice
from typing import IO, Protocol

from eventstore.errors import StoreError
from eventstore.exporting.archiving import ArchiveStream, Member
from eventstore.exporting.proving import Published
from eventstore.exporting.reading_forms import (
    BYTE_ORDER_MARK,
    PAGE_EVENTS,
    Pages,
    Shown,
    page_rows,
    table_head,
    table_rows,
)
from eventstore.leaves import leaf
from eventstore.proof.export import manifest as names
from eventstore.proof.export.manifest import SALT_BYTES, Manifest, page_name
from eventstore.proof.export.rows import Heads, Row, node_line, read_rows
from eventstore.proof.export.selection import Selection
from eventstore.proof.export.trust import Consistency, LogKeys
from eventstore.proof.export.zipapp import verifier
from eventstore.proof.leaf import LARGEST_LEAF
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.multiproof import Span, gaps
from eventstore.proof.tlog_proof import TlogProof
from eventstore.records import RecordedEvent
from eventstore.times import timestamp

SPOOLED = 1 << 20
"""Bytes of rows that are held in memory before they go to a file."""
SPANS_AT_ONCE = 256


class ExportFailed(StoreError):
    """The export cannot be finished; what was sent of it is no archive."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is exported: of which log, what, and from which first events. `old`: the size of a checkpoint that the reader
    has, if it said so."""

    origin: str
    tenant_id: str
    selection: Selection
    tree_size: int
    old: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What ExportMade says; see eventstore.proof.export.made."""

    selection: Selection
    tree_size: int
    count: int
    rows: str
    streams: list[list[str | int]] | None
    manifest: str


Batch = Sequence[RecordedEvent]


class Tree(Protocol):
    """Proofs of a tree of `size` leaves."""

    size: int

    async def inclusion(self, index: int) -> list[bytes]:
        """The siblings of a leaf."""

    async def consistency(self, old_size: int) -> list[bytes]:
        """What shows that a smaller tree is its beginning."""

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        """The hash of each of some subtrees."""


class Source(Protocol):
    """Where an export comes from."""

    def events(self) -> AsyncIterator[Batch]:
        """The events that were asked for, in order."""

    def shown(self) -> AsyncIterator[Sequence[Shown]]:
        """The same as people are shown them; whose data that is is on record before it is given."""

    async def made(self, told: Told) -> int:
        """Append ExportMade; gives its position."""

    async def sealed(self, position: int) -> Published:
        """A published checkpoint that covers the position. Raises ExportFailed when there is none in time."""

    async def leaf(self, position: int) -> bytes:
        """The leaf at a position."""

    def tree(self, size: int) -> Tree:
        """The tree of that size."""

    def keys(self) -> LogKeys:
        """The log's keys."""


class Bundle:
    """One bundle. `chunks` gives its bytes, once."""

    def __init__(self, asked: Asked, source: Source) -> None:
        self._asked = asked
        self._source = source
        self._archive = ArchiveStream()
        self._heads = Heads()
        self._count = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The archive, whole only when this ends by itself. Raises ExportFailed, StoreError."""
        with tempfile.SpooledTemporaryFile(max_size=SPOOLED) as rows:
            self._archive.add(names.README, resources.files("eventstore.exporting").joinpath("readme.txt").read_bytes())
            self._archive.add(names.VERIFIER, verifier())
            for part in (self._leaves(rows), self._table(), self._pages(), self._proof(rows)):
                async for chunk in part:
                    yield chunk
        self._archive.close()
        yield self._archive.taken()

    async def _leaves(self, rows: IO[bytes]) -> AsyncIterator[bytes]:
        # As large as it can be: nobody knows how many events there are.
        with self._archive.member(names.LEAVES, self._asked.tree_size * (LARGEST_LEAF + 1)) as member:
            async for events in self._source.events():
                await asyncio.to_thread(self._write_leaves, events, member, rows)
                yield self._archive.taken()
        with self._archive.member(names.ROWS, self._count * 128) as member:
            rows.seek(0)
            while chunk := rows.read(SPOOLED):
                member.write(chunk)
                yield self._archive.taken()

    def _write_leaves(self, events: Batch, member: Member, rows: IO[bytes]) -> None:
        for event in events:
            line = leaf(event)
            member.write(line + b"\n")
            rows.write(Row(event.position, leaf_hash(line)).line)
            self._heads.add(event.stream, event.version)
        self._count += len(events)
        if not all(self._holds(event) for event in events):
            raise ExportFailed("the index names events that the query does not; run fidelog replay --check audit_index")

    def _holds(self, event: RecordedEvent) -> bool:
        return event.position <= self._asked.tree_size and self._asked.selection.holds(
            subjects=event.subjects,
            actor=event.actor,
            type=event.type,
            stream=event.stream,
            correlation_id=event.correlation_id,
            recorded_at=timestamp(event.recorded_at),
        )

    async def _table(self) -> AsyncIterator[bytes]:
        count = 0
        with self._archive.member(names.CSV, self._shown_most) as member:
            member.write(BYTE_ORDER_MARK.encode() + table_head())
            async for events in self._source.shown():
                await asyncio.to_thread(lambda shown: member.write(table_rows(shown)), events)
                count += len(events)
                yield self._archive.taken()
        self._check_count(count)

    async def _pages(self) -> AsyncIterator[bytes]:
        asked = self._asked
        pages = Pages(f"Export of the log {asked.origin}", _told(asked, self._count), self._count)
        shown, left = _Regrouped(self._source.shown()), self._count
        for page in range(1, pages.number + 1):
            with self._archive.member(page_name(page), self._shown_most) as member:
                member.write(pages.head(page))
                async for events in shown.next(min(PAGE_EVENTS, left)):
                    await asyncio.to_thread(lambda found, to: to.write(page_rows(found)), events, member)
                    left -= len(events)
                    yield self._archive.taken()
                member.write(pages.foot(page))
        self._check_count(self._count - left)
        if await shown.more():
            self._check_count(self._count + 1)

    def _check_count(self, count: int) -> None:
        if count != self._count:
            raise ExportFailed("the index changed meanwhile; run fidelog replay --check audit_index")

    @property
    def _shown_most(self) -> int:
        """Bytes that a form for people has at most: what is shown of an event is escaped, and some is put around it."""
        return 8 * self._archive.members[names.LEAVES][0] + (self._count + 1) * 4_096

    async def _proof(self, rows: IO[bytes]) -> AsyncIterator[bytes]:
        """ExportMade, and what proves it and the rows in the tree of one checkpoint."""
        archive, asked, source = self._archive, self._asked, self._source
        manifest = Manifest(
            asked.origin,
            asked.tenant_id,
            asked.selection,
            asked.tree_size,
            self._count,
            os.urandom(SALT_BYTES).hex(),
            archive.members.copy(),
        ).data
        digest = archive.members[names.ROWS][1]
        told = Told(
            asked.selection,
            asked.tree_size,
            self._count,
            digest,
            self._heads.named,
            hashlib.sha256(manifest).hexdigest(),
        )
        position = await source.made(told)
        published = await source.sealed(position)
        tree, note = source.tree(published.checkpoint.size), published.note.data
        archive.add(names.MANIFEST, manifest)
        archive.add(names.LEAF, await source.leaf(position))
        archive.add(names.PROOF, TlogProof(position - 1, tuple(await tree.inclusion(position - 1)), note).data)
        archive.add(names.KEYS, source.keys().data)
        if asked.old:
            archive.add(names.CONSISTENCY, await _consistency(tree, asked.old))
        yield archive.taken()
        with archive.member(names.NODES, tree.size * 64) as member:
            rows.seek(0)
            indices = (row.position - 1 for row in read_rows(rows))
            async for hashes in _between(tree, chain(indices, [position - 1])):
                member.write(b"".join(map(node_line, hashes)))
                yield archive.taken()
        archive.add(names.CHECKPOINT, note)


async def _consistency(tree: Tree, old: int) -> bytes:
    """A checkpoint newer than the tree is not connected here; whoever has it asks for the proof."""
    if old > tree.size:
        raise ExportFailed(f"there is no checkpoint of size {old} yet")
    return Consistency(old, tree.size, tuple(await tree.consistency(old))).data


async def _between(tree: Tree, indices: Iterable[int]) -> AsyncIterator[list[bytes]]:
    spans: Iterator[Span] = gaps(indices, tree.size)
    while part := list(islice(spans, SPANS_AT_ONCE)):
        yield await tree.hashes(part)


class _Regrouped:
    """Batches cut where pages end."""

    def __init__(self, batches: AsyncIterator[Sequence[Shown]]) -> None:
        self._batches = batches
        self._rest: Sequence[Shown] = ()

    async def next(self, count: int) -> AsyncIterator[Sequence[Shown]]:
        """The next `count`, or all that are left."""
        while count and await self.more():
            part, self._rest = self._rest[:count], self._rest[count:]
            count -= len(part)
            yield part

    async def more(self) -> bool:
        """Whether there are any left."""
        while not self._rest:
            found = await anext(self._batches, None)
            if found is None:
                return False
            self._rest = found
        return True


def _told(asked: Asked, count: int) -> list[str]:
    """What was asked for, in words."""
    wanted = [f"{name} {value}" for name, value in asked.selection.members.items() if value]
    return [
        f"Tenant {asked.tenant_id}: {count:,} of the first {asked.tree_size:,} events.",
        f"Asked for: {', '.join(wanted) or 'all events'}.",
    ]
