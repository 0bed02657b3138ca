"""`fidelog keys rotate-master`: a new master key now, and the old one destroyed."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.progress import Progress, TextColumn

from api.database import start_embedded, use_server
from api.master_keys import rotate_of
from api.notices import notice
from api.settings import Settings, SettingsError
from eventstore.vault.rotation import RotationRunning


def rotate_command(settings: Settings) -> int:
    """Rotate now. Raises SettingsError when another process is at it, KeyUnavailable, psycopg.Error."""
    server = None
    if settings.embedded:
        server, database = asyncio.run(start_embedded(settings, notice))
    else:
        database = asyncio.run(use_server(settings))
    console = Console(stderr=True)
    try:
        with Progress(
            TextColumn("{task.completed} keys wrapped"), console=console, disable=not sys.stderr.isatty()
        ) as bar:
            task = bar.add_task("keys", total=None)
            done = rotate_of(database, settings.state_dir, lambda keys: bar.update(task, advance=keys))
    except RotationRunning as error:
        raise SettingsError(f"{error}; wait until it is done") from None
    except OSError as error:
        raise SettingsError(f"the state folder {settings.state_dir} cannot be written ({error.strerror})") from error
    finally:
        if server is not None:
            server.leave()
    print(
        f"{done.keys} keys are wrapped under epoch {done.epoch}; the master key of "
        f"{'epoch ' + ', '.join(map(str, done.ended)) if done.ended else 'no epoch'} was destroyed. Backups from before now "
        "reveal nobody who was erased by now. Copy the state folder to its backup, and destroy older copies of it"
    )
    return 0
