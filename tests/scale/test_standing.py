"""Where a slide stands, from what lies on disk."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from hypoxia_hpc.config import TileTable, preset, render_config
from hypoxia_hpc.records import Slide
from hypoxia_hpc.scale.listening import Silence
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.standing import tile_standing
from hypoxia_hpc.stages.tile import tile


def test_another_mpp_in_slides_csv_makes_tiles_stale(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    slide = Slide("one", real_slide, "patient", 1)
    tile(run, [slide], workers=1, retry=False, listener=Silence(), stop=threading.Event())
    table = TileTable()
    assert tile_standing(run, table, slide).status == "done"
    assert tile_standing(run, table, replace(slide, mpp=0.25)).status == "todo"
    assert tile_standing(run, table.model_copy(update={"white": 215}), slide).status == "todo"
