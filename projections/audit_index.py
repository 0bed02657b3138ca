"""The officer's index: which events are about whom, by whom, of which type; a tail of the log."""

from __future__ import annotations

from eventstore.statements import statement
from projections.tail import Connection, Tail

NAME = "audit_index"

INDEX_EVENTS = statement("projections", "index_events")


def audit_index(tenant_id: str) -> Tail:
    """The tail that fills it. No event is decoded: a process can index types that only a newer one writes."""

    async def handle(connection: Connection, after: int, limit: int) -> int:
        cursor = await connection.execute(INDEX_EVENTS.sql.encode(), (tenant_id, after, after + limit))
        row = await cursor.fetchone()
        assert row is not None, "an aggregate gives a row"
        return int(row[0])

    return Tail(NAME, tenant_id, handle)
