"""What is known of the patients of a run: labels, type, site, kept tiles; and who is drawn as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import make_run
from judged import facts_of, measures, rows_of

from hypoxia_hpc.analysis.colours import SlideColour
from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.models.facts import COLOURS, kept_together, patient_facts, read_training, training_table
from hypoxia_hpc.models.predictions import Predictions, write_predictions
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []}, n_patients=8, n_unlabelled=1)
    lines = made.patients_file.read_text().splitlines()
    sites = ["site", "Bern", "bern", "", "Oslo", "", "", "", "", ""]
    made.patients_file.write_text("\n".join(f"{line},{site}" for line, site in zip(lines, sites, strict=True)) + "\n")
    return made


def test_facts_of_patients(run: RunDir) -> None:
    colours = {"S00-0": SlideColour(200, 150, 180, 0.1), "S01-0": SlideColour(*[np.nan] * 3, 0.2)}
    colours |= {"S01-1": SlideColour(100, 50, 80, 0.4)}
    facts = patient_facts(load_cohort(run), {"P00": 12}, colours)
    assert facts["site"].tolist() == ["bern", "bern", "", "oslo", "", "", "", "", ""]
    assert facts["tumour_type"].tolist() == list("ABAABAABA")
    assert facts["label"].tolist()[:8] == [0, 1] * 4
    assert facts["label"].isna().tolist() == [False] * 8 + [True]
    assert facts["n_tiles"].tolist() == [12] + [0] * 8
    assert facts.loc[["P00", "P01"], list(COLOURS)].to_numpy().tolist() == [
        [200, 150, 180, 0.1],
        [100, 50, 80, pytest.approx(0.3)],
    ]
    assert facts["red"].isna().sum() == 7


def test_who_is_drawn_as_a_whole(run: RunDir) -> None:
    cohort = load_cohort(run)
    assert kept_together(cohort) is None
    run.config_file.write_text(run.config_file.read_text().replace('keep_together = ""', 'keep_together = "site"'))
    groups = kept_together(load_cohort(run))
    assert groups is not None
    assert groups["P00"] == groups["P01"] == "bern"
    assert groups["P02"] == "patient P02"


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_facts_of_training_are_read_as_they_were_written(tmp_path: Path, kind: str) -> None:
    run, judge = RunDir(tmp_path), measures(kind)
    facts = facts_of(
        rows_of(kind, 6, 0.0), judge, tumour_type=["=A", "B", "", "NA", "A", "B"], site=[*"xyx", "", "", "1"],
        n_tiles=np.arange(6.0), red=[1.5, np.nan, 3, 4, 5, 1 / 3],
    ).astype(dict(judge.outcome.label_types))  # fmt: skip
    folds = [facts.iloc[[0, 1, 2, 3]], facts.iloc[[1, 3, 5]]]
    rows = rows_of(kind, 6, 0.0).assign(slide_id="s")
    digest = write_predictions(run.predictions, Predictions(rows, rows, rows), training=training_table(folds))
    found = read_training(run, {"predictions": digest}, judge.outcome)
    for one, expected in zip(found, folds, strict=True):
        pd.testing.assert_frame_equal(one, expected, check_names=False, check_dtype=False)
    assert read_training(run, {"predictions": "other"}, judge.outcome) == []
