"""A verification of the logs of a database, with all that this machine knows of them; of the command and of the schedule."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from api.database import DEFAULT_TENANT, expected_rights, known_migrations, shape_differences
from api.known_logs import KnownLogs, known_logs
from api.settings import Settings
from eventstore import rights
from eventstore import shape as shapes
from eventstore.database import LOGINS, Database
from eventstore.migrations import state
from eventstore.verifying import resuming
from eventstore.verifying.verdicts import NotVerifiable, Outcome, Verdict
from eventstore.verifying.whole import Verified, tenants, verify_tenant
from eventstore.verifying.workers import Run, workers

log = logging.getLogger(__name__)

FOLDER = "verified"
"""In the state folder: how far each tenant's log was verified."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    tenant_id: str | None = None
    checkpoints: Sequence[Path] = ()
    policy: Path | None = None
    workers: int = 1
    since_last: bool = False
    as_json: bool = False


class Watching:
    """The observer of a verification: nobody looks."""

    def expect(self, events: int) -> None:
        """Of no interest."""

    def read(self, events: int) -> None:
        """Of no interest."""

    def stop_if_asked(self) -> None:
        """A signal interrupts by itself."""


def verify_database(database: Database, settings: Settings, options: Options, watching: Watching) -> list[Verdict]:
    """The verdict on each tenant's log. Raises NotVerifiable, psycopg.Error."""
    schema = _schema(database)
    known = known_logs(settings, options.policy, options.checkpoints)
    url, verdicts = database.url("auditor"), []
    names = [options.tenant_id] if options.tenant_id is not None else _names(url, known, schema)
    with workers(options.workers, url, watching.stop_if_asked) as run:
        for tenant_id in names:
            try:
                verified = _verify(url, tenant_id, known, run, watching, settings, options)
            except psycopg.ProgrammingError as unreadable:
                if schema is None:
                    raise
                cause = f"{schema}; so it cannot be read ({unreadable.diag.message_primary})"
                verdicts.append(Verdict(tenant_id, Outcome.TAMPERED, None, cause, None))
                continue
            verdicts.append(_with_schema(verified.verdict, schema))
            if verified.reached is not None and verdicts[-1].outcome is Outcome.VERIFIED:
                _keep(settings.state_dir / FOLDER / tenant_id, verified)
    return verdicts


def _names(url: str, known: KnownLogs, schema: str | None) -> list[str]:
    """Every tenant of which anything is known, here or there."""
    try:
        return sorted({*tenants(url), *known.tenants})
    except psycopg.ProgrammingError:
        if schema is None:
            raise
        return sorted(known.tenants) or [DEFAULT_TENANT]


def _verify(
    url: str, tenant_id: str, known: KnownLogs, run: Run, watching: Watching, settings: Settings, options: Options
) -> Verified:
    since = resuming.read(settings.state_dir / FOLDER / tenant_id) if options.since_last else None
    try:
        return verify_tenant(url, tenant_id, known.of(tenant_id), run, watching, since)
    except NotVerifiable as why:
        return Verified(Verdict(tenant_id, Outcome.NOT_VERIFIABLE, None, str(why), None), None)


def _schema(database: Database) -> str | None:
    """What of schema and rights is not as it should be. Raises NotVerifiable when another version made it."""
    wrong = asyncio.run(_wrong_rights(database))
    different = shape_differences(database, "auditor")  # in this thread, where a signal interrupts it
    found = [f"the schema was changed: {shapes.told(different)}"] if different else []
    if wrong:
        found.append(f"rights were changed, which these statements would undo: {'; '.join(wrong[: rights.SHOWN])}")
    return "; ".join(found) or None


async def _wrong_rights(database: Database) -> list[str]:
    async with await psycopg.AsyncConnection.connect(database.url("auditor"), autocommit=True) as connection:
        pending = (await state(connection, known_migrations())).pending
        if pending:
            raise NotVerifiable(f"the database is not migrated ({', '.join(pending)} pending); run fidelog migrate")
        return await rights.wrong_roles(connection, rights.read(expected_rights()))


def _with_schema(verdict: Verdict, schema: str | None) -> Verdict:
    """A changed schema is tampering too; a position says more."""
    if schema is None:
        return verdict
    if verdict.outcome is Outcome.TAMPERED:
        return replace(verdict, cause=f"{verdict.cause}; {schema}")
    return replace(verdict, outcome=Outcome.TAMPERED, cause=schema)


def _keep(path: Path, verified: Verified) -> None:
    assert verified.reached is not None, "only of a verified log"
    try:
        resuming.write(path, verified.reached)
    except OSError as error:
        log.warning("how far the log was verified could not be kept in %s: %s", path, error.strerror)


def attested_now(database: Database) -> str:
    """The hash of the schema and the rights as they are. Raises psycopg.Error."""
    with psycopg.connect(database.url("reader"), autocommit=True) as connection:
        found = shapes.shape(connection)
    return shapes.digest(found, asyncio.run(_granted(database)))


async def _granted(database: Database) -> str:
    async with await psycopg.AsyncConnection.connect(database.url("reader"), autocommit=True) as connection:
        return rights.write(await rights.rights(connection, map(rights.role, LOGINS)))
