"""What is going on, on stderr: a bar on a terminal, else a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Tell(Protocol):
    """Says what begins now; each call is one step of those announced."""

    def __call__(self, message: str) -> None: ...


@contextmanager
def progress(steps: int) -> Iterator[Tell]:
    """Progress of so many steps."""
    if not sys.stderr.isatty():
        yield lambda message: print(f"bench: {message}", file=sys.stderr, flush=True)
        return
    columns = (BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn(),
               TextColumn("{task.description}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("starting", total=steps)

        def tell(message: str) -> None:
            bar.update(task, advance=1, description=message)

        yield tell
