"""A command of `fidelog` as an operator runs it, with how long it took and how much memory its processes had."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped, unused-ignore]

from tests.processes.fidelog_process import COMMAND, Folders, environment

EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Watched:
    """How a command ended."""

    status: int
    said: str
    seconds: float
    peak_bytes: int
    """The proportional set size of the process and all below it, at the worst sample."""


async def watch(folders: Folders, *arguments: str) -> Watched:
    """Run `fidelog` with these arguments to its end."""
    return await asyncio.to_thread(_watch, folders, arguments)


def _watch(folders: Folders, arguments: tuple[str, ...]) -> Watched:
    begun, peak = time.monotonic(), 0
    with subprocess.Popen(
        [*COMMAND, *arguments], env=environment(**folders.settings()), cwd=folders.outer, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            while True:
                peak = max(peak, _bytes_below(process.pid))
                try:
                    said, _ = process.communicate(timeout=EVERY_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
                return Watched(process.returncode, said, time.monotonic() - begun, peak)
        except BaseException:
            process.kill()
            raise


def _bytes_below(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += _bytes_of(process)
    except psutil.NoSuchProcess:
        pass
    return total


def _bytes_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
