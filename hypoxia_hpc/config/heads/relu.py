"""[train.relu]: the multilayer perceptron of the MGMT study."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.fields import BALANCE_DESCRIPTION, PATIENCE_DESCRIPTION, Balance


class ReluTable(Table):
    """[train.relu]: Dense 128-64-32-16, each ReLU, then one sigmoid; RMSprop, cross-entropy."""

    units: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (128, 64, 32, 16), min_length=1, strict=False, description="widths of the hidden layers"
    )
    learning_rate: float = Field(0.0005, gt=0, description="RMSprop learning rate")
    epochs: int = Field(50, ge=1, le=100000, description="passes over the training tiles")
    batch_size: int = Field(32, ge=1, le=1000000, description="tiles per step")
    balance: Balance = Field("none", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)
