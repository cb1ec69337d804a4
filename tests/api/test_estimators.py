"""Models in the manner of scikit-learn: the same training as the command line's, and what scikit-learn asks of one."""

from __future__ import annotations

import dataclasses
import math
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import CLASSES, planted
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from stores_of_rows import cohort

import hypoxia_hpc as hx
from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.api.estimators import BagClassifier
from hypoxia_hpc.api.regressors import BagRegressor, BagSurvival
from hypoxia_hpc.config import TrainTable
from hypoxia_hpc.models.outputs import head_outputs
from hypoxia_hpc.networks.data.rows import TrainingData, first_rows
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import train_head
from hypoxia_hpc.stores.features import open_features

D = 8
COUNTS = (30, 21, 40, 33, 25, 28, 26, 35, 30, 31, 29, 32)
MODELS: list[BagClassifier] = [
    hx.AttentionMIL(units=8, attention_units=4, epochs=2, batch_size=2, bag_tiles=16, patience=2, seed=5),
    hx.LogisticTop(c=0.1),
    hx.TanhMLP(units=8, epochs=2, batch_size=32, patience=1, seed=5),
    hx.FunnelMLP(units=(8, 4), epochs=2, batch_size=32, balance="weight", seed=5),
]
BY_NAME = {"ids": lambda model: type(model).__name__}
FAST = MODELS[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return cohort(tmp_path_factory.mktemp("stores"), COUNTS, D)


def bags_of(stores: Any) -> tuple[list[np.ndarray], list[int]]:
    return [open_features(store.path).values for store in stores], [store.label for store in stores]


@pytest.mark.parametrize("model", MODELS, **BY_NAME)
def test_training_and_predictions_are_those_of_the_command_line(
    model: BagClassifier, data: TrainingData, tmp_path: Path
) -> None:
    """Bit by bit, from feature stores of the same rows."""
    settings = {name: value for name, value in model.get_params().items() if name != "seed"}
    table = TrainTable.model_validate({model.head: settings}).__getattribute__(model.head)
    expected = train_head(
        table,
        data,
        seed=model.get_params().get("seed", 0),
        checkpoints=Checkpoints(tmp_path, "key", math.inf),
        on_epoch=lambda logs: None,
        stop=threading.Event(),
    )
    (bags, y), validation = bags_of(data.train), bags_of(data.valid)
    assert model.fit(bags, y, validation=validation) is model
    assert model._arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert np.array_equal(model._arrays[name], array), name
    assert model.history_ == expected.history
    stores = data.valid
    outputs = head_outputs(table, expected.arrays, D)
    frames = [
        pd.DataFrame(outputs(first_rows(one, 99))).assign(slide_id=n, patient_id=n) for n, one in enumerate(stores)
    ]
    pooled = pool_tiles(pd.concat(frames), "patient")["probability"].to_numpy()
    kept = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    found = kept.predict_proba(bags_of(stores)[0])
    assert np.array_equal(model.predict_proba(bags_of(stores)[0]), found)
    assert found.dtype == np.float64
    assert np.array_equal(found, np.stack([1 - pooled, pooled], axis=1))


def test_labels_may_be_anything_that_sorts(data: TrainingData) -> None:
    bags, y = bags_of(data.train)
    names = np.where(np.array(y) == 1, "normoxic", "hypoxic")  # the larger word is class 1
    model = clone(FAST).fit(bags, names)
    assert model.classes_.tolist() == ["hypoxic", "normoxic"]
    assert np.array_equal(model.predict_proba(bags), clone(FAST).fit(bags, y).predict_proba(bags))
    assert set(model.predict(bags)) <= {"hypoxic", "normoxic"}
    assert model.score(bags, names) == np.mean(model.predict(bags) == names) == 1.0
    turned = clone(FAST).fit(bags, np.array(y) == 0)
    assert turned.score(bags, np.array(y) == 0) == 1.0


def test_other_numbers_are_taken_as_float32(data: TrainingData) -> None:
    bags, y = bags_of(data.train)
    single = [bag.astype(np.float32) for bag in bags]
    truth = clone(FAST).fit(single, y)
    assert np.array_equal(
        clone(FAST).fit([bag.astype(np.float64) for bag in bags], y)._arrays["coefficients"],
        truth._arrays["coefficients"],
    )
    mixed = clone(FAST).fit([single[0], *bags[1:]], y)
    assert np.array_equal(mixed._arrays["coefficients"], truth._arrays["coefficients"])
    whole = [np.rint(bag).astype(np.int32) for bag in bags]
    assert clone(FAST).fit(whole, y).predict_proba(whole).shape == (len(bags), 2)


def test_without_validation_bags_all_epochs_are_trained(data: TrainingData) -> None:
    model = hx.TanhMLP(units=2, epochs=3, batch_size=64, patience=1).fit(*bags_of(data.train))
    assert {name: len(values) for name, values in model.history_.items()} == {"loss": 3, "accuracy": 3}


# --- more classes, a score, survival ---------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"units": 8, "attention_units": 4, "epochs": 15, "bag_tiles": 16, "learning_rate": 0.01}
OTHERS: list[BagClassifier | BagRegressor | BagSurvival] = [
    hx.AttentionMIL(batch_size=8, **SMALL),
    hx.LogisticTop(c=0.1),
    hx.TanhMLP(units=16, epochs=12, batch_size=64, learning_rate=0.02),
    hx.AttentionRegressor(batch_size=8, **SMALL),
    hx.FunnelRegressor(units=(16, 8), epochs=20, batch_size=60, dropout=0.1),
    hx.LinearRegressor(penalty=0.1),
    hx.AttentionSurvival(**SMALL),
    hx.LinearSurvival(penalty=0.1),
]


def bags_and_labels(kind: str, effect: float, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """36 bags of 12 tiles, and what follows from a hidden number of each, -1, 0 or 1; classes by name."""
    found = list(planted(kind, 36, effect, seed))
    labels = np.array([one.label for one in found])
    return [one.values for one in found], np.array(CLASSES)[labels] if kind == "classes" else labels


QUICK = (hx.LogisticTop, hx.LinearRegressor, hx.LinearSurvival)
KIND_OF = {BagClassifier: "classes", BagRegressor: "score", BagSurvival: "survival"}


@pytest.mark.parametrize(
    "model",
    # The heads themselves are tested with every kind in tests/networks/heads.
    [model if isinstance(model, QUICK) else pytest.param(model, marks=pytest.mark.long) for model in OTHERS],
    **BY_NAME,
)
def test_a_planted_effect_is_found_and_none_where_there_is_none(model: Any) -> None:
    kind = next(name for base, name in KIND_OF.items() if isinstance(model, base))
    trained = clone(model).fit(*bags_and_labels(kind, 1.0, 0))
    bags, y = bags_and_labels(kind, 1.0, 1)
    assert trained.score(bags, y) > {"classes": 0.8, "score": 0.5, "survival": 0.75}[kind]
    said = trained.predict(bags)
    assert said.shape == (36,)
    assert np.array_equal(pickle.loads(pickle.dumps(trained)).predict(bags), said)  # noqa: S301 - our own
    if kind == "classes":
        assert trained.classes_.tolist() == ["low", "middle", "top"]
        assert trained.predict_proba(bags).sum(axis=1) == pytest.approx(1.0)
        assert trained.predict_proba([]).shape == (0, 3)
    if kind == "score":
        assert 50 < said.min() < 90, "in the unit of the score"
        assert 110 < said.max() < 150
    nothing, known = bags_and_labels(kind, 0.0, 2)
    assert (
        clone(model).fit(*bags_and_labels(kind, 0.0, 3)).score(nothing, known)
        < {"classes": 0.6, "score": 0.2, "survival": 0.65}[kind]
    )


@pytest.mark.parametrize("model", OTHERS[3:], **BY_NAME)
def test_parameters_of_a_score_and_of_survival_are_those_of_the_table(model: Any) -> None:
    """But what is done about classes of different size."""
    table = TrainTable().__getattribute__(model.head).model_dump()
    defaults = type(model)().get_params()
    expected = {name: value for name, value in table.items() if name != "balance"}
    expected |= {"batch_size": 32} if isinstance(model, hx.AttentionSurvival) else {}
    assert {name: value for name, value in defaults.items() if name != "seed"} == expected
    assert repr(model).startswith(f"{type(model).__name__}(")


def test_scikit_learn_searches_a_score() -> None:
    bags, y = bags_and_labels("score", 1.0, 0)
    assert is_regressor(hx.LinearRegressor())
    search = GridSearchCV(hx.LinearRegressor(), {"penalty": [0.1, 100.0]}, cv=2).fit(bags[:18], y[:18])
    assert search.best_params_ == {"penalty": 0.1}


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (hx.LinearRegressor(), [1.0, 1.0], "have 1 different score"),
        (hx.LinearRegressor(), [1.0, np.nan], r"NaN or infinite[^$]*bags\[1\]"),
        (hx.LinearRegressor(), ["low", "high"], "y of bags has values that are no numbers"),
        (hx.LinearRegressor(), [[1.0], [2.0]], r"y of bags has the shape \(2, 1\): must be \(n,\)"),
        (hx.LinearRegressor(), 1.0, r"y of bags has the shape \(\)"),
        (hx.LinearSurvival(), [1.0, 2.0], r"y of bags has the shape \(2,\): must be \(n, 2\)"),
        (hx.LinearSurvival(), [[1.0, 0], [2.0, 0]], "have 0 events among 2"),
        (hx.LinearSurvival(), [[-1.0, 0], [2.0, 3]], r"bags\[0\]: \[-1.0, 0.0\][^$]*bags\[1\]: \[2.0, 3.0\]"),
    ],
)
def test_scores_and_follow_up_that_cannot_be(model: Any, y: Any, message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        model.fit([np.zeros((3, D), np.float32), np.ones((2, D), np.float32)], y)


# --- what scikit-learn asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, **BY_NAME)
def test_parameters_are_those_of_the_table(model: BagClassifier) -> None:
    table = TrainTable().__getattribute__(model.head)
    defaults = type(model)().get_params()
    assert {name: value for name, value in defaults.items() if name != "seed"} == table.model_dump()
    assert defaults.get("seed", 0) == TrainTable().seed
    told = str(type(model).__doc__)
    assert [field.name for field in dataclasses.fields(model) if f"\n        {field.name}: " not in told] == []  # type: ignore[arg-type]


def test_parameters_are_got_and_set() -> None:
    model = hx.AttentionMIL(units=7)
    assert model.get_params(deep=False)["units"] == 7
    assert model.set_params(units=9, seed=2) is model
    assert (model.units, model.seed) == (9, 2)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(hx.InputError, match="AttentionMIL has no parameter unit") as caught:
        model.set_params(unit=3, units=4)
    assert "choose from: units, attention_units" in caught.value.remedy
    assert model.units == 9
    assert repr(hx.LogisticTop(c=0.5)) == "LogisticTop(c=0.5, max_iter=1000)"


def test_scikit_learn_searches_and_cross_validates(data: TrainingData) -> None:
    bags, y = bags_of(data.train + data.valid)
    assert is_classifier(FAST)
    found = cross_val_predict(clone(FAST), bags, y, cv=3, method="predict_proba")
    assert found.shape == (len(bags), 2)
    search = GridSearchCV(clone(FAST), {"c": [0.001, 0.1]}, cv=2).fit(bags, y)
    assert search.best_params_["c"] in (0.001, 0.1)
    check_is_fitted(search.best_estimator_)


# --- bad input ---------------------------------------------------------------------------------------------------

GOOD = [np.zeros((3, D), np.float32), np.ones((2, D), np.float32)]


@pytest.mark.parametrize(
    ("bags", "y", "message"),
    [
        ([*GOOD, np.full((2, D), np.nan)], [0, 1, 1], r"1 of 3 bags are no bags[^$]*bags\[2\]: 16 values are NaN"),
        ([*GOOD, np.full((2, D), 1e300)], [0, 1, 1], r"bags\[2\]: 16 values are NaN or infinite"),
        ([GOOD[0], np.zeros(D), np.zeros((0, D))], [0, 1, 1], r"2 of 3 bags[^$]*bags\[1\]: its shape is \(8,\)"),
        ([GOOD[0], np.array([["a"]])], [0, 1], r"bags\[1\]: <U1 is no number"),
        ([GOOD[0], np.ones((2, D + 1))], [0, 1], r"bags have \[8, 9\] features: one number is needed"),
        (GOOD, [0, 0], "y has 1 different labels: 2 to 100 are needed"),
        (GOOD, [0, 1, 1], "2 bags and 3 labels"),
        (GOOD, [[0], [1]], r"y has the shape \(2, 1\)"),
    ],
)
def test_bags_and_labels_that_cannot_be(bags: list[np.ndarray], y: list[int], message: str) -> None:
    with pytest.raises(hx.InputError, match=message):
        hx.LogisticTop().fit(bags, y)


def test_validation_that_cannot_be() -> None:
    for validation, message in (
        ((GOOD, [0]), "2 validation bags and 1 labels"),
        ((GOOD, [[0], [1]]), r"y of validation bags has the shape \(2, 1\)"),
        ((GOOD, [0, 2]), "labels of validation bags that training does not have: "),
        (([np.zeros((2, 3))], [1]), r"bags have \[3, 8\] features"),
    ):
        with pytest.raises(hx.InputError, match=message):
            hx.LogisticTop().fit(GOOD, [0, 1], validation=validation)


def test_the_head_of_two_classes_takes_two() -> None:
    assert is_classifier(hx.FunnelMLP())
    assert [get_tags(model).classifier_tags.multi_class for model in MODELS] == [True, True, True, False]
    with pytest.raises(hx.InputError, match="y has 3 different labels: two are needed"):
        hx.FunnelMLP().fit([*GOOD, GOOD[0]], [0, 1, 2])


def test_predictions_that_cannot_be() -> None:
    with pytest.raises(hx.InputError, match="this LogisticTop is not trained"):
        hx.LogisticTop().predict(GOOD)
    model = hx.LogisticTop().fit(GOOD, [0, 1])
    with pytest.raises(hx.InputError, match="bags have 3 features, the model was trained on 8"):
        model.predict_proba([np.zeros((2, 3))])
    assert model.predict_proba([]).shape == (0, 2)


def test_parameters_that_cannot_be() -> None:
    with pytest.raises(hx.InputError, match=r"AttentionMIL has 2 wrong entries[^$]*train.attention.units = 0"):
        hx.AttentionMIL(units=0, patience=None).fit(GOOD, [0, 1])  # type: ignore[arg-type]
