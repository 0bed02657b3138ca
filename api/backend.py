"""What the routes stand on: database, vault, writer, queries; started, watched and stopped together."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from api.database import (
    DEFAULT_TENANT,
    check_logins,
    check_shape,
    hold_to_state,
    open_vault,
    start_embedded,
    use_server,
    weak_logins,
)
from api.erased_tasks import ErasedTasks
from api.erasures import Erasures
from api.identity import uses
from api.identity.accesses import Accesses
from api.identity.directory import Directory
from api.identity.gate import Gate
from api.identity.issuer import Issuer
from api.leases import LeaseSweep
from api.master_keys import MonthlyRotation
from api.metrics import Metrics
from api.scheduled import Schedule
from api.sealing import incarnations, sealer
from api.settings import Settings
from api.tenancy import Sweep, Tenancies, end
from domain.administration import NAMING
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer, EmbeddedServerError
from eventstore.errors import DatabaseUnavailable
from eventstore.exporting.proving import Proofs
from eventstore.following import Following
from eventstore.ids import TimedIds
from eventstore.pipeline import Pipeline
from eventstore.reading import Log, Reader
from eventstore.records import RecordedEvent
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.sealer import Sealer
from eventstore.sealing.serving import TiledLog
from eventstore.vault.vault import Vault
from eventstore.writer.engine import Engine
from eventstore.writer.internal import InternalCommands
from eventstore.writer.queues import Limits
from eventstore.writer.transaction import STATEMENTS
from eventstore.writer.writer import Writer
from projections.engine import engine as product_engine
from projections.engine import read_models
from projections.queries import Queries
from projections.tail import Tail
from projections.trail import Trail

if TYPE_CHECKING:
    from api.cosigning import Cosigners
    from api.identity.tokens import Tokens

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
READER_PATIENCE = 5.0
"""How much longer than PostgreSQL lets a statement run its answer is waited for."""

Condition = Literal["starting", "ready", "database-unavailable", "stopping"]


def _settle_collector() -> None:
    """What is loaded by now stays for good, and a batch makes thousands of objects that no cycle holds: without this
    the cyclic collector looks at all of them again and again, a quarter of the time spent deciding."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _tokens(issuer: Issuer) -> Tokens:
    # Here, not above: what verifies tokens takes long to load, and most processes take none.
    from api.identity.tokens import Tokens

    return Tokens(issuer)


