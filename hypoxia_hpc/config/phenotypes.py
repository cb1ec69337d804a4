"""[phenotypes]: clusters of tiles as phenotypes of patients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hypoxia_hpc.config.base import ADDED, Fraction, Table


class PhenotypesTable(Table):
    """[phenotypes]: what `phenotypes` makes of the clustering of [train]."""

    make: bool = Field(
        False, description="`run` and `submit` make them too; `hypoxia-hpc phenotypes RUN` does so in any run"
    )
    seeds: int = Field(
        2, ge=0, le=20, description="further trainings of the clustering with other seeds: which clusters come again?"
    )
    near_empty: Fraction = Field(0.001, description="a cluster with a smaller share of all tiles is named near-empty")
    gallery: int = Field(12, ge=0, le=100, description="most typical tiles that are shown of each cluster")
    picture: Literal["pca", "umap"] = Field(
        "pca",
        description="training tiles on a plane: by principal components, or by UMAP, which needs the extra `umap`",
        json_schema_extra=ADDED,
    )
