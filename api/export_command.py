"""`fidelog export`: a bundle in a file; and `fidelog verify --export`: what the enclosed verifier does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api.administer import ACTOR
from api.backend import Backend
from api.exporting import Asker, begin
from api.notices import notice
from api.settings import Settings, SettingsError
from domain.administration import RecordAccess, grouped
from eventstore.durable import fsync_folder
from eventstore.instants import instant
from eventstore.proof.export.command import verdict_of
from eventstore.records import Command, Receipt
from projections.exports import selection_of
from projections.trail import Filters

ROUTE = "fidelog export"
READY_SECONDS = 300.0
"""How long it waits until all is indexed and sealed: it may be the only process that does so."""


def filters_of(options: argparse.Namespace) -> Filters:
    """What the options ask for. Raises ValueError for a time that is none."""
    return Filters(
        client_id=options.client,
        actor=options.actor,
        types=tuple(sorted(set(options.type or ()))),
        stream=options.stream,
        correlation_id=options.correlation,
        decision_id=options.decision,
        since=None if options.since is None else instant(options.since, up=True),
        until=None if options.until is None else instant(options.until, up=True),
    )


async def export_command(settings: Settings, options: argparse.Namespace) -> int:
    """Write the file; under its name it is whole or not there. Raises SettingsError, StoreError."""
    try:
        filters = filters_of(options)
        selection_of(filters)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    backend = Backend(settings)
    try:
        await backend.start(notice)
        if options.tenant not in backend.directory:
            raise SettingsError(f"there is no tenant {options.tenant}; see fidelog tenants list")
        with _bar() as watch:
            asker = _asker(backend, options.tenant, options.purpose)
            try:
                begun = await begin(backend, options.tenant, filters, options.old, asker, watch, READY_SECONDS)
            except ValueError as error:
                raise SettingsError(str(error)) from None
            path = Path(options.out or f"fidelog-{options.tenant}-{begun.last}.zip")
            with _written(path) as write:
                async for chunk in begun.chunks:
                    write(chunk)
    finally:
        await backend.stop(5.0)
    print(f"exported to {path}; check it with fidelog verify --export {path} --checkpoint FILE")
    return 0


def verify_export_command(options: argparse.Namespace) -> int:
    """Print the verdict; the exit status is its own."""
    checkpoint = next(iter(options.checkpoint or ()), None)
    with _bar() as watch:
        verdict = verdict_of(options.export, checkpoint, options.policy, options.consistency, watch)
    print(verdict.line)
    return verdict.status


def _asker(backend: Backend, tenant_id: str, purpose: str | None) -> Asker:
    """Who holds this machine; what it exports is on record as everybody's is."""

    async def submit(command: Command) -> Receipt:
        return await backend.internal.submit(tenant_id, ACTOR, command)

    async def read(clients: Sequence[str]) -> None:
        for group in grouped(clients):
            await submit(RecordAccess(ROUTE, group, purpose, None))

    return Asker(purpose, None, submit, read)


@contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A file that takes the name `path` when it is whole and on the disk. Raises SettingsError."""
    draft = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        with draft.open("xb") as file:
            draft.chmod(0o600)
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, if that is a terminal; told how far of what, form after form."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("events")

        def show(done: int, of: int) -> None:
            bar.update(task, completed=done, total=max(of, 1))

        yield show
