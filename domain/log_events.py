"""What the events on the tenant's log's own streams have in common: `log-admin`, `log-access`, `log-schema` and so on."""

from __future__ import annotations

from typing import ClassVar


class OfTheLog:
    """An event of the log itself: about nobody, unless it says whom, and acting on no other event."""

    log_id: ClassVar[str]
    """Which of the log's own streams it is on: `admin` for `log-admin`."""
    acts_on: ClassVar[None] = None

    def __init_subclass__(cls, *, log_id: str) -> None:
        cls.log_id = log_id

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it is about."""
        return ()
