"""`fidelog replay`: read models brought level with the log, or only checked; what it prints, and where."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from api.database import start_embedded, use_server
from api.notices import notice
from api.progress import events_bar
from api.replay_report import Report, report
from api.settings import Settings
from eventstore.database import Database
from eventstore.embedded import EmbeddedServer, EmbeddedServerError
from projections.replay.faults import Cancelled
from projections.replay.replayable import Found
from projections.replay.running import Replay
from projections.replay.tables import tables

CANCELLED = 130


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    names: Sequence[str]
    workers: int
    check: bool
    as_json: bool


def known_names() -> list[str]:
    """The names that replay knows, sorted."""
    return sorted(model.name for model in tables())


def default_workers() -> int:
    """PostgreSQL works as hard as a worker does, and on a machine that also serves the service needs the rest."""
    return min(2, os.cpu_count() or 1)


def replay_command(settings: Settings, options: Options) -> int:
    """Do it; the exit status. Raises what `Replay.run` and what starting the database raise."""
    with (
        _signals() as asked,
        _database(settings) as database,
        report(check=options.check, as_json=options.as_json) as printed,
        events_bar() as bar,
    ):
        watching = _Watching(bar, printed, asked)
        names = options.names or known_names()
        replay = Replay(database, names, not options.check, options.workers)
        try:
            tallies = replay.run(watching)
        except Cancelled:
            watching.say_how_far(check=options.check)
            return CANCELLED
        bar.stop()
        return printed.conclude(tallies)


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """The database, running; an embedded one is joined, started if need be, and left at the end."""
    if not settings.embedded:
        yield asyncio.run(use_server(settings))
        return
    if not (EmbeddedServer(settings.data_dir, notice=notice).pg_data / "PG_VERSION").exists():
        raise EmbeddedServerError(f"there is no database in {settings.data_dir}", "give its folder with --data-dir")
    server, database = asyncio.run(start_embedded(settings, notice))
    try:
        yield database
    finally:
        server.leave()


@contextmanager
def _signals() -> Iterator[Asked]:
    """SIGTERM is as SIGINT, and both only ask to stop once `Asked` is listening."""
    asked = Asked()
    before = {number: signal.signal(number, asked.signalled) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Asked:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.to_stop = False
        self.listening = False

    def signalled(self, number: int, frame: Any) -> None:
        """The first signal ends things in order where that is quick, else as Ctrl-C does; a second one as well."""
        if self.to_stop or not self.listening:
            raise KeyboardInterrupt
        self.to_stop = True


class _Watching:
    """The observer of a replay: the bar, the differences, the wish to stop."""

    def __init__(self, bar: Progress, report: Report, asked: Asked) -> None:
        self._bar = bar
        self._report = report
        self._asked = asked
        self._task = bar.add_task("events", total=None)
        self._done = 0
        self._expected = 0
        asked.listening = True

    def expect(self, events: int) -> None:
        self._expected = events
        self._bar.update(self._task, total=events)

    def read(self, events: int) -> None:
        self._done += events
        self._bar.update(self._task, completed=self._done, total=max(self._done, self._expected))

    def found(self, found: Found) -> None:
        if sys.stdout.isatty():
            self._bar.stop()  # or bar and lines would overwrite each other
        self._report.found(found)

    def cancelled(self) -> bool:
        return self._asked.to_stop

    def say_how_far(self, *, check: bool) -> None:
        """One line on stderr."""
        self._bar.stop()
        left = "nothing was changed" if check else "each row is as it was or right, and running it again goes on safely"
        notice(f"cancelled after {self._done:,} of about {self._expected:,} events; {left}")
