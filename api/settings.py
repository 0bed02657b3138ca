"""Settings: the one place where the environment is read. Command-line options of the same name win."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from api.identity.issuer import ALGORITHMS, Issuer
from api.identity.roles import ROUTES
from api.limits import RequestLimits
from api.witnessing import Witnessing, WitnessingError, witnessing
from domain.retention import FLOORS, Years, policy
from eventstore.database import LOGINS, Login


class SettingsError(Exception):
    """A setting does not hold what it must; the message says which and what to do."""


Recorded = Literal["credentials", "all"]
"""Whose reads of personal data are recorded: of callers with a credential, or the local operator's too."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Setting:
    """An environment variable, its default and what it means (the docs and help texts are made from this)."""

    variable: str
    default: str
    meaning: str

    @property
    def option(self) -> str:
        """The name of the command-line option."""
        return self.variable.removeprefix("FIDELOG_").lower()


LIMITS = (
    Setting("FIDELOG_HEADER_BYTES", "16384", "a request's line and headers (431)"),
    Setting("FIDELOG_HEADER_SECONDS", "10", "time for a request's headers, from the connection or their first byte on (408)"),
    Setting("FIDELOG_BODY_SECONDS", "30", "time for a request's body (408); an answer nobody takes for so long is cut off"),
    Setting("FIDELOG_CONNECTIONS", "1000", "connections at once (503)"),
    Setting("FIDELOG_BODIES_BYTES", "67108864", "bodies that are being received, of all requests together (503)"),
    Setting("FIDELOG_QUEUED_COMMANDS", "4096", "commands that wait for the writer (503)"),
    Setting("FIDELOG_STATEMENT_SECONDS", "5", "a statement that reads (503)"),
    Setting("FIDELOG_RATE_PER_SECOND", "1000", "requests of one credential, lasting (429)"),
    Setting("FIDELOG_RATE_BURST", "2000", "requests of one credential, at once (429)"),
)  # fmt: skip
"""Bounds of what callers may take: each a field of RequestLimits, and an option of `serve`."""

