"""What the commands' options share: the parser, the way to the database, and what is checked when all are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn, TypeAlias

USAGE_ERROR = 64
MOST_WORKERS = 64
CHECK = "check_options"
"""Where the namespace has the command's own check, if it has one."""


class Parser(argparse.ArgumentParser):
    """Exits 64 (EX_USAGE) on a usage error."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"fidelog: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE_ERROR)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def command(commands: Commands, name: str, meaning: str) -> Parser:
    """A command that asks the database."""
    sub = commands.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
    sub.add_argument("--data-dir", help="folder of the embedded PostgreSQL")
    sub.add_argument("--state-dir", help="folder of the master keys")
    sub.add_argument("--database-url", help="a PostgreSQL server of yours")
    return sub


def checked_by(
    command: argparse.ArgumentParser, check: Callable[[argparse.ArgumentParser, argparse.Namespace], None]
) -> None:
    """Have the command's options checked for what argparse cannot say: `check` ends in an error of the parser it is given."""
    command.set_defaults(**{CHECK: check})


def check_workers(top: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """A number of processes, where one was given."""
    if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        top.error(f"{options.command}: --workers must be from 1 to {MOST_WORKERS}")
