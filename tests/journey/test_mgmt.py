"""The mgmt study on folders of synthetic MRI, from init to the report."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest
from fault_runs import digests, finish, is_finished, of, start
from mgmt_runs import make_tiny, write_cohort

from hypoxia_hpc.analysis.pooling import fused
from hypoxia_hpc.synthetic.mri import SERIES

Hypoxia = Callable[..., CompletedProcess[str]]


def test_from_init_to_the_report(tmp_path: Path, hypoxia: Hypoxia) -> None:
    images, labels = write_cohort(tmp_path, 16, 3)
    run = tmp_path / "run"
    made = hypoxia("init", run, "--study", "mgmt", "--images", images, "--patients", labels)
    assert made.returncode == 0, made.stderr
    assert "of 16 patients, 16 with a label" in made.stdout and "equal files" not in made.stdout
    make_tiny(run)
    done = hypoxia("run", run)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((run / "metrics.json").read_bytes())
    assert {(one["model"], one["series"]) for one in metrics["series"]} == {
        (model, series) for model in ("relu", "attention") for series in (*SERIES, "")
    }
    _check_fusion(run)
    kinds = [one["kind"] for one in metrics["warnings"]]
    assert "image-split" in kinds and "no-h-and-e" not in kinds
    page = (run / "report" / "index.html").read_text()
    assert 'id="series"' in page and "in a split over images, where the same patients are in training and test" in page
    assert "the winner of the RSNA-MICCAI challenge had 0.56" in page


@pytest.mark.long
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path, hypoxia: Hypoxia) -> None:
    images, labels = write_cohort(tmp_path, 16, 4)
    whole, delays, n_kills = tmp_path / "whole", random.Random(4), 0
    made = hypoxia("init", whole, "--study", "mgmt", "--images", images, "--patients", labels)
    assert made.returncode == 0, made.stderr
    make_tiny(whole)
    killed = shutil.copytree(whole, tmp_path / "killed")
    finish(start("run", whole))
    while not is_finished(start("run", killed), delays.uniform(0, 1 + n_kills)):
        n_kills += 1
    assert n_kills > 3
    assert digests(killed) == digests(whole)
    assert of(digests(whole), "predictions/series.csv")


def _check_fusion(run: Path) -> None:
    """What is said of a patient by relu is that of its series fused late; by attention another one."""
    types = {"id": str}
    series, patients = (
        pd.read_csv(run / "predictions" / name, dtype=types, keep_default_na=False)
        for name in ("series.csv", "patients.csv")
    )
    of_one = series[series["series"] != ""]
    lacking = of_one.groupby("id")["series"].nunique()
    assert lacking.loc["00016"] == 3 and (lacking.drop("00016") == 4).all()
    for model, is_late in (("relu", True), ("attention", False)):
        own = of_one[of_one["model"] == model]
        late = fused(own, ["id"], ["probability"], "logistic").set_index("id")["probability"]
        used = patients[patients["model"] == model].set_index("id")["probability"]
        assert ((late - used.loc[late.index]).abs().max() < 1e-9) == is_late
