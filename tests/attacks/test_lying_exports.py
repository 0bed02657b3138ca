"""An exporter who leaves rows out is contradicted by the log: a full verification counts every export again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import psycopg
import pytest

from eventstore.database import Database
from eventstore.proof.export.rows import Row
from eventstore.proof.export.selection import Selection
from eventstore.verifying.resuming import Reached
from eventstore.verifying.verdicts import Outcome
from tests.attacks.sealed import EVENTS, leaves, seal, verified, verify
from tests.attacks.test_rows_changed import tampered

CLIENT = "c5"
HELD = range(21, 25)
"""The positions of its events."""

TELL = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects,
        actor, command_id, correlation_id, recorded_at)
    VALUES ('default', %s, 1, 'log-exports', %s, gen_random_uuid(), 'ExportMade', 1, %s, '{c5}', 'user:ann',
        gen_random_uuid(), 'case 7', clock_timestamp())
"""


def made(database: Database, left_out: int | None = None) -> dict[str, Any]:
    """What ExportMade says of the client's events, one of them left out."""
    with psycopg.connect(database.url("superuser")) as connection:
        hashes = leaves(connection)
    held = [position for position in HELD if position != left_out]
    digest = hashlib.sha256(b"".join(Row(position, hashes[position - 1]).line for position in held))
    return {
        "query": Selection(subject=CLIENT).members, "tree_size": EVENTS, "count": len(held), "rows": digest.hexdigest(),
        "streams": [["client-c5", held[-1] - 20]], "manifest": "0" * 64, "purpose": None, "key_id": None,
    }  # fmt: skip


def tell(database: Database, data: dict[str, Any], number: int = 1) -> None:
    """Record the export, and seal it: nothing of the log itself is wrong."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        connection.execute(TELL, (EVENTS + number, number, json.dumps(data, separators=(",", ":"), sort_keys=True)))
    seal(database, (EVENTS + number,))


def test_an_honest_export_is_verified(log: Database) -> None:
    """Count, rows and heads are those of the log; a second export of the same too."""
    tell(log, made(log))
    tell(log, made(log), 2)
    assert verify(log).outcome is Outcome.VERIFIED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"left_out": 22}, "counted 3 events, and the log has 4"),
        ({"count": 3}, "counted 3 events, and the log has 4"),
        ({"rows": "f" * 64}, "was of other events than the log has"),
        ({"streams": [["client-c5", 3]]}, "ended stream client-c5 at version 3, and the log has it up to 4"),
        ({"query": 7}, "does not say what it holds"),
    ],
)
def test_an_export_that_is_not_what_it_says_is_found(log: Database, change: dict[str, Any], words: str) -> None:
    """By the full verification, at the position of the event that says so; what was verified before stays verified."""
    honest = verified(log).reached
    left_out = change.get("left_out")
    tell(log, made(log, left_out) if left_out else {**made(log), **change})
    tampered(verify(log), EVENTS + 1, words)
    assert isinstance(honest, Reached)
    assert verify(log, since=honest).outcome is Outcome.VERIFIED, "an incremental one counts no exports"
