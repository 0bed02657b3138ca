"""How often each credential may ask: a token bucket for each, kept as one number."""

from __future__ import annotations

MOST = 10_000


class TokenBuckets:
    """Buckets of `burst` tokens that fill at `rate` tokens a second; a request takes one.

    A bucket is kept as the time at which it will be full again (the generic cell rate algorithm): one that is full by
    now is as good as new and need not be kept. At most `most` are; the emptiest are kept.
    """

    def __init__(self, rate: float, burst: int, most: int = MOST) -> None:
        self._spacing = 1.0 / rate
        self._depth = (burst - 1) * self._spacing
        self._most = most
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, credential: str, now: float) -> float:
        """Take a token: 0 when there was one, else the seconds until there will be. `now` never goes back."""
        full_at = self._full_at.get(credential, now)
        if full_at < now:
            full_at = now
        wait = full_at - now - self._depth
        # A thousandth of a token is forgiven, or rounding would take one from a burst.
        if wait > self._spacing * 1e-3:
            return wait
        if len(self._full_at) >= self._most:
            self._forget(now)
        self._full_at[credential] = full_at + self._spacing
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the full ones; if that leaves more than half, the fuller half of the rest."""
        kept = {credential: full_at for credential, full_at in self._full_at.items() if full_at > now}
        if len(kept) > self._most // 2:
            emptiest = sorted(kept.items(), key=lambda item: item[1], reverse=True)[: self._most // 2]
            kept = dict(emptiest)
        self._full_at = kept
