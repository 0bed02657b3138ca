"""The operating-system account the server runs as, and the folders that account must be able to pass."""

import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedServerError

ACCOUNT_NAME = "fidelog"
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_USERADD_TRIES = 5


@dataclass(frozen=True)
class Account:
    """Who runs initdb and postgres; switched is True when that is not the calling user."""

    name: str
    uid: int
    gid: int
    switched: bool

    def bits(self, path: Path) -> int:
        """Return the rwx bits (0 to 7) the permission bits of path give to this account.

        Raises: OSError when path cannot be examined.
        """
        status = path.stat()
        if status.st_uid == self.uid:
            return status.st_mode >> 6 & 7
        if status.st_gid == self.gid:
            return status.st_mode >> 3 & 7
        return status.st_mode & 7


def find_or_create_account() -> Account:
    """Return the calling user, or for root the dedicated system user, created when missing.

    Raises: EmbeddedServerError when the system user cannot be created.
    """
    if os.geteuid() != 0:
        return Account("", os.geteuid(), os.getegid(), switched=False)
    return _find_dedicated() or _create_dedicated()


def _find_dedicated() -> Account | None:
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None
    return Account(ACCOUNT_NAME, entry.pw_uid, entry.pw_gid, switched=True)


def _create_dedicated() -> Account:
    remedy = f"create a system user named {ACCOUNT_NAME} by hand, or run as an ordinary user"
    useradd = shutil.which("useradd", path=_SYSTEM_PATH)
    if useradd is None:
        raise EmbeddedServerError("PostgreSQL does not run as root and useradd is missing", remedy)
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    complaint = ""
    # Another process may be creating the same user right now; useradd then fails on the name or on its lock file.
    for _ in range(_USERADD_TRIES):
        result = subprocess.run(  # noqa: S603 - a fixed command
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        complaint = result.stderr.strip()
        account = _find_dedicated()
        if account is not None:
            return account
        time.sleep(0.2)
    raise EmbeddedServerError(f"useradd could not create the user {ACCOUNT_NAME}: {complaint}", remedy)


def blocking_folders(target: Path, account: Account) -> list[Path]:
    """Return the ancestor folders of target that the account cannot pass, outermost first.

    Raises: OSError when a folder cannot be examined.
    """
    return [folder for folder in reversed(target.resolve().parents) if not account.bits(folder) & 1]


def open_way_to(target: Path, account: Account, notice: Callable[[str], None]) -> None:
    """Add o+x to exactly the ancestor folders of target that block the switched account.

    Raises: EmbeddedServerError when a folder stays blocked; OSError when it cannot be changed.
    """
    if not account.switched:
        return
    for folder in blocking_folders(target, account):
        os.chmod(folder, stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
        notice(f"opened o+x on {folder} so that user {account.name} can reach {target}")
        # o+x does not help when the folder belongs to the account or its group.
        if not account.bits(folder) & 1:
            raise EmbeddedServerError(
                f"user {account.name} cannot pass the folder {folder}",
                f"give its owner and group the x permission: chmod ug+x {folder}",
            )
