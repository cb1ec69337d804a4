"""[train.contrastive]: clusters of tiles, the study of small cell lung cancer's way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hypoxia_hpc.config.base import Table

Dropout = Annotated[float, Field(ge=0, lt=1)]
Noise = Annotated[float, Field(ge=0, le=1)]


class ContrastiveTable(Table):
    """[train.contrastive]: clusters of tiles: those that two disturbed views of a tile agree on, on frozen features."""

    clusters: int = Field(50, ge=2, le=1000, description="number of clusters")
    units: int = Field(2048, ge=1, le=65536, description="width of the hidden layer")
    dropout: tuple[Dropout, Dropout] = Field(
        (0.1, 0.3), strict=False, description="share of a tile's features that is set to the mean, in view A and view B"
    )
    noise: tuple[Noise, Noise] = Field(
        (0.5, 1.0),
        strict=False,
        description="standard deviation of what is added to each feature, in units of the feature's own, in view A and "
        "view B",
    )
    learning_rate: float = Field(0.0005, gt=0, description="largest AdamW learning rate, after the warm steps")
    epochs: int = Field(100, ge=1, le=100000, description="passes over the training tiles")
    batch_size: int = Field(256, ge=2, le=1000000, description="tiles per step; the study's own is 8")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description='"bfloat16": mixed precision, weights stay float32'
    )
