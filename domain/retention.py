"""How long records must be kept whatever anybody asks for: classes with floors, which configuration can only raise.

Six years is what FINRA Rule 4511 and SEC 17a-4 ask of account records, and the upper middle of MiFID II's five to seven.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

FLOORS: Mapping[str, int] = {"account": 6, "recommendation": 6}
"""Years, by class of record. `account`: portfolios and mandates; `recommendation`: decisions and advice."""

MOST_YEARS = 100

Years = Mapping[str, int]
"""For how long each class is kept."""


def policy(years: Years) -> Years:
    """The floors with `years` in their place. Raises ValueError saying which class is unknown, or below its floor."""
    for name, number in years.items():
        if name not in FLOORS:
            raise ValueError(f"there is no class {name} of records; there are {', '.join(FLOORS)}")
        if not FLOORS[name] <= number <= MOST_YEARS:
            raise ValueError(f"{name} is kept from {FLOORS[name]} to {MOST_YEARS} years, not {number}")
    return {**FLOORS, **years}


def until(counts_from: date, years: int) -> date:
    """The first day on which the record need not be kept any more."""
    try:
        return counts_from.replace(year=counts_from.year + years)
    except ValueError:  # the 29th of February of another year
        return date(counts_from.year + years, 3, 1)


def running(records: Mapping[str, str], years: Years, now: datetime) -> tuple[str, str] | None:
    """Of the classes that must still be kept at `now` the one that ends last, with the day it ends (YYYY-MM-DD).

    `records`: by class the day (YYYY-MM-DD) from which its newest record counts.
    """
    ends = {name: until(date.fromisoformat(day), years[name]) for name, day in records.items()}
    standing = {name: end for name, end in ends.items() if end > now.date()}
    if not standing:
        return None
    last = max(standing, key=lambda name: (standing[name], name))
    return last, standing[last].isoformat()
