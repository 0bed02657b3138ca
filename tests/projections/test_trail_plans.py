"""Pages of the audit trail cost as much on a long log as on a short one, under the reader's own session settings, for
the tenant that grew and for a new one, whatever PostgreSQL knows of the tables: nothing, all, or how they once were.

The measure is buffers touched, not time. See tests/eventstore/test_plans.py for the other statements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import RawCursor, sql

from eventstore.database import Database
from eventstore.reading import MAX_POSITION
from projections.audit_index import INDEX_EVENTS
from projections.tail import LOOK, SESSION
from projections.trail import TIMES, VERSION_BOUNDS, Filters, Order, page_statement
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows

ROWS, EARLY = 40_000, 2_000
DECISION = "00000000-0000-4000-8000-000000000007"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PAGES: dict[str, Filters] = {
    "log": Filters(),
    "stream": Filters(stream="client-c7"),
    "client": Filters(client_id="c7"),
    "actor": Filters(actor="user:x"),
    "rare actor": Filters(actor="user:rare"),
    "type": Filters(types=("T1",)),
    "types": Filters(types=("T1", "T2", "Never")),
    "correlation": Filters(correlation_id="cor-7"),
    "decision": Filters(decision_id=DECISION),
}
LIMIT = 11
BUFFERS = 130
"""A page of 10: a descent of the index or three, and for each event one of the log's primary key and its row."""

NARROWED: dict[str, Filters] = {
    "client and actor": Filters(client_id="c7", actor="user:never"),
    "actor and type": Filters(actor="user:x", types=("Never",)),
    "stream and type": Filters(stream="client-c7", types=("Never",)),
    "correlation and client": Filters(correlation_id="cor-7", client_id="nobody"),
}
BOUND = 500
"""Candidates; each costs at most a row of the index's table."""

GROW = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,
        subjects, actor, command_id, correlation_id, recorded_at)
    SELECT 'default', g, 1, CASE WHEN g %% 50 = 7 THEN 'client-c7' WHEN g %% 5000 = 1 THEN 'decision-%(decision)s'
            ELSE 'task-' || g END, CASE WHEN g %% 50 = 7 THEN g / 50 + 1 WHEN g %% 5000 = 1 THEN g / 5000 + 1 ELSE 1 END,
        gen_random_uuid(), CASE WHEN g <= %(early)d THEN 'Early' ELSE 'T' || g %% 3 END, 1, '{}',
        ARRAY[CASE WHEN g <= %(early)d THEN 'early' ELSE 'c' || g %% 50 END],
        CASE WHEN g <= %(early)d THEN 'user:early' WHEN g %% 20000 = 1 THEN 'user:rare' ELSE 'user:x' END,
        gen_random_uuid(), 'cor-' || g %% 1000, timestamptz '2026-01-01' + g * interval '1 s'
    FROM generate_series(%(first)d, %(last)d) AS g;
