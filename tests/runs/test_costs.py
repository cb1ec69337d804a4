"""What train and evaluate take, held to what was measured (benchmarks/resources.json), and by run.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.config import CLUSTERINGS, HEADS, RunConfig, preset
from hypoxia_hpc.networks.heads import registry
from hypoxia_hpc.networks.heads.cost import CohortSize, Cost
from hypoxia_hpc.records import Patient
from hypoxia_hpc.runs.costs import START, cohort_cost, cohort_size, evaluate_cost, train_cost

MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "resources.json").read_text())["measured"]
RANDOM = {"extract": {"weights": "random"}}


def told(one: Mapping[str, Any]) -> str:
    models = "+".join(one["counted"])
    return f"{one['command']} {models} {one['size']} {one['tiles']} {one['settings']['train']}"[:90]


def patients_of(n: int, positive: float = 0.5) -> list[Patient]:
    return [Patient(str(number), int(number < positive * n)) for number in range(n)]


def size_of(config: RunConfig, n_slides: int, tiles: float) -> CohortSize:
    return cohort_size(config, n_slides, patients_of(n_slides), tiles)


@pytest.mark.parametrize("one", MEASURED, ids=told)
def test_what_was_measured(one: Mapping[str, Any]) -> None:
    config = preset("hypoxia", one["settings"])
    cost = cohort_cost(one["command"], config, size_of(config, one["slides"], one["tiles"]))
    seconds = sum(part.core_seconds for name, part in cost.parts.items() if name in (START, *one["counted"]))
    assert 1 / 1.5 <= seconds / one["core_seconds"] <= 1.5
    assert cost.peak_bytes >= one["peak_bytes"]


# Its cost is made of passes over the tiles that were measured of the others; by itself it was measured on a faster
# machine alone, where training took 0.6 of it. Those of the others are reckoned from such parts, and not measured.
NOT_BY_ITSELF = ("linear", "relu", "contrastive", "contrastive_network", "kmeans", "mini_batch_kmeans")


def test_every_head_was_measured_at_three_sizes() -> None:
    names = [name for name in (*HEADS, *CLUSTERINGS) if name not in NOT_BY_ITSELF]
    sizes = {name: {one["tiles"] for one in MEASURED if one["counted"] == [name]} for name in names}
    assert {name: n for name, n in sizes.items() if len(n) < 3} == {}
    assert len({one["tiles"] for one in MEASURED if one["command"] == "evaluate"}) >= 3


def test_time_is_linear_in_epochs_as_was_measured() -> None:
    """Few epochs stand for many."""
    few, many = (
        next(
            one["core_seconds"]
            for one in MEASURED
            if (one["command"], one["counted"], one["tiles"]) == ("train", ["tanh"], 20_000)
            and one["settings"]["train"]["tanh"] == {"epochs": epochs}
        )
        for epochs in (4, 12)
    )
    config = preset("hypoxia", {**RANDOM, "train": {"heads": ["tanh"], "tanh": {"epochs": 8}, "clusterings": []}})
    an_epoch = train_cost(config, size_of(config, 20, 20_000)).parts["tanh"].core_seconds / 8
    assert (many - few) / 8 == pytest.approx(an_epoch, rel=0.5)


def test_every_head_and_clustering_has_a_cost() -> None:
    assert all(registry.find_head(name).cost for name in HEADS)
    assert all(registry.find_clustering(name).cost for name in CLUSTERINGS)


def test_a_cohort_of_a_million_tiles_asks_for_hours_and_little_memory() -> None:
    config = preset("hypoxia", RANDOM)
    size = size_of(config, 500, 1e6)
    train, evaluate = train_cost(config, size), evaluate_cost(config, size)
    assert 3 < train.core_seconds / 3600 < 40
    assert 1.7e9 <= train.peak_bytes < 4e9
    assert evaluate.core_seconds < train.core_seconds / 10
    assert evaluate.peak_bytes < 8e9


def test_26_million_tiles_take_days_and_no_more_memory_to_train() -> None:
    config = preset("hypoxia", RANDOM)
    some, all_of_them = (train_cost(config, size_of(config, n, 2000.0 * n)) for n in (500, 13_000))
    assert all_of_them.core_seconds / some.core_seconds == pytest.approx(26, rel=0.05)
    assert all_of_them.peak_bytes < some.peak_bytes + 0.5e9
    assert 10e9 < evaluate_cost(config, size_of(config, 13_000, 26e6)).peak_bytes < 120e9


def test_a_search_trains_every_point_and_folds_every_model() -> None:
    def core_seconds(**train: object) -> float:
        config = preset("hypoxia", {**RANDOM, "train": {"heads": ["tanh"], "clusterings": [], **train}})
        return train_cost(config, size_of(config, 500, 1e6)).parts["tanh"].core_seconds

    one = core_seconds()
    assert core_seconds(search={"tanh": {"momentum": [0.7, 0.8, 0.9]}}) == pytest.approx(3 * one, rel=0.05)
    assert core_seconds(search={"tanh": {"epochs": [75, 150]}}) == pytest.approx(3 * one, rel=0.05)
    # Of five folds each model has 0.8 / 0.85 of the training tiles of one split.
    assert core_seconds(folds=5) == pytest.approx(5 * one * 0.8 / 0.85, rel=0.02)


def test_the_smaller_class_is_repeated_where_it_is_sampled() -> None:
    config = preset("hypoxia", {**RANDOM, "train": {"heads": ["tanh"]}})
    even, odd = (
        train_cost(config, cohort_size(config, 100, patients_of(100, positive), 1e6)).parts["tanh"].core_seconds
        for positive in (0.5, 0.1)
    )
    assert odd == pytest.approx(1.8 * even, rel=0.05)


def test_patients_without_label_are_predicted_and_not_trained_on() -> None:
    config = preset("hypoxia", RANDOM)
    patients = [*patients_of(50), *(Patient(f"u{number}", None) for number in range(50))]
    size = cohort_size(config, 100, patients, 1e6)
    assert size.train == pytest.approx(0.35)
    assert size.tiles == 1e6
    assert size.repeats == 1.0


def test_a_head_without_cost_is_unknown_and_so_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("hypoxia", {**RANDOM, "train": {"heads": ["tanh", "logistic"]}})
    monkeypatch.setattr("hypoxia_hpc.runs.costs.find_head", lambda name: replace(registry.find_head(name), cost=None))
    for stage in (train_cost, evaluate_cost):
        cost = stage(config, size_of(config, 100, 1e5))
        assert cost.unknown == ("tanh", "logistic")
        assert set(cost.parts) == {START, "deep_kmeans"}
    monkeypatch.undo()
    strange = {"heads": ["finetune"], "finetune": {"backbone": "efficientnet_b0", "weights": "random"}}
    config = preset("hypoxia", {**RANDOM, "train": strange})
    assert train_cost(config, size_of(config, 100, 1e5)).unknown == ("finetune",)


def test_cores_share_the_work_up_to_a_number() -> None:
    cost = Cost(80.0, 4, 0.0)
    assert [cost.seconds(cores) for cores in (1, 4, 64)] == [80, 20, 20]


def test_a_stage_of_another_package_is_unknown() -> None:
    config = preset("hypoxia", RANDOM)
    assert cohort_cost("foreign", config, size_of(config, 100, 1e5)).unknown == ("foreign",)
    assert cohort_cost("report", config, size_of(config, 100, 1e5)).unknown == ()


def test_phenotypes_cost_a_training_for_each_further_seed() -> None:
    costs = []
    for seeds in (1, 3):
        config = preset("hypoxia", {**RANDOM, "phenotypes": {"seeds": seeds, "make": True}})
        costs.append(cohort_cost("phenotypes", config, size_of(config, 500, 1e6)))
    assert costs[1].parts["deep_kmeans"].core_seconds == pytest.approx(3 * costs[0].parts["deep_kmeans"].core_seconds)
    assert costs[0].parts[START] == costs[1].parts[START]
    assert costs[0].unknown == ()
