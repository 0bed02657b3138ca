"""The folder of the server's unix socket."""

import os
import stat
import tempfile
from pathlib import Path

from .account import Account, blocking_folders
from .errors import EmbeddedServerError

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
# sun_path holds 104 bytes on macOS and 108 on Linux, including the terminating zero byte.
MAX_SOCKET_PATH = 100
_REMEMBERED = "socket-folder"


class SocketFolder:
    """The cluster folder itself or, when its path does not suit a socket, a private temporary folder."""

    def __init__(self, data_dir: Path, pg_data: Path) -> None:
        self._pg_data = pg_data
        self._memory = data_dir / _REMEMBERED

    def current(self) -> Path | None:
        """Return where a running server listens; None when no server has been started yet. No side effects."""
        if _suits(self._pg_data):
            return self._pg_data
        try:
            return Path(os.fsdecode(self._memory.read_bytes()))
        except OSError:
            return None

    def prepare(self, account: Account) -> Path:
        """Return the folder for a server about to start, creating and remembering a private one when needed.

        Only call this under the control lock, and with no server running.
        Raises: EmbeddedServerError when no temporary folder suits; OSError.
        """
        current = self.current()
        if current is not None and (current == self._pg_data or _is_private(current, account)):
            return current
        folder = _make_private(account)
        replacement = self._memory.with_name(_REMEMBERED + ".new")
        replacement.write_bytes(os.fsencode(folder))
        os.replace(replacement, self._memory)
        return folder


def _suits(folder: Path) -> bool:
    # A comma separates hosts in a libpq connection string and cannot be escaped there.
    path = os.fsencode(folder / SOCKET_NAME)
    return len(path) <= MAX_SOCKET_PATH and b"," not in path


def _is_private(folder: Path, account: Account) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
    if not (private and status.st_uid == account.uid and _suits(folder)):
        return False
    return not (account.switched and blocking_folders(folder, account))


def _make_private(account: Account) -> Path:
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108 - only the parent of a mkdtemp folder
        # A name of the same length as mkdtemp will choose.
        if not _suits(Path(parent).resolve() / "fidelog-12345678"):
            continue
        if account.switched and blocking_folders(Path(parent) / "fidelog", account):
            continue
        folder = Path(tempfile.mkdtemp(prefix="fidelog-", dir=Path(parent).resolve()))
        if account.switched:
            os.chown(folder, account.uid, account.gid)
        return folder
    raise EmbeddedServerError(
        "no temporary folder has a path short enough for a unix socket", "set TMPDIR to a short path such as /tmp"
    )
