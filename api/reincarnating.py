"""`fidelog log reincarnate`: the log goes on under a new origin, and the first it says is what was lost."""

from __future__ import annotations

import re
import sys

from api.administer import Desk, desk
from api.sealing import alone, incarnations
from api.settings import Settings, SettingsError
from domain.administration import Reincarnate
from eventstore.proof.errors import SigningRefused
from eventstore.sealing.incarnations import Incarnation, Incarnations, keys_in_files
from eventstore.sealing.reincarnation import Loss, begin_anew, loss
from eventstore.sealing.store import SealStore, connect

_REASON = re.compile(r"[^\x00-\x1f\x7f]{1,500}")


async def reincarnate(settings: Settings, tenant_id: str, reason: str) -> int:
    """Record what was lost, and begin to sign under the next origin. A running service goes on by itself."""
    if not _REASON.fullmatch(reason):
        raise SettingsError(
            "--reason has 1 to 500 characters without line breaks; it is recorded as it stands, for ever"
        )
    async with desk(settings) as open_desk:
        open_desk.check_tenant(tenant_id)
        logs = incarnations(settings)
        async with await connect(open_desk.backend.database.url("sealer"), tenant_id) as connection:
            store = SealStore(connection, tenant_id)
            await alone(store, "a process seals this log: there is nothing to begin anew for")
            try:
                old = logs.current(tenant_id)
                lost = await loss(store, old)
                new = _next(logs, tenant_id, old, lost)
                await _record(open_desk, tenant_id, new, lost, reason)
                await begin_anew(store, new, lost.kept, keys_in_files)
            except SigningRefused as error:
                raise SettingsError(str(error)) from error
    print(f"{new.origin} begins over the first {lost.kept_size} events of {lost.last.origin}, which signs no more")
    print(new.keyring().signer.verifier.text)
    print("fidelog: give this key and the event on stream log-incarnation to whoever verifies the log", file=sys.stderr)
    return 0


def _next(logs: Incarnations, tenant_id: str, old: Incarnation, lost: Loss) -> Incarnation:
    """The next number; in a state folder that never knew the old log, its own first, which has a name of its own."""
    return old if lost.last.origin != old.origin else logs.numbered(tenant_id, old.number + 1)


async def _record(open_desk: Desk, tenant_id: str, new: Incarnation, lost: Loss, reason: str) -> None:
    first, last = lost.positions or (None, None)
    key = new.keyring(create=True).signer.verifier.text
    told = Reincarnate(lost.last.origin, lost.last_note, new.origin, key, first, last, reason)
    await open_desk.submit(tenant_id, told)
