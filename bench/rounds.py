"""Contenders measured alternately, and the ratios of what they reached.

On a shared machine the next minute is never like the last one. So every round measures every contender once, in an
order that rotates, and a ratio is the median of the ratios within the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Literal, Protocol

from bench.disturbance import Disturbance

Figure = Literal["rate", "p50", "p99"]
FIGURES: tuple[Figure, ...] = ("rate", "p50", "p99")

CONFIDENCE = 0.95
ENOUGH_ROUNDS = 6
"""With fewer, not even the smallest and the largest of the rounds enclose the true median so surely."""


WARM_UP_SECONDS = 1.5
"""Until a server that was just started is as fast as it stays."""


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


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true median lies, with the probability `coverage`: the noise of a median over rounds."""

    low: float
    high: float
    coverage: float

    def holds(self, value: float) -> bool:
        """Whether the value cannot be told from the median."""
        return self.low <= value <= self.high


def median_interval(values: Sequence[float]) -> Interval:
    """The narrowest pair of order statistics that encloses the median with at least 95%.

    It asks for nothing but independent rounds: each lies below the true median as likely as above. With fewer than
    six rounds it is the smallest and the largest value, with the coverage they have.
    """
    ascending, count = sorted(values), len(values)
    outside = 2 / 2**count  # the probability that all rounds lie on the same side
    left_out = 0
    while (wider := outside + 2 * comb(count, left_out + 1) / 2**count) <= 1 - CONFIDENCE:
        outside, left_out = wider, left_out + 1
    return Interval(ascending[left_out], ascending[-1 - left_out], 1 - outside)


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

    def ratios(self, ours: str, peer: str, figure: Figure) -> tuple[float, ...]:
        """The rounds' ratios, ours to the peer's. Their median is the ratio of the run."""
        pairs = zip(self.values(ours, figure), self.values(peer, figure), strict=True)
        return tuple(one / other for one, other in pairs)


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


def alternate_warm(contenders: Sequence[Contender], rounds: int, seconds: float, tell: Callable[[str], None]) -> Series:
    """As `alternate`, after a round that counts for nothing."""
    alternate(contenders, 1, WARM_UP_SECONDS, lambda message: tell(f"warm-up, {message}"))
    return alternate(contenders, rounds, seconds, tell)


def reading(times: Sequence[float], seconds: float) -> Reading:
    """The reading of single times. Raises MeasurementError when there are none."""
    if not times:
        raise MeasurementError("nothing was answered within a round")
    ascending = sorted(times)
    return Reading(len(ascending), seconds, percentile(ascending, 0.50), percentile(ascending, 0.99))


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
