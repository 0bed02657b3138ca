"""API keys for contenders that ask for one: a URL carries its key as the user, http://KEY@127.0.0.1:PORT."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

USAGE_ERROR = 64
SECONDS = 60


def with_key(url: str, key: str | None) -> str:
    """The URL that carries the key."""
    return url if key is None else url.replace("://", f"://{key}@", 1)


def split(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its key, and the headers that carry it instead."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    return url.replace(f"{parts.username}@", "", 1), {"Authorization": f"Bearer {parts.username}"}


def issue(programs: Path, environment: Mapping[str, str]) -> str | None:
    """A key of somebody who may do all that is measured, from the `fidelog` in that folder; None where it knows no keys.

    Raises subprocess.CalledProcessError.
    """
    roles = ("--role", "advisor", "--role", "approver")
    line = [str(programs / "fidelog"), "keys", "create", "--actor", "user:bench", *roles]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode == USAGE_ERROR:
        return None
    done.check_returncode()
    return done.stdout.strip()
