"""What a superuser does to rows, tiles and checkpoints with the guards off is found, with its position or cause."""

from __future__ import annotations

import pytest

from eventstore.database import Database
from eventstore.proof.note import Note
from eventstore.verifying.verdicts import Outcome, Verdict
from tests.attacks.sealed import EVENTS, SEALED, attack, seal_tiles, verify


def tampered(verdict: Verdict, position: int | None, *words: str) -> None:
    """The verdict is `tampered`, at this position, for this cause."""
    assert (verdict.outcome, verdict.position) == (Outcome.TAMPERED, position), verdict
    assert verdict.cause is not None
    for word in words:
        assert word in verdict.cause, verdict.cause


def test_an_untouched_log_is_verified(log: Database, kept: list[Note]) -> None:
    """Both directions, all checkpoints and those that were kept; what is not sealed yet is counted."""
    verdict = verify(log, *kept)
    assert verdict.words() == {"verdict": "verified", "position": None, "cause": None, "checkpoint_size": SEALED}
    assert (verdict.events, verdict.unsealed) == (EVENTS, EVENTS - SEALED)


CHANGES = {
    "format": "format = 2",
    "stream": "stream = stream || 'x'",
    "version": "version = 9",
    "event_id": "event_id = gen_random_uuid()",
    "type": "type = 'ClientProfileUpdatec'",
    "schema_version": "schema_version = 2",
    "data": "data = replace(data::text, ':', ': ')::json",
    "subjects": "subjects = ARRAY['c10']",
    "actor": "actor = 'user:anm'",
    "on_behalf_of": "on_behalf_of = NULL",
    "command_id": "command_id = gen_random_uuid()",
    "correlation_id": "correlation_id = 'order \"51\" '",
    "causation_id": "causation_id = NULL",
    "idempotency_key": "idempotency_key = set_byte(idempotency_key, 0, 1)",
    "request_hash": "request_hash = NULL",
    "effective_at": "effective_at = effective_at + interval '1 microsecond'",
    "recorded_at": "recorded_at = recorded_at - interval '1 microsecond'",
    "effective_at, an era": "effective_at = '2026-01-02 03:04:05.678901+00 BC'",
    "effective_at, infinity": "effective_at = 'infinity'",
    "recorded_at, infinity": "recorded_at = 'infinity'",
    "subjects, bounds": "subjects = ('[0:0]={' || subjects[1] || '}')::text[]",
    "subjects, dimensions": "subjects = ARRAY[subjects]",
    "subjects, a null": "subjects = ARRAY[NULL::text]",
}


@pytest.mark.parametrize("column", CHANGES)
def test_one_changed_byte_in_any_column_is_found(log: Database, column: str) -> None:
    """Among the last events, of which only the root of a checkpoint speaks, and below a full tile, which has each hash."""
    change = "UPDATE fidelog.events SET {} WHERE position = {}"
    attack(log, "ALTER TABLE fidelog.events DROP CONSTRAINT events_format_check", change.format(CHANGES[column], 270))
    tampered(verify(log), 270, "event")
    attack(log, change.format(CHANGES[column].replace("c10", "c11"), 51))
    tampered(verify(log), 51, "event 51 was")


REMOVED = "DELETE FROM fidelog.events WHERE position = {}"
SWAPPED = (
    "UPDATE fidelog.events SET position = -1 WHERE position = {0}",
    "UPDATE fidelog.events SET position = {0} WHERE position = {1}",
    "UPDATE fidelog.events SET position = {1} WHERE position = -1",
)
UNBOUND = (
    "ALTER TABLE fidelog.events DROP CONSTRAINT events_position_check",
    "ALTER TABLE fidelog.events DROP CONSTRAINT events_stream_version",
    "ALTER TABLE fidelog.events DROP CONSTRAINT events_pkey",
    "DROP INDEX fidelog.events_idempotency_key",
)
MOVED_UP = "UPDATE fidelog.events SET position = position + 1 WHERE position >= {}"
MOVED_DOWN = "UPDATE fidelog.events SET position = position - 1 WHERE position > {}"
COPIED = (
    "INSERT INTO fidelog.events SELECT tenant_id, {1}, format, stream, version, event_id, type, schema_version, data,"
    " subjects, actor, on_behalf_of, command_id, correlation_id, causation_id, idempotency_key, request_hash, effective_at,"
    " recorded_at FROM fidelog.events WHERE position = {0}"
)
FORGED = COPIED.replace("actor,", "'user:forged',")


def test_events_removed(log: Database) -> None:
    """A missing number is evidence; so is one that was closed up."""
    attack(log, REMOVED.format(280))
    tampered(verify(log), 280, "event 280 is missing")
    attack(log, "DELETE FROM fidelog.events WHERE position BETWEEN 60 AND 69")
    tampered(verify(log), 60, "events 60 to 69 are missing")


