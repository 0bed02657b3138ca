"""What a witness keeps, when its requests are held just where they could do harm: after the check, before the store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.witness.cosigner import Cosigner, hash_of
from eventstore.proof import signed_state
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import SigningRefused
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.signing_keys import SigningKey
from tests.eventstore.proof.one_log import OTHER, TREE, OneLog

LOG = OneLog("log.example/a")
KEY = SigningKey("example.com/witness", Kind.COSIGNER, bytes(32))
TIME = 1_800_000_000


class HeldKey(SigningKey):
    """A key that asks before it signs: a request is there when it was checked and nothing is stored yet."""

    def __init__(self, hold: Callable[[str], None]) -> None:
        super().__init__(KEY.verifier.name, Kind.COSIGNER, bytes(32))
        self._hold = hold

    def sign(self, text: str, time: int = 0) -> bytes:
        self._hold(text)
        return super().sign(text, time)


def cosigner(folder: Path, hold: Callable[[str], None] = lambda text: None) -> Cosigner:
    """A witness on the folder, as another process would have it."""
    return Cosigner(folder, HeldKey(hold), {LOG.origin: [LOG.key.verifier]})


def stored(folder: Path) -> Checkpoint:
    """What a new process finds."""
    data = cosigner(folder).checkpoint(hash_of(LOG.origin))
    assert data is not None
    assert Note.parse(data).signers([KEY.verifier])
    return Checkpoint.parse(Note.parse(data).text)


@pytest.mark.parametrize("old", [0, 5])
def test_of_32_that_were_all_checked_one_is_cosigned(tmp_path: Path, old: int) -> None:
    """32 requests, of many sizes and of two histories where both continue what is known, all found right before any is stored:
    one is cosigned and stays, 31 are told its size."""
    if old:
        assert cosigner(tmp_path).add_checkpoint(LOG.request(0, old), TIME).status == 200
    checked = threading.Barrier(32)
    trees = [TREE if old or number % 2 else OTHER for number in range(32)]

    def hold(text: str) -> None:
        checked.wait(60)

    def ask(number: int) -> tuple[int, bytes]:
        witness = cosigner(tmp_path, hold)
        answered = witness.add_checkpoint(LOG.request(old, old + 1 + number // 2, trees[number]), TIME)
        return answered.status, answered.body

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    kept = stored(tmp_path)
    won = [number for number, (status, _) in enumerate(answers) if status == 200]
    assert len(won) == 1
    assert (kept.size, kept.root) == (old + 1 + won[0] // 2, trees[won[0]].root(kept.size))
    assert answers.count((409, b"%d\n" % kept.size)) == 31


def test_a_request_that_was_overtaken_does_not_take_it_back(tmp_path: Path) -> None:
    """A request that was checked and then overtaken by a larger tree is not cosigned: the stored one stays the larger."""
    assert cosigner(tmp_path).add_checkpoint(LOG.request(0, 5), TIME).status == 200

    def overtake(text: str) -> None:
        assert cosigner(tmp_path).add_checkpoint(LOG.request(5, 9), TIME).status == 200

    answered = cosigner(tmp_path, overtake).add_checkpoint(LOG.request(5, 6), TIME)
    assert (answered.status, answered.body) == (409, b"9\n")
    assert stored(tmp_path).size == 9


def test_two_trees_of_one_size_are_never_both_cosigned(tmp_path: Path) -> None:
    """A request that was checked against nothing, and overtaken by another tree of its size, is not cosigned."""

    def overtake(text: str) -> None:
        if text == LOG.note(7).text:
            assert cosigner(tmp_path).add_checkpoint(LOG.request(0, 7, OTHER), TIME).status == 200

    assert cosigner(tmp_path, overtake).add_checkpoint(LOG.request(0, 7), TIME).status == 409
    assert cosigner(tmp_path).add_checkpoint(LOG.request(7, 7), TIME).status == 422
    assert stored(tmp_path).root == OTHER.root(7)


def test_nothing_is_answered_that_is_not_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the checkpoint cannot be stored there is no answer, and the old one stands; when it can, file and folder were
    flushed before the answer."""
    witness = cosigner(tmp_path)
    assert witness.add_checkpoint(LOG.request(0, 5), TIME).status == 200

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(signed_state, "write_durably", full)
        with pytest.raises(OSError, match="No space"):
            witness.add_checkpoint(LOG.request(5, 9), TIME)
    assert stored(tmp_path).size == 5
    flushed: list[int] = []
    flush = os.fsync

    def counted(descriptor: int) -> None:
        flushed.append(descriptor)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    assert witness.add_checkpoint(LOG.request(5, 9), TIME).status == 200
    assert len(flushed) == 2


def test_a_state_that_is_damaged_meanwhile_cosigns_nothing(tmp_path: Path) -> None:
    """What was cosigned becomes unreadable while the witness runs: it refuses, rather than begin anew."""
    witness = cosigner(tmp_path)
    assert witness.add_checkpoint(LOG.request(0, 5), TIME).status == 200
    (tmp_path / "logs" / hash_of(LOG.origin) / "last-checkpoint").write_bytes(b"")
    with pytest.raises(SigningRefused):
        witness.add_checkpoint(LOG.request(0, 3, OTHER), TIME)


def test_a_log_may_have_an_old_and_a_new_key(tmp_path: Path) -> None:
    """While a log rotates its key, either key's signature is enough, and both lines are kept where there are both."""
    new = SigningKey(LOG.origin, Kind.LOG, b"n" * 32)
    keys: dict[str, list[VerifierKey]] = {LOG.origin: [LOG.key.verifier, new.verifier]}
    witness = Cosigner(tmp_path, KEY, keys)
    assert witness.add_checkpoint(LOG.request(0, 5), TIME).status == 200
    assert witness.add_checkpoint(LOG.request(5, 9, key=new), TIME).status == 200
    assert (
        Cosigner(tmp_path, KEY, {LOG.origin: [LOG.key.verifier]})
        .add_checkpoint(LOG.request(9, 12, key=new), TIME)
        .status
        == 403
    )