SETTINGS = (
    Setting("FIDELOG_HOST", "127.0.0.1", "address to listen on; callers need credentials on any but loopback"),
    Setting("FIDELOG_PORT", "8000", "port to listen on"),
    Setting("FIDELOG_DATA_DIR", ".fidelog", "folder of the embedded PostgreSQL"),
    Setting("FIDELOG_STATE_DIR", ".fidelog-state", "folder of the master keys; never inside the data folder"),
    Setting("FIDELOG_DATABASE_URL", "", "a PostgreSQL 15 to 18 of yours instead of the embedded one"),
    Setting("FIDELOG_ACCESS_LOG", "credentials", "whose reads of personal data are recorded: credentials, or all"),
    Setting("FIDELOG_ORIGIN", "", "what the names of the logs begin with, such as audit.bank.example/wealth"),
    Setting("FIDELOG_RETENTION", "account=6 recommendation=6", "years for which each class of records is kept; no less"),
    Setting("FIDELOG_MASTER_KEY_DAYS", "30", "days after which serve rotates the master key; `off`: on demand only"),
    Setting("FIDELOG_JWT_ISSUER", "", "issuer whose JWT bearer tokens are taken; needs the next two"),
    Setting("FIDELOG_JWT_AUDIENCE", "", "audience that such a token must be for"),
    Setting("FIDELOG_JWT_JWKS", "", "the issuer's key set: a URL, or a file"),
    Setting("FIDELOG_JWT_LEEWAY", "30", "seconds by which the issuer's clock may differ"),
    Setting("FIDELOG_JWT_ALGORITHMS", " ".join(ALGORITHMS), "algorithms that are taken"),
    *(
        Setting(f"FIDELOG_{login.upper()}_URL", "", f"on a server: the {login} login's own URL")
        for login in LOGINS
    ),
    Setting("FIDELOG_WITNESS_POLICY", "", "file (C2SP tlog-policy) that names the witnesses and the quorum of them"),
    Setting("FIDELOG_WITNESSES", "", "where witnesses are, in place of the policy's own addresses: name=URL name=URL"),
    Setting("FIDELOG_VERIFY_SECONDS", "3600", "time between two verifications of what was sealed since the last"),
    Setting("FIDELOG_VERIFY_FULL_SECONDS", "86400", "time between two verifications of the whole log"),
    *LIMITS,
    Setting("FIDELOG_REQUEST_LOG", "off", "`on`: a line of JSON on stderr for every request"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the process runs with."""

    host: str
    port: int
    data_dir: Path
    state_dir: Path
    database_url: str | None = None
    login_urls: Mapping[Login, str] = field(default_factory=dict)
    access_log: Recorded = "credentials"
    origin: str | None = None
    """What the origin of every tenant's log begins with; None: a random one that the state folder keeps."""
    retention: Years = field(default_factory=lambda: FLOORS)
    master_key_days: float | None = 30.0
    """None: the master key is rotated on demand only."""
    issuer: Issuer | None = None
    keyless: bool = False
    """Whether a caller without a credential is the local operator: on this machine, with its own database."""
    limits: RequestLimits = field(default_factory=RequestLimits)
    request_log: bool = False
    witnessing: Witnessing | None = None
    """Who cosigns, if anybody."""
    verify_seconds: float = 3_600.0
    verify_full_seconds: float = 86_400.0

    @property
    def embedded(self) -> bool:
        """Whether no server was given."""
        return self.database_url is None and not self.login_urls

    @property
    def loopback(self) -> bool:
        """Whether only this machine is served."""
        return self.host in LOOPBACK

    @property
    def opened(self) -> frozenset[str]:
        """Routes that need no credential where only this machine is served."""
        return frozenset(route for route, need in ROUTES.items() if need.of_process and self.loopback)


def values_of(
    settings: Iterable[Setting],
    options: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What each setting holds, by its variable: from the options, else the environment, else the default."""
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return {
        setting.variable: given.get(setting.option) or environment.get(setting.variable) or setting.default
        for setting in settings
    }


def read(options: Mapping[str, str | None] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from options (by lower-case name without FIDELOG_), else environment, else default.

    Raises SettingsError.
    """
    values = values_of(SETTINGS, options, environment)
    data_dir, state_dir = folder(values, "FIDELOG_DATA_DIR"), folder(values, "FIDELOG_STATE_DIR")
    if state_dir == data_dir or data_dir in state_dir.parents:
        raise SettingsError(
            "FIDELOG_STATE_DIR lies inside FIDELOG_DATA_DIR; choose a folder outside, so that no copy of the data "
            "holds the keys that open it"
        )
    settings = Settings(
        host=values["FIDELOG_HOST"],
        port=port(values, "FIDELOG_PORT"),
        data_dir=data_dir,
        state_dir=state_dir,
        database_url=_url(values, "FIDELOG_DATABASE_URL"),
        login_urls={login: url for login in LOGINS if (url := _url(values, f"FIDELOG_{login.upper()}_URL"))},
        access_log=_recorded(values["FIDELOG_ACCESS_LOG"]),
        origin=_origin(values["FIDELOG_ORIGIN"]),
        retention=_retention(values["FIDELOG_RETENTION"]),
        master_key_days=_days(values["FIDELOG_MASTER_KEY_DAYS"]),
        issuer=_issuer(values),
        limits=RequestLimits(**{setting.option: _bound(values, setting.variable) for setting in LIMITS}),
        request_log=_switch(values, "FIDELOG_REQUEST_LOG"),
        witnessing=_witnessing(values),
        verify_seconds=_bound(values, "FIDELOG_VERIFY_SECONDS"),
        verify_full_seconds=_bound(values, "FIDELOG_VERIFY_FULL_SECONDS"),
    )
    return replace(settings, keyless=settings.embedded and settings.loopback)


_ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,100}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]{1,60}){0,5}", re.ASCII)


def _origin(value: str) -> str | None:
    """A URL without scheme and without a slash at its end (c2sp.org/tlog-checkpoint)."""
    if value and not _ORIGIN.fullmatch(value):
        raise SettingsError(
            "FIDELOG_ORIGIN must be a name such as audit.bank.example/wealth: a host and a path, without https:// in front "
            "and without a slash at the end"
        )
    return value or None