"""

Session = psycopg.Connection[Any]
Grown = tuple[Session, Database]


@pytest.fixture(scope="module", params=["never", "when it was short", "now"])
def grown(pg: Cluster, request: pytest.FixtureRequest) -> Iterator[Grown]:
    """A reader's session that began on empty tables, which then grew, filled by the tail's own statement; the parameter
    says when they were analysed."""
    with pg.copy() as name:
        database = pg.database(name)
        for table in ("events", "audit_index"):
            rows(database, f"ALTER TABLE fidelog.{table} SET (autovacuum_enabled = false)")
        with psycopg.connect(database.url("reader"), autocommit=True, cursor_factory=RawCursor) as connection:
            connection.execute("SET plan_cache_mode = force_generic_plan")
            halving(connection, "default")
            kept(connection, LOOK.sql, ("default", "audit_index"), "default")
            grow(database, 1, EARLY)
            if request.param == "when it was short":
                rows(database, "ANALYZE")
            grow(database, EARLY + 1, ROWS)
            if request.param == "now":
                rows(database, "ANALYZE")
            yield connection, database


def grow(database: Database, first: int, last: int) -> None:
    """Append events, and index them as the keeper does."""
    rows(database, GROW % {"decision": DECISION, "first": first, "last": last, "early": EARLY})
    with psycopg.connect(database.url("keeper"), autocommit=True, cursor_factory=RawCursor) as connection:
        connection.execute(SESSION.sql.encode(), ("default",))
        after = first - 1
        while after < last:
            found = connection.execute(INDEX_EVENTS.sql.encode(), ("default", after, after + 5000)).fetchone()
            assert found is not None
            assert found[0] > after
            after = found[0]
    assert rows(database, "SELECT count(*) FROM fidelog.audit_index") == [(last,)]


def plan_of(connection: Session, statement: str, parameters: tuple[Any, ...], tenant: str) -> dict[str, Any]:
    """The plan of a statement for its parameters, with what it took."""
    connection.execute("SELECT set_config('fidelog.tenant_id', $1, false)", (tenant,))
    row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), parameters).fetchone()
    assert row is not None
    plan: dict[str, Any] = (row[0] if not isinstance(row[0], str) else json.loads(row[0]))[0]["Plan"]
    return plan


def explain(connection: Session, statement: str, parameters: tuple[Any, ...], tenant: str) -> int:
    """Buffers that a statement touches, planned for its parameters."""
    plan = plan_of(connection, statement, parameters, tenant)
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def kept(connection: Session, statement: str, parameters: tuple[Any, ...], tenant: str) -> int:
    """Buffers that a prepared statement touches; its plan is made when the session first uses it."""
    name = "p" + hashlib.sha256(statement.encode()).hexdigest()[:32]
    if connection.execute("SELECT 1 FROM pg_prepared_statements WHERE name = $1", (name,)).fetchone() is None:
        connection.execute(f"PREPARE {name} AS {statement}".encode())
    arguments = sql.SQL(", ").join(map(sql.Literal, parameters)).as_string(connection)
    return explain(connection, f"EXECUTE {name} ({arguments})", (), tenant)


def touched(connection: Session, filters: Filters, order: Order, tenant: str, after: int = 0) -> int:
    """Buffers of one page, from the list's beginning or from within."""
    bound = LIMIT if len(filters.given) < 2 else BOUND
    below = MAX_POSITION if order == "asc" or not after else after
    after = after if order == "asc" else 0
    wanted, parameters = page_statement(filters, order, after=after, below=below, bound=bound, limit=LIMIT)
    return explain(connection, wanted.sql, (tenant, *parameters), tenant)


def halving(connection: Session, tenant: str) -> tuple[int, int]:
    """Buffers of the statements that turn times into positions, and positions into versions of a stream."""
    return (
        kept(connection, TIMES.sql, (tenant, NOON, NOON), tenant),
        kept(connection, VERSION_BOUNDS.sql, (tenant, "client-c7", ROWS // 2, ROWS), tenant),
    )


@pytest.mark.parametrize("tenant", ["default", "new"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_touches_few_buffers_wherever_it_begins(grown: Grown, name: str, order: Order, tenant: str) -> None:
    """At the list's beginning, in the middle and near its end."""
    for after in (0, ROWS // 2, ROWS - 100):
        assert touched(grown[0], PAGES[name], order, tenant, after) <= BUFFERS, after


@pytest.mark.parametrize("tenant", ["default", "new"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("name", NARROWED)
def test_a_page_looks_at_no_more_candidates_than_its_bound(grown: Grown, name: str, order: Order, tenant: str) -> None:
    """Where nothing matches a second filter, the page ends at the bound and not at the end of the log."""
    for after in (0, ROWS // 2):
        assert touched(grown[0], NARROWED[name], order, tenant, after) <= 4 * BOUND, after


@pytest.mark.parametrize("tenant", ["default", "new"])
def test_times_and_places_are_found_by_halving(grown: Grown, tenant: str) -> None:
    """A time becomes a position, a position a stream's version, in a few descents of the primary key."""
    assert max(halving(grown[0], tenant)) <= 250


@pytest.mark.parametrize("tenant", ["default", "new"])
def test_an_idle_tail_costs_next_to_nothing(grown: Grown, tenant: str) -> None:
    """What it asks twice a second."""
    assert kept(grown[0], LOOK.sql, (tenant, "audit_index"), tenant) <= 15


def test_indexing_a_batch_costs_the_batch(grown: Grown) -> None:
    """Ten events cost tens of buffers each, at the end of a long log and far behind its head; and a batch reads the
    events it indexes, not all that wait behind them."""
    with psycopg.connect(grown[1].url("keeper"), cursor_factory=RawCursor, prepare_threshold=None) as connection:
        connection.execute(SESSION.sql.encode(), ("default",))
        connection.execute("DELETE FROM fidelog.audit_index WHERE tenant_id = 'default' AND position > $1", (EARLY,))
        for after in (EARLY, ROWS - 10):
            assert explain(connection, INDEX_EVENTS.sql, ("default", after, after + 10), "default") <= 600, after
        plan = plan_of(connection, INDEX_EVENTS.sql, ("default", EARLY + 10, EARLY + 5010), "default")
        read = [node["Actual Rows"] for node in nodes(plan) if node.get("Relation Name") == "events"]
        assert sum(read) == 5000, "the look past its end is not taken when it found something"
        connection.rollback()
