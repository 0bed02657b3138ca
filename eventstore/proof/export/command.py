"""The verifier as a program: `python3 -I -S verify.pyz EXPORT --checkpoint FILE [--policy FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from eventstore.proof.errors import ProofError
from eventstore.proof.export.check import Progress, verify_export
from eventstore.proof.export.trust import Held
from eventstore.proof.export.verdict import Verdict
from eventstore.proof.policy_file import parse_policy


def held_files(checkpoint: str | None, policy: str | None, consistency: str | None) -> Held:
    """What the reader of an export has, from files. Raises OSError, ProofError."""

    def content(path: str | None) -> bytes | None:
        return None if path is None else Path(path).read_bytes()

    rules = content(policy)
    return Held(content(checkpoint), None if rules is None else parse_policy(rules), content(consistency))


def verdict_of(
    export: str, checkpoint: str | None, policy: str | None, consistency: str | None, progress: Progress
) -> Verdict:
    """The verdict on the bundle in a file. A file that cannot be read is not verifiable."""
    try:
        held = held_files(checkpoint, policy, consistency)
        with Path(export).open("rb") as file:
            return verify_export(file, held, progress)
    except OSError as error:
        return Verdict("not verifiable", f"{error.filename}: {error.strerror}")
    except ProofError as error:
        return Verdict("not verifiable", str(error))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(64, f"{self.prog}: {message}; see --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the verdict; gives the exit status: 0 verified, 1 tampered, 2 not verifiable, 64 for a usage error."""
    parser = _Parser(
        prog="verify.pyz",
        description="Check an export of Fidelog offline. The last line says the verdict as JSON; exit status 0 verified, "
        "1 tampered, 2 not verifiable.",
    )
    parser.add_argument("export", help="the bundle, a ZIP file")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint of the log that you have from elsewhere")
    parser.add_argument("--policy", metavar="FILE", help="the log keys you trust, and the witnesses you ask for")
    parser.add_argument("--consistency", metavar="FILE", help="what connects the checkpoint with the export's")
    options = parser.parse_args(arguments)
    verdict = verdict_of(options.export, options.checkpoint, options.policy, options.consistency, bar())
    sys.stdout.write(f"{verdict.line}\n")
    return verdict.status


def bar() -> Progress:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        return lambda done, of: None

    def show(done: int, of: int) -> None:
        part = min(1.0, done / of) if of else 1.0
        sys.stderr.write(f"\r{'#' * int(part * 40):<40} {done:,}/{of:,}" + ("\n" if done >= of else ""))
        sys.stderr.flush()

    return show
