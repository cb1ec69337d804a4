"""[train.kmeans] and [train.mini_batch_kmeans]: clusters of tiles to compare others with."""

from __future__ import annotations

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import Table


class KMeansTable(Table):
    """[train.kmeans]: clusters of tiles by k-means on their features, each feature at spread 1."""

    clusters: int = Field(10, ge=2, le=1000, description="number of clusters")
    most_tiles: int = Field(
        100_000, ge=2, le=10_000_000, description="training tiles that it sees, drawn at random; all are in memory"
    )


class MiniBatchKMeansTable(Table):
    """[train.mini_batch_kmeans]: clusters of tiles by k-means in small steps, which sees all training tiles."""

    clusters: int = Field(10, ge=2, le=1000, description="number of clusters")
    epochs: int = Field(3, ge=1, le=100000, description="passes over the training tiles")
    batch_size: int = Field(2048, ge=2, le=1000000, description="tiles per step, no fewer than clusters")

    @model_validator(mode="after")
    def _begins_with_a_batch(self) -> MiniBatchKMeansTable:
        if self.batch_size < self.clusters:
            raise ValueError(
                f"batch_size = {self.batch_size}, and the first batch has to give {self.clusters} clusters a centre: "
                "raise batch_size or lower clusters"
            )
        return self
