"""What was signed stays signed: the file outlives crashes, and nothing that contradicts it is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import SigningRefused
from eventstore.proof.merkle import EMPTY_ROOT, leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import sign
from eventstore.proof.signed_state import SignedState
from tests.eventstore.proof.signing_process import KEY, LARGEST, ORIGIN, leaf, signed
from tests.eventstore.proof.vectors import ROOT

TREE = MemoryTree(leaf(index) for index in range(40))
OTHER = MemoryTree(leaf_hash(bytes([index])) for index in range(40))


def state_at(folder: Path, size: int) -> SignedState:
    """A state whose last checkpoint has this size."""
    state = SignedState(folder, ORIGIN)
    state.begin(signed(TREE, size))
    return state


def advance(
    state: SignedState, old: int, new: int, tree: MemoryTree = TREE, proof: Iterable[bytes] | None = None
) -> None:
    """Sign the tree of `new` leaves after that of `old`."""
    made = consistency_proof(old, new, tree.node) if 0 < old <= new else []
    state.advance(old, signed(tree, new), list(made if proof is None else proof))


def size_of(folder: Path) -> int:
    """The size of the last checkpoint on the disk."""
    note = SignedState(folder, ORIGIN).latest()
    assert note is not None
    assert note.signers([KEY.verifier])
    return Checkpoint.parse(note.text).size


def test_what_was_signed_is_read_back(tmp_path: Path) -> None:
    """From nothing over the empty tree to many leaves, in a folder that was not there, mode 0600."""
    folder = tmp_path / "log" / "default"
    state = SignedState(folder, ORIGIN)
    assert state.latest() is None
    state.begin(signed(TREE, 0))
    for old, new in [(0, 0), (0, 1), (1, 2), (2, 9), (9, 9), (9, 40)]:
        advance(state, old, new)
        assert size_of(folder) == new
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "last-checkpoint": 0o600,
        "lock": 0o600,
    }


@pytest.mark.parametrize(
    ("old", "new", "tree", "proof", "why"),
    [
        (9, 8, TREE, None, "size 9 was signed and the log now ends at 8"),
        (9, 0, TREE, None, "size 9 was signed and the log now ends at 0"),
        (9, 9, OTHER, None, "two roots for one tree size"),
        (9, 12, OTHER, None, "another old root"),
        (9, 12, TREE, [], "the consistency proof is empty"),
        (8, 12, TREE, None, "the last checkpoint has size 9, not 8"),
        (0, 12, TREE, None, "the last checkpoint has size 9, not 0"),
        (12, 12, TREE, None, "the last checkpoint has size 9, not 12"),
    ],
)
def test_what_does_not_continue_it_is_not_signed(
    tmp_path: Path, old: int, new: int, tree: MemoryTree, proof: list[bytes] | None, why: str
) -> None:
    """A rewound log, another history, a missing proof and a stale caller are refused with the reason, and change nothing."""
    state = state_at(tmp_path, 9)
    before = (tmp_path / "last-checkpoint").read_bytes()
    with pytest.raises(SigningRefused, match=why):
        advance(state, old, new, tree, proof)
    assert (tmp_path / "last-checkpoint").read_bytes() == before


def test_a_log_begins_once(tmp_path: Path) -> None:
    """A second beginning, one before a beginning, and one of an empty tree with leaves are refused."""
    state = SignedState(tmp_path, ORIGIN)
    with pytest.raises(SigningRefused, match="there is no last checkpoint"):
        advance(state, 0, 5)
    with pytest.raises(SigningRefused, match="not that of an empty tree"):
        state.begin(sign(Checkpoint(ORIGIN, 0, leaf(0)).text, [KEY]))
    state.begin(sign(Checkpoint(ORIGIN, 0, EMPTY_ROOT).text, [KEY]))
    with pytest.raises(SigningRefused, match="has signed a checkpoint already"):
        state.begin(signed(TREE, 5))


def test_another_logs_checkpoint_has_no_place(tmp_path: Path) -> None:
    """Neither to begin with, nor to go on with, nor to find in the folder."""
    stranger = sign(Checkpoint("log.example/b", 9, TREE.root(9)).text, [KEY])
    with pytest.raises(SigningRefused, match=r"of log\.example/b, not of log\.example/a"):
        SignedState(tmp_path, ORIGIN).begin(stranger)
    state = state_at(tmp_path, 9)
    with pytest.raises(SigningRefused, match=r"of log\.example/b"):
        state.advance(9, stranger, [])
    with pytest.raises(SigningRefused, match=r"of log\.example/a, not of log\.example/b"):
        SignedState(tmp_path, "log.example/b").latest()


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"log.example/a\n9\n", b"\xff"])
def test_a_file_that_is_none_is_not_taken_for_nothing(tmp_path: Path, content: bytes) -> None:
    """A damaged file stops the signing; it is not begun anew over it."""
    state = state_at(tmp_path, 9)
    (tmp_path / "last-checkpoint").write_bytes(content)
    for attempt in (state.latest, lambda: state.begin(signed(TREE, 9)), lambda: advance(state, 9, 12)):
        with pytest.raises(SigningRefused, match="is not the last checkpoint"):
            attempt()
    (tmp_path / "last-checkpoint").unlink()
    (tmp_path / "last-checkpoint").mkdir()
    with pytest.raises(SigningRefused, match="cannot be read"):
        state.latest()


def test_of_two_sealers_one_signs(tmp_path: Path) -> None:
    """All begin from size 9 at once, towards different sizes: one is written, the others learn that they were late."""
    state_at(tmp_path, 9)

    def attempt(new: int) -> str:
        try:
            advance(SignedState(tmp_path, ORIGIN), 9, new)
        except SigningRefused as refusal:
            return str(refusal)
        return "signed"

    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(range(10, 40), pool.map(attempt, range(10, 40)), strict=True))
    won = size_of(tmp_path)
    assert answers.pop(won) == "signed"
    assert set(answers.values()) == {f"the last checkpoint has size {won}, not 9"}


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """When the data cannot be made durable or put in place, the caller learns it and the old file stands."""
    state = state_at(tmp_path, 9)

    def fails(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if broken == "fsync" else "pathlib.Path.replace", fails)
        with pytest.raises(OSError, match="No space left"):
            advance(state, 9, 12)
    assert size_of(tmp_path) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last-checkpoint", "lock"]
    advance(state, 9, 12)
    assert size_of(tmp_path) == 12


def test_a_killed_sealer_has_signed_nothing_that_is_not_on_the_disk(tmp_path: Path) -> None:
    """Killed at any moment: the file is whole, at the last size that was said or one after it, and the next goes on."""
    said = 0
    for patience in (1, 7, 30, 2, 55):
        command = [sys.executable, "-m", "tests.eventstore.proof.signing_process", str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(patience)]
            process.kill()
            lines += process.stdout.readlines()
        sizes = [int(line) for line in lines if line.endswith("\n")]
        assert sizes[0] > said
        assert sizes == list(range(sizes[0], sizes[0] + len(sizes)))
        said = sizes[-1]
        assert said <= size_of(tmp_path) <= said + 1 < LARGEST
