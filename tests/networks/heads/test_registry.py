"""The registries of heads and clusterings: in the configuration and with their code, the same names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.config import CLUSTERINGS, HEADS, FinetuneTable, TanhTable
from hypoxia_hpc.config.heads.declared import DeclaredClustering, DeclaredHead
from hypoxia_hpc.config.heads.registry import unfit_clustering, unfit_head
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


def test_every_head_and_clustering_here_is_one_that_another_package_could_add() -> None:
    assert [unfit_head(find_head(name)) for name in HEADS] == [""] * len(HEADS)
    unfit = {name: unfit_clustering(find_clustering(name)) for name in CLUSTERINGS}
    assert "a clustering of another package is on features" in unfit.pop("contrastive_network")
    assert set(unfit.values()) == {""}


def test_what_only_declares_a_head_or_clustering_is_refused() -> None:
    wanted = "name a {} of hypoxia_hpc.networks.heads.head"
    why = unfit_head(DeclaredHead(table=TanhTable))
    assert why == f"is of type DeclaredHead without train, predictor: {wanted.format('Head')}"
    assert "without train: " in unfit_head(DeclaredHead(table=FinetuneTable, inputs="pixels"))
    why = unfit_clustering(DeclaredClustering(table=TanhTable))
    assert why.endswith(f"without train, predictor, n_clusters: {wanted.format('Clustering')}")


def test_a_head_that_predicts_what_no_run_asks_for_is_refused() -> None:
    unknown: Any = ("weather",)  # what another package may say, whatever the types allow
    weather = replace(find_head("tanh"), outcomes=unknown)
    wanted = ["binary", "classes", "score", "survival"]
    assert unfit_head(weather) == f"predicts ['weather'], and a run asks for one of {wanted}"
