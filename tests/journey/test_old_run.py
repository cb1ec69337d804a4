"""A whole run of version 0.1.0, made before its modules moved, is as good as one made now.

Twelve synthetic slides of four tiles, features of an untrained VGG16 from tiles of 32 px, the default heads and
clustering, the report; slides.csv names the slides by relative paths.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from run_digests import RECORDED

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(RECORDED / "small_run.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "run"


def trained(run: Path, hypoxia: Hypoxia) -> tuple[int, int]:
    """Models done and to do."""
    shown = hypoxia("status", run, "--json")
    assert shown.returncode == 0, shown.stderr
    (train,) = [stage for stage in json.loads(shown.stdout)["stages"] if stage["stage"] == "train"]
    return train["done"], train["todo"]


def test_it_keeps_its_models_where_it_keeps_its_split(run: Path, hypoxia: Hypoxia) -> None:
    """Patients are dealt by another rule today. split.csv as [train] split_file is what a user does about it."""
    assert trained(run, hypoxia) == (0, 5)
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace("[train]", '[train]\nsplit_file = "split.csv"', 1))
    assert trained(run, hypoxia) == (5, 0)


def test_everything_but_its_evaluation_is_done(run: Path, hypoxia: Hypoxia) -> None:
    """Predictions are measured by another rule today."""
    shown = hypoxia("status", run, "--json")
    assert shown.returncode == 0, shown.stderr
    counts = {stage["stage"]: (stage["done"], stage["todo"]) for stage in json.loads(shown.stdout)["stages"]}
    assert counts == {
        "tile": (12, 0),
        "extract small by vgg16": (12, 0),
        "train": (5, 0),
        "evaluate": (0, 1),
        "report": (0, 1),
    }


def test_it_verifies(run: Path, hypoxia: Hypoxia) -> None:
    done = hypoxia("verify", run)
    assert (done.returncode, done.stdout.strip()) == (0, "verify: 31 stores, models and results, all sound")
    assert "verify: 31/31 results, took" in done.stderr


def test_it_reports(run: Path, hypoxia: Hypoxia) -> None:
    done = hypoxia("report", run)
    assert done.returncode == 5
    assert f"hypoxia-hpc run {run}: only what changed is done again" in done.stderr
    (run / "report" / "index.html").unlink()
    done = hypoxia("evaluate", run)
    assert done.returncode == 0, done.stderr
    done = hypoxia("report", run)
    assert done.returncode == 0, done.stderr
    page = (run / "report" / "index.html").read_text()
    assert "TCGA-ZZ-0012-01Z-00-DX1" in page
    assert page.count("<svg") > 5
