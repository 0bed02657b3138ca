"""Making a new cluster folder, in a way that a crash at any moment leaves nothing in its place."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .account import Account
from .errors import EmbeddedServerError
from .launch import child_environment, run_as
from .processes import end_processes_in
from .waiting import Countdown

_UNFINISHED = ".postgres-initdb-"
# The 0700 cluster folder is the boundary: who can open the socket is already the owner.
_PG_HBA = b"local all all trust\nlocal replication all trust\n"


def create_cluster(
    bin_dir: Path, pg_data: Path, account: Account, countdown: Countdown, notice: Callable[[str], None]
) -> None:
    """Create the cluster pg_data, which must be missing or empty. Only call this under the control lock.

    Raises: EmbeddedServerError when initdb fails or takes too long; OSError.
    """
    notice(f"creating a new PostgreSQL cluster in {pg_data}")
    fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=pg_data.parent))
    try:
        if account.switched:
            os.chown(fresh, account.uid, account.gid)
        _run_initdb(bin_dir, fresh, account, countdown)
        _replace_file(fresh / "pg_hba.conf", _PG_HBA, account)
        # The rename is the moment the cluster begins to exist: everything in it is complete and on disk.
        os.rename(fresh, pg_data)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _sync(pg_data.parent)


def remove_unfinished(data_dir: Path, notice: Callable[[str], None]) -> None:
    """Remove what interrupted calls of create_cluster left. Only call this under the control lock.

    Raises: EmbeddedServerError when a process in there cannot be killed; OSError.
    """
    for folder in data_dir.glob(_UNFINISHED + "*"):
        # initdb outlives the process that started it.
        end_processes_in(folder, notice)
        shutil.rmtree(folder)


def _run_initdb(bin_dir: Path, fresh: Path, account: Account, countdown: Countdown) -> None:
    command = [
        os.fspath(bin_dir / "initdb"), "-D", os.fspath(fresh), "--username=postgres", "--auth=trust",
        "--locale=C", "--encoding=UTF8", "--data-checksums", "--no-instructions",
    ]  # fmt: skip
    # The working folder lets a later process recognise a left-over initdb; the own process group lets us end all of it.
    process = subprocess.Popen(  # noqa: S603 - our own program and arguments
        command, cwd=fresh, env=child_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, close_fds=True, **run_as(account),
    )  # fmt: skip
    try:
        output = _wait_for_output(process, countdown)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        complaint = " | ".join(output.decode("utf-8", "replace").strip().splitlines()[-4:])
        raise EmbeddedServerError(
            f"initdb failed (exit code {process.returncode}): {complaint}",
            f"correct what it names (free disk space, permissions of {fresh.parent}) and try again",
        )


def _wait_for_output(process: subprocess.Popen[bytes], countdown: Countdown) -> bytes:
    while True:
        try:
            return process.communicate(timeout=0.1)[0]
        except subprocess.TimeoutExpired:
            countdown.report("initdb to create the PostgreSQL cluster")
        if countdown.expired():
            raise EmbeddedServerError(
                f"initdb did not finish within {countdown.timeout:g} s", "try again with a longer timeout"
            )


def _replace_file(path: Path, text: bytes, account: Account) -> None:
    replacement = path.with_name(path.name + ".new")
    descriptor = os.open(replacement, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, text)
        os.fsync(descriptor)
        if account.switched:
            os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)
    os.replace(replacement, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
