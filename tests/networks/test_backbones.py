"""Backbones: the right weights or a clear error, preprocessing inside, features that only the tile decides."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks import backbones
from hypoxia_hpc.networks.backbones import NETWORKS, Backbone, build_backbone, resolve_backbone
from hypoxia_hpc.networks.initialisation import random_kernel

# Keras 3.15's own conversion to NumPy, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX = 96
NAMES = sorted(NETWORKS)
APPLICATION_MODULES = {"inception_v3": "inception_v3", "resnet50": "resnet", "vgg16": "vgg16"}


def random_backbone(name: str, seed: int = 0) -> Backbone:
    return resolve_backbone(ExtractTable(backbone=name, weights="random", seed=seed), PX, None)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: build_backbone(random_backbone(name)) for name in NAMES}


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, PX, PX, 3), dtype=np.uint8)


def inner_network(model: Any) -> Any:
    return model.layers[-1]


def write_legacy_h5(path: Path, network: Any) -> None:
    """The layout of the no-top files that Keras publishes: a group per layer, names in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [weight.path.encode() for weight in layer.weights]
            for weight in layer.weights:
                group[weight.path] = np.asarray(weight)


@pytest.fixture(scope="module")
def legacy_file(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("legacy") / NETWORKS["vgg16"].known_file
    write_legacy_h5(path, inner_network(models["vgg16"]))
    return path


def table_for(path: Path, name: str = "vgg16") -> ExtractTable:
    return ExtractTable(backbone=name, weights=str(path), weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


# --- the network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_inside_is_that_of_keras_applications(
    name: str, models: dict[str, Any], tiles: np.ndarray
) -> None:
    import keras

    plain = getattr(keras.applications, NETWORKS[name].application)(
        include_top=False, weights=None, input_shape=(PX, PX, 3), pooling="avg"
    )
    plain.set_weights(inner_network(models[name]).get_weights())
    preprocess = getattr(keras.applications, APPLICATION_MODULES[name]).preprocess_input
    expected = plain.predict_on_batch(preprocess(tiles.astype(np.float32)))
    features = models[name].predict_on_batch(tiles)
    assert features.dtype == np.float32
    assert features.shape == (4, random_backbone(name).feature_length)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_batch_mates(name: str, models: dict[str, Any], tiles: np.ndarray) -> None:
    others = tiles[[0, 3, 2, 2]] // 2
    others[2] = tiles[2]
    np.testing.assert_array_equal(models[name].predict_on_batch(tiles)[2], models[name].predict_on_batch(others)[2])


@pytest.mark.parametrize("name", NAMES)
def test_features_keep_their_magnitude_and_fit_float16_for_any_tile(name: str, models: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (PX, PX, 3))
    extremes = [noise, rng.integers(0, 2, (PX, PX, 3)) * 255, np.full_like(noise, 255), np.zeros_like(noise)]
    features = models[name].predict_on_batch(np.stack(extremes).astype(np.uint8))
    assert np.isfinite(features).all()
    assert features.max() < 100
    assert 0.05 < features[0].std() < 5


def test_seed_decides_the_features(models: dict[str, Any], tiles: np.ndarray) -> None:
    again = build_backbone(random_backbone("vgg16", seed=0)).predict_on_batch(tiles)
    other = build_backbone(random_backbone("vgg16", seed=1)).predict_on_batch(tiles)
    first = models["vgg16"].predict_on_batch(tiles)
    assert again.tobytes() == first.tobytes()
    assert np.abs(other - first).max() > 0.01
    assert random_backbone("vgg16", seed=1).weights_digest == "random:1:1"


def test_xla_stays_off(models: dict[str, Any]) -> None:
    assert not any(model.jit_compile for model in models.values())


@settings(deadline=None, max_examples=30)
@given(
    side=st.integers(1, 7),
    channels=st.integers(3, 64),
    filters=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
    index=st.integers(0, 100),
)
def test_random_kernels_keep_the_mean_square(side: int, channels: int, filters: int, seed: int, index: int) -> None:
    kernel = random_kernel((side, side, channels, filters), seed, index)
    fan_in = side * side * channels
    sums = kernel.sum(axis=(0, 1, 2), dtype=np.float64)
    variance = (1 if index == 0 else 2) / fan_in
    assert kernel.shape == (side, side, channels, filters)
    assert np.abs(kernel).max() <= 2 * np.sqrt(3 * variance)
    if kernel.size > 2000:
        assert (kernel.astype(np.float64) ** 2).mean() == pytest.approx(variance, rel=0.25)
    if index == 0:
        assert np.abs(sums).max() < 1e-4


def test_random_weights_are_pinned_to_the_byte() -> None:
    kernels = [random_kernel((3, 3, 3, 32), 7, 0), random_kernel((1, 1, 64, 80), 7, 3)]
    assert hashlib.sha256(b"".join(kernel.tobytes() for kernel in kernels)).hexdigest() == PINNED


PINNED = "44bf15065605449da3b01c80c242624e8ddce7c9453a2b71dc891cf66d303912"


# --- weights from a file -----------------------------------------------------------------------------------------


def test_published_layout_is_found_by_name_and_loaded(
    legacy_file: Path, models: dict[str, Any], tiles: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = legacy_file.read_bytes()
    known = replace(NETWORKS["vgg16"], known_md5=hashlib.md5(content).hexdigest())  # noqa: S324 - as published
    monkeypatch.setitem(backbones.NETWORKS, "vgg16", known)
    table = ExtractTable(backbone="vgg16", weights="imagenet")
    backbone = resolve_backbone(table, PX, legacy_file.parent)
    assert backbone.weights_path == legacy_file
    assert backbone.weights_digest == hashlib.sha256(content).hexdigest()
    features = build_backbone(backbone).predict_on_batch(tiles)
    np.testing.assert_array_equal(features, models["vgg16"].predict_on_batch(tiles))
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(legacy_file.parent))
    assert resolve_backbone(table, PX, None) == backbone


@pytest.mark.parametrize("name", NAMES)
def test_weights_h5_by_path_gives_the_network_it_was_saved_from(
    name: str, models: dict[str, Any], tiles: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mine.weights.h5"
    inner_network(models[name]).save_weights(path)
    backbone = resolve_backbone(table_for(path, name), PX, None)
    features = build_backbone(backbone).predict_on_batch(tiles)
    np.testing.assert_array_equal(features, models[name].predict_on_batch(tiles))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_of_another_network_are_refused(
    suffix: str, legacy_file: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"vgg{suffix}"
    if suffix == ".h5":
        path = legacy_file
    else:
        inner_network(models["vgg16"]).save_weights(path)
    with pytest.raises(InputError, match="does not hold the weights of resnet50"):
        build_backbone(resolve_backbone(table_for(path, "resnet50"), PX, None))


def test_weights_that_are_not_finite_are_refused(models: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "vgg.h5"
    write_legacy_h5(path, inner_network(models["vgg16"]))
    with h5py.File(path, "r+") as file:
        file["block3_conv2/block3_conv2/kernel"][0] = np.nan
    with pytest.raises(InputError, match="nothing finite for block3_conv2/kernel"):
        build_backbone(resolve_backbone(table_for(path), PX, None))


def test_weights_that_lack_a_layer_are_refused(models: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "vgg.weights.h5"
    inner_network(models["vgg16"]).save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d_5"]
    with pytest.raises(InputError, match="does not hold the weights of vgg16"):
        build_backbone(resolve_backbone(table_for(path), PX, None))


def test_missing_imagenet_weights_say_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        resolve_backbone(ExtractTable(), 299, tmp_path)
    assert NETWORKS["inception_v3"].known_file in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "name its folder in [site] weights" in caught.value.remedy


def test_another_file_under_the_known_name_is_not_sound(tmp_path: Path) -> None:
    (tmp_path / NETWORKS["resnet50"].known_file).write_bytes(b"\x89HDF\r\n\x1a\n but not this one")
    with pytest.raises(NotReadyError, match=NETWORKS["resnet50"].known_md5):
        resolve_backbone(ExtractTable(backbone="resnet50"), 299, tmp_path)


def test_cut_file_is_not_sound(legacy_file: Path, tmp_path: Path) -> None:
    table = table_for(legacy_file)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(legacy_file.read_bytes()[:-100])
    with pytest.raises(NotReadyError, match="expected"):
        resolve_backbone(table.model_copy(update={"weights": str(cut)}), PX, None)
    with pytest.raises(InputError, match="HDF5 cannot read it"):
        resolve_backbone(table_for(cut), PX, None)


def test_missing_path_is_named(tmp_path: Path) -> None:
    table = ExtractTable(weights=str(tmp_path / "gone.h5"), weights_sha256="0" * 64)
    with pytest.raises(MachineError, match=r"gone\.h5"):
        resolve_backbone(table, 299, None)


@pytest.mark.parametrize("name", ["model.keras", "weights.pkl", "weights.npz", "h5"])
def test_other_kinds_of_file_are_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match="must end in"):
        resolve_backbone(table_for(path), PX, None)


def test_pickle_under_the_name_of_a_weights_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(pickle.dumps({"conv": [1.0]}))
    with pytest.raises(InputError, match="no HDF5 file"):
        resolve_backbone(table_for(path), PX, None)


def external_link(file: h5py.File) -> None:
    file["deep/link"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: h5py.File) -> None:
    file["link"] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("deep/kernel", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual_dataset(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "kernel", (4,))
    file.create_virtual_dataset("kernel", layout)


def whole_model(file: h5py.File) -> None:
    file.attrs["model_config"] = "{}"


def whole_model_without_config(file: h5py.File) -> None:
    file.create_group("model_weights")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (external_link, "ExternalLink"),
        (soft_link, "SoftLink"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
        (whole_model, "whole model"),
        (whole_model_without_config, "whole model"),
    ],
)
def test_files_that_hold_more_than_weights_are_refused(spoil: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["layer/kernel"] = np.zeros(3)
        spoil(file)
    with pytest.raises(InputError, match=reason):
        resolve_backbone(table_for(path), PX, None)


# --- without Keras -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "smallest"), [("inception_v3", 75), ("resnet50", 32), ("vgg16", 32)])
def test_tiles_too_small_for_the_network_are_refused(name: str, smallest: int) -> None:
    table = ExtractTable(backbone=name, weights="random")
    assert resolve_backbone(table, smallest, None).tile_px == smallest
    with pytest.raises(InputError, match=f"takes {smallest} px and more"):
        resolve_backbone(table, smallest - 1, None)


def test_resolving_does_not_import_keras() -> None:
    code = (
        "import sys; from hypoxia_hpc.config import ExtractTable; from hypoxia_hpc.networks import backbones as b;"
        "b.resolve_backbone(ExtractTable(weights='random'), 299, None);"
        "assert not {'keras', 'tensorflow', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_starting_keras_is_quiet_and_sets_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "image_data_format": "channels_first"}')
    code = (
        "import os; from hypoxia_hpc.networks.runtime import start_keras; keras = start_keras();"
        "os.write(2, f'{keras.config.floatx()} {keras.config.image_data_format()}'.encode());"
        "keras.ops.zeros(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "KERAS_HOME": str(tmp_path)}
    )
    assert done.stderr.decode() == "float32 channels_last"
    assert done.stdout == b""
