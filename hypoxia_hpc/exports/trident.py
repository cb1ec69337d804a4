"""TRIDENT's layout: coordinates of patches, and features by encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypoxia_hpc.exports.hdf5 import new_hdf5, put_features, set_attributes
from hypoxia_hpc.exports.slide import File, Format, SlideExport, magnification


def patch_attributes(slide: SlideExport, folder: Path) -> dict[str, Any]:
    """What its readers find beside coordinates. Magnifications are the usual ones that are nearest to µm per pixel;
    the side in level 0 pixels is that of the tiles, rounded, and so follows µm per pixel, not magnifications."""
    width, height = slide.size_l0
    return {
        "patch_size": slide.tile_px,
        "patch_size_level0": round(slide.side_l0),
        "level0_magnification": round(magnification(slide.mpp_l0)),
        "target_magnification": round(magnification(slide.target_mpp)),
        "overlap": 0,
        "name": slide.slide.slide_id,
        "savetodir": str(folder),
        "level0_width": width,
        "level0_height": height,
    }


def _files(slide: SlideExport, folder: Path) -> Iterator[File]:
    name, attributes = slide.slide.slide_id, patch_attributes(slide, folder)
    yield f"patches/{name}_patches.h5", lambda path: _write_places(slide, attributes, path)
    yield f"features_{slide.extractor}/{name}.h5", lambda path: _write_features(slide, folder, attributes, path)


def _write_places(slide: SlideExport, attributes: dict[str, Any], path: Path) -> None:
    with new_hdf5(path) as file:
        set_attributes(file.create_dataset("coords", data=slide.xy_l0), attributes)


def _write_features(slide: SlideExport, folder: Path, attributes: dict[str, Any], path: Path) -> None:
    own = {"name": slide.slide.slide_id, "savetodir": str(folder / f"features_{slide.extractor}")}
    with new_hdf5(path) as file:
        set_attributes(put_features(file, "features", slide, "float32"), {**own, "encoder": slide.extractor})
        set_attributes(file.create_dataset("coords", data=slide.xy_l0), attributes)


FORMAT = Format("trident", "TRIDENT: patches/ID_patches.h5, features_NAME/ID.h5", _files, has_classes=False)
