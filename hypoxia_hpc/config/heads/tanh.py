"""[train.tanh]: the study's first multilayer perceptron."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.fields import BALANCE_DESCRIPTION, PATIENCE_DESCRIPTION, Balance


class TanhTable(Table):
    """[train.tanh]: Dense 2048, BatchNorm, tanh, Dropout, Dense 2 softmax; cross-entropy."""

    units: int = Field(2048, ge=1, le=65536, description="width of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of units dropped while training")
    learning_rate: float = Field(0.001, gt=0, description="SGD learning rate")
    momentum: float = Field(0.8, ge=0, lt=1, description="SGD momentum")
    epochs: int = Field(75, ge=1, le=100000, description="passes over the balanced training tiles")
    batch_size: int = Field(500, ge=2, le=1000000, description="tiles per step")
    balance: Balance = Field("sample", description=BALANCE_DESCRIPTION)
    patience: int | None = Field(None, ge=1, le=100000, description=PATIENCE_DESCRIPTION)
