"""Token buckets: how often each credential may ask, without a clock of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.token_buckets import TokenBuckets

RATES = st.floats(0.1, 10_000)
BURSTS = st.integers(1, 50)
PAUSES = st.lists(st.floats(0, 0.5), min_size=1, max_size=200)


def test_a_burst_then_a_steady_rate() -> None:
    """2,000 at once, then one for every millisecond that passes, and no saving beyond the burst."""
    buckets = TokenBuckets(1_000, 2_000)
    assert sum(buckets.take("a", 0.0) == 0 for _ in range(2_100)) == 2_000
    assert buckets.take("a", 0.0) == pytest.approx(0.001)
    assert sum(buckets.take("a", 0.5) == 0 for _ in range(600)) == 500
    assert sum(buckets.take("a", 100.0) == 0 for _ in range(2_100)) == 2_000


def test_one_caller_takes_nothing_from_another() -> None:
    """Each credential has a bucket of its own."""
    buckets = TokenBuckets(1, 1)
    assert buckets.take("a", 0.0) == 0
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0


@given(rate=RATES, burst=BURSTS, pauses=PAUSES)
def test_no_span_of_time_gives_more_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    """Between any two requests that were let through there were at most burst + rate × time of them."""
    buckets, now, taken = TokenBuckets(rate, burst), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if buckets.take("a", now) == 0:
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 0.01


@given(rate=RATES, burst=BURSTS, pauses=PAUSES)
def test_whoever_waits_as_told_is_let_through(rate: float, burst: int, pauses: list[float]) -> None:
    """The wait that is told is long enough, and no longer than a token takes to come."""
    buckets, now = TokenBuckets(rate, burst), 0.0
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        if wait:
            assert wait <= 1 / rate * 1.01
            now += wait
            assert buckets.take("a", now) == 0


def test_memory_is_bounded_and_forgets_the_full_first() -> None:
    """However many credentials come, the number kept is bounded, and who used up a bucket is not given a new one."""
    buckets = TokenBuckets(1, 100, most=100)
    for _ in range(100):
        buckets.take("greedy", 0.0)
    for number in range(10_000):
        assert buckets.take(f"passing-{number}", number * 1e-6) == 0
        assert len(buckets) <= 100
    assert buckets.take("greedy", 0.5) > 0
    buckets.take("later", 1_000.0)
    for number in range(100):
        buckets.take(f"later-{number}", 1_000.0)
    assert len(buckets) <= 100
