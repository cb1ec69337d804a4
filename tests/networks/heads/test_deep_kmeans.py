"""Deep k-means: finds planted clusters, the same ones each time, also after a stop; few tiles and empty clusters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from stores_of_rows import store

from hypoxia_hpc.config import DeepKMeansTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads import deep_kmeans
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.deep_kmeans import (
    CENTRES,
    cluster_predictor,
    kmeans,
    nearest,
    sharpness,
    train_deep_kmeans,
    without_empty,
)
from hypoxia_hpc.networks.heads.result import TrainedHead

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

TABLE = DeepKMeansTable(
    clusters=4, units=(64,), code=4, weight=1.0, learning_rate=0.003, pretrain_epochs=6, epochs=8, batch_size=64
)
Planted = tuple[np.ndarray, np.ndarray]


def round_clusters(seed: int, n: int) -> Planted:
    """Four spheres in 32 dimensions; features float32 (n, 32) and the cluster of each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    centres = np.random.default_rng(0).normal(size=(4, 32))
    return (centres[labels] + rng.normal(size=(n, 32))).astype(np.float32), labels


def bent_clusters(seed: int, n: int) -> Planted:
    """Four discs in a plane, bent into 64 dimensions by two layers of sigmoids and a square, as Yang et al. 2017 (arXiv
    1610.04794) do to show what k-means misses."""
    rng, map_rng = np.random.default_rng(seed), np.random.default_rng(0)
    labels = rng.integers(0, 4, n)
    places = 1.6 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[labels] + rng.normal(scale=0.5, size=(n, 2))
    first, second = map_rng.normal(scale=2, size=(2, 10)), map_rng.normal(scale=2, size=(10, 64))
    return (10 * expit(expit(places @ first) @ second) ** 2).astype(np.float32), labels


def data_of(folder: Path, values: np.ndarray) -> TrainingData:
    """Three stores of these rows."""
    parts = np.array_split(values, 3)
    stores = [store(folder, f"s{number}", part, number % 2) for number, part in enumerate(parts)]
    return TrainingData(tuple(stores), (), values.shape[1])


def trained(
    folder: Path,
    data: TrainingData,
    table: DeepKMeansTable = TABLE,
    *,
    seed: int = 0,
    stop: threading.Event | None = None,
    on_epoch: Callable[[Any], None] = lambda _: None,
    minutes: float = 1000.0,
) -> TrainedHead:
    checkpoints = Checkpoints(folder, "key", minutes)
    return train_deep_kmeans(
        table, data, seed=seed, checkpoints=checkpoints, on_epoch=on_epoch, stop=stop or threading.Event()
    )


def found(head: TrainedHead, values: np.ndarray, table: DeepKMeansTable = TABLE) -> np.ndarray:
    return cluster_predictor(table, head.arrays, values.shape[1])(values)


def same(one: TrainedHead, other: TrainedHead) -> bool:
    arrays = one.arrays.keys() == other.arrays.keys() and all(
        one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in one.arrays
    )
    return arrays and one.history == other.history


def raw_kmeans(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return KMeans(4, n_init=10, random_state=0).fit((train - mean) / spread).predict((test - mean) / spread)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingData, TrainedHead]:
    data = data_of(tmp_path_factory.mktemp("planted"), round_clusters(1, 600)[0])
    return data, trained(tmp_path_factory.mktemp("undisturbed"), data)


def test_finds_planted_clusters(planted: tuple[TrainingData, TrainedHead]) -> None:
    values, labels = round_clusters(9, 400)
    assert adjusted_rand_score(labels, found(planted[1], values)) > 0.9
    history = planted[1].history
    assert history["clustering"][:6] == [0.0] * 6
    assert history["reconstruction"][5] < 0.8 * history["reconstruction"][0]
    assert history["clustering"][-1] < 0.5 * history["clustering"][6]


def test_finds_more_than_kmeans_of_clusters_that_are_bent(tmp_path: Path) -> None:
    (values, _), (test, labels) = bent_clusters(1, 900), bent_clusters(51, 600)
    head = trained(tmp_path / "checkpoint", data_of(tmp_path, values))
    ours, raw = (adjusted_rand_score(labels, one) for one in (found(head, test), raw_kmeans(values, test)))
    assert ours >= raw > 0.9


def test_clusters_are_numbered_by_size(tmp_path: Path) -> None:
    values, labels = round_clusters(1, 600)
    uneven = values[(labels == 2) | (np.arange(600) % 3 == 0) | ((labels == 1) & (np.arange(600) % 2 == 0))]
    head = trained(tmp_path / "checkpoint", data_of(tmp_path, uneven))
    counts = np.bincount(found(head, uneven), minlength=4)
    assert counts.sum() == len(uneven)
    assert counts.tolist() == sorted(counts.tolist(), reverse=True)
    assert counts[0] > 1.2 * counts[-1]


