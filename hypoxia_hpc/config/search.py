"""[train.search]: values to try, a list for each entry of a head's table."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any

from pydantic import Field, create_model

from hypoxia_hpc.config.base import Table
from hypoxia_hpc.config.heads.registry import HEADS
from hypoxia_hpc.records import Json


class Grid(Table):
    """Values to try, a list for each key of a head's table. One that is empty is not searched."""


def grid_of(table: type[Table]) -> Any:
    """The type of the grid of a head's table: each value is checked as one of that table is."""
    entries: dict[str, Any] = {}
    for name, info in table.model_fields.items():
        value: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        field = Field(
            (), min_length=1, strict=False, description=info.description, json_schema_extra=info.json_schema_extra
        )
        entries[name] = (tuple[value, ...], field)
    return create_model(f"{table.__name__}Grid", __base__=Grid, __doc__="values to try", **entries)


MOST_POINTS = 64  # of one head's grid
_GRIDS = {name: grid_of(head.table) for name, head in HEADS.items() if head.searchable}
_ENTRIES: dict[str, Any] = {name: (grid, grid()) for name, grid in _GRIDS.items()}
_Grids = create_model("_Grids", __base__=Table, **_ENTRIES)


class SearchTable(_Grids):
    """[train.search]: lists of values to try, judged by validation patients alone.

    ``[train.search.tanh]`` with ``units = [512, 2048]`` and ``momentum = [0.8, 0.9]`` trains that head four times and
    keeps the one that ranks the validation patients best: by the ROC AUC of two classes, the mean one-against-rest ROC
    AUC of more, Spearman's correlation of a score, Harrell's concordance of survival.
    """

    def points(self, head: str) -> list[Json]:
        """Every combination of a head's values, the last key of its table varying fastest; none without a grid."""
        tried = self._tried(head)
        return [dict(zip(tried, point, strict=True)) for point in itertools.product(*tried.values())] if tried else []

    def n_points(self, head: str) -> int:
        tried = self._tried(head)
        return math.prod(map(len, tried.values())) if tried else 0

    def grid(self, head: str) -> Table:
        """The grid of a head that can be searched."""
        grid: Table = getattr(self, head)
        return grid

    def _tried(self, head: str) -> dict[str, tuple[Any, ...]]:
        return {name: values for name, values in getattr(self, head, ()) if values}
