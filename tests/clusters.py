"""Real PostgreSQL for tests: one server a session, one template database, one cheap copy a test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from api.database import migrate
from api.settings import Settings
from eventstore.database import LOGINS, Database
from eventstore.embedded import EmbeddedServer

TEMPLATE = "fidelog_template"
CLEAR_NAMES = ("Amina Patel", "Zoë Quartzfeld", "Bartholomew Nightjar")
"""Every personal name the tests use; none may ever reach the data folder."""

_numbers = itertools.count(1)


@dataclass
class Cluster:
    """A server on which tests may make databases. `data_dir` is None when it was given by its URL."""

    superuser_url: str
    state_dir: Path
    data_dir: Path | None
    server: EmbeddedServer | None = None
    templates: set[str] = field(default_factory=set)
    clean: dict[str, tuple[int, int]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """The superuser's URL of the database `name`."""
        parts = urlsplit(self.superuser_url)
        return urlunsplit(parts._replace(path=f"/{name}"))

    def execute(self, statement: sql.Composed | str, name: str = "postgres") -> None:
        """Run one statement as superuser."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(statement if isinstance(statement, sql.Composed) else statement.encode())

    def database(self, name: str) -> Database:
        """The logins of the database `name`: their own on the embedded server, by role on a given one."""
        if self.server is None:
            return Database("server", {"superuser": self.url(name)}, fallback=self.url(name))
        urls = {login: self.server.conninfo(f"fidelog_{login}", name) for login in LOGINS}
        return Database("embedded", {**urls, "superuser": self.url(name)}, data_dir=str(self.data_dir))

    def settings(self, name: str) -> Settings:
        """Settings of an API process that uses the database `name`, where the tests are the local operator."""
        database = self.database(name)
        urls = {login: database.urls[login] for login in LOGINS if login in database.urls}
        return Settings("127.0.0.1", 0, Path("unused"), self.state_of(name), database.fallback, urls, keyless=True)

    def state_of(self, name: str) -> Path:
        """A state folder for the database alone, whose log is its own; the master key in it is that of all."""
        folder, keys = self.state_dir / "of" / name, self.state_dir / "master-keys"
        if not folder.exists():
            keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True)
            (folder / "master-keys").symlink_to(keys)
        return folder

    def create(self, name: str, template: str = "template0") -> None:
        """Make the database `name`, empty or as a copy."""
        self.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

    def drop(self, name: str) -> None:
        """Drop the database, whoever is connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def copy(self) -> Iterator[str]:
        """A migrated database of a test's own."""
        if TEMPLATE not in self.templates:
            self.drop(TEMPLATE)
            self.create(TEMPLATE)
            asyncio.run(migrate(self.database(TEMPLATE), self.settings(TEMPLATE), self.url(TEMPLATE)))
            self.templates.add(TEMPLATE)
        name = f"fidelog_test_{os.getpid()}_{next(_numbers)}"
        self.create(name, TEMPLATE)
        try:
            yield name
        finally:
            self.drop(name)

    def files_with(self, names: Sequence[str]) -> list[str]:
        """Files of the data folder, WAL included, that hold any of the texts. Files that did not change since they
        were found clean are not read again."""
        if self.data_dir is None:
            return []
        texts, found = [name.encode() for name in names], []
        for path, version in _files(str(self.data_dir)):
            if self.clean.get(path) == version:
                continue
            try:
                with open(path, "rb", buffering=0) as file:
                    content = file.read()
            except FileNotFoundError:
                continue  # dropped meanwhile
            if any(text in content for text in texts):
                found.append(path)
            else:
                self.clean[path] = version
        return sorted(found)


def _files(folder: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every regular file below the folder, with when it changed and its size; without pathlib, which takes longer
    than the rest of a short test."""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file():
                        status = entry.stat()
                        yield entry.path, (status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            continue  # dropped meanwhile


@contextmanager
def cluster(folder: Path, major: Literal[16, 18] = 18) -> Iterator[Cluster]:
    """The server of FIDELOG_TEST_DATABASE_URL, or an embedded one in `folder`."""
    state_dir = folder / "state"
    given = os.environ.get("FIDELOG_TEST_DATABASE_URL")
    if given and major == 18:
        yield Cluster(given, state_dir, None)
        return
    server = EmbeddedServer(folder / "data", major=major, settings={"max_wal_size": "128MB"}, notice=lambda _: None)
    server.join()
    try:
        yield Cluster(server.conninfo("postgres", "postgres"), state_dir, folder / "data", server)
    finally:
        server.leave()
