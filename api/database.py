"""The database of a process: the embedded server it joins, or the server it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import resources

import psycopg
from psycopg import RawCursor

from api.settings import Settings
from eventstore import provision
from eventstore import shape as shapes
from eventstore.database import LOGINS, READ_SECONDS, Database, Login
from eventstore.embedded import EmbeddedServer
from eventstore.migrations import Migration, MigrationError, State, migrations, state
from eventstore.rights import check_rights, read
from eventstore.statements import statement
from eventstore.vault.keys import MasterKeys
from eventstore.vault.rotation import bring_back
from eventstore.vault.vault import Vault

DEFAULT_TENANT = "default"
NAME = "fidelog"
DIRECTORY = statement("projections", "directory")


def known_migrations() -> list[Migration]:
    """Every migration of this version, in order."""
    return migrations(["eventstore", "projections"])


def embedded_database(server: EmbeddedServer, read_seconds: float = READ_SECONDS) -> Database:
    """The database `fidelog` of the embedded server; each login has its own URL."""
    urls: dict[Login, str] = {login: server.conninfo(f"fidelog_{login}", NAME) for login in LOGINS}
    urls["superuser"] = server.conninfo("postgres", NAME)
    return Database("embedded", urls, data_dir=str(server.data_dir), read_seconds=read_seconds)


def server_database(settings: Settings) -> Database:
    """The database of FIDELOG_DATABASE_URL and the URLs of single logins."""
    read_seconds = settings.limits.statement_seconds
    return Database("server", settings.login_urls, fallback=settings.database_url, read_seconds=read_seconds)


async def migrate(database: Database, settings: Settings, superuser_url: str) -> list[str]:
    """Bring the database up to this version: logins, schema, migrations, the tenant `default`.

    Returns the migrations applied. Raises MigrationError, KeyUnavailable, psycopg.Error.
    """
    await provision.prepare(superuser_url)
    try:
        applied = await provision.migrate_database(database, known_migrations())
    except psycopg.OperationalError as error:
        raise MigrationError(
            f"this login may not act as fidelog_owner ({str(error).splitlines()[0]}); migrate as a superuser, or as a "
            "role with CREATEROLE that made the logins"
        ) from error
    async with await psycopg.AsyncConnection.connect(database.url("owner"), autocommit=True) as connection:
        cursor = await connection.execute("SELECT EXISTS (SELECT 1 FROM fidelog.tenant_keys)")
        has_keys = await cursor.fetchone() == (True,)
    # With keys in the database, only the state folder that wrapped them will do: a new master key would hide that.
    masters = MasterKeys.open(settings.state_dir, create=not has_keys)
    await provision.create_tenant(database, Vault(masters), DEFAULT_TENANT)
    return applied


async def migration_state(database: Database) -> State:
    """Which migrations are applied and which pending. Raises MigrationError, psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(database.url("reader"), autocommit=True) as connection:
        await provision.check_server(connection)
        return await state(connection, known_migrations())


def expected_rights() -> str:
    """What the migrations grant, as the table of rights has it."""
    return resources.files("api").joinpath("rights.txt").read_text(encoding="utf-8")


def expected_shape() -> list[shapes.Line]:
    """The schema that the migrations make."""
    return shapes.read(resources.files("api").joinpath("shape.ndjson").read_text(encoding="utf-8"))


def shape_differences(database: Database, login: Login = "reader") -> list[shapes.Difference]:
    """What of the schema is not as the migrations made it. Raises psycopg.Error."""
    with psycopg.connect(database.url(login), autocommit=True) as connection:
        return shapes.differences(shapes.shape(connection), expected_shape())


def attested() -> str:
    """The hash of the schema and rights that this version's migrations make."""
    return shapes.digest(expected_shape(), expected_rights())


