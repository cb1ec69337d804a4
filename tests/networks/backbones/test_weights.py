"""Weights from a file: the right ones or a clear error, and nothing that a weights file must not have."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from weight_files import random_table, some_tiles, table_for, write_legacy_h5

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones import weights
from hypoxia_hpc.networks.backbones.applications import NETWORKS
from hypoxia_hpc.networks.backbones.loading import as_numpy, load_weights, named_weights
from hypoxia_hpc.networks.backbones.resolve import build_backbone, build_inner, resolve_backbone
from hypoxia_hpc.networks.backbones.weights import PACKAGED, KnownFile

# Keras 3.15's own conversion to NumPy, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX = 32
KNOWN = {name: network.known for name, network in NETWORKS.items() if network.known is not None}


@pytest.fixture(scope="module")
def vgg() -> Any:
    """VGG16 of random weights, without preprocessing."""
    return build_inner(resolve_backbone(random_table("vgg16"), PX, None))[0]


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """Its features of :func:`some_tiles`."""
    return features_of(random_table("vgg16"))


def features_of(table: ExtractTable, weights_dir: Path | None = None) -> np.ndarray:
    model = build_backbone(resolve_backbone(table, PX, weights_dir))
    return model.predict_on_batch(some_tiles(4, PX))


@pytest.fixture(scope="module")
def legacy_file(vgg: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("legacy") / KNOWN["vgg16"].name
    write_legacy_h5(path, vgg)
    return path


def tensors_of(network: Any) -> dict[str, np.ndarray]:
    return {name: as_numpy(weight) for name, weight in named_weights(network).items()}


def known_as(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let this be the file that the makers of a network publish."""
    digest = hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - as published
    known = replace(NETWORKS[name], known=KnownFile(path.name, "https://nowhere.invalid", digest))
    monkeypatch.setitem(NETWORKS, name, known)


# --- loaded ------------------------------------------------------------------------------------------------------


def test_published_layout_is_found_by_name_and_loaded(
    legacy_file: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(legacy_file, monkeypatch, "vgg16")
    table = ExtractTable(backbone="vgg16", weights="imagenet")
    backbone = resolve_backbone(table, PX, legacy_file.parent)
    assert backbone.weights_path == legacy_file
    assert backbone.weights_digest == hashlib.sha256(legacy_file.read_bytes()).hexdigest()
    assert backbone.published
    np.testing.assert_array_equal(features_of(table, legacy_file.parent), expected)
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(legacy_file.parent))
    assert resolve_backbone(table, PX, None) == backbone
    assert resolve_backbone(table_for(legacy_file), PX, None) == backbone  # the same file by its path


def test_weights_h5_by_path_gives_the_network_it_was_saved_from(vgg: Any, expected: np.ndarray, tmp_path: Path) -> None:
    vgg.save_weights(tmp_path / "mine.weights.h5")
    np.testing.assert_array_equal(features_of(table_for(tmp_path / "mine.weights.h5")), expected)


def test_safetensors_give_the_network_they_were_saved_from(vgg: Any, expected: np.ndarray, tmp_path: Path) -> None:
    save_file(tensors_of(vgg), tmp_path / "mine.safetensors")
    np.testing.assert_array_equal(features_of(table_for(tmp_path / "mine.safetensors")), expected)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_safetensors_of_half_precision_are_widened(kind: str, vgg: Any, expected: np.ndarray, tmp_path: Path) -> None:
    import ml_dtypes

    half = np.float16 if kind == "float16" else ml_dtypes.bfloat16
    save_file({name: values.astype(half) for name, values in tensors_of(vgg).items()}, tmp_path / "half.safetensors")
    np.testing.assert_allclose(features_of(table_for(tmp_path / "half.safetensors")), expected, atol=0.1)


def test_names_of_weights_do_not_depend_on_what_was_built_before() -> None:
    import keras

    def network() -> Any:
        pixels = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 3)(keras.layers.BatchNormalization()(pixels))
        return keras.Model(pixels, keras.layers.Conv2D(2, 3, name="conv2d_last")(keras.layers.Conv2D(2, 3)(x)))

    first, second = named_weights(network()), named_weights(network())
    assert set(first) == set(second)
    assert {"batch_normalization/gamma", "conv2d/kernel", "conv2d_1/bias", "conv2d_last/kernel"} <= set(first)


