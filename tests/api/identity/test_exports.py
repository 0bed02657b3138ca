"""Proofs and exports of a running service: checked as their readers would, on record before they are there."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

import api.exporting
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.export.check import verify_export
from eventstore.proof.export.made import Made
from eventstore.proof.export.recounting import check_exports, exports_in
from eventstore.proof.export.trust import Held
from eventstore.proof.export.verdict import Verdict
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash, verify_consistency
from eventstore.proof.merkle_paths import MemoryTree
from eventstore.proof.note import Note, SignatureLine
from eventstore.proof.policy import Policy, Witness
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.tlog_proof import TlogProof
from tests.api.conftest import FULL_NAME, client_body, fresh_agent, fresh_client, problem, task_body
from tests.api.identity.conftest import HOME, OTHER, Door
from tests.waiting import until

NOT_YET = 503


@pytest.fixture(scope="module")
def officer(door: Door) -> httpx.Client:
    """Who may export, and says why."""
    return door.somebody("compliance", actor="user:officer", fidelog_purpose="case 7")


@pytest.fixture(scope="module")
def client_id(door: Door) -> str:
    """A client with some tasks; others, and another tenant, have events too."""
    advisor = door.somebody("advisor", actor="user:ada")
    others = [advisor, door.somebody("advisor", actor="user:bob", tenant=OTHER)]
    for one in others:
        assert one.post("/clients", json=client_body(fresh_client())).status_code == 200
    client = fresh_client()
    assert advisor.post("/clients", json=client_body(client)).status_code == 200
    for number in range(30):
        assert advisor.post("/tasks", json=task_body(client, fresh_agent(), payload={"n": number})).status_code == 201
    return client


def policy_of(door: Door, tenant: str = HOME) -> Policy:
    """The log's keys, as an auditor has them from elsewhere."""
    return Policy(tuple(door.api.backend.logs.current(tenant).keyring().verifiers), {}, None)