class Backend:
    """One process's way to the log. `condition` says whether it can be used; `followed`, whether tails follow the log."""

    database: Database
    vault: Vault
    erasures: Erasures
    reader: Reader
    log: Log
    queries: Queries
    trail: Trail
    tiled: TiledLog
    writer: Writer
    internal: InternalCommands
    directory: Directory

    def __init__(
        self, settings: Settings, limits: Limits | None = None, engine: Engine | None = None, *, followed: bool = True
    ) -> None:
        self.settings = settings
        self.tenant_id = DEFAULT_TENANT
        self.condition: Condition = "starting"
        self.ids = TimedIds()
        self._limits = limits or Limits(queue_commands=settings.limits.queued_commands)
        self.engine = engine or product_engine()
        self._server: EmbeddedServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._gate: Gate | None = None
        self._cosigners: Cosigners | None = None
        self._uses_saved = time.monotonic()
        self.logs = incarnations(settings)
        self._tenancies = Tenancies(self._sweeps, self._sealer, self._cosigning, followed=followed)
        self._followed = followed
        self._schedule: Schedule | None = None
        self.metrics = Metrics(
            lambda: self.writer.depth if self.condition != "starting" else 0, lambda: self._tenancies.tails
        )

    async def start(self, notice: Callable[[str], None]) -> None:
        """Bring everything up. Raises EmbeddedServerError, MigrationError, KeyUnavailable, psycopg.Error."""
        await self._join(notice)
        if not self.settings.embedded and (weak := weak_logins(self.database)):
            notice(weak)
        await check_logins(self.database)
        await self._open(notice)
        await self.log.head(self.tenant_id)
        await self._tenancies.serve(self.directory.tenants, self.database)
        for fault in {tail.fault for tail in self.tails if tail.fault is not None}:
            notice(fault)
        _settle_collector()
        self.condition = "ready"
        rotation = MonthlyRotation(self.settings, self.database)
        self._tasks = [
            asyncio.create_task(self._watching(notice), name="watch"),
            asyncio.create_task(rotation.run(), name="rotation"),
        ]
        if self._followed:
            self._schedule = Schedule(
                self.settings, self.database, self.log, self.internal, lambda: self.directory.tenants
            )
            self.metrics.add(self._schedule)
            self._tasks.append(asyncio.create_task(self._schedule.run(), name="verification"))

    async def open(self, notice: Callable[[str], None]) -> None:
        """Bring up what reads and writes, for a command beside the service. Raises as `start` does."""
        await self._join(notice)
        await self._open(notice)

    async def _join(self, notice: Callable[[str], None]) -> None:
        if self.settings.embedded:
            self._server, self.database = await start_embedded(self.settings, notice)
        else:
            self.database = await use_server(self.settings)

    async def _hold_erasures(self, lost: int, notice: Callable[[str], None]) -> None:
        """P8: nobody who was erased is served again because a backup was restored."""
        again = await self.erasures.hold(self.internal, self.database.url("keeper"), self.directory.tenants)
        if again:
            notice(f"the database was restored from before {again} erasures; they were carried out again")
        if lost > again:
            notice(f"{lost - again} keys of clients cannot be opened with this state folder, nor what they sealed")

    def require(self) -> None:
        """Raises DatabaseUnavailable until everything is up."""
        if self.condition == "starting":
            raise DatabaseUnavailable("the server is starting")

    def gate(self) -> Gate | None:
        """Who admits callers; None until everything is up."""
        return self._gate

    async def serve(self, tenant_id: str) -> None:
        """Take a tenant into service that appeared since the watch last looked."""
        if tenant_id not in self._tenancies:
            await self._tenancies.serve([tenant_id], self.database)

    def index(self, tenant_id: str) -> Tail:
        """The tail that fills the tenant's part of the officer's index."""
        return self._tenancies[tenant_id].index

    @property
    def tails(self) -> tuple[Following, ...]:
        """Every tail of this process."""
        return self._tenancies.tails

    def verification(self, tenant_id: str) -> dict[str, Any] | None:
        """What is known of the tenant's last verification."""
        return None if self._schedule is None else self._schedule.told(tenant_id)

    def _sweeps(self, tenant_id: str) -> tuple[Sweep, ...]:
        erased = ErasedTasks(tenant_id, self.queries, self.internal, self.vault, lambda: self.index(tenant_id).head)
        return LeaseSweep(tenant_id, self.queries, self.internal), erased

    def _sealer(self, tenant_id: str) -> Sealer:
        return sealer(self.logs, tenant_id, self.database)

    def _cosigning(self, tenant_id: str) -> Cosigning | None:
        return None if self._cosigners is None else self._cosigners.of(tenant_id)

    async def _open(self, notice: Callable[[str], None]) -> None:
        await check_shape(self.database)
        lost = await hold_to_state(self.database, self.settings)
        self.vault = await open_vault(self.database, self.settings)
        if self.settings.witnessing is not None:
            from api.cosigning import Cosigners  # httpx takes long to import, and few are cosigned

            self._cosigners = Cosigners(self.settings.witnessing)
        patience = self.settings.limits.statement_seconds + READER_PATIENCE
        self.reader = Reader(self.database.url("reader"), patience=patience)
        await self.reader.open()
        self.log = Log(self.reader, self.engine.codec)
        self.queries = Queries(self.reader, self.log, self.vault, read_models(self.engine))
        self.tiled = TiledLog(self.reader, NAMING)
        self.trail = Trail(self.reader, self.vault)
        self.proofs = Proofs(self.reader)
        self.erasures = Erasures(self.settings.state_dir, self.vault)
        self.writer = Writer(self._connect, self.engine, self.vault, self._limits, self._on_batch, self.erasures.enter)
        self.writer.start()
        self.internal = InternalCommands(self.writer, self.vault, self.ids)
        self.directory = Directory(self.reader, self.vault, self.tenant_id)
        await self.directory.refresh()
        await self._hold_erasures(lost, notice)
        settings = self.settings
        self._gate = Gate(
            self.directory,
            Accesses(self.internal, everybody=settings.access_log == "all"),
            None if settings.issuer is None else _tokens(settings.issuer),
            home=self.tenant_id if settings.keyless else None,
            opened=settings.opened,
        )

    async def _connect(self) -> Pipeline:
        statements = [*STATEMENTS, *self.engine.statements()]
        return await Pipeline.connect(self.database.url("writer"), statements)

    def _on_batch(self, commands: int, events: Sequence[RecordedEvent], seconds: float) -> None:
        """Count; and when events were committed, whoever follows the log need not wait for its timer."""
        self.metrics.batch(commands, seconds)
        if events:
            self.metrics.appended(events)
            self._tenancies.wake(events[0].tenant_id)

    def end_waits(self) -> None:
        """The server is about to stop: requests that wait for something are answered now."""
        self._tenancies.end_waits()

    async def _watching(self, notice: Callable[[str], None]) -> None:
        """Notice when the database goes away, and see that the embedded one comes back; serve tenants that appeared.
        Less is asked while other reads are answered."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            answered = self.condition == "ready" and clock() - self.reader.answered < WATCH_SECONDS
            try:
                await self.directory.refresh(WATCH_SECONDS if answered else 0.0, once=True)
                self.condition = "ready"
                await self._tenancies.serve(self.directory.tenants, self.database)
                await self._save_uses()
                self.vault.refresh()
            except DatabaseUnavailable:
                if self.condition == "ready":
                    notice("the database does not answer; writes get 503 until it does")
                self.condition = "database-unavailable"
                await self._restart(notice)

    async def _save_uses(self) -> None:
        used = self.directory.used
        if used and time.monotonic() - self._uses_saved > uses.EVERY_SECONDS:
            self._uses_saved = time.monotonic()
            self.directory.used = {}
            try:
                await uses.save(self.database.url("keeper"), used)
            except psycopg.Error as error:
                log.warning("when keys were used could not be written down: %s", error)

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
        await end(self._tasks)
        await self._tenancies.stop()
        if self._gate is not None:
            await self._gate.settle()
            await self.writer.close(drain_seconds)
            await self.reader.close()
        if self._cosigners is not None:
            await self._cosigners.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.leave)
