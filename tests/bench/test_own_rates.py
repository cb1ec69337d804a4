"""Rates of this machine from the history of bench: which lines count, and what follows from them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.measuring import Spread
from hypoxia_hpc.bench.own_rates import own_rates
from hypoxia_hpc.bench.records import Record, append_records
from hypoxia_hpc.config import RunConfig, TileTable, preset, render_config
from hypoxia_hpc.monitoring.alternatives import known_rates
from hypoxia_hpc.monitoring.estimate import OwnRates
from hypoxia_hpc.monitoring.foreseen import planned_tiles
from hypoxia_hpc.monitoring.rates_here import slide_of_the_package
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.rates import Figure
from hypoxia_hpc.slides.costs import read_header

Command = Callable[..., subprocess.CompletedProcess[str]]


def config(**changes: Any) -> RunConfig:
    return preset("hypoxia", changes)


@pytest.fixture
def line(tmp_path: Path) -> Record:
    """Two thousand tiles of the real slide a second, on a core of this machine."""
    where, one = environment(tmp_path), Spread(1.0, 0.9, 1.1)
    rate = Spread(2000.0, 1900.0, 2100.0)
    return Record(1, "jpeg-real", "readers", "tiles", rate, one, "decoding", 2500.0, {}, 9, "warm", 0.99, where)


def network(line: Record, case: str = "inception_v3", **changes: Any) -> Record:
    return replace(
        line, case=case, topic="networks", rate=Spread(20.0, 16.0, 25.0), busy=0.95 * line.environment.cores, **changes
    )


def rates(folder: Path, *lines: Record, made: RunConfig | None = None, gpu: bool = False) -> OwnRates:
    history = folder / "bench.jsonl"
    history.unlink(missing_ok=True)
    append_records(history, lines)
    return own_rates(made or config(), history, gpu=gpu)


def test_seconds_of_tiling_are_those_of_the_slide_over_its_cost(tmp_path: Path, line: Record) -> None:
    slide = slide_of_the_package()
    tile = rates(tmp_path, line).tile_seconds
    assert tile is not None
    assert tile.value == planned_tiles(slide, TileTable()) / 2000 / read_header(slide.path, TileTable()).cost
    assert (tile.low, tile.high) == (tile.value / 2, tile.value * 2)
    assert tile.origin.startswith("this machine's own") and "2,000 tiles/s a core" in tile.origin


def test_seconds_of_the_network_are_those_of_all_its_cores_or_of_a_gpu(tmp_path: Path, line: Record) -> None:
    cores = line.environment.cores
    on_cores, on_gpu = network(line), network(line, gpu_seconds=0.05)
    extract = rates(tmp_path, on_gpu, on_cores).extract_seconds
    assert extract is not None
    assert (extract.low, extract.value, extract.high) == (cores / 25, cores / 20, cores / 16)
    extract = rates(tmp_path, on_gpu, on_cores, gpu=True).extract_seconds
    assert extract is not None
    assert extract.value == 1 / 20 and "a GPU" in extract.origin


def test_figures_of_networks_are_those_of_the_same_backend(tmp_path: Path, line: Record) -> None:
    before, other = (replace(line.environment, backend=name) for name in ("", "another"))
    assert rates(tmp_path, network(line, environment=before)).extract_seconds is not None
    assert rates(tmp_path, network(line, environment=other)).extract_seconds is None
    assert rates(tmp_path, replace(line, environment=other)).tile_seconds is not None


def test_the_newest_line_counts(tmp_path: Path, line: Record) -> None:
    newer = replace(line, rate=Spread(1000.0, 900.0, 1100.0))
    old, new = rates(tmp_path, newer, line).tile_seconds, rates(tmp_path, line, newer).tile_seconds
    assert old is not None and new is not None
    assert new.value == 2 * old.value


@pytest.mark.parametrize("what", ["processor", "cores", "gpus"])
def test_other_machines_say_nothing(tmp_path: Path, line: Record, what: str) -> None:
    other = {"processor": "another one", "cores": line.environment.cores + 1, "gpus": ["NVIDIA Another"]}
    where = replace(line.environment, **{what: other[what]})
    assert rates(tmp_path, replace(line, environment=where), network(line, environment=where)) == OwnRates()


def test_a_busy_machine_and_other_cases_say_nothing(tmp_path: Path, line: Record) -> None:
    cores = line.environment.cores
    busy = replace(network(line), busy=0.7 * cores)
    assert rates(tmp_path, replace(line, busy=0.5), replace(line, case="jpeg2000"), busy) == OwnRates()
    assert rates(tmp_path, replace(busy, busy=0.9 * cores)).extract_seconds is not None
    on_gpu = replace(busy, busy=0.1, gpu_seconds=0.05)
    assert rates(tmp_path, on_gpu, gpu=True).extract_seconds is not None, "cores have little to do there"


@pytest.mark.parametrize(
    "changes",
    [
        {"extract": {"backbone": "resnet50"}},
        {"extract": {"precision": "bfloat16"}},
        {"extract": {"xla": True}},
        {"tile": {"tile_px": 224}},
    ],
)
def test_another_network_says_nothing(tmp_path: Path, line: Record, changes: dict[str, Any]) -> None:
    assert rates(tmp_path, network(line)).extract_seconds is not None
    assert rates(tmp_path, network(line), made=config(**changes)).extract_seconds is None


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    assert own_rates(config(), tmp_path / "none", gpu=False) == OwnRates()


def test_what_a_run_has_measured_comes_first() -> None:
    known, own = known_rates(config(), None, 0), OwnRates(Figure(5.0, 4.0, 6.0, "own"), None)
    assert own.instead_of_assumed(known) == replace(known, tile_seconds=own.tile_seconds)
    measured = replace(known, tile_seconds=replace(known.tile_seconds, slides=3))
    assert own.instead_of_assumed(measured) == measured


def test_estimate_says_what_is_this_machine_s_own(
    tmp_path: Path, line: Record, hypoxia: Command, monkeypatch: pytest.MonkeyPatch, real_slide: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    history = tmp_path / "hypoxia_hpc" / "bench.jsonl"
    append_records(history, [line])
    run = RunDir(tmp_path / "run")
    run.root.mkdir()
    run.config_file.write_text(render_config(config()))
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\na,{real_slide},p,800\n")
    for words in (("--slides", "50"), (run.root,)):
        done = hypoxia("estimate", *words)
        assert done.returncode == 0, done.stderr
        assert "this machine's own, by hypoxia-hpc bench" in done.stdout
        assert "assumed: InceptionV3" in done.stdout
    history.unlink()
    history.mkdir()
    done = hypoxia("estimate", "--slides", "50")
    assert done.returncode == 0
    assert "figures of bench are not used" in done.stderr and str(history) in done.stderr
    assert "this machine's own" not in done.stdout


def test_estimate_of_a_run_shows_other_settings(tmp_path: Path, hypoxia: Command, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(config()))
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\na,{real_slide},p,800\nb,{tmp_path}/no.svs,q,800\n")
    done = hypoxia("estimate", tmp_path)
    assert "1 slide of the run from the beginning" in done.stdout
    for settings in ('pixels = "none"', 'codec = "jpeg"', "mpp = 0.25 (40x)"):
        assert settings in done.stdout
    answer = json.loads(hypoxia("estimate", tmp_path, "--json").stdout)
    by_settings = {one["settings"]: one["stages"] for one in answer["alternatives"]}
    plain, fine = by_settings["as they are"], by_settings["mpp = 0.25 (40x)"]
    assert fine[0]["tiles"]["value"] == pytest.approx(4 * plain[0]["tiles"]["value"])
    assert plain[0]["core_hours"] == answer["stages"][0]["core_hours"]
