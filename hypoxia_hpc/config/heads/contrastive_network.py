"""[train.contrastive_network]: clusters of tiles by a network that is trained for them, from pixels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hypoxia_hpc.config.heads.network import NetworkTable

Change = Annotated[float, Field(ge=0, le=1)]
HueTurn = Annotated[float, Field(ge=0, le=0.5)]
CropShare = Annotated[float, Field(gt=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]


class ContrastiveNetworkTable(NetworkTable):
    """[train.contrastive_network]: clusters of tiles: network and heads trained together, on two augmented views of
    each tile's pixels."""

    clusters: int = Field(50, ge=2, le=1000, description="number of clusters")
    units: int = Field(2048, ge=1, le=65536, description="width of the hidden layer of both heads")
    contrast: tuple[Change, Change] = Field(
        (0.25, 0.5), strict=False, description="largest random change of contrast, in view A and view B"
    )
    saturation: tuple[Change, Change] = Field(
        (0.3, 0.5), strict=False, description="largest random change of saturation, in view A and view B"
    )
    hue: tuple[HueTurn, HueTurn] = Field(
        (0.3, 0.4), strict=False, description="largest random turn of the hue, in whole turns, in view A and view B"
    )
    noise: tuple[Change, Change] = Field(
        (0.02, 0.05),
        strict=False,
        description="standard deviation of what is added to each value of a pixel, as a share of 255, in view A and "
        "view B",
    )
    crop: tuple[CropShare, CropShare] = Field(
        (1.0, 0.5),
        strict=False,
        description="least share of the tile that a random crop keeps, in view A and view B; 1.0: no crop",
    )
    rotation: tuple[Degrees, Degrees] = Field(
        (0.0, 45.0),
        strict=False,
        description="largest random rotation in degrees, in view A and view B; where there are crops too, a tile gets "
        "one of both",
    )
    learning_rate: float = Field(0.0005, gt=0, description="largest AdamW learning rate, after the warm steps")
    epochs: int = Field(100, ge=1, le=100000, description="passes over the training tiles")
    batch_size: int = Field(64, ge=2, le=65536, description="tiles per step, two views of each; the study's own is 8")