def test_the_same_seed_gives_the_same_bytes(planted: tuple[TrainingData, TrainedHead], tmp_path: Path) -> None:
    assert same(trained(tmp_path / "again", planted[0]), planted[1])
    assert not same(trained(tmp_path / "other", planted[0], seed=1), planted[1])


@pytest.mark.parametrize("epochs", [6, pytest.param(13, marks=pytest.mark.long)])
def test_stopped_it_goes_on_to_the_same_bytes(
    epochs: int, planted: tuple[TrainingData, TrainedHead], tmp_path: Path
) -> None:
    """Stopped in the epoch after ``epochs``: the one that k-means begins, the last one."""
    stop, told = threading.Event(), [0]

    def on_epoch(_: object) -> None:
        told[0] += 1
        if told[0] == epochs:
            stop.set()

    with pytest.raises(Stopped):
        trained(tmp_path, planted[0], stop=stop, on_epoch=on_epoch)
    assert same(trained(tmp_path, planted[0]), planted[1])


@pytest.mark.long  # how trainings are killed: test_loop.py
def test_killed_in_any_step_it_goes_on_to_the_same_bytes(
    planted: tuple[TrainingData, TrainedHead], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint before every step; the process falls over in some of them, over and over."""
    steps, whole = [0], deep_kmeans._Program.step

    class Fell(BaseException):
        pass

    def step(self: Any, epoch: int, number: int, batch: Any) -> Any:
        steps[0] += 1
        if steps[0] % 29 == 0:
            raise Fell
        return whole(self, epoch, number, batch)

    monkeypatch.setattr(deep_kmeans._Program, "step", step)
    falls = 0
    while True:
        try:
            head = trained(tmp_path, planted[0], minutes=1e-9)
        except Fell:
            falls += 1
        else:
            break
    assert falls > 2
    assert same(head, planted[1])


def test_more_clusters_than_tiles_is_an_error_that_says_so(tmp_path: Path) -> None:
    data = data_of(tmp_path, round_clusters(1, 9)[0])
    with pytest.raises(InputError, match="9 training tiles make no 10 clusters"):
        trained(tmp_path / "checkpoint", data, TABLE.model_copy(update={"clusters": 10}))


def test_fewer_different_tiles_than_clusters_leave_clusters_empty(tmp_path: Path) -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=(3, 8)), 20, axis=0).astype(np.float32)
    table = TABLE.model_copy(update={"clusters": 7, "pretrain_epochs": 2, "epochs": 2})
    head = trained(tmp_path / "checkpoint", data_of(tmp_path, values), table)
    clusters = found(head, values, table)
    assert np.isfinite(head.arrays[CENTRES]).all()
    assert len(set(clusters.tolist())) <= 3
    assert set(clusters.tolist()) == set(range(len(set(clusters.tolist()))))  # the empty ones come last


def test_features_of_any_number_are_clustered_alike(planted: tuple[TrainingData, TrainedHead]) -> None:
    values, _ = round_clusters(9, 300)
    whole = found(planted[1], values)
    assert whole.dtype == np.int64
    assert np.array_equal(np.concatenate([found(planted[1], values[:7]), found(planted[1], values[7:])]), whole)


def test_kmeans_on_codes_is_that_of_scikit_learn_and_repeats() -> None:
    codes, _ = round_clusters(3, 500)
    ours = kmeans(codes, 4, seed=5)
    theirs = KMeans(4, n_init=10, random_state=5).fit(codes.astype(np.float64)).cluster_centers_
    assert np.allclose(ours, theirs, atol=1e-5)
    assert ours.tobytes() == kmeans(codes, 4, seed=5).tobytes()
    assert np.array_equal(nearest(codes, ours), ((codes[:, None] - ours) ** 2).sum(axis=-1).argmin(axis=1))


def test_an_empty_centre_goes_where_codes_are_far_from_theirs() -> None:
    codes = np.array([[0.0], [0.1], [5.0], [9.0]], dtype=np.float32)
    centres = np.array([[0.0], [-50.0], [4.0], [-60.0]], dtype=np.float32)
    assert without_empty(codes, centres).tolist() == [[0.0], [9.0], [4.0], [5.0]]
    assert without_empty(codes, centres[[0, 2]]).tolist() == [[0.0], [4.0]]


def test_assignments_harden_from_step_to_step() -> None:
    course = [sharpness(step, 40) for step in range(41)]
    assert (course[0], course[-1]) == (1.0, 100.0)
    assert np.allclose(np.diff(np.log(course)), np.log(100) / 40)
