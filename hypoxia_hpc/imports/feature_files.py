"""What a file with features of another tool is: recognised by the names of its data sets and its attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypoxia_hpc.imports.hdf5 import (
    Said,
    begins_with,
    item_below,
    names_in,
    opened_hdf5,
    own_item,
    said_by,
    scalars_in,
    unfit,
)

if TYPE_CHECKING:
    from hypoxia_hpc.imports.hdf5 import Hdf5File

MOST_TILES, MOST_LENGTH, MOST_BYTES = 2**22, 2**15, 2**32
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# A tensor of PyTorch is a ZIP archive; before PyTorch 1.6 it was a pickle of protocol 2.
TENSOR_MAGICS = (b"PK\x03\x04", b"\x80\x02")
MPP_AT_1X = 10.0
KNOWN = (
    "CLAM has features and coords, TRIDENT these with patch_size_level0, STAMP feats and coords in µm, AtlasPatch a "
    "group features and coords of five columns, AnnData X and obsm"
)
# What `export --to anndata` says of tiles beside their table.
ANNDATA_SAYS = ("uns", "hypoxia_hpc")


@dataclass(frozen=True, slots=True)
class FeatureFile:
    """What one file has. ``features`` and ``coords``: paths of its data sets, "" where it has none; of the features of
    a tensor no more is known. ``n`` tiles, vectors of ``length`` values. ``in_um``: coordinates are µm, else pixels of
    level 0; ``at_middle``: those of the middle of a tile, else of its top left. ``tile_px``: side of a tile as the
    network saw it; ``side_l0`` in level 0 pixels, ``side_um`` in µm; ``level`` that was read, with ``side_level`` and
    ``downsample``; ``mpp`` of a tile and ``mpp_l0`` as magnifications tell; ``step``: smallest distance of tiles over
    their side. None or 0 where it is not said."""

    path: Path
    layout: str
    n: int = 0
    length: int = 0
    features: str = ""
    coords: str = ""
    encoder: str = ""
    in_um: bool = False
    at_middle: bool = False
    tile_px: int | None = None
    side_l0: float | None = None
    side_um: float | None = None
    level: int = 0
    side_level: int = 0
    downsample: float = 0.0
    mpp: float | None = None
    mpp_l0: float | None = None
    step: float | None = None
    size_l0: tuple[int, int] | None = None


@dataclass(slots=True)
class _Opened:
    """A file whose layout is being found; ``said``: attributes of the file, of coords and of features."""

    path: Path
    file: Hdf5File
    wanted: str
    features: str = ""
    coords: str = ""
    said: Said = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """An attribute that is a number above 0."""
        value = self.said.get(name)
        return value if isinstance(value, float) and value > 0 else None

    def whole(self, name: str) -> int | None:
        value = self.number(name)
        return None if value is None else round(value)

    def text(self, *names: str) -> str:
        return next((value for name in names if isinstance(value := self.said.get(name), str)), "")


def described(path: Path, wanted: str) -> FeatureFile:
    """What a file has; ``wanted`` is the features to take where it has several. Raises SlideError for a file of no
    known layout, with links, other types or shapes than features have, or that cannot be read."""
    magic = begins_with(path, len(HDF5_MAGIC))
    if magic.startswith(TENSOR_MAGICS):
        return FeatureFile(path, "tensor", features="tensor")
    if magic != HDF5_MAGIC:
        raise unfit(path, "neither HDF5 nor a tensor of PyTorch")
    with opened_hdf5(path) as file:
        opened = _Opened(path, file, wanted)
        _find_sets(opened)
        made = LAYOUTS[_layout(opened)](opened)
        return _with_shapes(opened, made)


def _find_sets(opened: _Opened) -> None:
    """Raises SlideError where it is not clear which are features and coordinates."""
    path, file = opened.path, opened.file
    if said_by(file).get("encoding-type") == "anndata":
        _find_anndata_sets(opened)
        return
    found = {name: own_item(file, name, path) for name in ("features", "feats", "coords")}
    there = [name for name in ("features", "feats") if found[name] is not None]
    if len(there) == 2 or not any(item is not None for item in found.values()):
        what = "features and feats both" if len(there) == 2 else f"{', '.join(names_in(file)) or 'nothing'}"
        raise unfit(path, f"it has {what}; {KNOWN}")
    opened.features = there[0] if there else ""
    opened.coords = "coords" if found["coords"] is not None else ""
    if opened.features and not _is_set(found[opened.features]):
        opened.features = _set_in_group(opened)
    for item in (file, found["coords"], file[opened.features] if opened.features else None):
        opened.said |= said_by(item) if item is not None else {}


def _find_anndata_sets(opened: _Opened) -> None:
    """Raises SlideError for an AnnData of which it is not clear where its tiles lie."""
    path, places = opened.path, ("obsm", "spatial")
    if not _is_set(own_item(opened.file, "X", path)):
        raise unfit(path, "an AnnData whose X is sparse or missing, and features are dense", "write X as an array")
    says = item_below(opened.file, ANNDATA_SAYS, path)
    if not _is_set(item_below(opened.file, places, path)) or says is None or _is_set(says):
        raise unfit(
            path,
            'an AnnData without obsm["spatial"], or without uns["hypoxia_hpc"], which says how large tiles are: '
            "`export --to anndata` writes both",
            'write the middle of each tile in pixels of level 0 as obsm["spatial"], and uns["hypoxia_hpc"] = '
            '{"side_l0": side of a tile in these pixels}',
        )
    opened.features, opened.coords = "X", "/".join(places)
    opened.said |= scalars_in(says, path)
    if opened.number("side_l0") is None:
        raise unfit(path, 'its uns["hypoxia_hpc"] has no side_l0: how large tiles are is not known')


def _is_set(item: object) -> bool:
    return hasattr(item, "dtype")


def _set_in_group(opened: _Opened) -> str:
    """The features that are wanted; where there is one alone, that."""
    group = opened.file[opened.features]
    names = names_in(group)
    name = opened.wanted if opened.wanted in names else names[0] if len(names) == 1 else ""
    if not name or not _is_set(own_item(group, name, opened.path)):
        raise unfit(
            opened.path,
            f"its group features has {', '.join(names) or 'nothing'}, and {opened.wanted} is asked for",
            'name one of them: [extract] backbone = "imported:NAME"',
        )
    return f"{opened.features}/{name}"


def _layout(opened: _Opened) -> str:
    if opened.features == "X":
        return "anndata"
    if opened.features == "feats":
        return "stamp"
    if "/" in opened.features:
        return "atlaspatch"
    return "trident" if "patch_size_level0" in opened.said else "clam"


def _clam(opened: _Opened) -> FeatureFile:
    side, downsample = opened.whole("patch_size"), opened.number("downsample")
    level, width, height = (opened.number(name) or 0.0 for name in ("patch_level", "level_dim", "level_dim[1]"))
    made = FeatureFile(opened.path, "clam", tile_px=side, level=round(level), side_level=side or 0)
    if downsample is None:
        return made
    size = (round(width * downsample), round(height * downsample)) if width and height else None
    return replace(made, downsample=downsample, side_l0=side * downsample if side else None, size_l0=size)


def _trident(opened: _Opened) -> FeatureFile:
    px, overlap = opened.whole("patch_size"), opened.said.get("overlap")
    target, source = opened.number("target_magnification"), opened.number("level0_magnification")
    width, height = opened.whole("level0_width"), opened.whole("level0_height")
    return FeatureFile(
        opened.path,
        "trident",
        encoder=opened.text("encoder"),
        tile_px=px,
        side_l0=opened.number("patch_size_level0"),
        mpp=MPP_AT_1X / target if target else None,
        mpp_l0=MPP_AT_1X / source if source else None,
        step=1 - overlap / px if px and isinstance(overlap, float) and 0 <= overlap < px else None,
        size_l0=(width, height) if width and height else None,
    )


def _stamp(opened: _Opened) -> FeatureFile:
    if (kind := opened.text("feat_type")) not in ("", "tile"):
        raise unfit(opened.path, f"its vectors are of a {kind[:40]}, not of tiles", "give the files of tiles")
    if opened.text("unit") != "um":
        raise unfit(opened.path, "STAMP's feats, and its unit is not um: it is of before STAMP 2")
    px, side_um = opened.whole("tile_size_px"), opened.number("tile_size_um")
    return FeatureFile(
        opened.path,
        "stamp",
        encoder=opened.text("extractor"),
        in_um=True,
        tile_px=px,
        side_um=side_um,
        mpp=side_um / px if px and side_um else None,
    )


def _atlaspatch(opened: _Opened) -> FeatureFile:
    width, level = _first_square(opened)
    return FeatureFile(
        opened.path,
        "atlaspatch",
        encoder=opened.features.partition("/")[2],
        tile_px=opened.whole("patch_size"),
        side_l0=opened.number("patch_size_level0") or (float(width) if level == 0 else None),
        level=level,
        side_level=width,
        downsample=1.0 if level == 0 else 0.0,
    )


def _anndata(opened: _Opened) -> FeatureFile:
    px, side, mpp = opened.whole("tile_px"), opened.number("side_l0"), opened.number("mpp_l0")
    width, height = opened.whole("size_l0"), opened.whole("size_l0[1]")
    return FeatureFile(
        opened.path,
        "anndata",
        encoder=opened.text("extractor"),
        at_middle=True,
        tile_px=px,
        side_l0=side,
        mpp=side * mpp / px if px and side and mpp else None,
        mpp_l0=mpp,
        size_l0=(width, height) if width and height else None,
    )


def _first_square(opened: _Opened) -> tuple[int, int]:
    """Side of the first tile and its level. Raises SlideError."""
    if not opened.coords or not _coords_shape(opened, 5):
        raise unfit(opened.path, "a group features without coords (x, y, read_w, read_h, level)")
    _, _, width, height, level = np.nan_to_num(opened.file[opened.coords][0], nan=-1).astype(np.int64).tolist()
    if width != height or width <= 0 or level < 0:
        raise unfit(opened.path, f"its first tile is {width} x {height} px of level {level}, which is no square")
    return width, level


LAYOUTS: dict[str, Callable[[_Opened], FeatureFile]] = {
    "clam": _clam,
    "trident": _trident,
    "stamp": _stamp,
    "atlaspatch": _atlaspatch,
    "anndata": _anndata,
}


def _with_shapes(opened: _Opened, made: FeatureFile) -> FeatureFile:
    """With the numbers of tiles and values. Raises SlideError where they are not those of features."""
    lengths = {}
    if opened.coords:
        lengths["coords"] = _coords_shape(opened, 5 if made.layout == "atlaspatch" else 2)
    length = 0
    if opened.features:
        lengths[opened.features], length = _features_shape(opened)
    if len(set(lengths.values())) > 1:
        said = " and ".join(f"{n:,} rows in {name}" for name, n in lengths.items())
        raise unfit(opened.path, f"it has {said}, which should be as many")
    n = next(iter(lengths.values()))
    if n == 0:
        raise unfit(opened.path, "it has no tile", "leave it out")
    return replace(made, n=n, length=length, features=opened.features, coords=opened.coords)


def _coords_shape(opened: _Opened, columns: int) -> int:
    item = opened.file[opened.coords]
    if not _is_set(item) or item.ndim != 2 or item.shape[1] != columns or item.dtype.kind not in "iuf":
        raise unfit(opened.path, f"its coords are {_shown(item)}, and not numbers in {columns} columns")
    return _few(opened, int(item.shape[0]))


def _features_shape(opened: _Opened) -> tuple[int, int]:
    item = opened.file[opened.features]
    if item.ndim != 2 or item.dtype.kind != "f" or item.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise unfit(opened.path, f"its {opened.features} are {_shown(item)}, and not (tiles, values) of 16 to 64 bits")
    n, length = _few(opened, int(item.shape[0])), int(item.shape[1])
    if not 0 < length <= MOST_LENGTH or n * length * np.dtype(np.float32).itemsize > MOST_BYTES:
        raise unfit(opened.path, f"it claims {n:,} vectors of {length:,} values, which no slide has")
    return n, length


def _few(opened: _Opened, n: int) -> int:
    if n > MOST_TILES:
        raise unfit(opened.path, f"it claims {n:,} tiles, which no slide has (most: {MOST_TILES:,})")
    return n


def _shown(item: object) -> str:
    return f"{getattr(item, 'dtype', 'a group')} {getattr(item, 'shape', '')}".strip()
