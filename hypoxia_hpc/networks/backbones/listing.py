"""Every network that goes by a name here, with what is known of it. Keras, PyTorch and timm are not imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.networks.backbones.check import has_file
from hypoxia_hpc.networks.backbones.fetched import fetched_path
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.resolve import own_networks

OF_KERAS = "of keras.applications"


@dataclass(frozen=True, slots=True)
class Listed:
    """One network: ``input_px`` that it sees of a tile, 0 for any; ``mpp`` in µm/px and ``tile_px`` as its makers
    recommend them, 0 where they say nothing; ``weights`` is the file's path, or the one where it would lie."""

    name: str
    feature_length: int
    input_px: int
    mpp: float
    tile_px: int
    precision: str
    licence: str
    gate: str
    repository: str
    file: str
    paper: str
    unchecked: tuple[str, ...]
    checked: tuple[str, ...]
    weights: str
    weights_here: bool


def listed_networks(folder: Path) -> list[Listed]:
    """Foundation models of pathology, then the networks of keras.applications and our own; ``folder`` is that of
    weights."""
    return [*_foundation(folder), *_own(folder)]


def _foundation(folder: Path) -> list[Listed]:
    return [
        Listed(
            name,
            one.feature_length,
            one.network.seen.px if one.network.seen else 0,
            one.mpp,
            one.tile_px,
            one.precision,
            one.licence,
            one.gate,
            one.repository,
            one.file,
            one.paper,
            one.unchecked,
            one.checked,
            str(fetched_path(name, folder)),
            fetched_path(name, folder).is_file(),
        )
        for name, one in MODELS.items()
    ]


def _own(folder: Path) -> list[Listed]:
    return [
        Listed(
            name,
            one.feature_length,
            one.px or 0,
            0.0,
            0,
            "float32",
            OF_KERAS if one.known is None or not one.known.package else "Apache-2.0",
            "",
            "",
            "",
            "",
            (),
            (),
            str(folder / one.known.name) if one.known else "",
            one.known is not None and has_file(name, one.known, folder),
        )
        for name, one in sorted(own_networks().items())
    ]
