"""hypoxia-hpc bench: what it prints, keeps, and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from hypoxia_hpc.bench.case import Case, Place, Prepared
from hypoxia_hpc.bench.cases.registry import CASES
from hypoxia_hpc.bench.comparison import LeftOut
from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.bench.records import read_history
from hypoxia_hpc.bench.running import measure_all
from hypoxia_hpc.cli.text.bench import BAR, bar, figures_text, percent, rate_text
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.progress import NoProgress

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


def test_a_case_is_measured_printed_kept_and_written(hypoxia: Hypoxia, tmp_path: Path) -> None:
    history, written, folder = tmp_path / "h.jsonl", tmp_path / "f.json", tmp_path / "work"
    asked = ("bench", "--only", "background", "--history", history, "--json", written, "--folder", folder)
    for times in (1, 2):
        done = hypoxia(*asked)
        assert done.returncode == 0, done.stderr
        assert len(read_history(history).records) == times
    assert "background" in done.stdout
    assert "reading the memory" in done.stdout
    assert f"kept in {history}" in done.stdout
    assert "bench: background: count pixels" in done.stderr
    assert "bench: background: checked, the same count as NumPy" in done.stderr
    [record] = json.loads(written.read_text())
    assert record["case"] == "background"
    assert record["rate"]["low"] <= record["rate"]["value"] <= record["rate"]["high"]
    assert list(folder.iterdir()) == []


def test_the_list_has_every_case_and_measures_none(hypoxia: Hypoxia, tmp_path: Path) -> None:
    done = hypoxia("bench", "--list", "--history", tmp_path / "h.jsonl")
    assert [line.split()[0] for line in done.stdout.splitlines()[2:]] == [case.name for case in CASES]
    assert not (tmp_path / "h.jsonl").exists()


def test_an_unknown_case_is_named_with_where_the_others_are(hypoxia: Hypoxia) -> None:
    done = hypoxia("bench", "--only", "kernel", "--only", "background")
    assert done.returncode == 2
    assert "no case or topic is called kernel" in done.stderr
    assert "hypoxia-hpc bench --list" in done.stderr


def test_help_teaches_and_an_unwritable_folder_is_an_error_of_the_machine(hypoxia: Hypoxia, tmp_path: Path) -> None:
    shown = hypoxia("bench", "--help").stdout
    assert "hypoxia-hpc bench --only readers" in shown
    assert "share of the bound" in " ".join(shown.split())
    (tmp_path / "file").write_text("")
    done = hypoxia("bench", "--only", "background", "--folder", tmp_path / "file" / "below")
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize("option", ["--history", "--json", "--folder"])
@pytest.mark.parametrize("place", ["/proc/hypoxia/below/file", "/proc/hypoxia"])
def test_a_place_where_nothing_can_be_made_is_an_error_of_the_machine_before_measuring(
    hypoxia: Hypoxia, tmp_path: Path, option: str, place: str
) -> None:
    places = {"--history": tmp_path / "h.jsonl", "--json": tmp_path / "f.json", "--folder": tmp_path, option: place}
    done = hypoxia("bench", "--only", "background", *(word for pair in places.items() for word in pair))
    assert done.returncode == 4, done.stderr
    assert "nothing can be made in /proc " in done.stderr
    assert "count pixels" not in done.stderr


@pytest.mark.parametrize(
    ("before", "named"),
    [
        (("--history", "x.jsonl"), "--history"),
        (("--json", "x.json", "--folder", "here"), "--json, --folder"),
        (("--only", "background", "--list"), "--list, --only"),
    ],
)
@pytest.mark.parametrize("name", ["report", "scaling"])
def test_an_option_before_a_subcommand_is_refused_and_not_dropped(
    hypoxia: Hypoxia, before: tuple[str, ...], named: str, name: str
) -> None:
    done = hypoxia("bench", *before, name)
    assert done.returncode == 2
    assert f"{named} before {name}: {name} takes options behind its name alone" in done.stderr
    assert f"hypoxia-hpc bench {name} --help" in done.stderr


def nothing(_: Place) -> AbstractContextManager[Prepared]:
    raise AssertionError


def measured(name: str, share: float, *, topic: str = "kernels", others: float = 0.0, off: float = 0.02) -> Measurement:
    case = Case(name, topic, "does something", "tiles", "decoding", nothing)
    spread = Spread(share, share - off, share + off)
    return Measurement(case, "", 7, Spread(12345.6, 1e4, 2e4), spread, 1.0, busy=1.0, others=others)


def test_what_is_fast_and_slow_is_said_with_its_bound(tmp_path: Path) -> None:
    found = [
        measured("quick", 0.9),
        measured("lame", 0.4),
        measured("worse", 0.1),
        measured("held-up", 0.6, others=0.5),
    ]
    missing = Measurement(measured("vgg16", 1, topic="networks").case, "pip install it")
    text = "\n".join(figures_text([*found, missing], environment(tmp_path), tmp_path / "h.jsonl", 4))
    assert "fast (surely 85 % of the bound or more): quick\n" in text
    assert text.index("slow: worse: 10 % of decoding") < text.index("slow: lame: 40 % of decoding")
    assert "these rates are too low: held-up (50 %)" in text
    assert "too noisy" not in text
    assert "surely above 100 %" not in text
    assert "missing: vgg16: pip install it" in text
    assert "12,346 tiles" in text
    part = "\n".join(figures_text(found, environment(tmp_path), tmp_path / "h.jsonl", 2))
    assert "not kept: worse, held-up" in part
    assert f"kept in {tmp_path / 'h.jsonl'}" in part


def test_what_is_too_noisy_is_called_neither_fast_nor_slow(tmp_path: Path) -> None:
    found = [measured("jumpy", 0.99, off=0.43), measured("beaten", 1.1)]
    text = "\n".join(figures_text(found, environment(tmp_path), tmp_path / "h.jsonl", len(found)))
    assert "fast (surely 85 % of the bound or more): beaten\n" in text
    assert "too noisy to say much, measure again on a quiet machine: jumpy" in text
    assert "surely above 100 %: the work leaves out some" in text


@pytest.mark.parametrize(("rate", "text"), [(2.71, "2.7"), (0.0123, "0.012"), (10.4, "10"), (12345.6, "12,346")])
def test_small_rates_keep_two_digits(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("gpus", "gpu_seconds", "said"),
    [
        (
            [],
            None,
            "missing: figures of a GPU: none is seen here; where there is one: hypoxia-hpc bench --only networks",
        ),
        (["NVIDIA H200"], None, "missing: figures of a GPU: Keras did not use the GPU"),
        (["NVIDIA H200"], 0.001, ""),
    ],
)
def test_missing_figures_of_a_gpu_are_said_with_the_command_that_makes_them(
    gpus: list[str], gpu_seconds: float | None, said: str, tmp_path: Path
) -> None:
    where = replace(environment(tmp_path), gpus=gpus, driver="580")
    vit = replace(measured("vit", 0.9, topic="networks"), gpu_seconds=gpu_seconds)
    text = "\n".join(figures_text([vit], where, tmp_path / "h.jsonl", 1))
    assert ("missing: figures of a GPU" in text) == bool(said)
    assert said in text
    text = "\n".join(figures_text([measured("jpeg", 0.9)], where, tmp_path / "h.jsonl", 1))
    assert "figures of a GPU" not in text


def test_peers_are_shown_with_how_their_answers_compare(tmp_path: Path) -> None:
    one = measured("jpeg", 0.9)
    peers = {"OpenSlide": Spread(3.14, 3.0, 3.3)}
    with_peers = Measurement(one.case, "", 7, one.rate, one.share, 1.0, peers, {"OpenSlide": "identical"}, busy=1.0)
    left_out = {"cuCIM": LeftOut("not installed: pip install it"), "x": LeftOut("failed with OSError", "no such file")}
    with_peers = replace(with_peers, left_out=left_out)
    text = "\n".join(figures_text([with_peers], environment(tmp_path), tmp_path / "h.jsonl", 1))
    assert "3.1 x (3.0 - 3.3)" in text
    assert "identical" in text
    rows = [" ".join(line.split()) for line in text[text.index("not timed") :].splitlines()]
    assert "jpeg cuCIM not installed: pip install it" in rows
    assert "jpeg x failed with OSError: no such file" in rows


def test_what_a_run_takes_is_shown_with_its_sources_and_why_one_is_missing(tmp_path: Path) -> None:
    tile = replace(measured("tile", 0.9, topic="stages"), core_seconds=0.036, no_energy=("RAPL: not here",))
    vit = replace(
        measured("vit", 0.9, topic="networks"),
        core_seconds=0.0036,
        gpu_seconds=0.00036,
        joules={"NVML": 0.36, "RAPL": 0.18},
        no_energy=("RAPL: not here",),
    )
    found = [tile, vit, measured("kernel", 0.9)]
    text = "\n".join(figures_text(found, environment(tmp_path), tmp_path / "h.jsonl", 3))
    costs = text[text.index("1,000 slides of 10,000 tiles") :]
    rows = {line.split()[0]: line.split() for line in costs.splitlines() if line}
    assert rows["tile"] == ["tile", "100"]
    assert rows["vit"] == ["vit", "10", "1", "1", "(NVML)", "+", "0.5", "(RAPL)"]
    assert "kernel" not in rows
    assert costs.count("missing: energy: RAPL: not here") == 1
    assert "with all that ran on them" in costs


@pytest.mark.parametrize(
    ("share", "full", "more"), [(0, 0, ""), (0.5, 10, ""), (1, 20, ""), (1.04, 20, ""), (3, 20, "+")]
)
def test_a_bar_is_full_at_the_bound(share: float, full: int, more: str) -> None:
    assert bar(share) == "█" * full + "░" * (BAR - full) + more
    assert percent(Spread(0.914, 0.88, 0.99)) == " 91 % (88 - 99)"


def test_it_stops_between_two_cases(tmp_path: Path) -> None:
    import threading

    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        measure_all(CASES[:1], tmp_path, list[Measurement]().append, progress=NoProgress(), stop=stop)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_case_and_nothing_is_left(tmp_path: Path, number: int) -> None:
    """The real command, stopped as soon as the case has its folder."""
    folder, history = tmp_path / "work", tmp_path / "h.jsonl"
    command = [sys.executable, "-m", "hypoxia_hpc", "bench", "--only", "tile-store", "--only", "tile"]
    command += ["--folder", str(folder), "--history", str(history)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not list(folder.glob(".tmp-bench-*/*")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "stopped on request in tile-store; figures of cases before it, if there are any, are kept" in said
    assert not list(folder.glob(".tmp-*"))
    assert history.read_text() == ""


def test_the_page_of_a_history_file_is_written(hypoxia: Hypoxia, tmp_path: Path) -> None:
    history, page = tmp_path / "h.jsonl", tmp_path / "page.html"
    done = hypoxia("bench", "report", "--history", history, "-o", page)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    history.write_text("")
    done = hypoxia("bench", "report", "--history", history, "-o", page)
    assert done.returncode == 2
    assert "is empty" in done.stderr
    hypoxia("bench", "--only", "background", "--history", history, "--folder", tmp_path / "work")
    done = hypoxia("bench", "report", "--history", history, "-o", page)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"wrote {page}: 1 figure"
    assert "background" in page.read_text()
    with history.open("a") as file:
        file.write('{"schema": 2}\n{"schema": 1')
    done = hypoxia("bench", "report", "--history", history, "-o", page)
    assert done.returncode == 0, done.stderr
    assert "left out: 1 line that cannot be read (line 2): written by a newer hypoxia_hpc" in done.stdout
    assert "left out: 1 line that cannot be read (line 3): cut off" in done.stdout
    assert "1 line that cannot be read (line 3): cut off" in page.read_text()
