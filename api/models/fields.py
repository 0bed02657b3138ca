"""What a field may hold, wherever it stands: each type both validates and documents."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from domain.client import RISK_PROFILES

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
MAX_FREE_JSON_BYTES = 32_768

_BIDI_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _full_name(value: str) -> str:
    """NFC, outer white space trimmed, 1 to 140 characters, nothing that hides or reorders text."""
    name = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(name) <= 140:
        raise ValueError("must have 1 to 140 characters")
    if not name.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name):
        raise ValueError("must not contain control characters")
    if not name.isascii() and not _BIDI_OVERRIDES.isdisjoint(name):
        raise ValueError("must not contain bidirectional override characters")
    return name


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


def digits(value: object) -> object:
    """An integer in a query string is written in digits, and in no other way Python would accept."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("must be an integer")
    return value


def _lower(value: str) -> str:
    return value.lower()


Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
Uuid = Annotated[str, StringConstraints(pattern=UUID), AfterValidator(_lower)]
FullName = Annotated[
    str,
    AfterValidator(_full_name),
    Field(
        description="1 to 140 characters, without control or bidirectional override characters, when normalised (NFC) and "
        "trimmed. Personal data: stored encrypted only.",
        json_schema_extra={"minLength": 1},
    ),
]
Limit = Annotated[int, Field(ge=1, le=500), BeforeValidator(digits)]
"""How many entries a page of a list may hold."""
RiskProfile = Literal["conservative", "moderately_conservative", "moderate", "growth", "aggressive"]
FreeJson = Annotated[
    dict[str, Any],
    Field(description="Any JSON object of at most 32,768 bytes as compact JSON. Personal data: stored encrypted only."),
]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4_000),
    AfterValidator(_no_nul),
    Field(description="Personal data: stored encrypted only."),
]

assert RiskProfile.__args__ == RISK_PROFILES  # type: ignore[attr-defined]  # a Literal's values


class Body(BaseModel):
    """Unknown fields are refused; nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="rust-regex")
