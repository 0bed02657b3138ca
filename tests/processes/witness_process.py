"""A log as a witness sees it, and `fidelog witness` as an operator runs it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import httpx

from api.witness.cosigner import hash_of, open_key
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note, sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.witness_exchange import AddCheckpoint
from tests.processes.fidelog_process import FidelogProcess, environment

LEAVES = 400
TREE = MemoryTree(leaf_hash(number.to_bytes(2, "big")) for number in range(LEAVES))
OTHER = MemoryTree(leaf_hash(b"other" + number.to_bytes(2, "big")) for number in range(LEAVES))
NAME = "example.com/witness"


class Log:
    """A log that signs whatever it is told to, two histories too."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = SigningKey(origin, Kind.LOG, bytes(range(32)))

    def note(self, size: int, tree: MemoryTree = TREE, key: SigningKey | None = None) -> Note:
        """The signed checkpoint of the first leaves."""
        return sign(Checkpoint(self.origin, size, tree.root(size)).text, [key or self.key])

    def request(
        self,
        old: int,
        new: int,
        tree: MemoryTree = TREE,
        key: SigningKey | None = None,
        proof: Iterable[bytes] | None = None,
    ) -> bytes:
        """The body that asks for the tree of `new` leaves."""
        if proof is None:
            proof = consistency_proof(old, new, tree.node) if 0 < old <= new else []
        return AddCheckpoint(old, tuple(proof), self.note(new, tree, key)).body

    @property
    def latest(self) -> str:
        """Where a witness shows what it cosigned last."""
        return f"/{hash_of(self.origin)}/checkpoint"


class WitnessProcess(FidelogProcess):
    """One `fidelog witness`, ready; its state is in `folder / "w"`."""

    def __init__(self, folder: Path, keys: Iterable[VerifierKey]) -> None:
        listed = folder / "logs"
        listed.write_text("# the logs\n\n" + "".join(f"{key.text}\n" for key in keys))
        settings = {
            "FIDELOG_WITNESS_PORT": "0",
            "FIDELOG_WITNESS_STATE_DIR": str(folder / "w"),
            "FIDELOG_WITNESS_NAME": NAME,
            "FIDELOG_WITNESS_LOGS": str(listed),
        }
        self.key = open_key(folder / "w", NAME).verifier
        super().__init__(folder, (), environment(**settings), "witness")

    @cached_property
    def http(self) -> httpx.Client:
        """A client that threads share."""
        return self.client()

    def get(self, path: str) -> httpx.Response:
        """What is at the path."""
        return self.http.get(path)

    def submit(self, body: bytes) -> httpx.Response:
        """Ask for a cosignature."""
        return self.http.post("/add-checkpoint", content=body)

    def size(self, log: Log) -> int:
        """The size of what was cosigned last; 0 when there is nothing."""
        found = self.get(log.latest)
        return 0 if found.status_code == 404 else Checkpoint.parse(Note.parse(found.content).text).size
