"""The log that benchmarks are filled with is one that the service could have written."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from itertools import groupby
from typing import Any

import orjson
import psycopg
import pytest

from bench import holdings as holdings_module
from bench.fill import fill
from bench.fill_rows import fill_index, fill_read_models
from bench.fill_script import BLOCK, CLIENTS, LIFECYCLES, TASKS
from domain import administration, attestation, client, erasure_events, exports, task
from domain.client import RecordClient
from domain.task_events import (
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskCompletionRejected,
    TaskCreated,
    TaskFailed,
    TaskLeaseExpired,
    TaskReleased,
)
from eventstore.database import Database
from eventstore.reading import READ_FORWARD
from eventstore.records import RecordedEvent
from eventstore.rows import recorded_event
from eventstore.vault.vault import KeyRow, Vault
from projections.codec import EVENT_TYPES, SCHEMA_VERSION, Codec
from projections.engine import FOLDS
from projections.queries import by_key_id, open_data
from tests.clusters import Cluster
from tests.eventstore.writer.harness import TENANT, assert_gapless, rows, vault_of
from tests.processes.fidelog_process import PROJECT
from tests.projections.replay.harness import check

EVENTS = 3 * BLOCK + 345
"""The last block is not whole."""


MADE = """
    SELECT 'index', indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'fidelog' AND tablename NOT LIKE 'fill%'
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'fidelog'::regnamespace AND conrelid::regclass::text NOT LIKE '%fill%'
    UNION ALL SELECT 'trigger', tgname || tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'table', relname::text, relacl::text || relrowsecurity || relpersistence::text FROM pg_class
        WHERE relnamespace = 'fidelog'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'fill%'
    ORDER BY 1, 2, 3"""
"""How tables are made."""
AHEAD = '{"position": 99999, "version": 1, "stream": "task-ahead", "idempotency_key": null}'


@pytest.fixture
def vault(pg: Cluster, database: Database) -> Vault:
    """The vault whose keys the values are sealed under."""
    return asyncio.run(vault_of(pg, database))


@pytest.fixture
def filled(database: Database, vault: Vault) -> list[RecordedEvent]:
    """The events of a log filled in three stages, the first two of which end within a block."""
    for events in (777, BLOCK + 1, EVENTS):
        fill(database, vault, events)
    query = READ_FORWARD.sql.replace("$1", f"'{TENANT}'").replace("$2", "0").replace("$3", str(EVENTS))
    return [recorded_event(row, Codec()) for row in rows(database, query)]


def test_a_migrated_database_is_filled_from_the_command_line(
    pg: Cluster, database_name: str, database: Database
) -> None:
    """With a superuser's URL and the folder of the master keys, as long soaks do it: log and read models."""
    line = [sys.executable, "-m", "bench.fill", "--events", str(BLOCK), "--state-dir", str(pg.state_dir)]
    done = subprocess.run([*line, pg.url(database_name)], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert assert_gapless(database) == BLOCK
    assert rows(database, "SELECT count(*) FROM fidelog.client_profiles") == [(CLIENTS,)]


NOT_FILLED = {module.__name__ for module in (administration, attestation, erasure_events, exports)}


def test_every_command_of_a_filled_log_is_decided_so_by_the_domain(filled: list[RecordedEvent]) -> None:
    """In order: each command, made from its events, is put to the decider on the states that the log left before it, and
    gives exactly these events; tokens, attempts, leases, confirmations and refusals included."""
    states: dict[str, Any] = {}
    evolve = {fold.category: fold.evolve for fold in FOLDS}
    for _, group in groupby(filled, key=lambda event: event.command_id):
        events = list(group)
        assert decided(states, events) == tuple((event.stream, event.event) for event in events)
        for event in events:
            assert event.version == (states[event.stream][0] if event.stream in states else 0) + 1
            state = states.get(event.stream, (0, None))[1]
            states[event.stream] = event.version, evolve[event.stream.partition("-")[0]](state, event)
    happening = {name for name, kind in EVENT_TYPES.items() if kind.__module__ not in NOT_FILLED}
    assert {event.type for event in filled} == happening, "all that can happen to clients and tasks happens"
    tasks = [state for stream, (_, state) in states.items() if stream.startswith("task-")]
    left = Counter(state.agent_name for state in tasks if state.status == "pending")
    assert len(left) > 5, "several agents have work waiting"


def decided(states: dict[str, tuple[int, Any]], events: list[RecordedEvent]) -> Any:
    """What the domain makes of the command that these events tell of."""
    first = events[0]
    command, now = command_of(events), first.recorded_at
    known = {stream: states.get(stream, (0, None))[1] for stream in command.streams}
    if isinstance(command, RecordClient):
        return client.decide(known, command)
    selected = [(first.stream, states[first.stream][1])] if isinstance(command, task.ClaimTasks) else []
    return task.decide(known, command, iter(selected), now)


def command_of(events: list[RecordedEvent]) -> Any:
    """The command that these events tell of."""
    match [event.event for event in events]:
        case [TaskCreated() as created]:
            return task.CreateTask(**vars(created))
        case [TaskClaimed() as claimed]:
            return task.ClaimTasks(claimed.agent_name, 1, claimed.lease_seconds)
        case [TaskClaimed(), TaskCompleted() as done] | [TaskCompleted() as done]:
            return task.CompleteTask(done.task_id, done.claim_token, done.result)
        case [TaskCompletionRejected() as refused]:
            return task.CompleteTask(refused.task_id, refused.claim_token, {"fingerprint": "any"})
        case [TaskFailed() as failed]:
            return task.FailTask(failed.task_id, failed.claim_token, failed.error, failed.retryable)
        case [TaskReleased() as released]:
            return task.ReleaseTask(released.task_id, released.claim_token, released.reason)
        case [TaskCancelled() as cancelled]:
            return task.CancelTask(cancelled.task_id, cancelled.reason)
        case [TaskLeaseExpired() as expired]:
            return task.ExpireLeases((expired.task_id,))
        case [told]:
            return RecordClient(**vars(told))
        case others:
            raise AssertionError(f"no command gives {others}")


def test_events_of_a_filled_log_are_stored_as_the_writer_stores_them(filled: list[RecordedEvent]) -> None:
    """Text, schema version, subjects and cause are what the codec makes of the event; a command's first event has the
    hashes, and 16 bytes each."""
    codec = Codec()
    for event in filled:
        encoded = codec.encode(event.event)
        assert (event.type, event.data, event.subjects) == (encoded.type, encoded.data, encoded.subjects)
        assert event.schema_version == SCHEMA_VERSION[event.type]
        assert event.causation_id == encoded.causation_id
        assert orjson.dumps(orjson.loads(event.data), option=orjson.OPT_SORT_KEYS) == event.data
    for _, group in groupby(filled, key=lambda event: event.command_id):
        first, *others = group
        assert first.idempotency_key is not None
        assert len(first.idempotency_key) == 16
        assert first.request_hash is None if first.actor == "system:fidelog" else len(first.request_hash or b"") == 16
        assert all((other.idempotency_key, other.request_hash) == (None, None) for other in others)


def test_personal_values_of_a_filled_log_open(database: Database, vault: Vault, filled: list[RecordedEvent]) -> None:
    """Under the keys that stand in the database: no page of them is answered with less work than a real one."""
    kept = rows(database, "SELECT subject, key_id::text, epoch, wrapped FROM fidelog.client_keys")
    keys = by_key_id(vault.key_of(TENANT, KeyRow(*row)) for row in kept)
    payloads = []
    for event in filled:
        opened = orjson.loads(orjson.dumps(open_data(event.type, orjson.loads(event.data), keys, TENANT)))
        assert "sealed" not in str(opened)
        assert "erased" not in str(opened)
        payloads += [opened["payload"]] if event.type == "TaskCreated" else []
    isins = {payload["review"]["isin"] for payload in payloads}
    assert isins <= {isin for isin, _, _ in holdings_module.holdings().held}


def test_a_filled_log_is_valid_and_its_read_models_are_level(database: Database, filled: list[RecordedEvent]) -> None:
    """Guards on: no gap in positions and versions; each stream folded to a row."""
    assert assert_gapless(database) == len(filled) == EVENTS
    tallies = fill_read_models(database, workers=1)
    about_clients = sum(event.stream.startswith("client-") for event in filled)
    clients = (EVENTS // BLOCK + 1) * CLIENTS
    assert (tallies["client_profiles"].rows, tallies["client_profiles"].events) == (clients, about_clients)
    assert tallies["agent_tasks"].events == EVENTS - about_clients
    assert tallies["agent_tasks"].rows >= EVENTS // BLOCK * TASKS
    assert sum(number for number, _ in LIFECYCLES) == TASKS
    assert check(database) == []


def test_a_filled_database_has_the_tables_that_the_service_makes(database: Database, vault: Vault) -> None:
    """Indexes, constraints, guards, rights and policies are as they were; the index is level with the log, and a second
    stage goes on from the first."""
    before = rows(database, MADE)
    for events in (BLOCK, EVENTS):
        fill(database, vault, events)
        fill_index(database)
        fill_read_models(database, workers=1)
        assert rows(database, MADE) == before
        assert rows(database, "SELECT position FROM fidelog.tail_checkpoints") == [(events,)]
        assert check(database) == []
    with pytest.raises(psycopg.Error, match="append-only"):
        rows(database, "DELETE FROM fidelog.events")
    with pytest.raises(psycopg.Error, match="do not follow position"):
        rows(
            database,
            f"INSERT INTO fidelog.events SELECT (jsonb_populate_record(e, '{AHEAD}')).* FROM fidelog.events AS e LIMIT 1",
        )


def test_without_the_folder_of_data_identifiers_are_invented(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """And whoever reports says so."""
    monkeypatch.setattr(holdings_module, "DATA", tmp_path / "absent")
    found = holdings_module.holdings()
    assert "invented" in found.source
    assert orjson.loads(found.payload(7))["review"]["isin"].startswith("XX")
