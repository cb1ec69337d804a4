"""Whether files with features agree with each other and with run.toml: features of other tiles are other features."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import InputError, some
from hypoxia_hpc.imports.feature_files import FeatureFile
from hypoxia_hpc.imports.matching import ImportSource

# Scanners differ by some percent in µm per pixel at the same magnification; the next magnification is half or double.
MPP_FACTOR = 1.2
EXAMPLES = 3
PX, RESOLUTION, ENCODER = "patch size in px", "µm per pixel", "encoder"


def refuse_disagreeing(sources: Mapping[str, ImportSource], config: RunConfig) -> None:
    """Raises InputError where files differ in what makes their features comparable, or run.toml says otherwise, with
    the lines that it needs."""
    said = _said(one for source in sources.values() for one in (source.features, source.places) if one is not None)
    mixed = [f"{what}: {_listed(found)}" for what, found in said.items() if _differ(what, found)]
    refuse(
        "the files with features differ, so that their features cannot be compared",
        mixed,
        "import those of one kind alone; the others go to another run",
    )
    known = {what: _of_most(found) for what, found in said.items()}
    if wrong := list(_unlike(known, config)):
        raise InputError(
            f"run.toml and the files with features differ: {'; '.join(wrong)}",
            remedy="write into run.toml:\n" + _lines(known, config) + _others(said[RESOLUTION], known[RESOLUTION]),
        )


def _said(given: Iterable[FeatureFile]) -> dict[str, dict[Any, list[FeatureFile]]]:
    """What files say, each value with the files that do."""
    files = list(given)
    return {
        PX: _by(files, lambda one: one.tile_px),
        RESOLUTION: _by(files, lambda one: None if one.mpp is None else round(one.mpp, 3)),
        "values in a vector": _by(files, lambda one: one.length or None),
        ENCODER: _by(files, lambda one: _name(one.encoder) or None),
    }


def _by(files: Iterable[FeatureFile], what: Callable[[FeatureFile], Any]) -> dict[Any, list[FeatureFile]]:
    found: dict[Any, list[FeatureFile]] = defaultdict(list)
    for one in files:
        if (value := what(one)) is not None:
            found[value].append(one)
    return dict(sorted(found.items()))


def _differ(what: str, found: Mapping[Any, list[FeatureFile]]) -> bool:
    if what == RESOLUTION:
        return bool(found) and max(found) > MPP_FACTOR * min(found)
    return len(found) > 1


def _of_most(found: Mapping[Any, list[FeatureFile]]) -> Any:
    """What most files say; None where none says it."""
    return max(found, key=lambda value: len(found[value]), default=None)


def _others(found: Mapping[Any, list[FeatureFile]], value: Any) -> str:
    """The files that say another resolution than most, near enough to be taken."""
    others = {other: files for other, files in found.items() if other != value}
    return f"\n({RESOLUTION}: {value:g} in most files; {_listed(others)})" if others else ""


def _listed(found: Mapping[Any, list[FeatureFile]]) -> str:
    return "; ".join(
        f"{value} in {some(len(files), 'file')} ({', '.join(str(one.path) for one in files[:EXAMPLES])}"
        f"{', ...' if len(files) > EXAMPLES else ''})"
        for value, files in found.items()
    )


def _name(encoder: str) -> str:
    """As a name of run.toml can be."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", encoder).lstrip("._-")[:128]


def _unlike(known: Mapping[str, Any], config: RunConfig) -> Iterable[str]:
    px, mpp, encoder = (known[what] for what in (PX, RESOLUTION, ENCODER))
    table = config.extract
    if not table.imported:
        yield f'[extract] backbone = "{table.backbone}", of which `extract` makes the features'
    elif encoder is not None and encoder != table.imported:
        yield f'[extract] backbone = "{table.backbone}", and the files are by {encoder}'
    if px is not None and px != config.tile.tile_px:
        yield f"[tile] tile_px = {config.tile.tile_px}, and patches have {px} px"
    if mpp is not None and not 1 / MPP_FACTOR <= mpp / config.tile.mpp <= MPP_FACTOR:
        yield f"[tile] mpp = {config.tile.mpp:g}, and patches have {mpp:g} µm per pixel"


def _lines(known: Mapping[str, Any], config: RunConfig) -> str:
    name = known[ENCODER] or config.extract.imported or "features"
    px, mpp = known[PX] or config.tile.tile_px, known[RESOLUTION] or config.tile.mpp
    return (
        f'[tile]\ntile_px = {px}\nmpp = {mpp:g}\n[extract]\nname = "{name}"\nbackbone = "{IMPORTED}{name}"\n'
        "(the other entries stay)"
    )
