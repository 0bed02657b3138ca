"""Forward-only migrations: plain SQL files in order, frozen by hash, applied under a lock, one transaction each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

LOCK = 0x466964656C6F67  # "Fidelog"

_TABLE = """
CREATE TABLE IF NOT EXISTS fidelog.migrations (
    name        text COLLATE "C" PRIMARY KEY,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
)"""
_READABLE = """
GRANT SELECT ON fidelog.migrations
TO fidelog_writer, fidelog_reader, fidelog_keeper, fidelog_sealer, fidelog_auditor"""


class MigrationError(Exception):
    """The database and this version of Fidelog do not fit together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `name` is package/file and sorts within its package in order of application."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class State:
    """Which migrations the database has, and which it lacks."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


def migrations(packages: Sequence[str]) -> list[Migration]:
    """The migrations of `packages`, package by package, in order of their names."""
    return [
        Migration(f"{package}/{path.name}", path.read_text(encoding="utf-8"))
        for package in packages
        for path in sorted(resources.files(package).joinpath("sql", "migrations").iterdir(), key=lambda p: p.name)
    ]


async def state(connection: psycopg.AsyncConnection[Any], known: Sequence[Migration]) -> State:
    """Compare the database with `known`. Raises MigrationError when it has one this code does not know, or another
    text of one it does."""
    cursor = await connection.execute("SELECT to_regclass('fidelog.migrations') IS NOT NULL")
    if await cursor.fetchone() != (True,):
        return State((), tuple(m.name for m in known))
    cursor = await connection.execute("SELECT name, sha256 FROM fidelog.migrations ORDER BY applied_at, name")
    applied = dict(await cursor.fetchall())
    by_name = {m.name: m for m in known}
    for name, sha256 in applied.items():
        if name not in by_name:
            raise MigrationError(f"the database has migration {name}, which this version of Fidelog does not know; "
                                 "use the newer version")  # fmt: skip
        if by_name[name].sha256 != sha256:
            raise MigrationError(f"migration {name} was applied with another text than this version of Fidelog has; "
                                 "use the version that made the database, or restore the file")  # fmt: skip
    return State(tuple(applied), tuple(m.name for m in known if m.name not in applied))


async def migrate(connection: psycopg.AsyncConnection[Any], known: Sequence[Migration]) -> list[str]:
    """Apply what is pending, as the schema's owner; the names applied. Raises MigrationError, psycopg.Error.

    The lock is the session's: it ends with the connection, so a killed migration blocks nobody.
    """
    await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        await connection.execute(_TABLE)
        await connection.execute(_READABLE)
        pending = (await state(connection, known)).pending
        for migration in known:
            if migration.name in pending:
                await _apply(connection, migration)
        return list(pending)
    finally:
        if not connection.broken:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


async def _apply(connection: psycopg.AsyncConnection[Any], migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql.encode())
        await connection.execute(
            "INSERT INTO fidelog.migrations (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
        )
