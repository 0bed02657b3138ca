"""File locks that die with the process.

flock() locks belong to the open file description: the kernel drops them when the process dies in any way,
and two FileLock objects of one process exclude each other like two processes do.
"""

import fcntl
import os
from pathlib import Path

from .errors import EmbeddedServerError
from .waiting import Countdown


class FileLock:
    """A lock on one file, shared or exclusive. Not safe for use by several threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._descriptor is not None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock when that is possible at once; return whether it was.

        Raises: OSError when the lock file cannot be opened.
        """
        if self.held:
            raise RuntimeError(f"{self.path} is already locked by this object")
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held_here.add(self)
        return True

    def acquire(self, countdown: Countdown, awaited: str, *, shared: bool = False) -> None:
        """Take the lock, waiting as long as the countdown allows.

        Raises: EmbeddedServerError when the time is over; OSError when the lock file cannot be opened.
        """
        while not self.try_acquire(shared=shared):
            if countdown.expired():
                raise EmbeddedServerError(
                    f"{self.path} is still held by another process after {countdown.timeout:g} s",
                    "wait for that process (it starts or stops PostgreSQL) or end it, then try again",
                )
            countdown.pause(awaited)

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor is None:
            return
        # An explicit unlock also covers a duplicate that a child has between its fork and its exec.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._forget()

    def _forget(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        _held_here.discard(self)


# Strong references: a lock whose owner was garbage collected stays held until the process ends.
_held_here: set[FileLock] = set()


def _forget_after_fork() -> None:
    # A forked child shares the open file description: it must neither keep the lock alive nor unlock it.
    for lock in list(_held_here):
        lock._forget()


os.register_at_fork(after_in_child=_forget_after_fork)
