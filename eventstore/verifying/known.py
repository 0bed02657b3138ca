"""What is known of a tenant's log outside of the database: its keys, and checkpoints that somebody kept."""

from __future__ import annotations

from dataclasses import dataclass

from eventstore.proof.checkpoint import Checkpoint
from eventstore.verifying.ranges import Keys


@dataclass(frozen=True, slots=True)
class Earlier:
    """A checkpoint of the log that was found signed, and what to call it."""

    checkpoint: Checkpoint
    who: str


@dataclass(frozen=True, slots=True)
class Known:
    """Without a key nothing can be verified."""

    keys: Keys
    earlier: tuple[Earlier, ...] = ()
