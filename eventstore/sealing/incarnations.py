"""Which log a tenant's rows are: its origin, and where its keys and what it signed last lie in the state folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eventstore.durable import create_durably
from eventstore.proof.keyring import Keyring
from eventstore.proof.keys import Signer
from eventstore.proof.signed_state import SignedState
from eventstore.vault.keys import KeyUnavailable

_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_LAST_SIGNED = "last-checkpoint"


@dataclass(frozen=True, slots=True)
class Incarnation:
    """A tenant's log under one origin. The first is number 1; another begins after a restore that lost events."""

    origin: str
    number: int
    keys: Path
    signed: Path

    @property
    def state(self) -> SignedState:
        """What was signed last under this origin."""
        return SignedState(self.signed, self.origin)

    def keyring(self, *, create: bool = False) -> Keyring:
        """The keys, which have the origin's name. Raises KeyUnavailable."""
        return Keyring.open(self.keys, self.origin, create=create)


Signers = Callable[[Incarnation, bool], Sequence[Signer]]
"""The keys that sign a log's checkpoints, wherever they are kept; the flag says whether the first may be made. Asked
again for every checkpoint, in a thread. Raises KeyUnavailable."""


def keys_in_files(log: Incarnation, create: bool) -> Sequence[Signer]:
    """The newest key of the log's folder: a rotation counts from the next checkpoint on."""
    return [log.keyring(create=create).signer]


class Incarnations:
    """The logs of a state folder. `root` is what every origin begins with; without one, a random root is made once and
    kept in the folder."""

    def __init__(self, state_dir: Path, root: str | None = None) -> None:
        self._state_dir = state_dir
        self._root = root

    @property
    def root(self) -> str:
        """What every origin of this folder begins with. Raises KeyUnavailable."""
        if self._root is None:
            self._root = _kept_root(self._state_dir)
        return self._root

    def current(self, tenant_id: str) -> Incarnation:
        """The newest that began to sign, else the first."""
        folder = self._state_dir / "signed" / tenant_id
        numbers = [
            int(path.parent.name) for path in folder.glob(f"*/{_LAST_SIGNED}") if _NUMBER.fullmatch(path.parent.name)
        ]
        return self.numbered(tenant_id, max(numbers, default=1))

    def of(self, tenant_id: str, origin: str) -> Incarnation:
        """The tenant's log with that origin, whether it ever signed or not; the current one where it is no name of the tenant's."""
        number = origin.removeprefix(f"{self.root}/{tenant_id}/")
        if origin == f"{self.root}/{tenant_id}":
            return self.numbered(tenant_id, 1)
        return self.numbered(tenant_id, int(number)) if _NUMBER.fullmatch(number) else self.current(tenant_id)

    def numbered(self, tenant_id: str, number: int) -> Incarnation:
        """One of the tenant's, whether it ever signed or not."""
        keys, signed = self._state_dir / "log-keys" / tenant_id, self._state_dir / "signed" / tenant_id
        if number == 1:
            return Incarnation(f"{self.root}/{tenant_id}", 1, keys, signed)
        return Incarnation(f"{self.root}/{tenant_id}/{number}", number, keys / str(number), signed / str(number))


def _kept_root(state_dir: Path) -> str:
    """The folder's own root, made on first use. `.invalid` is nobody's (RFC 2606): it cannot be taken for an address."""
    path = state_dir / "origin"
    try:
        if not path.exists():
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_durably(path, f"fidelog.invalid/{os.urandom(8).hex()}\n".encode())
        root = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailable(f"{path} cannot be read: {error}") from error
    if re.fullmatch(r"fidelog\.invalid/[0-9a-f]{16}", root) is None:
        raise KeyUnavailable(f"{path} does not hold an origin; restore the state folder (FIDELOG_STATE_DIR)")
    return root
