"""The three verdicts on a log, and what a verification found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from eventstore.errors import StoreError


class Outcome(Enum):
    """What is said in the end; the value is the word, `exit_status` the command's."""

    VERIFIED = "verified"
    TAMPERED = "tampered"
    NOT_VERIFIABLE = "not verifiable"

    @property
    def exit_status(self) -> int:
        """0, 1 or 2."""
        return {Outcome.VERIFIED: 0, Outcome.TAMPERED: 1, Outcome.NOT_VERIFIABLE: 2}[self]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tenant's verdict. `position` is the first bad one, as far as the proofs tell; None where the cause has none."""

    tenant_id: str
    outcome: Outcome
    position: int | None
    cause: str | None
    checkpoint_size: int | None
    """Of the newest checkpoint that was verified, or that was to be."""
    events: int = 0
    """Rows that were read, from the start or from where an earlier verification had got to."""
    unsealed: int = 0
    """Events after the newest checkpoint: nothing proves them yet."""

    def words(self) -> dict[str, Any]:
        """The four members of the last line."""
        return {
            "verdict": self.outcome.value,
            "position": self.position,
            "cause": self.cause,
            "checkpoint_size": self.checkpoint_size,
        }

    def line(self) -> str:
        """The last line of a verification."""
        return json.dumps(self.words(), separators=(",", ":"), ensure_ascii=True)


class NotVerifiable(StoreError):
    """Nothing can be said about the log; the message says why, and what to do."""


class Kind(IntEnum):
    """What kind of thing does not fit. Of two findings at one position the lower kind says more."""

    ROWS = 1
    """The rows in themselves: one missing, one too many, one that has no leaf."""
    TILE = 2
    """A stored tile is not that of the rows."""
    ROOT = 3
    """A checkpoint's root is not that of the rows."""
    TIME = 4
    """Time goes back: this event was changed, or one in front of it."""
    CHECKPOINT = 5
    """A checkpoint is malformed, or not signed as it must be."""
    SCHEMA = 6
    """The tables, guards or rights are not those that the migrations made."""
    EXPORT = 7
    """An export holds other events than its query asks for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit. Positions up to `last` are meant, where it cannot be told which of them it is."""

    kind: Kind
    position: int | None
    cause: str
    last: int | None = None
    size: int | None = None
    """Of the checkpoint that does not fit."""
