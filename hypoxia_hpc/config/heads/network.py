"""What tables of models that are trained on the pixels of tiles have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import NETWORK_PATTERN, SHA256_PATTERN, Table
from hypoxia_hpc.config.paths import WeightsPath, check_weights_hash


class NetworkTable(Table):
    """The network that a model on pixels begins with, and how tiles go through it."""

    backbone: str = Field("resnet50", pattern=NETWORK_PATTERN, description="network, named as in [extract]")
    weights: WeightsPath = Field("imagenet", description="what it begins with, as in [extract]")
    weights_sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="SHA-256 of the file when weights is a path"
    )
    input_px: int = Field(224, ge=16, le=4096, description="side that tiles are resized to, on the device")
    batch_size: int = Field(200, ge=2, le=65536, description="tiles per step")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description='"bfloat16": mixed precision, weights stay float32'
    )

    @model_validator(mode="after")
    def _hash_goes_with_path(self) -> NetworkTable:
        check_weights_hash(self.weights, self.weights_sha256)
        return self
