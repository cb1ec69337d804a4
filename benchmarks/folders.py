"""Images in folders against their codec, and tiling with a stain against without: python benchmarks/folders.py

Images are cut from the real slide of the package. Two worker processes read and cut them, or decode them by Pillow
alone; both read the same files, which the system holds in memory. The slide is the JPEG one at 20x of the tiling
benchmark, tiled into a store by one worker.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import openslide
from figures import ratio, slides_dir
from PIL import Image

import hypoxia_hpc
from hypoxia_hpc.bench.environment import machine
from hypoxia_hpc.bench.rounds import on_one_core, paired
from hypoxia_hpc.bench.slides import made, recipes
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slides.image_slides import cut_images
from hypoxia_hpc.stages.tile import TileStage

REAL = Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs"
WORKERS, ROUNDS, SLIDE_ROUNDS = 2, 9, 5
KINDS = {"JPEG, 1,024 px": ("jpg", 1024, 80), "JPEG, 299 px": ("jpg", 299, 600), "PNG, 1,024 px": ("png", 1024, 40)}
TABLE = TileTable(tile_px=256, max_background=1.0)
STAINED = TileTable.model_validate({"stain": {"method": "macenko"}})
RESULT = Path(__file__).with_suffix(".json")


def write_images(folder: Path, suffix: str, px: int, n: int) -> tuple[str, ...]:
    """Squares of the real slide at places by chance; their names."""
    with openslide.OpenSlide(REAL) as slide:
        whole = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    rng = np.random.default_rng(0)
    names = []
    for number in range(n):
        y, x = (int(rng.integers(0, side - px)) for side in whole.shape[:2])
        names.append(f"{px}-{number}.{suffix}")
        options = {"quality": 90} if suffix == "jpg" else {}
        Image.fromarray(whole[y : y + px, x : x + px]).save(folder / names[-1], **options)
    return tuple(names)


def cut(slide: Slide, px: int) -> int:
    table = TABLE.model_copy(update={"tile_px": min(px, TABLE.tile_px)})
    tile = np.empty((table.tile_px, table.tile_px, 3), dtype=np.uint8)
    return cut_images(slide, table, lambda: tile).counts.kept


def decode(slide: Slide) -> int:
    for name in slide.images:
        Image.open(io.BytesIO((slide.path / name).read_bytes())).load()
    return len(slide.images)


def folders(folder: Path) -> dict[str, float]:
    """The share of Pillow's rate that reading and cutting has, for each kind of images."""
    found = {}
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:

        def both(work: Callable[[Slide], int], slides: list[Slide]) -> int:
            return sum(pool.map(work, slides))

        for kind, (suffix, px, n) in KINDS.items():
            names = write_images(folder, suffix, px, n)
            slides = [Slide(str(i), folder, str(i), 1, images=names[i::WORKERS]) for i in range(WORKERS)]
            works = {"ours": partial(both, partial(cut, px=px), slides), "Pillow": partial(both, decode, slides)}
            for work in works.values():
                work()  # imported and compiled
            found[kind] = ratio(paired(works, ROUNDS), "Pillow", "ours")
    return found


def stained(folder: Path, path: Path) -> float:
    """The share of the rate of tiling without a stain that tiling with it has."""
    slide = Slide("slide", path, "patient", 1)

    def tiled(table: TileTable) -> int:
        work = TileStage(RunDir(folder / "run"), table)
        return work.make(slide, work.key(slide), lambda tiles: None).counts.kept

    works = {"with": partial(tiled, STAINED), "without": partial(tiled, TileTable())}
    for work in works.values():
        work()
    with on_one_core():
        laps = paired(works, SLIDE_ROUNDS, tidy=partial(shutil.rmtree, folder / "run"))
    return ratio(laps, "without", "with")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller slide")
    quick = parser.parse_args().quick
    slides_dir().mkdir(parents=True, exist_ok=True)
    path = made(recipes(quick=quick)["jpeg-20x"], slides_dir())
    with tempfile.TemporaryDirectory() as folder:
        figures = {f"reading, {kind}, share of Pillow": share for kind, share in folders(Path(folder)).items()}
        figures["tiling with Macenko's method, share of tiling without"] = stained(Path(folder), path)
    for name, figure in figures.items():
        print(f"{name:60}{figure:7.2f}")
    RESULT.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
