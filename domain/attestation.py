"""What the log says of its own soundness: the schema it lies in on stream `log-schema`, verdicts on `log-verification`.

Streams of the tenant's log itself, as those of `administration`, whose decider and fold they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.log_events import OfTheLog

SCHEMA, VERIFICATION = "log-schema", "log-verification"

# Commands


@dataclass(frozen=True, slots=True)
class AttestSchema:
    """The schema, guards and rights are now those with this hash (64 hex digits)."""

    sha256: str

    streams = (SCHEMA,)
    selection = None


@dataclass(frozen=True, slots=True)
class RecordRepair:
    """Guards were not as the migrations made them, and were restored."""

    differences: tuple[str, ...]
    sha256: str

    streams = (SCHEMA,)
    selection = None


@dataclass(frozen=True, slots=True)
class RecordVerification:
    """A verification of the log ended: `kind` is `full` or `incremental`, the rest as `fidelog verify` says it."""

    kind: str
    verdict: str
    position: int | None
    cause: str | None
    checkpoint_size: int | None

    streams = (VERIFICATION,)
    selection = None


AttestationCommand = AttestSchema | RecordRepair | RecordVerification

# Events


@dataclass(frozen=True)
class SchemaAttested(OfTheLog, log_id="schema"):
    sha256: str


@dataclass(frozen=True)
class GuardsRepaired(OfTheLog, log_id="schema"):
    """What was restored, each in words; the hash is that of afterwards."""

    differences: list[str]
    sha256: str


@dataclass(frozen=True)
class VerificationMade(OfTheLog, log_id="verification"):
    kind: str
    verdict: str
    position: int | None
    cause: str | None
    checkpoint_size: int | None


AttestationEvent = SchemaAttested | GuardsRepaired | VerificationMade


def decide(command: AttestationCommand) -> tuple[tuple[str, Any], ...]:
    """What is recorded; what happened always is."""
    match command:
        case AttestSchema():
            return ((SCHEMA, SchemaAttested(command.sha256)),)
        case RecordRepair():
            return ((SCHEMA, GuardsRepaired(list(command.differences), command.sha256)),)
    made = VerificationMade(command.kind, command.verdict, command.position, command.cause, command.checkpoint_size)
    return ((VERIFICATION, made),)
