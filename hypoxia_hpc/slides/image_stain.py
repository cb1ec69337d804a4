"""The sample of a patient's images that their stain is fitted on: of the tiles that the background rule keeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Slide, UInt8Array
from hypoxia_hpc.slides.image_files import quiet
from hypoxia_hpc.slides.image_reading import each_image
from hypoxia_hpc.slides.stain_fit import SEED, Sample, n_sampled
from hypoxia_hpc.tiling.image_cutting import ImageTiles


def sample_images(slide: Slide, table: TileTable, threads: int = 1) -> Sample:
    """Tiles that the background rule keeps, about as many of each image that is read, drawn by chance; images are read
    in an order by chance, until there are enough tiles. Images that cannot be read are left out."""
    sample, wanted = Sample(), n_sampled(table)
    rng = np.random.default_rng(SEED)
    images = [slide.images[place] for place in rng.permutation(len(slide.images))]
    of_each = -(-wanted // len(images))
    with quiet():
        for _, found in each_image(slide.path, images, table, threads):
            if isinstance(found, SlideError):
                continue
            for tile in _drawn(found[1], of_each, rng):
                sample.add(tile, table)
            if len(sample.tiles) >= wanted:
                break
    del sample.tiles[wanted:]
    return sample


def _drawn(tiles: ImageTiles, n: int, rng: np.random.Generator) -> Iterator[UInt8Array]:
    """``n`` tiles of an image, the background among them too for its light; what fills one up is left out."""
    numbers = rng.permutation(tiles.kept.size)
    kept = tiles.kept.ravel()[numbers]
    for number in [*numbers[kept][:n], *numbers[~kept][:n]]:
        px = tiles.px
        tile = np.empty((px, px, 3), dtype=np.uint8)
        tiles.put(*divmod(int(number), tiles.columns), tile)
        yield np.ascontiguousarray(tile[tiles.own])
