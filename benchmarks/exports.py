"""Features to HDF5 against reading the same stores and writing as many bytes: python benchmarks/exports.py --tiles N

Slides of 2,000 tiles of 2,048 numbers, float16 in their stores, float32 in the files. Both sides read the stores with
all checksums compared and end with fsync and a rename; the bound writes the float32 bytes into plain files. One
process, paired rounds. A cohort of 2.3 million tiles takes 9.4 GB of stores and 19 GB of files:

    python benchmarks/exports.py --tiles 2300000 --folder DISK
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.bench.rounds import median_seconds, paired, ratio
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import SlideExport, feature_parts
from hypoxia_hpc.records import Slide
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.commit import committing_file
from hypoxia_hpc.stores.features import FeatureRows, write_features

TILES_A_SLIDE, LENGTH, ROUNDS, MOST_TILES_TO_REPEAT = 2000, 2048, 5, 200_000
LAYOUT = "atlaspatch"
RESULT = Path(__file__).with_suffix(".json")


def write_stores(folder: Path, n_slides: int) -> list[Path]:
    """Feature stores of numbers by chance."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(TILES_A_SLIDE, LENGTH)).astype(np.float16)
    xy = np.column_stack([np.arange(TILES_A_SLIDE), np.zeros(TILES_A_SLIDE)]).astype(np.int64)
    paths = [folder / f"S{number}.zarr" for number in range(n_slides)]
    for path in paths:
        write_features(path, values, xy, {"key": "k"})
    return paths


def as_export(path: Path) -> SlideExport:
    """A slide with the features of a store."""
    rows = FeatureRows(path)
    header = SlideHeader(path.stem, (TILES_A_SLIDE * 598, 598), 0.25)
    plan = PlanRecord("native", side_level=598, side_l0=598.0, downsample=1.0)
    attributes = TileAttributes("key", header, {"tile_px": 299, "mpp": 0.5}, plan)
    xy = np.column_stack([np.arange(rows.n) * 598, np.zeros(rows.n)]).astype(np.int64)
    slide, nothing = Slide(path.stem, path, "P", 1), np.full(rows.n, -1, dtype=np.int64)
    return SlideExport(slide, attributes, xy, pd.DataFrame(index=range(rows.n)), nothing, (), "network", rows)


def export_all(paths: Sequence[Path], out: Path) -> None:
    for path in paths:
        for name, write in FORMATS[LAYOUT].files(as_export(path), out):
            with committing_file(out / name) as target:
                write(target)


def copy_all(paths: Sequence[Path], out: Path) -> None:
    """The bound: the same reads, as many bytes."""
    for path in paths:
        with committing_file(out / f"{path.stem}.raw") as target, target.open("wb") as file:
            for _, part in feature_parts(FeatureRows(path)):
                file.write(part.astype(np.float32).data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="a folder on the disk that is measured")
    asked = parser.parse_args()
    rounds = ROUNDS if asked.tiles <= MOST_TILES_TO_REPEAT else 1
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        paths = write_stores(Path(folder) / "stores", -(-asked.tiles // TILES_A_SLIDE))
        out = Path(folder) / "out"
        works = {"export": partial(export_all, paths, out), "bound": partial(copy_all, paths, out)}
        laps = paired(works, rounds, tidy=partial(shutil.rmtree, out))
    n, peak = len(paths) * TILES_A_SLIDE, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {
        "tiles": n,
        "share of the bound": ratio(laps, "bound", "export"),
        "share of the bound, seconds of the processor": ratio(laps, "bound", "export", "processor"),
        "tiles a second": n / median_seconds(laps["export"]),
        "peak memory, MB": peak / 1e6,
    }
    for name, figure in figures.items():
        print(f"{name:50}{figure:12,.2f}")
    RESULT.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
