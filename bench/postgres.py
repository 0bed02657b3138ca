"""The one PostgreSQL all contenders share: Fidelog's embedded server in a temporary folder, a database for each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from api.database import migrate
from api.settings import Settings
from bench.rounds import MeasurementError
from eventstore.database import LOGINS, Database
from eventstore.embedded import EmbeddedServer

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@dataclass(frozen=True)
class Postgres:
    """The server and its folders. `fidelog serve` joins it by the same data folder."""

    server: EmbeddedServer
    folder: Path
    kept: Path | None = None

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """Where logs that took long to fill lie: kept after the run when it was asked to."""
        return self.kept or self.folder

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def url(self, name: str = "postgres") -> str:
        """The superuser's URL of a database: no peer is slowed by row-level security or missing rights."""
        return self.server.conninfo("postgres", name)

    def create(self, name: str) -> str:
        """Make an empty database; its superuser's URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name))
            )
        return self.url(name)

    def migrated(self, name: str) -> Database:
        """Make a database with Fidelog's schema, guards, policies and logins, and the tenant `default`."""
        superuser_url = self.create(name)
        urls = {login: self.server.conninfo(f"fidelog_{login}", name) for login in LOGINS}
        database = Database("embedded", {**urls, "superuser": superuser_url}, data_dir=str(self.data_dir))
        asyncio.run(migrate(database, self.settings(database), superuser_url))
        return database

    def settings(self, database: Database) -> Settings:
        """Settings of a process that uses the database by its logins' own URLs."""
        urls = {login: database.urls[login] for login in LOGINS}
        return Settings("127.0.0.1", 0, self.data_dir, self._state_of(database), None, urls)

    def _state_of(self, database: Database) -> Path:
        """A state folder of the database's own, since what a log signed last is one log's; the master key is that of all."""
        name = str(conninfo_to_dict(database.urls["writer"])["dbname"])
        folder, keys = self.state_dir / "of" / name, self.state_dir / "master-keys"
        if not folder.exists():
            keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True)
            (folder / "master-keys").symlink_to(keys)
        return folder

    def row(self, query: str, name: str = "postgres") -> tuple[Any, ...]:
        """The one row of a query."""
        with psycopg.connect(self.url(name)) as connection:
            found = connection.execute(query.encode()).fetchone()
        assert found is not None
        return found

    def durability(self) -> dict[str, str]:
        """The settings that make a commit durable. Raises MeasurementError unless all are on."""
        found = {name: str(self.row(f"SHOW {name}")[0]) for name in DURABLE}
        if set(found.values()) != {"on"}:
            raise MeasurementError(f"commits are not durable on this server: {found}")
        return found


@contextmanager
def running(folder: Path, kept: Path | None = None) -> Iterator[Postgres]:
    """A server in `folder`, stopped at the end; `kept`: a folder for logs that stays."""
    server = EmbeddedServer(folder / "data", notice=lambda _: None)
    server.join()
    try:
        yield Postgres(server, folder, kept)
    finally:
        server.leave()
