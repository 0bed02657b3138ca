"""The options of `fidelog verify`."""

from __future__ import annotations

import argparse

from api.command_line import check_workers, checked_by
from api.export_options import of_verify_export


def of_verify(verify: argparse.ArgumentParser) -> None:
    """Which log, against what, and how."""
    verify.add_argument("--tenant", help="whose log (default: every tenant's)")
    verify.add_argument(
        "--checkpoint", action="append", metavar="FILE", help="a checkpoint that somebody kept; may be repeated"
    )
    verify.add_argument(
        "--policy", metavar="FILE", help="whose keys are believed, and how many witnesses are asked for"
    )
    of_verify_export(verify)
    verify.add_argument("--since-last", action="store_true", help="go on from the last verified checkpoint")
    verify.add_argument("--workers", type=int, metavar="N", help="processes that hash (default: one a core)")
    verify.add_argument(
        "--json", action="store_true", help="each tenant's verdict as JSON too; the last line always is"
    )
    checked_by(verify, _check)


def _check(top: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    check_workers(top, options)
    if options.export is not None and len(options.checkpoint or ()) > 1:
        top.error("verify: give one --checkpoint with --export")
    if options.export is None and options.consistency is not None:
        top.error("verify: --consistency goes with --export")
