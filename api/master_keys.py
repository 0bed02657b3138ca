"""The master key is rotated every month while the service runs."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from api.database import tenant_names
from api.settings import Settings
from eventstore.database import Database
from eventstore.describing import Erased
from eventstore.vault.keys import KeyUnavailable
from eventstore.vault.rotation import Rotated, RotationRunning, begun, rotate

log = logging.getLogger(__name__)

DAY = 86_400
LOOK_EVERY_SECONDS = 3_600.0


def begun_at(state_dir: Path) -> float:
    """When the epoch in use began (seconds since 1970). Raises OSError."""
    return max(path.stat().st_mtime for path in (state_dir / "master-keys").glob("epoch-*"))


@dataclass(frozen=True)
class MasterKeyAge:
    """Which epochs of master keys stand, when the last one ended, and when the one in use will (days, YYYY-MM-DD)."""

    oldest: int | None
    ended: str | None
    due: str | None

    @classmethod
    def read(cls, settings: Settings) -> MasterKeyAge:
        """From the state folder; nothing is known of one that is not here."""
        folder = settings.state_dir / "master-keys"
        epochs = [int(path.name.removeprefix("epoch-")) for path in folder.glob("epoch-*")]
        if not epochs:
            return cls(None, None, None)
        begun, days, ended = begun_at(settings.state_dir), settings.master_key_days, folder / "ended"
        lines = ended.read_text().splitlines() if ended.exists() else []
        last = lines[-1].partition(" ")[2][:10] if lines else _day(begun)
        return cls(min(epochs), last, None if days is None else _day(begun + days * DAY))

    def erasures(self, erased: Collection[Erased]) -> dict[str, Any]:
        """How many are done here, and in backups; and from which day on backups reveal none of them (null: not known)."""
        here = sum(group.number for group in erased)
        backups = sum(group.number for group in erased if self.oldest is not None and group.epoch < self.oldest)
        since = None if not here else self.ended if here == backups else self.due
        return {"done_here": here, "done_in_backups": backups, "in_backups_from": since}


def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


class MonthlyRotation:
    """Rotates the master key when it is as old as the settings say. Of several processes one does so."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._stopping = threading.Event()

    async def run(self) -> None:
        """For ever; what stands in the way is logged, and tried again at the next turn."""
        try:
            while True:
                await self.turn()
                await asyncio.sleep(LOOK_EVERY_SECONDS)
        finally:
            self._stopping.set()

    def _go_on(self, keys: int) -> None:
        """The process that stops waits for no rotation: the next one goes on with it."""
        if self._stopping.is_set():
            raise RotationRunning("the service stops")

    async def turn(self) -> Rotated | None:
        """Rotate if it is time, or go on where a process died at it; what was done."""
        days, state_dir = self._settings.master_key_days, self._settings.state_dir
        try:
            if days is None or (self._clock() - begun_at(state_dir) < days * DAY and not begun(state_dir)):
                return None
            done = await asyncio.to_thread(rotate_of, self._database, state_dir, self._go_on)
        except RotationRunning:
            return None
        except (OSError, KeyUnavailable, psycopg.Error) as error:
            log.error("the master key could not be rotated: %s", error)
            return None
        log.info("the master key was rotated: epoch %d, %d keys wrapped anew", done.epoch, done.keys)
        return done


def rotate_of(database: Database, state_dir: Path, told: Callable[[int], None]) -> Rotated:
    """Rotate the master key of every tenant's keys; `told` hears how many keys each batch wrapped."""
    return rotate(database.url("keeper"), state_dir, lambda: tenant_names(database), told)
