"""The log that benchmarks are filled with is one that the service could have written."""

from __future__ import annotations

import orjson

from bench.fill import fill, fill_read_models
from eventstore.database import Database
from projections.codec import Codec
from tests.eventstore.writer.harness import assert_gapless, rows
from tests.projections.replay.harness import check


def test_a_filled_log_is_valid_and_its_read_models_are_level(database: Database) -> None:
    """Guards on, events of real types in their stored form, one in four about a client, each stream folded to a row."""
    fill(database, 1_200)
    assert assert_gapless(database) == 1_200
    stored = rows(database, "SELECT type, data::text FROM fidelog.events")
    codec = Codec()
    for kind, text in stored:
        data = text.encode()
        assert codec.encode(codec.decode(kind, 1, data)).data == data
        assert orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS) == data
    assert sum(kind.startswith("Client") for kind, _ in stored) == 300
    tallies = fill_read_models(database, workers=1)
    assert {name: (tally.rows, tally.events) for name, tally in tallies.items()} == {
        "agent_tasks": (300, 900),
        "client_profiles": (75, 300),
    }
    assert check(database) == []
