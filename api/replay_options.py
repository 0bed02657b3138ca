"""The options of `fidelog replay`."""

from __future__ import annotations

import argparse

from api.command_line import check_workers, checked_by


def of_replay(replay: argparse.ArgumentParser) -> None:
    """Which read models, and whether they are only compared."""
    replay.add_argument("names", nargs="*", metavar="NAME", help="read models (default: all)")
    replay.add_argument("--check", action="store_true", help="change nothing: exit 0 equal, 1 different, 2 not checked")
    replay.add_argument("--json", action="store_true", help="with --check: as one JSON object")
    replay.add_argument("--workers", type=int, metavar="N", help="processes that fold (default: at most 2)")
    checked_by(replay, _check)


def _check(top: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    from api.replaying import known_names  # only who replays waits for it

    known = known_names()
    for name in options.names:
        if name not in known:
            top.error(f"replay: there is no read model {name!r}; known are {', '.join(known)}")
    if options.json and not options.check:
        top.error("replay: --json goes with --check")
    check_workers(top, options)
