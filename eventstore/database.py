"""Where each login connects, and with which session settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

Login = Literal["owner", "writer", "reader", "keeper", "sealer", "auditor", "superuser"]
LOGINS: tuple[Login, ...] = ("owner", "writer", "reader", "keeper", "sealer", "auditor")

_SESSION = {
    # pg_temp last, or a temporary table could shadow one of ours.
    "search_path": "pg_catalog,fidelog,pg_temp",
    "timezone": "UTC",
}

_WRITER = {
    "synchronous_commit": "on",  # P6, whatever the server's default is
    # A stopped process must not hold a tenant: its session ends, and the lock with it.
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "4s",
    "statement_timeout": "5s",
    # Plans are made once, often on empty tables. These leave only index lookups, which stay right as tables grow.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "jit": "off",
}

_SETTINGS: Mapping[Login, Mapping[str, str]] = {
    "writer": _WRITER,
    "reader": {"jit": "off"},
    "keeper": {"idle_in_transaction_session_timeout": "10s"},
    "sealer": {"idle_in_transaction_session_timeout": "10s", "synchronous_commit": "on", "jit": "off"},
}

READ_SECONDS = 5.0

_KEEPALIVE = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


@dataclass(frozen=True)
class Database:
    """A database and the way to reach it as each login.

    `urls` holds a URL for every login that has its own; every other login connects by `fallback` and takes its role
    at start-up, which is weaker: whoever holds that URL can take any role.
    """

    kind: Literal["embedded", "server"]
    urls: Mapping[Login, str]
    fallback: str | None = None
    data_dir: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further session settings for every login (tests shorten timeouts)."""
    read_seconds: float = READ_SECONDS
    """How long a statement of the reader may run."""

    @property
    def weak_logins(self) -> tuple[Login, ...]:
        """The logins without a URL of their own."""
        return tuple(login for login in LOGINS if login not in self.urls)

    def url(self, login: Login) -> str:
        """A libpq URL for the login, session settings included. Raises LookupError when there is none."""
        settings = {**_SESSION, **_SETTINGS.get(login, {}), **self.extra}
        if login == "reader":
            settings.setdefault("statement_timeout", f"{max(round(self.read_seconds * 1000), 1)}ms")
        if login in self.urls:
            parts = conninfo_to_dict(self.urls[login])
        elif self.fallback is not None and login != "superuser":
            parts = conninfo_to_dict(self.fallback)
            settings["role"] = f"fidelog_{login}"
        else:
            advice = "" if login == "superuser" else f"; set FIDELOG_{login.upper()}_URL"
            raise LookupError(f"there is no {login} login for this database{advice}")
        return _url(parts, settings, self.kind == "server")


def _url(parts: dict[str, Any], settings: Mapping[str, str], over_network: bool) -> str:
    """postgresql://user:password@/dbname?host=…&options=… (libpq, section 34.1.1.2); every part percent-encoded."""
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items())
    given = str(parts.pop("options", "") or "")
    user = quote(str(parts.pop("user", "") or ""), safe="")
    password = parts.pop("password", None)
    login = user + (":" + quote(str(password), safe="") if password else "")
    dbname = quote(str(parts.pop("dbname", "") or ""), safe="")
    query = {
        **(_KEEPALIVE if over_network else {}),
        "client_encoding": "UTF8",
        **parts,
        "options": f"{given} {options}".strip(),
    }
    text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value is not None)
    return f"postgresql://{login}{'@' if login else ''}/{dbname}?{text}"
