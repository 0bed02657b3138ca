"""The whole way: what is recorded is sealed, shown to witnesses of other people, and served with their cosignatures."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.operate import status_command
from api.settings import Settings
from api.witnessing import witnessing
from eventstore.database import Database
from eventstore.proof.keys import Kind
from eventstore.proof.note import Note
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing.incarnations import Incarnations
from tests.api.conftest import client_body
from tests.clusters import Cluster
from tests.eventstore.writer.harness import rows
from tests.processes.fidelog_process import new_folders
from tests.processes.witness_process import WitnessProcess
from tests.running import RunningApi, running_api
from tests.waiting import until

ABSENT = SigningKey("absent.example/w", Kind.COSIGNER, bytes(32)).verifier

_numbers = itertools.count(1)


@dataclass
class Witnessed:
    """A served log, one witness that runs, and one that nobody reaches: one of the two is a quorum."""

    api: RunningApi
    settings: Settings
    witness: WitnessProcess

    def record(self) -> int:
        """Append an event; its position."""
        return int(self.api.client.post("/clients", json=client_body(f"c{next(_numbers)}")).headers["fidelog-position"])

    def ready(self) -> dict[str, Any]:
        """What /readyz says."""
        return dict(self.api.client.get("/readyz").json())

    def until_witnessed(self, position: int) -> None:
        """Wait until a checkpoint that covers the position has reached the quorum."""

        def reached() -> bool:
            tail = next(tail for tail in self.ready()["tails"] if tail["name"] == "witness")
            return bool(tail["position"] >= position)

        until("it is witnessed", reached)


@pytest.fixture
def witnessed(pg: Cluster, database_name: str, tmp_path: Path) -> Iterator[Witnessed]:
    """Served for the test."""
    settings = pg.settings(database_name)
    log = Incarnations(settings.state_dir, settings.origin).current("default")
    with new_folders() as folders:
        witness = WitnessProcess(folders.outer, [log.keyring(create=True).signer.verifier])
        folders.started.append(witness)
        witness.ready()
        policy = tmp_path / "policy"
        policy.write_text(
            f"witness near {witness.key.text} {witness.url}\nwitness absent {ABSENT.text} http://127.0.0.1:1\n"
            "group one any near absent\nquorum one\n"
        )
        settings = replace(settings, witnessing=witnessing(policy, ""))
        with running_api(settings) as api:
            yield Witnessed(api, settings, witness)


def status(witnessed: Witnessed, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> str:
    """What `fidelog status` prints."""
    capsys.readouterr()
    assert asyncio.run(status_command(witnessed.settings, as_json=as_json)) == 0
    return capsys.readouterr().out


def test_what_is_recorded_is_sealed_and_witnessed(
    witnessed: Witnessed,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The served checkpoint carries a cosignature that a verifier with the policy accepts, and how far each witness has got
    shows in /readyz, in the metrics and in the status; a witness that nobody reaches has its fault told and delays nothing."""
    http = witnessed.api.client
    witnessed.until_witnessed(witnessed.record())
    witnessed.until_witnessed(witnessed.record())
    assert witnessed.settings.witnessing is not None
    policy, log = witnessed.settings.witnessing.policy, witnessed.api.backend.logs.current("default")
    note = Note.parse(http.get("/log/default/checkpoint").content)
    accepted = policy.accept(note, log.keyring().verifiers)
    assert [one.key for one in accepted.witnesses] == [witnessed.witness.key]
    ready = witnessed.ready()
    near, absent = ready["witnesses"]
    assert near == {"name": witnessed.witness.key.name, "position": accepted.checkpoint.size, "lag": 0}
    assert (absent["position"], absent["fault"]) == (0, "it cannot be reached: ConnectError")
    tail = next(tail for tail in ready["tails"] if tail["name"] == "witness")
    assert tail == {"name": "witness", "position": accepted.checkpoint.size, "lag": 0}
    figures = {
        (sample.name, sample.labels.get("witness")): sample.value
        for family in text_string_to_metric_families(http.get("/metrics").text)
        for sample in family.samples
    }
    assert figures["fidelog_witness_position", witnessed.witness.key.name] == accepted.checkpoint.size
    assert figures["fidelog_witness_fault", ABSENT.name] == 1
    assert figures["fidelog_witness_fault", witnessed.witness.key.name] == 0
    assert 0 <= figures["fidelog_witnessed_age_seconds", None] < 60
    (tenant,) = orjson.loads(status(witnessed, capsys, as_json=True))["tenants"]
    assert {"name": "witness", "position": accepted.checkpoint.size, "lag": 0} in tenant["tails"]
    assert tenant["recorded_at"] <= tenant["sealed_at"] <= tenant["witnessed_at"]
    shown = status(witnessed, capsys, as_json=False)
    assert "witnessed" in shown


def test_it_goes_on_after_the_witness_was_away_and_a_session_was_lost(witnessed: Witnessed, database: Database) -> None:
    """Writes go on while the witness is gone and the sealer's sessions are ended; then what was sealed meanwhile is cosigned."""
    witnessed.until_witnessed(witnessed.record())
    witnessed.witness.process.send_signal(signal.SIGSTOP)
    position = witnessed.record()
    rows(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fidelog_sealer'")
    position = witnessed.record()
    witnessed.witness.process.send_signal(signal.SIGCONT)
    witnessed.until_witnessed(position)
