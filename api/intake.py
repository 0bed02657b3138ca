"""What one process takes in at once, of all callers together and of each."""

from __future__ import annotations

from asyncio import Lock
from math import ceil
from time import monotonic

from api.limits import RequestLimits
from api.problems import Problem
from api.token_buckets import TokenBuckets

SMALL_BODY_BYTES = 64 << 10
KEPT_FOR_SMALL = 4
"""One part in so many of the room for bodies is for small ones: large ones that come slowly cannot shut everybody out."""


class Bodies:
    """Counts the bytes of bodies that are being received."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._large = most - most // KEPT_FOR_SMALL
        self.held = 0
        self.turn = Lock()
        """Large bodies are read one by one: each may take a tenth of a second, in which nobody else is served."""

    def take(self, had: int, more: int) -> bool:
        """Whether there is room for `more` bytes of a body that had so many; if so they count from now on."""
        held = self.held + more
        if more and held > (self._most if had + more <= SMALL_BODY_BYTES else self._large):
            return False
        self.held = held
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are held no longer."""
        self.held -= size


class Intake:
    """The process's limits, and what has been taken of them."""

    def __init__(self, limits: RequestLimits | None = None) -> None:
        self.limits = limits or RequestLimits()
        self.bodies = Bodies(self.limits.bodies_bytes)
        rate, burst = self.limits.rate_per_second, self.limits.rate_burst
        self._buckets = TokenBuckets(rate, burst)
        self._policy = f'"requests";q={burst};w={ceil(burst / rate)}'

    def admit(self, credential: str) -> None:
        """Count one request of the credential (an opaque id). Raises Problem (429).

        The headers are those of draft-ietf-httpapi-ratelimit-headers-10: `w` is how long an empty bucket takes to fill, `t`
        the seconds until there is a token again, as Retry-After.
        """
        wait = self._buckets.take(credential, monotonic())
        if wait:
            seconds = ceil(wait)
            raise Problem(
                "rate-limited",
                "Too many requests of one caller",
                headers={
                    "retry-after": str(seconds),
                    "ratelimit-policy": self._policy,
                    "ratelimit": f'"requests";r=0;t={seconds}',
                },
            )
