"""AtlasPatch's layout: one file a slide, with the rectangle of every tile and features by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hypoxia_hpc.exports.hdf5 import new_hdf5, put_features
from hypoxia_hpc.exports.slide import File, Format, SlideExport
from hypoxia_hpc.records import Int32Array


def rectangles(slide: SlideExport) -> Int32Array:
    """x and y in level 0 pixels, width and height in pixels of the level, and the level, int32 (n, 5)."""
    side, level = slide.attributes.plan.side_level, slide.attributes.plan.level
    others = np.tile(np.array([side, side, level], dtype=np.int32), (len(slide.xy_l0), 1))
    return np.hstack([slide.xy_l0.astype(np.int32), others])


def _files(slide: SlideExport, folder: Path) -> Iterator[File]:
    def whole(path: Path) -> None:
        with new_hdf5(path) as file:
            file.create_dataset("coords", data=rectangles(slide))
            put_features(file.create_group("features"), slide.extractor, slide, "float32")

    yield f"patches/{slide.slide.slide_id}.h5", whole


FORMAT = Format("atlaspatch", "AtlasPatch: patches/ID.h5 with features/NAME", _files, has_classes=False)
