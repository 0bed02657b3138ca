"""How the server is: answers."""

from __future__ import annotations

from pydantic import BaseModel


class StatusOut(BaseModel):
    """How the server is."""

    status: str


class TailOut(BaseModel):
    """A tail: the last event it handled, and how many it has not. `fault` only when it stands still."""

    name: str
    position: int
    lag: int
    fault: str | None = None


class VerificationOut(BaseModel):
    """The last scheduled verification of the tenant's log: null before the first. `silent`: it is too long ago."""

    verdict: str | None
    kind: str | None
    at: str | None
    silent: bool


class ReadyOut(StatusOut):
    """That the server can be used. For a caller with a credential, and the local operator, how far what follows the
    tenant's log has got."""

    tails: list[TailOut] | None = None
    witnesses: list[TailOut] | None = None
    """Those that cosign, where there are any: the largest checkpoint of each, and how many sealed events it has not."""
    verification: VerificationOut | None = None
