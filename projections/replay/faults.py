"""Why a replay, or a check, cannot go on. Each message is one line that an operator can act on."""

from __future__ import annotations

from eventstore.errors import StoreError


class ReplayFailed(StoreError):
    """Replay or its check could not be done; rows that were brought level until then are right."""


class DamagedLog(ReplayFailed):
    """The log itself is not what the writer made: no row may be made from it."""

    def __init__(self, tenant_id: str, what: str) -> None:
        super().__init__(
            f"the log of tenant {tenant_id} is damaged: {what}; no row is made from what is damaged. Keep the database as "
            "it is, and restore the log from a backup"
        )


class DamagedStream(DamagedLog):
    """One stream of it."""

    def __init__(self, tenant_id: str, stream: str, what: str) -> None:
        super().__init__(tenant_id, f"in stream {stream} {what}")


class NewerFold(ReplayFailed):
    """A row was written by a newer version of the fold than this code has."""

    def __init__(self, table: str, newer: int, ours: int) -> None:
        super().__init__(
            f"{table} holds rows that a newer Fidelog wrote (fold version {newer}, this one has {ours}); they are left "
            "alone. Replay with the newest version that runs on this database"
        )


class Cancelled(Exception):
    """Somebody asked to stop."""
