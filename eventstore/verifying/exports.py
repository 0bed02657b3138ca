"""The exports that the log tells of, counted again: who left rows out when he exported is found here (docs/spec/export.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eventstore.proof.export.recounting import Lie, check_exports, exports_in
from eventstore.statements import statement
from eventstore.verifying.ranges import LEAVES
from eventstore.verifying.rows import POSITION as PLACE
from eventstore.verifying.rows import Row, Session, ask, auditing, batches, hash_at
from eventstore.verifying.verdicts import Finding, Kind

EXPORTS = statement("eventstore", "verify_exports")


def recounted(auditor_url: str, tenant_id: str) -> Iterator[Finding]:
    """Exports that are not what the log says of them. Of a log whose rows are proven. Raises psycopg.Error."""
    with auditing(auditor_url) as session:
        told = list(exports_in(_told(session, tenant_id)))
    made = [one for one in told if not isinstance(one, Lie)]
    lies = [one for one in told if isinstance(one, Lie)]
    if made:
        lies += check_exports(made, _rows(auditor_url, tenant_id, max(one.tree_size for one in made)))
    for lie in lies:
        yield Finding(Kind.EXPORT, lie.position, lie.cause)


def _told(session: Session, tenant_id: str) -> Iterator[Row]:
    for (position,) in ask(session, EXPORTS, tenant=tenant_id):
        for rows in batches(session, tenant_id, position - 1, position):
            yield from rows


def _rows(auditor_url: str, tenant_id: str, last: int) -> Iterator[tuple[Any, bytes]]:
    """The rows up to a position with the hashes of their leaves; no snapshot is held for longer than a range takes."""
    for after in range(0, last, LEAVES):
        with auditing(auditor_url) as session:
            for rows in batches(session, tenant_id, after, min(after + LEAVES, last)):
                for row in rows:
                    hash_ = hash_at(row, row[PLACE])
                    assert hash_ is not None, "of a log whose rows are proven"
                    yield row, hash_
