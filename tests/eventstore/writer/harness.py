"""The writer on a test's database: envelopes as the API makes them, and writers that connect where they are told."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psycopg

from api.database import DEFAULT_TENANT
from domain.client import RecordClient
from domain.erasure import EraseAgain
from eventstore import provision
from eventstore.database import Database
from eventstore.ids import RandomIds
from eventstore.pipeline import Pipeline
from eventstore.records import Envelope, Sealing
from eventstore.vault.keys import DataKey, MasterKeys
from eventstore.vault.vault import Vault, seal
from eventstore.writer.engine import Engine
from eventstore.writer.queues import Limits
from eventstore.writer.transaction import STATEMENTS
from eventstore.writer.writer import Writer
from projections.engine import engine as product_engine
from tests.clusters import CLEAR_NAMES, Cluster

TENANT = DEFAULT_TENANT
NAME = CLEAR_NAMES[0]

_ids = RandomIds()
_numbers = itertools.count(1)


async def vault_of(pg: Cluster, database: Database) -> Vault:
    """A vault of its own, as another process would have it."""
    vault = Vault(MasterKeys.open(Path(pg.state_dir), create=False))
    await provision.open_tenant(database, vault, TENANT)
    return vault


def envelope(
    vault: Vault,
    client_id: str | None = None,
    *,
    key: str | None = None,
    risk_profile: str = "moderate",
    name: str = NAME,
    tenant_id: str = TENANT,
    size: int = 200,
) -> Envelope:
    """An upsert of a client, of a new one unless named."""
    client_id = client_id or f"client-{next(_numbers)}"
    body = {"client_id": client_id, "full_name": name, "risk_profile": risk_profile}
    request = b"POST\n/clients\nuser:test\n" + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    command_id = _ids()

    def build(data_key: DataKey) -> RecordClient:
        return RecordClient(client_id, seal(data_key, tenant_id, "client.full_name", name.encode()), risk_profile)

    sealing = Sealing(client_id, vault.key_for_sealing(tenant_id, client_id), build, request)
    command, request_hash = sealing.bind(sealing.key)
    return Envelope(
        tenant_id=tenant_id,
        actor="user:test",
        command=command,
        command_id=command_id,
        idempotency_key=vault.idempotency_key(
            tenant_id, "user:test", "internal" if key is None else "caller", key or command_id
        ),
        request_hash=request_hash,
        correlation_id=command_id,
        sealing=sealing,
        size=size,
    )


def erasing(vault: Vault, client_id: str) -> Envelope:
    """The client is erased without anybody being asked, as after a restore."""
    command_id = _ids()
    key = vault.idempotency_key(TENANT, "system:test", "internal", command_id)
    return Envelope(TENANT, "system:test", EraseAgain(client_id, 1), command_id, key, None, command_id)


def connector(url: str, engine: Engine) -> Callable[[], Awaitable[Pipeline]]:
    """How a writer connects to `url`."""
    statements = [*STATEMENTS, *engine.statements()]
    return lambda: Pipeline.connect(url, statements)


@asynccontextmanager
async def writing(
    database: Database, vault: Vault, *, url: str | None = None, engine: Engine | None = None, **limits: Any
) -> AsyncIterator[Writer]:
    """A running writer."""
    engine = engine or product_engine()
    writer = Writer(connector(url or database.url("writer"), engine), engine, vault, replace(Limits(), **limits))
    writer.start()
    try:
        yield writer
    finally:
        await writer.close(5.0)


def rows(database: Database, query: str, login: Any = "superuser") -> list[tuple[Any, ...]]:
    """What a statement gives, with the tenant set."""
    with psycopg.connect(database.url(login), autocommit=True) as connection:
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def assert_gapless(database: Database) -> int:
    """P3, P4: positions and every stream's versions are 1, 2, 3 …; the number of events."""
    ((events, highest),) = rows(database, "SELECT count(*), coalesce(max(position), 0) FROM fidelog.events")
    assert events == highest, "positions have no gap"
    gaps = rows(
        database,
        "SELECT stream FROM fidelog.events GROUP BY stream HAVING count(*) <> max(version) OR min(version) <> 1",
    )
    assert gaps == [], "versions have no gap"
    back = rows(
        database,
        "SELECT 1 FROM (SELECT recorded_at < lag(recorded_at) OVER (ORDER BY position) AS back FROM fidelog.events) AS s"
        " WHERE back",
    )
    assert back == [], "time never goes back"
    return int(events)
