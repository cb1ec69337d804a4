"""The operations of a run's network: counted once, and kept in the run, since counting them imports Keras."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypoxia_hpc.config import RunConfig, canonical_json
from hypoxia_hpc.errors import HypoxiaError
from hypoxia_hpc.networks.backbones.operations import count_operations
from hypoxia_hpc.networks.backbones.resolve import find_network
from hypoxia_hpc.reading import read_counts
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.commit import committed_file

COUNT = "multiply_adds"


def network_operations(run: RunDir, config: RunConfig) -> int | None:
    """Multiply-adds of [extract]'s network for a tile. None where they cannot be counted: the network has layers of
    which nothing is known, or it cannot be built here. Raises what :func:`find_network` does."""
    name, tile_px = config.extract.backbone, config.tile.tile_px
    network: Json = {"network": name, "rule": find_network(name).rule, "tile_px": tile_px}
    file = run.receipts("estimate") / "operations.json"
    kept = _read(file)
    if kept is not None and {**network, COUNT: kept.get(COUNT)} == kept:
        operations: int | None = kept[COUNT]
        return operations
    try:
        operations = count_operations(name, tile_px)
    except Exception:  # noqa: BLE001 - no Keras here, or the network of another package, which may raise anything
        return None
    with suppress(HypoxiaError):  # a full disk, or a run that may not be written: it is counted again
        committed_file(file, canonical_json({**network, COUNT: operations}).encode())
    return operations


def _read(file: Path) -> Json | None:
    """What was kept; None where there is nothing, or it is damaged."""
    try:
        kept = read_counts(file)
    except (OSError, ValueError):
        return None
    is_sound = isinstance(kept, dict) and COUNT in kept and isinstance(kept[COUNT], int | None)
    return kept if is_sound else None
