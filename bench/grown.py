"""Logs of several sizes, side by side on a server of their own: filled, indexed, their read models made; kept for all works."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
from psycopg import sql

from api.database import DEFAULT_TENANT, open_vault
from api.sealing import incarnations, sealer
from api.settings import Settings
from bench.fill import fill
from bench.fill_rows import fill_index, fill_read_models
from bench.holdings import holdings
from bench.postgres import Postgres, running
from bench.progress import Tell
from bench.rounds import MeasurementError
from eventstore.database import LOGINS, Database
from eventstore.embedded import EmbeddedServer

FILLING: Mapping[str, str] = {
    "shared_buffers": "2GB", "max_wal_size": "16GB", "checkpoint_timeout": "1h", "autovacuum": "off",
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal", "max_wal_senders": "0",
}  # fmt: skip
"""While filling, when nothing is measured and nothing need last. The server is started anew for what is measured."""
BYTES_AN_EVENT = 2_300
"""Of disk, read models and all copies included."""
SPARE_BYTES = 10 << 30
"""For WAL, and for what is written while measuring."""


def named(events: int) -> str:
    """A log's size as it is written: 10k, 1M."""
    return f"{events // 1_000_000}M" if events % 1_000_000 == 0 else f"{events // 1000}k"


class Grown:
    """The logs in `folder`. A log is built once, whoever asks first, and used again while the folder stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "grown"
        self.notes: list[str] = [holdings().source]

    @staticmethod
    def steps(sizes: Sequence[int]) -> int:
        """How many steps of progress `build` tells at most."""
        return 5 * len(sizes)

    @staticmethod
    def name(events: int) -> str:
        """A log's database."""
        return f"grown_{events}"

    def database(self, server: Postgres, events: int) -> Database:
        """The logins of a log's database."""
        name = self.name(events)
        urls = {login: server.server.conninfo(f"fidelog_{login}", name) for login in LOGINS}
        return Database("embedded", {**urls, "superuser": server.url(name)}, data_dir=str(server.data_dir))

    @contextmanager
    def running(self) -> Iterator[Postgres]:
        """The server with the settings that Fidelog gives it."""
        with running(self._folder) as server:
            yield server

    def build(self, sizes: Sequence[int], tell: Tell) -> None:
        """Make the logs of these sizes, ascending, unless they are there: each goes on from a copy of the one before.

        Raises MeasurementError when the disk has too little room.
        """
        built = self._folder / "built"
        if built.exists():
            self._use_again(built, sizes)
            return
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        _refuse_a_full_disk(self._folder.parent, sizes)
        self._folder.mkdir()
        server = EmbeddedServer(self._folder / "data", settings=FILLING, notice=lambda _: None)
        server.join()
        try:
            postgres, before = Postgres(server, self._folder), 0
            for events in sizes:
                self._grow(postgres, before, events, tell)
                before = events
            for events in sizes:  # a log that was copied goes on under its own name, so none is sealed before
                self._seal(postgres, events, tell)
            with psycopg.connect(postgres.url(), autocommit=True) as connection:
                connection.execute("CHECKPOINT")
        finally:
            server.leave()
        os.sync()
        built.write_bytes(orjson.dumps({"sizes": sizes, "notes": self.notes}))

    def _use_again(self, built: Path, sizes: Sequence[int]) -> None:
        found = orjson.loads(built.read_bytes())
        if missing := set(sizes) - set(found["sizes"]):
            raise MeasurementError(
                f"{self._folder} holds no log of {', '.join(map(named, sorted(missing)))} events; remove it, or name another"
            )
        self.notes = found["notes"]

    def _grow(self, postgres: Postgres, before: int, events: int, tell: Tell) -> None:
        if before:
            _copy(postgres, self.name(before), self.name(events))
            database = self.database(postgres, events)
        else:
            database = postgres.migrated(self.name(events))
        vault = asyncio.run(open_vault(database, postgres.settings(database)))
        stages: Mapping[str, Callable[[], object]] = {
            "log": lambda: fill(database, vault, events),
            "officer's index": lambda: fill_index(database),
            "read models": lambda: fill_read_models(database),
            "vacuum": lambda: self.vacuum(postgres, events),
        }
        seconds = {}
        for stage, make in stages.items():
            tell(f"filling {named(events)} events: {stage}")
            seconds[stage] = _timed(make)
        self.notes.append(
            f"{named(events)} filled: {', '.join(f'{name} {each:.0f} s' for name, each in seconds.items())}"
        )

    def vacuum(self, server: Postgres, events: int) -> None:
        """What autovacuum would do to a table just filled, perhaps while something else is measured."""
        with psycopg.connect(server.url(self.name(events)), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")

    def _seal(self, postgres: Postgres, events: int, tell: Tell) -> None:
        """Seal it as `fidelog serve` does, which would otherwise do so while something is measured."""
        tell(f"filling {named(events)} events: tiles and checkpoint")
        database = self.database(postgres, events)
        seconds = _timed(lambda: asyncio.run(_sealed(database, postgres.settings(database), events)))
        self.notes.append(f"{named(events)} sealed: {seconds:.0f} s")


async def _sealed(database: Database, settings: Settings, events: int) -> None:
    one = sealer(incarnations(settings), DEFAULT_TENANT, database)
    running = asyncio.create_task(one.run(database.url("sealer")))
    try:
        while one.position < events:
            await asyncio.sleep(0.05)
            if one.fault is not None:
                raise MeasurementError(f"the log is not sealed: {one.fault}")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _copy(postgres: Postgres, name: str, copy: str) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(copy), sql.Identifier(name)
            )
        )


def _refuse_a_full_disk(folder: Path, sizes: Sequence[int]) -> None:
    free, needed = shutil.disk_usage(folder).free, BYTES_AN_EVENT * sum(sizes) + SPARE_BYTES
    if free < needed:
        raise MeasurementError(
            f"logs of {', '.join(map(named, sizes))} events need {needed >> 30} GiB in {folder}, where {free >> 30} GiB are "
            "free; make room, set TMPDIR to a roomier disk, or measure smaller logs"
        )
