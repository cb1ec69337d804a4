"""Slides a second that `maps` draws on one core: python benchmarks/maps.py

The whole verb on a run of slides with 2,000 tiles each: from the stored predictions and tile stores to a picture of
each slide on disk. Beside it what no change of ours undercuts: the same pictures, decoded, written by Pillow alone.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from figures import Bench, Figure, Report, run_sections, slides_dir
from PIL import Image

from hypoxia_hpc.bench.rounds import Lap, median_seconds, on_one_core, paired
from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.models.prediction_tables import TILES_FILE
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.stages.maps import maps
from hypoxia_hpc.stores.tiles import new_tile_store

TILES, SLIDES, QUICK_SLIDES = 2000, 400, 60
SIDE_L0, COLUMNS, ROWS = 598, 80, 60  # tiles of a slide at 40x, 48,000 by 36,000 pixels
LEAST_SLIDES_A_SECOND = 50
MODEL = "tanh"
ROUNDS, QUICK_ROUNDS = 5, 2


def made_run(
    folder: Path, n_slides: int, side_l0: int = SIDE_L0, size_l0: tuple[int, int] = (COLUMNS * SIDE_L0, ROWS * SIDE_L0)
) -> RunDir:
    """As `evaluate` leaves a run, as far as `maps` reads it; slides have ``size_l0`` pixels, tiles ``side_l0``."""
    run, config = RunDir(folder), preset("hypoxia", {"tile": {"pixels": "none"}})
    folder.mkdir(parents=True)
    run.config_file.write_text(render_config(config))
    names = [f"S{number:05d}" for number in range(n_slides)]
    rows = "\n".join(f"{name},{name}.svs,P{name},1" for name in names)
    run.slides_file.write_text(f"slide_id,path,patient_id,cost\n{rows}\n")
    places = {name: tissue(seed, side_l0) for seed, name in enumerate(names)}
    for name, xy in places.items():
        write_store(run, name, xy, side_l0, size_l0)
    run.predictions.mkdir()
    predicted(places).to_parquet(run.predictions / TILES_FILE, index=False, compression="zstd")
    write_metrics(run)
    return run


def tissue(seed: int, side_l0: int) -> np.ndarray:
    """The places of the tiles of a round piece of tissue, int64 (TILES, 2), row by row."""
    rng = np.random.default_rng(seed)
    y, x = np.divmod(np.arange(COLUMNS * ROWS), COLUMNS)
    distance = np.hypot(x - rng.uniform(30, 50), 1.2 * (y - rng.uniform(20, 40))) + rng.normal(0, 2, len(x))
    kept = np.sort(np.argsort(distance)[:TILES])
    return np.column_stack([x[kept], y[kept]]).astype(np.int64) * side_l0


def write_store(run: RunDir, name: str, xy: np.ndarray, side_l0: int, size_l0: tuple[int, int]) -> None:
    with new_tile_store(run.tiles(name), 299, pixels="none") as store:
        for _ in xy:
            store.new_tile()
        slide = {"slide_id": name, "size_l0": list(size_l0), "mpp": 0.25}
        attributes = {"key": name, "spec": {"pixels": "none"}, "slide": slide, "plan": {"side_l0": float(side_l0)}}
        store.commit(xy, np.zeros(len(xy), dtype=np.float32), attributes)


def predicted(places: dict[str, np.ndarray]) -> pd.DataFrame:
    names, n, rng = list(places), TILES * len(places), np.random.default_rng(0)
    slides, xy = pd.Categorical(np.repeat(names, TILES)), np.concatenate(list(places.values()))
    smooth = np.sin(xy[:, 0] / 5000) * np.cos(xy[:, 1] / 4000) + rng.normal(0, 0.4, n)
    return pd.DataFrame(
        {
            **{"model": pd.Categorical([MODEL] * n), "fold": 0, "set": pd.Categorical(["test"] * n)},
            **{"slide_id": slides, "patient_id": slides, "x_l0": xy[:, 0], "y_l0": xy[:, 1], "label": 1},
            **{"probability": 1 / (1 + np.exp(-2 * smooth)), "attention": np.nan},
        }
    )


def write_metrics(run: RunDir) -> None:
    lead = {"model": MODEL, "metric": "roc_auc"}
    measured = {"models": {MODEL: {}}, "lead": lead, "chance": {}, "warnings": []}
    metrics = {"schema": 2, "key": "", "predictions": "", **measured}
    run.metrics_file.write_text(json.dumps({**metrics, "content": metrics_content(metrics)}))


def drawn(run: RunDir) -> None:
    maps(run, progress=NoProgress(), stop=threading.Event())


def written(pictures: Sequence[Image.Image], folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        encoded = io.BytesIO()
        picture.save(encoded, "PNG", compress_level=1)
        (folder / f"{number}.png").write_bytes(encoded.getvalue())


def loaded(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.load()
        return image


def slides_a_second(laps: Sequence[Lap], n_slides: int) -> tuple[float, float]:
    """By the clock and by the processor."""
    processor = sorted(one.processor for one in laps)[len(laps) // 2]
    return n_slides / median_seconds(list(laps)), n_slides / processor


def whole_verb(bench: Bench) -> None:
    n_slides = QUICK_SLIDES if bench.quick else SLIDES
    with TemporaryDirectory(dir=bench.folder) as folder:
        run, alone = made_run(Path(folder) / "run", n_slides), Path(folder) / "pillow"
        drawn(run)
        pictures = [loaded(file) for file in sorted((run.root / "maps" / MODEL).glob("*.png"))]

        def tidy() -> None:
            for made in (run.root / "maps", alone):
                shutil.rmtree(made, ignore_errors=True)

        tidy()
        works = {"maps": lambda: drawn(run), "Pillow": lambda: written(pictures, alone)}
        with on_one_core():
            laps = paired(works, QUICK_ROUNDS if bench.quick else ROUNDS, tidy)
    for name, target in (("maps", LEAST_SLIDES_A_SECOND), ("Pillow", None)):
        clock, processor = slides_a_second(laps[name], n_slides)
        title = f"{name}, slides a second and core, {TILES:,} tiles each"
        bench.report.add(Figure(title, clock, "", target, by_processor=processor))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, default=slides_dir(), help="a run of 400 slides is made and deleted here")
    options = parser.parse_args()
    run_sections(Bench(Report(), options.dir, options.quick, 1), {"whole verb": whole_verb}, options.json)


if __name__ == "__main__":
    main()
