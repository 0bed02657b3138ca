"""Waiting with a time limit and a progress line every few seconds."""

import threading
import time
from collections.abc import Callable

PROGRESS_EVERY = 5.0
STEP = 0.02


class Countdown:
    """The time one call may take, shared by everything that call waits for."""

    def __init__(self, timeout: float, notice: Callable[[str], None], given_up: threading.Event | None = None) -> None:
        self.timeout = timeout
        self._given_up = given_up or threading.Event()
        self._notice = notice
        self._start = time.monotonic()
        self._next_progress = PROGRESS_EVERY

    def remaining(self) -> float:
        """Return the seconds left, never below zero; none once the wait was given up."""
        if self._given_up.is_set():
            return 0.0
        return max(0.0, self._start + self.timeout - time.monotonic())

    def expired(self) -> bool:
        """Return True when no time is left."""
        return self.remaining() == 0.0

    def pause(self, awaited: str) -> None:
        """Sleep one short step; every five seconds report what is awaited."""
        time.sleep(min(STEP, self.remaining()))
        self.report(awaited)

    def report(self, awaited: str) -> None:
        """Send the progress line when one is due."""
        elapsed = time.monotonic() - self._start
        if elapsed >= self._next_progress:
            self._notice(f"waiting for {awaited}, {int(elapsed)} s")
            self._next_progress += PROGRESS_EVERY
