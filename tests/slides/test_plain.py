"""The matrix of TIFF layouts: every cell has the pixels that were written, or is refused for a true reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiff_matrix import AXES, Cell, as_rgb, every_pair, is_written, refusal, whole_matrix, write

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.opening import opened_slide

SEED = 15
# OpenSlide multiplies colours by alpha, and divides again.
MOST_OF_ALPHA = 2
MEAN_OF_CODEC = 4.0
# Colours that JPEG keeps at half the resolution differ more where they jump.
FAR_OFF, LEAST_NEAR = 60, 0.98
# How the cells of the whole matrix come out; docs/formats.md has the same numbers.
WHOLE = {
    "exact": 12_608,
    "within the error of codec or alpha": 320,
    "refused: several-images": 4_272,
    "refused: not-supported": 4_160,
    "refused: not-rgb": 2_880,
    "not written by tifffile": 9_040,
}


def outcome(cell: Cell, path: Path) -> str:
    """Exact, within the codec's error, or refused; everything else is an AssertionError."""
    levels = write(cell, path)
    try:
        with opened_slide(path) as opened:
            assert not refusal(cell), "it is read, though it has to be refused"
            reads = [opened.read_level(level, 1) for level in range(len(opened.pyramid.level_sizes))]
    except SlideError as error:
        assert error.reason == refusal(cell), error.problem
        assert str(path) in error.problem
        assert error.remedy
        return f"refused: {error.reason}"
    assert len(reads) == len(levels)
    worst = 0
    for (image, unreadable), samples in zip(reads, levels, strict=True):
        assert unreadable == 0
        gap = np.abs(image[..., :3].astype(int) - as_rgb(cell, samples))
        if cell.is_lossy:
            assert gap.mean() <= MEAN_OF_CODEC, f"{gap.mean()} levels off on average"
            assert (gap <= FAR_OFF).mean() >= LEAST_NEAR, f"{(gap > FAR_OFF).mean():.1%} of the values are far off"
        else:
            assert gap.max() <= MOST_OF_ALPHA * (cell.colour == "rgba"), f"up to {gap.max()} levels off"
        worst = max(worst, int(gap.max()))
    return "within the error of codec or alpha" if worst else "exact"


def test_pairs_cover_every_value_of_every_axis() -> None:
    for axis, values in enumerate(AXES.values()):
        assert {cell[axis] for cell in every_pair(SEED)} == set(values)


def test_the_docs_have_the_counts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for count in WHOLE.values():
        assert f"{count:,}" in page


@pytest.mark.parametrize("cell", every_pair(SEED), ids=lambda cell: cell.name)
def test_a_cell_has_the_pixels_that_were_written_or_is_refused(cell: Cell, tmp_path: Path) -> None:
    outcome(cell, tmp_path / "cell.tif")


@pytest.mark.long
def test_the_whole_matrix(tmp_path: Path) -> None:
    """Two minutes of one core."""
    counts: Counter[str] = Counter()
    wrong = {}
    for cell in whole_matrix():
        if not is_written(cell):
            counts["not written by tifffile"] += 1
            continue
        try:
            counts[outcome(cell, tmp_path / "cell.tif")] += 1
        except AssertionError as error:
            wrong[cell.name] = str(error).splitlines()[0]
    assert not wrong
    assert dict(counts) == WHOLE
