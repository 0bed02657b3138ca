"""Ids that tell their time, and times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from eventstore.ids import SPAN, TimedIds
from eventstore.times import timestamp

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=9))])


def test_timed_ids_are_version_7_and_none_is_given_twice() -> None:
    """Also with a clock that stands still, and one that goes back."""
    now = 1_800_000_000.0
    ids = TimedIds(lambda: now)
    given_out = [UUID(ids()) for _ in range(1_000)]
    now -= 3600
    given_out += [UUID(ids()) for _ in range(1_000)]
    assert len(set(given_out)) == 2_000
    assert {(each.version, each.variant) for each in given_out} == {(7, "specified in RFC 4122")}


def test_the_time_in_an_id_is_at_most_a_tenth_of_a_second_old() -> None:
    """However long nobody asked for one; and ids ascend as time does."""
    now = 1_800_000_000.0
    ids = TimedIds(lambda: now)
    given_out = []
    for pause in (0, 0.01, 0.05, 0.2, 3600):
        now += pause
        given_out.append(ids())
        age = int(now * 1000) - (UUID(given_out[-1]).int >> 80)
        assert 0 <= age <= SPAN
    assert given_out == sorted(given_out)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES), st.booleans())  # noqa: DTZ001  # zones are drawn
def test_a_time_as_text_always_has_six_digits(value: datetime, whole: bool) -> None:
    """The leaf's form, in UTC, of whole seconds too."""
    instant = value.replace(microsecond=0) if whole else value
    text = timestamp(instant)
    assert text == instant.astimezone(UTC).strftime("%Y").rjust(4, "0") + instant.astimezone(UTC).strftime(
        "-%m-%dT%H:%M:%S.%fZ"
    )
