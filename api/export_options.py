"""The options of `fidelog export` and `fidelog verify --export`."""

from __future__ import annotations

import argparse
import re


def of_export(export: argparse.ArgumentParser) -> None:
    """What is exported, where to, and why."""
    export.add_argument("--out", metavar="FILE", help="default: fidelog-<tenant>-<position>.zip")
    export.add_argument("--tenant", default="default", help="whose log (default: default)")
    export.add_argument("--client", metavar="ID", help="events about this client")
    export.add_argument("--actor", help="events that this actor caused")
    export.add_argument("--type", action="append", metavar="NAME", help="events of this type; may be repeated")
    export.add_argument("--stream", help="events of this stream")
    export.add_argument("--correlation", metavar="ID", help="events with this correlation id")
    export.add_argument("--decision", metavar="ID", help="events of this decision")
    export.add_argument("--from", dest="since", metavar="TIME", help="recorded at this time or later; RFC 3339")
    export.add_argument("--to", dest="until", metavar="TIME", help="recorded before this time")
    export.add_argument("--old", type=_size, metavar="SIZE", help="size of a checkpoint that the reader has")
    export.add_argument("--purpose", metavar="TEXT", help="why; it is recorded")


def of_verify_export(verify: argparse.ArgumentParser) -> None:
    """An export in place of the database; `--checkpoint` and `--policy` are for both."""
    verify.add_argument("--export", metavar="FILE", help="verify this export instead, without a database")
    verify.add_argument("--consistency", metavar="FILE", help="what connects the checkpoint with the export's")


def _size(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise argparse.ArgumentTypeError("is a number of events")
    return int(text)
