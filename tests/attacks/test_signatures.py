"""Who holds a key, a backup or a database can sign and show another history: an earlier checkpoint shows that."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import GrowingTree
from eventstore.proof.keys import Kind
from eventstore.proof.note import Note
from eventstore.proof.signing_keys import SigningKey
from eventstore.verifying.known import Known
from eventstore.verifying.verdicts import NotVerifiable, Outcome
from tests.attacks.sealed import (
    EVENTS,
    KEY,
    KNOWN,
    NEW_KEY,
    ORIGIN,
    SIZES,
    attack,
    fill,
    leaves,
    publish,
    seal,
    verified,
    verify,
)
from tests.attacks.test_rows_changed import tampered

FORGET = ("DELETE FROM fidelog.checkpoints", "DELETE FROM fidelog.tiles")


def test_everything_rewritten_and_signed_again_with_the_stolen_key(log: Database, kept: list[Note]) -> None:
    """The database is at peace with itself; a checkpoint that somebody kept is not."""
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 270", *FORGET)
    seal(log)
    assert verify(log).outcome is Outcome.VERIFIED, "whoever has only the database cannot know"
    assert verify(log, kept[1]).outcome is Outcome.VERIFIED, "nor whose checkpoint is older than the change"
    tampered(verify(log, *kept), 270, "rewritten and signed again", "events 257 to 290", "that was kept of size 290")


def test_rewritten_far_back(log: Database, kept: list[Note]) -> None:
    """Where the change lies within more events than a tile has, no position is named, unless a row was written late."""
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 3", *FORGET)
    seal(log, (EVENTS,))
    tampered(verify(log, kept[2]), 3, "one of the events 1 to 290", "event 3 was written after")
    attack(log, "UPDATE fidelog.events SET on_behalf_of = 'user:eve'", *FORGET)
    seal(log, (EVENTS,))
    tampered(verify(log, kept[2]), None, "one of the events 1 to 290")


def test_yesterdays_backup_restored_and_written_on(log: Database, kept: list[Note]) -> None:
    """The restored log goes on with other events in the places of those that were lost."""
    attack(log, "DELETE FROM fidelog.events WHERE position > 256", "DELETE FROM fidelog.checkpoints WHERE size > 256")
    tampered(verify(log, *kept), 257, "the tail was cut")
    fill(log, EVENTS + 8, first=257)
    seal(log, (300,))
    assert verify(log, *kept[:2]).outcome is Outcome.VERIFIED
    tampered(verify(log, *kept), 257, "events 257 to 290")


def test_two_histories(log: Database, kept: list[Note]) -> None:
    """A signed root that no rows lead to, while a later one proves the rows; and two for one size."""
    with psycopg.connect(log.url("superuser")) as connection:
        forged = publish(connection, Checkpoint(ORIGIN, 270, bytes(32)))
    tampered(verify(log), None, "two histories", "size 270")
    attack(log, "DELETE FROM fidelog.checkpoints WHERE size = 270")
    tampered(verify(log, kept[1], forged), 257, "of size 270")


def test_a_retired_key_signs_no_more(log: Database) -> None:
    """After the new key has signed, the old one's checkpoints are not the log's."""
    with psycopg.connect(log.url("superuser")) as connection:
        hashes = leaves(connection)
        for size, key in ((291, NEW_KEY), (292, KEY)):
            tree = GrowingTree()
            tree.extend(hashes[:size])
            publish(connection, Checkpoint(ORIGIN, size, tree.root), key)
            if size == 291:
                connection.commit()
                assert verify(log).words()["checkpoint_size"] == 291, "both keys are the log's"
    tampered(verify(log), None, "size 292", "retired")


def test_a_key_that_is_not_the_logs(log: Database) -> None:
    """Whoever makes a key of his own under the log's name is not believed."""
    stranger = SigningKey(ORIGIN, Kind.LOG, bytes(31) + b"\x09")
    attack(log, "DELETE FROM fidelog.checkpoints")
    seal(log, SIZES, stranger)
    tampered(verify(log), None, "signed by no key of the log")


def test_without_a_key_or_a_checkpoint_nothing_is_said(log: Database) -> None:
    """`not verifiable` is neither of the others."""
    with pytest.raises(NotVerifiable, match="no key of the log"):
        verify(log, known=Known({ORIGIN: []}))
    attack(log, *FORGET)
    verdict = verify(log)
    assert (verdict.outcome, verdict.position, verdict.checkpoint_size) == (Outcome.NOT_VERIFIABLE, None, None)
    assert verdict.cause is not None
    assert "nothing was sealed yet" in verdict.cause


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("note = replace(note, '290', '0290')", "malformed"),
        ("note = replace(note, E'\\n\\n', E'\\n')", "malformed"),
        ("note = note || E'\\u2014 x y'", "malformed"),
        ("note = replace(note, 'default', 'other')", "does not say what its row says"),
        ("note = replace(note, '290', '291')", "does not say what its row says"),
        ("size = 289", "does not say what its row says"),
        ("root = decode(repeat('00', 32), 'hex')", "does not say what its row says"),
        ("origin = 'other.example/log', note = replace(note, 'audit.bank.example/default', 'other.example/log')", "another log"),
        ("note = overlay(note placing 'AA' from position('KEYLINE' in note) + 60)", "not"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_was_touched(log: Database, change: str, word: str) -> None:
    """Form, row, origin and signature."""
    if "KEYLINE" in change:
        change = "note = left(note, -20) || 'AAAAAAAA' || right(note, 12)"
    attack(log, f"UPDATE fidelog.checkpoints SET {change} WHERE size = 290")
    tampered(verify(log), None, word)


def test_checkpoints_gone(log: Database, kept: list[Note]) -> None:
    """The log signed, as somebody knows, and the database shows nothing."""
    attack(log, *FORGET)
    tampered(verify(log, *kept), None, "the checkpoints are missing")


def test_verified_again_from_where_it_had_got_to(log: Database, kept: list[Note]) -> None:
    """A verification since an earlier one proves that this one's checkpoint still stands, and says what changed since."""
    reached = verified(log).reached
    assert reached is not None
    assert reached.checkpoint == Checkpoint.parse(kept[2].text)
    seal(log, (EVENTS,))
    verdict = verify(log, since=reached)
    assert (verdict.outcome, verdict.checkpoint_size) == (Outcome.VERIFIED, EVENTS)
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 290", *FORGET)
    seal(log)
    tampered(verify(log, since=reached), 290, "the checkpoint of the last verification", "events 1 to 290")
    assert verify(log, since=replace(reached, checkpoint=replace(reached.checkpoint, size=999))).position == 293


def test_another_incarnation(log: Database, kept: list[Note]) -> None:
    """Under another origin the old one's checkpoints hold for what was restored, and what was lost is said to be."""
    other = ORIGIN + "/2"
    attack(log, "DELETE FROM fidelog.events WHERE position > 256", "DELETE FROM fidelog.checkpoints WHERE size > 256")
    fill(log, EVENTS + 8, first=257)
    with psycopg.connect(log.url("superuser")) as connection:
        tree = GrowingTree()
        tree.extend(leaves(connection))
        key = SigningKey(other, Kind.LOG, bytes(31) + b"\x03")
        publish(connection, Checkpoint(other, tree.size, tree.root), key)
    known = Known({**KNOWN.keys, other: [key.verifier]})
    assert verify(log, *kept[:2], known=known).outcome is Outcome.VERIFIED
    tampered(verify(log, *kept, known=known), 257, "another incarnation", other, "events 257 to 290")
    tampered(verify(log), None, f"is of another log, {other}")
