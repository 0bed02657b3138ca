"""The writer's queues and lanes: bounded per tenant, served round robin, one batch of a tenant at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from eventstore.errors import (
    ConnectionLost,
    DatabaseUnavailable,
    Overloaded,
    Poisoned,
    StatementFailed,
    StoreError,
    Verdict,
    verdict,
)
from eventstore.pipeline import Pipeline
from eventstore.records import Envelope, Receipt, RecordedEvent, Repeated
from eventstore.vault.vault import Vault
from eventstore.writer import transaction
from eventstore.writer.deciding import BatchDecision, Outcome
from eventstore.writer.engine import Engine
from eventstore.writer.frame import COMMIT
from eventstore.writer.queues import Answers, Limits, Queue, Waiting
from eventstore.writer.selections import Selections

log = logging.getLogger(__name__)

RETRY_PAUSE = 0.05


Connect = Callable[[], Awaitable[Pipeline]]
OnBatch = Callable[[int, Sequence[RecordedEvent], float], None]
"""Told of every batch that was carried out: its commands, the events it appended, the seconds it took."""


OnErased = Callable[[str, Mapping[str, int]], Awaitable[None]]
"""Told of every erasure that was carried out, before it is answered: the tenant, and by subject the position of the event
that says so. Raises OSError."""


async def _nothing_kept(tenant_id: str, erased: Mapping[str, int]) -> None:
    """There is nothing about anybody outside the database."""


class Writer:
    """Takes commands of all tenants and answers each when its events are durable (P6).

    No timer: a batch is whatever queued while the one before it was committing, or half of it when that is much.
    """

    def __init__(
        self,
        connect: Connect,
        engine: Engine,
        vault: Vault,
        limits: Limits | None = None,
        on_batch: OnBatch = lambda commands, events, seconds: None,
        on_erased: OnErased = _nothing_kept,
    ) -> None:
        self._connect = connect
        self._engine = engine
        self._vault = vault
        self._limits = limits or Limits()
        self._on_batch = on_batch
        self._on_erased = on_erased
        self._selections = Selections(engine)
        self._answers = Answers()
        self._queues: dict[str, Queue] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._lanes: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    def start(self) -> None:
        """Start the lanes; they connect when the first command comes."""
        self._lanes = [asyncio.create_task(self._lane(), name=f"writer-{n}") for n in range(self._limits.lanes)]

    async def submit(self, envelope: Envelope) -> Receipt | Repeated:
        """Queue a command and wait for what became of it.

        Raises CommandRefused, KeyReused, VersionMismatch, SubjectErased, Poisoned, Overloaded, DatabaseUnavailable.
        A caller that is cancelled harms nothing: the command is carried out, and found by its key later.
        """
        if self._closing:
            raise DatabaseUnavailable("the server is stopping")
        queue = self._queues.get(envelope.tenant_id)
        if queue is None:
            queue = self._queues[envelope.tenant_id] = Queue()
        limits = self._limits
        if len(queue.waiting) >= limits.queue_commands or queue.size + envelope.size > limits.queue_bytes:
            raise Overloaded
        waiting = Waiting(envelope, asyncio.get_running_loop().create_future())
        queue.waiting.append(waiting)
        queue.size += envelope.size
        if not queue.scheduled:
            queue.scheduled = True
            self._idle.clear()
            self._ready.put_nowait(envelope.tenant_id)
        return await waiting.answer

    @property
    def depth(self) -> int:
        """Commands queued and not yet taken into a batch."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    async def close(self, timeout: float = 10.0) -> None:
        """Take nothing more, finish what is queued within `timeout` seconds, answer 503 to the rest."""
        self._closing = True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d commands were still queued at the end of the drain", self.depth)
        await self._answers.given()
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        for queue in self._queues.values():
            for waiting in queue.waiting:
                waiting.give(DatabaseUnavailable("the server is stopping"))
            queue.waiting.clear()

    async def _lane(self) -> None:
        lane = _Lane(
            self._connect, self._engine, self._vault, self._limits, self._selections, self._answers, self._on_batch,
            self._on_erased,
        )  # fmt: skip
        try:
            while True:
                tenant_id = await self._ready.get()
                queue = self._queues[tenant_id]
                await lane.carry_out(queue.take(self._limits))
                if queue.waiting:
                    self._ready.put_nowait(tenant_id)  # at the end of the line: round robin
                else:
                    queue.scheduled = False
                    if not any(other.scheduled for other in self._queues.values()):
                        self._idle.set()
        finally:
            await lane.disconnect()


