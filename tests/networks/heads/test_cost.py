"""Terms of the heads' costs: what grows with what. The figures themselves are held in tests/runs/test_costs.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypoxia_hpc.config import AttentionTable, DeepKMeansTable, FinetuneTable, LogisticTable, TanhTable
from hypoxia_hpc.networks.backbones.work import WORK, core_seconds_a_tile, output_bytes
from hypoxia_hpc.networks.heads.attention import attention_cost
from hypoxia_hpc.networks.heads.cost import CohortSize, Layers
from hypoxia_hpc.networks.heads.deep_kmeans import deep_kmeans_cost
from hypoxia_hpc.networks.heads.dense import dense_cost
from hypoxia_hpc.networks.heads.finetuning import finetune_cost
from hypoxia_hpc.networks.heads.logistic import logistic_cost

SIZE = CohortSize(
    1e6,
    slides=500,
    patients=500,
    train=0.7,
    valid=0.15,
    repeats=1.0,
    feature_length=2048,
    value_bytes=2,
    tile_px=299,
)


def test_layers_count_their_weights_and_a_smaller_batch_takes_more_steps() -> None:
    layers = Layers(3, 4, 5)
    assert layers.weights == 3 * 4 + 4 * 5
    assert layers.epoch_seconds(1000, 10) > layers.epoch_seconds(1000, 100) > layers.forward_seconds(1000)
    assert layers.training_bytes(100, 9) > layers.training_bytes(10, 9)


def test_a_head_takes_longer_with_more_epochs_tiles_and_units() -> None:
    base = dense_cost(TanhTable(), SIZE).train.core_seconds
    assert dense_cost(TanhTable(epochs=150), SIZE).train.core_seconds == pytest.approx(2 * base, rel=0.02)
    assert dense_cost(TanhTable(units=1024), SIZE).train.core_seconds < 0.7 * base
    assert dense_cost(TanhTable(balance="none"), replace(SIZE, repeats=1.8)).train.core_seconds == base
    assert dense_cost(TanhTable(), replace(SIZE, tiles=2e6)).train.core_seconds == pytest.approx(2 * base, rel=0.01)


def test_training_holds_no_more_tiles_of_a_larger_cohort() -> None:
    for cost in (dense_cost(TanhTable(), SIZE), deep_kmeans_cost(DeepKMeansTable(), SIZE)):
        assert cost.train.peak_bytes < 1e9
    larger = replace(SIZE, tiles=26e6)
    assert dense_cost(TanhTable(), larger).train.peak_bytes == dense_cost(TanhTable(), SIZE).train.peak_bytes


def test_attention_follows_bags_and_logistic_regression_its_passes() -> None:
    bags = [attention_cost(AttentionTable(bag_tiles=tiles), SIZE).train for tiles in (512, 2048)]
    assert bags[1].core_seconds > bags[0].core_seconds
    assert bags[1].peak_bytes > bags[0].peak_bytes
    passes = [logistic_cost(LogisticTable(max_iter=most), SIZE).train.core_seconds for most in (10, 20, 10**6)]
    assert passes[0] < passes[1] < passes[2] < 20 * passes[0]


def test_fine_tuning_holds_a_batch_and_goes_back_only_where_nothing_is_frozen() -> None:
    tables = [FinetuneTable(unfrozen_epochs=epochs, frozen_epochs=4 - epochs) for epochs in (0, 4)]
    frozen, unfrozen = (finetune_cost(table, SIZE) for table in tables)
    assert frozen is not None
    assert unfrozen is not None
    assert frozen.train.core_seconds < unfrozen.train.core_seconds < 8 * frozen.train.core_seconds
    assert frozen.train.peak_bytes < unfrozen.train.peak_bytes
    assert finetune_cost(FinetuneTable(backbone="xception"), SIZE) is None


def test_work_of_networks_grows_with_the_pixels() -> None:
    for name in WORK:
        assert core_seconds_a_tile(name, 448) == pytest.approx(4 * (core_seconds_a_tile(name, 224) or 0))
        assert output_bytes(name, 448) == pytest.approx(4 * (output_bytes(name, 224) or 0))
    assert core_seconds_a_tile("xception", 299) is output_bytes("xception", 299) is None
