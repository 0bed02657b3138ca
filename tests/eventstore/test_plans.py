"""Every hot statement finds its rows through an index: planned on an empty table and used on a grown one, for the
tenant that grew and for a new tenant beside it, before and after ANALYZE.

The measure is buffers touched, not time: a statement that scans the tenant touches hundreds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest

from eventstore.database import Database
from eventstore.statements import statement
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows

TASK = "00000000-0000-4000-8000-000000000007"
BUFFERS = 40
"""A descent of a B-tree of this size takes 3 or 4, a row 1; the statements look up a few keys each."""

READS: dict[str, tuple[str, str]] = {
    "lock_tenant": ("eventstore", "'{tenant}'"),
    "head": ("eventstore", "'{tenant}'"),
    "subject_keys": ("eventstore", "'{tenant}', '{{c7,c8}}'"),
    "read_forward": ("eventstore", "'{tenant}', 70, 5"),
    "load_client_profiles": ("projections", "'{tenant}', '{{c7,c8}}'"),
    "load_agent_tasks": ("projections", f"'{{tenant}}', '{{{{{TASK}}}}}'"),
    "read_category": ("eventstore", "'{tenant}', 70, 90, 'task-', 'task.'"),
    "read_streams": ("eventstore", "'{tenant}', '{{client-c7,client-c8}}'"),
    "read_stream_end": ("eventstore", "'{tenant}', 'client-c7', 5"),
    "read_streams_until": ("eventstore", "'{tenant}', '{{client-c7,client-c8}}', 9000"),
    "share_lock": ("eventstore", "'{tenant}'"),
    "open_tasks": ("projections", "'{tenant}', 70, 5"),
    "list_tasks": ("projections", "'{tenant}', '{{pending,claimed}}', 70, 5"),
    "list_agent_tasks": ("projections", "'{tenant}', '{{pending}}', 0, 5, 'agent7'"),
    "list_client_tasks": ("projections", "'{tenant}', '{{pending}}', 0, 5, 'c7', null"),
    "client_task_ids": ("projections", "'{tenant}', 'c7', 0, 9000, 5"),
    "leases_over": ("projections", "'{tenant}', '2000-01-01', 5, 1"),
    "tasks_of_erased": ("projections", "'{tenant}', 70, 5"),
    "get_client": ("projections", "'{tenant}', 'c7'"),
    "get_task": ("projections", f"'{{tenant}}', '{TASK}'"),
    "load_administration": ("projections", "'{tenant}', '{{admin,access}}'"),
}

WRITES: dict[str, tuple[str, str]] = {
    "insert_events": (
        "eventstore",
        "'{tenant}', {head}, '2100-01-01', '{{client-x}}', '{{1}}', '{{00000000-0000-4000-8000-000000000001}}', '{{T}}',"
        " '{{1}}', array['{{}}']::json[], '{{x}}', '{{a}}', '{{null}}', '{{00000000-0000-4000-8000-000000000001}}',"
        " '{{c}}', '{{null}}', '{{null}}', '{{null}}', 1",
    ),
    "insert_subject_keys": (
        "eventstore",
        r"'{tenant}', '{{x}}', '{{00000000-0000-4000-8000-000000000001}}', '{{1}}', '{{\\x00}}', 1",
    ),
    "insert_client_profiles": (
        "projections",
        "'{tenant}', '{{x}}', array['{{}}']::json[], '{{moderate}}', array[now()], array[now()], array[null]::json[], '{{1}}',"
        " '{{1}}', 1, 1",
    ),
    "update_client_profiles": (
        "projections",
        "'{tenant}', '{{c7}}', array['{{}}']::json[], '{{moderate}}', array[now()], array[now()], array[null]::json[],"
        " '{{99999999}}', '{{99999999}}', 1, 1",
    ),
    "insert_agent_tasks": (
        "projections",
        "'{tenant}', '{{00000000-0000-4000-8000-00000000ffff}}', '{{c}}', '{{a}}', '{{pending}}', '{{1}}', '{{0}}',"
        " array['{{}}']::json[], array[null]::json[], array[null]::json[], '{{null}}', '{{null}}', array[null]::timestamptz[],"
        " '{{null}}', '{{null}}', '{{1}}', array[now()], array[now()], '{{1}}', '{{1}}', 1, 1",
    ),
    "update_agent_tasks": (
        "projections",
        f"'{{tenant}}', '{{{{{TASK}}}}}', '{{{{c}}}}', '{{{{a}}}}', '{{{{pending}}}}', '{{{{1}}}}', '{{{{0}}}}',"
        " array['{{}}']::json[], array[null]::json[], array[null]::json[], '{{null}}', '{{null}}', array[null]::timestamptz[],"
        " '{{null}}', '{{null}}', '{{1}}', array[now()], array[now()], '{{99999999}}', '{{99999999}}', 1, 1",
    ),
    "insert_administration": (
        "projections",
        "'{tenant}', '{{access}}', array['{{}}']::json[], array[now()], array[now()], '{{1}}', '{{1}}', 1, 1",
    ),
    "update_administration": (
        "projections",
        "'{tenant}', '{{access}}', array['{{}}']::json[], array[now()], array[now()], '{{99999999}}', '{{99999999}}', 1, 1",
    ),
}

BOUNDED = {
    "read_command": ("eventstore", "'{tenant}', 'client-c7', 1"),
    "position_at": ("eventstore", "'{tenant}', clock_timestamp()"),
    "known_commands": ("eventstore", "'{tenant}', array['\\x00000007', '\\x00000008']::bytea[]"),
}
"""Read the hundreds of positions around one: more buffers, but as many however long the log is."""

NOT_HOT = {
    "begin", "begin_snapshot", "clock_against", "commit", "rollback", "set_tenant", "status", "tails", "sizes",
    "lock_tail_checkpoint", "save_tail_checkpoint",
    # rotations of the master key, restores, status: tests/eventstore/vault/test_rotation.py
    "keys_to_wrap", "wrap_keys", "wrap_tenant_key", "tenant_key", "living_keys", "tombstones", "alive_again", "erasures",
    # an erasure is rare; it goes by the primary key, as the insert of keys does
    "destroy_subject_keys",
    # replay: by ranges, under the keeper's own settings (tests/projections/replay/test_plans.py)
    "replay_turn", "replay_lock", "replay_unmoved", "replay_clock", "replay_durable", "replay_events",
    "replay_events_since", "replay_boundary", "replay_next_stream", "replay_count",
    "range_client_profiles", "range_agent_tasks", "delete_client_profiles", "delete_agent_tasks",
    "newest_fold_client_profiles", "newest_fold_agent_tasks", "tail_position",
    "index_unlike", "index_too_many", "index_drop", "index_again",
    "tail_session", "open_tail", "save_tail_fault",
    # the sealer's and those of the tiled log: tests/eventstore/sealing/test_sealer.py
    "seal_session", "seal_lock", "seal_look", "newest_checkpoint", "any_checkpoint", "leaf_rows", "full_tiles",
    "insert_tiles", "insert_checkpoint", "published_between", "cosignature_lines",
    # what asks witnesses: tests/eventstore/sealing/test_cosigning.py
    "witness_look", "witness_recent", "witness_sizes", "insert_cosignature",
    # some hundred rows at most: tenants and keys
    # verification: by ranges, under the auditor's own settings; the catalogue
    "verify_rows", "verify_streams", "verify_tenants", "verify_heads", "verify_tiles", "verify_levels",
    "verify_checkpoints", "verify_leaves", "verify_written", "verify_exports", "shape",
    "directory", "get_api_keys", "save_api_key_uses", "rights",
    "range_administration", "delete_administration", "newest_fold_administration",
    # planned for their values every time
    "proof_checkpoint", "proof_tiles", "proof_witnessed",
}  # fmt: skip

OF_THE_TRAIL = {"index_events", "look_at_log", "positions_at", "version_bounds"}
"""Explained in tests/projections/test_trail_plans.py, with the pages of the trail."""

TO_UPDATE = {
    "update_administration": "INSERT INTO fidelog.administration VALUES ('{tenant}', 'access', '{{}}', now(), now(), 1, 1, 1)",
    "update_client_profiles": "INSERT INTO fidelog.client_profiles VALUES ('{tenant}', 'c7', '{{}}', 'moderate', now(),"
    " now(), 1, 1, 1) ON CONFLICT DO NOTHING",
    "update_agent_tasks": f"INSERT INTO fidelog.agent_tasks VALUES ('{{tenant}}', '{TASK}', 'c', 'a', 'pending', 3, 0,"
    " '{{}}', null, null, null, null, null, null, null, 1, now(), now(), 1, 1, 1) ON CONFLICT DO NOTHING",
}

GROW = """
    INSERT INTO fidelog.events (tenant_id, position, format, stream, version, event_id, type, schema_version, data,
        subjects, actor, command_id, correlation_id, idempotency_key, recorded_at)
    SELECT 'default', g, 1, 'client-c' || g, 1, gen_random_uuid(), 'ClientOnboarded', 1, '{{"full_name": "sealed"}}',
        ARRAY['c' || g], 'user:x', gen_random_uuid(), 'x', decode(lpad(to_hex(g), 8, '0'), 'hex'), clock_timestamp()
    FROM generate_series({first}, {last}) AS g;
    INSERT INTO fidelog.client_profiles
    SELECT 'default', 'c' || g, '{{}}', 'moderate', now(), now(), 1, g, 1 FROM generate_series({first}, {last}) AS g;
    INSERT INTO fidelog.client_keys (tenant_id, subject, key_id, epoch, wrapped)
    SELECT 'default', 'c' || g, gen_random_uuid(), 1, 'x' FROM generate_series({first}, {last}) AS g;
    INSERT INTO fidelog.agent_tasks
    SELECT 'default', lpad(to_hex(g), 32, '0')::uuid, 'c', 'agent' || g % 10, 'pending', 3, 0, '{{}}', null, null, null,
        null, null, null, null, g, now(), now(), 1, g, 1 FROM generate_series({first}, {last}) AS g;
