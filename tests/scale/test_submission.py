"""What ``submit`` would send for runs in every state, and what it refuses, without a cluster."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import change_setting, copy_run, finish, make_cohort, start

N_SLIDES = 4
BROKEN = "TCGA-ZZ-9999-01Z-00-DX1.svs"
CHAIN = ["tile", "extract", "train", "evaluate", "report"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides and one that is cut off, nothing done."""
    return make_cohort(tmp_path_factory.mktemp("cohort"), N_SLIDES, BROKEN)


@pytest.fixture(scope="module")
def tiled(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tiles, and the cut one in quarantine."""
    run = copy_run(untouched, tmp_path_factory.mktemp("tiled") / "run")
    finish(start("tile", run), 3)
    return run


@pytest.fixture
def submit() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line on a machine without SLURM: only this environment's programs are found."""
    path = f"{Path(sys.executable).parent}"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hypoxia_hpc", "submit", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": path},
            timeout=120,
        )

    return run


def sent(printed: str) -> list[list[str]]:
    """The sbatch lines of a dry run, as bash takes them apart."""
    lines = [line.partition("=$(")[2].removesuffix(")") for line in printed.splitlines() if "=$(sbatch " in line]
    return [shlex.split(line) for line in lines]


def stages(lines: list[list[str]]) -> list[str]:
    return [next(word for word in line if word in CHAIN) for line in lines]


def test_all_that_nobody_has_begun(untouched: Path, submit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    before = sorted(untouched.rglob("*"))
    done = submit(untouched, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = sent(done.stdout)
    assert stages(lines) == CHAIN
    for line, earlier in zip(lines[1:], CHAIN, strict=False):
        assert f"--dependency=afterany:${earlier}_0" in line
    assert sorted(untouched.rglob("*")) == before


def test_only_what_is_not_done(tiled: Path, submit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert stages(sent(submit(tiled, "--dry-run").stdout)) == CHAIN[1:]
    lines = sent(submit(tiled, "--dry-run", "--retry").stdout)
    assert stages(lines) == CHAIN


def test_one_slide_that_is_lost_is_one_element(
    tiled: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(tiled, tmp_path / "run", ["tiles", "receipts/tile"])
    change_setting(run, "site.slurm", "hours", "0.000001")
    shutil.rmtree(next((run / "tiles").iterdir()))
    first = sent(submit(run, "--dry-run").stdout)[0]
    assert first[-3:] == ["tile", "1", "0"]
    assert "--array=0" in first


def test_a_run_without_labels_ends_after_extract(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = tmp_path / "run"
    finish(start("init", run, "--slides", untouched.parent / "slides"))
    change_setting(run, "extract", "weights", '"random"')
    assert stages(sent(submit(run, "--dry-run").stdout)) == CHAIN[:2]


def test_without_slurm_or_image_it_says_so_and_writes_nothing(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    done = submit(run)
    assert done.returncode == 4
    assert "sbatch is not on this machine" in done.stderr and "--dry-run" in done.stderr
    change_setting(run, "site.slurm", "image", '"../no such.sif"')
    done = submit(run)
    assert done.returncode == 4
    assert str(tmp_path / "no such.sif") in done.stderr
    assert not (run / "slurm").exists()


def test_weights_that_are_nowhere_are_refused_unless_the_image_may_have_them(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "run")
    change_setting(run, "extract", "weights", '"imagenet"')
    change_setting(run, "site", "weights", f'"{tmp_path}"')
    assert submit(run, "--dry-run").returncode == 4
    change_setting(run, "site.slurm", "image", '"cpu.sif"')
    done = submit(run, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "perhaps the image has them" in done.stderr


def test_a_folder_that_the_image_cannot_see_is_refused(
    untouched: Path, tmp_path: Path, submit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = copy_run(untouched, tmp_path / "a,b" / "run")
    change_setting(run, "site.slurm", "image", '"cpu.sif"')
    done = submit(run, "--dry-run")
    assert done.returncode == 2
    assert "a,b" in done.stderr and "comma" in done.stderr
