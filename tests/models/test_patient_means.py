"""The mean features of a patient are those over the tiles of all slides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.models.patient_means import PatientMeans
from hypoxia_hpc.records import Features, Slide
from hypoxia_hpc.runs.state import SlideState


def test_over_the_tiles_of_all_slides() -> None:
    generator = np.random.default_rng(0)
    tiles = [("A", 5), ("A", 3), ("B", 2), ("C", 0)]
    states = [SlideState(Slide(str(i), Path("x"), who, 1), "extract", "done") for i, (who, _) in enumerate(tiles)]
    values = [generator.normal(size=(n, 4)).astype(np.float16) for _, n in tiles]
    features = [
        Features(state.slide.slide_id, each, np.zeros((len(each), 2), dtype=np.int64), {})
        for state, each in zip(states, values, strict=True)
    ]
    passing = list(zip(states, features, strict=True))
    means = PatientMeans()
    assert list(means.passing(passing)) == passing
    found = means.means()
    assert set(found) == {"A", "B"}
    assert found["A"] == pytest.approx(np.concatenate(values[:2]).astype(np.float64).mean(axis=0))
