"""Backbones: preprocessing inside, features that only the tile decides, on every backend, at both precisions."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from weight_files import random_table, some_tiles

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.backbones.applications import NETWORKS, most_bytes
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.backbones.resolve import (
    build_backbone,
    build_inner,
    feature_length,
    network_names,
    resolve_backbone,
)
from hypoxia_hpc.networks.runtime import BACKENDS, backend_name

# Keras 3.15's own conversion to NumPy, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX = 96
NAMES = ("densenet121", "inception_v3", "resnet50", "vgg16")
# To build and trace the large ones takes 10 to 40 s each.
SMALL_FIRST = ["vgg16", *(pytest.param(name, marks=pytest.mark.long) for name in NAMES if name != "vgg16")]
APPLICATION_MODULES = {
    "densenet121": "densenet",
    "inception_v3": "inception_v3",
    "resnet50": "resnet",
    "vgg16": "vgg16",
}


def built(name: str, **settings: Any) -> Any:
    return build_backbone(resolve_backbone(random_table(name, **settings), PX, None))


class Models(dict[str, Any]):
    """Each is built when it is asked for."""

    def __missing__(self, name: str) -> Any:
        self[name] = built(name)
        return self[name]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return Models()


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return some_tiles(4, PX)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the rows, float64."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


# --- the network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SMALL_FIRST[:1], "inception_v3", *SMALL_FIRST[1::2]])
def test_preprocessing_inside_is_that_of_keras_applications(
    name: str, models: dict[str, Any], tiles: np.ndarray
) -> None:
    import keras

    inner, _ = build_inner(resolve_backbone(random_table(name), PX, None))
    preprocess = getattr(keras.applications, APPLICATION_MODULES[name]).preprocess_input
    expected = inner.predict_on_batch(preprocess(tiles.astype(np.float32)))
    features = models[name].predict_on_batch(tiles)
    assert features.dtype == np.float32
    assert features.shape == (4, feature_length(name, PX))
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-5)
    assert cosines(features, expected).min() > 0.999999


@pytest.mark.parametrize("name", SMALL_FIRST)
def test_a_row_does_not_depend_on_its_batch_mates(name: str, models: dict[str, Any], tiles: np.ndarray) -> None:
    others = tiles[[0, 3, 2, 2]] // 2
    others[2] = tiles[2]
    np.testing.assert_array_equal(models[name].predict_on_batch(tiles)[2], models[name].predict_on_batch(others)[2])


@pytest.mark.parametrize("name", SMALL_FIRST)
def test_features_keep_their_magnitude_and_fit_float16_for_any_tile(name: str, models: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (PX, PX, 3))
    extremes = [noise, rng.integers(0, 2, (PX, PX, 3)) * 255, np.full_like(noise, 255), np.zeros_like(noise)]
    features = models[name].predict_on_batch(np.stack(extremes).astype(np.uint8))
    assert np.isfinite(features).all()
    assert features.max() < 100
    assert 0.05 < features[0].std() < 5


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(NAMES)))
def test_random_features_of_every_network_are_of_use(name: str) -> None:
    features = built(name).predict_on_batch(some_tiles(2, PX))
    assert np.isfinite(features).all()
    assert 0.005 < features.std() < 20
    assert np.abs(features).max() < 1000
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_seed_decides_the_features(models: dict[str, Any], tiles: np.ndarray) -> None:
    again = built("vgg16", seed=0).predict_on_batch(tiles)
    other = built("vgg16", seed=1).predict_on_batch(tiles)
    first = models["vgg16"].predict_on_batch(tiles)
    assert again.tobytes() == first.tobytes()
    assert np.abs(other - first).max() > 0.01
    assert resolve_backbone(random_table("vgg16", seed=1), PX, None).weights_digest == "random:1:1"


def test_inner_network_is_trainable_and_takes_what_its_preprocessing_gives(
    models: dict[str, Any], tiles: np.ndarray
) -> None:
    import keras

    inner, preprocess = build_inner(resolve_backbone(random_table("vgg16"), PX, None))
    pixels = preprocess(keras, keras.ops.convert_to_tensor(tiles.astype(np.float32)))
    features = keras.ops.convert_to_numpy(inner(pixels, training=False))
    assert len(inner.trainable_variables) == 26
    assert cosines(features, models["vgg16"].predict_on_batch(tiles)).min() > 0.999999
    assert not models["vgg16"].trainable_variables


# --- precision, XLA, backends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL_FIRST)
def test_bfloat16_computes_in_16_bits_and_drifts_little(name: str, models: dict[str, Any], tiles: np.ndarray) -> None:
    import keras

    model = built(name, precision="bfloat16")
    features = model.predict_on_batch(tiles)
    assert features.dtype == np.float32
    assert model.layers[-2].compute_dtype == "bfloat16" or model.layers[-1].compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert 0.999 < cosines(features, models[name].predict_on_batch(tiles)).min() < 1
    assert keras.config.dtype_policy().name == "float32"  # for whatever is built next


def test_xla_stays_off_where_there_is_something_else(models: dict[str, Any]) -> None:
    assert models["vgg16"].jit_compile == (backend_name() == "jax")


SAVE_FEATURES = """
import sys
import numpy as np
from weight_files import random_table, some_tiles
from hypoxia_hpc.networks.backbones.resolve import build_backbone, resolve_backbone
for name in sys.argv[2:]:
    model = build_backbone(resolve_backbone(random_table(name), 96, None))
    np.save(f"{sys.argv[1]}/{name}.npy", model.predict_on_batch(some_tiles(4, 96)))
