"""Ranges of streams: together they hold every stream and every row once, whatever the ids look like."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from eventstore.database import Database
from projections.agent_tasks import agent_tasks
from projections.client_profiles import client_profiles
from projections.replay.chunks import StreamRange, stream_ranges
from projections.replay.faults import DamagedStream, ReplayFailed
from projections.replay.replayable import FoldedStreams
from projections.replay.sessions import Session
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows
from tests.projections.replay.harness import (
    STORY,
    TASK,
    TENANT,
    append,
    check,
    created,
    damage,
    heal,
    onboarded,
    run,
    table,
    unguarded,
    updated,
)

CLIENTS = ("A", "Z", "a", "a-", "a-b", "a.", "a.b", "a:b", "a_b", "ab", "a0", "client-a", "0", "z" * 128)
"""Prefixes of one another, every character an id may have, upper and lower case."""
REPEATED = "a.b"


@pytest.fixture(scope="module")
def database(pg: Cluster) -> Iterator[Database]:
    """Clients with ids that sort oddly, one of them with seven events, and some tasks; two tenants."""
    with pg.copy() as name:
        found = pg.database(name)
        rows(found, "INSERT INTO fidelog.logs (tenant_id) VALUES ('other'), ('without')")
        for tenant_id in (TENANT, "other"):
            append(found, [onboarded(client) for client in CLIENTS], tenant_id)
            append(found, [updated(REPEATED, profile) for profile in ("growth", "moderate") * 3], tenant_id)
        append(found, [created(TASK.format(number)) for number in range(10)])
        heal(found, tenants=(TENANT, "other"))
        yield found


def ranges(database: Database, events: int, category: str = "client", tenant_id: str = TENANT) -> list[StreamRange]:
    """A category cut into ranges."""
    session = Session(database.url("keeper"))
    try:
        return list(stream_ranges(session, tenant_id, category, events))
    finally:
        session.close()


@pytest.mark.parametrize("events", [1, 2, 3, 5, 7, 19, 20, 21, 1000])
def test_ranges_follow_one_another_and_hold_every_stream_whole(database: Database, events: int) -> None:
    """Each begins where the one before ends; the first and the last have no bound for rows. None is much too large."""
    found = ranges(database, events)
    assert (found[0].first, found[0].first_id) == ("client-", None)
    assert (found[-1].end, found[-1].end_id) == ("client.", None)
    for one, other in itertools.pairwise(found):
        assert (one.end, one.end_id) == (other.first, other.first_id)
        assert other.first == f"client-{other.first_id}"
    sizes = {f"client-{client}": 7 if client == REPEATED else 1 for client in CLIENTS}
    for part in found:
        inside = [size for stream, size in sizes.items() if part.first <= stream < part.end]
        assert sum(inside) <= max(events, max(inside, default=0)) or len(inside) == 1
    held = [s for part in found for s in sizes if part.first <= s < part.end]
    assert sorted(held) == sorted(sizes)


@pytest.mark.parametrize("events", [1, 2, 3, 7, 1000])
def test_rows_are_compared_once_however_streams_are_cut(database: Database, events: int) -> None:
    """Equal rows are found equal, each missing one is found, and none twice, at every size of range."""
    models = [FoldedStreams(agent_tasks(), events), FoldedStreams(client_profiles(), events)]
    tally, found = run(database, heal=False, models=models, tenants=(TENANT, "other"))
    assert found == []
    assert (tally.rows, tally.events) == (2 * len(CLIENTS) + 10, 2 * (len(CLIENTS) + 6) + 10)
    before = table(database, "client_profiles")
    damage(database, "client_profiles", "DELETE FROM fidelog.client_profiles WHERE tenant_id = 'other'")
    _, found = run(database, heal=False, models=models, tenants=(TENANT, "other"))
    assert [(f.tenant_id, f.id) for f in found] == [("other", client) for client in sorted(CLIENTS)]
    assert run(database, heal=True, models=models, tenants=(TENANT, "other"))[0].differing == len(CLIENTS)
    assert table(database, "client_profiles") == before


def test_rows_beyond_all_streams_are_compared_too(database: Database) -> None:
    """A row before the first and one after the last stream lie in the first and the last range."""
    copy = (
        "INSERT INTO fidelog.client_profiles SELECT tenant_id, '{}', full_name, risk_profile, created_at, updated_at,"
    )
    for client in ("!", "~"):
        damage(database, "client_profiles", f"{copy.format(client)} 1, 1, 1 FROM fidelog.client_profiles LIMIT 1")
    models = [FoldedStreams(client_profiles(), 3)]
    assert [f.id for f in check(database, models=models, tenants=(TENANT, "other"))] in (["!", "~"], ["~", "!"])
    assert heal(database, models=models, tenants=(TENANT, "other")).differing == 2


def test_an_empty_log_is_equal_to_empty_tables(database: Database) -> None:
    """A tenant without an event has one empty range, in which a stray row is found all the same."""
    assert len(ranges(database, 10, tenant_id="without")) == 1
    assert run(database, heal=False, tenants=("without",))[0].rows == 0
    copy = 'INSERT INTO fidelog.agent_tasks SELECT (jsonb_populate_record(t, \'{"tenant_id": "without"}\')).*'
    damage(database, "agent_tasks", f"{copy} FROM fidelog.agent_tasks AS t LIMIT 1")
    assert len(check(database, tenants=("without",))) == 1
    assert heal(database, tenants=("without",)).differing == 1


def test_other_categories_are_left_out(database: Database) -> None:
    """A category whose name begins alike is not taken for this one."""
    with unguarded(database, "events") as connection:
        for stream in ("clientele-x", "client", "client.x"):
            connection.execute(
                "INSERT INTO fidelog.events SELECT (jsonb_populate_record(e, jsonb_build_object('stream', %s::text,"
                " 'position', 1000 + length(%s), 'type', 'Strange'))).* FROM fidelog.events AS e"
                " WHERE tenant_id = 'default' AND position = 1",
                (stream, stream),
            )
        connection.commit()
        try:
            assert check(database) == []
        finally:
            connection.execute("DELETE FROM fidelog.events WHERE type = 'Strange'")
            connection.commit()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            "UPDATE fidelog.events SET version = 8 WHERE stream = 'client-c1' AND version = 3",
            DamagedStream,
            "version 8",
        ),
        ("DELETE FROM fidelog.events WHERE stream = 'client-c1' AND version = 1", DamagedStream, "client-c1"),
        (
            "UPDATE fidelog.events SET data = '{}' WHERE stream = 'client-c1' AND version = 2",
            DamagedStream,
            "version 2",
        ),
        ("UPDATE fidelog.events SET type = 'TaskClaimed' WHERE type = 'TaskCreated'", DamagedStream, "task-0000000"),
        ("UPDATE fidelog.events SET type = 'Teleported' WHERE position = 1", ReplayFailed, "client-c1.*newer Fidelog"),
        ("UPDATE fidelog.events SET schema_version = 9 WHERE position = 5", ReplayFailed, "task-0.*newer Fidelog"),
    ],
)
def test_a_log_that_cannot_be_folded_ends_check_and_replay_and_changes_no_row(
    database: Database, pg: Cluster, change: str, kind: type[Exception], words: str
) -> None:
    """A gap, events that do not fit and unknown events are told with their stream; no row is made from them."""
    with pg.copy() as name:
        damaged = pg.database(name)
        append(damaged, STORY)
        heal(damaged)
        damage(damaged, "agent_tasks", "SET attempt = 9")
        damage(damaged, "client_profiles", "SET risk_profile = 'zz'")
        with unguarded(damaged, "events") as connection:
            connection.execute(change.encode())
        before = table(damaged, "agent_tasks"), table(damaged, "client_profiles")
        model = FoldedStreams(agent_tasks() if "task" in words else client_profiles())
        for healing in (False, True):
            with pytest.raises(kind, match=words):
                run(damaged, heal=healing, models=[model])
        assert (table(damaged, "agent_tasks"), table(damaged, "client_profiles")) == before


def test_boundaries_are_found_by_the_index_alone(database: Database) -> None:
    """Also on a table that was never analysed: a range costs its own events, not the tenant's."""
    session = Session(database.url("keeper"))
    try:
        settings = session._connection.execute("SHOW enable_seqscan").fetchone()
        assert settings == ("off",)
        with psycopg.connect(database.url("keeper")) as connection:
            connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
            connection.execute("SELECT set_config('fidelog.tenant_id', 'default', false)")
            plan = connection.execute(
                "EXPLAIN SELECT stream FROM fidelog.events WHERE tenant_id = 'default' AND stream >= 'client-' AND"
                " stream < 'client.' ORDER BY stream, version OFFSET 10 LIMIT 1"
            ).fetchall()
        assert any("Index Only Scan using events_stream_version" in line for (line,) in plan)
    finally:
        session.close()
