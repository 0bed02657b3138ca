"""What a run found stands in every output: the page, the plot, the JSON."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import page
from bench.plot import LONGEST, plot, shortened
from bench.report import TIMES, Goal
from bench.results import Results, read
from bench.self_check import findings
from bench.works import WORKS
from tests.bench.runs import results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run() -> Results:
    """The made-up run."""
    return results()


def test_goals_say_met_or_by_how_much_missed(run: Results) -> None:
    """Of ratios, of figures in a unit, of what was not run and of what was invalid."""
    assert [(line.value and round(line.value, 3), line.verdict) for line in run.lines] == [
        (3.0, "met"),
        (0.333, "met, within the noise"),
        (None, "not run: npm is missing; install it: apt-get install npm"),
        (0.17, "missed by 15%"),
        (8.1, "met"),
        (None, "not run: npm is missing"),
        (None, "invalid: the queue answered nothing"),
        (None, "invalid: the queue answered nothing"),
    ]
    assert Goal("≤", 0.4).verdict(0.5) == "missed by 25%"
    assert Goal("≥", 2.0).verdict(2.0) == "met"


def test_a_goal_within_the_noise_is_called_so(run: Results) -> None:
    """A verdict that the next run may turn round says so."""
    ratios = run.works[0].lines
    assert ratios[0].spread == pytest.approx((2.2, 3.0))
    assert ratios[0].noise is not None
    assert ratios[0].noise.coverage == 0.75
    assert [line.noise.holds(line.goal.ratio) for line in ratios if line.noise and line.goal] == [False, True]


def test_a_self_check_counts_what_lies_outside_beside_what_chance_leaves_out(run: Results) -> None:
    """Of several noises each misses the truth now and then: a ratio outside of its own is a fault only if chance does
    not explain it."""
    *told, count = findings(run)
    assert ["OUTSIDE" in line for line in told] == [True, True, True]
    assert count == "1.0 lies outside of the noise of 3 of 3 ratios; by chance alone, of 0.8"


def test_the_page_has_every_line_note_and_command(run: Results) -> None:
    """Nothing found is left out, whether met, missed, not run or invalid."""
    text = page.text(run, {}, "performance.svg")
    for line in run.lines:
        assert page.cells(line.cells()) in text
    for work in run.works:
        assert f"## {work.name}: {work.title}" in text
        assert all(said in text for said in (*work.notes, *work.commands, work.failed))
    assert "3 of 8 goals are met. The others:" in text
    assert all(said in text for said in (run.date, run.commit, run.command, "| cores | 2 |"))


def test_every_table_of_the_page_is_one(run: Results) -> None:
    """Each row has as many cells as its heading, whatever names hold."""
    text = page.text(run, {}, "performance.svg")
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_remarks_stand_on_the_page_word_for_word_and_survive_writing_it_anew(run: Results, tmp_path: Path) -> None:
    """A profile that explains a miss is kept in a file of ours, not on the page."""
    remark = "Half of the time is `COMMIT`:\n\n```\n 50 %  fsync\n```"
    (tmp_path / "S2.md").write_text(remark + "\n", encoding="utf-8")
    for _ in range(2):
        page.write(run, tmp_path / "performance.md", tmp_path)
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert text.count(remark) == 1
    assert text.index("## S2") < text.index(remark) < text.index("## S3")
    assert (tmp_path / "performance.svg").read_text(encoding="utf-8") == plot(run.lines)


def test_remarks_are_named_as_works() -> None:
    """No remark is left out because nobody knows its work."""
    assert {path.stem for path in page.REMARKS.glob("*.md")} <= set(WORKS)


def test_the_plot_is_xml_with_every_ratio_that_has_a_goal(run: Results) -> None:
    """A name and a goal mark for each, a bar for what was measured, its kind told by more than colour."""
    root = ElementTree.fromstring(plot(run.lines))
    aimed = [line for line in run.lines if line.goal and line.unit == TIMES]
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert len(aimed) == 5
    for line in aimed:
        assert f"{line.work}, {line.figure}" in texts
        assert f"against {line.peer}" in texts
        assert line.verdict.split(":")[0] in texts
    kinds = [element.get("class") for element in root.iter()]
    assert kinds.count("goal") == 1 + len(aimed)
    assert (kinds.count("met"), kinds.count("missed")) == (1 + 2, 1 + 1)


def test_the_plot_is_to_scale(run: Results) -> None:
    """Bars reach from the peer's 1× to the ratio; equal factors have equal widths."""
    root = ElementTree.fromstring(plot(run.lines))
    bars = [element for element in root.iter(f"{SVG}rect") if element.get("class") in {"met", "missed"}][2:]
    widths = [float(bar.get("width", "0")) for bar in bars]
    ratios = [line.value for line in run.lines if line.goal and line.is_ratio and line.value]
    per_power = [width / abs(math.log(ratio)) for width, ratio in zip(widths, ratios, strict=True)]
    assert per_power == pytest.approx([per_power[0]] * 3, rel=0.01)


def test_a_long_name_is_shortened_in_its_middle() -> None:
    """No text of the plot runs out of it, and the end that tells two rows apart stays."""
    name = "S2 engine, commands, in process and under load, 256 in flight, new streams, rate"
    assert len(shortened(name)) == LONGEST
    assert shortened(name).startswith("S2 engine, commands, in process")
    assert shortened(name).endswith("in flight, new streams, rate"[-25:])
    assert shortened("S1, rate") == "S1, rate"


def test_a_plot_of_nothing_is_still_a_plot() -> None:
    """A run whose works all failed writes its page."""
    ElementTree.fromstring(plot([]))


def test_results_come_back_from_their_file(run: Results, tmp_path: Path) -> None:
    """The page can be written anew from what was saved."""
    run.write(tmp_path / "full.json")
    assert read(tmp_path / "full.json") == run
