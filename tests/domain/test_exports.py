"""Exports: what left the log is recorded, and stands in the timeline of the client it was asked about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain import administration, exports
from tests.domain.test_administration import At

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def made(subject: str | None) -> exports.ExportMade:
    """An export of two events."""
    query: dict[str, Any] = {"actor": None, "subject": subject, "types": []}
    return exports.ExportMade(query, 7, 2, "00", [["client-c1", 2]], "ff", "case 7", None)


def test_an_export_is_recorded_always() -> None:
    """On a stream of its own, which folds into a row as the log's other streams do."""
    ((stream, event),) = exports.decide(exports.RecordExport(made("c1")))
    assert (stream, event) == (exports.EXPORTS, made("c1"))
    assert exports.RecordExport.streams == (exports.EXPORTS,)
    state = administration.evolve(None, At(event, BEGIN))
    assert (state.log_id, state.keys, state.created_at) == ("exports", {}, BEGIN)


def test_the_client_asked_about_is_the_subject() -> None:
    """And nobody is, of an export of everything."""
    assert made("c1").subjects == ("c1",)
    assert made(None).subjects == ()
