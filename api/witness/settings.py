"""What a witness runs with: settings of its own, and none of the log's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.settings import Setting, SettingsError, folder, port, values_of
from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import Kind, VerifierKey, check_name

SETTINGS = (
    Setting("FIDELOG_WITNESS_HOST", "127.0.0.1", "address to listen on"),
    Setting("FIDELOG_WITNESS_PORT", "8100", "port to listen on"),
    Setting("FIDELOG_WITNESS_STATE_DIR", ".fidelog-witness", "folder of the witness's key and what it cosigned"),
    Setting("FIDELOG_WITNESS_NAME", "", "the key's name, a URL without its scheme; needed when the key is made"),
    Setting("FIDELOG_WITNESS_LOGS", "", "file with the verifier keys of the logs to cosign for, one a line"),
)
MOST_BYTES = 1_000_000
"""Of the file with keys."""


@dataclass(frozen=True)
class WitnessSettings:
    """What the process runs with; `logs` has the keys of each origin."""

    host: str
    port: int
    state_dir: Path
    name: str | None
    logs: Mapping[str, Sequence[VerifierKey]]


def read(
    options: Mapping[str, str | None], keys: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> WitnessSettings:
    """Settings from options, else environment, else default; `keys` are logs' besides those in the file.

    Raises SettingsError.
    """
    values = values_of(SETTINGS, options, environment)
    given = [("--log", key) for key in keys]
    if path := values["FIDELOG_WITNESS_LOGS"]:
        given += _lines(Path(path).expanduser())
    return WitnessSettings(
        host=values["FIDELOG_WITNESS_HOST"],
        port=port(values, "FIDELOG_WITNESS_PORT"),
        state_dir=folder(values, "FIDELOG_WITNESS_STATE_DIR"),
        name=_name(values["FIDELOG_WITNESS_NAME"]),
        logs=_by_origin(given),
    )


def _name(text: str) -> str | None:
    if not text:
        return None
    try:
        check_name(text)
    except MalformedProof:
        raise SettingsError(
            "FIDELOG_WITNESS_NAME has white space, a + or a control character; write something like "
            "witness.example/audit"
        ) from None
    return text


def _lines(path: Path) -> list[tuple[str, str]]:
    """The keys in a file, each with where it stands. Empty lines, and those that begin with #, say nothing."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"FIDELOG_WITNESS_LOGS: {path} cannot be read: {why}") from None
    if len(data) > MOST_BYTES:
        raise SettingsError(f"FIDELOG_WITNESS_LOGS: {path} has more than {MOST_BYTES} bytes")
    lines = enumerate((line.strip() for line in text.split("\n")), 1)
    return [(f"line {number} of {path}", line) for number, line in lines if line and not line.startswith("#")]


def _by_origin(given: Sequence[tuple[str, str]]) -> dict[str, list[VerifierKey]]:
    """A log's key has the log's origin as its name. Several of one origin are believed alike, so that keys can be rotated."""
    logs: dict[str, list[VerifierKey]] = {}
    for where, text in given:
        try:
            key = VerifierKey.parse(text)
        except MalformedProof as error:
            raise SettingsError(
                f"{where}: {error}; give the log's verifier key, <origin>+<8 hex digits>+<base64>"
            ) from None
        if key.kind is not Kind.LOG:
            raise SettingsError(f"{where}: this is a witness's key; give the log's")
        keys = logs.setdefault(key.name, [])
        if key not in keys:
            keys.append(key)
    return logs
