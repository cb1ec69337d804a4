"""Metrics and warnings of patients of another cohort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import facts_of, measures, rows_of

from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.content import Said
from hypoxia_hpc.evaluation.outside import outside_baselines, outside_content, stain_warning, trained_on_warning
from hypoxia_hpc.records import Json

LEAD = {"model": "m", "metric": "roc_auc", "by": "validation patients", "ties": []}


def judged_rows(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    judge = measures(kind)
    said = dict(zip(judge.calibrated, judge.outcome.outputs, strict=False))
    judged = rows.assign(**{name: rows[output] for name, output in said.items()})
    if kind == "binary":
        judged = judged.assign(threshold=0.6, call=judged["calibrated"] > 0.6)
    return judged


def content(rows: pd.DataFrame, kind: str, **columns: object) -> Json:
    """Without baselines."""
    judged = judged_rows(rows, kind)
    facts = facts_of(rows.drop_duplicates("patient_id"), measures(kind), **columns)
    said = Said(rows, judged, judged, {"slide": judged, "patient": judged})
    return outside_content(said, LEAD, facts, measures(kind))


def beside_baselines(rows: pd.DataFrame, facts: pd.DataFrame, training: pd.DataFrame, kind: str) -> tuple[Json, Json]:
    """Content with baselines that were learnt from ``training``, and why others are not there."""
    judged = judged_rows(rows, kind)
    patients, lacking = outside_baselines(judged, facts, [training], measures(kind))
    said = Said(rows, judged, patients, {"slide": judged, "patient": patients})
    return outside_content(said, LEAD, facts, measures(kind)), lacking


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_labelled_outside_patients_alone_are_measured(kind: str) -> None:
    outside, known = (rows_of(kind, 60, 1.5, set_name=name) for name in ("external", "trained-on"))
    unlabelled = rows_of(kind, 60, 0.0, set_name="predict")
    types = dict(measures(kind).outcome.label_types)
    unlabelled = unlabelled.assign(**dict.fromkeys(types, pd.NA))
    found = content(pd.concat([part.astype(types) for part in (outside, known, unlabelled)], ignore_index=True), kind)
    assert set(found["models"]["m"]) == {"external"}
    patients = found["models"]["m"]["external"]["patient"]
    assert patients[measures(kind).headline]["n"] == 60
    assert found["chance"]["m"]["verdict"] == "above"
    assert found["lead"] == LEAD


def test_without_labels_there_are_no_metrics_and_no_warnings() -> None:
    rows = rows_of("binary", 20, 1.0, set_name="predict").assign(label=pd.NA)
    found = content(rows, "binary")
    assert (found["models"], found["chance"], found["warnings"]) == ({}, {}, [])


def test_probabilities_that_are_off_outside_are_said() -> None:
    rows = rows_of("binary", 200, 1.0, set_name="external")
    found = content(rows.assign(probability=rows["probability"] * 0.2), "binary")
    assert "calibration" in {one["kind"] for one in found["warnings"]}
    assert all("on the outside patients" in one["text"] for one in found["warnings"])


@pytest.mark.parametrize("kind", OUTCOME_KINDS)
def test_baselines_of_training_patients_stand_beside_outside_patients(kind: str) -> None:
    judge, rows = measures(kind), rows_of(kind, 60, 2.0, set_name="external")
    learnt = facts_of(rows_of(kind, 40, 0.0), judge, tumour_type=["A", "B"] * 20, n_tiles=np.arange(40.0))
    facts = facts_of(rows, judge, tumour_type=["B", "C", "A"] * 20, n_tiles=np.arange(60.0))
    found, lacking = beside_baselines(rows, facts, learnt, kind)
    made = {"majority-class", "tumour-type", "n-tiles"}
    assert set(found["models"]) == {"m", *made}
    assert set(found["compared"]) == made
    assert set(found["chance"]) == {"m"}
    assert found["models"]["tumour-type"]["external"]["patient"][judge.headline]["n"] == 60
    assert set(lacking) == {"site", "tumour-type-and-site", "colour"}
    assert lacking["site"].startswith("among outside patients, no patient has a site")


def test_a_type_that_explains_the_outside_labels_is_named() -> None:
    """The model says what the tumour type says, here as in training."""
    judge, rows = measures("binary"), rows_of("binary", 120, 0.0, set_name="external")
    kinds_of = np.where(np.random.default_rng(2).random(120) < 0.9, rows["label"], 1 - rows["label"])
    rows["probability"] = 0.2 + 0.5 * kinds_of + np.random.default_rng(1).uniform(0, 0.1, 120)
    of_training = rows_of("binary", 40, 0.0)
    learnt = facts_of(of_training, judge, tumour_type=np.where(of_training["label"] == 1, "B", "A"))
    found, _ = beside_baselines(rows, facts_of(rows, judge, tumour_type=np.where(kinds_of, "B", "A")), learnt, "binary")
    assert {"not-above-tumour-type", "chance-within-tumour-type"} <= {one["kind"] for one in found["warnings"]}
    assert [one["n"] for one in found["groups"]["tumour_type"]] == sorted(
        [int(kinds_of.sum()), 120 - int(kinds_of.sum())], reverse=True
    )


def test_baselines_that_outside_patients_do_not_allow_are_said() -> None:
    judge, rows = measures("binary"), rows_of("binary", 20, 1.0, set_name="external")
    learnt = facts_of(rows_of("binary", 40, 0.0), judge, tumour_type=["A", "B"] * 20, site=["x", "y"] * 20)
    facts = facts_of(rows, judge, tumour_type=["A", "B"] * 10, site=["u", "v"] * 10, n_tiles=np.arange(20.0))
    _, lacking = beside_baselines(rows, facts, learnt, "binary")
    assert lacking["site"] == "no outside patient has the site of a training patient"
    assert lacking["tumour-type-and-site"].startswith("no outside patient has the tumour type and site of a")
    assert lacking["n-tiles"] == "among training patients, all patients have the same number of tiles"


def test_too_few_outside_patients_are_said() -> None:
    found = content(rows_of("binary", 4, 3.0, set_name="external"), "binary")
    [few] = [one["text"] for one in found["warnings"] if one["kind"] == "too-few"]
    assert few.startswith("There are too few outside patients to say anything")


def test_who_was_in_training_is_named() -> None:
    assert trained_on_warning({}) == []
    [warned] = trained_on_warning({"b": "B", "a": "a"})
    assert warned.kind == "trained-on"
    assert warned.text.startswith("2 patients were in training or validation")
    assert warned.text.endswith(": a, b (B there)")


def test_slides_that_are_no_h_and_e_are_named_with_why() -> None:
    assert stain_warning({}, 3) == []
    [warned] = stain_warning({"b": "dark", "a": "green"}, 3)
    assert warned.text.startswith("2 of 3 slides do not look stained with haematoxylin and eosin")
    assert warned.text.endswith(": a: green; b: dark")
    [many] = stain_warning({f"s{number:02d}": "dark" for number in range(25)}, 30)
    assert many.text.endswith("s19: dark; and 5 more")
