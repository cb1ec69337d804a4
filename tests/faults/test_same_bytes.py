"""What a run leaves does not depend on workers, on threads (features), on time, place or the environment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fault_runs import change_setting, check_features, copy_run, digests, finish, of, start, start_fresh

from hypoxia_hpc.networks.runtime import THREAD_VARIABLES, backend_name

ONE = "TCGA-ZZ-0003-01Z-00-DX1"
EXPECTED_FILES = 12 * (7 + 5) + 4 * 2 + 6 + 2


def test_an_undisturbed_run_is_whole(whole: Path) -> None:
    assert len(digests(whole)) == EXPECTED_FILES


def test_two_workers_elsewhere_make_the_same(
    untouched: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other folders, file times, time zone and language; and 2 workers leave each a core or less of threads."""
    shutil.copytree(untouched.parent / "slides", tmp_path / "slides", copy_function=shutil.copyfile)
    run = copy_run(untouched, tmp_path / "a run")
    table = (run / "slides.csv").read_text()
    assert str(untouched.parent) in table
    (run / "slides.csv").write_text(table.replace(str(untouched.parent), str(tmp_path)))
    for name, value in {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    change_setting(run, "site", "workers", "2")
    finish(start_fresh("run", run))
    assert digests(run) == digests(whole)


@pytest.mark.parametrize(
    ("codec", "workers"), [("none", "1"), ("none", "2"), ("none", "3"), ("zstd", "3"), ("jpeg", "3")]
)
def test_tile_stores_do_not_depend_on_workers(
    untouched: Path, whole: Path, tmp_path: Path, codec: str, workers: str
) -> None:
    """Threads write a store while it is cut; however they fall out, with another number of workers too."""
    run = copy_run(untouched, tmp_path / "run")
    expected = of(digests(whole), "tiles")
    if codec != "none":
        change_setting(run, "tile", "codec", f'"{codec}"')
        finish(start("tile", run, "--workers", "1"))
        expected = of(digests(run), "tiles")
        shutil.rmtree(run / "tiles")
    finish(start("tile", run, "--workers", workers))
    assert of(digests(run), "tiles") == expected
    assert len(expected) == 12 * 7


@pytest.mark.parametrize("threads", [pytest.param("1", marks=pytest.mark.long), "16"])
def test_features_do_not_depend_on_threads(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    run = copy_run(whole, tmp_path / "run", [f"tiles/{ONE}.zarr"])
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    finish(start_fresh("extract", run, "--slide", ONE))
    check_features(run, whole, ONE)
    assert of(digests(run), "tiles") == of(digests(whole), f"tiles/{ONE}.zarr")


@pytest.mark.long
def test_a_model_says_with_how_many_threads_it_was_trained(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bits of trained weights depend on them, so that only models of as many threads are equal."""
    monkeypatch.setenv(THREAD_VARIABLES[backend_name()], "3")
    runs = [
        copy_run(whole, tmp_path / str(n), ["tiles", "features", "receipts/tile", "receipts/extract"]) for n in range(2)
    ]
    for run in runs:
        change_setting(run, "train", "heads", '["tanh"]')
        change_setting(run, "train", "clusterings", "[]")
        finish(start_fresh("train", run))
    assert digests(runs[0]) == digests(runs[1])
    assert json.loads((runs[0] / "models/tanh/model.json").read_text())["compute"]["threads"] == 3
