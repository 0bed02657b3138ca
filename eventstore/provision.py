"""What stands before the first migration: server version, encoding, logins, database, schema; and tenants."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from eventstore.database import LOGINS, Database
from eventstore.migrations import LOCK, Migration, MigrationError, migrate
from eventstore.vault.vault import Vault

OLDEST_SERVER = 150000

TENANT = r"[a-z0-9][a-z0-9_-]{0,62}"
"""How a tenant may be named."""


async def create_database(superuser_url: str, name: str) -> None:
    """Make the database `name`, UTF8, unless it is there."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if await cursor.fetchone() is None:
            query = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name))
            # Another process may make it at the same moment.
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                await connection.execute(query)


async def prepare(url: str) -> None:
    """Make logins and schema in the database at `url`, connected as one who may. Raises MigrationError."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await check_server(connection)
        await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))  # until the connection ends
        try:
            before = await _logins(connection)
            await connection.execute(resources.files("eventstore").joinpath("sql", "roles.sql").read_bytes())
            await _own_schema(connection, made=await _logins(connection) - before)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"this login may not prepare the database ({error.diag.message_primary}); migrate once as a "
                "superuser, or as a role with CREATEROLE that owns the database"
            ) from error


async def _logins(connection: psycopg.AsyncConnection[Any]) -> frozenset[str]:
    """Which of the roles of our logins there are."""
    names = [f"fidelog_{login}" for login in LOGINS]
    cursor = await connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", (names,))
    return frozenset(name for (name,) in await cursor.fetchall())


async def _own_schema(connection: psycopg.AsyncConnection[Any], made: frozenset[str]) -> None:
    """Make the schema unless it is there; `made` are the roles that are new."""
    cursor = await connection.execute(
        "SELECT 1 FROM pg_namespace WHERE nspname = 'fidelog' AND nspowner = 'fidelog_owner'::regrole"
    )
    stands = await cursor.fetchone() is not None
    cursor = await connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    row = await cursor.fetchone()
    if row is not None and not row[0]:
        # Connections of the fallback URL take their role at start-up: its user must be a member of all.
        for name in sorted(made if stands else await _logins(connection)):
            await connection.execute(sql.SQL("GRANT {} TO current_user").format(sql.Identifier(name)))
    if not stands:
        await connection.execute("CREATE SCHEMA IF NOT EXISTS fidelog AUTHORIZATION fidelog_owner")


async def check_server(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raises MigrationError unless the server is new enough and the database is UTF8."""
    if connection.info.server_version < OLDEST_SERVER:
        raise MigrationError(
            f"the server is PostgreSQL {connection.info.server_version // 10000}; Fidelog needs 15 or newer"
        )
    cursor = await connection.execute(
        "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
    )
    row = await cursor.fetchone()
    if row is None or row[0] != "UTF8":
        raise MigrationError("the database's encoding is not UTF8; create it with ENCODING 'UTF8' TEMPLATE template0")


async def migrate_database(database: Database, known: Sequence[Migration]) -> list[str]:
    """Apply the pending migrations as owner; their names."""
    async with await psycopg.AsyncConnection.connect(database.url("owner"), autocommit=True) as connection:
        return await migrate(connection, known)


async def create_tenant(database: Database, vault: Vault, tenant_id: str) -> None:
    """Make the tenant's lock row and its key of keyed hashes unless they are there (as owner)."""
    epoch, wrapped = vault.new_tenant_key(tenant_id)
    async with await psycopg.AsyncConnection.connect(database.url("owner")) as connection:
        await connection.execute(
            "INSERT INTO fidelog.tenant_keys (tenant_id, epoch, wrapped) SELECT %s, %s, %s"
            " WHERE NOT EXISTS (SELECT 1 FROM fidelog.tenant_keys WHERE tenant_id = %s) ON CONFLICT DO NOTHING",
            (tenant_id, epoch, wrapped, tenant_id),
        )
        await connection.execute(
            "INSERT INTO fidelog.logs (tenant_id) VALUES (%s) ON CONFLICT DO NOTHING", (tenant_id,)
        )


async def open_tenant(database: Database, vault: Vault, tenant_id: str) -> None:
    """Take the tenant's key of keyed hashes into use. Raises MigrationError, KeyUnavailable."""
    async with await psycopg.AsyncConnection.connect(database.url("reader"), autocommit=True) as connection:
        await connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (tenant_id,))
        cursor = await connection.execute(
            "SELECT epoch, wrapped FROM fidelog.tenant_keys WHERE tenant_id = %s", (tenant_id,)
        )
        row = await cursor.fetchone()
    if row is None:
        raise MigrationError(f"the database has no tenant {tenant_id}; run fidelog migrate")
    vault.open_tenant(tenant_id, *row)
