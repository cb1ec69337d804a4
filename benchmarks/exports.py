"""Features to files of other tools against reading the same stores and writing as much: python benchmarks/exports.py

Slides of 2,000 tiles of 2,048 numbers, float16 in their stores, float32 in the files (float16 in STAMP's). The bound of
a layout reads the same stores, converts, and writes as many plain files with as many bytes each; both sides compare all
checksums, fsync every file and, at the end of a round, every folder. One process; paired rounds of up to 50 slides, so
that the files of one round at a time are on the disk. A cohort of 2.3 million tiles has 9.4 GB of stores, and takes 14
GB of the disk in all:

    python benchmarks/exports.py --tiles 2300000 --folder DISK
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from figures import ratio

from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.bench.rounds import Laps, paired
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import SlideExport, feature_parts
from hypoxia_hpc.exports.writing import write_slide
from hypoxia_hpc.records import Slide
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.commit import sync_folders
from hypoxia_hpc.stores.features import FeatureRows, write_features

TILES_A_SLIDE, LENGTH = 2000, 2048
SLIDES_A_ROUND, FEWEST_ROUNDS = 50, 5
STORED, WRITTEN = np.dtype(np.float16), np.dtype(np.float32)
# Of values: what is beside them in stores and files.
MARGIN = 1.1
# The layouts of `export` that have features and need no library of their own; CLAM's without its tensors.
LAYOUTS = ("atlaspatch", "clam", "trident", "stamp")
RESULT = Path(__file__).with_suffix(".json")
NBytes = Mapping[str, int]


def write_stores(folder: Path, n_slides: int) -> list[Path]:
    """Feature stores of numbers by chance."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(TILES_A_SLIDE, LENGTH)).astype(STORED)
    xy = np.column_stack([np.arange(TILES_A_SLIDE), np.zeros(TILES_A_SLIDE)]).astype(np.int64)
    paths = [folder / f"S{number:05d}.zarr" for number in range(n_slides)]
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


def export_all(layout: str, paths: Sequence[Path], out: Path) -> None:
    names = [name for path in paths for name in write_slide(FORMATS[layout], as_export(path), out)]
    sync_folders({(out / name).parent for name in names})


def sizes_of(layout: str, path: Path, out: Path) -> dict[str, int]:
    """Bytes of each file that a slide has in a layout, by its folder; the largest is that of features."""
    names = write_slide(FORMATS[layout], as_export(path), out)
    found = {str(Path(name).parent): (out / name).stat().st_size for name in names}
    shutil.rmtree(out)
    return dict(sorted(found.items(), key=lambda one: one[1]))


def copy_all(sizes: NBytes, dtype: np.dtype[np.floating], paths: Sequence[Path], out: Path) -> None:
    """The bound: the same reads, as many files with as many bytes."""
    for path in paths:
        *others, (of_features, nbytes) = sizes.items()
        for folder, n in others:
            write_plain(out / folder / path.stem, [bytes(n)])
        parts = (part.astype(dtype, copy=False).data for _, part in feature_parts(FeatureRows(path)))
        rest = nbytes - TILES_A_SLIDE * LENGTH * dtype.itemsize
        write_plain(out / of_features / path.stem, chain(parts, [bytes(rest)]))
    sync_folders(out / folder for folder in sizes)


def write_plain(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as file:
        for part in parts:
            file.write(part)
        os.fsync(file.fileno())


def rounds_of(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Slides of each round; few slides come again."""
    parts = [paths[start : start + SLIDES_A_ROUND] for start in range(0, len(paths), SLIDES_A_ROUND)]
    return (parts[number % len(parts)] for number in range(max(FEWEST_ROUNDS, len(parts))))


def measured(layouts: Sequence[str], paths: Sequence[Path], out: Path) -> Laps:
    """Laps of each layout, and of its bound as ``LAYOUT bound``."""
    laps: Laps = {}
    sizes = {layout: sizes_of(layout, paths[0], out) for layout in layouts}
    for number, part in enumerate(rounds_of(paths)):
        works = {}
        for layout in layouts:
            dtype = STORED if layout == "stamp" else WRITTEN
            works[layout] = partial(export_all, layout, part, out)
            works[f"{layout} bound"] = partial(copy_all, sizes[layout], dtype, part, out)
        in_turn = dict(sorted(works.items(), reverse=number % 2 == 1))
        for name, found in paired(in_turn, 1, tidy=partial(shutil.rmtree, out)).items():
            laps.setdefault(name, []).extend(found)
    return laps


def require_space(folder: Path, n_slides: int) -> None:
    values = TILES_A_SLIDE * LENGTH
    needed = MARGIN * values * (n_slides * STORED.itemsize + min(n_slides, SLIDES_A_ROUND) * WRITTEN.itemsize)
    if (free := shutil.disk_usage(folder).free) < needed:
        raise SystemExit(
            f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed: name another --folder"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=20_000)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS, metavar="LAYOUT")
    parser.add_argument("--folder", type=Path, default=tempfile.gettempdir(), help="on the disk that is measured")
    asked = parser.parse_args()
    n_slides = -(-asked.tiles // TILES_A_SLIDE)
    require_space(Path(asked.folder), n_slides)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        paths = write_stores(Path(folder) / "stores", n_slides)
        laps = measured(asked.layouts, paths, Path(folder) / "out")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {"tiles": n_slides * TILES_A_SLIDE, "rounds": len(laps[asked.layouts[0]]), "peak memory, MB": peak / 1e6}
    for layout in asked.layouts:
        n = sum(len(part) for part in rounds_of(paths)) * TILES_A_SLIDE
        figures |= {
            f"{layout}: share of the bound": ratio(laps, f"{layout} bound", layout),
            f"{layout}: share of the bound, seconds of the processor": ratio(
                laps, f"{layout} bound", layout, "processor"
            ),
            f"{layout}: tiles a second": n / sum(one.clock for one in laps[layout]),
        }
    for name, figure in figures.items():
        print(f"{name:60}{figure:12,.2f}")
    RESULT.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
