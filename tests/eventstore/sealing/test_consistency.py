"""Consistency proofs from what the sealer stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg import RawCursor

from eventstore.database import Database
from eventstore.proof.errors import ProofError
from eventstore.proof.leaf import leaf_of
from eventstore.proof.merkle import leaf_hash, verify_consistency
from eventstore.proof.merkle_paths import MemoryTree
from eventstore.sealing import consistency
from eventstore.sealing.consistency import ConsistencyProofs
from eventstore.sealing.store import LEAF_ROWS, connect
from tests.eventstore.sealing.rows import fill, first_log, seal_once
from tests.eventstore.writer.harness import TENANT, rows


def tree_of(database: Database) -> MemoryTree:
    """The tree of all rows there are."""
    with psycopg.connect(database.url("auditor"), cursor_factory=RawCursor, autocommit=True) as auditor:
        found = auditor.execute(LEAF_ROWS.sql.encode(), (TENANT, 0, 10**9)).fetchall()
    return MemoryTree(leaf_hash(leaf_of(*row)) for row in found)


@pytest.mark.parametrize("remembered", [0, 3, 2_048])
def test_proofs_from_tiles_and_rows_verify(
    database: Database, tmp_path: Path, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between sizes at, before and behind the edges of tiles, proofs made from stored tiles, from rows after them and from what
    is remembered verify, whatever was asked before; where a tile or a row is missing there is none."""
    monkeypatch.setattr(consistency, "MOST_ROOTS", remembered)
    fill(database, 1, 1_300)
    seal_once(database, first_log(tmp_path))
    tree, sizes = tree_of(database), (1, 7, 255, 256, 257, 511, 512, 1_024, 1_025, 1_300)
    prove = ConsistencyProofs(TENANT)

    async def main() -> None:
        async with await connect(database.url("sealer"), TENANT) as connection:
            for new in sizes:
                for old in sizes:
                    if old <= new:
                        proof = await prove(connection, old, new)
                        verify_consistency(old, new, tree.root(old), tree.root(new), proof)
            rows(database, "ALTER TABLE fidelog.tiles DISABLE TRIGGER USER; DELETE FROM fidelog.tiles WHERE index = 4")
            with pytest.raises(ProofError):
                await ConsistencyProofs(TENANT)(connection, 1_200, 1_300)
            with pytest.raises(ProofError):
                await prove(connection, 1_300, 1_301)

    asyncio.run(main())
