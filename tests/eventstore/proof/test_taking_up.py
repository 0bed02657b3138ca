"""A sealer that starts signs only what continues everything that was signed or shown."""

from __future__ import annotations

import pytest

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import SigningRefused
from eventstore.proof.merkle import EMPTY_ROOT, leaf_hash
from eventstore.proof.merkle_paths import MemoryTree
from eventstore.proof.taking_up import Start, start
from tests.eventstore.proof.signing_process import ORIGIN, leaf

ROWS = MemoryTree(leaf(index) for index in range(20))
OTHER = MemoryTree(leaf_hash(bytes([index])) for index in range(20))


def root_at(size: int) -> bytes:
    """The root over the rows; nobody asks for that of none, nor for more than there are."""
    assert 0 < size <= 20
    return ROWS.root(size)


def at(size: int, tree: MemoryTree = ROWS) -> Checkpoint:
    """A checkpoint."""
    return Checkpoint(ORIGIN, size, tree.root(size))


@pytest.mark.parametrize(
    ("signed", "published", "events", "want"),
    [
        (None, None, 0, Start.BEGIN),
        (None, None, 20, Start.BEGIN),
        (at(0), at(0), 20, Start.GO_ON),
        (at(9), at(9), 9, Start.GO_ON),
        (at(9), at(9), 20, Start.GO_ON),
        (at(0), None, 0, Start.PUBLISH),
        (at(9), None, 20, Start.PUBLISH),
        (at(9), at(5), 20, Start.PUBLISH),
    ],
)
def test_how_a_sealer_goes_on(
    signed: Checkpoint | None, published: Checkpoint | None, events: int, want: Start
) -> None:
    """It begins, goes on, or first shows what it signed before it died."""
    assert start(signed, published, events, root_at) is want


@pytest.mark.parametrize(
    ("signed", "published", "events", "why"),
    [
        (None, at(9), 20, "checkpoint of size 9, and the state folder none"),
        (None, at(0), 0, "checkpoint of size 0, and the state folder none"),
        (at(9), at(9), 8, "size 9 was signed and the log has 8 events"),
        (at(9), at(5), 5, "size 9 was signed and the log has 5 events"),
        (at(9), at(12), 20, "the state folder only one of size 9: it is older"),
        (at(9, OTHER), at(9, OTHER), 20, "the first 9 events are not those"),
        (at(9), at(9, OTHER), 20, "the first 9 events are not those"),
        (at(9), at(5, OTHER), 20, "the first 5 events are not those"),
        (at(9, OTHER), None, 20, "the first 9 events are not those"),
    ],
)
def test_when_a_sealer_does_not_sign(
    signed: Checkpoint | None, published: Checkpoint | None, events: int, why: str
) -> None:
    """A lost or old state folder, a restored or rewritten log: the reason is said and nothing is signed."""
    with pytest.raises(SigningRefused, match=why):
        start(signed, published, events, root_at)


def test_an_empty_tree_is_not_asked_for() -> None:
    """Size 0 has one root, which the state checked when it was written."""
    assert start(Checkpoint(ORIGIN, 0, EMPTY_ROOT), None, 20, root_at) is Start.PUBLISH
