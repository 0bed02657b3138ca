"""Waiting for what must come true: short polls with a bound, never a sleep of a guessed length."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LIMIT = 90.0
"""Seconds within which anything happens on a machine that is busy elsewhere."""


def until(what: str, condition: Callable[[], Any], seconds: float = LIMIT) -> Any:
    """Poll until the condition is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)
    return value
