"""A run as the viewer sees it, around the real slide: tiles, what a model says of them, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.fingerprint import fingerprint_of
from hypoxia_hpc.stores.tiles import new_tile_store
from hypoxia_hpc.viewer.shown import Shown, ShownSlide, new_keys

SIZE_L0, SIDE_L0 = (2220, 2967), 299
ODD_NAME = "<b onload=alert(1)>\"x\" 'y' & \N{MICROSCOPE}.svs"
# Columns and rows of tiles that are hot.
HOT = ((2, 3), (4, 5, 6))


def viewed_run(folder: Path, real_slide: Path) -> Shown:
    """Two slides with the same pixels; the name of the second is no file's that anybody would choose."""
    run = RunDir(folder / "run")
    run.predictions.mkdir(parents=True)
    run.config_file.write_text(render_config(preset("hypoxia", {"tile": {"pixels": "none"}})))
    xy = np.array([(x * SIDE_L0, y * SIDE_L0) for y in range(9) for x in range(7)], dtype=np.int64)
    is_hot = np.array([x // SIDE_L0 in HOT[0] and y // SIDE_L0 in HOT[1] for x, y in xy])
    spec = run.config().tile.model_dump(mode="json")
    for slide_id in ("real", "odd"):
        with new_tile_store(run.tiles(slide_id), 299, pixels="none") as store:
            for _ in xy:
                store.new_tile()
            slide = {
                "size_l0": list(SIZE_L0),
                "mpp": 0.499,
                "fingerprint": fingerprint_of(Slide("real", real_slide, "P1", 1)),
            }
            attributes = {"key": slide_id, "spec": spec, "slide": slide, "plan": {"side_l0": SIDE_L0}}
            store.commit(xy, np.zeros(len(xy), dtype=np.float32), attributes)
    tables = [_tiles(xy, np.where(is_hot, 0.95, 0.05), model) for model in ("logistic", "tanh")]
    pd.concat(tables).to_parquet(run.predictions / "tiles.parquet", index=False)
    run.phenotypes.mkdir()
    place = {"x_l0": xy[:, 0], "y_l0": xy[:, 1]}
    clusters = pd.DataFrame({"slide_id": "real", **place, "cluster": np.where(is_hot, 40, 7)})
    clusters.to_parquet(run.phenotypes / "tiles.parquet", index=False)
    odd = folder / ODD_NAME
    odd.symlink_to(real_slide)
    _write_tables(run, real_slide, odd)
    first, second = new_keys(2)
    test = ShownSlide(first, "real", real_slide, real_slide.name, "P1", "test", "hypoxic", "hypoxic", (0.9,), False)
    train = ShownSlide(second, "odd", odd, ODD_NAME, "<i>P2</i>", "train", "hypoxic", "normoxic", (0.2,), True)
    return Shown("run", (test, train), run, "tanh", ("probability",))


def undecodable(real_slide: Path, path: Path) -> Path:
    """A slide whose header opens, and of whose pixels none decodes."""
    damaged = bytearray(real_slide.read_bytes())
    with tifffile.TiffFile(real_slide) as file:
        page = file.pages[0]
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            damaged[offset : offset + count] = bytes(count)
    path.write_bytes(damaged)
    return path


def _tiles(xy: np.ndarray, probability: np.ndarray, model: str) -> pd.DataFrame:
    columns = {"x_l0": xy[:, 0], "y_l0": xy[:, 1], "probability": probability, "attention": np.nan}
    return pd.DataFrame({"model": model, "fold": 0, "set": "test", "slide_id": "real", "label": 1, **columns})


def _write_tables(run: RunDir, real_slide: Path, odd: Path) -> None:
    """Slides, patients, and what the model says of them."""
    slides = {"slide_id": ["real", "odd"], "path": [str(real_slide), str(odd)], "patient_id": ["P1", "P2"], "cost": 1}
    pd.DataFrame(slides).to_csv(run.slides_file, index=False)
    pd.DataFrame({"patient_id": ["P1", "P2"], "label": [1, 1]}).to_csv(run.patients_file, index=False)
    said = {"model": "tanh", "fold": 0, "set": ["test", "train"], "id": ["P1", "P2"], "label": 1}
    values = {"probability": [0.9, 0.2], "n_tiles": 63, "calibrated": [0.9, 0.2], "call": ["hypoxic", "normoxic"]}
    pd.DataFrame({**said, **values}).to_csv(run.predictions / "patients.csv", index=False)
