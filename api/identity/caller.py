"""Who asks: somebody proven by a credential, or the local operator, whom nobody has to prove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api.identity.roles import SCOPES, STATING_A_PURPOSE, scopes_of

LOCAL_ACTOR = "user:local"
AGENT = "agent:"
ALL = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may ask. `actor` is what events name."""

    tenant_id: str
    actor: str
    roles: frozenset[str]
    scopes: frozenset[str]
    credential: str | None = None
    """The key's id, or `jwt`; None for the local operator."""
    on_behalf_of: str | None = None
    counted_as: str = ""
    """Whose requests a limit counts together: those of one credential, or of one who only says who it is. Empty: nobody
    counts, as with the local operator, who has the whole machine."""

    @property
    def principal(self) -> str:
        """The actor without an agent's version: an agent that was upgraded between sending and retrying is the same."""
        return _principal(self.actor)

    @property
    def states_purpose(self) -> bool:
        """Whether this caller says why it looks at personal data."""
        return not STATING_A_PURPOSE.isdisjoint(self.roles)


def proven(
    tenant_id: str, actor: str, roles: Iterable[str], credential: str, on_behalf_of: str | None = None
) -> Caller:
    """A caller whom a credential proved."""
    names = frozenset(roles)
    counted_as = f"{tenant_id} {credential} {_principal(actor)}"
    return Caller(tenant_id, actor, names, scopes_of(names), credential, on_behalf_of, counted_as)


def local(tenant_id: str, actor: str = LOCAL_ACTOR) -> Caller:
    """The operator of a machine who serves only itself: believed whoever it says it is, and may do everything."""
    counted_as = "" if actor == LOCAL_ACTOR else f"{tenant_id} {_principal(actor)}"
    return Caller(tenant_id, actor, frozenset(), ALL, counted_as=counted_as)


def _principal(actor: str) -> str:
    return actor.partition("@")[0]
