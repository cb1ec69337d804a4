"""[train.attention]: one bag of tiles a patient."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.fields import BALANCE_DESCRIPTION, Balance


class AttentionTable(Table):
    """[train.attention]: gated-attention multiple-instance learning, one bag of tiles a patient (Ilse et al. 2018)."""

    units: int = Field(512, ge=1, le=65536, description="width of a tile's embedding")
    attention_units: int = Field(256, ge=1, le=65536, description="width of the gated attention")
    dropout: float = Field(0.25, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.0002, gt=0, description="AdamW learning rate")
    weight_decay: float = Field(0.0001, ge=0, description="AdamW weight decay")
    epochs: int = Field(50, ge=1, le=100000, description="passes over the balanced training patients")
    batch_size: int = Field(4, ge=1, le=4096, description="patients per step")
    bag_tiles: int = Field(
        512,
        ge=2,
        le=1000000,
        description="tiles of a patient in a step, drawn anew each time; all of them when predicting",
    )
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int = Field(
        10,
        ge=1,
        le=100000,
        description="stop when the loss on validation patients has not fallen for this number of epochs; the best "
        "is kept",
    )
