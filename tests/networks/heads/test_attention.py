"""Gated attention: its twin, what does not matter to a bag, bags that are drawn, and a training that goes on."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import keras
import naive
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from stopping import StopAt

from hypoxia_hpc.analysis.pooling import attention_weights, pool_tiles
from hypoxia_hpc.config import AttentionTable
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.networks.data.bags import MOST_CHUNKS, ShuffledBags, bag_weights, drawn_rows, patient_order
from hypoxia_hpc.networks.data.rows import LabelledStore, TrainingData, opened_rows
from hypoxia_hpc.networks.data.shuffling import CHUNK_ROWS
from hypoxia_hpc.networks.heads.attention import attention_layers, attention_scores, bag_network, train_attention
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.result import TrainedHead
from hypoxia_hpc.stores.features import open_features, write_features

D = 6
TABLE = AttentionTable(
    units=16, attention_units=8, dropout=0.25, learning_rate=0.01, epochs=20, batch_size=4, bag_tiles=16, patience=100
)
TILES = {"a": 40, "b": 3, "c": 17, "d": 300}


def write_store(folder: Path, name: str, values: np.ndarray) -> Path:
    path = folder / f"{name}.zarr"
    xy = np.zeros((len(values), 2), dtype=np.int64)
    write_features(path, values.astype(np.float16), xy, {"key": name, "spec": {}, "tile_spec": {}})
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """24 training and 8 validation patients, each of two slides; of a hypoxic one a quarter of the tiles are others."""
    folder = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(0)
    stores = []
    for patient in range(32):
        for slide in range(2):
            n = int(rng.integers(10, 40)) if patient else 300
            values = rng.normal(3, 1, (n, D))
            if patient % 2:
                values[: max(1, n // 4), 0] += 6
            path = write_store(folder, f"{patient}-{slide}", values)
            stores.append(LabelledStore(path, n, patient % 2, f"p{patient}"))
    return TrainingData(tuple(stores[:48]), tuple(stores[48:]), D)


def trained(data: TrainingData, folder: Path, table: AttentionTable = TABLE, **options: object) -> TrainedHead:
    settled = {"seed": 1, "on_epoch": lambda _: None, "stop": threading.Event(), **options}
    return train_attention(table, data, checkpoints=Checkpoints(folder / "checkpoint", "key", 10), **settled)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> TrainedHead:
    return trained(data, tmp_path_factory.mktemp("model"))


def tiles_of(model: TrainedHead, slides: dict[str, np.ndarray], patient_of: dict[str, str]) -> pd.DataFrame:
    weigh = attention_scores(TABLE, model.arrays)
    parts = []
    for slide_id, values in slides.items():
        found = weigh(values.astype(np.float32))
        parts.append(
            pd.DataFrame(
                {
                    "slide_id": slide_id,
                    "patient_id": patient_of[slide_id],
                    "attention_logit": found.attention_logit,
                    "logit": found.logits[:, 0],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def slides() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {name: rng.normal(3, 2, (n, D)) for name, n in TILES.items()}


def test_tiles_slides_and_patients_are_those_of_the_twin(model: TrainedHead, slides: dict[str, np.ndarray]) -> None:
    patient_of = {"a": "x", "b": "x", "c": "y", "d": "x"}
    tiles = tiles_of(model, slides, patient_of)
    for level in ("slide", "patient"):
        for row in pool_tiles(tiles, level).itertuples():  # type: ignore[arg-type]
            mine = [name for name in TILES if row.id in (name, patient_of[name])]
            whole = np.concatenate([slides[name] for name in mine]).astype(np.float32)
            probability, _, _ = naive.gated_attention(model.arrays, whole)
            assert row.probability == pytest.approx(probability, abs=1e-5)
            assert row.n_tiles == len(whole)
    whole = np.concatenate([slides[name] for name in ("a", "b", "d")]).astype(np.float32)
    _, weights, alone = naive.gated_attention(model.arrays, whole)
    of_x = (tiles["patient_id"] == "x").to_numpy()
    assert attention_weights(tiles)[of_x] == pytest.approx(weights, abs=1e-6)
    assert 1 / (1 + np.exp(-tiles["logit"].to_numpy()[of_x])) == pytest.approx(alone, abs=1e-5)


def test_the_order_of_tiles_does_not_matter_to_a_bag(model: TrainedHead, slides: dict[str, np.ndarray]) -> None:
    turned = {name: values[::-1] for name, values in reversed(slides.items())}
    there, back = (tiles_of(model, each, dict.fromkeys(TILES, "x")) for each in (slides, turned))
    for level in ("slide", "patient"):
        a, b = (pool_tiles(each, level)["probability"] for each in (there, back))  # type: ignore[arg-type]
        assert a.to_numpy() == pytest.approx(b.to_numpy(), abs=1e-6)


def test_a_tile_is_the_same_in_a_slide_of_any_number(model: TrainedHead) -> None:
    """Whole parts, parts that are padded, and more tiles than go through the network at once."""
    values = np.random.default_rng(2).normal(3, 2, (9000, D)).astype(np.float32)
    weigh = attention_scores(TABLE, model.arrays)
    whole = weigh(values)
    for n in (1, 63, 64, 65, 8192, 8193):
        part = weigh(values[:n])
        assert part.logits[:, 0] == pytest.approx(whole.logits[:, 0][:n], abs=1e-5)
        assert part.attention_logit == pytest.approx(whole.attention_logit[:n], abs=1e-5)
    assert len(weigh(values[:0]).logits[:, 0]) == 0


def test_padding_does_not_matter_to_a_bag(model: TrainedHead) -> None:
    """The same 20 tiles in a bag of 20 and in one of 50, whatever stands in the other 30 places."""
    rng = np.random.default_rng(3)
    tiles = rng.normal(0, 1, (4, 20, D)).astype(np.float32)
    whole = np.concatenate([tiles, rng.normal(0, 100, (4, 30, D)).astype(np.float32)], axis=1)
    layers = attention_layers(TABLE)
    standard = {"mean": np.ones(D, np.float32), "scale": np.full(D, 2, np.float32)}
    small, large = (bag_network(layers, standard, n, "float32") for n in (20, 50))
    mask = np.repeat([[1.0] * 20 + [0.0] * 30], 4, axis=0).astype(np.float32)
    found = keras.ops.convert_to_numpy(large([whole, mask], training=False))
    expected = keras.ops.convert_to_numpy(small([tiles, mask[:, :20]], training=False))
    assert found == pytest.approx(expected, abs=1e-6)


def test_it_learns_what_a_few_tiles_show(data: TrainingData, model: TrainedHead) -> None:
    weigh = attention_scores(TABLE, model.arrays)
    areas = []
    for stores in (data.train, data.valid):
        frames = []
        for store in stores:
            found = weigh(open_features(store.path).values.astype(np.float32))
            frames.append(
                pd.DataFrame({"attention_logit": found.attention_logit, "logit": found.logits[:, 0]}).assign(
                    patient_id=store.patient_id, slide_id=store.path.name
                )
            )
        pooled = pool_tiles(pd.concat(frames), "patient")
        areas.append(roc_auc_score([int(name[1:]) % 2 for name in pooled["id"]], pooled["probability"]))
    assert areas[0] > 0.95
    assert areas[1] > 0.8
    assert {len(values) for values in model.history.values()} == {TABLE.epochs}
    assert set(model.history) == {"loss", "accuracy", "valid_loss", "valid_accuracy"}


def test_the_loss_of_validation_patients_is_that_of_the_twin(data: TrainingData, model: TrainedHead) -> None:
    """Of the best epoch, which is kept: over all tiles of both slides of a patient, weighed by attention."""
    tiles: dict[str, list[np.ndarray]] = {}
    for store in data.valid:
        tiles.setdefault(store.patient_id, []).append(open_features(store.path).values.astype(np.float32))
    said = {name: naive.gated_attention(model.arrays, np.concatenate(parts))[0] for name, parts in tiles.items()}
    labels = {store.patient_id: store.label for store in data.valid}
    losses = [-np.log(said[name] if label else 1 - said[name]) for name, label in labels.items()]
    best = int(np.argmin(model.history["valid_loss"]))
    assert model.history["valid_loss"][best] == pytest.approx(np.mean(losses), rel=1e-4)
    right = [(said[name] > 0.5) == label for name, label in labels.items()]
    assert model.history["valid_accuracy"][best] == np.mean(right) > 0.5


# --- going on ----------------------------------------------------------------------------------------------------


def same(a: TrainedHead, b: TrainedHead) -> bool:
    return a.history == b.history and all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)


@pytest.mark.parametrize("patience", [pytest.param(100, marks=pytest.mark.long), 2])
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(
    data: TrainingData, tmp_path: Path, patience: int
) -> None:
    """Stopped in the middle of every other epoch, by a step that is counted."""
    table = TABLE.model_copy(update={"patience": patience, "epochs": 6})
    undisturbed = trained(data, tmp_path / "a", table)
    n_stopped = 0
    for _ in range(20):
        stop = StopAt(15 + 1)
        try:
            resumed = trained(data, tmp_path / "b", table, stop=stop)
        except Stopped:
            n_stopped += 1
        else:
            break
    assert n_stopped >= 2
    assert same(resumed, undisturbed)


def test_early_stopping_keeps_the_best_epoch(data: TrainingData, tmp_path: Path) -> None:
    table = TABLE.model_copy(update={"patience": 2, "epochs": 40, "learning_rate": 0.05})
    stopped = trained(data, tmp_path / "a", table)
    losses = stopped.history["valid_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 40
    until_best = trained(data, tmp_path / "b", table.model_copy(update={"epochs": best + 1}))
    assert all(np.array_equal(stopped.arrays[name], until_best.arrays[name]) for name in stopped.arrays)


def test_another_seed_is_another_model(data: TrainingData, tmp_path: Path) -> None:
    table = TABLE.model_copy(update={"epochs": 1})
    a, again, b = (trained(data, tmp_path / str(i), table, seed=seed) for i, seed in enumerate((1, 1, 2)))
    assert same(a, again)
    assert not same(a, b)


def test_features_that_are_no_numbers_are_refused_with_their_stores(data: TrainingData, tmp_path: Path) -> None:
    bad = [write_store(tmp_path, name, np.full((20, D), value)) for name, value in (("x", np.nan), ("y", np.inf))]
    stores = tuple(LabelledStore(path, 20, 0, "bad") for path in bad)
    with pytest.raises(InputError, match="2 feature stores hold NaN") as caught:
        trained(dataclasses.replace(data, train=data.train + stores), tmp_path)
    assert [item.rpartition("/")[2] for item in caught.value.offending] == ["x.zarr", "y.zarr"]


# --- bags --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1), min_size=2).filter(lambda labels: len(set(labels)) == 2), st.integers(0, 99))
def test_balanced_epochs_hold_both_classes_equally(labels: list[int], seed: int) -> None:
    order = patient_order(np.array(labels), "sample", np.random.default_rng(seed))
    times = np.bincount(order, minlength=len(labels))
    for label in (0, 1):
        mine = times[np.array(labels) == label]
        assert mine.sum() == max(labels.count(0), labels.count(1))
        assert mine.max() - mine.min() <= 1
    everyone = patient_order(np.array(labels), "none", np.random.default_rng(seed))
    assert sorted(everyone) == list(range(len(labels)))


def test_weights_make_both_classes_count_the_same() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = bag_weights(labels, "weight")
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights.mean() == pytest.approx(1)
    assert bag_weights(labels, "sample").tolist() == [1, 1, 1, 1]


@given(st.integers(1, 60_000), st.integers(1, 600), st.integers(0, 99))
def test_tiles_are_drawn_once_each_and_from_few_chunks(n: int, most: int, seed: int) -> None:
    rows = drawn_rows(n, most, np.random.default_rng(seed))
    assert len(rows) == min(n, most)
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows[0] <= rows[-1] < n
    assert len(np.unique(rows // CHUNK_ROWS)) <= MOST_CHUNKS or n <= MOST_CHUNKS * CHUNK_ROWS


@pytest.mark.parametrize("n", [100, (MOST_CHUNKS + 7) * CHUNK_ROWS - 200])
def test_every_tile_is_as_likely_as_another(n: int) -> None:
    """Also of a patient with more chunks than are read, the last one short. Each is expected 2,000 times."""
    draws, most = (4000, n // 2) if n == 100 else (400, 5 * n // 100)
    times = sum(np.bincount(drawn_rows(n, most, np.random.default_rng([n, i])), minlength=n) for i in range(draws))
    parts = [part.mean() for part in np.array_split(times, 10)]
    assert max(parts) / min(parts) < 1.15


def test_a_batch_is_a_function_of_seed_epoch_and_number(data: TrainingData) -> None:
    with opened_rows(data) as (train, _):
        bags = ShuffledBags(train, TABLE, seed=3)
        first, again = list(bags.batches(1, 0)), list(bags.batches(1, 2))
        other = list(bags.batches(2, 0))
        largest = bags.bags[0]
    assert (len(first), len(again)) == (6, 4)
    for a, b in zip(first[2:], again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True))
    assert not np.array_equal(first[0].values, other[0].values)
    assert largest.n > 300
    for batch in first:
        assert batch.values.shape == (4, 16, D)
        assert (batch.values[batch.mask == 0] == 0).all()
        assert batch.mask.sum(axis=1).min() == 16
