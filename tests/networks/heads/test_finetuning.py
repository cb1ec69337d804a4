"""Fine-tuning: learns what is planted and nothing else, in two phases; killed, it goes on to the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grainy_tiles import grainy_tiles
from sklearn.metrics import roc_auc_score

from hypoxia_hpc.config import Balance, FinetuneTable
from hypoxia_hpc.errors import MachineError, Stopped
from hypoxia_hpc.networks.data.tile_stream import TileSource
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.finetuning import tile_weights, train_finetuned
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.networks.heads.tile_network import (
    TileNetwork,
    build_network,
    predict,
    set_weights,
    standardise,
    weights_of,
)
from hypoxia_hpc.networks.runtime import start_keras

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX, INPUT_PX, PER_PATIENT = 24, 16, 24
TABLE = FinetuneTable(
    input_px=INPUT_PX,
    frozen_epochs=3,
    unfrozen_epochs=3,
    learning_rate=0.05,
    unfrozen_learning_rate=0.005,
    schedule="one-cycle",
    batch_size=16,
    colour_jitter=0.1,
    stain_jitter=0.05,
    cutout=0.2,
)


class Said:
    """Curves, kept as they are told."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.values: list[tuple[int, dict[str, float]]] = []

    def begin(self, step: int) -> None:
        self.begun.append(step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.values.append((step, dict(values)))


def base_network(precision: str = "float32") -> Any:
    """A small network of the usual kind, its weights random: convolutions, BatchNormalization, average pool."""
    keras = start_keras()
    seeds = keras.initializers.HeNormal
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])
    try:
        return _layers(keras, seeds)
    finally:
        keras.config.set_dtype_policy("float32")


def _layers(keras: Any, seeds: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((INPUT_PX, INPUT_PX, 3)),
            keras.layers.Conv2D(8, 3, kernel_initializer=seeds(seed=1)),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 3, kernel_initializer=seeds(seed=2)),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def network(table: FinetuneTable = TABLE) -> TileNetwork:
    return build_network(table, base_network(table.precision), lambda _, pixels: (pixels - 128) / 32, PX)


def patient(seed: int, label: int, difference: float = 1.0, n: int = PER_PATIENT) -> TileSource:
    tiles = grainy_tiles(seed, label if difference else 0, n, PX)
    return TileSource(lambda start, stop: tiles[start:stop], n, label)


def cohort(seed: int, n_patients: int, difference: float = 1.0) -> list[TileSource]:
    return [patient(100 * seed + index, index % 2, difference) for index in range(n_patients)]


def trained(
    folder: Path,
    table: FinetuneTable = TABLE,
    *,
    on: list[TileSource] | None = None,
    curves: Said | None = None,
    stop: threading.Event | None = None,
    minutes: float = 1000.0,
) -> tuple[TileNetwork, TrainedHead]:
    start_keras().backend.clear_session()
    made = network(table)
    head = train_finetuned(
        table,
        made,
        on or cohort(1, 6),
        cohort(2, 2),
        seed=3,
        checkpoints=Checkpoints(folder, "key", minutes),
        curves=curves or Said(),
        on_epoch=lambda _: None,
        stop=stop or threading.Event(),
    )
    return made, head


def patient_auc(made: TileNetwork, patients: list[TileSource]) -> float:
    means = [predict(made, one.read, one.n, 16)[:, 1].mean() for one in patients]
    return float(roc_auc_score([one.label for one in patients], means))


def same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TileNetwork, TrainedHead, Said]:
    curves = Said()
    made, head = trained(tmp_path_factory.mktemp("undisturbed"), curves=curves)
    return made, head, curves


def test_learns_the_planted_difference(undisturbed: tuple[TileNetwork, TrainedHead, Said]) -> None:
    made, head, _ = undisturbed
    assert patient_auc(made, cohort(9, 12)) > 0.95
    assert head.history["valid_accuracy"][-1] > 0.8
    assert head.history["loss"][-1] < head.history["loss"][0]


def test_learns_nothing_where_nothing_is_planted(tmp_path: Path) -> None:
    made, _ = trained(tmp_path, on=cohort(1, 6, difference=0))
    assert 0.15 < patient_auc(made, cohort(9, 20, difference=0)) < 0.85


