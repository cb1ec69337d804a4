"""The published normalisation gives the published pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hypoxia_hpc.tiling.stain.published import fit_published, published


def test_the_published_pictures_are_reproduced_within_one_gray_level(
    shared_data: Callable[[str], Path],
) -> None:
    """Some percent of the pixels differ by one: quantiles and colours come from tables here."""
    rgb = _pixels(shared_data("stain/example1.png"))
    source = fit_published(rgb).found
    assert source is not None
    for alone, name in ((None, "norm1"), ("haematoxylin", "norm1_H"), ("eosin", "norm1_E")):
        difference = np.abs(published(rgb, source, alone).astype(int) - _pixels(shared_data(f"stain/{name}.png")))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.1, name


def test_an_image_without_stain_has_no_fit() -> None:
    assert "stained pixels" in fit_published(np.full((9, 9, 3), 255, np.uint8)).why_not


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))
