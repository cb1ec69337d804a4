"""A DataLoader of PyTorch over OpenSlide, as tools of pathology feed a network: each worker process opens the slide
when it is asked for its first tile, and reads a region for each tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.bench.peers import Package
from hypoxia_hpc.records import Int64Array, UInt8Array

if TYPE_CHECKING:
    from openslide import OpenSlide
    from torch.utils.data import DataLoader

TORCH_LOADER = Package("DataLoader of PyTorch over OpenSlide", "torch", "torch")


@dataclass(slots=True)
class TilesOfSlide:
    """A map-style data set: tiles at ``xy_l0``, int64 (n, 2), squares of ``side`` px at ``level``, uint8 (side, side,
    3)."""

    path: Path
    xy_l0: Int64Array
    level: int
    side: int
    slide: OpenSlide | None = None

    def __len__(self) -> int:
        return len(self.xy_l0)

    def __getitem__(self, number: int) -> UInt8Array:
        import openslide

        if self.slide is None:
            self.slide = openslide.OpenSlide(self.path)
        x, y = self.xy_l0[number].tolist()
        return np.array(self.slide.read_region((x, y), self.level, (self.side, self.side)).convert("RGB"))


def loader_of(tiles: TilesOfSlide, batch_size: int, n_workers: int) -> DataLoader[UInt8Array]:
    """Batches of tiles, in their order. Workers stay for all passes: the first one starts them."""
    from torch.utils.data import DataLoader

    return DataLoader(
        tiles,
        batch_size=batch_size,
        num_workers=n_workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )


def batches(loader: DataLoader[UInt8Array]) -> Iterator[UInt8Array]:
    """One pass: uint8 (b, side, side, 3) each."""
    for batch in loader:
        yield batch.numpy()