def test_learns_nothing_from_permuted_labels(tmp_path: Path) -> None:
    """Of both classes of labels half the patients are of either kind."""
    permuted = [TileSource(one.read, one.n, index // 2 % 2) for index, one in enumerate(cohort(1, 8))]
    made, head = trained(tmp_path, on=permuted)
    right = [predict(made, one.read, one.n, 16)[:, 1].mean() for one in cohort(9, 12)]
    assert np.ptp(right) < 0.35
    assert head.history["valid_loss"][-1] > 0.6


@pytest.mark.parametrize(("balance", "expected"), [("weight", 0.5), ("none", 0.25)])
def test_where_tiles_say_nothing_it_says_how_often_a_class_counts(
    tmp_path: Path, balance: Balance, expected: float
) -> None:
    """One patient of four is of class 1, no tile says which: what is learnt is the share of the class in the loss."""
    table = TABLE.model_copy(update={"balance": balance, "frozen_epochs": 12, "unfrozen_epochs": 0})
    patients = [patient(100 + index, int(index % 4 == 0), difference=0) for index in range(8)]
    sources = [TileSource(one.read, one.n, int(index % 4 == 0)) for index, one in enumerate(patients)]
    made, _ = trained(tmp_path, table, on=sources)
    said = np.mean([predict(made, one.read, one.n, 16)[:, 1].mean() for one in cohort(9, 4, difference=0)])
    assert abs(said - expected) < 0.12, said


def test_the_base_stays_while_it_is_frozen_and_its_statistics_always(tmp_path: Path) -> None:
    start = weights_of(network())
    _, frozen = trained(tmp_path / "frozen", TABLE.model_copy(update={"unfrozen_epochs": 0}))
    _, unfrozen = trained(tmp_path / "unfrozen")
    changed = {
        name: [not np.array_equal(start[name], head.arrays[name]) for head in (frozen, unfrozen)] for name in start
    }
    paths = [weight.path for weight in network().predicting.weights]
    changes = {path: changed[f"{index:05d}"] for index, path in enumerate(paths)}
    top = {path for path in paths if path.startswith("top/")}
    standard = {path for path in paths if path.startswith("standardisation")}
    statistics = {path for path in paths if "moving_" in path}
    base = set(paths) - top - standard - statistics
    assert [len(part) for part in (top, standard, statistics, base)] == [2, 2, 2, 6]
    assert all(changes[path] == [False, True] for path in base)
    assert all(changes[path] == [False, False] for path in statistics)
    assert all(changes[path] == [True, True] for path in top | standard)


def test_features_are_standardised_by_those_of_the_tiles_given() -> None:
    made = network()
    tiles = np.concatenate([one.read(0, one.n) for one in cohort(1, 4)])
    standardise(made, tiles, batch_size=7)
    features = np.asarray(made.features.predict_on_batch(tiles))
    told = (features - np.asarray(made.mean.value)) / np.asarray(made.scale.value)
    alive = features.std(axis=0) > 1e-6
    assert alive.any()
    assert np.allclose(told[:, alive].mean(axis=0), 0, atol=1e-3)
    assert np.allclose(told[:, alive].std(axis=0), 1, atol=1e-3)


def test_what_predicts_is_what_was_watched(undisturbed: tuple[TileNetwork, TrainedHead, Said]) -> None:
    made, head, _ = undisturbed
    other = network()
    assert not same(weights_of(other), head.arrays)
    set_weights(other, head.arrays)
    one = cohort(9, 1)[0]
    probabilities = predict(other, one.read, one.n, 5)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(probabilities, predict(made, one.read, one.n, 16), atol=1e-6)


def test_learning_rates_follow_the_schedule_in_each_phase(undisturbed: tuple[TileNetwork, TrainedHead, Said]) -> None:
    _, _, curves = undisturbed
    rates = [values["learning_rate"] for _, values in curves.values if "learning_rate" in values]
    half = len(rates) // 2
    assert len(rates) == 6 * (6 * PER_PATIENT // TABLE.batch_size)
    assert max(rates[:half]) == pytest.approx(0.05, rel=0.1)
    assert max(rates[half:]) == pytest.approx(0.005, rel=0.1)
    assert rates[0] == pytest.approx(0.05 / 25)
    assert rates[half] == pytest.approx(0.005 / 25)
    assert rates[half - 1] < 1e-6


class At(Said):
    """Curves that do something after a step."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        super().__init__()
        self._step, self._act = step, act

    def add(self, step: int, values: Mapping[str, float]) -> None:
        super().add(step, values)
        if step == self._step:
            self._act()


@pytest.mark.parametrize("step", [4, pytest.param(30, marks=pytest.mark.long)])
def test_stopped_in_the_middle_it_goes_on_to_the_same_bytes(
    step: int, tmp_path: Path, undisturbed: tuple[TileNetwork, TrainedHead, Said]
) -> None:
    stop = threading.Event()
    first, rest = At(step, stop.set), Said()
    with pytest.raises(Stopped):
        trained(tmp_path, curves=first, stop=stop)
    _, head = trained(tmp_path, curves=rest)
    assert first.begun == [0]
    assert rest.begun == [step + 1]
    assert [*first.values, *rest.values] == undisturbed[2].values
    assert same(head.arrays, undisturbed[1].arrays)
    assert head.history == undisturbed[1].history


def die_at(folder: str, step: int) -> None:
    """In a process of its own: train with a checkpoint after every step, and be killed after this one."""
    trained(Path(folder), curves=At(step, lambda: os.kill(os.getpid(), signal.SIGKILL)), minutes=1e-9)


def goes_on_to_the_same(folder: str, step: int) -> None:
    """In a process of its own: go on from a checkpoint, and compare with a training that nothing disturbed."""
    curves = Said()
    _, head = trained(Path(folder), curves=curves)
    _, whole = trained(Path(folder) / "whole")
    assert curves.begun == [step]  # the checkpoint before the step that was its last
    assert same(head.arrays, whole.arrays)


@pytest.mark.long  # how trainings are killed: test_loop.py
def test_killed_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """Both processes are new: the bytes depend on threads, and other tests may have set those of this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}

    def run(call: str) -> int:
        command = f"import test_finetuning; test_finetuning.{call}({str(tmp_path)!r}, 31)"
        return subprocess.run([sys.executable, "-c", command], env=environment, check=False, timeout=240).returncode

    assert run("die_at") == -signal.SIGKILL
    assert run("goes_on_to_the_same") == 0


def test_a_full_disk_leaves_the_earlier_checkpoint(
    small_disk: Path, undisturbed: tuple[TileNetwork, TrainedHead, Said]
) -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        trained(small_disk, curves=At(7, stop.set), stop=stop)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(MachineError, match="the disk is full"):
        trained(small_disk, minutes=1e-9)
    filler.unlink()
    curves = Said()
    _, head = trained(small_disk, curves=curves)
    assert curves.begun == [8]
    assert same(head.arrays, undisturbed[1].arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "learning_rate": 0.01, "unfrozen_learning_rate": 0.002, "schedule": "step"},
        pytest.param(
            {"balance": "weight", "flips": False, "colour_jitter": 0.0, "stain_jitter": 0.0, "schedule": "constant"},
            marks=pytest.mark.long,
        ),
        {"frozen_epochs": 0, "unfrozen_epochs": 6, "balance": "none", "precision": "bfloat16"},
    ],
)
def test_every_way_of_training_learns(changes: dict[str, Any], tmp_path: Path) -> None:
    table = FinetuneTable.model_validate({**TABLE.model_dump(), **changes})
    uneven = [*cohort(1, 6), patient(55, 0), patient(56, 0)]
    made, _ = trained(tmp_path, table, on=uneven)
    assert patient_auc(made, cohort(9, 12)) > 0.9


def test_the_smaller_class_weighs_as_much() -> None:
    weights = tile_weights([patient(0, 0, n=30), patient(1, 1, n=10)])
    assert weights == {0: 40 / 60, 1: 2.0}
    of_three = tile_weights([patient(0, 0, n=20), patient(1, 2, n=20), patient(2, 1, n=10), patient(3, 0, n=10)])
    assert of_three == pytest.approx({0: 60 / 90, 1: 2.0, 2: 1.0})
