"""Figures that cannot be, in lines that are else sound, do not reach a page."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.measuring import Spread
from hypoxia_hpc.bench.page import history_page
from hypoxia_hpc.bench.plausible import LEAST, MOST, MOST_LETTERS, flaws
from hypoxia_hpc.bench.records import Record, read_history

SOUND = {"value": 2.0, "low": 1.0, "high": 3.0}
BAD_SPREADS = [
    {**SOUND, "low": 0.0},
    {**SOUND, "low": -1.0},
    {"value": 0.0, "low": 0.0, "high": 0.0},
    {**SOUND, "low": 2.5},
    {**SOUND, "high": 1.5},
    {**SOUND, "high": 1e308},
    {"value": 1e-300, "low": 1e-300, "high": 1e-300},
]


def a_record(rate: Spread, commit: str) -> Record:
    where = environment(Path.cwd())
    share = Spread(0.5, 0.4, 0.6)
    figure = (rate, share, "decoding", 1.0, {"OpenSlide": share}, 7, "warm", 1.0)
    return Record(1, "jpeg", "readers", "tiles", *figure, environment=replace(where, commit=commit))


@pytest.mark.parametrize("bad", BAD_SPREADS, ids=str)
@pytest.mark.parametrize("name", ["rate", "share", "peers"])
def test_an_interval_of_no_positive_figure_is_left_out(name: str, bad: dict[str, float], tmp_path: Path) -> None:
    sound = asdict(a_record(Spread(2.0, 1.0, 3.0), "a"))
    line = {**sound, name: {"OpenSlide": bad} if name == "peers" else bad}
    path = tmp_path / "h.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (line, sound)))
    found = read_history(path)
    assert len(found.records) == 1
    [(number, why)] = found.left_out
    assert number == 1
    assert f"{name}{'.OpenSlide' if name == 'peers' else ''}: value, low and high are not" in why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rounds": 0}, "rounds: not from"),
        ({"rounds": 10**300}, "rounds: not from"),
        ({"bound_rate": 0.0}, "bound_rate: not from"),
        ({"busy": -0.5}, "busy: not from 0"),
        ({"joules": {"RAPL": 1e300}}, "joules.RAPL: not from"),
        ({"case": "x" * (MOST_LETTERS + 1)}, "case: 1,001 letters"),
        ({"answers": {"x" * (MOST_LETTERS + 1): "y"}}, "answers: a name of 1,001 letters"),
        ({"sizes": []}, "sizes: empty"),
        ({"sizes": [{"size": 0}]}, "sizes.size: not from"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], said: str) -> None:
    [found] = flaws({"rate": SOUND, "core_seconds": None, **changes})
    assert said in found


def test_parts_of_the_time_may_come_out_below_0() -> None:
    assert not list(flaws({"sizes": [{"size": 1, "split": {"waiting": -0.01}, "within": {"other": -0.1}}]}))
    assert list(flaws({"waiting": -0.01}))


def test_the_queue_may_have_kept_a_job_for_less_than_a_second() -> None:
    at_once = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert not list(flaws({"sizes": [{"size": 1, "queue": at_once, "whole": SOUND}]}))
    [said] = flaws({"sizes": [{"size": 1, "queue": {**at_once, "low": -1.0}}]})
    assert "sizes.queue: value, low and high are not 0 <= low" in said
    assert list(flaws({"sizes": [{"size": 1, "seconds": at_once}]}))


def test_a_page_is_made_of_the_least_and_the_most_that_pass() -> None:
    """Where matplotlib warns, or a figure overflows, this fails: warnings are errors here."""
    least, most = (Spread(end, end, end) for end in (LEAST, MOST))
    records = [a_record(least, "a"), a_record(most, "b")]
    assert not [flaw for one in records for flaw in flaws(asdict(one))]
    assert "2 figures" in history_page(records)
