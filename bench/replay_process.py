"""A replay in processes of its own: python -m bench.replay_process JSON. The order: `urls` of the keeper and the auditor,
`names`, `workers`. The answer, a line of JSON: `seconds`, and `events`, `rows` and `differing` of all names together."""

from __future__ import annotations

import json
import sys
import time

from eventstore.database import Database
from projections.replay.replayable import Tally
from projections.replay.running import Replay, Unwatched


def main() -> None:
    """Do it, starting the workers included."""
    order = json.loads(sys.argv[1])
    replay = Replay(Database("embedded", order["urls"]), order["names"], heal=True, workers=order["workers"])
    started = time.perf_counter()
    tallies = replay.run(Unwatched())
    seconds, total = time.perf_counter() - started, Tally()
    for tally in tallies.values():
        total.add(tally)
    print(json.dumps({"seconds": seconds, **{name: getattr(total, name) for name in ("events", "rows", "differing")}}))


if __name__ == "__main__":
    main()
