"""What one process takes in at once, of all callers together and of each."""

from __future__ import annotations

from math import ceil
from time import monotonic

from api.bodies import Bodies
from api.limits import RequestLimits
from api.problems import Problem
from api.token_buckets import TokenBuckets


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
