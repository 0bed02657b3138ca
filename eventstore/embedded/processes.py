"""Finding the live processes of one cluster folder and clearing what dead ones left behind."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

from .errors import EmbeddedServerError

PID_FILE = "postmaster.pid"
# Backends of a dead postmaster notice its death at their next wait; only busy or stopped ones need longer.
ORPHAN_PATIENCE = 5.0
KILL_PATIENCE = 3.0
_MAX_PID = 2**31 - 1
_PROGRAMS = ("postgres", "initdb")


def live_postmaster(pg_data: Path) -> psutil.Process | None:
    """Return the live postmaster that the pid file of this folder names, if there is one. No side effects."""
    pid = _pid_in(pg_data / PID_FILE)
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return None
    return process if _works_in(process, pg_data) else None


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the live postgres and initdb processes whose working folder is this one."""
    return [process for process in psutil.process_iter() if _works_in(process, folder)]


def wait_until_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until the processes are dead, zombies included; return those still alive after so many seconds."""
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if is_alive(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.01)
        alive = [process for process in alive if is_alive(process)]
    return alive


def is_alive(process: psutil.Process) -> bool:
    """Return True while the process runs; a zombie has finished and only waits for its parent."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_processes_in(folder: Path, notice: Callable[[str], None]) -> None:
    """Kill the postgres and initdb processes working in this folder, by pid.

    Raises: EmbeddedServerError when one survives.
    """
    # A killed process may have started another one just before: look again until none is left.
    survivors = processes_in(folder)
    deadline = time.monotonic() + KILL_PATIENCE
    while survivors and time.monotonic() < deadline:
        for process in survivors:
            notice(f"killing process {process.pid}, left over from an earlier PostgreSQL in {folder}")
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        wait_until_gone(survivors, KILL_PATIENCE)
        survivors = processes_in(folder)
    if survivors:
        pids = ", ".join(str(process.pid) for process in survivors)
        raise EmbeddedServerError(
            f"left-over PostgreSQL processes still use {folder}: {pids}", "end them by hand (kill -9) and try again"
        )


def clear_remains(pg_data: Path, socket_lock: Path, notice: Callable[[str], None]) -> None:
    """Make the folder startable after its postmaster died: no orphans, no lock file naming a foreign process.

    Returns early, with nothing removed, when a live postmaster appears. Only call this under the control lock.
    Raises: EmbeddedServerError when an orphan cannot be killed; OSError.
    """
    deadline = time.monotonic() + ORPHAN_PATIENCE
    while processes_in(pg_data):
        # A postmaster started by a process that has died since may be about to write its pid file.
        if live_postmaster(pg_data) is not None:
            return
        if time.monotonic() >= deadline:
            end_processes_in(pg_data, notice)
        time.sleep(0.02)
    for lock_file in (pg_data / PID_FILE, socket_lock):
        _remove_when_misleading(lock_file, notice)


def _remove_when_misleading(lock_file: Path, notice: Callable[[str], None]) -> None:
    # No process of the cluster is alive here, so a lock file is stale whatever it names. PostgreSQL recognises that
    # itself for a dead pid; a reused pid, a zombie or a torn file would make it refuse to start for ever.
    if not lock_file.exists():
        return
    pid = _pid_in(lock_file)
    if pid is None:
        notice(f"removed the damaged lock file {lock_file}")
    elif psutil.pid_exists(pid):
        notice(f"removed the stale lock file {lock_file}: process {pid} is not its PostgreSQL server")
    else:
        return
    lock_file.unlink(missing_ok=True)


def _pid_in(lock_file: Path) -> int | None:
    try:
        first_line = lock_file.read_text("utf-8", "replace").partition("\n")[0]
        # PostgreSQL writes a negative pid for a standalone backend.
        pid = abs(int(first_line))
    except (OSError, ValueError):
        return None
    return pid if 0 < pid <= _MAX_PID else None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Return True when a live PostgreSQL program has the folder as its working folder.

    The executable's path is no criterion: it changes when the wheel is upgraded under a running server.
    """
    try:
        if not process.name().startswith(_PROGRAMS) or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(os.path.realpath(process.cwd()) == os.path.realpath(folder))
    except psutil.AccessDenied:
        return _names_folder(process, folder)
    except (psutil.NoSuchProcess, OSError):
        return False


def _names_folder(process: psutil.Process, folder: Path) -> bool:
    # Command lines stay readable where working folders are not; a server is always started with -D <folder>.
    try:
        return bool(os.fspath(folder) in process.cmdline()[1:])
    except psutil.Error:
        return False
