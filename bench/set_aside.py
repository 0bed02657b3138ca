"""Filling a table at once: its indexes are made anew when it is full, as `CREATE INDEX` does, and end as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg
from psycopg import RawCursor, sql

WORKERS = 2
_SESSION = "SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'; SET jit = off"

Connection = psycopg.Connection[Any]


def sql_text(name: str) -> bytes:
    """The statement bench/sql/<name>.sql."""
    return resources.files("bench").joinpath("sql", f"{name}.sql").read_bytes()


INDEXES = sql_text("indexes")


def connect(url: str) -> Connection:
    """A session that has room to sort."""
    connection = psycopg.connect(url, autocommit=True, cursor_factory=RawCursor)
    connection.execute(_SESSION)
    return connection


@contextmanager
def indexes_set_aside(connection: Connection, table: str) -> Iterator[None]:
    """The table without its indexes; at the end it has them again, also after a failure."""
    found = connection.execute(INDEXES, (table,)).fetchall()
    alter = sql.SQL("ALTER TABLE {} ").format(sql.Identifier(*table.split(".")))
    for name, constraint, _ in found:
        if constraint is None:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(*name.split("."))))
        else:
            connection.execute(alter + sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(constraint)))
    try:
        yield
    finally:
        for _, constraint, definition in found:
            named = sql.SQL("ADD CONSTRAINT {} ").format(sql.Identifier(constraint or ""))
            added = alter + named if constraint is not None else sql.SQL("")
            connection.execute(added + sql.SQL(definition))


def side_by_side(url: str, statement: bytes, parameters: Iterable[Sequence[Any]]) -> None:
    """Run the statement with each of the parameters, in `WORKERS` sessions. Raises the first error."""

    def run(each: Sequence[Any]) -> None:
        with connect(url) as connection:
            connection.execute(statement, each)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(run, parameters):
            pass


def parts(after: int, last: int, size: int) -> list[tuple[int, int]]:
    """The numbers after `after` up to `last`, in parts (after, last) of so many."""
    return [(start, min(last, start + size)) for start in range(after, last, size)]
