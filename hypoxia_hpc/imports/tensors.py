"""Tensors of PyTorch that hold features, as CLAM keeps them: read where PyTorch is installed, numbers alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.imports.feature_files import MOST_BYTES, MOST_LENGTH, MOST_TILES
from hypoxia_hpc.imports.hdf5 import unfit


def can_read_tensors() -> bool:
    """Is PyTorch installed?"""
    return find_spec("torch") is not None


def read_tensor(path: Path) -> NDArray[Any]:
    """Features (n, d), float16, float32 or float64. Nothing in the file is executed. Raises SlideError for another
    content."""
    import torch

    if path.stat().st_size > 2 * MOST_BYTES:
        raise unfit(path, f"{path.stat().st_size:,} bytes, more than the features of a slide")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - what is no tensor of numbers alone raises anything
        why = str(error).partition("\n")[0][:200]
        raise unfit(path, f"no tensor that can be read without executing what is in it ({why})") from None
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or not found.is_floating_point():
        raise unfit(path, f"{type(found).__name__} in place of a tensor (tiles, values) of floating point")
    if found.shape[0] not in range(1, MOST_TILES + 1) or found.shape[1] not in range(1, MOST_LENGTH + 1):
        raise unfit(path, f"a tensor of {tuple(found.shape)}, which no slide has")
    return np.asarray((found.float() if found.dtype == torch.bfloat16 else found).numpy())
