"""Replay's statements, under the keeper's own settings: they cost what their range holds, not what the tenant holds.

The measure is buffers touched, on a grown table that was never analysed, and after ANALYZE.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from eventstore.database import Database
from eventstore.statements import statement
from projections.replay.sessions import Session
from tests.clusters import Cluster
from tests.eventstore.test_plans import GROW
from tests.eventstore.writer.harness import rows

TASK = "00000000-0000-0000-0000-0000000000{:02x}"
PLANNED = {
    "replay_events": ("'default', 'client-c100', 'client-c101'", 100),
    "replay_events_since": ("'default', 29990, '{client-c7,client-c29999}'", 40),
    "replay_unmoved": ("'default', 30000, '{client-c7,client-c29999}'", 40),
    "replay_boundary": ("'default', 'client-c1', 'client.', 50", 120),
    "replay_next_stream": ("'default', 'client-c1', 'client.'", 20),
    "replay_count": ("'default', 100, 200", 150),
    "range_client_profiles": ("'default', 'c100', 'c101'", 150),
    "range_agent_tasks": (f"'default', '{TASK.format(1)}', '{TASK.format(60)}'", 150),
    "delete_client_profiles": ("'default', '{c7,c8}', 1", 60),
    "delete_agent_tasks": (f"'default', '{{{TASK.format(7)},{TASK.format(8)}}}', 1", 60),
}
"""Arguments, and how many buffers the rows they ask for may cost: about one a row, and the way down the indexes."""


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
def session(pg: Cluster, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A keeper's session with replay's settings, in a database that grew to 30,000 streams."""
    with pg.copy() as name:
        database: Database = pg.database(name)
        for table in ("events", "client_profiles", "client_keys", "agent_tasks"):
            rows(database, f"ALTER TABLE fidelog.{table} SET (autovacuum_enabled = false)")
        rows(database, GROW.format(first=1, last=30_000))
        if request.param == "analysed":
            rows(database, "ANALYZE")
        opened = Session(database.url("keeper"))
        yield opened._connection
        opened.close()


@pytest.mark.parametrize("wanted", PLANNED)
def test_a_statement_touches_what_it_asks_for(session: psycopg.Connection[Any], wanted: str) -> None:
    """Also with the plan that is kept for all parameters."""
    arguments, buffers = PLANNED[wanted]
    text = statement("projections", wanted).sql
    text = text[text.index("SELECT") if "DECLARE" in text else 0 :]
    with session.transaction(force_rollback=True):
        session.execute("SELECT set_config('fidelog.tenant_id', 'default', true)")
        if "DECLARE" not in statement("projections", wanted).sql:  # a cursor is planned for its parameters each time
            session.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        session.execute(f"PREPARE {wanted} AS {text}".encode())
        found = session.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {wanted} ({arguments})".encode())
        row = found.fetchone()
        session.execute(f"DEALLOCATE {wanted}".encode())
    assert row is not None
    plan = (json.loads(row[0]) if isinstance(row[0], (str, bytes)) else row[0])[0]["Plan"]
    touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert touched <= buffers, f"{wanted} touched {touched} buffers"
    assert "Sort" not in json.dumps(plan), "an order that no index gives would be sorted in memory or on disk"
