"""Whether tiles are those that the makers of a foundation model recommend. Pure."""

from __future__ import annotations

from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS

# Of µm/px: 20x is 0.5 on one scanner and 0.46 on another.
LIKE = 0.1


def advice_of(config: RunConfig) -> str:
    """:func:`advice_on_tiles` of what run.toml says; images in folders have no µm/px."""
    mpp = None if config.source.kind == "folders" else config.tile.mpp
    return advice_on_tiles(config.extract.backbone, config.tile.tile_px, mpp)


def advice_on_tiles(backbone: str, tile_px: int, mpp: float | None) -> str:
    """A sentence where tiles of ``tile_px`` at ``mpp`` µm/px (None: not known) are others than recommended; empty where
    they are like them, or for a network of which nothing is known."""
    model = MODELS.get(backbone)
    if model is None:
        return ""
    side_um, recommended_um = (mpp or model.mpp) * tile_px, model.mpp * model.tile_px
    is_like = mpp is not None and abs(mpp / model.mpp - 1) <= LIKE and abs(side_um / recommended_um - 1) <= 2 * LIKE
    if is_like:
        return ""
    has = f"{tile_px} px at {mpp:g} µm/px" if mpp is not None else f"{tile_px} px at a resolution that is not known"
    return (
        f"{backbone} was trained for tiles of {model.tile_px} px at {model.mpp:g} µm/px; those of this run have {has}, "
        "and how good its features are there is not known."
    )
