"""A contender that is the engine in this process, as bench.in_process loads it."""

from __future__ import annotations

import itertools

import uvloop

from api.settings import Settings
from bench.in_process import Shape, measure
from bench.rounds import MeasurementError, Reading, reading
from eventstore.errors import StoreError

_numbers = itertools.count(1)


class EngineLoad:
    """A contender: `in_flight` callers of the writer, each submitting its next command when the last is answered.

    How they are chosen, and what follows the log meanwhile, is the shape's to say.
    """

    def __init__(self, name: str, settings: Settings, shape: Shape) -> None:
        self.name = name
        self._shape = shape
        self._settings = settings
        self.committed = 0
        """Commands since the start."""

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds` in an event loop of its own, a tenth of them before that unmeasured."""
        try:
            found = uvloop.run(measure(self._settings, self._shape, seconds, _numbers))
        except StoreError as error:
            raise MeasurementError(f"{self.name}: {type(error).__name__}: {error}") from error
        self.committed += found.committed
        return reading(found.times, found.seconds)
