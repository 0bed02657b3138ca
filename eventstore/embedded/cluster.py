"""One PostgreSQL cluster folder: created when missing, started, waited for, stopped."""

import os
import pwd
import re
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

from .account import ACCOUNT_NAME, Account, find_or_create_account, open_way_to
from .binaries import check_runnable
from .errors import EmbeddedServerError
from .initdb import create_cluster, remove_unfinished
from .launch import LOG_FILE, launch_postmaster, log_since
from .probe import why_not_answering
from .processes import clear_remains, is_alive, live_postmaster, wait_until_gone
from .sockets import PORT, SOCKET_NAME, SocketFolder
from .waiting import Countdown

PROBE_SECONDS = 2.0
FAST_STOP_SECONDS = 30.0
IMMEDIATE_STOP_SECONDS = 10.0
_BECOMING_READY = "PostgreSQL to become ready (crash recovery may take a while)"
# Both end by themselves once the processes of the previous server are gone.
_PASSING_OBSTACLES = re.compile(r"pre-existing shared memory block|lock file .* already exists")


class Cluster:
    """The cluster of one data folder. Everything but is_running() and stop() needs the control lock."""

    def __init__(
        self, data_dir: Path, bin_dir: Path, major: int, settings: Mapping[str, str], notice: Callable[[str], None]
    ) -> None:
        self.pg_data = data_dir / "postgres"
        self.sockets = SocketFolder(data_dir, self.pg_data)
        self._data_dir = data_dir
        self._bin_dir = bin_dir
        self._major = major
        self._settings = settings
        self._notice = notice
        self.launched: psutil.Process | None = None
        """The postmaster that bring_up launched the last time it was called; it may not have written its pid file yet."""

    def is_running(self) -> bool:
        """Return True when the postmaster lives and a query succeeds. No side effects."""
        return live_postmaster(self.pg_data) is not None and self._why_not_answering(PROBE_SECONDS) is None

    def bring_up(self, countdown: Countdown) -> bool:
        """Create the cluster when missing, start it when not running, wait for it; return True if this started it.

        Raises: EmbeddedServerError when it cannot be started or is not ready in time; OSError.
        """
        self.launched = None
        account = self._prepare(countdown)
        started = False
        while not countdown.expired():
            postmaster = live_postmaster(self.pg_data)
            if postmaster is not None:
                ready = self._wait_for(postmaster, countdown)
            else:
                ready = self._start(account, countdown)
                started = started or ready
            if ready:
                return started
            countdown.pause(_BECOMING_READY)
        raise self._too_late(countdown)

    def stop(self) -> None:
        """Stop the server, waiting for its end; does nothing when it does not run.

        Raises: EmbeddedServerError when it survives an immediate shutdown.
        """
        postmaster = live_postmaster(self.pg_data) or self.launched
        if postmaster is None or not is_alive(postmaster):
            return
        for request, patience in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS)):
            try:
                # psutil compares the start time first, so a reused pid is never signalled.
                postmaster.send_signal(request)
            except psutil.NoSuchProcess:
                return
            if not wait_until_gone([postmaster], patience):
                return
            self._notice(f"PostgreSQL (process {postmaster.pid}) did not stop within {patience:g} s of {request.name}")
        raise EmbeddedServerError(
            f"PostgreSQL (process {postmaster.pid}) does not stop",
            f"look into {self._data_dir / LOG_FILE}; as a last resort end it by hand: kill -9 {postmaster.pid}",
        )

    def _prepare(self, countdown: Countdown) -> Account:
        """Check and create everything a start needs; return the account to start as."""
        account = find_or_create_account()
        remove_unfinished(self._data_dir, self._notice)
        missing = _is_missing(self.pg_data)
        if not missing:
            check_cluster(self.pg_data, self._major, account)
        if live_postmaster(self.pg_data) is None:
            self._prepare_start(account)
        if missing:
            create_cluster(self._bin_dir, self.pg_data, account, countdown, self._notice)
        return account

    def _prepare_start(self, account: Account) -> None:
        """Make sure the account can reach and run what it needs."""
        open_way_to(self._bin_dir / "postgres", account, self._notice)
        check_runnable(self._bin_dir, account)
        open_way_to(self.pg_data, account, self._notice)

    def _start(self, account: Account, countdown: Countdown) -> bool:
        """Start a postmaster; True when it became ready, False when the start may be tried again."""
        socket_dir = self.sockets.prepare(account)
        clear_remains(self.pg_data, socket_dir / f"{SOCKET_NAME}.lock", self._notice)
        if live_postmaster(self.pg_data) is not None:
            return False
        pid, offset = launch_postmaster(self._bin_dir, self.pg_data, socket_dir, self._settings, account)
        try:
            self.launched = psutil.Process(pid)
            if self._wait_for(self.launched, countdown):
                return True
        except psutil.NoSuchProcess:  # it has ended already
            pass
        return self._explain_exit(offset)

    def _wait_for(self, postmaster: psutil.Process, countdown: Countdown) -> bool:
        """Wait for the postmaster to answer; False when it ended instead.

        Raises: EmbeddedServerError when the time is over.
        """
        while is_alive(postmaster):
            reason = self._why_not_answering(min(PROBE_SECONDS, countdown.remaining()))
            # Another postmaster may answer in the moment between the end of this one and the next look at it.
            if reason is None and live_postmaster(self.pg_data) is not None:
                return True
            countdown.report(_BECOMING_READY)
            if countdown.expired():
                raise self._too_late(countdown, f" (process {postmaster.pid}: {reason})")
            countdown.pause(_BECOMING_READY)
        return False

    def _explain_exit(self, offset: int) -> bool:
        """Return False when the start that just failed may be tried again; else raise the reason."""
        lines = log_since(self._data_dir, offset)
        if any(_PASSING_OBSTACLES.search(line) for line in lines):
            return False
        raise EmbeddedServerError(
            f"PostgreSQL ended during its start; the last lines of its log: {' | '.join(lines[-5:]) or '(none)'}",
            f"correct what they name and try again; the whole log is {self._data_dir / LOG_FILE}",
        )

    def _too_late(self, countdown: Countdown, detail: str = "") -> EmbeddedServerError:
        return EmbeddedServerError(
            f"PostgreSQL in {self.pg_data} is not ready after {countdown.timeout:g} s{detail}",
            f"try again with a longer timeout if it is recovering from a crash, else look into "
            f"{self._data_dir / LOG_FILE}",
        )

    def _why_not_answering(self, seconds: float) -> str | None:
        socket_dir = self.sockets.current()
        if socket_dir is None:
            return "no socket folder is known"
        return why_not_answering(socket_dir, PORT, seconds)


