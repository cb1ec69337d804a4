"""Feature vectors of tiles in memory, by the networks of ``hypoxia-hpc extract``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc import records
from hypoxia_hpc.api.tiles import PixelRows, Tiles
from hypoxia_hpc.config import RunConfig, parse_config
from hypoxia_hpc.config.paths import with_paths
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.models.extraction import checked_cast
from hypoxia_hpc.networks.inference.device import device_of
from hypoxia_hpc.networks.inference.feeding import SlicedTiles, TileRows, features_of
from hypoxia_hpc.records import Int64Array, UInt8Array
from hypoxia_hpc.stages.extract import device_plan

LOG = logging.getLogger("hypoxia_hpc")


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Feature vectors of the tiles of one slide.

    Attributes:
        slide_id: Name of the slide, "" for tiles that were given as an array.
        values: float16 or float32 (n, d), a row for each tile.
        xy_l0: int64 (n, 2), top left corner of each tile in level 0 pixels, or None for tiles given as an array.
    """

    slide_id: str
    values: NDArray[Any]
    xy_l0: Int64Array | None

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"<Features of {self.slide_id or 'an array'}: {self.values.dtype} {self.values.shape}>"


def extract(
    tiles: Tiles | UInt8Array,
    backbone: str = "inception_v3",
    weights: str | PathLike[str] = "imagenet",
    *,
    weights_folder: str | PathLike[str] | None = None,
    **settings: Any,
) -> Features:
    """Feature vectors of tiles by a network without its top, average-pooled, as ``hypoxia-hpc extract`` makes them.

    Equal settings give the same bits as a run, on the same machine. The network stays in memory for the next call with
    the same settings. Random weights (``weights="random"``) are for tests; a warning is logged once.

    Args:
        tiles: Tiles with pixels, or uint8 (n, px, px, 3), RGB, n 1 or more.
        backbone: Network, named as in [extract]: "inception_v3", "resnet50", "vgg16", "densenet121", another of
            keras.applications, one that an installed package adds, or "timm:NAME".
        weights: "imagenet" (the published file, which ``hypoxia-hpc weights fetch`` stores), the path of a .weights.h5
            or .safetensors file (give ``weights_sha256`` too), or "random".
        weights_folder: Folder of published weight files. Default: $HYPOXIA_HPC_WEIGHTS, else ~/.keras/models.
        **settings: Other entries of the [extract] table: ``weights_sha256``, ``seed`` (0), ``batch_size`` (32),
            ``dtype`` ("float16"), ``precision`` ("auto"), ``xla`` (False).

    Returns:
        Features, float16 by default, (n, d); d is 2,048 for inception_v3 and resnet50, 512 for vgg16.

    Raises:
        InputError: A network or entry that is not known, or tiles of another shape or type, or too small for it.
        MachineError: The weights are not on this machine, or Keras has no backend.
        NotReadyError: The weights are not the file that was expected.
        SlideError: ``non-finite-features``, ``float16-overflow``.

    Example:
        >>> hx.extract(tiles, backbone="resnet50").values.shape
        (112, 2048)
    """
    pixels = _pixels(tiles)
    config = _config(pixels, {"backbone": backbone, "weights": str(weights), **settings}, weights_folder)
    values = _values(pixels, config)
    return Features(tiles.slide_id, values, tiles.xy_l0) if isinstance(tiles, Tiles) else Features("", values, None)


def stored_features(features: records.Features) -> Features:
    """Features that were read from a store."""
    return Features(features.slide_id, features.values, features.xy)


@contextmanager
def _opened(pixels: PixelRows) -> Iterator[TileRows]:
    yield SlicedTiles(pixels)


def _pixels(tiles: Tiles | UInt8Array) -> PixelRows:
    pixels = tiles.pixels if isinstance(tiles, Tiles) else tiles
    if pixels is None:
        raise InputError(f"{tiles!r}: the store keeps no pixels", remedy='tile with [tile] pixels = "store"')
    shape = pixels.shape
    is_uint8 = not isinstance(pixels, np.ndarray) or pixels.dtype == np.uint8
    if not is_uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not shape[0]:
        given = f"{getattr(pixels, 'dtype', '')} {shape}"
        raise InputError(f"tiles are {given}: must be uint8 (n, px, px, 3), n 1 or more", remedy="see hx.tile")
    return pixels


def _values(pixels: PixelRows, config: RunConfig) -> NDArray[Any]:
    plan, spec = device_plan(config, usable_cores())
    if spec["weights_digest"].startswith("random:"):
        _note_random(config.extract.backbone)
    extracted = features_of(device_of(plan), lambda: _opened(pixels), lambda done: None)
    return checked_cast(extracted.values, config.extract.dtype)


@cache
def _note_random(backbone: str) -> None:
    """Once for each network."""
    LOG.warning("%s: RANDOM weights, not a trained network. Fit for a test, not for results.", backbone)


def _config(pixels: PixelRows, table: dict[str, Any], folder: str | PathLike[str] | None) -> RunConfig:
    site = {} if folder is None else {"weights": str(folder)}
    raw = {"tile": {"tile_px": pixels.shape[1]}, "extract": table, "site": site}
    return with_paths(parse_config(raw, source="hx.extract"), Path(), "hx.extract")
