"""What no test of the bench is about."""

from __future__ import annotations

import pytest

from bench import disturbance


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is read here, so nothing is waited for until the machine is idle."""
    monkeypatch.setattr(disturbance, "MOST_PAUSES", 1)
