"""Which file has the regions of a slide, and its digest: what keys need, without the libraries that read it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.tiling.geojson import read_bytes


def regions_path(table: TileTable, slide_id: str) -> Path | None:
    """Where the regions of a slide are; None where all of the slide is meant: no [tile] regions, or no file of this
    slide where that may be. Raises SlideError ``no-regions`` where it may not, or where there is no such folder."""
    if not table.regions:
        return None
    path = Path(table.regions) / f"{slide_id}.geojson"
    if path.exists():
        return path
    if not Path(table.regions).is_dir():  # else one typing error, and all that is to be left out is in
        raise SlideError(
            "no-regions",
            f"[tile] regions = {table.regions}: there is no such folder",
            remedy="mend [tile] regions in run.toml, or remove it to use all of every slide",
        )
    if table.regions_rule == "exclude" or table.regions_missing == "whole":
        return None
    raise SlideError(
        "no-regions",
        f"{path} does not exist, so it is not known which part of this slide to use",
        remedy="export its annotations from QuPath as GeoJSON under this name, or use all of such slides: "
        '[tile] regions_missing = "whole"',
    )


def regions_digest(path: Path) -> str:
    """SHA-256 (hex) of the file's bytes. Raises SlideError as ``read_regions`` does for files that cannot be read."""
    return hashlib.sha256(read_bytes(path)).hexdigest()
