"""What `python -m bench` is asked for, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.duels import DUELS
from bench.options import chosen
from bench.works import DUEL, FULL, QUICK, QUICK_WORKS, WORKS, Plan


def test_without_options_everything_is_measured_and_the_page_is_written() -> None:
    """A whole run, in full length."""
    asked = chosen([])
    assert (asked.name, asked.works, asked.plan, asked.is_whole) == ("full", tuple(WORKS), FULL, True)
    assert asked.command == "python -m bench"


def test_what_is_published_of_the_command_names_no_folder() -> None:
    """The page is part of the project, the folder of the logs of one machine."""
    asked = chosen(["--logs", "some/where", "--rounds", "2"])
    assert asked.command == "python -m bench --logs FOLDER --rounds 2"
    assert asked.logs == Path("some/where").resolve()


@pytest.mark.parametrize("options", [["--only", "S2,S1"], ["--only", "S2", "--only", "S1"]])
def test_a_part_is_measured_in_the_order_of_the_table_and_is_not_the_page(options: list[str]) -> None:
    """However it is asked for."""
    asked = chosen(options)
    assert (asked.name, asked.works, asked.is_whole) == ("part", ("S1", "S2"), False)


def test_quick_is_a_preset_of_the_same_program() -> None:
    """Its own works and lengths; options of their own still win."""
    assert chosen(["--quick"]).works == QUICK_WORKS
    assert chosen(["--quick"]).plan == QUICK
    assert chosen(["--quick", "--rounds", "5"]).plan == Plan(5, QUICK.seconds, QUICK.sizes)
    assert not chosen(["--quick"]).is_whole


def test_lengths_and_sizes() -> None:
    """Sizes are ascending, each once."""
    assert chosen(["--rounds", "2", "--seconds", "0.5", "--sizes", "1_000,10,1000"]).plan == Plan(2, 0.5, (10, 1000))


def test_filled_logs_are_kept_where_it_is_asked() -> None:
    """By default nowhere."""
    assert chosen([]).logs is None
    assert chosen(["--logs", "/tmp/logs"]).logs == Path("/tmp/logs")


def test_two_trees_have_works_of_their_own() -> None:
    """Against another commit, or against itself."""
    assert chosen(["--against", "HEAD~1"]).revision == "HEAD~1"
    for options, name in ((["--against", "HEAD"], "against"), (["--self-check"], "self-check")):
        asked = chosen(options)
        assert (asked.name, asked.works, asked.plan, asked.is_whole) == (name, tuple(DUELS), DUEL, False)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--only", "S1,S99"], "there is no work S99 here; there are S1, S2"),
        (["--rounds", "0"], "must be more than 0"),
        (["--seconds", "-1"], "must be more than 0"),
        (["--sizes", "0,10"], "must be more than 0"),
        (["--sizes", "many"], "--sizes"),
        (["--against", "HEAD", "--self-check"], "not allowed with"),
    ],
)
def test_wrong_options_are_refused(options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With 2, and a line that says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        chosen(options)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
