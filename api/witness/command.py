"""`fidelog witness` on the command line."""

from __future__ import annotations

import argparse

from api.witness.settings import SETTINGS, read

DESCRIPTION = """Cosign the checkpoints of logs that only ever grow, on a machine that whoever runs the log does not control.
It needs no database."""


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    for setting in SETTINGS:
        option = setting.option.removeprefix("witness_").replace("_", "-")
        default = f"; {setting.default}" if setting.default else ""
        command.add_argument(
            f"--{option}", dest=setting.option, help=f"{setting.meaning} ({setting.variable}{default})"
        )
    command.add_argument(
        "--log", action="append", default=[], metavar="KEY", help="a log's verifier key; may be repeated"
    )
    command.add_argument("--print-key", action="store_true", help="print the witness's verifier key, made on first use")


def run(options: argparse.Namespace) -> int:
    """Serve, or print the key. Raises SettingsError."""
    import uvloop

    from api.witness import serve

    settings = read({setting.option: getattr(options, setting.option) for setting in SETTINGS}, options.log)
    if options.print_key:
        serve.print_key(settings)
    else:
        uvloop.run(serve.serve(settings))
    return 0
