"""Tiles counted on a coarse level: near to what tiling decides, and its own mask of tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.coarse_views import coarse_view, mask_method
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.slides.slide_tiles import cut_slide
from hypoxia_hpc.tiling.redeciding import TileSettings, redecided

TILE_PX = 150


@pytest.mark.parametrize(("white", "tissue"), [(220, "none"), (235, "otsu")])
def test_a_real_slide_is_decided_almost_as_by_tiling(real_slide: Path, white: int, tissue: str) -> None:
    table = TileTable.model_validate({"tile_px": TILE_PX, "white": white, "tissue": tissue})
    slide = Slide("cmu", real_slide, "p", cost=1)
    view = coarse_view(slide, table, (200, white))
    kept, _ = redecided(view.counts, TileSettings(white, table.max_background, tissue != "none", table.min_tissue))
    buffer = np.empty((TILE_PX, TILE_PX, 3), dtype=np.uint8)
    with opened_slide(real_slide) as opened:
        cut = cut_slide(opened, slide, table, lambda: buffer).cut
    assert len(kept) == len(cut.kept) > 200
    assert (kept == cut.kept).mean() > 0.95
    assert view.um_per_px == pytest.approx(4, rel=0.01)
    assert mask_method(table) == (tissue if tissue != "none" else "otsu")
    assert view.image.shape[:2] == (view.counts.size_px[1], view.counts.size_px[0])
