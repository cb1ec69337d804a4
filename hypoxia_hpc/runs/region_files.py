"""Files in the folder of [tile] regions that are of no slide of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hypoxia_hpc.cohorts.naming import slide_id_from_name
from hypoxia_hpc.config import TileTable
from hypoxia_hpc.records import Slide
from hypoxia_hpc.stores.commit import machine_errors

SUFFIXES = (".geojson", ".json")
UNUSED = "files in the folder of [tile] regions that are of no slide (they are called <slide_id>.geojson), not used"


def unused_regions(table: TileTable, slides: Sequence[Slide]) -> tuple[str, ...]:
    """Their names, sorted, each with the one that it may be meant to have: ``a.svs.geojson (a.geojson?)``. Nothing
    where there are no regions, or no such folder, which `regions_path` refuses. Raises MachineError where the folder
    cannot be listed."""
    folder = Path(table.regions or "")
    if not table.regions or not folder.is_dir():
        return ()
    used = {f"{slide.slide_id}.geojson" for slide in slides}
    ids = {slide.slide_id.lower(): slide.slide_id for slide in slides}
    with machine_errors(folder):
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return tuple(_with_meant(name, ids) for name in names if name not in used)


def _with_meant(name: str, ids: Mapping[str, str]) -> str:
    """QuPath names a file by its image, with its suffix; ids have a hyphen for what is no plain letter."""
    parts = name.split(".")
    meant_for = [slide_id_from_name(".".join(parts[:n])).lower() for n in range(len(parts), 1, -1)]
    meant = next((ids[one] for one in meant_for if one in ids), "")
    return f"{name} ({meant}.geojson?)" if meant else name
