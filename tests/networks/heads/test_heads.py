"""The dense heads: what they are made of, what they learn, and that a stop anywhere changes nothing."""

import itertools
import json
import math
import threading
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from stopping import StopAt
from stores_of_rows import cohort, store

from hypoxia_hpc.config import AttentionTable, Balance, FunnelTable, LogisticTable, ReluTable, TanhTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.data import shuffling
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData, opened_rows, row_weights
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.dense import dense_network
from hypoxia_hpc.networks.heads.registry import HeadTable, predictor, train_head
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.stores.features import open_features

LENGTH = 8
TABLES: dict[str, HeadTable] = {
    "tanh": TanhTable(units=32, epochs=6, batch_size=50, learning_rate=0.02),
    "funnel": FunnelTable(units=(16, 8), epochs=6, batch_size=50),
    "relu": ReluTable(units=(16, 8), epochs=6, batch_size=50, learning_rate=0.01),
    "logistic": LogisticTable(c=1.0),
}
BAGS = AttentionTable(units=8, attention_units=4, epochs=1, batch_size=4, bag_tiles=8, dropout=0.0)
HEADS: dict[str, HeadTable] = {**TABLES, "attention": BAGS}


def train(
    table: HeadTable, data: TrainingData, folder: Path, *, seed: int = 1, stop: threading.Event | None = None
) -> TrainedHead:
    checkpoints = Checkpoints(folder / "checkpoint", "key", 60)
    return train_head(
        table,
        data,
        seed=seed,
        checkpoints=checkpoints,
        on_epoch=lambda _: None,
        stop=stop or threading.Event(),
    )


def bits(trained: TrainedHead) -> tuple[dict[str, bytes], str]:
    arrays = {name: array.tobytes() for name, array in trained.arrays.items()}
    return arrays, json.dumps(trained.history, sort_keys=True)


def right(table: HeadTable, trained: TrainedHead, stores: tuple[LabelledStore, ...]) -> float:
    """Share of tiles that are called as they are."""
    predict = predictor(table, trained.arrays, LENGTH)
    with opened_rows(TrainingData(stores, (), LENGTH)) as (rows, _):
        called = [predict(rows.read(k, 0, one.n).astype(np.float32)) > 0.5 for k, one in enumerate(stores)]
    return float(np.concatenate([hits == one.label for hits, one in zip(called, stores, strict=True)]).mean())


@pytest.mark.parametrize("head", TABLES)
def test_a_head_learns_what_is_there_and_nothing_where_nothing_is(tmp_path: Path, head: str) -> None:
    for difference, least, most in ((2.0, 0.9, 1.0), (0.0, 0.35, 0.65)):
        folder = tmp_path / f"{difference}"
        folder.mkdir()
        data = cohort(folder, [150] * 9, LENGTH, difference=difference)
        assert least <= right(TABLES[head], train(TABLES[head], data, folder), data.valid) <= most


@pytest.mark.parametrize("head", HEADS)
def test_mean_and_scale_are_those_of_the_training_tiles_alone(tmp_path: Path, head: str) -> None:
    """Validation tiles lie far away: a few of them among the others would show."""
    data = cohort(tmp_path, [60] * 4, LENGTH)
    far = np.random.default_rng(1).normal(100, 9, (70, LENGTH))
    valid = tuple(store(tmp_path, f"far{label}", (far + label).astype(np.float16), label) for label in (0, 1))
    arrays = train(HEADS[head], TrainingData(data.train, valid, LENGTH), tmp_path).arrays
    rows = np.concatenate([open_features(one.path).values for one in data.train]).astype(np.float64)
    for number, column in enumerate(rows.T):
        mean, deviation = naive.mean_and_deviation(column)
        assert math.isclose(arrays[MEAN][number], mean, rel_tol=1e-6)
        assert math.isclose(arrays[SCALE][number], deviation, rel_tol=1e-6)


@pytest.mark.parametrize(("balance", "expected"), [("none", 0.2), ("weight", 0.5)])
@pytest.mark.parametrize("head", ["tanh", pytest.param("funnel", marks=pytest.mark.long), "attention"])
def test_where_tiles_say_nothing_a_head_says_how_often_a_class_counts(
    tmp_path: Path, head: str, balance: Balance, expected: float
) -> None:
    """One patient of five is of class 1, all tiles are the same: what is learned is the share of the class in the
    loss."""
    stores = tuple(store(tmp_path, f"s{n}", np.full((20, LENGTH), 5, np.float16), int(n % 5 == 0)) for n in range(20))
    table = HEADS[head].model_copy(update={"balance": balance, "epochs": 25, "learning_rate": 0.1})
    trained = train(table, TrainingData(stores, (), LENGTH), tmp_path)
    (said,) = predictor(table, trained.arrays, LENGTH)(np.full((1, LENGTH), 5.0, np.float32))
    assert abs(said - expected) < 0.1, said


