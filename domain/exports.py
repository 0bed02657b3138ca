"""What left the log in an export: on stream `log-exports`, a stream of the tenant's log itself, as `log-admin` is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.log_events import OfTheLog

EXPORTS = "log-exports"

# Commands


@dataclass(frozen=True, slots=True)
class RecordExport:
    """An export is about to be closed; `made` says what it holds."""

    made: ExportMade

    streams = (EXPORTS,)
    selection = None


# Events


@dataclass(frozen=True)
class ExportMade(OfTheLog, log_id="exports"):
    """Recorded before the export is closed, which encloses this event and its proof (docs/spec/export.md)."""

    query: dict[str, Any]
    """{"actor", "correlation_id", "since", "stream", "subject", "types", "until"}; null is not asked for."""
    tree_size: int
    count: int
    rows: str
    streams: list[list[str | int]] | None
    manifest: str
    purpose: str | None
    key_id: str | None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the export was asked about: it stands in that client's timeline."""
        subject = self.query["subject"]
        return () if subject is None else (subject,)


def decide(command: RecordExport) -> tuple[tuple[str, ExportMade], ...]:
    """What was exported always is recorded."""
    return ((EXPORTS, command.made),)