class _Lane:
    """One connection that runs one batch after the other and never lets a waiter down without an answer."""

    def __init__(
        self,
        connect: Connect,
        engine: Engine,
        vault: Vault,
        limits: Limits,
        selections: Selections,
        answers: Answers,
        on_batch: OnBatch,
        on_erased: OnErased,
    ) -> None:
        self._connect = connect
        self._engine = engine
        self._vault = vault
        self._limits = limits
        self._selections = selections
        self._on_batch = on_batch
        self._on_erased = on_erased
        self._pipeline: Pipeline | None = None
        self._answers = answers

    async def disconnect(self) -> None:
        if self._pipeline is not None:
            await self._pipeline.close()
            self._pipeline = None

    async def carry_out(self, batch: Sequence[Waiting]) -> None:
        """Run a batch to the end of every command in it."""
        try:
            outcomes = await self._outcomes([waiting.envelope for waiting in batch])
        except Exception as error:
            log.error(
                "a batch of %d commands failed: %s", len(batch), error, exc_info=not isinstance(error, StoreError)
            )
            outcomes = [error] * len(batch)
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.give(DatabaseUnavailable("the server is stopping; the outcome is unknown"))
            raise
        self._answers.add(zip(batch, outcomes, strict=True))

    async def _outcomes(self, batch: Sequence[Envelope]) -> Sequence[Outcome]:
        """The batch's outcomes, by as many attempts as it takes.

        P6: after a lost connection the outcome is unknown. The next attempt resolves it on a new connection: it takes
        the tenant's lock first (so the lost session has ended), then finds by its key and command_id what had been
        committed, and decides only the rest.
        """
        clock, unknown, warned = asyncio.get_running_loop().time, False, False
        started = clock()
        while True:
            try:
                return await self._attempt(batch)
            except (ConnectionLost, StatementFailed) as error:
                decision = verdict(error)
                if decision is Verdict.BISECT:
                    return await self._bisect(batch, error)
                await self.disconnect()
                self._vault.refresh()  # an epoch of master keys may have begun (FL006)
                unknown = unknown or _unknown(error)
                if decision is Verdict.STOP and not unknown:
                    log.error("a batch of %d commands was stopped: %s", len(batch), error)
                    raise DatabaseUnavailable("the database refused the write") from error
                away = isinstance(error, NotConnected) and not unknown
                patience = self._limits.connect_seconds if away else self._limits.resolve_seconds
                if clock() - started > patience:
                    raise DatabaseUnavailable("the database does not answer") from error
                if not warned:
                    log.warning("a batch of %d commands is run again: %s", len(batch), str(error).split("\n")[0])
                warned = True
                await asyncio.sleep(RETRY_PAUSE)

    async def _attempt(self, batch: Sequence[Envelope]) -> Sequence[Outcome]:
        if self._pipeline is None or self._pipeline.lost:
            await self.disconnect()
            try:
                self._pipeline = await self._connect()
            except ConnectionLost as error:
                raise NotConnected(str(error)) from error
        started = time.perf_counter()
        decision = await transaction.run(self._pipeline, self._engine, self._vault, self._selections, batch)
        self._on_batch(len(batch), decision.events, time.perf_counter() - started)
        return await self._entered(batch[0].tenant_id, decision) if decision.erased else decision.outcomes

    async def _entered(self, tenant_id: str, decision: BatchDecision) -> Sequence[Outcome]:
        """P8: an erasure is answered when it is on record outside the database too."""
        try:
            await self._on_erased(tenant_id, decision.erased)
        except OSError as error:
            log.error("an erasure is recorded, and not in the ledger of erasures: %s", error)
            unknown = DatabaseUnavailable("the ledger of erasures cannot be written")
            return [unknown if self._erases(outcome) else outcome for outcome in decision.outcomes]
        return decision.outcomes

    def _erases(self, outcome: Outcome) -> bool:
        return isinstance(outcome, Receipt) and any(event.type in self._engine.erasing for event in outcome.events)

    async def _bisect(self, batch: Sequence[Envelope], error: StoreError) -> Sequence[Outcome]:
        """Find the command whose values PostgreSQL refuses, by halves; the others are carried out, in order."""
        if len(batch) == 1:
            log.error("a command of type %s is poison: %s", type(batch[0].command).__name__, error)
            return [Poisoned("the database refused a value of this command")]
        middle = len(batch) // 2
        halves = (batch[:middle], batch[middle:])
        return [outcome for half in halves for outcome in await self._half(half)]

    async def _half(self, batch: Sequence[Envelope]) -> Sequence[Outcome]:
        """One half's outcomes; what stops it is no reason to withhold the other half's."""
        try:
            return await self._outcomes(batch)
        except StoreError as error:
            return [error] * len(batch)


class NotConnected(ConnectionLost):
    """No connection was made: nothing was sent."""


def _unknown(error: StatementFailed | ConnectionLost) -> bool:
    """P6: COMMIT was sent and failed or was not answered. An error on an earlier statement skipped the COMMIT."""
    if isinstance(error, StatementFailed):
        return error.statement == COMMIT.name
    return not isinstance(error, NotConnected)
