"""The `fidelog` command."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import psycopg
import uvloop

from api import __version__
from api.database import DEFAULT_TENANT
from api.export_options import of_export, of_verify
from api.identity.actors import ACTOR
from api.identity.roles import ROLES
from api.settings import LIMITS, SETTINGS, Settings, SettingsError, read
from api.witness import command as witness
from eventstore.embedded import EmbeddedServerError
from eventstore.errors import StoreError
from eventstore.migrations import MigrationError
from eventstore.vault.keys import KeyUnavailable

USAGE_ERROR = 64
NOT_CHECKED = 2
MOST_WORKERS = 64

REFUSALS = (SettingsError, EmbeddedServerError, MigrationError, KeyUnavailable, StoreError, psycopg.Error, LookupError)


class _Parser(argparse.ArgumentParser):
    """Exits 64 (EX_USAGE) on a usage error."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"fidelog: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def _settings_text() -> str:
    lines = [f"  {s.variable:<25} {s.meaning}" + (f" (default {s.default})" if s.default else "") for s in SETTINGS]
    return "settings, from the environment; options of the same name win:\n" + "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser(
        prog="fidelog",
        description="Fidelog: an append-only system of record for a wealth manager's AI agents.",
        epilog=_settings_text() + "\n\nstart here: fidelog serve (or make run), then fidelog demo in another terminal",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"fidelog {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    serve = _command(commands, "serve", "start the API, and its own PostgreSQL unless FIDELOG_DATABASE_URL names one")
    serve.add_argument("--host", help="address to listen on; callers need credentials on any but loopback")
    serve.add_argument("--port", help="port to listen on")
    serve.add_argument("--origin", help="what the names of the logs begin with, such as audit.bank.example/wealth")
    serve.add_argument("--access-log", help="whose reads of personal data are recorded: credentials, or all")
    serve.add_argument("--retention", help="years for which each class of records is kept")
    serve.add_argument("--master-key-days", help="days after which the master key is rotated, or off")
    serve.add_argument("--jwt-issuer", help="issuer whose JWT bearer tokens are taken")
    serve.add_argument("--jwt-audience", help="audience that such a token must be for")
    serve.add_argument("--jwt-jwks", help="the issuer's key set: a URL, or a file")
    serve.add_argument("--jwt-leeway", help="seconds by which the issuer's clock may differ")
    serve.add_argument("--jwt-algorithms", help="algorithms that are taken")
    for limit in LIMITS:
        serve.add_argument(f"--{limit.option.replace('_', '-')}", metavar="N", help=f"{limit.meaning}; {limit.default}")
    serve.add_argument("--verify-seconds", metavar="N", help="seconds between two verifications of what is new; 3600")
    serve.add_argument("--verify-full-seconds", metavar="N", help="seconds between two verifications of it all; 86400")
    serve.add_argument("--request-log", choices=("on", "off"), help="a line of JSON on stderr for every request")
    demo = _command(commands, "demo", "play the article's story over HTTP and show the audit trail")
    demo.add_argument("--url", help="a running server; default: one of its own in a temporary folder")
    demo.add_argument(
        "--key", help="an API key, if that server asks for one: of a user with the roles advisor, compliance"
    )
    migrate = _command(commands, "migrate", "bring the database up to this version: logins, schema, migrations")
    migrate.add_argument(
        "--repair-guards",
        action="store_true",
        help="put triggers, functions, policies and rights back as migrations made them",
    )
    status = _command(commands, "status", "show the database, its migrations, tenants and sizes")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    replay = _command(commands, "replay", "bring the read models level with the log, or check that they are")
    replay.add_argument("names", nargs="*", metavar="NAME", help="read models (default: all)")
    replay.add_argument("--check", action="store_true", help="change nothing: exit 0 equal, 1 different, 2 not checked")
    replay.add_argument("--json", action="store_true", help="with --check: as one JSON object")
    replay.add_argument("--workers", type=int, metavar="N", help="processes that fold (default: at most 2)")
    _verification(commands)
    of_export(_command(commands, "export", "write events with everything that proves them to a file"))
    _administration(commands)
    _log_commands(commands)
    other = commands.add_parser("witness", help="cosign the checkpoints of logs, on another machine than theirs",
                                description=witness.DESCRIPTION)  # fmt: skip
    witness.add_options(other)
    url = _command(commands, "database-url", "print a libpq URL of the database, for psql and other clients")
    url.add_argument(
        "--as",
        dest="login",
        default="reader",
        choices=("owner", "writer", "reader", "keeper", "sealer", "auditor", "superuser"),
        help="the login (default reader; superuser: embedded server only)",
    )
    return top


def _verification(commands: argparse._SubParsersAction[_Parser]) -> None:
    verify = _command(
        commands, "verify", "prove that the log is what was signed: exit 0 verified, 1 tampered, 2 neither"
    )
    verify.add_argument("--tenant", help="whose log (default: every tenant's)")
    verify.add_argument(
        "--checkpoint", action="append", metavar="FILE", help="a checkpoint that somebody kept; may be repeated"
    )
    verify.add_argument(
        "--policy", metavar="FILE", help="whose keys are believed, and how many witnesses are asked for"
    )
    of_verify(verify)
    verify.add_argument("--since-last", action="store_true", help="go on from the last verified checkpoint")
    verify.add_argument("--workers", type=int, metavar="N", help="processes that hash (default: one a core)")
    verify.add_argument(
        "--json", action="store_true", help="each tenant's verdict as JSON too; the last line always is"
    )


