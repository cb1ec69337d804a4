"""Background kernel against NumPy and against reading the memory, in one run: python benchmarks/kernels.py

Prints medians of paired rounds in million pixels a second and their ratios. One core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from hypoxia_hpc.bench.cases.kernels import TILE_PX, TILES_IN_BAND, numpy_count, read_memory
from hypoxia_hpc.tiling.kernels.packed import count_background

ROUNDS = 15


def megapixels_per_second(work: Callable[[], object], pixels: int, repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return pixels * repeats / (time.perf_counter() - started) / 1e6


def main() -> None:
    rng = np.random.default_rng(0)
    band = rng.integers(150, 256, (TILE_PX, TILE_PX * TILES_IN_BAND, 4), dtype=np.uint8)
    band[..., 3] = 255
    tile = np.ascontiguousarray(band[:, :TILE_PX])
    packed_tile, packed_band = (array.view("<u4")[..., 0] for array in (tile, band))
    width = packed_band.shape[1]
    assert count_background(packed_tile, 0, TILE_PX, 220) == numpy_count(tile, 220)  # noqa: S101
    cases: dict[str, tuple[Callable[[], object], int, int]] = {
        "count, tile in cache": (lambda: count_background(packed_tile, 0, TILE_PX, 220), packed_tile.size, 2000),
        "count, NumPy, tile in cache": (lambda: numpy_count(tile, 220), packed_tile.size, 20),
        "count, out of cache": (lambda: count_background(packed_band, 0, width, 220), packed_band.size, 2),
        "read the memory, out of cache": (lambda: read_memory(packed_band), packed_band.size, 2),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS + 1):
        for name, (work, pixels, repeats) in cases.items():
            rates[name].append(megapixels_per_second(work, pixels, repeats))
    medians = {name: statistics.median(values[1:]) for name, values in rates.items()}  # the first round compiles
    for name, rate in medians.items():
        print(f"{name:32}{rate:10,.0f} Mpx/s")
    names = list(cases)
    print(f"{'kernel / NumPy, in cache':32}{medians[names[0]] / medians[names[1]]:10.1f} x")
    print(f"{'kernel / memory, out of cache':32}{medians[names[2]] / medians[names[3]]:10.0%}")


if __name__ == "__main__":
    main()
