"""JWT bearer tokens (RFC 7519, RFC 9068) of an issuer the operator trusts, verified by PyJWT with pinned algorithms.

Claims: `sub` who asks (`agent:…` or `user:…`; anything else is a user's id), `tenant`, `roles` (a list, or words), and `act`
(RFC 8693, section 4.1) when somebody acts for `sub`: then the actor is `act.sub`, on behalf of `sub`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import httpx
import jwt
import orjson

from api.identity.actors import ACTOR
from api.identity.caller import Caller, proven
from api.identity.issuer import Issuer

KEYS_FRESH_SECONDS = 600.0
KEYS_AGAIN_SECONDS = 10.0
"""So often at most the key set is asked for again because of a key it did not have."""
CACHED = 10_000


class TokenRefused(Exception):
    """Why the token proves nothing; the message never holds a part of it."""


class Tokens:
    """Verifies tokens of one issuer. What was verified is remembered until the token expires."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys: jwt.PyJWKSet | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._verified: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def caller(self, token: bytes) -> Caller:
        """Whom the token proves. Raises TokenRefused."""
        found = self._verified.get(token)
        if found is not None and found[0] > time.time():
            return found[1]
        claims = await self._verify(token)
        caller = _caller(claims)
        self._verified[token] = (float(claims["exp"]) + self._issuer.leeway, caller)
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
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("it has expired") from None
        except jwt.ImmatureSignatureError:
            raise TokenRefused("it is not valid yet") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("it is for another audience") from None
        except jwt.InvalidIssuerError:
            raise TokenRefused("it is of another issuer") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenRefused("it is not a token of the issuer") from None
        return claims

    async def _key(self, kid: object) -> jwt.PyJWK:
        for again in (False, True):
            keys = await self._key_set(KEYS_AGAIN_SECONDS if again else KEYS_FRESH_SECONDS)
            named = [key for key in keys.keys if key.key_id == kid] if kid is not None else keys.keys
            if len(named) == 1:
                return named[0]
        raise TokenRefused("its key is not in the issuer's key set")

    async def _key_set(self, fresh: float) -> jwt.PyJWKSet:
        async with self._reading:
            if self._keys is None or time.monotonic() - self._read_at > fresh:
                self._read_at = time.monotonic()
                try:
                    self._keys = jwt.PyJWKSet.from_dict(orjson.loads(await _read(self._issuer.jwks)))
                except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError, jwt.PyJWTError):
                    if self._keys is None:
                        raise TokenRefused("the issuer's key set cannot be read") from None
            return self._keys


async def _read(place: str) -> bytes:
    """The key set. Raises OSError, httpx.HTTPError."""
    if not place.startswith(("https://", "http://")):
        return await asyncio.to_thread(Path(place).read_bytes)
    async with httpx.AsyncClient(timeout=5.0, follow_redirects=False) as client:
        answer = await client.get(place)
        answer.raise_for_status()
        return answer.content


def _caller(claims: dict[str, Any]) -> Caller:
    tenant_id, roles = claims.get("tenant"), claims.get("roles", ())
    if isinstance(roles, str):
        roles = roles.split()
    if not isinstance(tenant_id, str) or not all(isinstance(role, str) for role in roles):
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
