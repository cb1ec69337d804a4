"""Metrics and warnings of patients of another cohort."""

from __future__ import annotations

import pandas as pd
import pytest
from judged import measures, rows_of

from hypoxia_hpc.config.outcome import OUTCOME_KINDS
from hypoxia_hpc.evaluation.content import Said
from hypoxia_hpc.evaluation.outside import outside_content, stain_warning, trained_on_warning
from hypoxia_hpc.records import Json

LEAD = {"model": "m", "metric": "roc_auc", "by": "validation patients", "ties": []}


def content(rows: pd.DataFrame, kind: str) -> Json:
    judge = measures(kind)
    said = dict(zip(judge.calibrated, judge.outcome.outputs, strict=False))
    judged = rows.assign(**{name: rows[output] for name, output in said.items()})
    if kind == "binary":
        judged = judged.assign(threshold=0.6, call=judged["calibrated"] > 0.6)
    return outside_content(Said(rows, judged, judged, {"slide": judged, "patient": judged}), LEAD, judge)


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
