"""The nouns: frozen values that the stages hand to each other. No I/O, little behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slide:
    """One row of ``slides.csv``. ``path`` is absolute, ``cost`` the expected milliseconds of one core to tile
    it, ``mpp`` the manifest's micrometres per level 0 pixel or None, ``name`` the original name for display."""

    slide_id: str
    path: Path
    patient_id: str
    cost: int
    mpp: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pyramid:
    """What a slide's header says. Sizes are (width, height) in pixels; ``bounds_l0`` is (x, y, width, height) of the
    scanned area in level 0 pixels, or None; ``mpp_x``, ``mpp_y`` in µm per level 0 pixel, or None."""

    level_sizes: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    bounds_l0: tuple[int, int, int, int] | None = None
    vendor: str = ""

    @property
    def size_l0(self) -> tuple[int, int]:
        return self.level_sizes[0]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Which squares of which level to read. ``xy_level`` and ``xy_l0`` are int64 (n, 2) top left corners in reading
    order (row by row); ``side_level`` is the side in pixels of ``level``; each square becomes ``tile_px`` pixels wide.
    ``scale`` is target mpp / slide mpp after snapping; ``mpp`` and ``mpp_source`` the resolution it was made from."""

    level: int
    downsample: float
    scale: float
    side_level: int
    tile_px: int
    columns: int
    rows: int
    xy_level: Int64Array
    xy_l0: Int64Array
    mpp: float
    mpp_source: Literal["manifest", "slide", "objective-power", "default_mpp"]
    interpolated: bool

    @property
    def n_tiles(self) -> int:
        return len(self.xy_l0)

    @property
    def side_l0(self) -> float:
        """Side of a tile in level 0 pixels (not rounded)."""
        return self.side_level * self.downsample


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of one slide, opened from its store: ``pixels`` uint8 (n, px, px, 3) readable by slice, or None where the
    store keeps none, ``xy`` int64 (n, 2) top left in level 0 pixels, ``background`` float32 (n,) in 0..1."""

    slide_id: str
    pixels: Any
    xy: Int64Array
    background: Float32Array
    attributes: Json


@dataclass(frozen=True, slots=True)
class Features:
    """Feature vectors of one slide: ``values`` float16 or float32 (n, d), ``xy`` int64 (n, 2) in level 0 pixels."""

    slide_id: str
    values: NDArray[Any]
    xy: Int64Array
    attributes: Json


@dataclass(frozen=True, slots=True)
class Patient:
    """One row of ``patients.csv``; ``label`` is 0, 1 or None where nobody knows."""

    patient_id: str
    label: int | None
    tumour_type: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """Part ``index`` of ``count`` of the slides of a run, 0 <= index < count."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one slide (or one model) in one stage. Times, hosts and seconds live here and nowhere else."""

    slide_id: str
    status: Literal["done", "quarantined"]
    key: str
    reason: str = ""
    detail: str = ""
    attempts: int = 1
    rows: int = 0
    seconds: float = 0.0
    bytes: int = 0
    host: str = ""
    finished: str = ""
    extra: Json = field(default_factory=dict)
