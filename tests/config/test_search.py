"""[train.search]: a grid of every head that can be searched, made from the head's table."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from hypoxia_hpc.config import ADDED, HEADS, SearchTable, TanhTable
from hypoxia_hpc.config.search import grid_of


def test_every_head_that_can_be_searched_has_a_grid() -> None:
    assert list(SearchTable.model_fields) == [name for name, head in HEADS.items() if head.searchable]
    assert "finetune" not in SearchTable.model_fields


def test_an_entry_that_is_added_to_a_table_is_one_that_is_added_to_its_grid() -> None:
    entry: Any = (int, Field(3, json_schema_extra=ADDED))
    grid = grid_of(create_model("Later", __base__=TanhTable, later=entry))
    assert grid().keyed() == grid_of(TanhTable)().keyed()
    assert "later" in grid(later=[4]).keyed()
