"""What formats are made of: one slide with its tiles, what is said of them, and their features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.records import Float32Array, Int64Array, Slide
from hypoxia_hpc.stores.attributes import TileAttributes
from hypoxia_hpc.stores.features import FeatureRows

# µm per pixel at 1x: what objectives are called by (0.25 µm/px is 40x).
MPP_AT_1X = 10.0
POWERS = (1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0)
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class SlideExport:
    """``xy_l0`` int64 (n, 2): top left of each tile in level 0 pixels. ``said``: a row for each tile and a column for
    each number that is known of it (probabilities by ``MODEL: OUTPUT``, ``cluster``); NaN where it is not.
    ``classes``: number of the class that each tile is called, -1 for none, with ``names``. ``features`` where the
    format needs them, by the extractor of this name."""

    slide: Slide
    attributes: TileAttributes
    xy_l0: Int64Array
    said: pd.DataFrame
    classes: Int64Array
    names: tuple[str, ...]
    extractor: str
    features: FeatureRows | None

    @property
    def side_l0(self) -> float:
        """Side of a tile in level 0 pixels."""
        return float(self.attributes.plan.side_l0 or 0)

    @property
    def tile_px(self) -> int:
        """Side of a tile in its own pixels."""
        return int(self.attributes.spec["tile_px"])

    @property
    def target_mpp(self) -> float:
        """µm per pixel of a tile."""
        return float(self.attributes.spec["mpp"])

    @property
    def mpp_l0(self) -> float:
        """µm per level 0 pixel. Raises SlideError where it is not known."""
        if self.attributes.slide.mpp is None:
            raise SlideError(
                "no-mpp",
                f"the µm per pixel of {self.slide.slide_id} are not known, and this format has them",
                remedy="a column mpp in slides.csv, then tile again",
            )
        return self.attributes.slide.mpp

    @property
    def size_l0(self) -> tuple[int, int]:
        """Width and height in level 0 pixels. Raises SlideError where neither the store nor the slide say it."""
        if self.attributes.slide.size_l0 is None:
            raise SlideError(
                "slide-gone",
                f"how large {self.slide.slide_id} is stands neither in its tile store nor in a slide at "
                f"{self.slide.path}",
                remedy="bring the slide there, or mend its path in slides.csv",
            )
        return self.attributes.slide.size_l0


File = tuple[str, Callable[[Path], None]]
Files = Callable[[SlideExport, Path], Iterator[File]]


@dataclass(frozen=True, slots=True)
class Format:
    """``files``: of a slide, path of each file below the folder of the export, and what writes it. ``has_features``:
    it has those; ``has_classes``: and the class of each tile. ``has_places``: coordinates are pixels of a slide, so
    that images in folders have no place in it. ``library``: a Python package that it goes by, of the extra of the
    same name. ``note``: said once."""

    name: str
    help: str
    files: Files
    has_features: bool = True
    has_classes: bool = True
    has_places: bool = True
    library: str = ""
    note: Callable[[], str] = str  # says nothing


def magnification(mpp: float) -> float:
    """The usual power of an objective with ``mpp`` µm per pixel, the nearest on a scale of ratios."""
    return min(POWERS, key=lambda power: abs(np.log(power * mpp / MPP_AT_1X)))


def all_features(rows: FeatureRows) -> Float32Array:
    """The features of a slide (n, d) as float32, in memory once. Raises SlideError for a damaged store."""
    found = np.empty((rows.n, rows.feature_length), dtype=np.float32)
    for start, part in feature_parts(rows):
        found[start : start + len(part)] = part
    return found


def feature_parts(rows: FeatureRows) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """The features of a slide some rows at a time, each with the number of its first row. Raises SlideError for a
    damaged store."""
    for start in range(0, rows.n, ROWS_AT_ONCE):
        part = np.empty((min(ROWS_AT_ONCE, rows.n - start), rows.feature_length), dtype=rows.dtype)
        rows.read_into(start, start + len(part), part)
        yield start, part
