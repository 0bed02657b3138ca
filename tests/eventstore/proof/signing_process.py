"""A process that signs one checkpoint after another until it is killed: python -m … FOLDER; says each size once it may be shown."""

from __future__ import annotations

import sys
from pathlib import Path

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.signed_state import SignedState
from eventstore.proof.signing_keys import SigningKey

ORIGIN = "log.example/a"
KEY = SigningKey(ORIGIN, Kind.LOG, bytes(range(32)))
LARGEST = 3000


def leaf(index: int) -> bytes:
    """The hash of a leaf."""
    return leaf_hash(index.to_bytes(4, "big"))


def signed(tree: MemoryTree, size: int) -> Note:
    """The checkpoint of the first leaves."""
    return sign(Checkpoint(ORIGIN, size, tree.root(size)).text, [KEY])


def main(folder: Path) -> None:
    """Go on from where the file is."""
    state = SignedState(folder, ORIGIN)
    tree = MemoryTree(map(leaf, range(LARGEST)))
    latest = state.latest()
    if latest is None:
        state.begin(signed(tree, 1))
        latest = state.latest()
    assert latest is not None
    for size in range(Checkpoint.parse(latest.text).size, LARGEST):
        state.advance(size, signed(tree, size + 1), consistency_proof(size, size + 1, tree.node))
        print(size + 1, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
