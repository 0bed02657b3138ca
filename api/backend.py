"""What the routes stand on: database, vault, writer, queries; started, watched and stopped together."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from api.database import DEFAULT_TENANT, check_logins, open_vault, start_embedded, use_server, weak_logins
from api.leases import LeaseSweep
from api.metrics import Metrics
from api.settings import Settings
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer, EmbeddedServerError
from eventstore.errors import DatabaseUnavailable
from eventstore.ids import RandomIds
from eventstore.pipeline import Pipeline
from eventstore.reading import Log, Reader
from eventstore.records import RecordedEvent
from eventstore.vault.vault import Vault
from eventstore.writer.engine import Engine
from eventstore.writer.queues import Limits
from eventstore.writer.transaction import STATEMENTS
from eventstore.writer.writer import Writer
from projections.audit_index import audit_index
from projections.engine import engine as product_engine
from projections.engine import read_models
from projections.queries import Queries
from projections.tail import Tail
from projections.trail import Trail

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
FIRST_TURN_SECONDS = 2.0
READER_PATIENCE = 5.0
"""How much longer than PostgreSQL lets a statement run its answer is waited for."""

Condition = Literal["starting", "ready", "database-unavailable", "stopping"]


def _settle_collector() -> None:
    """What is loaded by now stays for good, and a batch makes thousands of objects that no cycle holds: without this
    the cyclic collector looks at all of them again and again, a quarter of the time spent deciding."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Backend:
    """One process's way to the log. `condition` says whether it can be used."""

    database: Database
    vault: Vault
    reader: Reader
    log: Log
    queries: Queries
    trail: Trail
    writer: Writer

    def __init__(self, settings: Settings, limits: Limits | None = None, engine: Engine | None = None) -> None:
        self.settings = settings
        self.tenant_id = DEFAULT_TENANT
        self.condition: Condition = "starting"
        self.ids = RandomIds()
        self._limits = limits or Limits(queue_commands=settings.limits.queued_commands)
        self.engine = engine or product_engine()
        self._server: EmbeddedServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._following: list[asyncio.Task[None]] = []
        self.index: Tail = audit_index(self.tenant_id)
        self.tails: tuple[Tail, ...] = (self.index,)
        self.metrics = Metrics(lambda: self.writer.depth if self.condition != "starting" else 0, lambda: self.tails)

    async def start(self, notice: Callable[[str], None]) -> None:
        """Bring everything up. Raises EmbeddedServerError, MigrationError, KeyUnavailable, psycopg.Error."""
        if self.settings.database_url is None and not self.settings.login_urls:
            self._server, self.database = await start_embedded(self.settings, notice)
        else:
            self.database = await use_server(self.settings)
            if weak := weak_logins(self.database):
                notice(weak)
        await check_logins(self.database)
        self.vault = await open_vault(self.database, self.settings)
        await self._open()
        await self.log.head(self.tenant_id)
        await self._follow()
        _settle_collector()
        self.condition = "ready"
        sweep = LeaseSweep(self.tenant_id, self.queries, self.writer, self.vault, self.ids)
        self._tasks = [
            asyncio.create_task(self._watching(notice), name="watch"),
            asyncio.create_task(sweep.run(), name="leases"),
        ]

    def require(self) -> None:
        """Raises DatabaseUnavailable until everything is up."""
        if self.condition == "starting":
            raise DatabaseUnavailable("the server is starting")

    async def _open(self) -> None:
        patience = self.settings.limits.statement_seconds + READER_PATIENCE
        self.reader = Reader(self.database.url("reader"), patience=patience)
        await self.reader.open()
        self.log = Log(self.reader, self.engine.codec)
        self.queries = Queries(self.reader, self.log, self.vault, read_models(self.engine))
        self.trail = Trail(self.reader)
        self.writer = Writer(self._connect, self.engine, self.vault, self._limits, self._on_batch)
        self.writer.start()

    async def _connect(self) -> Pipeline:
        statements = [*STATEMENTS, *self.engine.statements()]
        return await Pipeline.connect(self.database.url("writer"), statements)

    async def _follow(self) -> None:
        """Start the tails; each looks once before anybody is told how far it has got."""
        url = self.database.url("keeper")
        self._following = [asyncio.create_task(tail.run(url), name=f"tail-{tail.name}") for tail in self.tails]
        await asyncio.gather(*(tail.first_turn(FIRST_TURN_SECONDS) for tail in self.tails))

    def _on_batch(self, commands: int, events: Sequence[RecordedEvent], seconds: float) -> None:
        """Count; and when events were committed, whoever follows the log need not wait for its timer."""
        self.metrics.batch(commands, seconds)
        if events:
            self.metrics.appended(events)
            for tail in self.tails:
                tail.wake()

    def end_waits(self) -> None:
        """The server is about to stop: requests that wait for something are answered now."""
        for tail in self.tails:
            tail.end_waits()

    async def _watching(self, notice: Callable[[str], None]) -> None:
        """Notice when the database goes away, and see that the embedded one comes back."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.reader.ping(self.tenant_id)
                self.condition = "ready"
            except DatabaseUnavailable:
                if self.condition == "ready":
                    notice("the database does not answer; writes get 503 until it does")
                self.condition = "database-unavailable"
                await self._restart(notice)

    async def _restart(self, notice: Callable[[str], None]) -> None:
        if self._server is None:
            return
        try:
            if await asyncio.to_thread(self._server.ensure_running):
                notice("the database was started again")
        except EmbeddedServerError as error:
            notice(str(error))

    async def stop(self, drain_seconds: float = 10.0) -> None:
        """Finish what was taken, close, and leave the embedded server (the last to leave stops it)."""
        self.condition = "stopping"
        self.end_waits()
        if self._tasks:
            await _end(self._tasks)
            await self.writer.close(drain_seconds)
            await self.reader.close()
        await _end(self._following)
        if self._server is not None:
            await asyncio.to_thread(self._server.leave)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
