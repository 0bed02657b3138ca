"""Files that are there whole or not at all, whenever the power fails."""

from __future__ import annotations

import os
from pathlib import Path

_DRAFT = ".draft-"


def write_durably(path: Path, data: bytes) -> None:
    """Put a file of mode 0600 in place of the one at `path`, if there is one; it is on the disk when this returns.

    Until then readers see the old file. A process that dies leaves at most a draft (`remove_drafts`). Raises OSError.
    """
    draft = _draft(path, data)
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def create_durably(path: Path, data: bytes) -> bool:
    """Make a file of mode 0600 unless there is one: of two that do so at once, one wins, and its file is whole.

    Gives whether it was this call's. Raises OSError.
    """
    draft = _draft(path, data)
    try:
        os.link(draft, path)
        created = True
    except FileExistsError:  # another was first, and may not have come to the folder yet
        created = False
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return created


def _draft(path: Path, data: bytes) -> Path:
    """A file beside `path` with the data on the disk, under a name of its own."""
    draft = path.parent / f"{_DRAFT}{path.name}-{os.getpid()}-{os.urandom(4).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def remove_drafts(path: Path) -> None:
    """Remove what processes left that died while they wrote `path`. Only while nobody else writes it."""
    for draft in path.parent.glob(f"{_DRAFT}{path.name}-*"):
        draft.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    """Names made, replaced or removed in the folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
