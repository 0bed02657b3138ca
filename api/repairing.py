"""`fidelog migrate --repair-guards`: what guards the log is put back as the migrations made it, and that is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from api.administer import desk
from api.database import (
    attested,
    embedded_database,
    expected_rights,
    server_database,
    shape_differences,
)
from api.notices import notice
from api.settings import Settings, SettingsError
from domain.attestation import RecordRepair
from eventstore import rights, shape
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer
from eventstore.migrations import MigrationError

ROUNDS = 5
"""Of rights: what a login may by an attribute or a role is told before what it was granted."""


async def repair_command(settings: Settings) -> int:
    """Repair; says what was repaired. Raises MigrationError when something remains that no statement puts right."""
    if settings.embedded:
        server = EmbeddedServer(settings.data_dir, notice=notice)
        await asyncio.to_thread(server.join)
        try:
            repaired = await _repair(embedded_database(server))
            await _record(settings, repaired)
        finally:
            await asyncio.to_thread(server.leave)
    else:
        if settings.database_url is None:
            raise SettingsError("fidelog migrate needs FIDELOG_DATABASE_URL: a login that may make roles and schemas")
        repaired = await _repair(server_database(settings), settings.database_url)
        await _record(settings, repaired)
    for words in repaired:
        print(f"repaired: {words}")
    print(f"the guards are as the migrations made them: {len(repaired)} repaired")
    return 0


async def _repair(database: Database, superuser_url: str | None = None) -> list[str]:
    """What was repaired, in words."""
    superuser_url = superuser_url or database.url("superuser")
    different = await asyncio.to_thread(shape_differences, database)
    await asyncio.to_thread(_run, database, superuser_url, shape.repairs(different))
    repaired = [one.words for one in different]
    for _ in range(ROUNDS):
        wrong = await rights.wrong_rights(database, rights.read(expected_rights()))
        if not wrong:
            break
        statements = [statement for _, _, faults in wrong for statement in faults]
        await asyncio.to_thread(_run, database, superuser_url, statements)
        repaired.extend(statements)
    if remaining := await asyncio.to_thread(shape_differences, database):
        raise MigrationError(
            f"this cannot be repaired: {shape.told(remaining)}; restore the log from a backup into a new database, and "
            "keep this one for whoever finds out what happened"
        )
    return repaired


def _run(database: Database, superuser_url: str, statements: Sequence[str]) -> None:
    """Each as the owner, who then owns what is made; else as whoever may."""
    for statement in statements:
        try:
            _execute(database.url("owner"), statement)
        except psycopg.errors.InsufficientPrivilege:
            _execute(superuser_url, statement)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


async def _record(settings: Settings, repaired: Sequence[str]) -> None:
    """In every tenant's log."""
    if not repaired:
        return
    command = RecordRepair(tuple(repaired), attested())
    async with desk(settings) as open_desk:
        for tenant_id in open_desk.backend.directory.tenants:
            await open_desk.submit(tenant_id, command)