def exported(caller: httpx.Client, **query: Any) -> bytes:
    """A bundle."""
    answer = caller.get("/audit/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    return answer.content


def opened(bundle: bytes) -> dict[str, bytes]:
    """Its members."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def verdict(bundle: bytes, checkpoint: bytes | None, **held: Any) -> Verdict:
    """What a verifier says."""
    return verify_export(io.BytesIO(bundle), Held(checkpoint, **held))


def leaves(bundle: bytes) -> list[dict[str, Any]]:
    """The events as they are in the log."""
    return [json.loads(line) for line in opened(bundle)["leaves.ndjson"].splitlines()]


def sealed(caller: httpx.Client, position: int) -> httpx.Response:
    """The proof of an event as soon as there is one."""

    def proof() -> httpx.Response | None:
        answer = caller.get(f"/audit/events/{position}/proof")
        return None if answer.status_code == NOT_YET else answer

    answer: httpx.Response = until("the event is sealed", proof)
    return answer


def reads(caller: httpx.Client) -> list[tuple[str, str]]:
    """Who did the newest reads on record, and the route; a list is there a little later."""
    found = caller.get("/audit/events", params={"stream": "log-access", "order": "desc", "limit": 50}).json()["events"]
    return [(event["actor"], event["data"]["route"]) for event in found]


def test_every_event_can_be_proven(door: Door, officer: httpx.Client, client_id: str) -> None:
    """A proof file for each position that a write answered, under the log's key, of the leaf as it is exported; who asks
    for one is not recorded, for it shows nothing of anybody."""
    bundle = exported(officer)
    found = {json.loads(line)["position"]: line for line in opened(bundle)["leaves.ndjson"].splitlines()}
    last = max(found)
    for position in (1, 2, last // 2, last):
        answer = sealed(officer, position)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        proof, hash_ = TlogProof.parse(answer.content), leaf_hash(found[position])
        assert proof.verify(hash_, policy_of(door)).checkpoint.size >= last
        assert (proof.index, base64.b64decode(answer.headers["fidelog-leaf-hash"])) == (position - 1, hash_)
    last_to_look = door.somebody("auditor", actor="user:last", fidelog_purpose="looking")
    assert last_to_look.get(f"/clients/{client_id}").status_code == 200
    found_reads = reads(last_to_look)
    assert ("user:last", "GET /clients/{client_id}") in found_reads
    assert not [route for _, route in found_reads if "proof" in route]


def test_any_two_sizes_are_connected(officer: httpx.Client, client_id: str) -> None:
    """Consistency from each checkpoint an auditor may have to the newest; backwards or beyond the log is refused."""
    note = Note.parse(TlogProof.parse(sealed(officer, 30).content).checkpoint)
    newest = Checkpoint.parse(note.text)
    whole = opened(exported(officer))["leaves.ndjson"].splitlines()
    for size in (1, 2, 7, 30):
        older = officer.get("/audit/consistency", params={"old": size, "new": newest.size}).json()
        assert (older["old"], older["new"]) == (size, newest.size)
        hashes = [base64.b64decode(one) for one in older["hashes"]]
        root = MemoryTree(map(leaf_hash, whole[:size])).root()
        verify_consistency(size, newest.size, root, newest.root, hashes)
    assert officer.get("/audit/consistency", params={"old": 3}).json()["new"] >= newest.size
    asked: list[tuple[dict[str, int], str]] = [
        ({}, "old"), ({"old": 5, "new": 4}, "old"), ({"old": 5, "new": 10**9}, "new"), ({"old": 10**9}, "new"),
    ]  # fmt: skip
    for query, parameter in asked:
        refused = problem(officer.get("/audit/consistency", params=query), "invalid-request")
        assert [fault["parameter"] for fault in refused["errors"]] == [parameter]


def test_an_event_that_is_not_there_or_not_sealed_has_no_proof(door: Door, officer: httpx.Client) -> None:
    """404 above the head; 503 with when to come again while the sealer cannot write, for proofs and exports alike."""
    problem(officer.get("/audit/events/1000000/proof"), "event-not-found")
    with sealing_blocked(door):
        written = door.somebody("advisor").post("/clients", json=client_body(fresh_client()))
        position = int(written.headers["fidelog-position"])
        answer = officer.get(f"/audit/events/{position}/proof")
        problem(answer, "position-not-reached")
        assert answer.headers["retry-after"] == "1"
        problem(officer.get("/audit/consistency", params={"old": 1, "new": position}), "position-not-reached")
    assert sealed(officer, position).status_code == 200


@contextmanager
def sealing_blocked(door: Door) -> Iterator[None]:
    """No checkpoint can be written meanwhile."""
    with psycopg.connect(door.superuser_url) as holder:
        holder.execute("LOCK TABLE fidelog.checkpoints IN EXCLUSIVE MODE")
        yield
        holder.rollback()


def test_one_clients_events_are_exported_and_verified(door: Door, officer: httpx.Client, client_id: str) -> None:
    """All of the client's events and nobody else's, proven row by row under a checkpoint that the auditor fetched
    itself; readable for people, sealed in the leaves; and the log holds what left it, with who and why."""
    bundle = exported(officer, client_id=client_id)
    members = opened(bundle)
    checkpoint = officer.get(f"/log/{HOME}/checkpoint").content
    assert verdict(bundle, None, policy=policy_of(door)).verdict == "verified"
    if Checkpoint.parse(Note.parse(checkpoint).text).size == Made.of_leaf(members["export-made.json"]).position:
        assert verdict(bundle, checkpoint).verdict == "verified"
    assert verdict(bundle, members["checkpoint"]).verdict == "verified"
    events = leaves(bundle)
    assert [event["type"] for event in events][:31] == ["ClientOnboarded"] + ["TaskCreated"] * 30
    assert all(client_id in event["subjects"] for event in events)
    assert FULL_NAME.encode() not in members["leaves.ndjson"]
    table = list(csv.DictReader(io.StringIO(members["events.csv"].decode("utf-8-sig"))))
    assert json.loads(table[0]["data"])["full_name"] == FULL_NAME
    assert FULL_NAME.encode() in members["events.html"]
    assert [int(row["position"]) for row in table] == [event["position"] for event in events]
    made = json.loads(members["export-made.json"])
    assert (made["actor"], made["data"]["purpose"], made["subjects"]) == ("user:officer", "case 7", [client_id])
    assert made["data"]["query"]["subject"] == client_id
    (read,) = leaves(exported(officer, type="PersonalDataRead", client_id=client_id))[-1:]
    assert (read["data"]["route"], client_id in read["data"]["clients"]) == ("GET /audit/export", True)
    assert read["position"] < made["position"]


def test_all_filters_of_the_trail_select(door: Door, officer: httpx.Client, client_id: str) -> None:
    """Actor, type, stream, correlation, times, none: what the trail lists up to the position is what is exported, it
    verifies, and counted again from the whole log every export is what it said."""
    everything = officer.get("/audit/events", params={"client_id": client_id, "limit": 500}).json()["events"]
    first, middle = everything[0], everything[len(everything) // 2]
    queries: list[dict[str, Any]] = [
        {"actor": "user:ada"}, {"type": ["TaskCreated", "ClientOnboarded"]}, {"stream": first["stream"]},
        {"correlation_id": middle["correlation_id"]}, {"from": middle["recorded_at"]},
        {"from": first["recorded_at"], "to": middle["recorded_at"], "client_id": client_id}, {"actor": "user:nobody"},
    ]  # fmt: skip
    with ThreadPoolExecutor(len(queries)) as threads:  # each waits until it is sealed
        bundles = list(threads.map(lambda query: exported(officer, **query), queries))
    for query, bundle in zip(queries, bundles, strict=True):
        assert verdict(bundle, opened(bundle)["checkpoint"]).verdict == "verified", query
        found = [event["position"] for event in leaves(bundle)]
        assert found[:500] == listed(officer, query, found[-1] if found else 0), query
        assert bool(found) == (query != {"actor": "user:nobody"})
    whole = exported(officer)
    log = leaves(whole)
    rows = [
        (list(one.values()), leaf_hash(line))
        for one, line in zip(log, opened(whole)["leaves.ndjson"].splitlines(), strict=True)
    ]
    texts = [[json.dumps(value) if name == "data" else value for name, value in one.items()] for one in log]
    made = [one for one in exports_in(texts) if isinstance(one, Made)]
    assert len(made) >= len(queries)
    assert list(check_exports(made, rows)) == []


def listed(officer: httpx.Client, query: dict[str, Any], last: int) -> list[int]:
    """What the trail lists up to the position."""
    found = officer.get("/audit/events", params={**query, "limit": 500, "at_least": last}).json()["events"]
    return [event["position"] for event in found if event["position"] <= last]


def test_an_export_is_connected_with_an_earlier_checkpoint(officer: httpx.Client, client_id: str) -> None:
    """The proof from the size that the reader names is enclosed; or it is fetched and given by itself."""
    earlier = TlogProof.parse(sealed(officer, 5).content).checkpoint
    size = Checkpoint.parse(Note.parse(earlier).text).size
    assert verdict(exported(officer, client_id=client_id, old=size), earlier).verdict == "verified"
    bundle = exported(officer, client_id=client_id)
    found = verdict(bundle, earlier)
    assert found.verdict == "not verifiable"
    query = {"old": size, "new": found.checkpoint_size or 0}
    proof = officer.get("/audit/consistency", params=query).content
    assert verdict(bundle, earlier, consistency=proof).verdict == "verified"


def test_an_export_waits_for_witnesses_where_there_are_some(door: Door, officer: httpx.Client, client_id: str) -> None:
    """Once a witness cosigned, a bundle's checkpoint is cosigned too: it satisfies a policy that asks for the witness."""
    cosign(door, 0)
    before = Checkpoint.parse(Note.parse(officer.get(f"/log/{HOME}/checkpoint").content).text).size
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(exported, officer, client_id=client_id)
        until("a later checkpoint was cosigned", lambda: cosign(door, before + 1) and asked.done())
        bundle = asked.result()
    policy = Policy(policy_of(door).logs, {b"w": Witness(WITNESS.verifier)}, b"w")
    assert verdict(bundle, None, policy=policy).verdict == "verified"


WITNESS = SigningKey("witness.example/w", Kind.COSIGNER, bytes(range(32)))


def cosign(door: Door, at_least: int) -> bool:
    """Cosign the newest checkpoint, if it has that size, as a witness would."""
    with psycopg.connect(door.superuser_url) as connection:
        row = connection.execute(
            "SELECT origin, size, note FROM fidelog.checkpoints WHERE tenant_id = %s ORDER BY size DESC LIMIT 1",
            (HOME,),
        ).fetchone()
        assert row is not None
        origin, size, note = row
        if size >= at_least:
            line = SignatureLine.made_by(WITNESS, Note.parse(note.encode()).text, 1_800_000_000).text
            connection.execute(
                "INSERT INTO fidelog.cosignatures (tenant_id, origin, size, witness, line) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (HOME, origin, size, WITNESS.verifier.name, line),
            )
        return bool(size >= at_least)


def test_who_may_export(door: Door, client_id: str) -> None:
    """The scope audit:export, and a purpose; each tenant its own log; nothing that cannot be asked for."""
    refused = problem(door.somebody("approver").get("/audit/export"), "forbidden")
    assert refused["missing_scope"] == "audit:export"
    problem(door.somebody("auditor").get("/audit/export"), "invalid-request")
    auditor = door.somebody("auditor", tenant=OTHER, fidelog_purpose="case 8")
    bundle = exported(auditor)
    assert {event["tenant"] for event in leaves(bundle)} == {OTHER}
    assert verdict(bundle, None, policy=policy_of(door, OTHER)).verdict == "verified"
    assert verdict(bundle, None, policy=policy_of(door)).verdict == "not verifiable"
    decision = {"decision_id": "00000000-0000-4000-8000-000000000000"}
    assert leaves(exported(auditor, **decision)) == []
    for query in ({**decision, "stream": "task-x"}, {"old": 10**9}):
        problem(auditor.get("/audit/export", params=query), "invalid-request")


def test_an_export_that_was_broken_off_is_not_whole(
    door: Door, officer: httpx.Client, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it cannot be sealed, or the caller hangs up, the answer does not end as one does, and what came is no archive."""
    monkeypatch.setattr(api.exporting, "SEALED_SECONDS", 0.3)
    came = bytearray()
    with officer.stream("GET", "/audit/export", params={"client_id": client_id}) as answer:
        chunks = answer.iter_raw()
        came += next(chunks)
        with sealing_blocked(door), pytest.raises(httpx.RemoteProtocolError):
            came += b"".join(chunks)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(came))
    assert verdict(bytes(came), None, policy=policy_of(door)).verdict == "not verifiable"