async def check_shape(database: Database) -> None:
    """Raises MigrationError when guards, policies, owners or tables of the log are not as the migrations made them."""
    different = await asyncio.to_thread(shape_differences, database)
    if different:
        raise MigrationError(
            f"the schema is not what the migrations made: {shapes.told(different)}; find out who changed it, then run "
            "fidelog migrate --repair-guards"
        )


async def check_logins(database: Database) -> None:
    """Raises MigrationError when a login may do more, or less, than the migrations grant it (api/rights.txt)."""
    await check_rights(database, read(expected_rights()))


def tenant_names(database: Database) -> list[str]:
    """The tenants there are, in order of their names. Raises psycopg.Error."""
    with psycopg.connect(database.url("reader"), autocommit=True, cursor_factory=RawCursor) as connection:
        return sorted(row[0] for row in connection.execute(DIRECTORY.sql.encode(), ("{}",)).fetchall())


async def hold_to_state(database: Database, settings: Settings) -> int:
    """A database that was restored from before a rotation of master keys gets keys that open; how many keys cannot be had,
    those of erased people among them. Raises KeyUnavailable, psycopg.Error."""
    masters = MasterKeys.open(settings.state_dir, create=False)
    names = await asyncio.to_thread(tenant_names, database)
    return await asyncio.to_thread(bring_back, database.url("keeper"), settings.state_dir, masters, names)


async def open_vault(database: Database, settings: Settings) -> Vault:
    """The vault with the tenant's key in use. Raises KeyUnavailable, MigrationError."""
    vault = Vault(MasterKeys.open(settings.state_dir, create=False))
    await provision.open_tenant(database, vault, DEFAULT_TENANT)
    return vault


async def start_embedded(settings: Settings, notice: Callable[[str], None]) -> tuple[EmbeddedServer, Database]:
    """Join the embedded server and migrate its database. Raises EmbeddedServerError and what `migrate` raises."""
    server = EmbeddedServer(settings.data_dir, notice=notice)
    await _join(server)
    try:
        await provision.create_database(server.conninfo("postgres", "postgres"), NAME)
        database = embedded_database(server, settings.limits.statement_seconds)
        await migrate(database, settings, database.url("superuser"))
    except BaseException:
        await asyncio.to_thread(server.leave)
        raise
    return server, database


async def _join(server: EmbeddedServer) -> None:
    """Join in a thread. Cancelled, it gives up and waits for the thread: nothing is left running unnoticed."""
    joining = asyncio.ensure_future(asyncio.to_thread(server.join))
    try:
        await asyncio.shield(joining)
    except asyncio.CancelledError:
        server.give_up()
        await asyncio.gather(joining, return_exceptions=True)
        await asyncio.to_thread(server.leave)
        raise


async def use_server(settings: Settings) -> Database:
    """The given server's database, found migrated. Raises MigrationError, psycopg.Error."""
    database = server_database(settings)
    try:
        pending = (await migration_state(database)).pending
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        if isinstance(error, psycopg.OperationalError) and not await _answers(settings.database_url):
            raise
        pending = tuple(
            migration.name for migration in known_migrations()
        )  # not even the logins or their rights are there
    if pending:
        raise MigrationError(f"the database is not migrated ({', '.join(pending)} pending); run fidelog migrate")
    return database


async def _answers(url: str | None) -> bool:
    """Whether the server can be reached as the URL says, without taking a role."""
    if url is None:
        return False
    try:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def weak_logins(database: Database) -> str | None:
    """A warning when logins share one URL and only take their role at start-up."""
    weak = database.weak_logins
    if not weak or database.fallback is None:
        return None
    logins = f"the logins {', '.join(weak)} connect" if len(weak) > 1 else f"the login {weak[0]} connects"
    return (
        f"warning: {logins} by FIDELOG_DATABASE_URL and only then take their role, so whoever holds that URL can take "
        "any role; give each login a URL of its own (FIDELOG_WRITER_URL, FIDELOG_READER_URL, …)"
    )
