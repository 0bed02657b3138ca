"""client_profiles: one row a client, the fold of its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from domain import client
from eventstore import arrays
from eventstore.rows import utc
from eventstore.statements import statement
from eventstore.writer.engine import Folded, FoldMismatch


class ClientProfiles:
    """Storage of client states. Row columns: see load_client_profiles.sql."""

    category = client.CATEGORY
    load = statement("projections", "load_client_profiles")
    insert = statement("projections", "insert_client_profiles")
    update = statement("projections", "update_client_profiles")

    def row(self, row: Sequence[Any]) -> tuple[str, Folded]:
        client_id, full_name, risk_profile, created_at, updated_at, version, position, fold_version = row
        if fold_version != client.FOLD.version:
            raise FoldMismatch(f"client_profiles {client_id}: written by fold {fold_version}")
        sealed = orjson.loads(full_name)
        state = client.Client(client_id, sealed, risk_profile, utc(created_at), utc(updated_at))
        return client.stream(client_id), Folded(state, version, position, stored=True)

    def columns(self, tenant_id: str, rows: Sequence[tuple[str, Folded]]) -> Sequence[bytes | None]:
        states: list[client.Client] = [folded.state for _, folded in rows]
        return (
            tenant_id.encode(),
            arrays.text_array([s.client_id for s in states]),
            arrays.varlena_array("json", [orjson.dumps(s.full_name) for s in states]),
            arrays.text_array([s.risk_profile for s in states]),
            arrays.timestamptz_array([s.created_at for s in states]),
            arrays.timestamptz_array([s.updated_at for s in states]),
            arrays.int8_array([folded.version for _, folded in rows]),
            arrays.int8_array([folded.position for _, folded in rows]),
            arrays.int8(client.FOLD.version),
            arrays.int8(len(rows)),
        )
