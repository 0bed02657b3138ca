"""Files that are there whole or not at all, whenever the power fails."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_DRAFT = ".draft-"
_DOOMED = ".destroyed-"


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


@contextmanager
def written_durably(path: Path) -> Iterator[BinaryIO]:
    """`write_durably` for what is too much to hold: the file in place of the one at `path` once the block has ended.

    Raises OSError.
    """
    draft = path.parent / f"{_DRAFT}{path.name}-{os.getpid()}-{os.urandom(4).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def append_durably(path: Path, lines: bytes) -> None:
    """Add lines to a file of mode 0600, made if need be; they are on the disk when this returns. Of several processes each
    adds its own whole; the beginning of a line that one could not finish before it died is taken away. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        whole = file.read()
        end = whole.rfind(b"\n") + 1
        file.seek(end)
        file.truncate()
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    fsync_folder(path.parent)


def destroy_durably(path: Path) -> None:
    """Overwrite the file with zeros and remove it. Whenever the power fails there is the whole file under its name, or what
    is left has another, and `finish_destroying` ends it. Raises OSError."""
    doomed = path.with_name(f"{_DOOMED}{path.name}")
    path.replace(doomed)
    fsync_folder(path.parent)
    _overwrite(doomed)


def finish_destroying(folder: Path) -> None:
    """End what a process began that died while it destroyed a file of the folder. Raises OSError."""
    for doomed in folder.glob(f"{_DOOMED}*"):
        _overwrite(doomed)


def is_destroying(folder: Path) -> bool:
    """Whether a file of the folder is being destroyed, or a process died while it did so. Raises OSError."""
    return any(folder.glob(f"{_DOOMED}*"))


def _overwrite(doomed: Path) -> None:
    try:
        with doomed.open("r+b") as file:
            file.write(bytes(doomed.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        doomed.unlink()
    except FileNotFoundError:  # another process was faster
        return
    fsync_folder(doomed.parent)


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
