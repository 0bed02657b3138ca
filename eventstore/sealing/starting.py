"""A sealer begins: it takes up the tree where it was signed last, or says why it must not sign."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, SigningRefused
from eventstore.proof.growth import GrowingTree
from eventstore.proof.merkle import EMPTY_ROOT
from eventstore.proof.note import Note, sign
from eventstore.proof.taking_up import Start, start
from eventstore.sealing.incarnations import Incarnation, Signers
from eventstore.sealing.store import SealStore
from eventstore.sealing.tree import SealedTree, resumed

ADVICE = (
    "restore the state folder that belongs to this database, adopt a checkpoint that a witness holds (fidelog log adopt), "
    "or begin a new incarnation (fidelog log reincarnate --reason …)"
)


async def take_up(store: SealStore, log: Incarnation, signers: Signers) -> SealedTree:
    """The tree as it was signed last and is published now. Raises SigningRefused, and what reading and publishing raise.
    Only while the tenant's lock is held."""
    try:
        return await _taken_up(store, log, signers)
    except (SigningRefused, MalformedProof) as error:
        raise SigningRefused(f"{error}; {ADVICE}") from error


class Compared(NamedTuple):
    """What was signed, what was published, what there is; the tree and its roots at the sizes that can be compared."""

    signed: Checkpoint | None
    note: Note | None
    published: Checkpoint | None
    head: int
    sealed: SealedTree
    roots: dict[int, bytes]


async def compare(store: SealStore, log: Incarnation) -> Compared:
    """Look at all three. Where nothing was signed or published under this origin, a checkpoint of any other counts: this is
    another state folder than the database's. Raises SigningRefused, MalformedProof, NoLeaf, psycopg.Error."""
    note = await asyncio.to_thread(log.state.latest)
    signed = None if note is None else Checkpoint.parse(note.text)
    published = await store.newest(log.origin)
    if signed is None and published is None:
        published = await store.newest_of_any_origin()
    head = (await store.look(log.origin)).head
    sealed = SealedTree(GrowingTree(), signed or Checkpoint(log.origin, 0, EMPTY_ROOT))
    roots: dict[int, bytes] = {}
    if signed is not None and signed.size <= head and (published is None or published.size <= signed.size):
        if published is not None:
            sealed.tree = await resumed(store, published.size)
            roots[published.size] = sealed.tree.root
        await sealed.extend(store, signed.size)
        roots[signed.size] = sealed.tree.root
    return Compared(signed, note, published, head, sealed, roots)


async def _taken_up(store: SealStore, log: Incarnation, signers: Signers) -> SealedTree:
    found = await compare(store, log)
    signed, note, sealed = found.signed, found.note, found.sealed
    decided = start(signed, found.published, found.head, found.roots.__getitem__)
    if decided is Start.BEGIN:
        note = await asyncio.to_thread(_begin, log, signers)
        signed = Checkpoint.parse(note.text)
    assert signed is not None, "a log that goes on has signed"
    assert note is not None
    if decided is not Start.GO_ON:
        await store.publish(sealed.filled, signed, note)
    sealed.published(signed)
    return sealed


def _begin(log: Incarnation, signers: Signers) -> Note:
    """Sign the empty tree: whatever the log holds already continues it. Raises SigningRefused, KeyUnavailable, OSError."""
    note = sign(Checkpoint(log.origin, 0, EMPTY_ROOT).text, signers(log, True), int(time.time()))
    log.state.begin(note)
    return note
