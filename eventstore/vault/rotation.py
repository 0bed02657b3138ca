"""Master keys change: the living keys are wrapped under a new epoch, and the old epoch's master key is destroyed. After that
no older copy of the database can reveal who was erased before.

Every step may be the last of a process that dies: whoever begins again goes on where it ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from eventstore.durable import (
    append_durably,
    create_durably,
    destroy_durably,
    finish_destroying,
    is_destroying,
    remove_drafts,
)
from eventstore.vault.kept import KeptKey, KeptKeys
from eventstore.vault.key_rows import KeyRows
from eventstore.vault.keys import KEY_BYTES, MasterKeys
from eventstore.vault.vault import TENANT_KEY, rewrapped

NOBODY = "00000000-0000-0000-0000-000000000000"
"""In place of the key id of the tenant's own key, which is kept with the others under no subject."""


class RotationRunning(Exception):
    """Another process is at it."""


class Rotated(NamedTuple):
    """The epoch in use now, how many keys were wrapped under it, and which epochs ended."""

    epoch: int
    keys: int
    ended: tuple[int, ...]


def rotate(
    keeper_url: str,
    state_dir: Path,
    tenants: Callable[[], Sequence[str]],
    told: Callable[[int], None] = lambda keys: None,
) -> Rotated:
    """Wrap all living keys of the tenants under a new epoch and end those before it; one that was begun and not ended is
    gone on with. `told` hears of every batch how many keys it wrapped.

    Raises RotationRunning, KeyUnavailable, psycopg.Error, OSError; then no epoch has ended whose key is still needed.
    """
    folder = state_dir / "master-keys"
    with _turn(folder):
        finish_destroying(folder)
        remove_drafts(folder / "epoch")
        masters = MasterKeys.open(state_dir, create=False)
        if len(masters.epochs) == 1:
            create_durably(folder / f"epoch-{masters.current + 1}", f"{os.urandom(KEY_BYTES).hex()}\n".encode())
            masters.refresh()
        keys = _wrap_all(keeper_url, masters, tenants, told)
        for tenant_id in tenants():
            _keep(keeper_url, state_dir, tenant_id)
        ended = tuple(sorted(masters.epochs - {masters.current}))
        for epoch in ended:
            # First, or a process that dies between the two leaves a destroyed key of which nobody knows since when.
            append_durably(folder / "ended", f"{epoch} {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode())
            destroy_durably(folder / f"epoch-{epoch}")
        return Rotated(masters.current, keys, ended)


def begun(state_dir: Path) -> bool:
    """Whether a rotation has begun and not ended: another process is at it, or died in the middle. Raises OSError."""
    folder = state_dir / "master-keys"
    return len([*folder.glob("epoch-*")]) > 1 or is_destroying(folder)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One rotation at a time; a process that dies gives its turn back."""
    descriptor = os.open(folder / ".turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RotationRunning("the master key is being rotated by another process") from error
        yield
    finally:
        os.close(descriptor)


def _wrap_all(
    keeper_url: str, masters: MasterKeys, tenants: Callable[[], Sequence[str]], told: Callable[[int], None]
) -> int:
    """Until a whole pass finds nothing: a tenant may have been made meanwhile. Every tenant's own key goes first, so that
    nothing more is wrapped under an epoch that is about to end."""
    keys = 0
    while True:
        changed = 0
        for tenant_id in tenants():
            with KeyRows(keeper_url, tenant_id) as rows:
                changed += _wrap_tenant(rows, masters)
        for tenant_id in tenants():
            with KeyRows(keeper_url, tenant_id) as rows:
                for page in rows.wrapped_before(masters.current):
                    done = rows.wrap([_under(masters, tenant_id, key) for key in page])
                    changed += len(page)
                    keys += done
                    told(done)
        if not changed:
            return keys


def _wrap_tenant(rows: KeyRows, masters: MasterKeys) -> int:
    found = rows.tenant_key()
    if found is None or found[0] >= masters.current:
        return 0
    epoch, wrapped = found
    rows.wrap_tenant_key(masters.current, rewrapped(masters, rows.tenant_id, "", TENANT_KEY, epoch, wrapped))
    return 1


def _under(masters: MasterKeys, tenant_id: str, key: KeptKey) -> KeptKey:
    wrapped = rewrapped(masters, tenant_id, key.subject, key.key_id, key.epoch, key.wrapped)
    return key._replace(epoch=masters.current, wrapped=wrapped)


def _keep(keeper_url: str, state_dir: Path, tenant_id: str) -> None:
    """What older backups need instead of their own keys. Who was erased while they were written down is taken out again."""
    kept = KeptKeys(state_dir)
    with KeyRows(keeper_url, tenant_id) as rows:
        found = rows.tenant_key()
        own = [] if found is None else [KeptKey("", NOBODY, *found)]
        kept.write(tenant_id, (key for keys in (own, rows.living()) for key in keys))
        kept.destroy(tenant_id, rows.tombstones())


def bring_back(keeper_url: str, state_dir: Path, masters: MasterKeys, tenants: Sequence[str]) -> int:
    """After a restore of a backup from before a rotation: its keys, whose master key was destroyed, are replaced by the
    kept ones. Gives how many cannot be had, those of erased people among them. Raises psycopg.Error, OSError."""
    kept, oldest = KeptKeys(state_dir), min(masters.epochs)
    missing = 0
    for tenant_id in tenants:
        with KeyRows(keeper_url, tenant_id) as rows:
            own, known = rows.tenant_key(), kept.find(tenant_id, "")
            if own is not None and own[0] < oldest and known is not None:
                rows.wrap_tenant_key(known.epoch, known.wrapped)
            for page in rows.wrapped_before(oldest):
                again = [kept.find(tenant_id, key.subject) for key in page]
                same = [new for new, key in zip(again, page, strict=True) if new and new.key_id == key.key_id]
                missing += len(page) - rows.wrap(same)
    return missing
