"""What a database holds, for `fidelog status`: tenants, tails, sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

from eventstore.database import Database
from eventstore.proof.policy import Policy
from eventstore.sealing import cosigned
from eventstore.sealing.cosigning import NAME as WITNESS
from eventstore.sealing.store import Connection
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
    """A tenant's newest event, when the log was sealed and witnessed last, its tails, and its erasures."""

    tenant_id: str
    head: int
    recorded_at: datetime | None
    sealed_at: datetime | None
    witnessed_at: datetime | None
    tails: tuple[TailPlace, ...]
    erased: tuple[Erased, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Sizes are in bytes; `events_bytes` includes the indexes."""

    server_version: str
    tenants: tuple[Tenant, ...]
    events_bytes: int
    total_bytes: int


async def describe(database: Database, policy: Policy | None = None) -> Description:
    """Read it as auditor, who sees every tenant. Without a policy any witness counts. Raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(
        database.url("auditor"), autocommit=True, cursor_factory=AsyncRawCursor
    ) as connection:
        tails: dict[str, list[TailPlace]] = {}
        for tenant_id, *tail in await _rows(connection, TAILS.sql):
            tails.setdefault(tenant_id, []).append(TailPlace(*tail))
        erased: dict[str, tuple[Erased, ...]] = {}
        for tenant_id, epoch, number in await _rows(connection, ERASURES.sql):
            erased[tenant_id] = (*erased.get(tenant_id, ()), Erased(epoch, number))
        tenants = [
            replace(
                await _tenant(connection, policy, tails.get(tenant_id, []), tenant_id, head, recorded_at),
                erased=erased.get(tenant_id, ()),
            )
            for tenant_id, head, recorded_at in await _rows(connection, TENANTS.sql)
        ]
        events_bytes, total_bytes = (await _rows(connection, SIZES.sql))[0]
        version = connection.info.parameter_status("server_version") or ""
        return Description(version, tuple(tenants), events_bytes, total_bytes)


async def _tenant(
    connection: Connection,
    policy: Policy | None,
    tails: list[TailPlace],
    tenant_id: str,
    head: int,
    recorded_at: datetime | None,
) -> Tenant:
    newest = await cosigned.look(connection, tenant_id)
    seen = None if newest.origin is None else await cosigned.witnessed(connection, tenant_id, newest.origin, policy)
    if policy is not None or seen is not None:
        tails = [*tails, TailPlace(WITNESS, 0 if seen is None else seen.size, None)]
    return Tenant(tenant_id, head, recorded_at, newest.signed_at, None if seen is None else seen.at, tuple(tails))


async def _rows(connection: psycopg.AsyncConnection[Any], query: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()
