"""The matrix of TIFF layouts: every cell has the pixels that were written, or is refused for a true reason."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_matrix import AXES, Cell, as_rgb, every_pair, is_written, refusal, whole_matrix, write

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.opening import opened_slide

SEED = 15
# OpenSlide multiplies colours by alpha, and divides again.
MOST_OF_ALPHA = 2
MEAN_OF_CODEC = 4.0
MOST_PX_READ = 5_000_000
SAID = {"not-supported", "not-rgb", "several-images", "native-tile-too-large"}
# Colours that JPEG keeps at half the resolution differ more where they jump.
FAR_OFF, LEAST_NEAR = 60, 0.98
# How the cells of the whole matrix come out; docs/formats.md has the same numbers.
WHOLE = {
    "exact": 15_808,
    "within the error of codec or alpha": 352,
    "refused: several-images": 3_024,
    "refused: not-supported": 5_200,
    "refused: not-rgb": 4_704,
    "not written by tifffile": 10_848,
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


def check_damaged(cells: Sequence[Cell], seed: int, n: int, path: Path) -> Counter[str]:
    """Read files in which some bytes, most of them of the header, are others: pixels or a SlideError, nothing else."""
    chance, outcomes = random.Random(seed), Counter[str]()
    for _ in range(n):
        write(chance.choice(cells), path)
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.choice((chance.randrange(len(data)), chance.randrange(min(600, len(data)))))
            data[at] = chance.choice((0, 255, data[at] ^ (1 << chance.randrange(8))))
        path.write_bytes(data)
        outcomes[end_of(path)] += 1
    return outcomes


def end_of(path: Path) -> str:
    try:
        with opened_slide(path) as opened:
            sizes = opened.pyramid.level_sizes
            unreadable = [opened.read_level(0, 1)[1]] if sizes[0][0] * sizes[0][1] < MOST_PX_READ else []
    except SlideError as error:
        return error.reason
    return "damaged" if any(unreadable) else "read"


OWN = tuple(
    cell
    for cell in every_pair(SEED)
    if not refusal(cell) and (cell.order == ">" or cell.storage == "stripped" or cell.pages == "subifds")
)


def test_damage_ends_with_pixels_or_a_reason(tmp_path: Path) -> None:
    outcomes = check_damaged(OWN, 0, 400, tmp_path / "cell.tif")
    assert outcomes.keys() <= {
        "read",
        "damaged",
        "not-a-slide",
        "absurd-size",
        "unreadable",
        "inconsistent-header",
        *SAID,
    }
    assert min(outcomes["read"], outcomes["damaged"], outcomes["not-a-slide"]) >= 30


@pytest.mark.long
def test_more_damage(tmp_path: Path) -> None:
    check_damaged(OWN, 1, 20_000, tmp_path / "cell.tif")


@pytest.mark.long
def test_the_whole_matrix(tmp_path: Path) -> None:
    """Three minutes of one core."""
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


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_tiled_samples_that_are_not_unsigned_are_refused(tmp_path: Path, dtype: str) -> None:
    """OpenSlide takes signed samples for unsigned ones: every pixel is off by half of the range."""
    path = tmp_path / "signed.tiff"
    tifffile.imwrite(path, np.zeros((512, 512, 3), dtype=dtype), photometric="rgb", tile=(256, 256), metadata=None)
    with pytest.raises(SlideError, match="samples that are not unsigned whole numbers") as caught, opened_slide(path):
        pass
    assert caught.value.reason == "not-supported"
