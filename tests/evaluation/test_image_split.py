"""A split over images: its figure is that of patients who are recognised, and is said to be that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import measures, rows_of

from hypoxia_hpc.evaluation.image_split import image_split, image_split_warning


def tiles_of(kind: str, n_patients: int, n_tiles: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Tiles that show who their patient is, and nothing of the label."""
    rng, labels = np.random.default_rng(3), list(measures(kind).outcome.label_types)
    rows = rows_of(kind, n_patients, 0.0)[["patient_id", *labels]]
    tiles = rows.loc[np.repeat(rows.index, n_tiles)].reset_index(drop=True)
    patients = rng.normal(size=(n_patients, 60))
    return tiles, np.repeat(patients, n_tiles, axis=0) + 0.1 * rng.normal(size=(len(tiles), 60))


@pytest.mark.parametrize("kind", ["binary", "classes", "score"])
def test_patients_that_are_recognised_are_a_figure_of_images_alone(kind: str) -> None:
    judge = measures(kind)
    found = image_split(*tiles_of(kind, 30, 5), judge)
    assert (found["metric"], found["patients"], found["tiles"]) == (judge.headline, 30, 150)
    assert found["by_image"] > judge.no_relation + 0.4
    assert found["by_patient"] < judge.no_relation + 0.25
    assert image_split(*tiles_of(kind, 30, 5), judge) == found


def test_it_is_said_as_what_it_is() -> None:
    judge = measures("binary")
    found = {"metric": "roc_auc", "patients": 40, "tiles": 3200, "by_image": 0.981, "by_patient": None}
    [said] = image_split_warning(found, judge)
    assert said.kind == "image-split"
    assert (
        "no result of this run: in a split over images, where the same patients are in training and test" in said.text
    )
    assert (
        "3,200 tiles of 40 patients give a ROC AUC of 0.98; the same tiles split by patient give no value" in said.text
    )


@pytest.mark.parametrize("n", [0, 1])
def test_without_patients_to_split_there_is_no_value(n: int) -> None:
    tiles, features = tiles_of("binary", 2, 4)
    kept = tiles["patient_id"].isin(["P000"][:n])
    found = image_split(tiles[kept], features[kept.to_numpy()], measures("binary"))
    assert found["by_patient"] is None