def _administration(commands: argparse._SubParsersAction[_Parser]) -> None:
    keys = commands.add_parser(
        "keys",
        help="issue, list and revoke API keys; rotate the master key",
        description="API keys of a tenant, and the master key.",
    )
    of_keys = keys.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    create = _command(of_keys, "create", "issue a key; it is printed this once")
    create.add_argument("--actor", help="whose key: agent:<name>[@version] or user:<id>")
    create.add_argument("--role", action="append", choices=sorted(ROLES), help="what it may do; may be repeated")
    create.add_argument("--expires-in", default="365d", metavar="TIME", help="30s, 12h, 90d … (default 365d)")
    create.add_argument("--replaces", metavar="KEY_ID", help="rotate: the key this one takes the place of")
    create.add_argument("--overlap", default="1d", metavar="TIME", help="how long that one holds on (default 1d)")
    create.add_argument("--json", action="store_true", help="as one JSON object")
    listing = _command(of_keys, "list", "show the keys of a tenant, without their secrets")
    listing.add_argument("--json", action="store_true", help="as a JSON list")
    _command(of_keys, "rotate-master", "wrap all keys under a new master key and destroy the old one")
    revoke = _command(of_keys, "revoke", "end a key now")
    revoke.add_argument("key_id", metavar="KEY_ID")
    for command in (create, listing, revoke):
        command.add_argument("--tenant", default=DEFAULT_TENANT, help=f"whose keys (default: {DEFAULT_TENANT})")
    tenants = commands.add_parser("tenants", help="create and list tenants", description="Tenants of this database.")
    of_tenants = tenants.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    _command(of_tenants, "create", "make a tenant").add_argument("name", metavar="NAME")
    _command(of_tenants, "list", "show the tenants")


def _log_commands(commands: argparse._SubParsersAction[_Parser]) -> None:
    logs = commands.add_parser(
        "log", help="names and keys of the sealed log", description="The sealed log of a tenant."
    )
    of_logs = logs.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Parser)
    show = _command(of_logs, "show", "print the log's origin and keys, for verifiers and witnesses")
    show.add_argument("--json", action="store_true", help="as one JSON object, with the rotations of the key")
    rotate = _command(of_logs, "rotate-key", "sign with a new key from the next checkpoint on")
    anew = _command(of_logs, "reincarnate", "go on under a new origin, after a restore that lost events")
    anew.add_argument("--reason", required=True, help="why; recorded as it stands, for ever")
    adopt = _command(of_logs, "adopt", "go on from a checkpoint that a witness holds, where the state folder has none")
    adopt.add_argument("file", metavar="FILE", help="the checkpoint")
    for command in (show, rotate, adopt, anew):
        command.add_argument("--tenant", default="default", help="whose log (default: default)")
        command.add_argument("--origin", help="what the names of the logs begin with")


def _command(commands: argparse._SubParsersAction[_Parser], name: str, meaning: str) -> _Parser:
    sub = commands.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
    sub.add_argument("--data-dir", help="folder of the embedded PostgreSQL")
    sub.add_argument("--state-dir", help="folder of the master keys")
    sub.add_argument("--database-url", help="a PostgreSQL server of yours")
    return sub


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
    """The options; what argparse cannot say of those of replay is checked here."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command == "replay":
        from api.replaying import known_names

        known = known_names()
        for name in options.names:
            if name not in known:
                top.error(f"replay: there is no read model {name!r}; known are {', '.join(known)}")
        if options.json and not options.check:
            top.error("replay: --json goes with --check")
        if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
            top.error(f"replay: --workers must be from 1 to {MOST_WORKERS}")
    if options.command == "verify" and options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        top.error(f"verify: --workers must be from 1 to {MOST_WORKERS}")
    if options.command == "keys" and options.action == "create":
        _check_key(top, options)
    if options.command == "verify" and options.export is not None and len(options.checkpoint or ()) > 1:
        top.error("verify: give one --checkpoint with --export")
    if options.command == "verify" and options.export is None and options.consistency is not None:
        top.error("verify: --consistency goes with --export")
    return options


_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _check_key(top: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.replaces is None and not (options.actor and options.role):
        top.error("keys create: give --actor and --role, or --replaces")
    if options.actor is not None and not ACTOR.fullmatch(options.actor):
        top.error("keys create: --actor is agent:<name>[@version] or user:<id>")
    for name in ("expires_in", "overlap"):
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", getattr(options, name), re.ASCII)
        if found is None:
            top.error(f"keys create: --{name.replace('_', '-')} is a number and s, m, h or d, such as 90d")
        seconds = int(found[1]) * _UNITS[found[2]]
        if seconds > 3_650 * _UNITS["d"] or (seconds == 0 and name == "expires_in"):
            top.error(f"keys create: --{name.replace('_', '-')} is at least 1s and at most 3650d")
        setattr(options, name, seconds)


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
