"""[tile]: how a slide is cut."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import ADDED, Fraction, Table, Word
from hypoxia_hpc.config.paths import LocalPath
from hypoxia_hpc.config.series import SeriesTable
from hypoxia_hpc.config.stain import StainTable

# Of level 0 of a slide, µm per pixel. Light cannot resolve a hundredth of a µm. Tags that mean a printer's dots have
# 352.8 µm/px (72 dpi), 84.7 (300), 42.3 (600) or 21.2 (1,200); a scanner of whole slides has 10 at most.
FINEST_MPP, COARSEST_MPP = 0.01, 20.0


class TileTable(Table):
    """[tile]: how a slide is cut (the tiling rule)."""

    tile_px: int = Field(299, ge=16, le=4096, description="side of a tile in pixels at the target resolution")
    mpp: float = Field(0.5, gt=0, le=100, description="target resolution, µm per pixel (0.5 is 20x)")
    max_background: Fraction = Field(0.25, description="a tile with a larger share of background pixels is dropped")
    white: int = Field(220, ge=1, le=255, description="a pixel this light or lighter (0..255) is background")
    default_mpp: float | None = Field(
        None,
        ge=FINEST_MPP,
        le=COARSEST_MPP,
        description="µm per pixel for slides that say nothing; without it they are quarantined",
    )
    reduce: Literal["area", "decoder"] = Field(
        "area", description='"area": exact averaging; "decoder": JPEG and JPEG 2000 decode at 1/2, 1/4, 1/8 (faster)'
    )
    screen: Literal["off", "exact", "fast"] = Field(
        "exact", description='decode less: "exact" same result as "off"; "fast" also trusts a coarse level'
    )
    tissue: Literal["none", "otsu", "watershed"] = Field(
        "none", description="tissue mask on a coarse level, beside the background rule"
    )
    min_tissue: Fraction = Field(0.5, description="least share of a tile that the tissue mask covers")
    regions: LocalPath | None = Field(
        None, description="folder of QuPath GeoJSON files <slide_id>.geojson, relative to this file"
    )
    regions_rule: Literal["include", "exclude"] = Field(
        "include", description="keep what lies in the regions, or what lies outside"
    )
    region_classes: tuple[Word, ...] = Field(
        (),
        strict=False,
        description='classes of QuPath whose annotations count, as ["Tumor"]; empty: all of them. Areas of ignored '
        'classes ("Ignore*") are always left out',
        json_schema_extra=ADDED,
    )
    regions_missing: Literal["quarantine", "whole"] = Field(
        "quarantine",
        description='a slide without a file of regions, where they are included: "whole" takes all of it',
        json_schema_extra=ADDED,
    )
    min_region: Fraction = Field(0.5, description="least share of a tile inside (exclude: outside) the regions")
    max_unreadable: Fraction = Field(
        0.01, description="a slide with a larger share of tiles that do not decode is quarantined"
    )
    pixels: Literal["store", "none"] = Field(
        "store", description='"none": keep coordinates only, extract reads the pixels from the slide again'
    )
    codec: Literal["none", "lz4", "zstd", "jpeg"] = Field(
        "none", description='how the store packs pixels; "jpeg" (quality 90) changes them'
    )
    large_images: Literal["cut", "resize"] = Field(
        "cut",
        description='of images in folders, one that is no smaller than a tile: "cut" into whole tiles, or "resize" to '
        "one",
        json_schema_extra=ADDED,
    )
    small_images: Literal["stretch", "pad"] = Field(
        "stretch",
        description='how an image becomes one tile, where it is smaller or is not cut: "stretch" to its sides; "pad" '
        "keeps its proportions and fills up",
        json_schema_extra=ADDED,
    )
    pad_value: int = Field(
        255,
        ge=0,
        le=255,
        description='gray level that "pad" fills up with; it counts neither as background nor as tissue',
        json_schema_extra=ADDED,
    )
    stain: StainTable = Field(StainTable(), json_schema_extra=ADDED)
    series: SeriesTable = Field(SeriesTable(), json_schema_extra=ADDED)

    @model_validator(mode="after")
    def _keeps_the_pixels_that_it_changes(self) -> TileTable:
        if self.stain.method != "none" and self.pixels == "none":
            raise ValueError(
                '[tile.stain] changes the pixels of tiles, so a store must have them: set [tile] pixels = "store", or '
                '[tile.stain] method = "none"'
            )
        return self
