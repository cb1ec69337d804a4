"""The plan of an open slide: regions leave tiles out before a pixel is decoded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.opening import OpenedSlide, opened_slide
from hypoxia_hpc.slides.planning import plan_slide


def test_tiles_of_a_region_and_the_classes_drawn(real_slide: Path, tmp_path: Path) -> None:
    ring = [[0, 0], [600, 0], [600, 900], [0, 900], [0, 0]]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    slide = Slide("a", real_slide, "p", 1)
    with opened_slide(real_slide) as opened:
        whole = plan_slide(opened, slide, TileTable())
        drawn = plan_slide(opened, slide, TileTable(regions=str(tmp_path)))
        outside = plan_slide(opened, slide, TileTable(regions=str(tmp_path), regions_rule="exclude"))
    assert (whole.n_selected, whole.classes) == (63, None)
    assert [plan.classes for plan in (drawn, outside)] == [{"": 1}] * 2
    assert np.array_equal(drawn.selected, (drawn.plan.xy_l0 < (600 - 150, 900 - 150)).all(1))
    assert np.array_equal(outside.selected, ~drawn.selected)


def test_a_slide_smaller_than_a_tile_is_read_before_it_is_called_that(
    real_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide, table = Slide("a", real_slide, "p", 1), TileTable(tile_px=4000)
    with opened_slide(real_slide) as opened:
        with pytest.raises(SlideError, match="no whole tile fits") as caught:
            plan_slide(opened, slide, table)
        assert caught.value.reason == "no-tissue"

        def dead(_: OpenedSlide) -> None:
            raise SlideError("unreadable", "dead")

        monkeypatch.setattr(OpenedSlide, "check_readable", dead)
        with pytest.raises(SlideError, match="dead"):
            plan_slide(opened, slide, table)
