"""A sealer starts: what it signed last, what the database shows, and whether it may sign again."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import SigningRefused


class Start(Enum):
    """How a sealer goes on."""

    BEGIN = "nothing was ever signed: sign the first checkpoint and begin the state"
    PUBLISH = "the last signed checkpoint was not published any more: publish it, then go on from it"
    GO_ON = "go on from the last signed checkpoint"


def start(
    signed: Checkpoint | None, published: Checkpoint | None, events: int, root_at: Callable[[int], bytes]
) -> Start:
    """Decide from the state folder's checkpoint, the newest one in the database, and the rows of the log.

    `events` is how many there are; `root_at(size)` is the root over the first of them, made from the rows (0 < size <=
    events). A log that a restore took back, or whose rows are others than those that were signed, is not signed again.
    Raises SigningRefused with the reason.
    """
    if signed is None:
        if published is None:
            return Start.BEGIN
        raise SigningRefused(
            f"the database holds a checkpoint of size {published.size}, and the state folder none: restore the state "
            "folder, or adopt a checkpoint that a witness holds"
        )
    if signed.size > events:
        raise SigningRefused(
            f"size {signed.size} was signed and the log has {events} events: a restore or a deletion took back the rest"
        )
    if published is not None and published.size > signed.size:
        raise SigningRefused(
            f"the database holds a checkpoint of size {published.size}, and the state folder only one of size "
            f"{signed.size}: it is older than the database; restore the newest, or move this one away and "
            "adopt a witness's"
        )
    for checkpoint in (published, signed):
        if checkpoint is not None and checkpoint.size and root_at(checkpoint.size) != checkpoint.root:
            raise SigningRefused(f"the first {checkpoint.size} events are not those that were signed")
    return Start.GO_ON if published is not None and published.size == signed.size else Start.PUBLISH
