"""STAMP's layout: one file a slide, coordinates in µm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hypoxia_hpc.exports.hdf5 import new_hdf5, put_features, set_attributes
from hypoxia_hpc.exports.slide import File, Format, SlideExport
from hypoxia_hpc.records import Json

# The version whose layout this is; it refuses files of versions after its own.
LAYOUT = "2.1.0"


def _files(slide: SlideExport, folder: Path) -> Iterator[File]:
    mpp = slide.mpp_l0

    def whole(path: Path) -> None:
        with new_hdf5(path) as file:
            file.create_dataset("coords", data=(slide.xy_l0 * mpp).astype(np.float32))
            put_features(file, "feats", slide, "float16")
            attributes: Json = {"stamp_version": LAYOUT, "extractor": slide.extractor, "unit": "um"}
            attributes |= {"tile_size_um": slide.side_l0 * mpp, "tile_size_px": slide.tile_px}
            key = "" if slide.features is None else str(slide.features.attributes.get("key", ""))
            set_attributes(file, {**attributes, "code_hash": key[:8], "feat_type": "tile"})

    yield f"{slide.extractor}/{slide.slide.slide_id}.h5", whole


FORMAT = Format("stamp", "STAMP: NAME/ID.h5, coordinates in µm", _files, has_classes=False)
