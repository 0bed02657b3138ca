"""A log as witnesses see it: checkpoints over two histories, and requests for them."""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.witness_exchange import AddCheckpoint

LEAVES = 400
TREE = MemoryTree(leaf_hash(number.to_bytes(2, "big")) for number in range(LEAVES))
OTHER = MemoryTree(leaf_hash(b"other" + number.to_bytes(2, "big")) for number in range(LEAVES))


class OneLog:
    """A log that signs whatever it is told to, two histories too."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = SigningKey(origin, Kind.LOG, bytes(range(32)))

    def note(self, size: int, tree: MemoryTree = TREE, key: SigningKey | None = None) -> Note:
        """The signed checkpoint of the first leaves."""
        return sign(Checkpoint(self.origin, size, tree.root(size)).text, [key or self.key])

    def request(
        self,
        old: int,
        new: int,
        tree: MemoryTree = TREE,
        key: SigningKey | None = None,
        proof: Iterable[bytes] | None = None,
    ) -> bytes:
        """The body that asks for the tree of `new` leaves."""
        if proof is None:
            proof = consistency_proof(old, new, tree.node) if 0 < old <= new else []
        return AddCheckpoint(old, tuple(proof), self.note(new, tree, key)).body
