"""Networks of timm: a clear error where they cannot run; where Keras runs on PyTorch, timm's own features."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_package import EXAMPLE, install
from weight_files import random_table, some_tiles, table_for

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.networks.backbones import precision, timm_networks
from hypoxia_hpc.networks.backbones.memory import products_a_second, rate_in_words, require_room
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.precision import asked_precision
from hypoxia_hpc.networks.backbones.resolve import build_backbone, build_inner, resolve_backbone
from hypoxia_hpc.networks.backbones.timm_networks import products_a_tile, timm_network
from hypoxia_hpc.networks.runtime import backend_name
from hypoxia_hpc.runs.keys import extract_spec

HAS_TIMM = importlib.util.find_spec("timm") is not None
on_pytorch = pytest.mark.skipif(not HAS_TIMM or backend_name() != "torch", reason="needs timm, and Keras on PyTorch")
VIT = "timm:vit_tiny_patch16_224"
PX = 64


@pytest.mark.skipif(HAS_TIMM, reason="timm is installed")
def test_without_timm_it_says_what_to_install() -> None:
    with pytest.raises(MachineError, match=r"timm:resnet18 needs .*timm.* not installed") as caught:
        resolve_backbone(random_table("timm:resnet18"), PX, None)
    assert "pip install 'hypoxia-hpc[torch,timm]'" in caught.value.remedy


@pytest.mark.skipif(not HAS_TIMM or importlib.util.find_spec("jax") is None, reason="needs timm, and JAX beside it")
def test_on_another_backend_it_says_which_it_needs() -> None:
    code = (
        "from hypoxia_hpc.config import ExtractTable; from hypoxia_hpc.errors import InputError\n"
        "from hypoxia_hpc.networks.backbones.resolve import resolve_backbone\n"
        "try: resolve_backbone(ExtractTable(backbone='timm:resnet18', weights='random'), 64, None)\n"
        "except InputError as error: assert 'unset KERAS_BACKEND' in error.remedy; print('told')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "KERAS_BACKEND": "jax"}
    )
    assert done.stdout == b"told\n"


def created(name: str, **arguments: Any) -> Any:
    """timm's own network, eval mode, weights of seed 3."""
    import timm
    import torch

    torch.manual_seed(3)
    return timm.create_model(name, **arguments).eval()


def save(network: Any, path: Path, **changes: Any) -> None:
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()} | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


def features_by_timm(network: Any, tiles: np.ndarray) -> np.ndarray:
    """Of uint8 tiles (n, px, px, 3), with timm's mean and deviation."""
    import torch

    config = network.pretrained_cfg
    pixels = (tiles / 255 - np.array(config["mean"])) / np.array(config["std"])
    with torch.no_grad():
        return np.asarray(
            network.forward_head(
                network.forward_features(torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)),
                pre_logits=True,
            )
        )


@on_pytorch
@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_features_are_those_of_timm(kind: str, tmp_path: Path) -> None:
    network = created("resnet18")  # with its classifier, as it is published
    save(network, tmp_path / "resnet18.safetensors")
    table = table_for(tmp_path / "resnet18.safetensors", "timm:resnet18").model_copy(update={"precision": kind})
    backbone = resolve_backbone(table, PX, None)
    assert backbone.feature_length == 512
    features = build_backbone(backbone).predict_on_batch(some_tiles(3, PX))
    expected = features_by_timm(network, some_tiles(3, PX))
    assert features.dtype == np.float32
    near = 1e-4 if kind == "float32" else 0.03
    np.testing.assert_allclose(features, expected, atol=near * np.abs(expected).max())
    assert (np.abs(features - expected).max() > 1e-6 * np.abs(expected).max()) == (kind != "float32")


