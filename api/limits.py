"""How much of the service callers may take; all of it is settable (api/settings.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds in bytes, seconds and numbers, of one process."""

    header_bytes: int = 16 << 10
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    connections: int = 1_000
    bodies_bytes: int = 64 << 20
    queued_commands: int = 4_096
    statement_seconds: float = 5.0
    rate_per_second: int = 1_000
    rate_burst: int = 2_000
