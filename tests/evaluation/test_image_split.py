"""A split over images: its figure is that of patients who are recognised, and is said to be that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import measures, rows_of

from hypoxia_hpc.evaluation.image_split import image_split, image_split_warning
from hypoxia_hpc.records import Json
from hypoxia_hpc.synthetic.mri import SIDE_PX, mri_cohort, render_brain


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


def slices_of(seed: int, n_patients: int) -> Json:
    """What both splits say of synthetic MRI without a difference, by slices of 8 by 8 pixels on one scale a series."""
    rows, features = [], []
    for brain in mri_cohort(n_patients, 0.0, seed, n_slices=8):
        for series in render_brain(brain).values():
            kept = series[(series > 0).mean(axis=(1, 2)) > 0.05].astype(np.float64)
            small = kept.reshape(len(kept), 8, SIDE_PX // 8, 8, SIDE_PX // 8).mean(axis=(2, 4))
            features.append(small.reshape(len(kept), -1) / np.percentile(series[series > 0], 99))
            rows += [(brain.patient_id, int(brain.methylated))] * len(kept)
    tiles = pd.DataFrame(rows, columns=["patient_id", "label"])
    return image_split(tiles, np.concatenate(features), measures("binary"))


def test_slices_of_mri_without_a_signal_give_chance_by_patient_and_a_figure_by_image() -> None:
    """The scanner's light shows in every slice of a patient."""
    found = slices_of(seed=0, n_patients=16)
    assert found["by_image"] > 0.8
    assert 0.3 < found["by_patient"] < 0.7
    [said] = image_split_warning(found, measures("binary"))
    assert said.text.endswith("The first figure says nothing of a new patient.")


@pytest.mark.long
def test_over_seeds_slices_without_a_signal_give_chance_by_patient_alone() -> None:
    found = [slices_of(seed, 24) for seed in range(10)]
    assert min(one["by_image"] for one in found) > 0.75
    assert 0.4 < np.mean([one["by_patient"] for one in found]) < 0.6
