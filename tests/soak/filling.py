"""A long log, filled in while no Fidelog runs; and its tables, changed behind the guards' backs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from eventstore.embedded import EmbeddedServer
from tests.processes.fidelog_process import PROJECT, Folders, environment

GUARDS = """SELECT tgname FROM pg_trigger
WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled = 'A'"""


@contextmanager
def filled(folders: Folders, events: int) -> Iterator[str]:
    """PostgreSQL of the data folder, without Fidelog, its log filled up to `events`; a superuser's URL."""
    server = EmbeddedServer(folders.data, notice=lambda line: None)
    server.join()
    try:
        url = folders.superuser_url()
        filling = [sys.executable, "-m", "bench.fill", "--events", str(events), "--state-dir", str(folders.state), url]
        done = subprocess.run(filling, env=environment(), cwd=PROJECT, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"bench.fill failed: {done.stderr[-1000:]}")
        yield url
    finally:
        server.leave()


@contextmanager
def unguarded(connection: psycopg.Connection, table: str) -> Iterator[sql.Identifier]:
    """The table, named for statements, its guards switched off."""
    name = sql.Identifier("fidelog", table)
    guards = [guard for (guard,) in connection.execute(GUARDS, (f"fidelog.{table}",)).fetchall()]
    assert guards, "there is something to switch off"
    connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
    yield name
    for guard in guards:
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(name, sql.Identifier(guard)))
