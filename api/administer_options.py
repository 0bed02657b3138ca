"""The options of `fidelog keys` and `fidelog tenants`."""

from __future__ import annotations

import argparse
import re

from api.command_line import Commands, Parser, checked_by, command
from api.database import DEFAULT_TENANT
from api.identity.actors import ACTOR
from api.identity.roles import ROLES

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def of_keys(commands: Commands) -> None:
    """API keys, and the master key."""
    keys = commands.add_parser(
        "keys",
        help="issue, list and revoke API keys; rotate the master key",
        description="API keys of a tenant, and the master key.",
    )
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    create = command(actions, "create", "issue a key; it is printed this once")
    create.add_argument("--actor", help="whose key: agent:<name>[@version] or user:<id>")
    create.add_argument("--role", action="append", choices=sorted(ROLES), help="what it may do; may be repeated")
    create.add_argument("--expires-in", default="365d", metavar="TIME", help="30s, 12h, 90d … (default 365d)")
    create.add_argument("--replaces", metavar="KEY_ID", help="rotate: the key this one takes the place of")
    create.add_argument("--overlap", default="1d", metavar="TIME", help="how long that one holds on (default 1d)")
    create.add_argument("--json", action="store_true", help="as one JSON object")
    listing = command(actions, "list", "show the keys of a tenant, without their secrets")
    listing.add_argument("--json", action="store_true", help="as a JSON list")
    command(actions, "rotate-master", "wrap all keys under a new master key and destroy the old one")
    revoke = command(actions, "revoke", "end a key now")
    revoke.add_argument("key_id", metavar="KEY_ID")
    for one in (create, listing, revoke):
        one.add_argument("--tenant", default=DEFAULT_TENANT, help=f"whose keys (default: {DEFAULT_TENANT})")
    checked_by(create, _check_key)


def of_tenants(commands: Commands) -> None:
    """Tenants of the database."""
    tenants = commands.add_parser("tenants", help="create and list tenants", description="Tenants of this database.")
    actions = tenants.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    command(actions, "create", "make a tenant").add_argument("name", metavar="NAME")
    command(actions, "list", "show the tenants")


def _check_key(top: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Times become seconds."""
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
