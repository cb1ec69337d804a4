"""[train.deep_kmeans]: clusters of tiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hypoxia_hpc.config.base import Table


class DeepKMeansTable(Table):
    """[train.deep_kmeans]: clusters of tiles: an autoencoder with k-means in its code space, trained jointly."""

    clusters: int = Field(10, ge=2, le=1000, description="number of clusters")
    units: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (512,), strict=False, description="widths of the encoder's hidden layers; the decoder mirrors them"
    )
    code: int = Field(32, ge=1, le=4096, description="width of the code")
    weight: float = Field(0.1, gt=0, description="weight of the clustering loss beside the reconstruction")
    learning_rate: float = Field(0.001, gt=0, description="Adam learning rate")
    pretrain_epochs: int = Field(
        5, ge=1, le=100000, description="passes with reconstruction alone, before k-means begins"
    )
    epochs: int = Field(10, ge=1, le=100000, description="passes with both losses")
    batch_size: int = Field(256, ge=2, le=1000000, description="tiles per step")
