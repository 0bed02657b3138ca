"""Header models, for the OpenAPI document; api/call.py reads and checks the headers themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from api.identity.actors import ACTOR, USER

_TAG = r'(?:W/)?"[!#-+\-.-~]*"'
_KEY = r'[!#-~][!-~]{0,254}|"(?:[!#-\[\]-~]|\\["\\]){1,255}"'

_ACTOR = Field(
    default=None,
    pattern=f"^(?:{ACTOR.pattern})$",
    description="Who acts: `agent:<name>[@version]` or `user:<id>`; `user:local` if nobody else is named. With a credential "
    "only who it proves; an agent may add its version.",
)
_WHOM = Field(
    default=None,
    pattern=f"^{USER.pattern}$",
    description="`user:<id>`: for whom the caller acts, recorded on events.",
)
_PURPOSE = Field(
    default=None,
    pattern=r"^[!-~](?:[ -~]{0,198}[!-~])?$",
    description="Why personal data is read, 1–200 printable ASCII characters without personal data. Recorded; compliance "
    "and auditor roles must say it.",
)
_CORRELATION = Field(
    default=None,
    pattern=r"^[!-~]{1,128}$",
    description="1–128 visible ASCII characters; recorded on events and echoed.",
)
_TRACE = Field(default=None, description="W3C trace context; its trace id is the correlation id if none is given.")


class CommandHeaders(BaseModel):
    """Headers of a write that no version guards."""

    idempotency_key: Annotated[
        str | None,
        Field(
            default=None,
            pattern=f"^(?:{_KEY})$",
            description="1–255 visible ASCII characters, bare or quoted. The same key and request again gives the "
            "first answer with `Idempotency-Replayed: true`.",
        ),
    ]
    fidelog_actor: Annotated[str | None, _ACTOR]
    fidelog_on_behalf_of: Annotated[str | None, _WHOM]
    fidelog_correlation_id: Annotated[str | None, _CORRELATION]
    traceparent: Annotated[str | None, _TRACE]


class WriteHeaders(CommandHeaders):
    """Headers of a write to one resource."""

    if_match: Annotated[
        str | None,
        Field(
            default=None,
            pattern=rf"^(?:\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG})*)$",
            description="An ETag: the write is refused (412) at another version.",
        ),
    ]


class ReadHeaders(BaseModel):
    """Headers of a read of one resource."""

    if_none_match: Annotated[str | None, Field(default=None, description="An ETag: 304 when it is still current.")]
    fidelog_actor: Annotated[str | None, _ACTOR]
    fidelog_on_behalf_of: Annotated[str | None, _WHOM]
    fidelog_purpose: Annotated[str | None, _PURPOSE]
    fidelog_correlation_id: Annotated[str | None, _CORRELATION]
    traceparent: Annotated[str | None, _TRACE]


class ListHeaders(BaseModel):
    """Headers of a list."""

    fidelog_actor: Annotated[str | None, _ACTOR]
    fidelog_on_behalf_of: Annotated[str | None, _WHOM]
    fidelog_purpose: Annotated[str | None, _PURPOSE]
    fidelog_correlation_id: Annotated[str | None, _CORRELATION]
    traceparent: Annotated[str | None, _TRACE]
