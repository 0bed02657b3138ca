"""The options of `fidelog log`."""

from __future__ import annotations

from api.command_line import Commands, Parser, command


def of_log(commands: Commands) -> None:
    """What there is to do with the names and keys of a sealed log."""
    logs = commands.add_parser(
        "log", help="names and keys of the sealed log", description="The sealed log of a tenant."
    )
    of_logs = logs.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    show = command(of_logs, "show", "print the log's origin and keys, for verifiers and witnesses")
    show.add_argument("--json", action="store_true", help="as one JSON object, with the rotations of the key")
    rotate = command(of_logs, "rotate-key", "sign with a new key from the next checkpoint on")
    anew = command(of_logs, "reincarnate", "go on under a new origin, after a restore that lost events")
    anew.add_argument("--reason", required=True, help="why; recorded as it stands, for ever")
    adopt = command(of_logs, "adopt", "go on from a checkpoint that a witness holds, where the state folder has none")
    adopt.add_argument("file", metavar="FILE", help="the checkpoint")
    for one in (show, rotate, adopt, anew):
        one.add_argument("--tenant", default="default", help="whose log (default: default)")
        one.add_argument("--origin", help="what the names of the logs begin with")
