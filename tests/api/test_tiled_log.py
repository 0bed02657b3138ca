"""The sealed log as a stranger's client reads it: written from the C2SP texts alone, with nothing of ours but the address,
the log's key and an auditor's token."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.cli import main
from tests.api.conftest import client_body, problem
from tests.api.identity.conftest import Door, open_door
from tests.clusters import Cluster
from tests.eventstore.sealing.rows import fill
from tests.sealed import edge, sealed_size

EVENTS = 600


def leaf(entry: bytes) -> bytes:
    """RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def root(hashes: list[bytes]) -> bytes:
    """The Merkle tree hash of leaves' hashes (RFC 6962, section 2.1)."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def place(index: int, width: int) -> str:
    """c2sp.org/tlog-tiles: groups of three digits, all but the last with an x in front."""
    digits = f"{index:03}".zfill(-(-len(f"{index:03}") // 3) * 3)
    groups = [digits[n : n + 3] for n in range(0, len(digits), 3)]
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:]) + ("" if width == 256 else f".p/{width}")


@dataclass
class Stranger:
    """A client of a tiled log."""

    http: httpx.Client
    prefix: str
    key: str

    def checkpoint(self) -> tuple[int, bytes]:
        """Size and root, signed by the one key that is trusted (c2sp.org/signed-note, c2sp.org/tlog-checkpoint)."""
        answer = self.http.get(f"{self.prefix}/checkpoint")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        text, _, signatures = answer.content.decode().rpartition("\n\n")
        name, key_id, public = self.key.split("+", 2)
        for line in signatures.split("\n")[:-1]:
            dash, signer, blob = line.split(" ")
            data = base64.b64decode(blob, validate=True)
            if (dash, signer, data[:4].hex()) == ("\N{EM DASH}", name, key_id):
                Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[1:]).verify(data[4:], f"{text}\n".encode())
                break
        else:
            raise AssertionError("nobody trusted signed")
        origin, size, hash_ = text.split("\n")
        assert origin == name
        return int(size), base64.b64decode(hash_, validate=True)

    def tile(self, level: int, index: int, width: int) -> list[bytes]:
        """The hashes of a tile."""
        answer = self.http.get(f"{self.prefix}/tile/{level}/{place(index, width)}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
        assert "immutable" in answer.headers["cache-control"]
        assert len(answer.content) == 32 * width
        return [answer.content[n : n + 32] for n in range(0, len(answer.content), 32)]

    def level(self, level: int, size: int) -> list[bytes]:
        """All hashes of a level at a tree size."""
        count = size >> 8 * level
        return [
            hash_
            for index in range(-(-count // 256))
            for hash_ in self.tile(level, index, min(256, count - 256 * index))
        ]

    def leaves(self, size: int, signed: bytes) -> list[bytes]:
        """The leaves' hashes, which have the signed root; each level above is what is below it."""
        found = below = self.level(0, size)
        assert root(found) == signed
        for level in range(1, 8):
            above = self.level(level, size)
            assert above == [root(below[n : n + 256]) for n in range(0, len(below) // 256 * 256, 256)]
            below = above
        return found

    def entries(self, index: int, width: int) -> list[bytes]:
        """The entries of a bundle."""
        answer = self.http.get(f"{self.prefix}/tile/entries/{place(index, width)}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
        data, found = answer.content, []
        while data:
            (length,) = struct.unpack(">H", data[:2])
            found.append(data[2 : 2 + length])
            data = data[2 + length :]
        assert len(found) == width
        return found


@pytest.fixture(scope="module")
def house(pg: Cluster) -> Iterator[Door]:
    """A service whose log has some hundred events already."""
    with pg.copy() as name:
        fill(pg.database(name), 1, EVENTS)
        yield from open_door(pg, name)


@pytest.fixture(scope="module")
def key(house: Door) -> str:
    """The log's key, as its operator hands it out."""
    return house.api.backend.logs.current("default").keyring().verifiers[0].text


def test_a_stranger_rebuilds_the_log(house: Door, key: str) -> None:
    """Checkpoint and tiles without a credential, the entries with an auditor's: the tiles give the signed root, each
    entry has its hash there, and says its position; what is read is on record with the purpose."""
    public = Stranger(house.caller(), "/log/default", key)
    sealed_size(public.http, EVENTS)
    size, signed = public.checkpoint()
    hashes = public.leaves(size, signed)
    auditor = house.somebody("auditor", actor="user:aud", fidelog_purpose="yearly audit")
    stranger = replace(public, http=auditor)
    entries = [
        entry for index in range(-(-size // 256)) for entry in stranger.entries(index, min(256, size - 256 * index))
    ]
    assert [leaf(entry) for entry in entries] == hashes
    assert [json.loads(entry)["position"] for entry in entries] == list(range(1, size + 1))
    read = [event for event in events(house, EVENTS) if event["type"] == "PersonalDataRead"]
    assert {(event["actor"], event["data"]["route"], event["data"]["purpose"]) for event in read} >= {
        ("user:aud", "GET /log/{tenant}/tile/entries/{bundle}", "yearly audit")
    }
    assert {client for event in read for client in event["data"]["clients"]} >= {f"c{n}" for n in range(7)}


def events(house: Door, after: int) -> list[dict[str, Any]]:
    """Events behind a position, as the rows have them."""
    with psycopg.connect(house.superuser_url) as connection:
        found = connection.execute(
            "SELECT actor, type, data FROM fidelog.events WHERE tenant_id = 'default' AND position > %s", (after,)
        )
        return [{"actor": actor, "type": kind, "data": data} for actor, kind, data in found]


def test_the_log_grows_under_the_same_root(house: Door, key: str) -> None:
    """A write is sealed within seconds, and the tree before it is the beginning of the tree after it."""
    stranger = Stranger(house.caller(), "/log/default", key)
    before, old_root = stranger.checkpoint()
    writer = house.somebody("advisor")
    written = int(writer.post("/clients", json=client_body("client-grown")).headers["fidelog-position"])
    assert sealed_size(stranger.http, written) >= written
    size, signed = stranger.checkpoint()
    hashes = stranger.leaves(size, signed)
    assert root(hashes[:before]) == old_root
    assert stranger.level(0, before) == hashes[:before], "the old partial tile is still there"


def test_what_no_checkpoint_implies_is_not_there(house: Door) -> None:
    """Widths that no tree had, indexes beyond, other spellings, other levels; and nothing of it tells more than that."""
    http = house.caller()
    size = sealed_size(http, EVENTS)
    wrong = (
        "tile/0/000.p/7", "tile/0/000.p/0", "tile/0/000.p/256", f"tile/0/{size // 256 + 1:03}", "tile/0/0", "tile/00/000",
        "tile/0/x000/000", "tile/1/000", "tile/1/000.p/200", "tile/7/000.p/1", "tile/64/000", "tile/-1/000", "tile/0/000.p/1a",
        "tile/0/000.p/1/2", "tile/0/999999", "tile/63/x999/x999/x999/x999/x999/x999/999.p/9", "tile/data/000", "tile/",
        "tile/0/%30%30%30.p/7",
        "checkpoint/", "tile/entries", "", "tiles/0/000",
    )  # fmt: skip
    for path in wrong:
        problem(http.get(f"/log/default/{path}"), "not-found")
    assert http.get(f"/log/default/tile/0/{edge(size)}").status_code == 200
    nobody, unknown = "/log/nobody/checkpoint", "/log/NO BODY/checkpoint"
    answers = [http.get(path) for path in (nobody, unknown, "/log/nobody/tile/0/000.p/1", "/nothing")]
    said = {json.dumps({**answer.json(), "instance": ""}) for answer in answers}
    assert len(said) == 1
    assert answers[0].headers["cache-control"] == "no-store"


def test_entries_are_for_those_who_audit_their_own_log(house: Door) -> None:
    """Without a credential 401, without the scope 403, of another tenant's log 404; compressed for who asks so."""
    path = f"/log/default/tile/entries/{edge(sealed_size(house.caller(), EVENTS))}"
    problem(house.caller().get(path), "unauthenticated")
    problem(house.somebody("advisor").get(path), "forbidden")
    auditor = house.somebody("auditor", fidelog_purpose="audit")
    problem(auditor.get("/log/acme/tile/entries/000.p/1"), "not-found")
    problem(auditor.get("/log/default/tile/entries/000.p/9"), "not-found")
    plain = auditor.get(path, headers={"accept-encoding": "identity"})
    packed = auditor.get(path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
    assert plain.content == packed.content
    refused = auditor.get(path, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    assert plain.headers["cache-control"].startswith("private")


def test_a_rotated_key_signs_the_next_checkpoint(
    house: Door, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the service runs: the statement has both keys' signatures, the old key stays in the list, and the checkpoint
    after the next write is the new one's alone."""
    monkeypatch.setenv("FIDELOG_STATE_DIR", str(house.api.backend.settings.state_dir))

    def fidelog(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        return capsys.readouterr().out

    statement = fidelog("log", "rotate-key")
    shown = json.loads(fidelog("log", "show", "--json"))
    assert shown["origin"] == key.split("+")[0]
    assert shown["keys"][0] == key
    assert len(shown["keys"]) == 2
    assert shown["rotations"] == [statement]
    for one in shown["keys"]:
        name, key_id, _ = one.split("+", 2)
        assert one in statement.split("\n")
        assert any(
            base64.b64decode(line.split(" ")[2])[:4].hex() == key_id
            for line in statement.split("\n")
            if line.startswith(f"\N{EM DASH} {name} ")
        )
    written = house.somebody("advisor").post("/clients", json=client_body("client-rotated")).headers["fidelog-position"]
    http = house.caller()
    sealed_size(http, int(written))
    size, signed = Stranger(http, "/log/default", shown["keys"][1]).checkpoint()
    assert root(Stranger(http, "/log/default", key).level(0, size)) == signed
    with pytest.raises(AssertionError, match="nobody trusted"):
        Stranger(http, "/log/default", key).checkpoint()
    assert shown["keys"][1] in fidelog("log", "show")
