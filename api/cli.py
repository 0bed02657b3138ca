"""The `fidelog` command."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import uvloop

from api import __version__
from api.administer_options import of_keys, of_tenants
from api.command_line import CHECK, Parser, command
from api.export_options import of_export
from api.log_options import of_log
from api.replay_options import of_replay
from api.serve_options import of_serve
from api.settings import SETTINGS, Settings, SettingsError, read
from api.verify_options import of_verify
from api.witness import command as witness
from eventstore.embedded import EmbeddedServerError
from eventstore.errors import StoreError
from eventstore.migrations import MigrationError
from eventstore.vault.keys import KeyUnavailable

NOT_CHECKED = 2

REFUSALS = (SettingsError, EmbeddedServerError, MigrationError, KeyUnavailable, StoreError, psycopg.Error, LookupError)


def _settings_text() -> str:
    lines = [f"  {s.variable:<25} {s.meaning}" + (f" (default {s.default})" if s.default else "") for s in SETTINGS]
    return "settings, from the environment; options of the same name win:\n" + "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        prog="fidelog",
        description="Fidelog: an append-only system of record for a wealth manager's AI agents.",
        epilog=_settings_text() + "\n\nstart here: fidelog serve (or make run), then fidelog demo in another terminal",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"fidelog {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    of_serve(command(commands, "serve", "start the API, and its own PostgreSQL unless FIDELOG_DATABASE_URL names one"))
    demo = command(commands, "demo", "play the article's story over HTTP and show the audit trail")
    demo.add_argument("--url", help="a running server; default: one of its own in a temporary folder")
    demo.add_argument(
        "--key", help="an API key, if that server asks for one: of a user with the roles advisor, compliance"
    )
    migrate = command(commands, "migrate", "bring the database up to this version: logins, schema, migrations")
    migrate.add_argument(
        "--repair-guards",
        action="store_true",
        help="put triggers, functions, policies and rights back as migrations made them",
    )
    status = command(commands, "status", "show the database, its migrations, tenants and sizes")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    of_replay(command(commands, "replay", "bring the read models level with the log, or check that they are"))
    of_verify(
        command(commands, "verify", "prove that the log is what was signed: exit 0 verified, 1 tampered, 2 neither")
    )
    of_export(command(commands, "export", "write events with everything that proves them to a file"))
    of_keys(commands)
    of_tenants(commands)
    of_log(commands)
    other = commands.add_parser("witness", help="cosign the checkpoints of logs, on another machine than theirs",
                                description=witness.DESCRIPTION)  # fmt: skip
    witness.add_options(other)
    url = command(commands, "database-url", "print a libpq URL of the database, for psql and other clients")
    url.add_argument(
        "--as",
        dest="login",
        default="reader",
        choices=("owner", "writer", "reader", "keeper", "sealer", "auditor", "superuser"),
        help="the login (default reader; superuser: embedded server only)",
    )
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit 1 with one line on stderr when it is refused."""
    options = _parsed(arguments)
    failed = NOT_CHECKED if getattr(options, "check", False) or options.command == "verify" else 1
    try:
        if options.command in ALONE:
            status = ALONE[options.command](options)
        else:
            settings = read({setting.option: getattr(options, setting.option, None) for setting in SETTINGS})
            status = COMMANDS[options.command](settings, options)
    except KeyboardInterrupt:
        status = 130
    except REFUSALS as error:
        print(f"fidelog: {' '.join(str(error).split())}", file=sys.stderr)
        status = failed
    except Exception as fault:
        if failed == 1:
            raise
        # A traceback would end with 1, which says that a difference was found.
        print(f"fidelog: could not check: {type(fault).__name__}: {' '.join(str(fault).split())}", file=sys.stderr)
        status = failed
    sys.exit(status)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; what argparse cannot say of a command's is said by its own check."""
    top = parser()
    options = top.parse_args(arguments)
    if CHECK in options:
        getattr(options, CHECK)(top, options)
    return options


def _keys(settings: Settings, options: argparse.Namespace) -> int:
    from api import administer

    if options.action == "rotate-master":
        from api.rotating import rotate_command

        return rotate_command(settings)
    if options.action == "list":
        return asyncio.run(administer.list_keys(settings, options.tenant, as_json=options.json))
    if options.action == "revoke":
        return asyncio.run(administer.revoke_key(settings, options.tenant, options.key_id))
    roles = None if options.role is None else tuple(options.role)
    wanted = administer.NewKey(
        options.tenant, options.actor, roles, options.expires_in, options.replaces, options.overlap, options.json
    )
    return asyncio.run(administer.create_key(settings, wanted))


def _tenants(settings: Settings, options: argparse.Namespace) -> int:
    from api import administer

    if options.action == "list":
        return asyncio.run(administer.list_tenants(settings))
    return asyncio.run(administer.create_tenant_command(settings, options.name))


def _log(settings: Settings, options: argparse.Namespace) -> int:
    if options.action == "reincarnate":
        from api.reincarnating import reincarnate

        return asyncio.run(reincarnate(settings, options.tenant, options.reason))
    if options.action == "adopt":
        from api.adopting import adopt

        return asyncio.run(adopt(settings, options.tenant, Path(options.file)))
    from api import log_commands

    if options.action == "show":
        return log_commands.show(settings, options.tenant, as_json=options.json)
    return log_commands.rotate_key(settings, options.tenant)


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from api.serve import serve

    uvloop.run(serve(settings))
    return 0


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from api.demo import demo

    return demo(options.url, options.key)


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    from api.operate import migrate_command
    from api.repairing import repair_command

    if options.repair_guards:
        return asyncio.run(repair_command(settings))
    return asyncio.run(migrate_command(settings))


def _status(settings: Settings, options: argparse.Namespace) -> int:
    from api.operate import status_command

    return asyncio.run(status_command(settings, as_json=options.json))


def _replay(settings: Settings, options: argparse.Namespace) -> int:
    from api.replaying import Options, default_workers, replay_command

    workers = options.workers or default_workers()
    return replay_command(settings, Options(options.names, workers, options.check, options.json))


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    if options.export is not None:
        from api.export_command import verify_export_command

        return verify_export_command(options)
    from api.verification import Options
    from api.verifying import default_workers, verify_command

    wanted = Options(
        options.tenant,
        tuple(Path(file) for file in options.checkpoint or ()),
        None if options.policy is None else Path(options.policy),
        options.workers or default_workers(),
        options.since_last,
        options.json,
    )
    return verify_command(settings, wanted)


def _export(settings: Settings, options: argparse.Namespace) -> int:
    from api.export_command import export_command

    return asyncio.run(export_command(settings, options))


def _database_url(settings: Settings, options: argparse.Namespace) -> int:
    from api.operate import running_database

    print(running_database(settings).url(options.login))
    return 0


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "migrate": _migrate,
    "status": _status,
    "replay": _replay,
    "export": _export,
    "verify": _verify,
    "database-url": _database_url,
    "keys": _keys,
    "log": _log,
    "tenants": _tenants,
}

ALONE: dict[str, Callable[[argparse.Namespace], int]] = {"witness": witness.run}
"""Commands with settings of their own; they know nothing of the database."""
