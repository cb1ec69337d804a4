"""What every room has to know of a head or clustering beside its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.fields import Balance
from hypoxia_hpc.config.heads.finetune import FinetuneTable
from hypoxia_hpc.config.heads.network import NetworkTable
from hypoxia_hpc.config.outcome import OutcomeKind


@dataclass(frozen=True, kw_only=True)
class DeclaredHead:
    """A head as run.toml knows it.

    ``inputs``: what it is trained on, feature vectors or the pixels of tiles; the table of a head on pixels is a
    `FinetuneTable`. ``outcomes``: what it predicts; kinds of [outcome]; a head that predicts none of them is refused.
    ``searchable``: has [train.search] a grid for it. ``loss_over``: what the loss in its history is the mean over.
    ``balance``: how classes are balanced in training, where the table has no entry of this name.
    """

    table: type[Table]
    inputs: Literal["features", "pixels"] = "features"
    outcomes: tuple[OutcomeKind, ...] = ("binary",)
    searchable: bool = True
    loss_over: str = "tile"
    balance: Balance = "none"

    def __post_init__(self) -> None:
        if self.inputs == "pixels" and not issubclass(self.table, FinetuneTable):
            raise TypeError(f"a head on pixels has a FinetuneTable, and {self.table.__name__} is none")


@dataclass(frozen=True, kw_only=True)
class DeclaredClustering:
    """A clustering as run.toml knows it; ``inputs`` and ``loss_over`` as of a head, but the table of one on pixels is
    any `NetworkTable`."""

    table: type[Table]
    inputs: Literal["features", "pixels"] = "features"
    loss_over: str = "tile"

    def __post_init__(self) -> None:
        if self.inputs == "pixels" and not issubclass(self.table, NetworkTable):
            raise TypeError(f"a clustering on pixels has a NetworkTable, and {self.table.__name__} is none")
