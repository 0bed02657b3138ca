"""How far a log was verified: a file, from which the next verification may go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eventstore.durable import write_durably
from eventstore.proof.checkpoint import Checkpoint
from eventstore.verifying.known import Earlier

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reached:
    """The checkpoint that was verified, and the roots over the full ranges before its end."""

    checkpoint: Checkpoint
    roots: tuple[bytes, ...]

    @property
    def earlier(self) -> Earlier:
        """As a checkpoint that the rows must still lead to."""
        return Earlier(self.checkpoint, "the checkpoint of the last verification")


def read(path: Path) -> Reached | None:
    """What was reached; None where that cannot be told, and all is verified again."""
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] != _FORMAT:
            return None
        roots = tuple(bytes.fromhex(root) for root in content["roots"])
        checkpoint = Checkpoint(str(content["origin"]), int(content["size"]), bytes.fromhex(content["root"]))
        return Reached(checkpoint, roots)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, reached: Reached) -> None:
    """Put it in place of what was reached before. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {
        "format": _FORMAT,
        "origin": reached.checkpoint.origin,
        "size": reached.checkpoint.size,
        "root": reached.checkpoint.root.hex(),
        "roots": [root.hex() for root in reached.roots],
    }
    write_durably(path, json.dumps(content, separators=(",", ":")).encode())