def test_an_event_removed_and_the_gap_closed(log: Database) -> None:
    """All that follow have other leaves; the tile says which one was taken."""
    attack(log, *UNBOUND, REMOVED.format(60), MOVED_DOWN.format(60))
    tampered(verify(log), 60, "event 60 was removed")


def test_events_swapped(log: Database) -> None:
    """Within a tile it is said with which; across its end, where it begins."""
    attack(log, *UNBOUND, *(one.format(270, 280) for one in SWAPPED))
    tampered(verify(log), 270, "events 257 to 290")
    attack(log, *(one.format(60, 90) for one in SWAPPED))
    tampered(verify(log), 60, "events 60 and 90 were swapped")


def test_an_event_duplicated(log: Database) -> None:
    """Under its own number, and under the next, with all that follow moved up."""
    attack(log, *UNBOUND, COPIED.format(60, 60))
    tampered(verify(log), 60, "twice")
    attack(log, "DELETE FROM fidelog.events WHERE ctid = (SELECT max(ctid) FROM fidelog.events WHERE position = 60)")
    attack(log, MOVED_UP.format(61), COPIED.format(60, 61))
    tampered(verify(log), 61, "is a duplicate of event 60")


def test_an_event_inserted(log: Database) -> None:
    """Somewhere in the middle, and before the first."""
    attack(log, *UNBOUND, FORGED.format(200, 0))
    tampered(verify(log), 0, "before the first event")
    attack(log, REMOVED.format(0), MOVED_UP.format(61), FORGED.format(60, 61))
    tampered(verify(log), 61, "was inserted")


def test_a_cut_tail(log: Database, kept: list[Note]) -> None:
    """Cut below the newest checkpoint, and, with its checkpoints and tiles gone too, below one that somebody kept."""
    attack(log, "DELETE FROM fidelog.events WHERE position > 280")
    tampered(verify(log), 281, "the tail was cut", "281 to 290")
    attack(log, "DELETE FROM fidelog.checkpoints WHERE size > 100")
    assert verify(log).outcome is Outcome.VERIFIED, "nothing in the database tells any more"
    tampered(verify(log, *kept), 281, "281 to 290 are missing", "that was kept")


def test_all_events_gone(log: Database, kept: list[Note]) -> None:
    """Nothing is left, checkpoints neither."""
    attack(log, "DELETE FROM fidelog.events")
    tampered(verify(log), 1, "1 to 290 are missing")
    attack(log, "DELETE FROM fidelog.checkpoints", "DELETE FROM fidelog.tiles")
    tampered(verify(log, kept[0]), 1, "1 to 100 are missing")


def test_events_after_the_last_checkpoint(log: Database) -> None:
    """Nothing proves them yet, so only what shows in the rows themselves is found: a gap in positions or versions."""
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 292")
    verdict = verify(log)
    assert (verdict.outcome, verdict.unsealed) == (Outcome.VERIFIED, 2)
    attack(log, "UPDATE fidelog.events SET version = 7 WHERE position = 292")
    tampered(verify(log), None, "stream client-c72", "versions from 1 to 7")
    attack(log, REMOVED.format(291))
    tampered(verify(log), 291, "event 291 is missing")


def test_tiles_without_rows_and_rows_without_tiles(log: Database) -> None:
    """Each stored tile is that of rows, and each that was sealed is there."""
    attack(log, "UPDATE fidelog.tiles SET hashes = set_byte(hashes, 32 * 50, get_byte(hashes, 32 * 50) # 1)")
    tampered(verify(log), 51, "tile 0 of level 0 was changed")
    attack(log, "DELETE FROM fidelog.tiles")
    tampered(verify(log), 1, "tile 0 of level 0 is missing")
    attack(log, "INSERT INTO fidelog.tiles SELECT 'default', 3, 7, decode(repeat('00', 8192), 'hex')")
    attack(log, "INSERT INTO fidelog.tiles SELECT 'default', 0, 1, decode(repeat('00', 8192), 'hex')")
    tampered(verify(log), 1, "is missing")


def test_tiles_of_rows_that_are_not_there(log: Database) -> None:
    """On each level."""
    attack(log, "INSERT INTO fidelog.tiles SELECT 'default', 0, 1, decode(repeat('00', 8192), 'hex')")
    tampered(verify(log), 257, "tile 1 of level 0 has no rows")
    attack(log, "UPDATE fidelog.tiles SET level = 1 WHERE index = 1")
    tampered(verify(log), 65537, "tile 1 of level 1 has no rows")
    attack(log, "UPDATE fidelog.tiles SET level = 3 WHERE index = 1")
    tampered(verify(log), (1 << 32) + 1, "tile 1 of level 3 has no rows")


def test_rows_and_their_tile_changed_together(log: Database) -> None:
    """The root that was signed is not that of the tile."""
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 51", "DELETE FROM fidelog.tiles")
    seal_tiles(log)
    tampered(verify(log), 51, "one of the events 1 to 100", "event 51 was written after")
