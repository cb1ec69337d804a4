"""Figures are kept one by one: what fails later takes none of them away, and files are tried first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import click
import pytest

from hypoxia_hpc.bench.case import Case, Place, Prepared, WrongAnswerError, require
from hypoxia_hpc.bench.cases import registry
from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.keeping import Kept
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.bench.records import read_history, record_of
from hypoxia_hpc.cli.app import app
from hypoxia_hpc.cli.options import STOP
from hypoxia_hpc.errors import InputError, MachineError, Stopped

Ready = Callable[[Place], AbstractContextManager[Prepared]]


def ready(check: Callable[[], str]) -> Ready:
    @contextmanager
    def prepare(_: Place) -> Iterator[Prepared]:
        yield Prepared(1.0, lambda: sum(range(1000)), {"counting": lambda: sum(range(500))}, check)

    return prepare


def wrong() -> str:
    require(False, "it says 3, and 4 is right")
    return ""


def interrupted() -> str:
    raise KeyboardInterrupt


def stopped() -> str:
    STOP.set()
    return "equal"


CASES = {"wrong": (wrong, WrongAnswerError), "interrupted": (interrupted, (KeyboardInterrupt, click.Abort)),
         "stopped": (stopped, Stopped)}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_was_measured_before_an_error_is_kept_and_shown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check, error = CASES[name]
    first = Case("first", "kernels", "adds", "sums", "counting", ready(lambda: "equal"))
    last = replace(first, name="last", prepare=ready(check))
    monkeypatch.setattr(registry, "chosen", lambda _: [first, last])
    history, written = tmp_path / "h.jsonl", tmp_path / "f.json"
    words = ["bench", "--history", history, "--json", written, "--folder", tmp_path / "work"]
    try:
        with pytest.raises(error):
            app([*map(str, words)], standalone_mode=False)
    finally:
        STOP.clear()
    [record] = read_history(history).records
    assert record.case == "first"
    assert [one["case"] for one in json.loads(written.read_text())] == ["first"]
    said = capsys.readouterr().out
    assert f"kept in {history}" in said
    assert "first" in said


def a_measurement() -> Measurement:
    case = Case("jpeg", "readers", "s", "tiles", "decoding", ready(lambda: ""))
    return Measurement(case, "", 7, Spread(90.0, 80.0, 95.5), Spread(0.9, 0.8, 1.1), 100.0, busy=0.97, others=0.0)


def test_files_are_tried_before_anything_is_measured(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="no plain file"):
        Kept(pipe).require_places()
    with pytest.raises(MachineError, match="nothing can be made in /proc "):
        Kept(tmp_path / "h.jsonl", Path("/proc/hypoxia.json")).require_places()
    Kept(tmp_path / "h.jsonl", tmp_path / "f.json").require_places()
    assert not (tmp_path / "f.json").exists()


def test_the_list_of_this_time_replaces_an_older_one_and_has_no_missing_cases(tmp_path: Path) -> None:
    written, one = tmp_path / "f.json", a_measurement()
    written.write_text("old")
    kept = Kept(tmp_path / "h.jsonl", written)
    kept.add(record_of(Measurement(one.case, "pip install it"), environment(tmp_path)))
    assert json.loads(written.read_text()) == []
    record = record_of(one, environment(tmp_path))
    kept.add(record)
    kept.add(record)
    assert [each["case"] for each in json.loads(written.read_text())] == ["jpeg", "jpeg"]
    assert kept.records == read_history(kept.history).records == [record, record]


def test_the_history_is_no_place_for_anything_else(tmp_path: Path) -> None:
    history, other = tmp_path / "h.jsonl", tmp_path / "other.json"
    Kept(history).add(record_of(a_measurement(), environment(tmp_path)))
    os.link(history, other)
    before = history.read_bytes()
    for output in (history, tmp_path / "." / "h.jsonl", other):
        with pytest.raises(InputError, match="would be lost"):
            Kept(history, output).require_places()
        with pytest.raises(InputError, match="would be lost"):
            app(["bench", "report", "--history", str(history), "-o", str(output)], standalone_mode=False)
    assert history.read_bytes() == before


@pytest.mark.parametrize("text", ["[site]\nhours = 4\n", "[\n {}\n]\n"])
def test_a_file_without_any_figure_is_no_history(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="no line that can be read"):
        Kept(path).require_places()
    assert path.read_text() == text


def test_a_history_of_empty_lines_takes_figures(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text("\n\n")
    Kept(path).require_places()
    Kept(path).add(record_of(a_measurement(), environment(tmp_path)))
    assert len(read_history(path).records) == 1