"""


@pytest.fixture(scope="module")
def session(pg: Cluster) -> Iterator[tuple[psycopg.Connection[Any], Database]]:
    """A writer's session that planned every statement on empty tables, which then grew to 50,000 rows, unanalysed."""
    with pg.copy() as name:
        database = pg.database(name)
        for table in ("events", "client_profiles", "client_keys", "agent_tasks"):
            rows(database, f"ALTER TABLE fidelog.{table} SET (autovacuum_enabled = false)")
        rows(database, "INSERT INTO fidelog.logs (tenant_id) VALUES ('new')")
        with psycopg.connect(database.url("writer"), autocommit=True) as connection:
            for wanted, (package, arguments) in {**READS, **WRITES, **BOUNDED}.items():
                connection.execute(f"PREPARE {wanted} AS {statement(package, wanted).sql}".encode())
                _explain(connection, wanted, arguments, "default", 0)
            rows(database, GROW.format(first=1, last=50_000))
            yield connection, database


def _explain(connection: psycopg.Connection[Any], wanted: str, arguments: str, tenant: str, head: int) -> int:
    """Run a prepared statement, undo what it did, and give the buffers it touched (its triggers' included)."""
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, true)", (tenant,))
        if wanted in TO_UPDATE:
            connection.execute(TO_UPDATE[wanted].format(tenant=tenant).encode())
        call = (
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {wanted} ({arguments.format(tenant=tenant, head=head)})"
        )
        cursor = connection.execute(call.encode())
        found = cursor.fetchone()
    assert found is not None
    plan = (json.loads(found[0]) if isinstance(found[0], str) else found[0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
def grown(session: tuple[psycopg.Connection[Any], Database], request: pytest.FixtureRequest) -> psycopg.Connection[Any]:
    """The session, without and then with the statistics of the grown tables."""
    if request.param == "analysed":
        rows(session[1], "ANALYZE")
    return session[0]


@pytest.mark.parametrize("tenant", ["default", "new"])
@pytest.mark.parametrize("wanted", [*READS, *WRITES])
def test_a_hot_statement_touches_few_buffers_however_many_rows_there_are(
    grown: psycopg.Connection[Any], wanted: str, tenant: str
) -> None:
    """Also when its plan was made on an empty table (the plan stays: the session is the same)."""
    package, arguments = {**READS, **WRITES}[wanted]
    touched = _explain(grown, wanted, arguments, tenant, 50_000 if tenant == "default" else 0)
    assert touched <= BUFFERS, f"{package}/{wanted} touched {touched} buffers"


def test_continuing_a_stream_touches_few_buffers(grown: psycopg.Connection[Any]) -> None:
    """The guard on versions looks at the event before, through the index, by a plan it made on an empty table."""
    arguments = (
        WRITES["insert_events"][1].replace("client-x", "client-c7").replace("'{{1}}', '{{0000", "'{{2}}', '{{0000", 1)
    )
    assert _explain(grown, "insert_events", arguments, "default", 50_000) <= BUFFERS


@pytest.mark.parametrize("tenant", ["default", "new"])
def test_the_events_of_a_command_are_found_within_a_bound(
    session: tuple[psycopg.Connection[Any], Database], tenant: str
) -> None:
    """A repeat reads what stands around the command's first event, and no more."""
    for wanted, (_, arguments) in BOUNDED.items():
        assert _explain(session[0], wanted, arguments, tenant, 0) <= 150, wanted


def test_every_statement_is_either_explained_or_named_as_not_hot() -> None:
    """A new statement cannot be forgotten here."""
    found = {
        path.name.removesuffix(".sql")
        for package in ("eventstore", "projections")
        for path in resources.files(package).joinpath("sql", "statements").iterdir()
    }
    assert found == {*READS, *WRITES, *BOUNDED, *NOT_HOT, *OF_THE_TRAIL}
