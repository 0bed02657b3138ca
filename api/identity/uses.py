"""When keys were last used: written down in batches, some seconds late. Nothing is decided by it."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

import psycopg

from eventstore.session import SET_TENANT
from eventstore.statements import statement

SAVE = statement("projections", "save_api_key_uses")

EVERY_SECONDS = 10.0


async def save(keeper_url: str, used: dict[tuple[str, str], datetime]) -> None:
    """Write them down. Raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(
        keeper_url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    ) as connection:
        for tenant_id, of_tenant in groupby(sorted(used.items()), key=lambda item: item[0][0]):
            keys = [(key_id, at) for (_, key_id), at in of_tenant]
            await connection.execute(SET_TENANT.sql.encode(), (tenant_id,))
            await connection.execute(SAVE.sql.encode(), (tenant_id, [k for k, _ in keys], [at for _, at in keys]))
