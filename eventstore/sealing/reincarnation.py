"""A new incarnation: after a restore that lost events the log goes on under another origin, and says what is missing."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, SigningRefused
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.note import sign
from eventstore.proof.taking_up import start
from eventstore.sealing.incarnations import Incarnation, Signers
from eventstore.sealing.starting import compare
from eventstore.sealing.store import SealStore
from eventstore.sealing.tree import resumed


class Loss(NamedTuple):
    """What is known of the log before: its newest checkpoint, signed or published, and the newest that the rows of the
    database still have. `why` it cannot be sealed any more."""

    last: Checkpoint
    last_note: str
    kept: Checkpoint | None
    why: str

    @property
    def kept_size(self) -> int:
        """How many events are certainly those of the log before."""
        return self.kept.size if self.kept is not None else 0

    @property
    def positions(self) -> tuple[int, int] | None:
        """First and last position that the log before had and this one has not, or not with the same event."""
        return (self.kept_size + 1, self.last.size) if self.last.size > self.kept_size else None


async def loss(store: SealStore, log: Incarnation) -> Loss:
    """What a new incarnation begins with. Only while the tenant's lock is held. Raises SigningRefused when there is
    nothing to begin anew for, or the rows contradict even what the database itself published."""
    found = await compare(store, log)
    try:
        start(found.signed, found.published, found.head, found.roots.__getitem__)
    except SigningRefused as error:
        why = str(error)
    else:
        raise SigningRefused(f"{log.origin} can be sealed as it is: there is nothing to begin anew for")
    published = found.published
    if published is not None:
        await _check_rows(store, published)
    last, note = found.signed, "" if found.note is None else found.note.data.decode()
    if last is None or (published is not None and published.size > last.size):
        assert published is not None, "what is refused was signed or published"
        last, note = published, await store.note(published)
    return Loss(last, note, published, why)


async def _check_rows(store: SealStore, published: Checkpoint) -> None:
    try:
        root = (await resumed(store, published.size)).root
    except MalformedProof as error:
        raise SigningRefused(f"tiles are missing below size {published.size}: {error}") from error
    if root != published.root:
        raise SigningRefused(
            f"the first {published.size} events are not those of the newest checkpoint in the database: this is no restored "
            "log, and no new incarnation can begin over it; keep it as evidence and restore another backup"
        )


async def begin_anew(store: SealStore, new: Incarnation, kept: Checkpoint | None, signers: Signers) -> None:
    """The new origin's first checkpoint: of the events that are left and sealed. Its sealer goes on from there. Only while
    the tenant's lock is held. Raises SigningRefused, KeyUnavailable, OSError, psycopg.Error."""
    size, root = (0, EMPTY_ROOT) if kept is None else (kept.size, kept.root)
    first = Checkpoint(new.origin, size, root)
    note = sign(first.text, signers(new, True), int(time.time()))
    await asyncio.to_thread(new.state.begin, note)
    await store.publish([], first, note)
