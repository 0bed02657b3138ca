"""The state folder lost what the log signed last: a checkpoint that somebody else holds is adopted, or refused with its reason."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from api.adopting import adopt, adopted
from api.settings import Settings, SettingsError
from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import ProofError
from eventstore.proof.keys import Kind, Signer
from eventstore.proof.note import Note, sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing.incarnations import Incarnation, Incarnations, keys_in_files
from eventstore.sealing.reincarnation import begin_anew
from eventstore.sealing.store import SealStore, connect
from tests.api.conftest import Caller
from tests.api.test_reincarnation import fault, record
from tests.clusters import Cluster
from tests.eventstore.sealing.rows import check, fill, seal_once
from tests.eventstore.sealing.test_consistency import tree_of
from tests.eventstore.writer.harness import TENANT, rows
from tests.running import running_api
from tests.waiting import until

WITNESS = SigningKey("witness.example/w", Kind.COSIGNER, bytes(32))


def kept(path: Path, note: Note) -> Path:
    """A file with a note."""
    path.write_bytes(note.data)
    return path


def log_of(settings: Settings) -> Incarnation:
    """The tenant's log."""
    return Incarnations(settings.state_dir).current(TENANT)


def test_a_log_goes_on_from_what_a_witness_holds(
    pg: Cluster, database_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when the log was sealed further since: beside the running service, which then signs what continues all that was
    published."""
    settings = pg.settings(database_name)
    database, log = pg.database(database_name), log_of(settings)
    for first, last in ((1, 3), (4, 5)):
        fill(database, first, last)
        seal_once(database, log)
    held = note_of(database, log, 3)
    shutil.rmtree(log.signed)
    with running_api(settings) as api:
        caller = Caller(api.client)
        until("it says that it does not seal", lambda: fault(caller))
        assert "the state folder none" in str(fault(caller))
        assert "fidelog log adopt" in str(fault(caller))
        assert asyncio.run(adopt(settings, TENANT, kept(tmp_path / "held", held))) == 0
        assert f"of {log.origin} is the one of size 5" in capsys.readouterr().out
        until("it seals", lambda: fault(caller) is None)
        record(caller, 6)
    assert check(database, log) == 6


def note_of(database: Database, log: Incarnation, size: int, key: Signer | None = None) -> Note:
    """The checkpoint of the first rows of a database, signed by the log's key or another."""
    checkpoint = Checkpoint(log.origin, size, tree_of(database).root(size))
    return sign(checkpoint.text, [key or log.keyring().signer])


def test_one_that_was_signed_and_not_published_is_adopted(pg: Cluster, database_name: str, tmp_path: Path) -> None:
    """A witness saw it before the sealer died: it is published as it was signed, without
    the witness's line, and the log goes on."""
    database, log = pg.database(database_name), log_of(settings := pg.settings(database_name))
    fill(database, 1, 300)
    seal_once(database, log)
    shutil.rmtree(log.signed)
    fill(database, 301, 320)
    held = note_of(database, log, 310)
    witnessed = Note(held.text, (*held.lines, *sign(held.text, [WITNESS], 1).lines))
    assert asyncio.run(adopt(settings, TENANT, kept(tmp_path / "held", witnessed))) == 0
    seal_once(database, log)
    assert check(database, log) == 320
    found = dict(rows(database, "SELECT size, note FROM fidelog.checkpoints"))
    assert set(found) == {0, 300, 310, 320}
    assert found[310] == held.data.decode()


def test_what_the_database_contradicts_is_not_adopted(pg: Cluster, database_name: str, tmp_path: Path) -> None:
    """More events than there are, other events, another log's, a stranger's signature, where something was signed last,
    an origin that another followed: each is refused with its reason, and neither folder nor database is changed."""
    database, log = pg.database(database_name), log_of(settings := pg.settings(database_name))
    fill(database, 1, 300)
    seal_once(database, log)
    right, state, file = note_of(database, log, 290), log.signed / "last-checkpoint", tmp_path / "held"

    def refused(note: Note, *, through_the_command: bool = False, tenant_id: str = TENANT) -> str:
        before = state.read_bytes() if state.exists() else None
        published = rows(database, "SELECT * FROM fidelog.checkpoints ORDER BY 1, 2, 3")
        command = adopt(settings, tenant_id, kept(file, note))
        alone = adopted(database.url("sealer"), Incarnations(settings.state_dir), TENANT, note)
        with closing(alone), closing(command), pytest.raises((SettingsError, ProofError)) as refusal:
            asyncio.run(command if through_the_command else alone)
        assert (state.read_bytes() if state.exists() else None) == before
        assert rows(database, "SELECT * FROM fidelog.checkpoints ORDER BY 1, 2, 3") == published
        return str(refusal.value)

    assert "has signed a checkpoint already" in refused(right, through_the_command=True)
    state.write_bytes(b"damaged")
    assert "move the file away" in refused(right)
    state.unlink()
    with pg.copy() as name:
        fill(pg.database(name), 1, 310, "another")
        other = pg.database(name)
        assert "the first 290 events are not those that were signed" in refused(note_of(other, log, 290))
        assert "it has size 310 and the log has 300 events" in refused(note_of(other, log, 310))
    stranger = SigningKey(log.origin, Kind.LOG, bytes(32))
    assert "no signature of a known key" in refused(note_of(database, log, 290, stranger))
    elsewhere = Incarnation("log.example/else", 1, log.keys, log.signed)
    forged = sign(Checkpoint(elsewhere.origin, 290, bytes(32)).text, [log.keyring().signer])
    assert f"a checkpoint of log.example/else, not of {log.origin}" in refused(forged)
    assert "there is no tenant nobody" in refused(right, through_the_command=True, tenant_id="nobody")
    new = Incarnations(settings.state_dir).numbered(TENANT, 2)
    asyncio.run(_begin(database, new))
    assert "has signed a checkpoint already" in refused(right)
    begun = new.state.latest()
    shutil.rmtree(new.signed)
    assert f"is of {new.origin}, not of {log.origin}" in refused(right)
    assert begun is not None
    assert asyncio.run(adopt(settings, TENANT, kept(file, begun))) == 0
    assert Incarnations(settings.state_dir).current(TENANT) == new


async def _begin(database: Database, new: Incarnation) -> None:
    """The log goes on under a new origin, over all its rows."""
    async with await connect(database.url("sealer"), TENANT) as connection:
        store = SealStore(connection, TENANT)
        await begin_anew(store, new, await store.newest_of_any_origin(), keys_in_files)
