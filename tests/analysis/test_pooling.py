"""Tiles to slides to patients."""

import naive
import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.analysis.pooling import pool_tiles


def tiles_of(n, seed):
    generator = np.random.default_rng(seed)
    slide = generator.integers(0, 12, n)
    return pd.DataFrame(
        {
            "slide_id": [f"s{i}" for i in slide],
            "patient_id": [f"p{i // 3}" for i in slide],
            "probability": generator.random(n).astype(np.float32),
        }
    )


def test_by_hand():
    tiles = pd.DataFrame(
        {
            "slide_id": ["b", "b", "a", "c"],
            "patient_id": ["q", "q", "q", "p"],
            "probability": [0.5, 1.0, 0.0, 0.25],
        }
    )
    slides = pool_tiles(tiles, "slide")
    assert slides.to_numpy().tolist() == [["a", "q", 0.0, 1], ["b", "q", 0.75, 2], ["c", "p", 0.25, 1]]
    # The mean over tiles, (0.5 + 1 + 0) / 3, not over slides, (0.75 + 0) / 2.
    assert pool_tiles(tiles, "patient").to_numpy().tolist() == [["p", "p", 0.25, 1], ["q", "q", 0.5, 3]]


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_equals_twin(level):
    tiles = tiles_of(500, 1)
    pooled = pool_tiles(tiles, level)
    expected = naive.pooled(tiles, level)
    assert pooled["id"].tolist() == sorted(expected)
    for row in pooled.itertuples():
        mean, n_tiles = expected[row.id]
        assert row.probability == pytest.approx(mean, abs=1e-12)
        assert row.n_tiles == n_tiles


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_order_does_not_matter_to_the_last_bit(level):
    tiles = tiles_of(2000, 2)
    pd.testing.assert_frame_equal(
        pool_tiles(tiles, level), pool_tiles(tiles.sample(frac=1, random_state=3), level), check_exact=True
    )


def test_patient_of_its_own_slides():
    slides = pool_tiles(tiles_of(300, 4), "slide")
    assert all(
        patient == f"p{int(slide[1:]) // 3}" for slide, patient in zip(slides["id"], slides["patient_id"], strict=True)
    )


def test_categories_and_no_tiles():
    tiles = tiles_of(50, 5)
    as_categories = tiles.astype({"slide_id": "category", "patient_id": "category"})
    assert pool_tiles(as_categories, "slide").to_numpy().tolist() == pool_tiles(tiles, "slide").to_numpy().tolist()
    assert len(pool_tiles(tiles[:0], "slide")) == 0
