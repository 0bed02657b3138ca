"""What `as_of` says in a query, and the position it stands for."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.answer import Header
from api.backend import Backend
from api.problems import Problem, invalid
from eventstore.instants import instant
from eventstore.reading import MAX_POSITION, NotYet

_POSITION = re.compile(r"[0-9]{1,19}", re.ASCII)


def _as_of(value: object) -> object:
    text = str(value)
    if _POSITION.fullmatch(text):
        position = int(text)
        if position > MAX_POSITION:
            raise ValueError("must be a position or an RFC 3339 time")
        return position
    try:
        return instant(text, up=False)  # all events are recorded at whole microseconds
    except ValueError:
        raise ValueError("must be a position or an RFC 3339 time") from None


AsOf = Annotated[
    int | datetime | None,
    BeforeValidator(_as_of),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"pattern": "^[0-9]{1,19}$"}, {"format": "date-time"}],
            "description": "As the log knew it then: a position (inclusive), or an RFC 3339 time (events recorded by then).",
        }
    ),
    Field(default=None),
]


class AsOfQuery(BaseModel):
    """When it is asked about."""

    as_of: AsOf

    model_config = ConfigDict(extra="forbid")


async def resolve(backend: Backend, tenant_id: str, as_of: int | datetime | None) -> int | None:
    """The position asked about; None for now. Raises Problem (422) above the head or in the future."""
    if as_of is None:
        return None
    try:
        if isinstance(as_of, datetime):
            return await backend.log.position_at(tenant_id, as_of)
        if as_of > await backend.log.head(tenant_id):
            raise NotYet
    except NotYet:
        raise not_yet(as_of) from None
    return as_of


def as_of_header(as_of: int | None) -> list[Header]:
    """The position that a question about the past stood for: asked with it again, the answer is the same."""
    return [] if as_of is None else [(b"fidelog-as-of", b"%d" % as_of)]


def not_yet(as_of: int | datetime) -> Problem:
    """Nobody knows yet what will have happened by then."""
    message = "lies in the future" if isinstance(as_of, datetime) else "is above the newest position"
    return invalid({"parameter": "as_of", "message": message})
