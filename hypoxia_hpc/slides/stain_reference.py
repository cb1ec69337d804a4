"""The reference of [tile.stain]: an image, or numbers that a cohort agrees on (``stain.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.slides.image_files import read_image
from hypoxia_hpc.tiling.reference_digest import reference_digest
from hypoxia_hpc.tiling.stain.methods import METHODS, target_of

NUMBERS = ".json"  # a reference with this suffix is no image


def stain_target(table: TileTable) -> Any:
    """What the slides of a run get: the fit of [tile.stain]'s reference, or the published dyes. Raises InputError where
    it cannot be read, or its fit is not trusted."""
    reference = table.stain.reference
    digest = "" if reference is None else reference_digest(Path(reference))
    return _target(table.stain.method, reference, digest, table.white)


@cache
def _target(method: str, reference: str | None, digest: str, glass: int) -> Any:
    """Once for each content."""
    try:
        if reference is not None and Path(reference).suffix == NUMBERS:
            return read_numbers(Path(reference), method)
        return target_of(method, None if reference is None else read_image(Path(reference)), glass)
    except (InputError, OSError) as error:
        remedy = (
            'name an image of tissue stained by haematoxylin and eosin, without ink; "cohort"; or the stain.json of a '
            "run with this method"
        )
        raise InputError(f"[tile.stain] reference = {reference}: {_said(error)}", remedy=remedy) from error


def _said(error: InputError | OSError) -> str:
    """Without a remedy of its own."""
    if isinstance(error, InputError):
        return error.problem
    return "it does not exist" if isinstance(error, FileNotFoundError) else str(error.strerror)


def read_numbers(path: Path, method: str) -> Any:
    """What a file of numbers gives. Raises InputError where it is of another method, or has no such numbers, OSError
    where it cannot be read."""
    usual = METHODS[method].example
    try:
        record = read_json(path)
        if (made_by := record["method"]) != method:
            raise InputError(f"it is of the method {made_by}, and [tile.stain] has {method}")
        found = {name: np.array(record["given"][name], dtype=np.float64) for name in asdict(usual)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"it holds no stain as {method} has it ({type(error).__name__}: {error})") from error
    if any(
        found[name].shape != values.shape or not np.isfinite(found[name]).all()
        for name, values in asdict(usual).items()
    ):
        raise InputError("its numbers are those of no stain")
    return type(usual)(**found)


def numbers_of(found: Any) -> Mapping[str, Any] | None:
    """The arrays of a fit as lists."""
    return None if found is None else {name: values.tolist() for name, values in asdict(found).items()}
