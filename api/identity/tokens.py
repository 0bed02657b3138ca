"""JWT bearer tokens (RFC 7519, RFC 9068) of an issuer the operator trusts, verified by PyJWT with pinned algorithms.

Claims: `sub` who asks (`agent:…` or `user:…`; anything else is a user's id), `tenant`, `roles` (a list, or words), and `act`
(RFC 8693, section 4.1) when somebody acts for `sub`: then the actor is `act.sub`, on behalf of `sub`.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jwt

from api.identity.actors import ACTOR
from api.identity.caller import Caller, proven
from api.identity.issuer import Issuer, TokenRefused
from api.identity.key_set import KeySet, KeySetUnreadable

CACHED = 10_000


class Tokens:
    """Verifies tokens of one issuer. What was verified is remembered while the token holds and the key set that verified
    it is fresh: a key that the issuer withdrew verifies nothing for longer."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._key_set = KeySet(issuer.jwks, clock)
        self._verified: OrderedDict[bytes, tuple[float, float, Caller]] = OrderedDict()

    async def caller(self, token: bytes) -> Caller:
        """Whom the token proves. Raises TokenRefused."""
        name = hashlib.sha256(token).digest()  # no credential is kept, however long it is
        found = self._verified.get(name)
        if found is not None and found[0] > time.time() and found[1] > self._clock():
            return found[2]
        try:
            claims = await self._verify(token)
            caller, ends = _caller(claims), float(claims["exp"]) + self._issuer.leeway
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            raise TokenRefused("it is not a token of the issuer") from None
        self._verified[name] = (ends, self._key_set.believed_until, caller)
        if len(self._verified) > CACHED:
            self._verified.popitem(last=False)
        return caller

    async def _verify(self, token: bytes) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._issuer.algorithms:
                raise TokenRefused("its algorithm is not accepted")
            key = await self._key(header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._issuer.algorithms),
                audience=self._issuer.audience,
                issuer=self._issuer.issuer,
                leeway=self._issuer.leeway,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("it has expired") from None
        except jwt.ImmatureSignatureError:
            raise TokenRefused("it is not valid yet") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("it is for another audience") from None
        except jwt.InvalidIssuerError:
            raise TokenRefused("it is of another issuer") from None
        except jwt.PyJWTError:
            raise TokenRefused("it is not a token of the issuer") from None
        return claims

    async def _key(self, kid: str | None) -> jwt.PyJWK:
        try:
            found = await self._key_set.key(kid)
        except KeySetUnreadable:
            raise TokenRefused("the issuer's key set cannot be read") from None
        if found is None:
            raise TokenRefused("its key is not in the issuer's key set")
        return found


def _caller(claims: dict[str, Any]) -> Caller:
    tenant_id, roles = claims.get("tenant"), claims.get("roles", [])
    if isinstance(roles, str):
        roles = roles.split()
    if not isinstance(tenant_id, str) or not isinstance(roles, list) or not all(isinstance(r, str) for r in roles):
        raise TokenRefused("it names no tenant, or roles that are none")
    subject, act = _actor(claims["sub"]), claims.get("act")
    if act is None:
        return proven(tenant_id, subject, roles, "jwt")
    if not isinstance(act, dict) or "act" in act:
        raise TokenRefused("who acts is not one party")
    return proven(tenant_id, _actor(act.get("sub")), roles, "jwt", on_behalf_of=subject)


def _actor(subject: object) -> str:
    """The actor that a subject stands for."""
    if isinstance(subject, str):
        for actor in (subject, f"user:{subject}"):
            if ACTOR.fullmatch(actor):
                return actor
    raise TokenRefused("its subject cannot be an actor")
