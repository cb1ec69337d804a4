"""The study of sarcomas on its demo's images, from init to the report; with fine-tuning, killed and resumed."""

from __future__ import annotations

import csv
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import digests, finish, is_finished, start
from sarcoma_runs import make_tiny, sources, write_cohort

from hypoxia_hpc.stages.demo_sarcoma import SarcomaCohort
from hypoxia_hpc.synthetic.sarcomas import CLASSES

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]
FINETUNE = (
    ("train", "heads", '["logistic", "finetune"]'),
    ("train.finetune", "backbone", '"vgg16"'),
    ("train.finetune", "weights", '"random"'),
    ("train.finetune", "input_px", "32"),
    ("train.finetune", "frozen_epochs", "2"),
    ("train.finetune", "unfrozen_epochs", "2"),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SarcomaCohort:
    return write_cohort(tmp_path_factory.mktemp("sarcoma"))


def new_run(run: Path, cohort: SarcomaCohort, *settings: tuple[str, str, str]) -> Path:
    run.parent.mkdir(exist_ok=True)
    finish(start("init", run, "--study", "sarcoma", *sources(cohort)))
    make_tiny(run, *settings)
    return run


def test_from_init_to_the_report(cohort: SarcomaCohort, tmp_path: Path, hypoxia: Hypoxia) -> None:
    """The sets of the key table, probabilities and areas of every class, and survival by the predicted class."""
    run = new_run(tmp_path / "one" / "run", cohort)
    done = hypoxia("run", run)
    assert done.returncode == 0, done.stderr[-3000:]
    with (run / "split.csv").open() as split, cohort.key.open() as key:
        given = {row["patient_ID"]: row["training_set"].lower() for row in csv.DictReader(key)}
        assert {row["patient_id"]: row["set"] for row in csv.DictReader(split)} == given
    with (run / "predictions" / "patients.csv").open() as predictions:
        said = next(csv.DictReader(predictions))
    assert sum(float(said[f"probability_{name}"]) for name in CLASSES) == pytest.approx(1)
    measured = json.loads((run / "metrics.json").read_text())["models"]["logistic"]["test"]["patient"]
    for number in range(len(CLASSES)):
        area = measured[f"roc_auc_{number}"]
        assert area["low"] <= area["value"] <= area["high"]
    assert measured["top1"]["n"] == len(CLASSES)
    found = json.loads((run / "survival" / "survival.json").read_text())
    assert set(found["endpoints"]["time"]["sets"]) == {"discovery", "test"}
    page = (run / "report" / "index.html").read_text()
    assert "Confusion matrix of logistic on 5 test patients" in page
    assert all(f"ROC AUC {name}" in page for name in CLASSES)
    stages = json.loads(hypoxia("status", run, "--json").stdout)["stages"]
    assert all(one["todo"] == 0 for one in stages), stages


@pytest.mark.long
def test_with_fine_tuning_it_is_killed_and_goes_on_to_the_same_bytes(cohort: SarcomaCohort, tmp_path: Path) -> None:
    undisturbed, killed = (new_run(tmp_path / name / "run", cohort, *FINETUNE) for name in ("undisturbed", "killed"))
    finish(start("run", undisturbed))
    delays, n_kills = random.Random(5), 0
    while not is_finished(start("run", killed), delays.uniform(0, 2 + 2 * n_kills)):
        n_kills += 1
    assert n_kills > 3
    found, expected = digests(killed), digests(undisturbed)
    assert "models/finetune" in {name.rpartition("/")[0] for name in expected}
    assert found == expected
