"""How an actor is written: `agent:<name>[@version]` (an algorithm), `user:<id>` (a natural person), `system:<part>`."""

from __future__ import annotations

import re

NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
USER = re.compile(rf"user:{NAME}")
ACTOR = re.compile(rf"user:{NAME}|agent:{NAME}(?:@[A-Za-z0-9._-]{{1,64}})?")
"""Who may ask. `system:<part>` never does: that is Fidelog itself."""

_KINDS = {"agent": "algorithm", "user": "natural person", "system": "system"}


def kind(actor: str) -> str:
    """Whether the actor is an algorithm, a natural person or a part of the system."""
    return _KINDS[actor.partition(":")[0]]
