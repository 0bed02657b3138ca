"""Sealing, wired: a sealer for each tenant, and where it says why it does not seal."""

from __future__ import annotations

import asyncio

from api.settings import Settings, SettingsError
from eventstore.database import Database
from eventstore.sealing.incarnations import Incarnations
from eventstore.sealing.sealer import NAME, Sealer
from eventstore.sealing.store import SealStore
from projections.tail import OPEN, SAVE_FAULT, connect

LOCK_SECONDS = 10.0
UNWOKEN_SECONDS = 5.0
"""Until it looks by itself. The tail of the officer's index looks twice a second and wakes it; and it must look more often than
its session may be idle (seal_session.sql)."""


def incarnations(settings: Settings) -> Incarnations:
    """The logs of the state folder, under the origin that is set."""
    return Incarnations(settings.state_dir, settings.origin)


async def alone(store: SealStore, otherwise: str) -> None:
    """Become the one sealer; one that refuses to sign lets go of the lock every second. Raises SettingsError that says
    `otherwise`."""
    end = asyncio.get_running_loop().time() + LOCK_SECONDS
    while not await store.lock():
        if asyncio.get_running_loop().time() > end:
            raise SettingsError(otherwise)
        await asyncio.sleep(0.02)


def sealer(logs: Incarnations, tenant_id: str, database: Database) -> Sealer:
    """The tenant's sealer. Its fault stands beside those of the tails, for `fidelog status`."""

    async def tell(fault: str | None) -> None:
        await _write_fault(database.url("keeper"), tenant_id, fault)

    return Sealer(tenant_id, lambda: logs.current(tenant_id), tell, every=UNWOKEN_SECONDS)


async def _write_fault(keeper_url: str, tenant_id: str, fault: str | None) -> None:
    """Its place is that of the newest checkpoint; here stands 0 and why it stands still. Raises psycopg.Error."""
    async with await connect(keeper_url, tenant_id) as connection:
        if fault is not None:
            await connection.execute(OPEN.sql.encode(), (tenant_id, NAME))
        await connection.execute(SAVE_FAULT.sql.encode(), (tenant_id, NAME, fault, 0))
