"""How much of the processors went to others while contenders were measured: what a ratio's worth depends on."""

from __future__ import annotations

from statistics import median

import psutil

PAUSE_SECONDS = 0.3
MOST_PAUSES = 6
TOLERABLE = 0.10


class Disturbance:
    """Samples taken around every reading of a run."""

    def __init__(self) -> None:
        self.others: list[float] = []
        """The busy share of the processors in the pauses, when no contender was under load."""
        self.stolen: list[float] = []
        """The share that the host of a virtual machine gave to other machines, under load."""

    def pause(self) -> None:
        """Wait between two readings until the processors are idle, at most two seconds, and see who else is busy.

        A contender may still be answering requests whose connections were closed, or catching up with what it put
        off: the next one does not pay for that.
        """
        for _ in range(MOST_PAUSES):
            busy = psutil.cpu_percent(PAUSE_SECONDS) / 100
            if busy <= TOLERABLE:
                break
        self.others.append(busy)
        self._before = psutil.cpu_times()

    def loaded(self) -> float:
        """A reading was taken since the pause; the share stolen from it."""
        now, before = psutil.cpu_times(), self._before
        whole = sum(now[:8]) - sum(before[:8])  # guest time is part of user time
        share = (getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)) / whole if whole else 0.0
        self.stolen.append(share)
        return share

    def note(self) -> str:
        """What to know before believing a ratio."""
        words = (
            f"processor time of others: {_spread(self.others)} between the rounds; "
            f"taken by the host within them: {_spread(self.stolen)}"
        )
        quiet = max(median(self.others), median(self.stolen)) <= TOLERABLE
        return words if quiet else f"{words}. THE MACHINE WAS NOT QUIET: run it again before believing a ratio"


def _spread(shares: list[float]) -> str:
    return f"median {median(shares):.0%}, up to {max(shares):.0%}"
