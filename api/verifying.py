"""`fidelog verify` on the database: what it reads, what it prints, and the exit status."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.progress import Progress

from api.database import embedded_database, server_database
from api.notices import notice
from api.progress import events_bar
from api.settings import Settings
from api.verification import Options, Watching, verify_database
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer
from eventstore.verifying.verdicts import NotVerifiable, Outcome, Verdict


def default_workers() -> int:
    """All cores."""
    return os.cpu_count() or 1


def verify_command(settings: Settings, options: Options) -> int:
    """Verify, print, and give the exit status. Whatever goes wrong is `not verifiable`, and said in the last line too."""
    try:
        with _interruptible(), _database(settings) as database, events_bar() as bar:
            verdicts = verify_database(database, settings, options, _Watching(bar))
    except KeyboardInterrupt:
        verdicts = [_nothing_said("it was interrupted; verify again")]
    except Exception as fault:  # an internal error is no verdict on the log
        kind = "" if isinstance(fault, NotVerifiable) else f"{type(fault).__name__}: "
        verdicts = [_nothing_said(f"{kind}{' '.join(str(fault).split())}")]
    for verdict in verdicts:
        print(_json_line(verdict) if options.as_json else _line(verdict))
    last = overall(verdicts)
    print(last.line(), flush=True)
    return last.outcome.exit_status


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst; of verified ones that of the longest log."""
    worst = (Outcome.TAMPERED, Outcome.NOT_VERIFIABLE, Outcome.VERIFIED)
    if not verdicts:
        return _nothing_said("the database has no tenant")
    found = min(verdicts, key=lambda one: (worst.index(one.outcome), -(one.checkpoint_size or 0)))
    if len(verdicts) > 1 and found.cause is not None:
        return replace(found, cause=f"tenant {found.tenant_id}: {found.cause}")
    return found


def _nothing_said(why: str) -> Verdict:
    return Verdict("", Outcome.NOT_VERIFIABLE, None, why, None)


def _line(verdict: Verdict) -> str:
    """For a person."""
    name = verdict.tenant_id or "the log"
    if verdict.outcome is Outcome.VERIFIED:
        read = f"{verdict.events:,} events read, checkpoint of size {verdict.checkpoint_size or 0:,}"
        unsealed = f", {verdict.unsealed:,} events after it are not sealed yet" if verdict.unsealed else ""
        return f"{name}  verified: {read}{unsealed}"
    where = "" if verdict.position is None else f" at position {verdict.position}"
    return f"{name}  {verdict.outcome.value}{where}: {verdict.cause}"


def _json_line(verdict: Verdict) -> str:
    """One tenant's verdict, for programs."""
    content: dict[str, Any] = {"tenant_id": verdict.tenant_id or None, **verdict.words()}
    return json.dumps({**content, "events": verdict.events, "unsealed": verdict.unsealed}, separators=(",", ":"))


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """The database as it is: an embedded one is joined, started if need be, and not migrated."""
    if not settings.embedded:
        yield server_database(settings)
        return
    server = EmbeddedServer(settings.data_dir, notice=notice)
    if not (server.pg_data / "PG_VERSION").exists():
        raise NotVerifiable(f"there is no database in {settings.data_dir}; give its folder with --data-dir")
    server.join()
    try:
        yield embedded_database(server)
    finally:
        server.leave()


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM is as SIGINT: a verification that was stopped says so."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watching(Watching):
    """The bar, on a terminal."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("events", total=None)
        self._done = self._expected = 0

    def expect(self, events: int) -> None:
        self._expected += events
        self._bar.update(self._task, total=self._expected)

    def read(self, events: int) -> None:
        self._done += events
        self._bar.update(self._task, completed=self._done)
