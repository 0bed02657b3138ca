"""docs/performance.svg: each ratio as a bar on a logarithmic scale, with its goal and its noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.results import Line

WIDTH, LEFT, RIGHT = 1040, 430, 160
TOP, ROW, BOTTOM = 86, 44, 40
BAR = 14
STEPS = (1, 2, 5)
LONGEST = 60
"""Letters of a name that fit on its line."""

# Two palettes; what is met or missed is told by a full or a hatched bar and by a word too.
STYLE = """
text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328 }
.small { font-size: 11.5px; fill: #59636e } .title { font-size: 17px; font-weight: 600 } .end { text-anchor: end }
.middle { text-anchor: middle } .paper { fill: #ffffff } .grid { stroke: #d9dee3 } .one { stroke: #59636e }
.met { fill: #1a7f5a } .missed { fill: url(#hatch); stroke: #b35900 } .stripe { stroke: #b35900 }
.goal { fill: none; stroke: #1f2328; stroke-width: 2.5 } .noise { fill: none; stroke: #1f2328; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .paper { fill: #0d1117 } .grid { stroke: #2b323b } .one { stroke: #9198a1 }
.met { fill: #3fb68b } .missed { stroke: #f0883e } .stripe { stroke: #f0883e }
.goal, .noise { stroke: #e6edf3 }
}"""


@dataclass(frozen=True)
class Scale:
    """Ratios from `low` to `high`, powers apart by equal widths."""

    low: float
    high: float

    def x(self, ratio: float) -> float:
        """Where a ratio stands; one outside of the scale at its end."""
        inside = min(max(ratio, self.low), self.high)
        share = math.log(inside / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """1, 2, 5, 10 … or, over many powers, 1, 10, 100 …"""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = STEPS if len(powers) <= 4 else STEPS[:1]
        found = [step * 10.0**power for power in powers for step in steps]
        return [tick for tick in found if self.low <= tick * 1.0001 and tick <= self.high * 1.0001]


def plot(lines: Sequence[Line]) -> str:
    """The SVG. Lines without a goal, and figures that are no ratio, are left to the tables."""
    shown = [line for line in lines if line.goal and line.is_ratio]
    bottom = TOP + ROW * len(shown)
    scale = _scale(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img">',
        "<title>Each ratio and its goal</title>",
        f"<style>{STYLE}</style>",
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="stripe" y2="6" stroke-width="3"/></pattern></defs>',
        f'<rect class="paper" width="{WIDTH}" height="{bottom + BOTTOM}" rx="8"/>',
        _text(20, 32, "Fidelog against its peers, as ratios", "title"),
        *_legend(),
        *_grid(scale, bottom),
        *(part for number, line in enumerate(shown) for part in _row(line, scale, TOP + ROW * number + ROW / 2)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _scale(lines: Sequence[Line]) -> Scale:
    values = [1.0, *(line.goal.ratio for line in lines if line.goal), *(line.value for line in lines if line.value)]
    values += [end for line in lines if line.noise for end in (line.noise.low, line.noise.high) if end > 0]
    return Scale(min(0.5, min(values) * 0.9), max(2.0, max(values) * 1.1))


def _legend() -> Iterator[str]:
    yield f'<rect class="met" x="20" y="46" width="26" height="{BAR}"/>'
    yield _text(52, 58, "goal met", "small")
    yield f'<rect class="missed" x="120" y="46" width="26" height="{BAR}"/>'
    yield _text(152, 58, "goal missed", "small")
    yield _goal_mark(240, 53, "≥")
    yield _text(254, 58, "the goal, open to where it is met", "small")
    yield _noise_mark(470, 500, 53)
    yield _text(508, 58, "noise of the median", "small")


def _grid(scale: Scale, bottom: float) -> Iterator[str]:
    for tick in scale.ticks():
        x, kind = scale.x(tick), "one" if tick == 1 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield _text(x, bottom + 18, f"{tick:g}×", "small middle")
    yield _text(scale.x(1), bottom + 33, "as the peer", "small middle")


def _row(line: Line, scale: Scale, y: float) -> Iterator[str]:
    assert line.goal is not None
    yield _text(LEFT - 14, y - 3, shortened(f"{line.work}, {line.figure}"), "end")
    yield _text(LEFT - 14, y + 13, shortened(f"against {line.peer}" if line.peer else ""), "small end")
    if line.value is not None:
        start, end = sorted((scale.x(1), scale.x(line.value)))
        kind, width = "met" if line.met else "missed", max(1.0, end - start)
        yield f'<rect class="{kind}" x="{start:.1f}" y="{y - BAR / 2:.1f}" width="{width:.1f}" height="{BAR}"/>'
        if line.noise:
            yield _noise_mark(scale.x(line.noise.low), scale.x(line.noise.high), y)
    yield _goal_mark(scale.x(line.goal.ratio), y, line.goal.sense)
    ratio = line.text(line.value) if line.value is not None else ""
    yield _text(WIDTH - RIGHT + 16, y - 3, f"{ratio}  ({line.goal})")
    yield _text(WIDTH - RIGHT + 16, y + 13, line.verdict.split(":")[0], "small")


def shortened(name: str) -> str:
    """A name that fits; its start and its end tell it from others."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 26]}…{name[-25:]}"


def _goal_mark(x: float, y: float, sense: str) -> str:
    """A bracket that opens to the side where the goal is met."""
    reach = 6 if sense == "≥" else -6
    top, bottom = y - BAR / 2 - 5, y + BAR / 2 + 5
    return f'<path class="goal" d="M{x + reach:.1f} {top}H{x:.1f}V{bottom}H{x + reach:.1f}"/>'


def _noise_mark(low: float, high: float, y: float) -> str:
    ends = f"M{low:.1f} {y - 4}V{y + 4}M{high:.1f} {y - 4}V{y + 4}"
    return f'<path class="noise" d="M{low:.1f} {y}H{high:.1f}{ends}"/>'


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'
