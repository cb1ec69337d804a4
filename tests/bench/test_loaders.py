"""The DataLoader over OpenSlide: as many tiles, in their order, with the pixels of the tiling."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from hypoxia_hpc.bench.cases import readers
from hypoxia_hpc.bench.cases.feeding import torch_loader
from hypoxia_hpc.bench.feeding import tile_sums
from hypoxia_hpc.bench.loaders import TORCH_LOADER, TilesOfSlide
from hypoxia_hpc.bench.slides import REAL_SLIDE
from hypoxia_hpc.config import TileTable


def test_a_data_set_opens_the_slide_when_its_first_tile_is_read() -> None:
    plan = readers.plan_of(REAL_SLIDE, TileTable())
    tiles = TilesOfSlide(REAL_SLIDE, plan.xy_l0, plan.level, plan.side_level)
    assert (len(tiles), tiles.slide) == (plan.n_tiles, None)
    assert tiles[3].shape == (299, 299, 3)
    assert tiles.slide is not None


def test_what_a_loader_delivers_is_compared() -> None:
    pytest.importorskip("torch", reason=TORCH_LOADER.missing)
    plan = readers.plan_of(REAL_SLIDE, TileTable())
    output = readers.collected(partial(readers.OPENSLIDE.deliver, REAL_SLIDE, plan), plan.tile_px)
    xy_l0, expected = plan.xy_l0[output.kept], tile_sums(np.stack(output.tiles))
    assert torch_loader(REAL_SLIDE, plan, xy_l0, expected).answer().is_same
    assert not torch_loader(REAL_SLIDE, plan, xy_l0[::-1], expected).answer().is_same
