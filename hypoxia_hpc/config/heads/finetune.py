"""[train.finetune]: a whole network on the pixels of tiles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypoxia_hpc.config.base import ADDED
from hypoxia_hpc.config.heads.fields import BALANCE_DESCRIPTION, PATIENCE_DESCRIPTION, Balance
from hypoxia_hpc.config.heads.network import NetworkTable


class FinetuneTable(NetworkTable):
    """[train.finetune]: a whole network on tiles: a new top on the frozen base first, then all of it."""

    frozen_epochs: int = Field(4, ge=0, le=100000, description="passes over the training tiles with the base frozen")
    unfrozen_epochs: int = Field(0, ge=0, le=100000, description="passes after those, with nothing frozen")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description='"sgd" (momentum 0.9, Nesterov) or "adamw"')
    learning_rate: float = Field(0.01, gt=0, description="largest learning rate while the base is frozen")
    unfrozen_learning_rate: float = Field(0.001, gt=0, description="largest learning rate when nothing is frozen")
    schedule: Literal["constant", "one-cycle", "step"] = Field(
        "constant",
        description='"one-cycle": up and down in each of the two phases; "step": a tenth after each third of it',
    )
    flips: bool = Field(True, description="mirror tiles and turn them by quarters, at random")
    colour_jitter: float = Field(
        0.0, ge=0, le=1, description="largest random change of brightness, contrast and saturation"
    )
    stain_jitter: float = Field(0.0, ge=0, le=1, description="largest random change of haematoxylin and eosin")
    light_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="largest random change of brightness and contrast alone, in place of colour_jitter",
        json_schema_extra=ADDED,
    )
    cutout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="side of a square, as a share of the tile's, that is painted over at a random place in the tile's "
        "mean colour",
        json_schema_extra=ADDED,
    )
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)

    @model_validator(mode="after")
    def _trains_at_all(self) -> FinetuneTable:
        if self.frozen_epochs + self.unfrozen_epochs == 0:
            raise ValueError("frozen_epochs and unfrozen_epochs are both 0: nothing would be trained")
        return self

    @model_validator(mode="after")
    def _brightness_has_one_strength(self) -> FinetuneTable:
        if self.colour_jitter and self.light_jitter:
            raise ValueError(
                f"colour_jitter = {self.colour_jitter:g} changes brightness and contrast, and so does light_jitter = "
                f"{self.light_jitter:g}: set one of them to 0"
            )
        return self