@on_pytorch
def test_random_network_of_timm_repeats_and_is_trainable() -> None:
    backbone = resolve_backbone(random_table("timm:resnet18"), PX, None)
    assert backbone.weights_digest.startswith("random:timm-")
    first, again = (build_backbone(backbone).predict_on_batch(some_tiles(2, PX)) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert np.isfinite(first).all()
    other = build_backbone(resolve_backbone(random_table("timm:resnet18", seed=1), PX, None))
    assert np.abs(other.predict_on_batch(some_tiles(2, PX)) - first).max() > 1e-3
    inner, _ = build_inner(backbone)
    assert len(inner.trainable_variables) == 60


@on_pytorch
def test_all_that_features_depend_on_is_a_weight_of_keras(tmp_path: Path) -> None:
    """So that a network which is fine-tuned is kept whole: moving averages, too."""
    network = created("resnet18")
    network.bn1.running_mean += 1
    network.layer1[0].bn1.running_var *= 2
    save(network, tmp_path / "resnet18.safetensors")
    table = table_for(tmp_path / "resnet18.safetensors", "timm:resnet18")
    trained, _ = build_inner(resolve_backbone(table, PX, None))
    other, _ = build_inner(resolve_backbone(random_table("timm:resnet18", seed=5), PX, None))
    pixels = some_tiles(2, PX).astype(np.float32) / 255
    expected = trained.predict_on_batch(pixels)
    assert np.abs(other.predict_on_batch(pixels) - expected).max() > 1e-3
    other.set_weights(trained.get_weights())
    np.testing.assert_array_equal(other.predict_on_batch(pixels), expected)


@on_pytorch
def test_tiles_of_another_size_than_the_network_takes_are_refused() -> None:
    assert resolve_backbone(random_table(VIT), 224, None).feature_length == 192
    with pytest.raises(InputError, match=r"Input height \(299\) doesn't match model \(224\)") as caught:
        resolve_backbone(random_table(VIT), 299, None)
    assert "set tile_px to 224" in caught.value.remedy


@on_pytorch
def test_all_that_is_wrong_with_its_weights_is_told(tmp_path: Path) -> None:
    import torch

    network = created("resnet18")
    changes = {"conv1.weight": None, "bn1.weight": torch.full((64,), torch.nan), "more.weight": torch.zeros(1)}
    save(network, tmp_path / "spoilt.safetensors", **changes)
    with pytest.raises(InputError, match="does not hold the weights of timm:resnet18") as caught:
        build_backbone(resolve_backbone(table_for(tmp_path / "spoilt.safetensors", "timm:resnet18"), PX, None))
    assert caught.value.offending == (
        "missing: conv1.weight",
        "not of this network: more.weight",
        "not finite: bn1.weight",
    )
    assert "include_top" not in caught.value.remedy


@on_pytorch
def test_pickles_of_pytorch_are_refused_with_the_way_out(tmp_path: Path) -> None:
    import torch

    torch.save(created("resnet18").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"must end in \.safetensors") as caught:
        resolve_backbone(table_for(tmp_path / "pytorch_model.bin", "timm:resnet18"), PX, None)
    assert "weights_only=True" in caught.value.remedy
    with pytest.raises(InputError, match="no file of timm:resnet18 is known"):
        resolve_backbone(ExtractTable(backbone="timm:resnet18"), PX, None)


@on_pytorch
@pytest.mark.parametrize(
    ("name", "meant"),
    [("timm:resnet81", "resnet18"), ("timm:resnet18.no_such_tag", "resnet18"), ("timm:zzzzzzzz", "")],
)
def test_name_that_timm_does_not_know_is_told_with_those_it_may_mean(name: str, meant: str) -> None:
    with pytest.raises(InputError, match="does not make the network") as caught:
        resolve_backbone(random_table(name), PX, None)
    alike = caught.value.remedy.partition("some like it: ")[2].split(", ")
    assert meant in alike


@on_pytorch
def test_network_of_timm_with_settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, EXAMPLE, "small_vit = example_backbones:SMALL_VIT"))
    monkeypatch.delitem(sys.modules, EXAMPLE.stem, raising=False)
    network = created("vit_tiny_patch16_224", img_size=PX, init_values=1e-5)
    save(network, tmp_path / "vit.safetensors")
    backbone = resolve_backbone(table_for(tmp_path / "vit.safetensors", "small_vit"), PX, None)
    features = build_backbone(backbone).predict_on_batch(some_tiles(2, PX))
    np.testing.assert_allclose(features, features_by_timm(network, some_tiles(2, PX)), atol=1e-4)


