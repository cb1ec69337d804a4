"""Synthetic MRI: what differs between the classes, what does not, and what makes it hard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypoxia_hpc.synthetic.mri import N_SLICES, SERIES, SIDE_PX, SyntheticBrain, mri_cohort, render_brain, write_brain

ONE = SyntheticBrain("00001", 7, methylated=True, difference=0.6)


@pytest.fixture(scope="module")
def slices() -> dict[str, np.ndarray]:
    return render_brain(ONE)


def test_a_patient_has_four_series_of_16_bits_with_empty_ends(slices: dict[str, np.ndarray]) -> None:
    assert list(slices) == ["FLAIR", "T1w", "T1wCE", "T2w"]
    for series in slices.values():
        assert (series.dtype, series.shape) == (np.uint16, (N_SLICES, SIDE_PX, SIDE_PX))
        assert not series[0].any() and not series[-1].any() and series[N_SLICES // 2].max() > 255


def test_the_bytes_depend_on_the_patient_alone(tmp_path: Path, slices: dict[str, np.ndarray]) -> None:
    write_brain(tmp_path / "images", ONE)
    files = sorted(path.relative_to(tmp_path / "images").as_posix() for path in tmp_path.rglob("*.png"))
    assert len(files) == len(SERIES) * N_SLICES and files[0] == "FLAIR/Image-1.png"
    with Image.open(tmp_path / "images" / "T2w" / "Image-5.png") as image:
        assert (np.asarray(image) == slices["T2w"][4]).all()


def test_the_difference_is_that_of_the_rim_by_series(slices: dict[str, np.ndarray]) -> None:
    """The same patient without methylation: the same head, darker rims where the series shows it."""
    other = render_brain(replace(ONE, methylated=False))
    for name, contrast in SERIES.items():
        ratio = slices[name][slices[name] > 0].astype(float) / np.maximum(other[name][slices[name] > 0], 1)
        assert ((ratio > 1.05).mean() > 0.005) == (contrast.share > 0), name
        assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert all((slices["T1w"] == other["T1w"]).ravel())


def test_planes_and_brightness_are_mixed_and_half_are_methylated() -> None:
    cohort = mri_cohort(12, 0.6, seed=3)
    assert sum(brain.methylated for brain in cohort) == 6
    assert cohort == mri_cohort(12, 0.6, seed=3) != mri_cohort(12, 0.6, seed=4)
    # The height of a head's middle slice over its width: of another plane in another series of the same patient.
    shapes = {round(_height(series) / _height(series.swapaxes(1, 2)), 1) for series in render_brain(cohort[0]).values()}
    shapes |= {
        round(_height(series) / _height(series.swapaxes(1, 2)), 1) for series in render_brain(cohort[1]).values()
    }
    assert len(shapes) > 1


def _height(series: np.ndarray) -> int:
    return int(series[N_SLICES // 2].any(axis=1).sum())
