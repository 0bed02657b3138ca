"""The arithmetic of rounds: what a ratio is, and how much noise it is reported with."""

from __future__ import annotations

from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rounds import (
    CONFIDENCE,
    ENOUGH_ROUNDS,
    Contender,
    MeasurementError,
    Reading,
    alternate,
    median_interval,
    reading,
)
from tests.bench.runs import series


class Recorder:
    """A contender that remembers its turns."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name = name
        self._turns = turns

    def measure(self, seconds: float) -> Reading:
        self._turns.append(self.name)
        return Reading(1, seconds, seconds, seconds)


def test_a_ratio_is_drawn_within_each_round() -> None:
    """Rounds that are slow for both change nothing: the ratios are those of the rounds, not of the medians."""
    found = series({"ours": [20, 200, 2], "plain": [10, 100, 1]})
    assert found.ratios("ours", "plain", "rate") == pytest.approx((2, 2, 2))
    assert found.ratios("ours", "plain", "p99") == pytest.approx((0.5, 0.5, 0.5))


def test_every_contender_has_a_turn_a_round_and_each_begins_in_turn() -> None:
    """Whoever is measured right after another is so as often as the other way round."""
    turns: list[str] = []
    contenders: list[Contender] = [Recorder("a", turns), Recorder("b", turns)]
    alternate(contenders, 2, 0.01, lambda _: None)
    assert turns == ["a", "b", "b", "a"]


@pytest.mark.parametrize(
    ("rounds", "left_out", "coverage"),
    [(1, 0, 0.0), (2, 0, 0.5), (3, 0, 0.75), (6, 0, 1 - 2 / 64), (8, 0, 1 - 2 / 256), (9, 1, 1 - 20 / 512), (12, 2, 1 - 158 / 4096)],
)  # fmt: skip
def test_the_noise_is_the_order_statistics_that_hold_the_median(rounds: int, left_out: int, coverage: float) -> None:
    """Known values of the sign test's confidence interval."""
    values = [float(number) for number in range(rounds)]
    Random(rounds).shuffle(values)
    found = median_interval(values)
    assert (found.low, found.high) == (left_out, rounds - 1 - left_out)
    assert found.coverage == pytest.approx(coverage)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_the_noise_holds_the_median_it_is_reported_with(values: list[float]) -> None:
    """Whatever the rounds were; and from six rounds on it is as sure as it says it should be."""
    found = median_interval(values)
    assert found.holds(median(values))
    assert len(values) < ENOUGH_ROUNDS or found.coverage >= CONFIDENCE


def test_the_noise_is_as_honest_as_it_claims() -> None:
    """Drawn from skewed noise around a median of 1.0, the interval misses it no oftener than it says."""
    random, drawn = Random(4), 4000
    for rounds in (6, 12):
        found = [median_interval([random.lognormvariate(0, 0.3) for _ in range(rounds)]) for _ in range(drawn)]
        share = sum(interval.holds(1.0) for interval in found) / drawn
        assert share == pytest.approx(found[0].coverage, abs=0.015)  # four standard errors


def test_a_reading_of_single_times() -> None:
    """Count, rate, median and 99th percentile; nothing answered is no reading."""
    found = reading([number / 100 for number in range(100, 0, -1)], 2.0)
    assert (found.count, found.rate, found.p50, found.p99) == (100, 50, 0.51, 1.0)
    with pytest.raises(MeasurementError):
        reading([], 2.0)