def check_cluster(pg_data: Path, major: int, account: Account) -> None:
    """Make sure an existing folder is a cluster this account and PostgreSQL version can run.

    Raises: EmbeddedServerError saying what does not fit; OSError when it cannot be examined.
    """
    elsewhere = "use another data folder, or move this one away"
    if not pg_data.is_dir():
        raise EmbeddedServerError(f"{pg_data} is not a folder", elsewhere)
    version_file = pg_data / "PG_VERSION"
    if _is_listable(pg_data) and not version_file.is_file():
        raise EmbeddedServerError(f"{pg_data} is not empty and not a PostgreSQL cluster (no PG_VERSION)", elsewhere)
    status = pg_data.stat()
    if status.st_uid != account.uid:
        raise EmbeddedServerError(
            f"{pg_data} belongs to {_user_name(status.st_uid)}, but PostgreSQL would run as {_user_name(account.uid)}",
            f"run this program as the user who made it{_or_root(status.st_uid)}, or use another data folder",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode != 0o700:
        raise EmbeddedServerError(f"{pg_data} has mode {mode:03o}, not 700", f"find out why, then chmod 700 {pg_data}")
    found = version_file.read_text("utf-8", "replace").strip()
    if found != str(major):
        raise EmbeddedServerError(
            f"{pg_data} was made by PostgreSQL {found}, but PostgreSQL {major} is wanted",
            f"use major={found} if that is offered, or dump it with PostgreSQL {found} and load it into a new folder",
        )


def _is_missing(pg_data: Path) -> bool:
    if not os.path.lexists(pg_data):
        return True
    return pg_data.is_dir() and _is_listable(pg_data) and not any(pg_data.iterdir())


def _is_listable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"


def _or_root(owner: int) -> str:
    return " (root, which switches to it)" if _user_name(owner) == f"user {ACCOUNT_NAME}" else ""
