"""Mosaics of planted textures: where each texture lies, that they differ, and how long patients live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest

from hypoxia_hpc.analysis.cox import fit_cox
from hypoxia_hpc.synthetic.mixtures import (
    COLUMNS,
    NO_TISSUE,
    ROWS,
    SQUARE_PX,
    TEXTURES,
    Mosaic,
    mosaic_cohort,
    render_mosaic,
    write_mosaic,
)

# Three squares of each texture.
PLACES = np.where(np.arange(ROWS * COLUMNS) < 3 * len(TEXTURES), np.arange(ROWS * COLUMNS) % len(TEXTURES), NO_TISSUE)
ONE = Mosaic("P", 3, PLACES.reshape(ROWS, COLUMNS), 1.0, 1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return render_mosaic(ONE)


def test_a_square_is_tissue_where_the_mosaic_says_so(pixels: np.ndarray) -> None:
    squares = pixels.reshape(ROWS, SQUARE_PX, COLUMNS, SQUARE_PX, 3).mean((1, 3, 4))
    assert ((squares < 225) == (ONE.textures != NO_TISSUE)).all()


def test_squares_of_a_texture_are_alike_and_others_are_not(pixels: np.ndarray) -> None:
    """By the mean and the spread of two channels."""
    squares = pixels.reshape(ROWS, SQUARE_PX, COLUMNS, SQUARE_PX, 3).astype(float).swapaxes(1, 2)
    figures = np.concatenate([squares.mean((2, 3))[..., :2], squares.std((2, 3))[..., :2]], axis=-1)
    own = [figures[ONE.textures == texture] for texture in range(len(TEXTURES))]
    for texture, rows in enumerate(own):
        for other in own[texture + 1 :]:
            apart = np.abs(rows.mean(0) - other.mean(0)) / (rows.std(0) + other.std(0))
            assert apart.max() > 3


def test_the_bytes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.svs" for number in range(2)]
    for file in files:
        write_mosaic(file, ONE)
    assert files[0].read_bytes() == files[1].read_bytes()
    with openslide.OpenSlide(files[0]) as slide:
        assert slide.dimensions == (COLUMNS * SQUARE_PX, ROWS * SQUARE_PX)


def test_patients_live_by_the_planted_log_hazards() -> None:
    cohort = mosaic_cohort(500, 5)
    shares = np.array([one.shares for one in cohort])
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(cohort)))
    assert shares.mean(axis=0).argmax() == [one.name for one in TEXTURES].index("ordinary")
    columns = [place for place, one in enumerate(TEXTURES) if one.name != "ordinary"]
    fit = fit_cox([one.months for one in cohort], [one.event for one in cohort], shares[:, columns])
    planted = np.array([TEXTURES[place].log_hazard for place in columns])
    assert (np.abs(fit.coefficients - planted) < 3 * fit.errors).all()
    assert fit.errors.max() < 1
    assert 0.4 < np.mean([one.event for one in cohort]) < 0.8


def test_cohorts_differ_by_seed_and_by_prefix() -> None:
    one, same, other, outside = (
        mosaic_cohort(3, seed, prefix=prefix)
        for seed, prefix in ((1, "TCGA-ZY"), (1, "TCGA-ZY"), (2, "TCGA-ZY"), (1, "TCGA-ZX"))
    )
    assert [mosaic.seed for mosaic in one] == [mosaic.seed for mosaic in same]
    assert {mosaic.seed for mosaic in one}.isdisjoint(mosaic.seed for mosaic in (*other, *outside))
    assert [mosaic.patient_id for mosaic in outside] == ["TCGA-ZX-0001", "TCGA-ZX-0002", "TCGA-ZX-0003"]
