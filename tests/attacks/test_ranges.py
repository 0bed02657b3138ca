"""A log of more than one range, verified by two processes."""

from __future__ import annotations

import psycopg

from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.growth import GrowingTree
from eventstore.verifying.ranges import LEAVES
from eventstore.verifying.rows import batches, hashed
from eventstore.verifying.verdicts import Outcome
from tests.attacks.sealed import ORIGIN, TENANT, Watching, attack, fill, publish, verified, verify
from tests.attacks.test_rows_changed import tampered

SIZES = (LEAVES - 6, LEAVES, LEAVES + 300)


def seal_all(database: Database, sizes: tuple[int, ...] = SIZES) -> None:
    """Tiles and checkpoints, with the verifier's own leaves: their truth is not what this file is about."""
    with psycopg.connect(database.url("superuser")) as connection:
        hashes = [one.hash or b"" for rows in batches(connection, TENANT, 0, SIZES[-1]) for one in hashed(rows)]
        tree = GrowingTree()
        for size in sizes:
            for full in tree.extend(hashes[tree.size : size]):
                values = (TENANT, full.tile.level, full.tile.index, full.hashes)
                connection.execute("INSERT INTO fidelog.tiles VALUES (%s, %s, %s, %s)", values)
            publish(connection, Checkpoint(ORIGIN, size, tree.root))


def test_two_ranges_by_two_processes(database: Database) -> None:
    """Each checkpoint's root goes across ranges; a finding of a later range does not hide one of an earlier; a second level
    of tiles is compared, and tells where when the first was changed with the rows; going on reads the last range alone."""
    fill(database, SIZES[-1])
    seal_all(database)
    whole = verified(database, number=2)
    assert (whole.verdict.outcome, whole.verdict.events) == (Outcome.VERIFIED, SIZES[-1])
    assert whole.reached is not None
    assert len(whole.reached.roots) == 1
    again = verify(database, number=2, since=whole.reached)
    assert (again.outcome, again.events) == (Outcome.VERIFIED, 300)

    attack(database, f"UPDATE fidelog.events SET actor = 'user:eve' WHERE position = {LEAVES + 290}")
    tampered(verify(database), LEAVES + 290, f"events {LEAVES + 1} to {LEAVES + 300}", "was written after")
    tampered(verify(database, since=whole.reached), LEAVES + 290, "was written after")
    change = "UPDATE fidelog.tiles SET hashes = set_byte(hashes, 32 * 7, get_byte(hashes, 32 * 7) # 1) WHERE level = 1"
    attack(database, change)
    tampered(verify(database, number=2), 7 * 256 + 1, "tile 0 of level 1 was changed")
    attack(database, change, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 40000")
    tampered(verify(database, number=2), 40000, "event 40000 was changed")
    attack(database, "DELETE FROM fidelog.tiles WHERE level = 0", "DELETE FROM fidelog.checkpoints WHERE size > 65530")
    with psycopg.connect(database.url("superuser")) as connection:
        hashes = [one.hash or b"" for rows in batches(connection, TENANT, 0, LEAVES) for one in hashed(rows)]
        for full in GrowingTree().extend(hashes):
            if full.tile.level == 0:
                values = (TENANT, full.tile.level, full.tile.index, full.hashes)
                connection.execute("INSERT INTO fidelog.tiles VALUES (%s, %s, %s, %s)", values)
    tampered(verify(database, number=2), 40000, "one of the events 39937 to 40192", "event 40000 was written after")
    attack(database, "DELETE FROM fidelog.tiles WHERE level = 1")
    tampered(verify(database), None if LEAVES > 65536 else 40000, "one of the events 1 to 65530")


def test_how_far_it_is_told(log: Database) -> None:
    """An observer hears how many events there are, and of each range when it is done."""
    from eventstore.verifying.whole import verify_tenant
    from eventstore.verifying.workers import workers
    from tests.attacks.sealed import EVENTS, KNOWN

    watching, url = Watching(), log.url("auditor")
    with workers(2, url, lambda: None) as run:
        verify_tenant(url, TENANT, KNOWN, run, watching)
    assert (watching.expected, watching.steps) == (EVENTS, [EVENTS])
