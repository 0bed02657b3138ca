"""Trust policies (c2sp.org/tlog-policy): which logs are believed, and which witnesses must have cosigned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import NotSigned, QuorumMissed
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note, Signed


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness, and the address of its submission prefix if the policy gives one."""

    key: VerifierKey
    url: bytes | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """So many of its members must have witnessed."""

    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A checkpoint that satisfies a policy, the log's key that signed it, and the witnesses that cosigned, with when."""

    checkpoint: Checkpoint
    log: VerifierKey
    witnesses: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Names of witnesses and groups are bytes that mean nothing outside of the policy."""

    logs: tuple[VerifierKey, ...]
    members: Mapping[bytes, Witness | Group]
    quorum: bytes | None
    """The witness or group that must have witnessed; None asks for no witness."""

    @property
    def witnesses(self) -> Mapping[bytes, Witness]:
        """The witnesses by name."""
        return {name: member for name, member in self.members.items() if isinstance(member, Witness)}

    def accept(self, note: Note, logs: Iterable[VerifierKey] = ()) -> Accepted:
        """The checkpoint in a note, if a log of the policy (or of `logs`) signed it and the quorum cosigned it.

        Raises MalformedProof, BadSignature, NotSigned, QuorumMissed.
        """
        checkpoint = Checkpoint.parse(note.text)
        log = note.signers(key for key in (*self.logs, *logs) if key.name == checkpoint.origin)[0].key
        checkpoint.check_empty()
        try:
            cosigned = note.signers(witness.key for witness in self.witnesses.values())
        except NotSigned:
            cosigned = []
        if not self.reached({one.key for one in cosigned}):
            raise QuorumMissed(f"{len(cosigned)} witnesses cosigned, which is not the policy's quorum")
        return Accepted(checkpoint, log, tuple(cosigned))

    def reached(self, cosigned: Set[VerifierKey]) -> bool:
        """Whether the quorum is reached when these keys have cosigned."""
        return self.quorum is None or self._witnessed(self.quorum, cosigned)

    def _witnessed(self, name: bytes, cosigned: Set[VerifierKey]) -> bool:
        """Members are defined before the groups they are in, so this ends."""
        member = self.members[name]
        if isinstance(member, Witness):
            return member.key in cosigned
        return sum(self._witnessed(one, cosigned) for one in member.members) >= member.threshold
