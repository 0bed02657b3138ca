"""The progress bar of commands that go through a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{int(task.speed or 0):,}/s")


@contextmanager
def events_bar() -> Iterator[Progress]:
    """A progress bar of events on stderr, if that is a terminal."""
    columns = (
        TextColumn("events"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn(elapsed_when_finished=True)
    )  # fmt: skip
    console = Console(stderr=True)
    bar = Progress(
        *columns, console=console, disable=not sys.stderr.isatty(), redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        yield bar
