"""Verification on a schedule: incremental by the hour, full by the day, each verdict an event of the tenant's log.

It runs in a process of its own, so that it takes no time from writes but the processor's, of which it takes what others leave.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.settings import Settings
from api.verification import Options, Watching, attested_now, verify_database
from domain import attestation
from eventstore.database import Database
from eventstore.errors import StoreError
from eventstore.reading import Log
from eventstore.times import timestamp
from eventstore.verifying.verdicts import Outcome, Verdict
from eventstore.verifying.workers import begin, end
from eventstore.writer.internal import InternalCommands

log = logging.getLogger(__name__)

ACTOR = "system:verifier"
LOOK_SECONDS = 5.0
SILENT_AFTER = 2
"""Times the setting: later than that nobody knows any more whether the log is sound."""
LOOK_BACK = 500
"""Verdicts read to find the last full verification."""
MOST_WORDS = 2_000
"""Characters of a cause that are recorded."""


@dataclass(slots=True)
class Last:
    """A tenant's last verdicts. Before the first, `at` is when this process began to watch."""

    at: datetime
    full_at: datetime
    verdict: str | None = None
    kind: str | None = None


class Schedule(Collector):
    """All tenants of a process. Several processes may have one each: what another verified meanwhile is not due."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        log: Log,
        internal: InternalCommands,
        tenants: Callable[[], Iterable[str]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._database = database
        self._log = log
        self._internal = internal
        self._tenants = tenants
        self._now = now
        self._every = timedelta(seconds=settings.verify_seconds)
        self._full_every = timedelta(seconds=settings.verify_full_seconds)
        self._last: dict[str, Last] = {}

    async def run(self) -> None:
        """Verify for ever; what stands in the way is logged, and tried again when it is looked for the next time."""
        while True:
            for tenant_id in list(self._tenants()):
                try:
                    await self.turn(tenant_id)
                except (StoreError, psycopg.Error) as error:
                    log.warning("the log of %s could not be verified on schedule: %s", tenant_id, error)
                except Exception:  # whatever it is, the next turn comes; meanwhile silence shows
                    log.exception("the log of %s could not be verified on schedule", tenant_id)
            await asyncio.sleep(LOOK_SECONDS)

    async def turn(self, tenant_id: str) -> Verdict | None:
        """Verify the tenant's log if that is due. Raises StoreError."""
        if tenant_id not in self._last:
            self._last[tenant_id] = await self._newest(tenant_id, self._now())
            await self._attest(tenant_id, None)
        if self._due(self._last[tenant_id]) is None:
            return None
        self._last[tenant_id] = await self._newest(tenant_id, self._last[tenant_id].full_at)
        kind = self._due(self._last[tenant_id])
        if kind is None:
            return None
        verdict, digest = await in_a_process(self._database, self._settings, tenant_id, since_last=kind != "full")
        await self._attest(tenant_id, digest)
        await self._record(tenant_id, kind, verdict)
        return verdict

    def _due(self, last: Last) -> str | None:
        now = self._now()
        if now >= last.full_at + self._full_every:
            return "full"
        return "incremental" if now >= last.at + self._every else None

    async def _newest(self, tenant_id: str, began: datetime) -> Last:
        """What the log says of its verifications."""
        events = await self._log.stream_end(tenant_id, attestation.VERIFICATION, LOOK_BACK)
        if not events:
            return Last(began, began)
        full = next((one for one in events if one.event.kind == "full"), events[-1])
        newest = events[0]
        return Last(newest.recorded_at, full.recorded_at, newest.event.verdict, newest.event.kind)

    async def _attest(self, tenant_id: str, digest: str | None) -> None:
        """Record the schema's hash when it changed. The first one is recorded with the first verification."""
        events = await self._log.stream_end(tenant_id, attestation.SCHEMA, 1)
        if digest is None:
            if not events:
                return
            digest = await asyncio.to_thread(attested_now, self._database)
        if not events or events[0].event.sha256 != digest:
            await self._internal.submit(tenant_id, ACTOR, attestation.AttestSchema(digest))

    async def _record(self, tenant_id: str, kind: str, verdict: Verdict) -> None:
        if verdict.outcome is not Outcome.VERIFIED:
            log.error("the log of %s: %s", tenant_id, verdict.line())
        cause = None if verdict.cause is None else verdict.cause[:MOST_WORDS]
        command = attestation.RecordVerification(
            kind, verdict.outcome.value, verdict.position, cause, verdict.checkpoint_size
        )
        await self._internal.submit(tenant_id, ACTOR, command)
        now = self._now()
        full_at = now if kind == "full" else self._last[tenant_id].full_at
        self._last[tenant_id] = Last(now, full_at, verdict.outcome.value, kind)

    def silent(self, tenant_id: str) -> bool:
        """Whether the last verdict is too old to be relied on."""
        last = self._last.get(tenant_id)
        return last is not None and self._now() > last.at + SILENT_AFTER * self._every

    def told(self, tenant_id: str) -> dict[str, Any] | None:
        """For `/readyz`; None until this process has looked."""
        last = self._last.get(tenant_id)
        if last is None:
            return None
        at = None if last.verdict is None else timestamp(last.at)
        return {"verdict": last.verdict, "kind": last.kind, "at": at, "silent": self.silent(tenant_id)}

    def collect(self) -> Iterator[Metric]:
        """For `/metrics`."""
        for name, meaning, value in (
            ("fidelog_verification_age_seconds", "Since the last verdict, or since the process began to watch.",
             lambda tenant_id, last: (self._now() - last.at).total_seconds()),
            ("fidelog_verification_failed", "1 when the last verdict was not `verified`.",
             lambda tenant_id, last: int(last.verdict not in {None, Outcome.VERIFIED.value})),
            ("fidelog_verification_silent", "1 when the last verdict is older than twice the setting.",
             lambda tenant_id, last: int(self.silent(tenant_id))),
        ):  # fmt: skip
            gauge = GaugeMetricFamily(name, meaning, labels=["tenant"])
            for tenant_id, last in self._last.items():
                gauge.add_metric([tenant_id], value(tenant_id, last))
            yield gauge


async def in_a_process(
    database: Database, settings: Settings, tenant_id: str, *, since_last: bool
) -> tuple[Verdict, str]:
    """The verdict on a tenant's log, and the hash of the schema there is. Cancelled, it ends the process."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=begin)
    options = Options(tenant_id=tenant_id, since_last=since_last)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, _verified, database, settings, options)
    finally:
        await asyncio.to_thread(end, pool)


def _verified(database: Database, settings: Settings, options: Options) -> tuple[Verdict, str]:
    try:
        (verdict,) = verify_database(database, settings, options, Watching())
    except Exception as fault:  # an internal error is no verdict on the log
        why = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
        verdict = Verdict(options.tenant_id or "", Outcome.NOT_VERIFIABLE, None, why, None)
    return verdict, attested_now(database)
