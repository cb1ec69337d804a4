"""Native JPEG tiles decoded on the GPU in batches, against decoding them on all cores. No pixels are copied from the
GPU: a network on it would take them from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hypoxia_hpc.bench.agreement import MOST_GRAY_LEVELS
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.bench.case import Case, Place, Prepared, require
from hypoxia_hpc.bench.cases.readers import fastest_name
from hypoxia_hpc.bench.comparison import Answer, Candidate, compared
from hypoxia_hpc.bench.gpu_decoders import (
    Device,
    NvImageCodec,
    cucim_batches,
    cucim_missing,
    cucim_pixels,
    nvimagecodec_missing,
)
from hypoxia_hpc.bench.rounds import Work, usable_cores
from hypoxia_hpc.bench.slides import REAL_SLIDE, made, recipes
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.slides.tiff import read_tiled_pages

BATCH = 1024  # native tiles
CUCIM = "cuCIM"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Native tiles that no edge of the slide cuts: ``numbers`` in the file's order, and ``xy_l0``, int64 (n, 2)."""

    path: Path
    native: NativeTiles
    numbers: Int64Array
    xy_l0: Int64Array


def chosen_tiles(path: Path, n: int) -> Chosen:
    """``n`` of them, in order, and from the first again where there are fewer."""
    page, native = read_tiled_pages(path)[0], NativeTiles(path)
    columns, rows = page.width // page.tile_width, page.height // page.tile_height
    across = -(-page.width // page.tile_width)
    y, x = np.divmod(np.arange(n, dtype=np.int64) % (columns * rows), columns)
    return Chosen(path, native, y * across + x, np.stack([x * page.tile_width, y * page.tile_height], axis=1))


@contextmanager
def decoding(place: Place, *, recipe: str, device: Device = "cuda", n: int = BATCH) -> Iterator[Prepared]:
    """The real slide, or one of the recipe, decoded on a device."""
    chosen = chosen_tiles(made(recipes(quick=True)[recipe], place.slides) if recipe else REAL_SLIDE, n)
    decoder = NvImageCodec(is_ycbcr=chosen.native.is_ycbcr, device=device)
    streams = [chosen.native.whole[number] for number in chosen.numbers]
    found = compared([cucim(chosen, device)])
    with ThreadPoolExecutor(len(usable_cores())) as threads:
        yield Prepared(
            n,
            partial(decoder.decode, streams),
            {"decoding on all cores": on_all_cores(chosen, threads)},
            partial(check, chosen, lambda: decoder.pixels(streams)),
            found.works,
            found.how,
            found.left_out,
            on_gpu=device == "cuda",
        )


def on_all_cores(chosen: Chosen, threads: ThreadPoolExecutor) -> Work:
    """The same native tiles by the library that is fastest here, dealt to a thread for each core."""
    name, n = fastest_name(chosen.native), len(usable_cores())
    works = [chosen.native.of(chosen.numbers[first::n].tolist()).decoders()[name] for first in range(n)]
    return lambda: list(threads.map(lambda work: work(), works))


def cucim(chosen: Chosen, device: Device) -> Candidate:
    """cuCIM, which also reads the file."""
    where = chosen.path, chosen.xy_l0, chosen.native.size_px[0], device

    def answer() -> Answer:
        found = compared_pixels(chosen, cucim_pixels(*where))
        return Answer(found.is_same, f"{found}; it reads the file, too")

    def decode() -> None:
        for _ in cucim_batches(*where):
            pass

    return Candidate(CUCIM, cucim_missing(), answer, decode)


@dataclass(frozen=True, slots=True)
class Apart:
    """Absolute differences from libjpeg-turbo's pixels, in gray levels of a channel: the mean of the native tile that
    differs most, and the largest. Decoders round differently."""

    mean: float
    largest: int

    @property
    def is_same(self) -> bool:
        return self.mean <= MOST_GRAY_LEVELS

    def __str__(self) -> str:
        if self.largest == 0:
            return "every pixel as libjpeg-turbo decodes it"
        return f"{self.mean:.3f} gray levels from libjpeg-turbo in the mean of the worst tile, {self.largest} at most"


def compared_pixels(chosen: Chosen, found: Sequence[UInt8Array]) -> Apart:
    reference = chosen.native.of(chosen.numbers.tolist()).pixels()
    gaps = [np.abs(one.astype(np.int16) - other) for one, other in zip(found, reference, strict=True)]
    return Apart(max(float(gap.mean()) for gap in gaps), max(int(gap.max()) for gap in gaps))


def check(chosen: Chosen, decode: Callable[[], Sequence[UInt8Array | None]]) -> str:
    """Raises WrongAnswerError unless all native tiles are decoded, and to the picture of libjpeg-turbo."""
    found = decode()
    whole = [one for one in found if one is not None]
    require(len(whole) == len(found), f"{len(found) - len(whole)} of {len(found)} native tiles could not be decoded")
    answer = compared_pixels(chosen, whole)
    require(answer.is_same, f"native tiles are another picture: {answer}")
    return str(answer)


def _case(name: str, colours: str, recipe: str) -> Case:
    summary = f"native JPEG tiles ({colours}) by nvImageCodec on the GPU, {BATCH:,} at a time"
    return Case(
        name, "decoding", summary, "native tiles", "decoding on all cores", partial(decoding, recipe=recipe),
        all_cores=True, is_quick=False, missing=nvimagecodec_missing,
    )  # fmt: skip


CASES = (
    _case("gpu-decoding", "the real slide, RGB", ""),
    _case("gpu-decoding-ycbcr", "YCbCr, chroma halved", "jpeg-20x"),
)
