"""The harness checked against itself: this tree against this tree, which is 1.0 but for the noise."""

from __future__ import annotations

from dataclasses import replace

from bench.results import Results
from bench.trees import Tree, this_tree


def twin() -> Tree:
    """This tree as another contender of the same kind."""
    return replace(this_tree(), name="this tree again")


def findings(results: Results) -> list[str]:
    """For each ratio, whether 1.0 lies within the noise it was reported with; then how many do not, beside how many
    do not by chance: a noise that holds the true ratio in 98 of 100 runs leaves it out in two."""
    told, outside, by_chance = list[str](), 0, 0.0
    for line in results.lines:
        if line.value is None or line.noise is None:
            continue
        holds = line.noise.holds(1.0)
        said = "lies within the noise" if holds else "LIES OUTSIDE OF THE NOISE"
        told.append(f"{line.work}, {line.figure}: {line.text(line.value)}, noise {line.noise_text()}: 1.0 {said}")
        outside += not holds
        by_chance += 1 - line.noise.coverage
    return [
        *told,
        f"1.0 lies outside of the noise of {outside} of {len(told)} ratios; by chance alone, of {by_chance:.1f}",
    ]
