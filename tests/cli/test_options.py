"""Numbers and files on the command line: what a user does not mean is refused, with what to write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.cli.options import JobId, Number, OutputFile, Whole
from hypoxia_hpc.errors import InputError


def test_what_is_taken() -> None:
    assert [Whole(1, 1024).convert(text, None, None) for text in ("7", "+7", "007")] == [7, 7, 7]
    assert [Number(0, 1).convert(text, None, None) for text in ("1", ".5", "5e-1", "0.50")] == [1, 0.5, 0.5, 0.5]
    assert [JobId().convert(text, None, None) for text in ("5", "53_0", "5_3")] == ["5", "53_0", "5_3"]


@pytest.mark.parametrize("text", ["1_0", " 7", "7 ", "\u0663", "0x7", "7.0", "9" * 5000, "", "seven", "-1", "1025"])
def test_no_whole_number(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Whole(1, 1024).convert(text, None, None)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "0_1", " 0.5", "0,5", "\u0660.5", "1e-9_9", "-0.1", "9" * 5000, "."]
)
def test_no_number(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Number(0, 1).convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "5_", "_3", "5_3_1", "5,6", "5:6", "5+afterany", "\u0665", " 5", "9" * 19, ""])
def test_no_job(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write JOBID, or JOBID_INDEX"):
        JobId().convert(text, None, None)


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "RUN", "--after", "5_3x"],
        ["tile", "RUN", "--workers", "1_0"],
        ["demo", "DIR", "--seed", "1_0"],
        ["demo", "DIR", "--difference", "nan"],
        ["demo", "DIR", "--patients", "\u0661\u0662"],
    ],
)
def test_every_number_of_the_command_line(words: list[str]) -> None:
    with pytest.raises(click.BadParameter, match="write"):
        app(words, standalone_mode=False)


OUTPUTS = [
    ("labels", "SCORES", "-o"),
    ("bench", "--json"),
    ("bench", "report", "-o"),
    ("gallery", "RUN", "--out"),
    ("preview", "RUN", "--out"),
    ("normalise", "IMAGE"),
    ("weights", "convert", "FILE"),
]


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_what_a_user_names_takes_the_place_of_no_device_pipe_or_link(words: tuple[str, ...], tmp_path: Path) -> None:
    """As root ``-o /dev/null`` would leave a file there, for all programs of the machine."""
    pipe, null, link, dangling = (tmp_path / name for name in ("pipe", "null", "link", "dangling"))
    os.mkfifo(pipe)
    null.symlink_to("/dev/null")
    (tmp_path / "old").write_text("old")
    link.symlink_to(tmp_path / "old")
    dangling.symlink_to(tmp_path / "none")
    for output in (pipe, null, link, dangling):
        with pytest.raises(InputError, match="is no plain file"):
            app([*words, str(output)], standalone_mode=False)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert all(one.is_symlink() for one in (null, link, dangling))
    assert (tmp_path / "old").read_text() == "old"


def test_a_dash_is_no_file() -> None:
    with pytest.raises(InputError, match="--json -: it is written to a file alone"):
        app(["bench", "--json", "-"], standalone_mode=False)


def test_an_output_may_be_new_or_a_plain_file(tmp_path: Path) -> None:
    for name in ("new", "below/none/new", "old"):
        (tmp_path / "old").write_text("old")
        assert OutputFile().convert(str(tmp_path / name), None, None) == tmp_path / name
    with pytest.raises(click.BadParameter, match="is a directory"):
        OutputFile().convert(str(tmp_path), None, None)
