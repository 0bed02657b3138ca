"""`fidelog witness` as an operator runs it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import httpx

from api.witness.cosigner import hash_of, open_key
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note
from tests.eventstore.proof.one_log import OneLog
from tests.processes.fidelog_process import FidelogProcess, environment

NAME = "example.com/witness"


def shown_at(log: OneLog) -> str:
    """Where a witness shows what it cosigned last."""
    return f"/{hash_of(log.origin)}/checkpoint"


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

    def size(self, log: OneLog) -> int:
        """The size of what was cosigned last; 0 when there is nothing."""
        found = self.get(shown_at(log))
        return 0 if found.status_code == 404 else Checkpoint.parse(Note.parse(found.content).text).size
