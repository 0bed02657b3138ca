"""A process that dies by kill -9 at a point of one's choice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any


def die_at(points: Sequence[tuple[Any, str]], number: int) -> None:
    """Kill this process before the call of that number, of all calls of the points (owner, name) together."""
    calls = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)

        return call

    for owner, name in points:
        setattr(owner, name, counted(getattr(owner, name)))
