"""`fidelog migrate`, `status`, `database-url`: what an operator does besides serving."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import psycopg
from rich.console import Console
from rich.table import Table

from api import __version__
from api.database import (
    embedded_database,
    migrate,
    migration_state,
    server_database,
    start_embedded,
    weak_logins,
)
from api.master_keys import MasterKeyAge
from api.notices import notice
from api.settings import Settings
from eventstore.database import Database
from eventstore.describing import Description, TailPlace, describe
from eventstore.embedded import EmbeddedServer, EmbeddedServerError
from eventstore.errors import DatabaseUnavailable
from eventstore.migrations import MigrationError, State
from eventstore.proof.policy import Policy
from eventstore.times import timestamp


def running_database(settings: Settings) -> Database:
    """The database in use. Raises EmbeddedServerError when the embedded server does not run."""
    if not settings.embedded:
        return server_database(settings)
    server = EmbeddedServer(settings.data_dir, notice=notice)
    if not server.is_running():
        raise EmbeddedServerError(f"no database runs in {settings.data_dir}", "start it with fidelog serve (make run)")
    return embedded_database(server)


async def migrate_command(settings: Settings) -> int:
    """Migrate; says what was applied."""
    if settings.embedded:
        server, database = await start_embedded(settings, notice)
        state = await migration_state(database)
        await asyncio.to_thread(server.leave)
        print(f"the database is up to date: {len(state.applied)} migrations applied")
        return 0
    if settings.database_url is None:
        raise MigrationError("fidelog migrate needs FIDELOG_DATABASE_URL: a login that may make roles and schemas")
    database = server_database(settings)
    applied = await migrate(database, settings, settings.database_url)
    for name in applied:
        print(f"applied {name}")
    print(f"the database is up to date: {len((await migration_state(database)).applied)} migrations applied")
    return 0


async def status_command(settings: Settings, *, as_json: bool) -> int:
    """Show the status; 1 when the database cannot be reached."""
    try:
        database = running_database(settings)
        description, state = await describe(database, _policy(settings)), await migration_state(database)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"the database cannot be reached ({error}); see that it runs and that the URL is right"
        ) from error
    content = _content(database, description, state, settings)
    if as_json:
        print(orjson.dumps(content).decode())
    else:
        _show(content, database)
    return 0


def _policy(settings: Settings) -> Policy | None:
    return None if settings.witnessing is None else settings.witnessing.policy


def _content(database: Database, description: Description, state: State, settings: Settings) -> dict[str, Any]:
    age = MasterKeyAge.read(settings)
    return {
        "version": __version__,
        "database": {
            "kind": database.kind,
            "server_version": description.server_version,
            "data_dir": database.data_dir,
        },
        "migrations": {"applied": list(state.applied), "pending": list(state.pending)},
        "tenants": [
            {
                "tenant_id": tenant.tenant_id,
                "head": tenant.head,
                "recorded_at": timestamp(tenant.recorded_at),
                "tails": [_tail(tail, tenant.head) for tail in tenant.tails],
                "sealed_at": timestamp(tenant.sealed_at),
                "witnessed_at": timestamp(tenant.witnessed_at),
                "erasures": age.erasures(tenant.erased),
            }
            for tenant in description.tenants
        ],
        "sizes": {"events_bytes": description.events_bytes, "total_bytes": description.total_bytes},
    }


def _tail(tail: TailPlace, head: int) -> dict[str, Any]:
    found = {"name": tail.name, "position": tail.position, "lag": head - tail.position}
    return found if tail.fault is None else {**found, "fault": tail.fault}


def _tail_text(tail: dict[str, Any]) -> str:
    fault = f", stands still: {tail['fault']}" if "fault" in tail else ""
    return f"{tail['name']} {tail['position']} ({tail['lag']}){fault}"


def _erasures_text(erasures: dict[str, Any]) -> str:
    here, backups, since = erasures["done_here"], erasures["done_in_backups"], erasures["in_backups_from"]
    if here == backups:
        return f"{here} done here, {backups} done in backups, from {since} on"
    return f"{here} done here, {backups} done in backups, the rest from {since or 'the next rotation of the master key'} on"


def _show(content: dict[str, Any], database: Database) -> None:
    console = Console(highlight=False)
    where = database.data_dir or "a server of yours"
    console.print(f"Fidelog {content['version']}")
    console.print(
        f"database    {content['database']['kind']}, PostgreSQL {content['database']['server_version']}, {where}"
    )
    pending = content["migrations"]["pending"]
    applied = len(content["migrations"]["applied"])
    console.print(f"migrations  {applied} applied, {len(pending)} pending{': run fidelog migrate' if pending else ''}")
    sizes = content["sizes"]
    console.print(f"sizes       events {sizes['events_bytes']:,} bytes, in all {sizes['total_bytes']:,} bytes")
    for tenant in content["tenants"]:
        if tenant["erasures"]["done_here"]:
            console.print(f"erasures    {tenant['tenant_id']}: {_erasures_text(tenant['erasures'])}", soft_wrap=True)
    if weak := weak_logins(database):
        console.print(weak)
    table = Table("tenant", "head", "recorded, sealed, witnessed at", "tails (position, lag)", show_lines=True)
    for tenant in content["tenants"]:
        tails = ", ".join(map(_tail_text, tenant["tails"])) or "none"
        times = (
            tenant["recorded_at"] or "no events",
            tenant["sealed_at"] or "never",
            tenant["witnessed_at"] or "never",
        )
        table.add_row(tenant["tenant_id"], str(tenant["head"]), "\n".join(times), tails)
    console.print(table)
