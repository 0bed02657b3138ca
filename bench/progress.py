"""What is going on and how long it may still take, on stderr: a bar on a terminal, else a line each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Tell(Protocol):
    """Says what begins now; each call is one step of those announced."""

    def __call__(self, message: str) -> None: ...


class Steps:
    """Counts the steps of several works. Time left: what is to come goes on as the average step until now."""

    def __init__(self, sizes: dict[str, int], show: Callable[[int, str], None], clock: Callable[[], float]) -> None:
        """`show` gets the number of steps begun and a text."""
        self._sizes = sizes
        self._show = show
        self._clock = clock
        self._started = clock()
        self._begun = 0

    def work(self, name: str) -> Tell:
        """The steps of a work begin. One that ended early or told more than it announced is put right here."""
        names = list(self._sizes)
        self._begun = sum(self._sizes[before] for before in names[: names.index(name)])
        return lambda message: self._step(f"{name}: {message}")

    def _step(self, message: str) -> None:
        self._begun += 1
        self._show(self._begun, f"{message}{self._left()}")

    def _left(self) -> str:
        done = self._begun - 1
        to_come = sum(self._sizes.values()) - done
        if done < 1 or to_come < 1:
            return ""
        seconds = (self._clock() - self._started) / done * to_come
        return f" (about {seconds / 60:.0f} min left)" if seconds >= 90 else f" (about {seconds:.0f} s left)"


@contextmanager
def progress(sizes: dict[str, int]) -> Iterator[Steps]:
    """Progress of works, in this order, of so many steps each."""
    total = sum(sizes.values())
    if not sys.stderr.isatty():

        def line(begun: int, message: str) -> None:
            print(f"bench: {begun}/{total} {message}", file=sys.stderr, flush=True)

        yield Steps(sizes, line, time.monotonic)
        return
    columns = (BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn(),
               TextColumn("{task.description}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("starting", total=total)
        yield Steps(
            sizes, lambda begun, message: bar.update(task, completed=begun, description=message), time.monotonic
        )
