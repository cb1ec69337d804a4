"""Contrastive clustering on features: finds planted clusters, the same ones each time, also after a kill."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from stores_of_rows import store

from hypoxia_hpc.config import ContrastiveTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads import contrastive
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.contrastive import contrastive_cost, contrastive_predictor, train_contrastive
from hypoxia_hpc.networks.heads.cost import CohortSize
from hypoxia_hpc.networks.heads.result import TrainedHead

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

TABLE = ContrastiveTable(clusters=4, units=64, learning_rate=0.005, epochs=10, batch_size=64)


def planted(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Four clusters in 32 dimensions, the largest twice the smallest; features float16 (n, 32), the cluster of each."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, n, p=[0.35, 0.26, 0.22, 0.17])
    centres = 1.5 * np.random.default_rng(0).normal(size=(4, 32))
    return (centres[labels] + rng.normal(size=(n, 32))).astype(np.float16), labels


def data_of(folder: Path, values: np.ndarray) -> TrainingData:
    """Three stores of these rows."""
    stores = [store(folder, f"s{number}", part, 0) for number, part in enumerate(np.array_split(values, 3))]
    return TrainingData(tuple(stores), (), values.shape[1])


def trained(
    folder: Path, data: TrainingData, table: ContrastiveTable = TABLE, *, seed: int = 0, minutes: float = 1000.0
) -> TrainedHead:
    checkpoints = Checkpoints(folder, "key", minutes)
    stop = threading.Event()
    return train_contrastive(table, data, seed=seed, checkpoints=checkpoints, on_epoch=lambda _: None, stop=stop)


def found(head: TrainedHead, values: np.ndarray) -> np.ndarray:
    return contrastive_predictor(TABLE, head.arrays, values.shape[1])(values.astype(np.float32))


def same(one: TrainedHead, other: TrainedHead) -> bool:
    arrays = {name: array.tobytes() for name, array in one.arrays.items()}
    return one.history == other.history and arrays == {name: a.tobytes() for name, a in other.arrays.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingData, TrainedHead]:
    data = data_of(tmp_path_factory.mktemp("planted"), planted(1, 600)[0])
    return data, trained(tmp_path_factory.mktemp("undisturbed"), data)


def test_finds_planted_clusters_and_numbers_them_by_size(undisturbed: tuple[TrainingData, TrainedHead]) -> None:
    values, labels = planted(9, 400)
    assert adjusted_rand_score(labels, found(undisturbed[1], values)) > 0.9
    counts = np.bincount(found(undisturbed[1], planted(1, 600)[0]), minlength=4).tolist()
    assert counts == sorted(counts, reverse=True)
    losses = undisturbed[1].history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_killed_in_a_step_it_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint before every step; the process falls over in one of them. What is drawn for the views goes on."""
    data, table = data_of(tmp_path / "data", planted(1, 100)[0]), TABLE.model_copy(update={"epochs": 2})
    whole = trained(tmp_path / "undisturbed", data, table)
    steps, step = [0], contrastive._Program.step

    class Fell(BaseException):
        pass

    def falling(self: Any, epoch: int, number: int, batch: Any) -> Any:
        steps[0] += 1
        if steps[0] == 2:
            raise Fell
        return step(self, epoch, number, batch)

    monkeypatch.setattr(contrastive._Program, "step", falling)
    with pytest.raises(Fell):
        trained(tmp_path / "killed", data, table, minutes=1e-9)
    assert same(trained(tmp_path / "killed", data, table, minutes=1e-9), whole)


@pytest.mark.long
def test_another_seed_gives_other_weights_and_mixed_precision_keeps_them_float32(
    undisturbed: tuple[TrainingData, TrainedHead], tmp_path: Path
) -> None:
    table = TABLE.model_copy(update={"precision": "bfloat16"})
    head = trained(tmp_path, undisturbed[0], table, seed=1)
    assert {array.dtype.name for array in head.arrays.values()} == {"float32"}
    assert not same(head, undisturbed[1])
    values, labels = planted(9, 400)
    assert adjusted_rand_score(labels, found(head, values)) > 0.8


def test_more_clusters_than_tiles_is_an_error_that_names_the_entry(tmp_path: Path) -> None:
    data = data_of(tmp_path, planted(1, 9)[0])
    with pytest.raises(InputError, match="9 training tiles make no 10 clusters") as error:
        trained(tmp_path / "checkpoint", data, TABLE.model_copy(update={"clusters": 10}))
    assert "[train.contrastive] clusters" in str(error.value.remedy)


def test_it_costs_more_with_more_epochs_tiles_and_units() -> None:
    size = CohortSize(1e6, 100, 80, 0.7, 0.15, 1.0, 2048, 2, 224)
    base = contrastive_cost(ContrastiveTable(), size)
    for table in (ContrastiveTable(epochs=50), ContrastiveTable(units=1024)):
        assert contrastive_cost(table, size).train.core_seconds == pytest.approx(base.train.core_seconds / 2, rel=0.2)
    assert contrastive_cost(ContrastiveTable(batch_size=4096), size).train.peak_bytes > base.train.peak_bytes
