"""Exports, whoever asks for one: the route and the command read, record and prove in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from api.backend import Backend
from domain.exports import ExportMade, RecordExport
from eventstore.exporting.bundle import Asked, Bundle, ExportFailed, Told, Tree
from eventstore.exporting.proving import Proofs, Published
from eventstore.exporting.reading_forms import Shown
from eventstore.proof.export.trust import LogKeys
from eventstore.records import Command, Receipt, RecordedEvent
from eventstore.sealing.incarnations import Incarnation
from projections.exports import pages, selection_of, shown
from projections.trail import Filters, Page, Trail

READY_SECONDS = 5.0
"""How long a request waits until index and sealer have got to the newest event."""
SEALED_SECONDS = 30.0
"""How long an export waits until the event about it is sealed."""
WITNESSED_SECONDS = 5.0
"""How long it then waits for the witnesses."""
LOOK_SECONDS = 0.05


class NotSealedYet(ExportFailed):
    """What is to be proven is not indexed or sealed yet."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who exports, and how what it does is put on record."""

    purpose: str | None
    key_id: str | None
    submit: Callable[[Command], Awaitable[Receipt]]
    """Records a command of the asker's."""
    read: Callable[[Sequence[str]], Awaitable[None]]
    """Records that these clients' data is about to be shown."""


@dataclass
class LogSource:
    """A tenant's log as the source of one export."""

    tenant_id: str
    filters: Filters
    last: int
    asker: Asker
    trail: Trail
    proofs: Proofs
    incarnation: Incarnation
    watch: Callable[[int], None] = lambda position: None
    """Told the position that a form has got to; the events are gone through in several forms."""
    _recorded: set[str] = field(default_factory=set)

    async def events(self) -> AsyncIterator[Sequence[RecordedEvent]]:
        """Whose data they are is on record before they are given."""
        async for page in self._pages():
            new = {subject for event in page.events for subject in event.subjects} - self._recorded
            if new:
                await self.asker.read(sorted(new))
                self._recorded |= new
            yield page.events

    async def shown(self) -> AsyncIterator[Sequence[Shown]]:
        """The same events again; nobody is among them who was not recorded."""
        async for page in self._pages():
            yield await asyncio.to_thread(shown, page.events, page.keys, self.tenant_id)

    async def _pages(self) -> AsyncIterator[Page]:
        async for page in pages(self.trail, self.tenant_id, self.filters, self.last):
            yield page
            self.watch(page.events[-1].position)
        self.watch(self.last)

    async def made(self, told: Told) -> int:
        """Append ExportMade."""
        made = ExportMade(
            told.selection.members,
            told.tree_size,
            told.count,
            told.rows,
            told.streams,
            told.manifest,
            self.asker.purpose,
            self.asker.key_id,
        )
        return (await self.asker.submit(RecordExport(made))).events[-1].position

    async def sealed(self, position: int) -> Published:
        """Wait for the sealer, wherever it runs; and where the log has witnesses, some time for them."""
        sealed = await until_sealed(self.proofs, self.tenant_id, self.incarnation.origin, position, SEALED_SECONDS)
        return await _witnessed(self.proofs, self.tenant_id, sealed, position)

    async def leaf(self, position: int) -> bytes:
        """As it was sealed."""
        return await self.proofs.leaf(self.tenant_id, position)

    def tree(self, size: int) -> Tree:
        """From the tables of the proof."""
        return self.proofs.tree(self.tenant_id, size)

    def keys(self) -> LogKeys:
        """Of this incarnation."""
        ring = self.incarnation.keyring()
        return LogKeys(tuple(ring.verifiers), tuple(ring.rotations))


async def until_sealed(proofs: Proofs, tenant_id: str, origin: str, position: int, seconds: float) -> Published:
    """The newest checkpoint, as soon as it covers the position. Raises NotSealedYet when it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await proofs.newest(tenant_id, origin)
                if found is not None and found.checkpoint.size >= position:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise NotSealedYet(
            f"position {position} was not sealed in {seconds:g} seconds; look at the sealer (fidelog status)"
        ) from None


async def _witnessed(proofs: Proofs, tenant_id: str, sealed: Published, position: int) -> Published:
    """A checkpoint of at least the position with as many cosignatures as the last one had; without it in time, or where
    nobody ever cosigned, the sealed one: a reader can hold a later one against it."""
    last, origin = await proofs.witnessed(tenant_id, sealed.checkpoint.origin), sealed.checkpoint.origin
    if last is None:
        return sealed
    with suppress(TimeoutError):
        async with asyncio.timeout(WITNESSED_SECONDS):
            while True:
                found = await proofs.witnessed(tenant_id, origin)
                if found is not None and found.checkpoint.size >= position and found.cosignatures >= last.cosignatures:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
    return sealed


@dataclass(frozen=True, slots=True)
class Begun:
    """An export that has begun: up to which position, and its bytes."""

    last: int
    chunks: AsyncGenerator[bytes, None]


async def begin(
    backend: Backend,
    tenant_id: str,
    filters: Filters,
    old: int | None,
    asker: Asker,
    watch: Callable[[int, int], None] = lambda position, last: None,
    ready_seconds: float = READY_SECONDS,
) -> Begun:
    """Begin an export of what the log holds now, once index and sealer have got there. `watch` is told the position that
    a form has got to, and the last.

    Raises ValueError for what cannot be asked for, NotSealedYet, StoreError.
    """
    selection = selection_of(filters)
    last = await backend.log.head(tenant_id)
    if old is not None and old > last:
        raise ValueError("old must not be above the newest position")
    await _ready(backend, tenant_id, last, ready_seconds)
    log = backend.logs.current(tenant_id)
    source = LogSource(
        tenant_id, filters, last, asker, backend.trail, backend.proofs, log, lambda position: watch(position, last)
    )
    chunks = Bundle(Asked(log.origin, tenant_id, selection, last, old), source).chunks()
    first = await anext(chunks)  # what can fail at once does so before anything is sent
    return Begun(last, _joined(first, chunks))


async def _ready(backend: Backend, tenant_id: str, last: int, seconds: float) -> None:
    """Index and sealer have got to the position."""
    await backend.serve(tenant_id)
    tail = backend.index(tenant_id)
    if tail.position < last and not await tail.until(lambda: tail.position >= last, seconds):
        raise NotSealedYet(f"the index has not got to position {last} yet; look at its tail (fidelog status)")
    await until_sealed(backend.proofs, tenant_id, backend.logs.current(tenant_id).origin, last, seconds)


async def _joined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
