"""The registries of heads and clusterings: in the configuration and with their code, the same names."""

from __future__ import annotations

import numpy as np
import pytest

from hypoxia_hpc.config import CLUSTERINGS, HEADS, FinetuneTable, TanhTable
from hypoxia_hpc.config.heads.declared import DeclaredHead
from hypoxia_hpc.networks.heads import registry
from hypoxia_hpc.networks.heads.registry import find_clustering, find_head, head_of, predictor


def test_every_head_and_clustering_of_run_toml_has_code() -> None:
    assert list(registry._HEADS) == list(HEADS)
    assert list(registry._CLUSTERINGS) == list(CLUSTERINGS)
    for name, declared in HEADS.items():
        head = find_head(name)
        assert (head.table, head.inputs, head.searchable) == (declared.table, declared.inputs, declared.searchable)
        assert (head.predictor is None) == (head.inputs == "pixels")
        assert head_of(declared.table()) is head
    for name, clustering in CLUSTERINGS.items():
        assert find_clustering(name).table is clustering.table


def test_no_two_heads_have_the_same_table() -> None:
    tables = [one.table for one in (*HEADS.values(), *CLUSTERINGS.values())]
    assert len(set(tables)) == len(tables)


def test_a_head_on_pixels_predicts_from_no_features() -> None:
    with pytest.raises(ValueError, match="FinetuneTable predicts from pixels"):
        predictor(FinetuneTable(), {"a": np.zeros(1)}, 8)


def test_a_head_on_pixels_has_a_table_of_one() -> None:
    assert DeclaredHead(table=FinetuneTable, inputs="pixels").inputs == "pixels"
    with pytest.raises(TypeError, match="TanhTable is none"):
        DeclaredHead(table=TanhTable, inputs="pixels")
