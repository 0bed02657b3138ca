"""`fidelog log`: the names and keys of a tenant's sealed log, which lie in the state folder. No database is asked."""

from __future__ import annotations

import re

import orjson

from api.sealing import incarnations
from api.settings import Settings, SettingsError
from eventstore.provision import TENANT
from eventstore.sealing.incarnations import Incarnation


def show(settings: Settings, tenant_id: str, *, as_json: bool) -> int:
    """Print what a verifier, a witness or an auditor is given: the origin and the keys."""
    log = _log(settings, tenant_id)
    ring = log.keyring()
    keys = [key.text for key in ring.verifiers]
    if as_json:
        rotations = [note.data.decode() for note in ring.rotations]
        print(orjson.dumps({"origin": log.origin, "keys": keys, "rotations": rotations}).decode())
        return 0
    print(f"origin  {log.origin}")
    for number, key in enumerate(keys, 1):
        print(f"key {number}   {key}{'  (signs)' if number == len(keys) else ''}")
    return 0


def rotate_key(settings: Settings, tenant_id: str) -> int:
    """Make the key that signs from the next checkpoint on; print the statement that the old and the new key signed."""
    print(_log(settings, tenant_id).keyring().rotate().data.decode(), end="")
    return 0


def _log(settings: Settings, tenant_id: str) -> Incarnation:
    if re.fullmatch(TENANT, tenant_id, re.ASCII) is None:
        raise SettingsError("a tenant's name has lower-case letters, digits, - and _")
    return incarnations(settings).current(tenant_id)
