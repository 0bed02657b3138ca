"""What a database holds, for `fidelog status`: tenants, tails, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from eventstore.database import Database
from eventstore.statements import statement

TENANTS = statement("eventstore", "status")
TAILS = statement("eventstore", "tails")
SIZES = statement("eventstore", "sizes")
ERASURES = statement("eventstore", "erasures")


@dataclass(frozen=True, slots=True)
class TailPlace:
    """How far a tail has got, and why it stands still if it does."""

    name: str
    position: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class Erased:
    """How many people were erased whose keys were last wrapped under the epoch."""

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's newest event, its tails, and its erasures."""

    tenant_id: str
    head: int
    recorded_at: datetime | None
    tails: tuple[TailPlace, ...]
    erased: tuple[Erased, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Sizes are in bytes; `events_bytes` includes the indexes."""

    server_version: str
    tenants: tuple[Tenant, ...]
    events_bytes: int
    total_bytes: int


async def describe(database: Database) -> Description:
    """Read it as auditor, who sees every tenant. Raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(database.url("auditor"), autocommit=True) as connection:
        tails: dict[str, list[TailPlace]] = {}
        for tenant_id, *tail in await _rows(connection, TAILS.sql):
            tails.setdefault(tenant_id, []).append(TailPlace(*tail))
        erased: dict[str, list[Erased]] = {}
        for tenant_id, epoch, number in await _rows(connection, ERASURES.sql):
            erased.setdefault(tenant_id, []).append(Erased(epoch, number))
        tenants = tuple(
            Tenant(tenant_id, head, recorded_at, tuple(tails.get(tenant_id, ())), tuple(erased.get(tenant_id, ())))
            for tenant_id, head, recorded_at in await _rows(connection, TENANTS.sql)
        )
        events_bytes, total_bytes = (await _rows(connection, SIZES.sql))[0]
        version = connection.info.parameter_status("server_version") or ""
        return Description(version, tenants, events_bytes, total_bytes)


async def _rows(connection: psycopg.AsyncConnection[Any], query: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()
