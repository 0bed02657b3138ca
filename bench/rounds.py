"""Contenders measured alternately, and the ratios of what they reached.

On a shared machine the next minute is never like the last one. So every round measures every contender once, in an
order that rotates, and a ratio is the median of the ratios within the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, Protocol

from bench.disturbance import Disturbance

Figure = Literal["rate", "p50", "p99"]


class MeasurementError(Exception):
    """A round did not measure what it was meant to; the message says what happened. No figure is worth reporting."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one contender reached in one round. Times are in seconds."""

    count: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Per second."""
        return self.count / self.seconds


class Contender(Protocol):
    """Something that can be put under load for a while."""

    @property
    def name(self) -> str: ...

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds`. Raises MeasurementError."""


class Series:
    """The readings of several contenders, round by round."""

    def __init__(self, names: Sequence[str]) -> None:
        self.readings: dict[str, list[Reading]] = {name: [] for name in names}
        self.stolen: dict[str, list[float]] = {name: [] for name in names}
        self.disturbance = Disturbance()

    def values(self, name: str, figure: Figure) -> list[float]:
        """One figure of one contender, in the order of the rounds."""
        return [getattr(reading, figure) for reading in self.readings[name]]

    def median(self, name: str, figure: Figure) -> float:
        """The figure's median over the rounds."""
        return median(self.values(name, figure))

    def ratio(self, ours: str, peer: str, figure: Figure) -> float:
        """The median of the rounds' ratios, ours to the peer's."""
        pairs = zip(self.values(ours, figure), self.values(peer, figure), strict=True)
        return median(one / other for one, other in pairs)


def alternate(contenders: Sequence[Contender], rounds: int, seconds: float, tell: Callable[[str], None]) -> Series:
    """Measure every contender once a round; each round begins with another one."""
    series = Series([contender.name for contender in contenders])
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            tell(f"round {number + 1} of {rounds}: {contender.name}")
            series.disturbance.pause()
            series.readings[contender.name].append(contender.measure(seconds))
            series.stolen[contender.name].append(series.disturbance.loaded())
    return series


def reading(times: Sequence[float], seconds: float) -> Reading:
    """The reading of single times. Raises MeasurementError when there are none."""
    if not times:
        raise MeasurementError("nothing was answered within a round")
    ascending = sorted(times)
    return Reading(len(ascending), seconds, percentile(ascending, 0.50), percentile(ascending, 0.99))


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
