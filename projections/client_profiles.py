"""client_profiles: one row a client, the fold of its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import client
from domain.decider import Fold
from projections.read_model import Column, ReadModel

COLUMNS: tuple[Column, ...] = (
    ("client_id", "text"),
    ("full_name", "json"),
    ("risk_profile", "text"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("standing", "json"),
)


def client_profiles(fold: Fold[client.Client] = client.FOLD) -> ReadModel:
    """The read model of clients."""
    return ReadModel("client_profiles", fold, COLUMNS, _values, _state)


def _values(state: client.Client) -> Sequence[Any]:
    return state


def _state(columns: Sequence[Any]) -> client.Client:
    return client.Client(*columns)
