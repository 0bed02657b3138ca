"""The harness checked against itself: this tree against this tree, which is 1.0 but for the noise."""

from __future__ import annotations

from dataclasses import replace

from bench.results import Results
from bench.trees import Tree, this_tree


def twin() -> Tree:
    """This tree as another contender of the same kind."""
    return replace(this_tree(), name="this tree again")


def findings(results: Results) -> list[str]:
    """For each ratio, whether 1.0 lies within the noise it was reported with."""
    return [
        f"{line.work}, {line.figure}: {line.text(line.value)}, noise {line.noise_text()}: 1.0 "
        + ("lies within the noise" if line.noise.holds(1.0) else "LIES OUTSIDE OF THE NOISE")
        for line in results.lines
        if line.value is not None and line.noise is not None
    ]
