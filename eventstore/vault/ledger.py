"""The erasure ledger: who was erased, and where the log says so. Ids and positions only, outside the database, so that a
restored backup does not bring anybody back unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eventstore.durable import append_durably


class Ledger:
    """The files `erased/<tenant>` of a state folder: a line for each erased subject, its position and its id."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "erased"

    def read(self, tenant_id: str) -> dict[str, int]:
        """Positions by subject. Raises OSError."""
        path = self._folder / tenant_id
        if not path.exists():
            return {}
        whole, _, _ = path.read_bytes().decode("ascii").rpartition("\n")  # what follows was never finished
        lines = (line.partition(" ") for line in whole.splitlines())
        return {subject: int(position) for position, _, subject in lines}

    def add(self, tenant_id: str, erased: Mapping[str, int]) -> None:
        """Enter positions by subject, each once; they are on the disk when this returns. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        known = self.read(tenant_id)
        lines = [f"{position} {subject}\n" for subject, position in erased.items() if known.get(subject) != position]
        if lines:
            append_durably(self._folder / tenant_id, "".join(lines).encode("ascii"))
