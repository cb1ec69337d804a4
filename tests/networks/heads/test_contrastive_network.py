"""Contrastive clustering from pixels: the same bytes after a kill, what is planted is found, a fixed head and base."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grainy_tiles import grainy_tiles
from networks.heads.test_finetuning import base_network
from sklearn.metrics import adjusted_rand_score

from hypoxia_hpc.config import ContrastiveNetworkTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.data.tile_stream import TileSource
from hypoxia_hpc.networks.heads import contrastive_network
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.contrastive_network import (
    ContrastiveNetwork,
    build_contrastive,
    clusters_said,
    contrastive_network_cost,
    train_contrastive_network,
)
from hypoxia_hpc.networks.heads.cost import CohortSize
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.tile_network import predict, set_weights, weights_of
from hypoxia_hpc.networks.runtime import start_keras

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX, N = 24, 20
TABLE = ContrastiveNetworkTable(input_px=16, clusters=2, units=16, epochs=2, batch_size=16, learning_rate=0.005)


class Unseen:
    """Curves that are not kept."""

    def begin(self, step: int) -> None:
        pass

    def add(self, step: int, values: Mapping[str, float]) -> None:
        pass


def network(table: ContrastiveNetworkTable = TABLE, seed: int = 0) -> ContrastiveNetwork:
    return build_contrastive(table, base_network(table.precision), lambda _, pixels: (pixels - 128) / 32, PX, seed)


def source(seed: int, label: int) -> TileSource:
    tiles = grainy_tiles(seed, label, N, PX)
    return TileSource(lambda start, stop: tiles[start:stop], N, 0)


def trained(
    folder: Path, table: ContrastiveNetworkTable = TABLE, *, n: int = 2, minutes: float = 1000.0
) -> tuple[ContrastiveNetwork, TrainedHead]:
    """On ``n`` slides of two textures by turns."""
    start_keras().backend.clear_session()
    made = network(table)
    head = train_contrastive_network(
        table,
        made,
        [source(number, number % 2) for number in range(n)],
        seed=3,
        checkpoints=Checkpoints(folder, "key", minutes),
        curves=Unseen(),
        on_epoch=lambda _: None,
        stop=threading.Event(),
    )
    return made, head


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ContrastiveNetwork, TrainedHead]:
    return trained(tmp_path_factory.mktemp("undisturbed"))


def test_killed_in_a_step_it_goes_on_to_the_same_bytes(
    undisturbed: tuple[ContrastiveNetwork, TrainedHead], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint before every step; the process falls over in one of the second epoch. Noise, statistics of batches
    and moments go on where they were."""
    steps, step = [0], contrastive_network.ContrastiveTraining.step

    class Fell(BaseException):
        pass

    def falling(self: Any, epoch: int, number: int, batch: Any) -> Any:
        steps[0] += 1
        if steps[0] == 4:
            raise Fell
        return step(self, epoch, number, batch)

    monkeypatch.setattr(contrastive_network.ContrastiveTraining, "step", falling)
    with pytest.raises(Fell):
        trained(tmp_path, minutes=1e-9)
    _, head = trained(tmp_path, minutes=1e-9)
    assert steps[0] == 5, "it begins with the step in which it fell"
    assert head.history == undisturbed[1].history
    for name, array in undisturbed[1].arrays.items():
        assert array.tobytes() == head.arrays[name].tobytes()


def test_training_moves_base_heads_and_statistics_and_its_arrays_are_the_whole_network(
    undisturbed: tuple[ContrastiveNetwork, TrainedHead],
) -> None:
    made, head = undisturbed
    other = network(seed=1)
    before = weights_of(network())
    assert all(not np.array_equal(before[name], array) for name, array in head.arrays.items())
    set_weights(other, head.arrays)
    tiles = source(9, 1)
    assert np.array_equal(predict(other, tiles.read, N, 8), predict(made, tiles.read, N, 8))
    said = predict(other, tiles.read, N, 8)
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)
    found = [clusters_said(predict(made, one.read, N, 16)) for one in (source(0, 0), source(1, 1))]
    sizes = np.bincount(np.concatenate(found), minlength=2).tolist()
    assert sizes == sorted(sizes, reverse=True), "numbered by size"


def test_more_clusters_than_tiles_is_an_error_that_names_the_entry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="40 training tiles make no 41 clusters") as error:
        trained(tmp_path, TABLE.model_copy(update={"clusters": 41}))
    assert "[train.contrastive_network] clusters" in str(error.value.remedy)


def test_it_costs_more_with_more_epochs_and_larger_batches_and_is_unknown_of_an_unknown_network() -> None:
    size = CohortSize(1e6, 100, 80, 0.7, 0.15, 1.0, 2048, 2, 224)
    base = contrastive_network_cost(ContrastiveNetworkTable(), size)
    half = contrastive_network_cost(ContrastiveNetworkTable(epochs=50), size)
    large = contrastive_network_cost(ContrastiveNetworkTable(batch_size=128), size)
    assert base is not None
    assert half is not None
    assert large is not None
    assert half.train.core_seconds == pytest.approx(base.train.core_seconds / 2, rel=0.05)
    assert large.train.peak_bytes > base.train.peak_bytes
    assert contrastive_network_cost(ContrastiveNetworkTable(backbone="timm:resnet18"), size) is None


@pytest.mark.long
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_textures_are_two_clusters(precision: Any, tmp_path: Path) -> None:
    table = TABLE.model_copy(update={"epochs": 20, "precision": precision})
    made, head = trained(tmp_path, table, n=16)
    assert {array.dtype.name for array in head.arrays.values()} == {"float32"}
    found = [clusters_said(predict(made, one.read, N, 16)) for one in (source(90, 0), source(91, 1))]
    assert adjusted_rand_score(np.repeat([0, 1], N), np.concatenate(found)) > 0.8


DEVICES = """
import sys, tempfile
from pathlib import Path
import keras
from networks.heads.test_contrastive_network import trained
from hypoxia_hpc.networks.runtime import data_parallel
with data_parallel(16):
    _, head = trained(Path(tempfile.mkdtemp()))
print(len(keras.distribution.list_devices()), head.history["loss"][-1])
"""


@pytest.mark.long
def test_two_devices_of_jax_train_as_one() -> None:
    """Devices of the CPU; each gets half of a batch, and the loss is still that of the whole."""
    pytest.importorskip("jax", reason="data parallel training is JAX's")
    losses = []
    for n in (1, 2):
        flags = {"KERAS_BACKEND": "jax", "XLA_FLAGS": f"--xla_force_host_platform_device_count={n}"}
        done = subprocess.run(
            [sys.executable, "-c", DEVICES], env={**os.environ, **flags}, capture_output=True, text=True, check=True
        )
        devices, loss = done.stdout.split()[-2:]
        assert int(devices) == n
        losses.append(float(loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
