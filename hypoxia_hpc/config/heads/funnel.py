"""[train.funnel]: the study's second multilayer perceptron."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.fields import BALANCE_DESCRIPTION, PATIENCE_DESCRIPTION, Balance


class FunnelTable(Table):
    """[train.funnel]: 2048-1024-512-100, each BatchNorm, ReLU, Dropout, then one sigmoid; mean squared error."""

    units: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (2048, 1024, 512, 100), min_length=1, strict=False, description="widths of the hidden layers"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.1, gt=0, description="SGD learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, Nesterov")
    epochs: int = Field(100, ge=1, le=100000, description="passes over the balanced training tiles")
    batch_size: int = Field(500, ge=2, le=1000000, description="tiles per step")
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)
