"""The schema is attested: what the log's promises rest on is as the migrations made it, or the service does not start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from api.database import check_shape, shape_differences
from eventstore import shape as shapes
from eventstore.database import Database
from eventstore.migrations import MigrationError
from tests.clusters import Cluster, cluster

SHAPE = Path(__file__).resolve().parents[2] / "api" / "shape.ndjson"


def made_shape(database: Database) -> str:
    """The list of a database's schema."""
    with psycopg.connect(database.url("superuser"), autocommit=True) as connection:
        return shapes.write(shapes.shape(connection))


def test_the_list_is_what_the_migrations_make(database: Database) -> None:
    """api/shape.ndjson equals the schema of a freshly migrated database (regenerate it with `make schema`)."""
    assert made_shape(database) == SHAPE.read_text(encoding="utf-8")


CHANGES = {
    "ALTER TABLE fidelog.events ENABLE TRIGGER events_never_change": "trigger events_never_change of fidelog.events was changed",
    "ALTER TABLE fidelog.events DISABLE TRIGGER events_follow": "trigger events_follow of fidelog.events was changed",
    "DROP TRIGGER tiles_never_change ON fidelog.tiles": "trigger tiles_never_change of fidelog.tiles is missing",
    "CREATE OR REPLACE FUNCTION fidelog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'":
        "function fidelog.refuse_change() of fidelog was changed",
    "CREATE RULE lost AS ON INSERT TO fidelog.events DO INSTEAD NOTHING": "rule lost of fidelog.events was added",
    "CREATE POLICY hidden ON fidelog.events AS RESTRICTIVE FOR SELECT TO fidelog_auditor USING (position <> 7)":
        "policy hidden of fidelog.events was added",
    "ALTER POLICY all_tenants ON fidelog.events USING (position <> 7)": "policy all_tenants of fidelog.events was changed",
    "ALTER TABLE fidelog.checkpoints DISABLE ROW LEVEL SECURITY": "row security fidelog.checkpoints was changed",
    "ALTER TABLE fidelog.events DROP CONSTRAINT events_stream_version":
        "constraint events_stream_version of fidelog.events is missing",
    "DROP INDEX fidelog.events_idempotency_key": "index fidelog.events_idempotency_key of fidelog.events is missing",
}  # fmt: skip

IRREPARABLE = {
    "ALTER TABLE fidelog.events ALTER COLUMN data TYPE jsonb USING data::jsonb": "column data of fidelog.events was changed",
    "ALTER TABLE fidelog.events DROP COLUMN effective_at; ALTER TABLE fidelog.events ADD effective_at timestamptz":
        "column effective_at of fidelog.events was changed",
    "CREATE TABLE fidelog.more () INHERITS (fidelog.events)": "inheritance fidelog.events of fidelog.more of fidelog.events",
    "ALTER TABLE fidelog.events RENAME TO events_kept; CREATE VIEW fidelog.events AS SELECT * FROM fidelog.events_kept":
        "table fidelog.events was changed",
}  # fmt: skip


@pytest.mark.parametrize("change", [*CHANGES, *IRREPARABLE])
def test_a_changed_schema_is_named_and_keeps_the_service_from_starting(
    pg: Cluster, database_name: str, change: str
) -> None:
    """Each kind of guard: said in words, with the command that restores guards; and the statements restore them."""
    pg.execute(change, database_name)
    database = pg.database(database_name)
    with pytest.raises(MigrationError, match="fidelog migrate --repair-guards"):
        asyncio.run(check_shape(database))
    different = shape_differences(database)
    assert (CHANGES | IRREPARABLE)[change] in shapes.told(different, 100)
    if change in CHANGES:
        for statement in shapes.repairs(different):
            pg.execute(statement, database_name)
        assert shape_differences(database) == []


NEUTRAL = (
    "CREATE INDEX more ON fidelog.agent_tasks (agent_name)",
    "ALTER TABLE fidelog.client_profiles ADD COLUMN segment text",
    "VACUUM FULL fidelog.events",
    "REINDEX TABLE fidelog.events",
    "CLUSTER fidelog.events USING events_pkey",
    "ANALYZE",
)


def test_what_keeps_house_raises_no_alarm(pg: Cluster, database_name: str) -> None:
    """An index or a column added to a read model, and everything that only moves rows."""
    for statement in NEUTRAL:
        pg.execute(statement, database_name)
    assert shape_differences(pg.database(database_name)) == []


def test_an_older_server_says_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The list is normalised: PostgreSQL 16 and 18 make the same of the migrations."""
    import tempfile

    from api.database import migrate

    with tempfile.TemporaryDirectory(prefix="fdl-") as folder, cluster(Path(folder), major=16) as older:
        older.create("shape")
        asyncio.run(migrate(older.database("shape"), older.settings("shape"), older.url("shape")))
        assert made_shape(older.database("shape")) == SHAPE.read_text(encoding="utf-8")
