"""The Merkle tree of RFC 6962 and RFC 9162 (section 2.1) over SHA-256: hashes, and proofs checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from eventstore.proof.errors import MalformedProof, NotProven
from eventstore.proof.strict import HASH_BYTES

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""

_LEAF = hashlib.sha256(b"\x00")
_NODE = hashlib.sha256(b"\x01")
"""Begun once and copied: that costs less than to begin anew, and these hashes are most of what a verification does."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    hashed = _LEAF.copy()
    hashed.update(entry)
    return hashed.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    hashed = _NODE.copy()
    hashed.update(left + right)
    return hashed.digest()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """The leaf with this hash is the one at `index` (from 0) of the tree of `size` leaves with this root.

    `proof` has the siblings from the leaf up (RFC 9162, section 2.1.3.2). Raises MalformedProof, NotProven.
    """
    if not 0 <= index < size:
        raise MalformedProof(f"a tree of {size} leaves has no leaf at index {index}")
    _hashes(leaf, root, *proof)
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise MalformedProof("the inclusion proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            place, last = _up_to_the_next_left_sibling(place, last)
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise MalformedProof("the inclusion proof is too short")
    if found != root:
        raise NotProven("the inclusion proof leads to another root")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """The tree of `old_size` leaves is what the tree of `new_size` leaves began as (RFC 9162, section 2.1.4.2).

    0 < old_size <= new_size: about the empty tree there is nothing to prove, and the caller decides what that means.
    Raises MalformedProof, NotProven.
    """
    if not 0 < old_size <= new_size:
        raise MalformedProof(f"there is no consistency proof from size {old_size} to size {new_size}")
    if old_size == new_size:  # nothing is hashed: two roots are one or they are two
        if proof:
            raise MalformedProof("the consistency proof between equal sizes is not empty")
        if old_root != new_root:
            raise NotProven("two roots for one tree size")
        return
    _hashes(old_root, new_root, *proof)
    old_found, new_found = _consistent_roots(old_size, new_size, old_root, proof)
    if old_found != old_root:
        raise NotProven("the consistency proof leads to another old root")
    if new_found != new_root:
        raise NotProven("the consistency proof leads to another new root")


def _consistent_roots(old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots as the proof makes them."""
    steps = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not proof:
        raise MalformedProof("the consistency proof is empty")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_found = new_found = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise MalformedProof("the consistency proof is too long")
        if place & 1 or place == last:
            old_found, new_found = node_hash(step, old_found), node_hash(step, new_found)
            place, last = _up_to_the_next_left_sibling(place, last)
        else:
            new_found = node_hash(new_found, step)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise MalformedProof("the consistency proof is too short")
    return old_found, new_found


def _up_to_the_next_left_sibling(place: int, last: int) -> tuple[int, int]:
    """Past the levels on which a node at the right edge has no sibling and is its parent too."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _hashes(*values: bytes) -> None:
    """Without this, an empty leaf hash would prove itself under an empty root."""
    for value in values:
        if len(value) != HASH_BYTES:
            raise MalformedProof(f"a hash has {len(value)} bytes, not {HASH_BYTES}")
