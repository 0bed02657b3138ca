"""`fidelog log adopt`: a log whose last checkpoint the state folder has lost goes on from one that somebody else holds."""

from __future__ import annotations

from pathlib import Path

from api.administer import desk
from api.sealing import alone, incarnations
from api.settings import Settings, SettingsError
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import ProofError, SigningRefused
from eventstore.proof.note import Note
from eventstore.sealing import adopting
from eventstore.sealing.incarnations import Incarnations
from eventstore.sealing.store import SealStore, connect


async def adopt(settings: Settings, tenant_id: str, file: Path) -> int:
    """Take what a witness or an auditor holds for what was signed last. A running service goes on by itself."""
    async with desk(settings) as open_desk:
        open_desk.check_tenant(tenant_id)
        url = open_desk.backend.database.url("sealer")
        try:
            held = Note.parse(file.read_bytes())
            taken = await adopted(url, incarnations(settings), tenant_id, held)
        except OSError as error:
            raise SettingsError(f"{error.filename or file}: {error.strerror}") from error
        except ProofError as error:
            raise SettingsError(f"{file} is not adopted: {error}") from error
    print(f"the last checkpoint of {taken.origin} is the one of size {taken.size}; the sealer goes on from it")
    return 0


async def adopted(sealer_url: str, logs: Incarnations, tenant_id: str, held: Note) -> Checkpoint:
    """The checkpoint that is now the last; `adopting.adopt` says what is raised, besides SettingsError while a process seals."""
    current = logs.current(tenant_id)
    if current.state.latest() is not None:
        raise SigningRefused(f"{current.origin} has signed a checkpoint already")
    async with await connect(sealer_url, tenant_id) as connection:
        store = SealStore(connection, tenant_id)
        await alone(store, "a process seals this log: stop it first")
        return await adopting.adopt(store, logs.of(tenant_id, Checkpoint.parse(held.text).origin), held)
