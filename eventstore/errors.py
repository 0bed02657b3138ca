"""What can go wrong in the store, and the one place where PostgreSQL's errors are recognised (by SQLSTATE)."""

from __future__ import annotations

from enum import Enum


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class CommandRefused(StoreError):
    """The domain refused the command; `refusal` says which of its closed set of refusals it was."""

    def __init__(self, refusal: object) -> None:
        super().__init__(type(refusal).__name__)
        self.refusal = refusal


class KeyReused(StoreError):
    """The idempotency key was used by the same principal for another request (P5)."""


class VersionMismatch(StoreError):
    """The stream is not at the version the caller expected; `current` is 0 when it does not exist."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the stream is at version {current}")
        self.current = current


class SubjectErased(StoreError):
    """The person the command is about was erased; only a tombstone of the key is left."""


class Poisoned(StoreError):
    """PostgreSQL refused this one command's values (SQLSTATE class 22 or 23); nothing of it was stored."""


class Overloaded(StoreError):
    """The tenant's queue is full; nothing was taken. Ask again after `retry_after` seconds."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


class DatabaseUnavailable(StoreError):
    """PostgreSQL cannot take the command now. Without a receipt the outcome may be unknown: send it again with the
    same idempotency key."""


class StatementFailed(StoreError):
    """A statement of a trip was answered with an error; the transaction did not commit."""

    def __init__(self, statement: str, sqlstate: str, message: str) -> None:
        super().__init__(f"{statement}: {sqlstate}: {message}")
        self.statement = statement
        self.sqlstate = sqlstate


class ConnectionLost(StoreError):
    """The connection ended before all answers came; if COMMIT was sent, the outcome is unknown (P6)."""


class Verdict(Enum):
    """What to do with a batch after an error."""

    RETRY = "retry the whole batch"
    BISECT = "bisect until the poison command fails alone"
    STOP = "stop and answer 503"


_AGAIN = {"25P03", "55P03", "FL006"}


def verdict(error: StatementFailed | ConnectionLost) -> Verdict:
    """The error classes of the write path.

    Running a batch again is always safe: every command is found by its key if it had been committed (P5, P6).
    Class 40 lost a race, 55P03 waited too long for the lock, 25P03 was cut off while this process was stopped, FL006 wrapped
    a key under an epoch that had just ended.
    Classes 22 and 23 are data errors of one command. The rest (53 resources, 57 operator, 25006 read-only, and
    whatever nobody foresaw) stops the batch with 503.
    """
    if isinstance(error, ConnectionLost) or error.sqlstate[:2] in {"08", "40"} or error.sqlstate in _AGAIN:
        return Verdict.RETRY
    if error.sqlstate[:2] in {"22", "23"}:
        return Verdict.BISECT
    return Verdict.STOP
