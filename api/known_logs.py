"""What this machine knows of the logs besides the database: keys and last signed checkpoints of the state folder, a policy's
keys, and checkpoints that somebody kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from api.sealing import incarnations
from api.settings import Settings
from eventstore.proof.checkpoint import Checkpoint, signed_checkpoint
from eventstore.proof.errors import ProofError
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.policy import Policy
from eventstore.proof.policy_file import parse_policy
from eventstore.provision import TENANT
from eventstore.vault.keys import KeyUnavailable
from eventstore.verifying.known import Earlier, Known
from eventstore.verifying.verdicts import NotVerifiable

LAST_SIGNED = "the checkpoint that was signed last (state folder)"


@dataclass
class KnownLogs:
    """Of all tenants: keys of each origin, and earlier checkpoints of each tenant."""

    keys: dict[str, list[VerifierKey]] = field(default_factory=dict)
    earlier: dict[str, list[Earlier]] = field(default_factory=dict)

    def of(self, tenant_id: str) -> Known:
        """Of one tenant. An origin is of the tenant that it names."""
        keys = {origin: keys for origin, keys in self.keys.items() if tenant_of(origin) == tenant_id}
        return Known(keys, tuple(self.earlier.get(tenant_id, ())))

    @property
    def tenants(self) -> set[str]:
        """Those that something is known of, whether the database still has them or not."""
        return set(self.earlier)


def known_logs(settings: Settings, policy_file: Path | None, checkpoint_files: Sequence[Path]) -> KnownLogs:
    """Read all there is. Raises NotVerifiable when a file is not what it should be."""
    known = KnownLogs()
    policy = None if policy_file is None else _policy(policy_file)
    for key in policy.logs if policy is not None else ():
        known.keys.setdefault(key.name, []).append(key)
    try:
        _add_own(known, settings)
        for path in checkpoint_files:
            _add(known, path, policy)
    except (ProofError, KeyUnavailable) as error:
        raise NotVerifiable(str(error)) from error
    except OSError as error:
        raise NotVerifiable(f"{error.filename} cannot be read: {error.strerror}") from error
    return known


def tenant_of(origin: str) -> str | None:
    """The tenant whose log has the origin `<root>/<tenant>`, or `<root>/<tenant>/<number>` in a later incarnation."""
    parts = origin.split("/")
    if len(parts) > 2 and re.fullmatch(r"[1-9][0-9]{0,5}", parts[-1], re.ASCII):
        parts.pop()
    return parts[-1] if re.fullmatch(TENANT, parts[-1]) else None


def _add_own(known: KnownLogs, settings: Settings) -> None:
    """What the state folder holds, if this machine seals."""
    folder = settings.state_dir / "log-keys"
    logs = incarnations(settings)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        current = logs.current(path.name)
        for number in range(1, current.number + 1):
            one = logs.numbered(path.name, number)
            if one.keys.is_dir():
                known.keys[one.origin] = list(
                    dict.fromkeys([*one.keyring().verifiers, *known.keys.get(one.origin, [])])
                )
        note = current.state.latest()
        if note is not None:
            earlier = Earlier(Checkpoint.parse(note.text), LAST_SIGNED)
            known.earlier.setdefault(path.name, []).append(earlier)


def _policy(path: Path) -> Policy:
    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        raise NotVerifiable(f"the policy {path} cannot be read: {error.strerror}") from error
    except ProofError as error:
        raise NotVerifiable(f"the policy {path} is no policy: {error}") from error


def _add(known: KnownLogs, path: Path, policy: Policy | None) -> None:
    """A checkpoint that somebody kept: only one that the log signed says anything."""
    try:
        note = Note.parse(path.read_bytes())
        origin = Checkpoint.parse(note.text).origin
        keys = known.keys.get(origin, [])
        checkpoint = policy.accept(note, keys).checkpoint if policy else signed_checkpoint(note, origin, keys)
    except ProofError as error:
        raise NotVerifiable(f"the checkpoint in {path} proves nothing: {error}") from error
    tenant_id = tenant_of(origin)
    if tenant_id is None:
        raise NotVerifiable(f"the checkpoint in {path} is of {origin}, which names no tenant of Fidelog")
    known.earlier.setdefault(tenant_id, []).append(Earlier(checkpoint, f"the checkpoint in {path}"))
