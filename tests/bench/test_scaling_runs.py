"""Scaling, measured on a small run by worker processes and by MPI ranks; the run stays as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest
from mpi_ranks import NEEDS_MPIEXEC
from needed import NEEDS_TWO_CORES

from hypoxia_hpc.bench.records import read_history
from hypoxia_hpc.bench.scaling_records import ScalingRecord
from hypoxia_hpc.bench.scaling_runs import Tiling, copied_run, mpiexec
from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.errors import MachineError, NotReadyError, Stopped
from hypoxia_hpc.runs.directory import RunDir


def files_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@NEEDS_TWO_CORES
@NEEDS_MPIEXEC
@pytest.mark.parametrize("how", [(), ("--ranks", "--weak")])
def test_two_slides_of_a_run_by_one_and_two(
    hypoxia: Callable[..., subprocess.CompletedProcess[str]], untouched: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    before, history, folder = files_of(untouched), tmp_path / "h.jsonl", tmp_path / "work"
    done = hypoxia(
        "bench", "scaling", untouched, "--slides", 2, "--rounds", 1, *how, "--folder", folder, "--history", history
    )
    assert done.returncode == 0, done.stderr
    assert "base case: 1 " in done.stdout
    [found] = read_history(history).records
    assert isinstance(found, ScalingRecord)
    assert (found.mode, found.by) == (("weak", "ranks") if how else ("strong", "workers"))
    assert found.workload == "run"
    first, last = found.sizes[0], found.sizes[-1]
    assert (first.size, last.size) == (1, len(os.sched_getaffinity(0)))
    assert first.efficiency.value == 1
    assert first.tiles > 0
    assert last.slides == 2
    for one in found.sizes:
        assert sum(astuple(one.split)) == pytest.approx(one.size * one.seconds.value)
        assert 0 < one.split.slides < one.size * one.seconds.value
        assert min(astuple(one.split)) > -0.1 * one.size  # workers count tenths of a second
        assert one.within is not None
        assert sum(astuple(one.within)) == pytest.approx(one.split.slides)
        assert min(astuple(one.within)) >= 0 < one.within.kernel
    assert files_of(untouched) == before
    assert list(folder.iterdir()) == []


def test_the_copy_of_a_run_has_its_slides_and_its_settings(untouched: Path, tmp_path: Path) -> None:
    run = RunDir(untouched)
    copy = copied_run(run, tmp_path / "copy")
    assert copy.slides() == run.slides()
    assert copy.config() == run.config()


def test_a_copy_makes_the_stain_of_the_cohort_where_the_run_has_not_yet(untouched: Path, tmp_path: Path) -> None:
    run, split = RunDir(tmp_path / "run"), tmp_path / "split.csv"
    shutil.copytree(untouched, run.root)
    patients = {slide.patient_id for slide in run.slides()}
    split.write_text("".join(["patient_id,fold,set\n", *(f"{one},0,train\n" for one in patients)]))
    settings = {"tile": {"stain": {"method": "macenko", "reference": "cohort"}}, "train": {"split_file": str(split)}}
    run.config_file.write_text(render_config(preset("hypoxia", settings)))
    copy = copied_run(run, tmp_path / "copy")
    assert copy.config().tile.stain.reference == str(copy.stain_file), "not the run's, which is not there"
    run.stain_file.parent.mkdir(exist_ok=True)
    run.stain_file.write_text("{}")
    again = copied_run(run, tmp_path / "again")
    assert again.config().tile.stain.reference == str(run.stain_file), "what is there is not made once more"


def test_a_failed_tile_is_an_error_with_what_it_said_and_a_stop_is_a_stop(untouched: Path, tmp_path: Path) -> None:
    copy = copied_run(RunDir(untouched), tmp_path / "copy")
    slides = copy.slides()[:1]
    copy.config_file.write_text("[tile]\nside = 3\n")
    with pytest.raises(NotReadyError, match="tile ended with 2 and said"):
        Tiling(copy, None, threading.Event()).lap(1, slides)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Tiling(copy, None, stop).lap(1, slides)


@NEEDS_TWO_CORES
def test_a_stop_is_passed_on_to_tile_and_nothing_is_left(untouched: Path, tmp_path: Path) -> None:
    folder, history = tmp_path / "work", tmp_path / "h.jsonl"
    command = [sys.executable, "-m", "hypoxia_hpc", "bench", "scaling", str(untouched)]
    command += ["--folder", str(folder), "--history", str(history)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not list(folder.glob(".tmp-bench-*/run/running/*.json")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "stopped on request; nothing was kept" in said
    assert list(folder.iterdir()) == []
    assert history.read_text() == ""


def test_more_slides_than_the_run_has_is_refused(
    hypoxia: Callable[..., subprocess.CompletedProcess[str]], untouched: Path, tmp_path: Path
) -> None:
    done = hypoxia("bench", "scaling", untouched, "--slides", 1000, "--folder", tmp_path / "work")
    assert done.returncode == 2
    assert "--slides 1000: the run has" in done.stderr


def test_without_mpiexec_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="no mpiexec"):
        mpiexec()