def test_the_heads_are_those_of_the_study() -> None:
    standard = {MEAN: np.zeros(2048, np.float32), SCALE: np.ones(2048, np.float32)}
    norm = [(2048,)] * 4
    tanh = dense_network(TanhTable(), standard, 2048, "float16", seed=0)
    assert [tuple(weight.shape) for weight in tanh.weights] == [(2048, 2048), (2048,), *norm, (2048, 2), (2,)]
    assert tanh.count_params() == 2048 * 2048 + 2048 + 4 * 2048 + 2 * 2048 + 2
    funnel = dense_network(FunnelTable(), standard, 2048, "float16", seed=0)
    kernels = [tuple(weight.shape) for weight in funnel.weights if len(weight.shape) == 2]
    assert kernels == [(2048, 2048), (2048, 1024), (1024, 512), (512, 100), (100, 1)]
    told = {head: network.optimizer.get_config() for head, network in (("tanh", tanh), ("funnel", funnel))}
    wanted = {"tanh": (0.001, 0.8, False), "funnel": (0.1, 0.9, True)}
    for head, (rate, momentum, nesterov) in wanted.items():
        assert math.isclose(told[head]["learning_rate"], rate, rel_tol=1e-6)
        assert (told[head]["momentum"], told[head]["nesterov"]) == (momentum, nesterov)
    assert [layer.rate for layer in tanh.layers if hasattr(layer, "rate")] == [0.5]
    assert [layer.rate for layer in funnel.layers if hasattr(layer, "rate")] == [0.5] * 4


def test_the_head_of_the_mgmt_study_has_neither_normalisation_nor_dropout() -> None:
    standard = {MEAN: np.zeros(512, np.float32), SCALE: np.ones(512, np.float32)}
    relu = dense_network(ReluTable(), standard, 512, "float16", seed=0)
    widths = [512, 128, 64, 32, 16, 1]
    shapes = [shape for before, width in itertools.pairwise(widths) for shape in ((before, width), (width,))]
    assert [tuple(weight.shape) for weight in relu.weights] == shapes
    assert (type(relu.optimizer).__name__, relu.loss) == ("RMSprop", "binary_crossentropy")
    assert math.isclose(relu.optimizer.get_config()["learning_rate"], 5e-4, rel_tol=1e-6)
    assert not [layer for layer in relu.layers if hasattr(layer, "rate")]


@pytest.mark.parametrize(
    ("head", "activation"),
    [("tanh", math.tanh), ("funnel", lambda x: max(0.0, x)), ("relu", lambda x: max(0.0, x))],
)
def test_a_trained_head_predicts_as_its_slow_twin_does(tmp_path: Path, head: str, activation: Any) -> None:
    data = cohort(tmp_path, [60] * 6, LENGTH)
    arrays = train(TABLES[head], data, tmp_path).arrays
    values = np.random.default_rng(4).normal(5, 2, (300, LENGTH)).astype(np.float32)
    found = predictor(TABLES[head], arrays, LENGTH)(values)
    weights = [arrays[name].tolist() for name in sorted(arrays) if name not in (MEAN, SCALE)]
    if head == "relu":  # as if each layer were normalised to what it is
        *hidden, kernel, bias = weights
        pairs = zip(hidden[::2], hidden[1::2], strict=True)
        same = [(k, b, *([one] * len(b) for one in (1.0, 0.0, 0.0, 1.0 - 1e-3))) for k, b in pairs]
        weights = [*itertools.chain(*same), kernel, bias]
    for row, probability in zip(values[:20], found, strict=False):
        vector = ((row - arrays[MEAN]) / arrays[SCALE]).tolist()
        assert math.isclose(
            naive.dense_probability(weights, 1e-3, activation, vector), probability, rel_tol=2e-4, abs_tol=1e-6
        )


@pytest.mark.parametrize("head", TABLES)
def test_a_row_does_not_depend_on_its_batch_mates(tmp_path: Path, head: str) -> None:
    data = cohort(tmp_path, [60] * 6, LENGTH)
    predict = predictor(TABLES[head], train(TABLES[head], data, tmp_path).arrays, LENGTH)
    values = np.random.default_rng(4).normal(5, 2, (600, LENGTH)).astype(np.float32)
    whole = predict(values)
    assert whole.shape == (600,)
    assert whole.dtype == np.float64
    for rows in (slice(0, 1), slice(255, 257), slice(599, 600), slice(100, 600)):
        assert predict(values[rows]).tolist() == whole[rows].tolist()


# Windows of 128 rows: the rows are read from the stores again and again.
@pytest.mark.parametrize(
    ("head", "balance", "held"),
    [
        ("tanh", "sample", False),
        pytest.param("funnel", "weight", True, marks=pytest.mark.long),
        pytest.param("tanh", "weight", True, marks=pytest.mark.long),
        pytest.param("funnel", "sample", False, marks=pytest.mark.long),
    ],
)
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, balance: Balance, held: bool
) -> None:
    if not held:
        monkeypatch.setattr(shuffling, "WINDOW_ROWS", 128)
        monkeypatch.setattr(shuffling, "HELD_ROWS", 256)
    table = TABLES[head].model_copy(update={"balance": balance, "epochs": 3, "patience": 1})
    data = cohort(tmp_path, (120, 90, 200, 60, 80, 50), LENGTH)
    whole = train(table, data, tmp_path / "whole")
    for n in (1, 4, 11):
        with pytest.raises(Stopped):
            train(table, data, tmp_path / "stopped", stop=StopAt(n))
    assert bits(train(table, data, tmp_path / "stopped")) == bits(whole)
    assert bits(train(table, data, tmp_path / "other", seed=2)) != bits(whole)


