"""Logs for the sealer: rows made in bulk, state folders, and what was published, read back and made anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
from psycopg import RawCursor

from eventstore.database import Database
from eventstore.proof.checkpoint import signed_checkpoint
from eventstore.proof.leaf import leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, root_of
from eventstore.proof.note import Note
from eventstore.proof.tiles import hashes_of, tiles_of
from eventstore.sealing.incarnations import Incarnation, Incarnations, keys_in_files
from eventstore.sealing.sealer import Sealer
from eventstore.sealing.starting import take_up
from eventstore.sealing.store import LEAF_ROWS, SealStore, connect
from tests.eventstore.writer.harness import TENANT, rows

FILL = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,
        subjects, actor, on_behalf_of, command_id, correlation_id, idempotency_key, effective_at, recorded_at)
    SELECT 'default', g, 1, '{mark}-' || g, 1, gen_random_uuid(), 'ClientOnboarded', 1, '{{"full_name":"sealed"}}',
        ARRAY['c' || g % 7], 'user:x', CASE WHEN g % 3 = 0 THEN 'user:y' END, gen_random_uuid(), 'x',
        decode(lpad(to_hex(g), 8, '0'), 'hex'), CASE WHEN g % 2 = 0 THEN timestamptz '2026-01-01 00:00:00Z' END,
        clock_timestamp()
    FROM generate_series({first}, {last}) AS g
"""


def fill(database: Database, first: int, last: int, mark: str = "client") -> None:
    """Events at positions `first` to `last`, some with values that others lack."""
    rows(database, FILL.format(first=first, last=last, mark=mark))


def first_log(folder: Path) -> Incarnation:
    """The tenant's log in a state folder."""
    return Incarnations(folder, "example.com/test").current(TENANT)


def sealer(log: Incarnation) -> Sealer:
    """A sealer of the tenant."""
    return Sealer(TENANT, lambda: log)


def seal_once(database: Database, log: Incarnation) -> None:
    """Take up the log and seal all there is, as a process does that starts. Raises what that raises."""

    async def run() -> None:
        async with await connect(database.url("sealer"), TENANT) as connection:
            store = SealStore(connection, TENANT)
            sealed = await take_up(store, log, keys_in_files)
            while await sealer(log).turn(store, log, sealed):
                pass

    asyncio.run(run())


def check(database: Database, log: Incarnation) -> int:
    """All that was published is one history of the rows there are: every checkpoint is signed and has the root of the
    first rows, the tiles are those of the newest, and the state folder has signed that one. Gives its size."""
    with psycopg.connect(database.url("auditor"), cursor_factory=RawCursor, autocommit=True) as auditor:
        leaves = [leaf_hash(leaf_of(*row)) for row in auditor.execute(LEAF_ROWS.sql.encode(), (TENANT, 0, 10**9))]
    tree = MemoryTree(leaves)
    found = rows(
        database, f"SELECT size, root, note FROM fidelog.checkpoints WHERE origin = '{log.origin}' ORDER BY size"
    )
    keys = log.keyring().verifiers
    for size, root, note in found:
        said = signed_checkpoint(Note.parse(note.encode()), log.origin, keys)
        assert (said.size, said.root) == (size, root) == (size, root_of(size, tree.node))
    newest = found[-1][0]
    last = log.state.latest()
    assert last is not None
    assert last.data.decode() == found[-1][2], "what was signed last is published"
    tiles: dict[Any, bytes] = {
        (level, index): hashes
        for level, index, hashes in rows(database, "SELECT level, index, hashes FROM fidelog.tiles")
    }
    full = [tile for tile in tiles_of(newest) if tile.full]
    assert set(tiles) == {(tile.level, tile.index) for tile in full}
    for tile in full:
        nodes = [tree.node(8 * (tile.level or 0), tile.index * 256 + n) for n in range(256)]
        assert hashes_of(tiles[tile.level, tile.index], 256) == nodes
    return int(newest)
