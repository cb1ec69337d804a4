"""CLAM's layout: coordinates of patches, bags of features as HDF5, and as tensors where PyTorch is installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.exports.hdf5 import new_hdf5, put_features, set_attributes
from hypoxia_hpc.exports.slide import File, Format, SlideExport, all_features


def patch_attributes(slide: SlideExport, folder: Path) -> dict[str, Any]:
    """What its readers find beside coordinates: a patch is ``patch_size`` pixels of level ``patch_level``, which is as
    large as the slide divided by its downsample, rounded."""
    plan, (width, height) = slide.attributes.plan, slide.size_l0
    size = (round(width / plan.downsample), round(height / plan.downsample)) if plan.downsample else (width, height)
    return {
        "patch_size": plan.side_level,
        "patch_level": plan.level,
        "downsample": (plan.downsample, plan.downsample),
        "downsampled_level_dim": size,
        "level_dim": size,
        "name": slide.slide.slide_id,
        "save_path": str(folder / "patches"),
    }


def _files(slide: SlideExport, folder: Path) -> Iterator[File]:
    name = slide.slide.slide_id

    yield f"patches/{name}.h5", lambda path: _write_places(slide, folder, path)
    yield f"h5_files/{name}.h5", lambda path: _write_bag(slide, path)
    if _has_torch():
        yield f"pt_files/{name}.pt", lambda path: _save_tensor(slide, path)


def _write_places(slide: SlideExport, folder: Path, path: Path) -> None:
    with new_hdf5(path) as file:
        set_attributes(file.create_dataset("coords", data=slide.xy_l0), patch_attributes(slide, folder))


def _write_bag(slide: SlideExport, path: Path) -> None:
    with new_hdf5(path) as file:
        put_features(file, "features", slide, "float32")
        file.create_dataset("coords", data=slide.xy_l0.astype(np.int32))


def _save_tensor(slide: SlideExport, path: Path) -> None:
    import torch

    if slide.features is not None:
        with path.open("wb") as file:  # of a path PyTorch would keep the name in the file
            torch.save(torch.from_numpy(all_features(slide.features)), file)


def _has_torch() -> bool:
    return find_spec("torch") is not None


def _note() -> str:
    if _has_torch():
        return ""
    return "pt_files/ is left out, for PyTorch is not installed here; CLAM makes it of h5_files/, and needs it to train"


FORMAT = Format("clam", "CLAM: patches/ID.h5, h5_files/ID.h5, pt_files/ID.pt", _files, has_classes=False, note=_note)
