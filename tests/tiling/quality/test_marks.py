"""Planted faults on coarse images: each is found at its place, and nothing else is."""

from __future__ import annotations

import numpy as np
import planted_quality
import pytest
from planted_quality import FAULTS, HEIGHT, WIDTH, clean_slide

from hypoxia_hpc.synthetic.svs import shrink
from hypoxia_hpc.tiling.quality.marks import (
    BLACK_PEN,
    BLUE_PEN,
    BORDER,
    FOLD,
    GREEN_PEN,
    PADDING,
    RED_PEN,
    TISSUE,
    Marked,
    find_marks,
)
from hypoxia_hpc.tiling.quality.measures import quality_of

UM = 8.0


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return clean_slide()


def marked(pixels: np.ndarray) -> Marked:
    return find_marks(shrink(pixels, 8), UM)


@pytest.mark.parametrize(
    ("fault", "label", "share"),
    [("pen", GREEN_PEN, 120 * 800), ("border", BORDER, 110 * HEIGHT + 100 * (WIDTH - 110)), ("folds", FOLD, 140 * 880)],
)
def test_a_fault_is_found_at_its_place_and_nothing_else(clean: np.ndarray, fault: str, label: int, share: int) -> None:
    pixels = FAULTS[fault](clean)
    found = marked(pixels)
    changed = shrink(pixels, 8) != shrink(clean, 8)
    truth, where = changed.any(axis=2), found.labels == label
    assert (truth & where).sum() / (truth | where).sum() > 0.8
    assert where.mean() == pytest.approx(share / (HEIGHT * WIDTH), rel=0.2)
    others = {GREEN_PEN, BLUE_PEN, RED_PEN, BLACK_PEN, BORDER, FOLD} - {label}
    assert not np.isin(found.labels, list(others)).any()


def test_a_clean_slide_has_tissue_alone(clean: np.ndarray) -> None:
    quality = quality_of(marked(clean), UM, [0.1, 0.5, 1.0, 1.2])
    assert quality.tissue == pytest.approx(768 * 1024 / (HEIGHT * WIDTH), rel=0.05)
    assert quality.tissue_mm2 == pytest.approx(0.786, rel=0.05)
    assert (quality.pen, quality.pen_colour, quality.folds, quality.border) == (0, "", 0, 0)
    assert (quality.blurred, quality.sharpness, quality.squares) == (0.25, 0.75, 4)
    assert quality.saturation is not None and 0.15 < quality.saturation < 0.5


@pytest.mark.parametrize(
    ("colour", "label"),
    [((40, 90, 190), BLUE_PEN), ((205, 40, 55), RED_PEN), ((45, 42, 48), BLACK_PEN), ((35, 33, 110), BLUE_PEN)],
)
def test_pens_by_their_colour(clean: np.ndarray, colour: tuple[int, int, int], label: int) -> None:
    pixels = clean.copy()
    pixels[400:560, 60:900] = colour
    found = marked(pixels).labels
    assert (found[52:68, 10:110] == label).mean() > 0.9


def test_stain_is_measured_as_optical_density(clean: np.ndarray) -> None:
    """Half the stain is half the density, of each dye."""
    strong = quality_of(marked(clean), UM, [])
    pixels = planted_quality.GLASS * (clean / planted_quality.GLASS) ** 0.5
    weak = quality_of(marked(np.rint(pixels).astype(np.uint8)), UM, [])
    for dye in ("haematoxylin", "eosin"):
        one, other = getattr(strong, dye), getattr(weak, dye)
        assert one > 0.05 and other == pytest.approx(one / 2, rel=0.15)
    assert strong.blurred is None and strong.sharpness is None


def test_lymphocytes_and_blood_are_no_folds(clean: np.ndarray) -> None:
    """Dark and saturated as a fold is, but lymphocytes have no more eosin, and blood lets red light through."""
    for density in (np.array([0.65, 0.7, 0.3]), np.array([0.1, 1.0, 0.6])):
        pixels = clean.copy()
        pixels[300:440, 320:1200] = np.rint(planted_quality.GLASS * np.exp(-density))
        found = marked(pixels).labels
        assert not (found == FOLD).any()


def test_padding_and_a_slide_without_tissue_do_not_count(clean: np.ndarray) -> None:
    padded = clean.copy()
    padded[:, : WIDTH // 8] = 255
    found = marked(padded)
    assert (found.labels == PADDING).mean() == pytest.approx(0.125, abs=0.01)
    assert quality_of(found, UM, []).tissue > quality_of(marked(clean), UM, []).tissue
    glass = np.random.default_rng(0).normal(240, 1, (64, 64, 3)).astype(np.uint8)
    empty = quality_of(find_marks(glass, UM), UM, [])
    assert (empty.tissue, empty.folds, empty.saturation, empty.haematoxylin) == (0, None, None, None)
    assert TISSUE not in find_marks(glass, UM).labels
