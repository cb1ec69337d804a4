"""Numbers and files on the command line: what a user does not mean is refused, with what to write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.cli.options import JobId, Number, Whole
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


def test_labels_take_the_place_of_no_device_or_pipe(tmp_path: Path) -> None:
    """As root ``-o /dev/null`` would leave a table there."""
    scores, pipe, link = tmp_path / "scores.txt", tmp_path / "pipe", tmp_path / "null"
    scores.write_text("patient_id\tBuffa_hypoxia_score_pan_cancer\ttumour_type\nP\t1\tA\n")
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for output in (pipe, link):
        with pytest.raises(InputError, match="is no plain file"):
            app(["labels", str(scores), "-o", str(output)], standalone_mode=False)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and link.is_symlink()
