"""A state folder lost what its log signed last: the log goes on from a checkpoint that somebody else holds, unless the database
contradicts it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import SigningRefused
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.note import Note
from eventstore.sealing.incarnations import Incarnation
from eventstore.sealing.store import SealStore
from eventstore.sealing.tree import SealedTree, resumed


async def adopt(store: SealStore, log: Incarnation, held: Note) -> Checkpoint:
    """Write down as signed last what somebody holds; or the newest checkpoint in the database, where that goes on from it:
    witnesses are behind. Gives the one taken. Only while the tenant's lock is held.

    Raises ProofError with the reason, KeyUnavailable, OSError, psycopg.Error; then nothing has changed.
    """
    keys, origin = log.keyring().verifiers, Checkpoint.parse(held.text).origin
    if origin != log.origin:
        raise SigningRefused(f"a checkpoint of {origin}, not of {log.origin}")
    taken, note = signed_checkpoint(held, log.origin, keys), held
    published = await store.newest_of_any_origin()
    if published is not None and published.origin != log.origin:
        raise SigningRefused(f"the newest checkpoint in the database is of {published.origin}, not of {log.origin}")
    head = (await store.look(log.origin)).head
    if taken.size > head:
        raise SigningRefused(
            f"it has size {taken.size} and the log has {head} events: a restore or a deletion took back the rest"
        )
    tiled = 0 if published is None else published.size
    await _check_rows(store, taken, tiled)
    if published is not None:
        await _check_rows(store, published, tiled)
    if published is not None and published.size > taken.size:
        note = Note.parse((await store.note(published)).encode())
        taken = signed_checkpoint(note, log.origin, keys)
        if taken != published:
            raise SigningRefused("the newest checkpoint in the database is not the one that was signed")
    await asyncio.to_thread(log.state.begin, _by(note, keys))
    return taken


async def _check_rows(store: SealStore, checkpoint: Checkpoint, tiled: int) -> None:
    """The rows, below size `tiled` by their tiles, have the checkpoint's root. Raises SigningRefused, MalformedProof."""
    tree = await resumed(store, min(checkpoint.size, tiled))
    await SealedTree(tree, Checkpoint(checkpoint.origin, 0, EMPTY_ROOT)).extend(store, checkpoint.size)
    if tree.root != checkpoint.root:
        raise SigningRefused(f"the first {checkpoint.size} events are not those that were signed")


def _by(note: Note, keys: Iterable[VerifierKey]) -> Note:
    """The note as the log signed it, without the lines of others."""
    known = {(key.name, key.id) for key in keys}
    return Note(note.text, tuple(line for line in note.lines if (line.name, line.key_id) in known))
