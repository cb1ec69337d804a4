"""AnnData: tiles by features, as scanpy and squidpy open it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hypoxia_hpc.exports.slide import File, Format, SlideExport, all_features
from hypoxia_hpc.exports.tables import tile_table
from hypoxia_hpc.records import Json


def _files(slide: SlideExport, folder: Path) -> Iterator[File]:
    yield f"{slide.slide.slide_id}.h5ad", lambda path: _write(slide, path)


def _write(slide: SlideExport, path: Path) -> None:
    """``X`` float32 (n, d); ``obs`` is the table of tiles; ``obsm["spatial"]`` has the middle of each tile in level 0
    pixels, as squidpy's spots have it; ``uns["hypoxia_hpc"]`` the side of a tile in level 0 pixels and in its own and,
    where they are known, µm per level 0 pixel and the slide's width and height in these."""
    from anndata import AnnData

    if slide.features is None:
        raise ValueError("a format without features")
    obs = tile_table(slide)
    obs.index = [f"{slide.slide.slide_id}:{x}:{y}" for x, y in slide.xy_l0.tolist()]
    header = slide.attributes.slide
    about: Json = {"slide_id": slide.slide.slide_id, "extractor": slide.extractor}
    about |= {"side_l0": slide.side_l0, "tile_px": slide.tile_px}
    about |= {} if header.mpp is None else {"mpp_l0": header.mpp}
    about |= {} if header.size_l0 is None else {"size_l0": np.array(header.size_l0)}
    made = AnnData(
        X=all_features(slide.features),
        obs=obs,
        obsm={"spatial": slide.xy_l0 + slide.side_l0 / 2},
        uns={"hypoxia_hpc": about},
    )
    made.write_h5ad(path)


FORMAT = Format(
    "anndata",
    "AnnData: ID.h5ad, tiles by features, for scanpy and squidpy",
    _files,
    has_places=False,
    library="anndata",
)