def _url(values: Mapping[str, str], variable: str) -> str | None:
    """A libpq URL or connection string. Never echoed: it may hold a password, also where a wrong one is cut apart."""
    url = values[variable]
    if not url:
        return None
    try:
        parts = conninfo_to_dict(url)
        sound = "@" not in str(parts.get("host", "")) and re.fullmatch(r"[0-9,]*", str(parts.get("port", "")))
    except psycopg.Error:
        sound = None
    if not sound:
        raise SettingsError(
            f"{variable} is not a PostgreSQL URL; write postgresql://user:password@host:port/database, with special "
            "characters percent-encoded"
        )
    return url


def folder(values: Mapping[str, str], variable: str) -> Path:
    """The folder with symbolic links and `..` resolved, so that folders can be compared. Raises SettingsError."""
    try:
        return Path(values[variable]).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise SettingsError(f"{variable} is not a folder that can be found ({error}); give another path") from error


def _recorded(text: str) -> Recorded:
    if text == "all":
        return "all"
    if text != "credentials":
        raise SettingsError("FIDELOG_ACCESS_LOG must be credentials or all")
    return "credentials"


def _retention(text: str) -> Years:
    found = [re.fullmatch(r"([a-z]+)=([0-9]{1,3})", part, re.ASCII) for part in text.replace(",", " ").split()]
    try:
        if not all(found):
            raise ValueError("it is a list of class=years")
        return policy({part[1]: int(part[2]) for part in found if part is not None})
    except ValueError as error:
        raise SettingsError(f"FIDELOG_RETENTION: {error}; write for example account=10 recommendation=7") from None


def _days(text: str) -> float | None:
    if text == "off":
        return None
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", text, re.ASCII) and float(text) > 0:
        return float(text)
    raise SettingsError("FIDELOG_MASTER_KEY_DAYS must be a number of days above 0, or off")


def _issuer(values: Mapping[str, str]) -> Issuer | None:
    names = ("FIDELOG_JWT_ISSUER", "FIDELOG_JWT_AUDIENCE", "FIDELOG_JWT_JWKS")
    given = [values[name] for name in names if values[name]]
    if 0 < len(given) < len(names):
        raise SettingsError(f"JWT bearer tokens need all of {', '.join(names)}")
    leeway, algorithms = values["FIDELOG_JWT_LEEWAY"], tuple(values["FIDELOG_JWT_ALGORITHMS"].replace(",", " ").split())
    if not re.fullmatch(r"[0-9]{1,3}", leeway, re.ASCII):
        raise SettingsError("FIDELOG_JWT_LEEWAY must be a number of seconds from 0 to 999")
    if not algorithms or not set(algorithms) <= set(ALGORITHMS):
        raise SettingsError(f"FIDELOG_JWT_ALGORITHMS must be some of {', '.join(ALGORITHMS)}")
    if not given:
        return None
    issuer, audience, jwks = given
    return Issuer(issuer, audience, jwks, int(leeway), algorithms)


def port(values: Mapping[str, str], variable: str) -> int:
    """A port; 0 is any that is free. Raises SettingsError."""
    text = values[variable]
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
        raise SettingsError(f"{variable} must be a number from 0 to 65535")
    return int(text)


def _bound(values: Mapping[str, str], variable: str) -> Any:
    """A limit: seconds may have a fraction, all else is counted."""
    text, seconds = values[variable], variable.endswith("_SECONDS")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?" if seconds else r"[0-9]{1,12}", text, re.ASCII) and float(text) > 0:
        return float(text) if seconds else int(text)
    raise SettingsError(f"{variable} must be a number above 0" + (" of seconds" if seconds else ", without a fraction"))


def _switch(values: Mapping[str, str], variable: str) -> bool:
    if values[variable] not in {"on", "off"}:
        raise SettingsError(f"{variable} must be on or off")
    return values[variable] == "on"


def _witnessing(values: Mapping[str, str]) -> Witnessing | None:
    path, addresses = values["FIDELOG_WITNESS_POLICY"], values["FIDELOG_WITNESSES"]
    if not path:
        if addresses:
            raise SettingsError("FIDELOG_WITNESSES needs FIDELOG_WITNESS_POLICY, which has the witnesses' keys")
        return None
    try:
        return witnessing(Path(path).expanduser(), addresses)
    except WitnessingError as error:
        raise SettingsError(str(error)) from error
