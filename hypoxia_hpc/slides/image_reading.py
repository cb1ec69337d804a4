"""The images of a patient, each read whole and made tiles, in their order, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.image_files import read_pixels
from hypoxia_hpc.tiling.image_cutting import ImageTiles, image_tiles

# Read ahead of the one whose tiles are written, a thread; each holds its pixels.
AHEAD = 1
# Its sides in pixels as it is shown (width, height), and its tiles.
Read = tuple[tuple[int, int], ImageTiles]


def each_image(
    folder: Path, images: Sequence[str], table: TileTable, threads: int
) -> Iterator[tuple[str, Read | SlideError]]:
    """The tiles of each image below ``folder``, in order, ``threads`` of them made at once and one more ready; or why
    it cannot be read."""
    with ThreadPoolExecutor(threads, "image") as pool:
        ahead: deque[tuple[str, Future[Read | SlideError]]] = deque()
        try:
            for image in images:
                ahead.append((image, pool.submit(_read, folder / image, table)))
                if len(ahead) > threads + AHEAD:
                    path, found = ahead.popleft()
                    yield path, found.result()
            for path, found in ahead:
                yield path, found.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read(path: Path, table: TileTable) -> Read | SlideError:
    try:
        pixels = read_pixels(path)
    except SlideError as error:
        return error
    return (pixels.shape[1], pixels.shape[0]), image_tiles(pixels, table)
