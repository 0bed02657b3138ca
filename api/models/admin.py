"""Bodies and answers of administration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.identity.actors import ACTOR
from api.identity.keys import KEY_ID
from api.identity.roles import ROLES
from api.models.fields import Body

Role = Literal["agent", "advisor", "approver", "compliance", "auditor", "operator"]
assert set(Role.__args__) == set(ROLES)  # type: ignore[attr-defined]  # a Literal's values

DAY = 86_400
DEFAULT_VALID_SECONDS = 365 * DAY
MOST_VALID_SECONDS = 3_650 * DAY
MOST_OVERLAP_SECONDS = 90 * DAY


KeyId = Annotated[str, StringConstraints(pattern=KEY_ID)]
Actor = Annotated[str, StringConstraints(pattern=f"^(?:{ACTOR.pattern})$")]


class KeyIn(Body):
    """An API key to be issued: whose it is and what it may do, or which key it replaces."""

    actor: Annotated[Actor | None, Field(description="`agent:<name>[@version]` or `user:<id>`.")] = None
    roles: Annotated[list[Role] | None, Field(min_length=1, max_length=6)] = None
    valid_seconds: Annotated[int, Field(ge=1, le=MOST_VALID_SECONDS)] = DEFAULT_VALID_SECONDS
    replaces: Annotated[KeyId | None, Field(description="The key this one takes the place of.")] = None
    overlap_seconds: Annotated[
        int, Field(ge=0, le=MOST_OVERLAP_SECONDS, description="How long the replaced key holds on.")
    ] = DAY

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["actor", "roles"]}, {"required": ["replaces"]}],
            "example": {"actor": "agent:rebalancing_agent", "roles": ["agent"]},
        }
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.replaces is None and (self.actor is None or self.roles is None):
            raise ValueError("names actor and roles, or the key it replaces")
        return self


class IssuedKeyOut(BaseModel):
    """The key, this once."""

    key_id: str
    key: Annotated[str | None, Field(description="`fdl_<8>_<43>`; null in a repeat.")]
    actor: str
    roles: list[str]
    issued_at: str
    expires_at: str
    replaces: str | None


class KeyOut(BaseModel):
    """A key, without its secret."""

    key_id: str
    actor: str
    kind: Annotated[Literal["algorithm", "natural person"], Field(description="What the actor is.")]
    roles: list[str]
    status: Literal["active", "expired", "revoked"]
    issued_at: str
    expires_at: str
    revoked_at: str | None
    replaces: str | None
    last_used_at: Annotated[str | None, Field(description="Some seconds late; null if never.")]


class KeyStatusOut(BaseModel):
    """What became of a key."""

    key_id: str
    status: Literal["revoked"]


class KeysOut(BaseModel):
    """The tenant's keys."""

    keys: list[KeyOut]
