"""Features as files of other tools: what tests of importing share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from feature_runs import NAME, TRAIN

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import SlideExport
from hypoxia_hpc.records import Int64Array, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.features import FeatureRows

PX, MPP, MPP_L0, SIDE_L0 = 75, 0.5, 0.25, 150


def places(n: int) -> Int64Array:
    """Tiles side by side."""
    return np.column_stack([np.arange(n) * SIDE_L0, np.zeros(n, dtype=np.int64)])


def write_export(name: str, folder: Path, slide: Slide, store: Path) -> None:
    """The features of a store in a format of `export`, of a slide of 0.25 µm per pixel."""
    rows = FeatureRows(store)
    header = SlideHeader(slide.slide_id, (100 * SIDE_L0, 200), MPP_L0)
    plan = PlanRecord("native", level=1, downsample=2.0, side_level=PX, side_l0=float(SIDE_L0))
    attributes = TileAttributes("key", header, {"tile_px": PX, "mpp": MPP}, plan)
    nothing = np.full(rows.n, -1, dtype=np.int64)
    said = pd.DataFrame(index=range(rows.n))
    one = SlideExport(slide, attributes, places(rows.n), said, nothing, (), NAME, rows)
    for file, write in FORMATS[name].files(one, folder):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        write(folder / file)


def write_clam(path: Path, values: Any, coords: Any = None, **attributes: Any) -> Path:
    """A bag of CLAM, with the attributes of its patches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"patch_size": PX, "patch_level": 1, "downsample": [2.0, 2.0], **attributes}
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=values)
        where = file.create_dataset("coords", data=places(len(values)).astype(np.int32) if coords is None else coords)
        for name, value in said.items():
            where.attrs[name] = value
    return path


def importing_run(folder: Path, slides: Sequence[str], patients: str = "", **extract: Any) -> RunDir:
    """A run of these slides (rows ``slide_id,path,patient_id``), whose features are to be imported."""
    run = RunDir(folder)
    folder.mkdir(parents=True)
    changes = {
        "tile": {"tile_px": PX, "mpp": MPP},
        "extract": {"name": NAME, "backbone": f"imported:{NAME}", **extract},
        "train": {**TRAIN, "heads": ["logistic"], "clusterings": []},
        "evaluate": {"bootstrap": 100},
    }
    run.config_file.write_text(render_config(preset("hypoxia", changes)))
    rows = ["slide_id,path,patient_id,cost,mpp", *(f"{row},1,{MPP_L0}" for row in slides)]
    run.slides_file.write_text("\n".join(rows) + "\n")
    if patients:
        run.patients_file.write_text(patients)
    return run