def test_settings_of_ones_own_stand_before_those_of_timm() -> None:
    network = timm_network("resnet18", mean=(0.0, 0.0, 0.0), sd=(1.0, 1.0, 1.0), global_pool="max")
    assert network.arguments == (("global_pool", "max"),)
    if HAS_TIMM and backend_name() == "torch":
        import keras

        found = network.preprocess(keras, keras.ops.convert_to_tensor(some_tiles(1, 4)))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), some_tiles(1, 4) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("backbone", "asked", "keyed"),
    [
        ("resnet50", "auto", "float32"),
        ("phikon", "auto", "float32"),
        ("timm:resnet18", "auto", "float32"),
        ("imported:uni", "auto", "float32"),
        ("uni", "auto", "auto:float16"),
        ("uni2-h", "auto", "auto:bfloat16"),
        ("uni2-h", "float16", "float16"),
    ],
)
def test_keys_have_the_precision_that_was_asked_for(backbone: str, asked: Any, keyed: str) -> None:
    table = ExtractTable(backbone=backbone, precision=asked)
    assert asked_precision(table) == keyed == extract_spec(table, 224, "")["precision"]


def test_16_bits_of_the_makers_are_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus, used in (([], "float32"), (["H200"], "float16")):
        monkeypatch.setattr(precision, "gpu_names", lambda gpus=gpus: gpus)
        assert precision.used_precision("auto:float16") == used
        assert precision.used_precision("bfloat16") == "bfloat16"
    assert precision.cpu_precision("auto:float16") == "float32" and precision.cpu_precision("float16") == "float16"


def test_too_little_memory_is_said_before_a_network_is_built() -> None:
    require_room("uni2-h", 681_000_000, 6 * 10**9, 2, "of this machine")
    with pytest.raises(MachineError, match=r"681 million weights and needs 5\.4 GB .* 2\.0 GB of this"):
        require_room("uni2-h", 681_000_000, 2 * 10**9, 2, "of this machine")


def test_a_rate_is_said_with_the_time_it_means() -> None:
    said = rate_in_words("uni2-h", 2e11, 1.5e11, 12_000)
    assert "about 0.56 tiles a second, so 12,000 tiles take 5.9 h" in said
    assert "take 1 min" in rate_in_words("kaiko-s16", 5e9, 1.5e12, 12_000)
    assert 1e8 < products_a_second() < 1e14


@on_pytorch
def test_a_network_larger_than_memory_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = resolve_backbone(random_table("gigapath"), 224, None)
    monkeypatch.setattr(timm_networks, "free_memory", lambda: 10**9)
    with pytest.raises(MachineError, match=r"gigapath has 1,13\d million weights and needs 9\.1 GB"):
        build_backbone(backbone)


@on_pytorch
def test_a_tile_costs_what_the_papers_say() -> None:
    """timm counts 4.6 billion multiply-adds of ViT-S/16 at 224 px, 17.6 of ViT-B/16, 61.6 of ViT-L/16."""
    for name, billions in (("kaiko-s16", 4.6), ("kaiko-b16", 17.6), ("uni", 61.6)):
        assert products_a_tile(MODELS[name].network) == pytest.approx(1e9 * billions, rel=0.03)
    assert products_a_tile(timm_network("resnet18")) is None


@on_pytorch
def test_attention_is_fused_though_operations_are_deterministic() -> None:
    from torch.profiler import profile

    model = build_backbone(resolve_backbone(random_table("kaiko-s16"), 224, None))
    with profile() as seen:
        model.predict_on_batch(some_tiles(1, 224))
    assert any("scaled_dot_product" in one.key for one in seen.key_averages())
