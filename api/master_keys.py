"""The master key is rotated every month while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from api.database import tenant_names
from api.settings import Settings
from eventstore.database import Database
from eventstore.vault.keys import KeyUnavailable
from eventstore.vault.rotation import Rotated, RotationRunning, rotate

log = logging.getLogger(__name__)

DAY = 86_400
LOOK_EVERY_SECONDS = 3_600.0


def begun_at(state_dir: Path) -> float:
    """When the epoch in use began (seconds since 1970). Raises OSError."""
    return max(path.stat().st_mtime for path in (state_dir / "master-keys").glob("epoch-*"))


class MonthlyRotation:
    """Rotates the master key when it is as old as the settings say. Of several processes one does so."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """For ever; what stands in the way is logged, and tried again at the next turn."""
        while True:
            await self.turn()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def turn(self) -> Rotated | None:
        """Rotate if it is time; what was done."""
        days = self._settings.master_key_days
        try:
            if days is None or self._clock() - begun_at(self._settings.state_dir) < days * DAY:
                return None
            done = await asyncio.to_thread(rotate_of, self._database, self._settings.state_dir, lambda keys: None)
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
