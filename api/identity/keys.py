"""API keys: `fdl_<8>_<43>`. The eight name the key, the forty-three are its secret (256 random bits, base64url)."""

from __future__ import annotations

import re
import secrets
import string
from typing import NamedTuple

_ALPHABET = string.ascii_lowercase + string.digits
_KEY = re.compile(r"fdl_(?P<id>[a-z0-9]{8})_(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)

KEY_ID = r"^[a-z0-9]{8}$"
PREFIX = "fdl_"


class ApiKey(NamedTuple):
    """A key as its holder has it."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.key_id}_{self.secret}"


def draw() -> ApiKey:
    """A new random key."""
    return ApiKey("".join(secrets.choice(_ALPHABET) for _ in range(8)), secrets.token_urlsafe(32))


def parse(text: str) -> ApiKey | None:
    """The key in `text`; None for what is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else ApiKey(found["id"], found["secret"])
