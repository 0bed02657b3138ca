"""The embedded server as its users see it."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from .binaries import find_bin_dir
from .cluster import Cluster
from .errors import EmbeddedServerError, system_errors_translated
from .launch import merged_settings
from .locks import FileLock
from .sockets import PORT
from .waiting import Countdown

LEAVE_LOCK_SECONDS = 60.0
_REMEDY = "check the permissions of the data folder and the free disk space, then try again"


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"fidelog: {message}\n")
    sys.stderr.flush()


class EmbeddedServer:
    """A PostgreSQL server in <data_dir>/postgres, shared by all processes that join it.

    The first process to join starts the server, the last one to leave stops it. A process that dies without leaving
    is no longer counted; the server keeps running and the next process to join simply uses it.

    All methods may be called from any thread and block. A process created by fork() without exec has not joined,
    whatever its parent did, and must make its own object. As root, the server runs as the system user "fidelog".
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        major: Literal[16, 18] = 18,
        settings: Mapping[str, str] | None = None,
        notice: Callable[[str], None] = _to_stderr,
    ) -> None:
        """Describe the server; nothing is created or started yet.

        settings override PostgreSQL settings; notice receives one-line messages for the operator.
        Raises: EmbeddedServerError when the PostgreSQL programs are missing or a setting is not allowed.
        """
        with system_errors_translated(f"use the data folder {data_dir}", "give the path of a folder"):
            # Without symbolic links, because the working folders of processes are compared with it.
            self.data_dir = Path(os.path.realpath(data_dir))
            self.bin_dir = find_bin_dir(major)
        self._notice = notice
        self._cluster = Cluster(self.data_dir, self.bin_dir, major, merged_settings(settings), notice)
        self.pg_data = self._cluster.pg_data
        # Held around every decision to start or stop the server.
        self._control = FileLock(self.data_dir / "control.lock")
        # Held shared by every joined process; it is taken and given up only under the control lock.
        self._users = FileLock(self.data_dir / "users.lock")
        self._one_call = threading.Lock()
        self._given_up = threading.Event()

    def join(self, timeout: float = 120.0) -> None:
        """Register this process as a user of the server and return once the server answers queries.

        Creates the cluster when the folder is empty and starts the server when it does not run.
        Joining again only makes sure the server runs.
        Raises: EmbeddedServerError when the server is not ready within timeout seconds; the process is then not joined
        unless it was before.
        """
        countdown = Countdown(timeout, self._notice, self._given_up)
        with system_errors_translated(f"start PostgreSQL in {self.data_dir}", _REMEDY), self._exclusive(countdown):
            self._make_data_dir()
            joined_before = self._users.held
            with self._deciding(countdown):
                if not joined_before:
                    self._users.acquire(countdown, "the lock of the users", shared=True)
                try:
                    self._cluster.bring_up(countdown)
                except BaseException:
                    if not joined_before:
                        self._users.release()
                        self._stop_what_was_given_up()
                    raise

    def ensure_running(self, timeout: float = 120.0) -> bool:
        """Restart the server if it is dead; return True if this call started it.

        When several processes call this at once exactly one restarts the server, the others wait for it.
        Raises: EmbeddedServerError when this process has not joined or the server is not ready within timeout seconds.
        """
        countdown = Countdown(timeout, self._notice, self._given_up)
        with system_errors_translated(f"restart PostgreSQL in {self.data_dir}", _REMEDY), self._exclusive(countdown):
            # Otherwise a supervisor thread could start again what leave() has just stopped.
            if not self._users.held:
                raise EmbeddedServerError(f"this process has not joined {self.data_dir}", "call join() first")
            if self._cluster.is_running():
                return False
            with self._deciding(countdown):
                return self._cluster.bring_up(countdown)

    def is_running(self) -> bool:
        """Return True when the server lives and answers a query; takes at most about two seconds, no side effects."""
        return self._cluster.is_running()

    def leave(self) -> None:
        """Deregister this process; the last user stops the server and waits for its end. May be called repeatedly.

        Raises: EmbeddedServerError when the server does not stop; the process has left all the same.
        """
        with system_errors_translated(f"stop PostgreSQL in {self.data_dir}", _REMEDY), self._one_call:
            if not self._users.held:
                return
            try:
                with self._deciding(Countdown(LEAVE_LOCK_SECONDS, self._notice)):
                    self._users.release()
                    # An exclusive lock is possible only when no process holds it shared: we were the last user.
                    if self._users.try_acquire():
                        self._cluster.stop()
            finally:
                self._users.release()

    def conninfo(self, user: str, dbname: str) -> str:
        """Return the libpq URL of a database of the running server; works without join().

        hostaddr and options are there to be empty: the environment's would lead elsewhere or change the session.

        Raises: EmbeddedServerError when the server has never been started.
        """
        socket_dir = self._cluster.sockets.current()
        if socket_dir is None:
            raise EmbeddedServerError(f"no server has been started in {self.data_dir}", "call join() first")
        host = quote(os.fsencode(socket_dir), safe="")
        return (
            f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}?host={host}&port={PORT}&hostaddr=&options="
        )

    def give_up(self) -> None:
        """Make a join() or ensure_running() that is under way in another thread, and later ones, end soon.

        A server that the join had launched itself, and nobody else uses, is stopped again.
        """
        self._given_up.set()

    def _stop_what_was_given_up(self) -> None:
        """Called under the control lock by a join that failed."""
        if self._given_up.is_set() and self._cluster.launched is not None and self._users.try_acquire():
            try:
                self._cluster.stop()
            finally:
                self._users.release()

    def _make_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise EmbeddedServerError(f"{self.data_dir} is not a folder", "choose another data folder") from error

    @contextmanager
    def _exclusive(self, countdown: Countdown) -> Iterator[None]:
        """Let one thread at a time use this object, waiting as long as the countdown allows."""
        if not self._one_call.acquire(timeout=countdown.remaining()):
            raise EmbeddedServerError(
                f"another thread has used this server object for {countdown.timeout:g} s", "try again later"
            )
        try:
            yield
        finally:
            self._one_call.release()

    @contextmanager
    def _deciding(self, countdown: Countdown) -> Iterator[None]:
        """Hold the control lock."""
        self._control.acquire(countdown, "another process that starts or stops PostgreSQL")
        try:
            yield
        finally:
            self._control.release()
