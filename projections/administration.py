"""administration: one row for each of the log's own streams, such as log-admin and log-access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import administration
from domain.decider import Fold
from projections.read_model import Column, ReadModel

COLUMNS: tuple[Column, ...] = (
    ("log_id", "text"),
    ("keys", "json"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
)


def administrations(fold: Fold[administration.Administration] = administration.FOLD) -> ReadModel:
    """The read model of the log's own streams."""
    return ReadModel("administration", fold, COLUMNS, _values, _state)


def _values(state: administration.Administration) -> Sequence[Any]:
    return state


def _state(columns: Sequence[Any]) -> administration.Administration:
    return administration.Administration(*columns)
