"""Migrations: forward only, frozen by hash, under a lock; docs/schema.sql is what they make."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from api.database import known_migrations, migrate
from eventstore import provision
from eventstore.migrations import Migration, MigrationError, state
from tests.clusters import Cluster

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schema.sql"

FROZEN = {
    "eventstore/0001_log.sql": "9d48d98e98954f7e5cc3478c3dbd057785e7bb166736f8b9e456699258e5ec50",
    "projections/0001_read_models.sql": "f4517f94fbb8cc185bad34112fa3c7a8b5e557a08382992f55ba75ae41e5f13d",
    "eventstore/0002_reading_back.sql": "db2ac88e0cc268b20c22bbe02ac2d914117efa8470d37071399072a1f11cde4a",
    "projections/0002_tasks_and_replay.sql": "31cbaf1629df5ee8fee9a32e4d03e0b05c5da88b3ed446a267518097e44aeeba",
    "projections/0003_audit_index.sql": "47fe1314c1cacf11b44fbdb76d8e20459e741d7ea00d161d8b00148d791bf518",
    "projections/0004_audit_index_covers.sql": "a99774c009301ee5aa3f41137c116d950d53b7fe0f5f401d3aa313a216eda0f9",
    "projections/0005_administration.sql": "47dea780aaad0dc006adabb351dd898394a43090ac72dd86b92a646e2d9d5cf9",
    "eventstore/0003_proof.sql": "a4422b05cbaf1e95960741e9dbe5a264d1b604999327a666d1e0e8ebbb1067ed",
    "eventstore/0004_checkpoints_by_time.sql": "bf25ed46b4c4c6e9ff841cd0b544e75e89119619299e6cdf4d80213607e4583d",
    "eventstore/0005_erasure.sql": "cec45c62d2ec357ec0ce1c3c1cc89a1ed1ec5b08752ba9badcf2583a9acf06c3",
    "projections/0006_client_standing.sql": "cddc5adab78ea6a54a5cbbfa972cfe6c5a64ae6d128f25257a3c19baabc97f7c",
}
"""A migration that was released is never edited: what it made stands in databases. Change the schema in a new one."""


@pytest.fixture
def empty(pg: Cluster) -> Iterator[str]:
    """An empty database."""
    name = "fidelog_empty"
    pg.drop(name)
    pg.create(name)
    yield name
    pg.drop(name)


def dump(pg: Cluster, name: str) -> str:
    """The database's schema as pg_dump writes it, without its comments and session settings."""
    assert pg.server is not None
    program = pg.server.bin_dir / "pg_dump"
    url = pg.url(name)
    text = subprocess.run(
        [program, "--schema-only", "--schema=fidelog", url], capture_output=True, text=True, check=True
    )
    kept = [
        line
        for line in text.stdout.split("\n")
        if not line.startswith(("--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"))
    ]
    return "\n".join(line for line, before in zip(kept, ["", *kept], strict=False) if line or before).strip() + "\n"


def test_released_migrations_are_frozen() -> None:
    """By hash."""
    found = {m.name: hashlib.sha256(m.sql.encode()).hexdigest() for m in known_migrations()}
    assert found == FROZEN


def test_the_checked_in_schema_is_what_the_migrations_make(pg: Cluster, empty: str) -> None:
    """docs/schema.sql equals migrating from empty (regenerate it with `make schema`)."""
    if pg.server is None:
        pytest.skip("compared on the embedded server only: pg_dump's text differs between versions")
    asyncio.run(migrate(pg.database(empty), pg.settings(empty), pg.url(empty)))
    assert dump(pg, empty) == SCHEMA.read_text(encoding="utf-8")


def test_migrating_again_and_at_the_same_time_applies_nothing_twice(pg: Cluster, empty: str) -> None:
    """Under a lock: several processes start at once on an empty database."""

    async def check() -> list[list[str]]:
        database, settings, url = pg.database(empty), pg.settings(empty), pg.url(empty)
        first = await asyncio.gather(*(migrate(database, settings, url) for _ in range(4)))
        return [*first, await migrate(database, settings, url)]

    applied = asyncio.run(check())
    assert sorted(map(len, applied)) == [0, 0, 0, 0, len(known_migrations())]


def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(pg: Cluster, empty: str) -> None:
    """One transaction each."""
    broken = [
        *known_migrations(),
        Migration("projections/9999_broken.sql", "CREATE TABLE fidelog.half (a int); SELECT 1/0"),
    ]

    async def check() -> None:
        await provision.prepare(pg.url(empty))
        with pytest.raises(psycopg.errors.DivisionByZero):
            await provision.migrate_database(pg.database(empty), broken)
        async with await psycopg.AsyncConnection.connect(
            pg.database(empty).url("owner"), autocommit=True
        ) as connection:
            found = await state(connection, broken)
            assert found.pending == ("projections/9999_broken.sql",)
            cursor = await connection.execute("SELECT to_regclass('fidelog.half')")
            assert await cursor.fetchone() == (None,)

    asyncio.run(check())


def test_a_database_of_another_version_is_refused(pg: Cluster, database_name: str) -> None:
    """A migration this code does not know, or another text of one it does."""

    async def check() -> None:
        async with await psycopg.AsyncConnection.connect(pg.url(database_name), autocommit=True) as connection:
            known = known_migrations()
            with pytest.raises(MigrationError, match="does not know"):
                await state(connection, known[:1])
            with pytest.raises(MigrationError, match="another text"):
                await state(connection, [replace(known[0], sql="SELECT 1"), *known[1:]])

    asyncio.run(check())