def test_normalisation_takes_what_the_file_says(tmp_path: Path) -> None:
    import keras

    inner, _ = build_inner(resolve_backbone(random_table("efficientnet_b0"), PX, None))
    layer = next(layer for layer in inner.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign([0.5, 0.4, 0.3])
    layer.finalize_state()
    path = tmp_path / "mine.safetensors"
    save_file(tensors_of(inner), path)
    tiles = some_tiles(2, PX).astype(np.float32)
    loaded, _ = build_inner(resolve_backbone(table_for(path, "efficientnet_b0"), PX, None))
    np.testing.assert_array_equal(loaded.predict_on_batch(tiles), inner.predict_on_batch(tiles))


@pytest.mark.long  # a network of 237 layers; its layout: the test above
def test_published_efficientnet_is_that_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras builds one layer more for weights="imagenet" than for a file of the same weights."""
    import keras
    from keras.src.utils import file_utils

    inner, _ = build_inner(resolve_backbone(random_table("efficientnet_b0"), PX, None))
    layer = next(layer for layer in inner.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign([0.485, 0.456, 0.406])
    layer.adapt_variance.assign([0.229, 0.224, 0.225])
    path = tmp_path / KNOWN["efficientnet_b0"].name
    write_legacy_h5(path, inner)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(path))
    theirs = keras.applications.EfficientNetB0(include_top=False, input_shape=(PX, PX, 3), pooling="avg")
    known_as(path, monkeypatch, "efficientnet_b0")
    found = features_of(ExtractTable(backbone="efficientnet_b0", weights="imagenet"), tmp_path)
    expected = theirs.predict_on_batch(some_tiles(4, PX).astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    plain = inner.predict_on_batch(some_tiles(4, PX).astype(np.float32))
    assert np.abs(found - plain).max() > 0.1 * np.abs(expected).max()


# --- of another network, or not whole ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".safetensors"])
def test_weights_of_another_network_are_refused(suffix: str, legacy_file: Path, vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / f"vgg{suffix}"
    if suffix == ".h5":
        path = legacy_file
    elif suffix == ".weights.h5":
        vgg.save_weights(path)
    else:
        save_file(tensors_of(vgg), path)
    with pytest.raises(InputError, match="does not hold the weights of vgg19") as caught:
        build_backbone(resolve_backbone(table_for(path, "vgg19"), PX, None))
    assert "include_top=False" in caught.value.remedy
    expected = {
        ".h5": ["13 layers have weights in it, 16 in the network", "block4_conv1 has"],
        ".weights.h5": ["conv2d_7 has (3, 3, 256, 512) and (512,); block3_conv4 needs (3, 3, 256, 256) and (256,)"],
        ".safetensors": ["missing: block3_conv4/bias"],
    }
    for one, told in zip(expected[suffix], caught.value.offending, strict=False):
        assert told.startswith(one)


def small(depth: int, *, top: bool = False, dropout: float = 0.1) -> Any:
    """Layers of equal shapes: the first ones of a deep network fit a flat one."""
    import keras

    layers = [keras.layers.Dense(4) for _ in range(depth)]
    tops = [keras.layers.Dense(2, name="predictions")] if top else []
    inner = keras.Sequential([keras.Input((1, 4)), keras.layers.Conv1D(4, 1), keras.layers.Dropout(dropout)])
    parts = [keras.layers.Normalization(), keras.layers.Reshape((1, 4)), inner]
    return keras.Sequential([keras.Input((4,)), *parts, *layers, *tops])


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"depth": 4}, ["not of this network: dense_2, of (4, 4) and (4,)", "not of this network: dense_3, of"]),
        ({"depth": 2, "top": True}, ["not of this network: dense_2, of (4, 2) and (2,)"]),
    ],
)
def test_surplus_of_a_deeper_network_is_refused(other: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "deep.weights.h5"
    small(**other).save_weights(path)
    with pytest.raises(InputError, match="does not hold the weights of flat") as caught:
        load_weights(small(2), path, "flat")
    assert len(caught.value.offending) == len(told)
    assert all(one.startswith(start) for one, start in zip(caught.value.offending, told, strict=True))


def test_what_training_keeps_beside_the_weights_is_no_surplus(tmp_path: Path) -> None:
    path = tmp_path / "trained.weights.h5"
    network, other = small(2), small(2, dropout=0)
    network.compile("adam", "mse")
    network.optimizer.build(network.trainable_variables)
    network.save_weights(path)
    with h5py.File(path) as file:
        assert "optimizer" in file
    load_weights(other, path, "small")
    for one, expected in zip(other.weights, network.weights, strict=True):
        np.testing.assert_array_equal(as_numpy(one), as_numpy(expected))


def test_surplus_beside_the_published_layout_is_refused(vgg: Any, legacy_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.h5"
    path.write_bytes(legacy_file.read_bytes())
    with h5py.File(path, "r+") as file:
        file["predictions/kernel"] = np.zeros((512, 2), dtype=np.float32)
    with pytest.raises(InputError, match="does not hold the weights of vgg16") as caught:
        load_weights(vgg, path, "vgg16")
    assert caught.value.offending == ("not of this network: predictions/kernel, of (512, 2)",)
    load_weights(vgg, path, "vgg16", published=True)  # its makers' own, by hash


def test_all_that_is_wrong_with_safetensors_is_told_at_once(vgg: Any, tmp_path: Path) -> None:
    tensors = tensors_of(vgg)
    del tensors["block1_conv1/bias"]
    tensors["predictions/kernel"] = np.zeros((2, 2), dtype=np.float32)
    tensors["block2_conv1/bias"] = tensors["block2_conv1/bias"][:-1]
    tensors["block3_conv2/kernel"] = tensors["block3_conv2/kernel"].copy()
    tensors["block3_conv2/kernel"][0] = np.nan
    save_file(tensors, tmp_path / "vgg.safetensors")
    with pytest.raises(InputError, match="does not hold the weights of vgg16") as caught:
        build_backbone(resolve_backbone(table_for(tmp_path / "vgg.safetensors"), PX, None))
    assert caught.value.offending == (
        "missing: block1_conv1/bias",
        "not of this network: predictions/kernel",
        "block2_conv1/bias has the shape (127,), not (128,)",
        "not finite: block3_conv2/kernel",
    )


def test_weights_that_are_not_finite_are_refused(vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / "vgg.h5"
    write_legacy_h5(path, vgg)
    with h5py.File(path, "r+") as file:
        file["block3_conv2/block3_conv2/kernel"][0] = np.nan
    with pytest.raises(InputError, match="infinite or no numbers") as caught:
        build_backbone(resolve_backbone(table_for(path), PX, None))
    assert caught.value.offending == ("not finite: block3_conv2/kernel",)
    assert "include_top" not in caught.value.remedy


def test_weights_that_lack_a_layer_are_refused(vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / "vgg.weights.h5"
    vgg.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d_5"]
    with pytest.raises(InputError, match=r"missing: conv2d_5 \(block3_conv2\), of \(3, 3, 256, 256\) and \(256,\)"):
        build_backbone(resolve_backbone(table_for(path), PX, None))


def test_cut_file_is_not_sound(legacy_file: Path, vgg: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(legacy_file.read_bytes()[:-100])
    with pytest.raises(NotReadyError, match="expected"):
        resolve_backbone(table_for(legacy_file).model_copy(update={"weights": str(cut)}), PX, None)
    with pytest.raises(InputError, match="HDF5 cannot read it"):
        resolve_backbone(table_for(cut), PX, None)
    save_file(tensors_of(vgg), tmp_path / "whole.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-100])
    with pytest.raises(InputError, match="safetensors cannot read it"):
        resolve_backbone(table_for(cut), PX, None)


def test_another_file_under_the_known_name_is_not_sound(tmp_path: Path) -> None:
    (tmp_path / KNOWN["resnet50"].name).write_bytes(b"\x89HDF\r\n\x1a\n but not this one")
    with pytest.raises(NotReadyError, match=KNOWN["resnet50"].digest):
        resolve_backbone(ExtractTable(backbone="resnet50"), 299, tmp_path)


def test_file_that_is_exchanged_after_the_check_is_not_loaded(vgg: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.weights.h5"
    vgg.save_weights(path)
    backbone = resolve_backbone(table_for(path), PX, None)
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/vars/1"][0] += 1
    with pytest.raises(MachineError, match="changed after it was checked") as caught:
        build_inner(backbone)
    assert backbone.weights_digest in caught.value.problem
    path.unlink()
    with pytest.raises(MachineError, match="cannot be read any more"):
        build_inner(backbone)


def test_file_that_is_exchanged_while_it_is_read_is_told(
    vgg: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.weights.h5"
    vgg.save_weights(path)
    backbone = resolve_backbone(table_for(path), PX, None)

    def exchanged(model: Any) -> None:
        (tmp_path / "other").write_bytes(b"other")
        (tmp_path / "other").replace(path)

    spoilt = replace(NETWORKS["vgg16"], mend=exchanged)
    monkeypatch.setitem(NETWORKS, "vgg16", spoilt)
    with pytest.raises(MachineError, match="changed after it was checked"):
        build_inner(replace(backbone, published=True))


def test_files_are_hashed_once_and_with_what_is_needed(
    vgg: Any, legacy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    new = hashlib.new

    def noted(name: str, *arguments: Any, **settings: Any) -> Any:
        asked.append(name)
        return new(name, *arguments, **settings)

    vgg.save_weights(tmp_path / "mine.weights.h5")
    (tmp_path / legacy_file.name).write_bytes(legacy_file.read_bytes())
    known_as(tmp_path / legacy_file.name, monkeypatch, "vgg16")
    mine = table_for(tmp_path / "mine.weights.h5")
    monkeypatch.setattr(hashlib, "new", noted)
    for table, needed in ((mine, {"sha256"}), (ExtractTable(backbone="vgg16"), {"md5", "sha256"})):
        asked.clear()
        first = resolve_backbone(table, PX, tmp_path)
        assert sorted(asked) == sorted(needed)
        assert resolve_backbone(table, PX, tmp_path) == first
        assert len(asked) == len(needed)
    with (tmp_path / "mine.weights.h5").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(NotReadyError, match="is not the file expected"):
        resolve_backbone(mine, PX, tmp_path)


def test_packages_may_publish_what_save_weights_writes(
    vgg: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "theirs.weights.h5"
    vgg.save_weights(path)
    known_as(path, monkeypatch, "vgg16")
    assert resolve_backbone(ExtractTable(backbone="vgg16"), PX, tmp_path).published


# --- absent ------------------------------------------------------------------------------------------------------


def test_missing_imagenet_weights_say_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        resolve_backbone(ExtractTable(), 299, tmp_path)
    assert KNOWN["inception_v3"].name in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "hypoxia-hpc weights fetch inception_v3" in caught.value.remedy
    assert f'[extract] backbone = "{PACKAGED}", whose weights ' in caught.value.remedy


def test_missing_path_is_named(tmp_path: Path) -> None:
    table = ExtractTable(weights=str(tmp_path / "gone.h5"), weights_sha256="0" * 64)
    with pytest.raises(MachineError, match=r"gone\.h5"):
        resolve_backbone(table, 299, None)


def test_network_without_a_published_hash_wants_a_path() -> None:
    with pytest.raises(InputError, match="no file of mobilenet_v2 is known") as caught:
        resolve_backbone(ExtractTable(backbone="mobilenet_v2"), 96, None)
    assert "weights_sha256" in caught.value.remedy


# --- more than weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.keras", "whole model"),
        ("saved_model.pb", "whole model"),
        ("weights.pkl", "pickle"),
        ("weights.pth", "pickle"),
        ("pytorch_model.bin", "pickle"),
        ("h5", "must end in .h5 or .safetensors"),
    ],
)
def test_other_kinds_of_file_are_refused_by_name(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match="must end in") as caught:
        resolve_backbone(table_for(path), PX, None)
    assert reason in str(caught.value)
    assert "save its weights alone" in caught.value.remedy


class Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "reason"), [("mine.weights.h5", "no HDF5 file"), ("mine.safetensors", "safetensors cannot read it")]
)
def test_pickle_under_the_name_of_a_weights_file_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(InputError, match=reason):
        resolve_backbone(table_for(path), PX, None)
    assert not (tmp_path / "exploded").exists()


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


def groups_in_groups(file: h5py.File) -> None:
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def group_in_itself(file: h5py.File) -> None:
    file["layer/again"] = file["layer"]


def names_without_end(file: h5py.File) -> None:
    for n in range(60):
        file[f"first/{n}"] = file["layer"]
    for n in range(60):
        file[f"second/{n}"] = file["first"]
    for n in range(60):
        file[f"third/{n}"] = file["second"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (groups_in_groups, "more than 32 deep"),
        (group_in_itself, "more than 32 deep"),
        (names_without_end, "more than 200 items"),
        (external_link, "ExternalLink"),
        (soft_link, "SoftLink"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
        (whole_model, "whole model"),
        (whole_model_without_config, "whole model"),
    ],
)
def test_files_that_hold_more_than_weights_are_refused(
    spoil: Any, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MOST_ITEMS", 200)
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["layer/kernel"] = np.zeros(3)
        spoil(file)
    with pytest.raises(InputError, match=reason):
        resolve_backbone(table_for(path), PX, None)
