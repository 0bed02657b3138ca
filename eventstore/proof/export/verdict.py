"""What a verification ends with: one of three verdicts, each with its exit status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Word = Literal["verified", "tampered", "not verifiable"]

EXIT: dict[Word, int] = {"verified": 0, "tampered": 1, "not verifiable": 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict, the first bad position where one is known, the cause, and the size of the checkpoint that was
    verified against, if it came so far."""

    verdict: Word
    cause: str | None = None
    position: int | None = None
    checkpoint_size: int | None = None

    @property
    def status(self) -> int:
        """The exit status."""
        return EXIT[self.verdict]

    @property
    def line(self) -> str:
        """The last line on stdout."""
        return json.dumps(
            {
                "verdict": self.verdict,
                "position": self.position,
                "cause": self.cause,
                "checkpoint_size": self.checkpoint_size,
            },
            separators=(",", ":"),
        )


class Tampered(Exception):
    """What was found is not what was sealed."""

    def __init__(self, cause: str, position: int | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.position = position


class NotVerifiable(Exception):
    """Nothing can be said: something is missing, cannot be read, or is another log's."""
