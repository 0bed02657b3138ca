"""Time as an argument: a clock that a test lets pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from eventstore.writer.engine import Engine
from projections.engine import engine as product_engine


class PassingClock:
    """The time of recording: the database's clock, and as much later as the test has let pass."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self, database_clock: datetime) -> datetime:
        return database_clock + self.ahead

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass; it never goes back."""
        self.ahead += timedelta(seconds=seconds)

    def engine(self, engine: Engine | None = None) -> Engine:
        """The engine (the product's unless given) with this clock."""
        return replace(engine or product_engine(), clock=self)
