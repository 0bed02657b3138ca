"""Work on ranges by several processes, its results in order; or here, where a process would cost more than it saves."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

from eventstore.verifying.ranges import Range, Ranged, verify_range
from eventstore.verifying.verdicts import NotVerifiable

NICENESS = 10
"""Whoever serves on this machine comes first."""
POLL_SECONDS = 0.1
AHEAD = 2
"""Ranges that wait for each worker: none is idle, and few results wait for an earlier one."""

Run = Callable[[Sequence[Range]], Iterator[Ranged]]


@contextmanager
def workers(number: int, auditor_url: str, ask_to_stop: Callable[[], None]) -> Iterator[Run]:
    """What verifies ranges. `ask_to_stop` is called between results and raises when somebody wants to stop."""
    pool: ProcessPoolExecutor | None = None

    def run(ranges: Sequence[Range]) -> Iterator[Ranged]:
        nonlocal pool
        if number == 1 or len(ranges) < 2:
            for part in ranges:
                ask_to_stop()
                yield verify_range(auditor_url, part)
            return
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(number, mp_context=context, initializer=begin)
        yield from _in_order(pool, number, auditor_url, ranges, ask_to_stop)

    try:
        yield run
    finally:
        if pool is not None:
            end(pool)


def _in_order(
    pool: ProcessPoolExecutor, number: int, auditor_url: str, ranges: Sequence[Range], ask_to_stop: Callable[[], None]
) -> Iterator[Ranged]:
    upcoming, begun = iter(ranges), deque[Future[Ranged]]()
    try:
        while True:
            while len(begun) < number * AHEAD and (part := next(upcoming, None)) is not None:
                begun.append(pool.submit(verify_range, auditor_url, part))
            if not begun:
                return
            ask_to_stop()
            try:
                ranged = begun[0].result(POLL_SECONDS)
            except NotYet:
                continue
            begun.popleft()
            yield ranged
    except BrokenProcessPool:
        raise NotVerifiable("a worker process ended before it was done; verify again") from None


def begin() -> None:
    """A worker begins: a Ctrl-C of the terminal is for the other process, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def end(pool: ProcessPoolExecutor) -> None:
    """End the workers now: they only read."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
