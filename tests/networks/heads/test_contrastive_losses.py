"""The losses of contrastive clustering against their slow twins, values and gradients; what each is at its best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import naive
import numpy as np
import pytest

from hypoxia_hpc.networks.heads.contrastive_losses import (
    barlow_loss,
    cluster_head,
    cluster_loss,
    instance_head,
    instance_loss,
    total_loss,
)
from hypoxia_hpc.networks.runtime import start_keras

# Keras 3.15's own conversion of PyTorch's tensors to NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

Views = tuple[np.ndarray, np.ndarray]
LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., float]]] = {
    "instance": (instance_loss, lambda one, other: naive.nt_xent(one, other, 0.5)),
    "cluster": (cluster_loss, lambda one, other: naive.cluster_contrast(one, other, 1.0)),
    "barlow": (barlow_loss, lambda one, other: naive.barlow_twins(one, other, 0.005)),
}


def views(name: str, seed: int = 0, n: int = 6, d: int = 4) -> Views:
    """Two float64 (n, d); of "cluster" each row is probabilities."""
    drawn = np.random.default_rng(seed).normal(size=(2, n, d))
    if name == "cluster":
        drawn = np.exp(drawn) / np.exp(drawn).sum(axis=-1, keepdims=True)
    return drawn[0], drawn[1]


def value(name: str, one: np.ndarray, other: np.ndarray) -> float:
    return float(LOSSES[name][0](*(start_keras().ops.convert_to_tensor(v.astype(np.float32)) for v in (one, other))))


def slow(name: str, both: np.ndarray) -> float:
    return LOSSES[name][1](both[0].tolist(), both[1].tolist())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_each_loss_is_that_of_its_slow_twin(name: str, seed: int) -> None:
    both = np.stack(views(name, seed, n=5 + seed, d=3 + seed))
    assert value(name, *both) == pytest.approx(slow(name, both), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_each_gradient_is_that_of_finite_differences(name: str) -> None:
    """One step of plain gradient descent with a rate of 1 takes the gradient away; the twin is moved in float64."""
    keras = start_keras()
    both = np.stack(views(name, seed=3))

    # `start_keras` gives a module that is chosen at run time: mypy knows no class in it.
    class Held(keras.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            start = keras.initializers.Constant(both.astype(np.float32))
            self.both = self.add_weight(shape=both.shape, initializer=start)

        def call(self, ones: Any) -> Any:
            return LOSSES[name][0](self.both[0], self.both[1]) * ones

    asked = keras.Input((1,))
    model = keras.Model(asked, Held()(asked))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda _, loss: loss)
    model.train_on_batch(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    gradient = both - np.asarray(model.get_weights()[0], dtype=np.float64)
    step, expected = 1e-6, np.zeros_like(both)
    for place in np.ndindex(both.shape):
        moved = np.zeros_like(both)
        moved[place] = step
        expected[place] = (slow(name, both + moved) - slow(name, both - moved)) / (2 * step)
    assert np.abs(expected).max() > 0.01
    assert gradient == pytest.approx(expected, rel=2e-3, abs=2e-5)


def test_each_loss_is_least_where_it_should_be() -> None:
    far, near = np.eye(4), np.eye(4)[[1, 0, 3, 2]]
    for name in LOSSES:
        assert value(name, far, far) < value(name, far, near)
    assert value("instance", far, far) == pytest.approx(math.log(math.e**2 + 6) - 2, rel=1e-5)
    even, one_has_all = np.eye(4), np.tile(np.eye(4)[:1], (4, 1))
    both_entropies = 2 * math.log(4)
    assert value("cluster", one_has_all, one_has_all) > value("cluster", even, even) + 0.9 * both_entropies


def test_clusters_without_tiles_and_rows_of_zeros_leave_numbers() -> None:
    empty = np.tile([[1.0, 0.0, 0.0]], (5, 1))
    assert math.isfinite(value("cluster", empty, empty))
    for name in ("instance", "barlow"):
        assert math.isfinite(value(name, np.zeros((4, 3)), np.zeros((4, 3))))


def test_the_sum_has_the_weights_of_the_study() -> None:
    assert total_loss(2.0, 3.0, 100.0) == pytest.approx(5 * 0.995 + 0.5)


def test_the_heads_have_the_widths_of_the_study_and_do_not_depend_on_the_precision_of_their_output() -> None:
    keras = start_keras()
    features = keras.Input((2048,))
    heads = {"instance": instance_head(features, 2048, 0), "cluster": cluster_head(features, 2048, 50, 0)}
    assert [tuple(head.shape) for head in heads.values()] == [(None, 128), (None, 50)]
    model = keras.Model(features, heads)
    kernels = [tuple(weight.shape) for weight in model.weights if len(weight.shape) == 2]
    assert sorted(kernels) == [(2048, 50), (2048, 128), (2048, 2048), (2048, 2048)]
    said = model(np.random.default_rng(0).normal(size=(3, 2048)).astype(np.float32))
    assert np.linalg.norm(np.asarray(said["instance"]), axis=1) == pytest.approx(np.ones(3), rel=1e-5)
    assert np.asarray(said["cluster"]).sum(axis=1) == pytest.approx(np.ones(3), rel=1e-5)
