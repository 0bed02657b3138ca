"""The sealed tree: each step is shown to continue the one before from what is in memory alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import SigningRefused
from eventstore.proof.growth import GrowingTree
from eventstore.proof.merkle import EMPTY_ROOT, leaf_hash
from eventstore.sealing.incarnations import Incarnation, keys_in_files
from eventstore.sealing.starting import _begin
from eventstore.sealing.tree import SealedTree
from tests.eventstore.sealing.rows import first_log

SIZES = (
    1, 2, 3, 5, 255, 256, 257, 300, 511, 512, 513, 768, 1_000, 4_096, 5_000, 65_279, 65_535, 65_536, 65_537, 65_792, 66_000,
    131_071, 131_072, 131_400,
)  # fmt: skip
LEAVES = [leaf_hash(b"%d" % n) for n in range(SIZES[-1])]


def begun(folder: Path) -> tuple[Incarnation, SealedTree]:
    """A log that signed the empty tree."""
    log = first_log(folder)
    note = _begin(log, keys_in_files)
    return log, SealedTree(GrowingTree(), Checkpoint.parse(note.text))


def step(log: Incarnation, sealed: SealedTree, size: int) -> None:
    """Grow to a size, sign, and take that for published."""
    sealed.filled += sealed.tree.extend(LEAVES[sealed.tree.size : size])
    sealed.published(sealed.sign(log, keys_in_files, 1).checkpoint)


@pytest.mark.parametrize("steps", [SIZES, SIZES[::2], SIZES[::3], SIZES[-1:]], ids=len)
def test_every_step_is_proven_to_the_state_folder(tmp_path: Path, steps: tuple[int, ...]) -> None:
    """Over tiles and levels that become full, end exactly, or are passed over in one step: the state folder, which
    checks the proof, takes each, and holds the last."""
    log, sealed = begun(tmp_path)
    assert sealed.signed.root == EMPTY_ROOT
    for size in steps:
        step(log, sealed, size)
    note = log.state.latest()
    assert note is not None
    assert Checkpoint.parse(note.text).size == steps[-1]


def test_another_history_is_not_signed(tmp_path: Path) -> None:
    """A tree that does not continue the last one is refused, and what was signed stays as it is."""
    log, sealed = begun(tmp_path)
    step(log, sealed, 300)
    before = log.state.latest()
    other = SealedTree(GrowingTree(), sealed.signed)
    other.filled = other.tree.extend([leaf_hash(b"forged"), *LEAVES[1:400]])
    with pytest.raises(SigningRefused):
        other.sign(log, keys_in_files, 1)
    assert log.state.latest() == before
