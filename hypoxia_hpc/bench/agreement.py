"""No time counts before the output is compared with ours: which tiles were kept, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.records import UInt8Array

# Where pixels cannot be identical (another decoder, another way to reduce), what is still the same picture.
MOST_GRAY_LEVELS = 3.0  # mean of the absolute difference; tissue shifted by one pixel differs by 8
MOST_KEPT_OTHERWISE = 0.005  # of all tiles: those near the limit


@dataclass(frozen=True, slots=True)
class Output:
    """``kept`` bool (n,), and the tiles, uint8 (px, px, 3) each."""

    kept: NDArray[np.bool_]
    tiles: list[UInt8Array]


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two outputs: tiles kept by one alone; of those that both kept, the mean and largest absolute difference
    in gray levels of a channel, and the PSNR in dB."""

    planned: int
    kept_otherwise: int
    mean: float
    largest: int
    psnr: float

    @property
    def identical(self) -> bool:
        return self.kept_otherwise == 0 and self.largest == 0

    @property
    def same_picture(self) -> bool:
        return self.kept_otherwise <= MOST_KEPT_OTHERWISE * self.planned and self.mean <= MOST_GRAY_LEVELS

    def __str__(self) -> str:
        if self.identical:
            return "identical: kept tiles and every pixel"
        return (
            f"{self.kept_otherwise} of {self.planned} tiles decided otherwise, pixels differ by {self.mean:.3f} gray "
            f"levels on average, {self.largest} at most, PSNR {self.psnr:.1f} dB"
        )


def difference(one: Output, other: Output) -> Difference:
    kept_otherwise = int((one.kept != other.kept).sum())
    pairs = zip(_common(one, other.kept), _common(other, one.kept), strict=True)
    absolute = squares = largest = values = 0
    for mine, yours in pairs:
        gap = np.abs(mine.astype(np.int16) - yours)
        absolute += int(gap.sum())
        squares += int((gap.astype(np.int32) ** 2).sum())
        largest = max(largest, int(gap.max()))
        values += gap.size
    psnr = 10 * np.log10(255**2 * values / squares) if squares else np.inf
    return Difference(len(one.kept), kept_otherwise, absolute / max(1, values), largest, float(psnr))


def _common(output: Output, others_kept: NDArray[np.bool_]) -> list[UInt8Array]:
    """The tiles that the other one kept too."""
    return [tile for tile, both in zip(output.tiles, others_kept[output.kept], strict=True) if both]
