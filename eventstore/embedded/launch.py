"""Starting PostgreSQL programs as detached children with a clean environment."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from .account import Account
from .errors import EmbeddedServerError
from .sockets import PORT

LOG_FILE = "postgres.log"
MAX_LOG_BYTES = 10 * 1024 * 1024
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

DEFAULT_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "wal_compression": "off",
    # The first change of a page after a checkpoint puts the whole page into the WAL, so checkpoints are seldom; a recovery
    # reads at most so much. Segments are used again instead of made anew.
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    # Statement texts and their values must never reach the log. They can also stand in the DETAIL, QUERY and
    # CONTEXT of a message, which only terse leaves out.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
# The access boundary, and what the rest of this package relies on.
_RESERVED = frozenset(
    ("listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions", "unix_socket_group",
     "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file")
)  # fmt: skip


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def run_as(account: Account) -> _RunAs:
    """Return the subprocess arguments that start a child as this account."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account.switched else {}


def child_environment() -> dict[str, str]:
    """Return an environment with no PG* variables, no foreign locale and nothing private of the caller."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | {"LC_ALL": "C"}


def merged_settings(settings: Mapping[str, str] | None) -> dict[str, str]:
    """Return the default settings overridden by the given ones.

    Raises: EmbeddedServerError for a name that is malformed or reserved.
    """
    for name in settings or {}:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise EmbeddedServerError(f"{name!r} is not the name of a PostgreSQL setting", "correct the settings")
        if name.lower() in _RESERVED:
            raise EmbeddedServerError(f"the setting {name} is fixed for an embedded server", "leave it out of settings")
    return {**DEFAULT_SETTINGS, **{name.lower(): value for name, value in (settings or {}).items()}}


def launch_postmaster(
    bin_dir: Path, pg_data: Path, socket_dir: Path, settings: Mapping[str, str], account: Account
) -> tuple[int, int]:
    """Start a postmaster, detached from our terminal; return its pid and where in the log file its output begins.

    Raises: OSError when it cannot be started.
    """
    fixed = {
        "listen_addresses": "",
        "port": str(PORT),
        # The value is a list; quotes keep commas and spaces of the path from splitting it.
        "unix_socket_directories": '"' + os.fspath(socket_dir).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
    }
    command = [os.fspath(bin_dir / "postgres"), "-D", os.fspath(pg_data)]
    for name, value in {**settings, **fixed}.items():
        command += ["-c", f"{name}={value}"]
    with _open_log(pg_data.parent / LOG_FILE) as log:
        offset = os.fstat(log).st_size
        process = subprocess.Popen(  # noqa: S603 - our own program, checked setting names
            command, cwd=pg_data, env=child_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, close_fds=True, **run_as(account),
        )  # fmt: skip
    # Reaped as soon as it ends: a zombie would look like a live lock holder to the next postmaster.
    threading.Thread(target=process.wait, name=f"postmaster-{process.pid}", daemon=True).start()
    return process.pid, offset


@contextmanager
def _open_log(path: Path) -> Iterator[int]:
    with suppress(FileNotFoundError):
        if path.stat().st_size > MAX_LOG_BYTES:
            os.replace(path, path.with_name(path.name + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def log_since(data_dir: Path, offset: int) -> list[str]:
    """Return the lines of the log file from this offset on, empty when it cannot be read."""
    try:
        with open(data_dir / LOG_FILE, "rb") as log:
            log.seek(offset)
            return log.read(MAX_LOG_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
