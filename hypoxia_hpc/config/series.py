"""[tile.series]: how gray slices of a series, as of MRI, become 8 bits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import Fraction, Table


class SeriesTable(Table):
    """[tile.series]: gray slices in series, as of MRI: one scale for each series, near-empty slices left out."""

    scale: Literal["none", "percentiles", "window"] = Field(
        "none",
        description='"percentiles": images are gray, and each series of a patient has one scale, from black to white '
        'between two percentiles of its pixels that are not zero, of all bits; "window": that of each DICOM file; '
        '"none": images are as they are',
    )
    low_percentile: float = Field(1.0, ge=0, le=100, description="what is at or below this percentile becomes black")
    high_percentile: float = Field(99.0, ge=0, le=100, description="what is at or above this percentile becomes white")
    content_level: Fraction = Field(
        0.1, description="a pixel counts as content above this share of the way from black to white"
    )
    min_content: Fraction = Field(
        0.01, description="a slice with a smaller share of content is near-empty, and left out; 0 takes all"
    )

    @property
    def is_on(self) -> bool:
        """Whether images are slices of series."""
        return self.scale != "none"

    @model_validator(mode="after")
    def _goes_up(self) -> SeriesTable:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile = {self.low_percentile:g} has to be below high_percentile = {self.high_percentile:g}"
            )
        return self