"""


@pytest.mark.parametrize("names", [("vgg16", "resnet50"), pytest.param(NAMES, marks=pytest.mark.long)], ids="+".join)
def test_backends_agree(names: tuple[str, ...], models: dict[str, Any], tiles: np.ndarray, tmp_path: Path) -> None:
    others = [one for one in BACKENDS if one != backend_name() and find_spec(one)]
    if not others:
        pytest.skip(f"{backend_name()} is the only backend that is installed")
    for backend in others:
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        command = [sys.executable, "-c", SAVE_FEATURES, tmp_path, *names]
        subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path})
        for name in names:
            features = np.load(tmp_path / f"{name}.npy")
            assert cosines(features, models[name].predict_on_batch(tiles)).min() >= 0.99999


# --- without Keras -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "smallest"), [("inception_v3", 75), ("resnet50", 32), ("densenet121", 32)])
def test_tiles_too_small_for_the_network_are_refused(name: str, smallest: int) -> None:
    assert resolve_backbone(random_table(name), smallest, None).tile_px == smallest
    with pytest.raises(InputError, match=f"takes {smallest} px and more"):
        resolve_backbone(random_table(name), smallest - 1, None)


def test_unknown_network_is_told_with_those_it_may_mean() -> None:
    with pytest.raises(InputError, match=r"did you mean efficientnet_v2_s\?") as caught:
        resolve_backbone(random_table("EfficientNetV2S"), PX, None)
    assert "hypoxia-hpc backbones lists" in caught.value.remedy
    with pytest.raises(InputError, match=r"did you mean resnet50\b"):
        resolve_backbone(random_table("resnet5O"), PX, None)
    with pytest.raises(InputError, match=r"'nonsense' is no network that is known here\n"):
        resolve_backbone(random_table("nonsense"), PX, None)
    assert set(NETWORKS) <= set(network_names())


def test_resolving_imports_neither_keras_nor_a_backend() -> None:
    code = (
        "import sys; from hypoxia_hpc.config import ExtractTable;"
        "from hypoxia_hpc.networks.backbones import resolve as b;"
        "b.resolve_backbone(ExtractTable(weights='random'), 299, None);"
        "assert not {'keras', 'tensorflow', 'jax', 'torch', 'timm', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the table ---------------------------------------------------------------------------------------------------

SOME = ("inception_v3", "vgg16")


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.long) for name in NETWORKS if name not in SOME)]
)
def test_table_is_that_of_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    from keras.src.utils import file_utils

    network = NETWORKS[name]
    assert network.build(PX).output_shape == (None, network.feature_length)
    function = getattr(keras.applications, application_of(network))
    with pytest.raises(ValueError, match=f"at least {network.min_px}x{network.min_px}"):
        network.build(network.min_px - 1)
    asked: dict[str, Any] = {}

    def get_file(name: str, origin: str, **settings: Any) -> str:
        asked.update(settings, name=name, origin=origin)
        raise InterruptedError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(InterruptedError):
        function(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    if network.known is None:
        assert asked.get("file_hash") is None
    else:
        told = (asked["name"], asked["origin"], asked["file_hash"])
        assert told == (network.known.name, network.known.url, network.known.digest)
        assert network.known.most_bytes == most_bytes(network.build(PX).count_params())


def application_of(network: Network) -> str:
    """The name of the function in keras.applications that builds it."""
    assert isinstance(network.build, functools.partial)
    return str(network.build.args[0])


def test_table_has_every_network_of_keras() -> None:
    import inspect

    import keras

    there = {name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)}
    assert {application_of(network) for network in NETWORKS.values()} == there


def test_preprocessing_is_that_of_keras() -> None:
    import keras

    pixels = some_tiles(1, 8)
    for network in NETWORKS.values():
        module = sys.modules[getattr(keras.applications, application_of(network)).__module__]
        expected = module.preprocess_input(pixels.astype(np.float32))
        found = keras.ops.convert_to_numpy(network.preprocess(keras, keras.ops.convert_to_tensor(pixels)))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
