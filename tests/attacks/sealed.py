"""A small log that is sealed as the specification says, by code that shares nothing with the verifier but the tree."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import GrowingTree
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import Note, sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.verifying.known import Earlier, Known
from eventstore.verifying.verdicts import Verdict
from eventstore.verifying.whole import Verified, verify_tenant
from eventstore.verifying.workers import workers

TENANT = "default"
ORIGIN = "audit.bank.example/default"
SIZES = (100, 256, 290)
"""Of the checkpoints; SEALED events are sealed, two follow."""
SEALED, EVENTS = 290, 292

_SPEC = Path(__file__).resolve().parents[2] / "docs" / "spec" / "leaf.py"
_leaf: Callable[[dict[str, Any]], bytes] = runpy.run_path(str(_SPEC))["leaf"]

KEY = SigningKey(ORIGIN, Kind.LOG, bytes(31) + b"\x01")
NEW_KEY = SigningKey(ORIGIN, Kind.LOG, bytes(31) + b"\x02")
KNOWN = Known({ORIGIN: [KEY.verifier, NEW_KEY.verifier]})

# In the second of each two tiles a text has quotation marks, which need an escape.
FILL = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data, subjects,
        actor, on_behalf_of, command_id, correlation_id, causation_id, idempotency_key, request_hash, effective_at, recorded_at)
    SELECT 'default', g, 1, 'client-c' || (g - 1) / 4, (g - 1) % 4 + 1, gen_random_uuid(), 'ClientProfileUpdated', 1,
        ('{{"client_id":"c' || (g - 1) / 4 || '","full_name":"sealed ' || g || '"}}')::json, ARRAY['c' || (g - 1) / 4], 'user:ann',
        'user:bob', gen_random_uuid(), CASE WHEN g % 512 > 256 THEN 'order "' || g || '"' ELSE 'order ' || g END, gen_random_uuid(),
        decode(lpad(to_hex(g), 32, '0'), 'hex'), decode(lpad(to_hex(g + 7), 32, '0'), 'hex'),
        '2026-01-02T03:04:05.678901Z', clock_timestamp()
    FROM generate_series({first}, {last}) AS g
"""


def fill(database: Database, last: int, first: int = 1) -> None:
    """Append events, the guards on."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        connection.execute(FILL.format(first=first, last=last).encode())


def leaves(connection: psycopg.Connection[Any]) -> list[bytes]:
    """The hashes of all leaves, after docs/spec/leaf.py."""
    columns = (
        "tenant_id, position, format, stream, version, event_id::text, type, schema_version, data::text, subjects, actor,"
        " on_behalf_of, command_id::text, correlation_id, causation_id::text, idempotency_key::text, request_hash::text,"
        " effective_at::text, recorded_at::text"
    )
    cursor = connection.cursor(row_factory=dict_row)
    cursor.execute(f"SELECT {columns} FROM fidelog.events WHERE tenant_id = 'default' ORDER BY position".encode())
    return [leaf_hash(_leaf(row)) for row in cursor]


def seal(database: Database, sizes: Sequence[int] = SIZES, key: SigningKey = KEY) -> list[Note]:
    """Insert the tiles and signed checkpoints of these sizes; gives the checkpoints."""
    notes = []
    with psycopg.connect(database.url("superuser")) as connection:
        hashes, tree = leaves(connection), GrowingTree()
        for size in sizes:
            for full in tree.extend(hashes[tree.size : size]):
                connection.execute(
                    "INSERT INTO fidelog.tiles VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (TENANT, full.tile.level, full.tile.index, full.hashes),
                )
            notes.append(publish(connection, Checkpoint(ORIGIN, size, tree.root), key))
    return notes


def seal_tiles(database: Database) -> None:
    """Insert the tiles that are not there, as whoever changed the rows would."""
    with psycopg.connect(database.url("superuser")) as connection:
        for full in GrowingTree().extend(leaves(connection)):
            connection.execute(
                "INSERT INTO fidelog.tiles VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (TENANT, full.tile.level, full.tile.index, full.hashes),
            )


def publish(connection: psycopg.Connection[Any], checkpoint: Checkpoint, key: SigningKey = KEY) -> Note:
    """Sign a checkpoint and insert it."""
    note = sign(checkpoint.text, [key])
    connection.execute(
        "INSERT INTO fidelog.checkpoints VALUES (%s, %s, %s, %s, %s)",
        (TENANT, checkpoint.origin, checkpoint.size, checkpoint.root, note.data.decode()),
    )
    return note


@dataclass
class Watching:
    """An observer that remembers."""

    expected: int = 0
    steps: list[int] = field(default_factory=list)

    def expect(self, events: int) -> None:
        self.expected = events

    def read(self, events: int) -> None:
        self.steps.append(events)


def verify(database: Database, *notes: Note, known: Known = KNOWN, number: int = 1, **options: Any) -> Verdict:
    """The verdict on the log, also against checkpoints that somebody kept."""
    return verified(database, *notes, known=known, number=number, **options).verdict


def verified(database: Database, *notes: Note, known: Known = KNOWN, number: int = 1, **options: Any) -> Verified:
    """The same, with how far the log is verified."""
    earlier = tuple(Earlier(Checkpoint.parse(note.text), "the checkpoint that was kept") for note in notes)
    url = database.url("auditor")
    with workers(number, url, lambda: None) as run:
        return verify_tenant(url, TENANT, Known(known.keys, earlier), run, Watching(), **options)


def attack(database: Database, *statements: str) -> None:
    """Run statements as a superuser who took the guards of the log away, and put them back afterwards."""
    tables = ("events", "tiles", "checkpoints", "logs")
    with psycopg.connect(database.url("superuser")) as connection:
        for table in tables:
            connection.execute(f"ALTER TABLE fidelog.{table} DISABLE TRIGGER USER".encode())
        for statement in statements:
            cursor = connection.execute(statement.encode())
            assert cursor.rowcount != 0, f"nothing was done by {statement}"
        for table in tables:
            for (name,) in connection.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal",
                (f"fidelog.{table}",),
            ).fetchall():
                connection.execute(f"ALTER TABLE fidelog.{table} ENABLE ALWAYS TRIGGER {name}".encode())