def test_patience_ends_it_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    """Labels of validation patients are turned round: what is learned makes their loss rise."""
    data = cohort(tmp_path, (120, 90, 200, 60, 80, 50), LENGTH)
    turned = tuple(LabelledStore(one.path, one.n, 1 - one.label, one.patient_id) for one in data.valid)
    table = TABLES["tanh"].model_copy(update={"patience": 2, "epochs": 20})
    stopped = train(table, TrainingData(data.train, turned, LENGTH), tmp_path / "a")
    losses = stopped.history["valid_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 20
    plain = train(table.model_copy(update={"epochs": best + 1, "patience": None}), data, tmp_path / "b")
    assert bits(stopped)[0] == bits(plain)[0]


def test_without_validation_patients_all_epochs_are_trained(tmp_path: Path) -> None:
    data = cohort(tmp_path, (120, 90), LENGTH)
    table = TABLES["tanh"].model_copy(update={"patience": 1, "epochs": 3})
    assert {name: len(values) for name, values in train(table, data, tmp_path).history.items()} == {
        "loss": 3,
        "accuracy": 3,
    }


def test_the_loss_on_validation_tiles_is_that_of_their_probabilities(tmp_path: Path) -> None:
    data = cohort(tmp_path, (120, 90, 200, 60, 80, 50), LENGTH)
    for head in ("tanh", "funnel"):
        table = TABLES[head]
        trained = train(table, data, tmp_path / head)
        predict = predictor(table, trained.arrays, LENGTH)
        with opened_rows(data) as (_, valid):
            rows = np.concatenate([valid.read(k, 0, int(n)) for k, n in enumerate(valid.counts)])
            labels = np.repeat(valid.labels, valid.counts)
        probabilities = predict(rows.astype(np.float32))
        if head == "tanh":
            loss = -np.log(np.where(labels == 1, probabilities, 1 - probabilities)).mean()
        else:
            loss = ((probabilities - labels) ** 2).mean()
        assert math.isclose(trained.history["valid_loss"][-1], loss, rel_tol=1e-5)
        assert trained.history["valid_accuracy"][-1] == ((probabilities > 0.5) == labels).mean()


def test_weights_make_both_classes_count_the_same(tmp_path: Path) -> None:
    rows = np.ones((1, LENGTH), np.float16)
    stores = tuple(store(tmp_path, f"s{n}", np.repeat(rows, n, axis=0), int(n == 30)) for n in (30, 90, 20))
    with opened_rows(TrainingData(stores, (), LENGTH)) as (train_rows, _):
        weights = row_weights(train_rows)
    assert math.isclose(weights[1] * 30, weights[0] * 110, rel_tol=1e-6)
    assert math.isclose(weights[1] * 30 + weights[0] * 110, 140, rel_tol=1e-6)


def test_a_batch_of_more_rows_than_there_are_is_of_all_of_them(tmp_path: Path) -> None:
    data = cohort(tmp_path, (20, 10), LENGTH)
    table = TABLES["tanh"].model_copy(update={"batch_size": 1000, "epochs": 2})
    assert len(train(table, data, tmp_path).history["loss"]) == 2


@pytest.mark.parametrize("head", TABLES)
@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_are_refused(tmp_path: Path, head: str, label: int) -> None:
    data = cohort(tmp_path, (20, 10, 30), LENGTH)
    one = tuple(LabelledStore(each.path, each.n, label, each.patient_id) for each in data.train)
    with pytest.raises(InputError, match="lack a class"):
        train(TABLES[head], TrainingData(one, data.valid, LENGTH), tmp_path)


@pytest.mark.parametrize("head", TABLES)
def test_nan_features_are_refused_before_anything_is_trained(tmp_path: Path, head: str) -> None:
    data = cohort(tmp_path, (20, 10, 30), LENGTH)
    values = np.full((5, LENGTH), np.nan, np.float16)
    bad = (store(tmp_path, "bad", values, 0), store(tmp_path, "worse", values, 1))
    with pytest.raises(InputError, match="NaN or infinite") as caught:
        train(TABLES[head], TrainingData((*data.train, bad[0]), (*data.valid, bad[1]), LENGTH), tmp_path)
    assert [Path(item).name for item in caught.value.offending] == ["bad.zarr", "worse.zarr"]
    assert not (tmp_path / "checkpoint").exists()


def test_a_training_that_diverges_in_its_last_step_is_no_model(tmp_path: Path) -> None:
    data = cohort(tmp_path, (20, 30), LENGTH)
    table = FunnelTable(units=(16, 8), epochs=1, batch_size=50, learning_rate=1e38, patience=None)
    with pytest.raises(InputError, match="diverged") as caught:
        train(table, TrainingData(data.train, (), LENGTH), tmp_path)
    assert "learning_rate" in caught.value.remedy
