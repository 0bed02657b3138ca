"""The rows of the log as the auditor's login reads them, and their leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from eventstore.proof.errors import NoLeaf
from eventstore.proof.leaf import leaf_of
from eventstore.proof.merkle import leaf_hash
from eventstore.statements import Statement, statement

ROWS = statement("eventstore", "verify_rows")
AT_ONCE = 1_000
POSITION, RECORDED_AT = 10, 11
"""Where these stand in a row."""

SETTINGS = (
    # In order of the primary key, row by row: the tables may never have been analysed, and a sort of millions helps nobody.
    b"SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off;"
    # No function but the server's own has a say.
    b"SET search_path = pg_catalog; SET max_parallel_workers_per_gather = 0; SET statement_timeout = 0;"
    b"SET idle_in_transaction_session_timeout = 0"
)

Row = tuple[Any, ...]
"""As verify_rows selects it, which is what `leaf_of` takes."""
Session = psycopg.Connection[Row]


class Hashed(NamedTuple):
    """A row's place, the hash of its leaf, and when it says it was recorded. The hash is None where there is no leaf."""

    position: int
    hash: bytes | None
    recorded_at: str


@contextmanager
def auditing(auditor_url: str) -> Iterator[Session]:
    """A session of the auditor: all that it reads is of one moment. Raises psycopg.Error."""
    with psycopg.connect(auditor_url, autocommit=True, row_factory=tuple_row) as connection:
        connection.execute(SETTINGS)
        connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


def ask(session: Session, wanted: Statement, **values: Any) -> list[Row]:
    """All rows of a statement. Raises psycopg.Error."""
    return session.execute(wanted.sql.encode(), values, binary=True).fetchall()


def batches(session: Session, tenant_id: str, after: int, last: int) -> Iterator[list[Row]]:
    """The rows after a position up to another, in their order, a thousand at a time. Raises psycopg.Error."""
    with session.cursor(name="verified_rows", binary=True) as cursor:
        cursor.execute(ROWS.sql.encode(), {"tenant": tenant_id, "after": after, "last": last})
        while rows := cursor.fetchmany(AT_ONCE):
            yield rows


def hash_at(row: Row, position: int) -> bytes | None:
    """The hash that the row's leaf would have at another position."""
    return _hash((*row[:POSITION], position, *row[POSITION + 1 :]))


def hashed(rows: Iterable[Row]) -> list[Hashed]:
    """Rows with the hashes of their leaves."""
    return [Hashed(row[POSITION], _hash(row), row[RECORDED_AT]) for row in rows]


def _hash(row: Row) -> bytes | None:
    try:
        return leaf_hash(leaf_of(*row))
    except (NoLeaf, TypeError, UnicodeEncodeError):  # not written by the rules: whoever did turned the guards off
        return None
