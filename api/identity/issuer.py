"""Whose JWT bearer tokens are taken."""

from __future__ import annotations

from dataclasses import dataclass

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""What may be pinned; neither `none` nor anything whose key the verifier shares with the signer."""


class TokenRefused(Exception):
    """Why a token proves nothing; the message never holds a part of it."""


@dataclass(frozen=True)
class Issuer:
    """An issuer, and for whom its tokens must be."""

    issuer: str
    audience: str
    jwks: str
    """URL, or path of a file."""
    leeway: int = 30
    """Seconds the clocks may differ."""
    algorithms: tuple[str, ...] = ALGORITHMS
