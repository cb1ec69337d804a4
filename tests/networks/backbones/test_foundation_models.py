"""Foundation models of pathology by name: their records, what they see of a tile, the names in their files."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from PIL import Image
from weight_files import random_table, some_tiles, table_for

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.fetched import Origin, write_origin
from hypoxia_hpc.networks.backbones.hub_keys import HubKeys
from hypoxia_hpc.networks.backbones.listing import listed_networks
from hypoxia_hpc.networks.backbones.pathology.advice import advice_on_tiles
from hypoxia_hpc.networks.backbones.pathology.record import FoundationModel
from hypoxia_hpc.networks.backbones.pathology.registry import MODELS
from hypoxia_hpc.networks.backbones.resampling import ONE, Interpolation, weights
from hypoxia_hpc.networks.backbones.resolve import build_backbone, find_network, resolve_backbone
from hypoxia_hpc.networks.backbones.timm_networks import _create, _outline
from hypoxia_hpc.networks.runtime import backend_name

HAS_TIMM = importlib.util.find_spec("timm") is not None
on_pytorch = pytest.mark.skipif(not HAS_TIMM or backend_name() != "torch", reason="needs timm, and Keras on PyTorch")
OF_TRANSFORMERS = [name for name, one in MODELS.items() if one.network.keys is not None]


def test_each_is_found_by_its_name_and_listed(tmp_path: Path) -> None:
    (tmp_path / "uni.safetensors").write_bytes(b"")
    listed = {one.name: one for one in listed_networks(tmp_path)}
    for name, model in MODELS.items():
        assert find_network(name) == model.network
        assert listed[name].feature_length == model.feature_length
        assert listed[name].weights_here == (name == "uni")
        assert model.licence and model.gate and model.repository and model.paper
    assert listed["inception_v3"].feature_length == 2048


@pytest.mark.parametrize(
    ("backbone", "tile_px", "mpp", "told"),
    [
        ("uni", 256, 0.5, ""),
        ("uni", 224, 0.46, ""),
        ("uni", 256, 1.0, "256 px at 1 µm/px"),
        ("uni", 512, 0.5, "512 px at 0.5"),
        ("uni", 256, None, "a resolution that is not known"),
        ("inception_v3", 299, 2.0, ""),
    ],
)
def test_other_tiles_than_recommended_are_said(backbone: str, tile_px: int, mpp: float | None, told: str) -> None:
    found = advice_on_tiles(backbone, tile_px, mpp)
    assert told in found and bool(told) == bool(found)


@pytest.mark.parametrize(
    ("name", "told"), [("conch", "in the package conch"), ("TITAN", "an encoder of slides"), ("uni2", "mean uni2-h")]
)
def test_what_is_not_built_is_refused_in_words(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_network(name)


def test_the_verb_lists_them_with_what_is_unchecked(hypoxia: Callable[..., CompletedProcess[str]]) -> None:
    done = hypoxia("backbones", "virchow2")
    assert done.returncode == 0, done.stderr
    assert "2,560" in done.stdout and "gated" in done.stdout and "not confirmed" in done.stdout
    rows = json.loads(hypoxia("backbones", "--json").stdout)
    assert {one["name"] for one in rows} > {*MODELS, "vgg16"}
    refused = hypoxia("backbones", "virchow3")
    assert refused.returncode == 2 and "virchow2" in refused.stderr


@on_pytorch
@pytest.mark.parametrize("name", MODELS)
def test_each_gives_features_of_its_length(name: str) -> None:
    """On shapes alone, tiles of another size than it sees; names in a file of transformers cover each tensor once."""
    assert resolve_backbone(random_table(name), 299, None).feature_length == MODELS[name].feature_length
    network = MODELS[name].network
    if network.keys is None:
        return
    shapes = {one: tuple(tensor.shape) for one, tensor in _outline(network).state_dict().items()}
    named = network.keys.shapes(shapes)
    assert sorted(part for one in shapes for part in network.keys.of(one)) == sorted(named)
    place = named["embeddings.cls_token"][-1] if network.keys.class_has_place else 0
    assert sum(np.prod(one) for one in named.values()) == sum(np.prod(one) for one in shapes.values()) + place


def hub_tensors(keys: HubKeys, tensors: dict[str, Any]) -> dict[str, Any]:
    """timm's tensors under the names of the hub; a position of the class token is 0."""
    import torch

    found = {}
    for name, tensor in tensors.items():
        parts = keys.of(name)
        found |= {part: one.contiguous() for part, one in zip(parts, tensor.chunk(len(parts)), strict=True)}
    if keys.class_has_place:
        places = found["embeddings.position_embeddings"]
        found["embeddings.position_embeddings"] = torch.cat([torch.zeros_like(places[:, :1]), places], dim=1)
    return found


def shallow(model: FoundationModel) -> FoundationModel:
    """With two blocks: the same names, and quick on a CPU."""
    arguments = {**dict(model.network.arguments), "depth": 2, "embed_dim": 48, "num_heads": 3}
    return dataclasses.replace(
        model, network=dataclasses.replace(model.network, arguments=tuple(sorted(arguments.items())))
    )


@on_pytorch
@pytest.mark.parametrize("name", ["uni", "virchow2", "h0-mini-mean", *OF_TRANSFORMERS])
def test_weights_under_the_names_of_the_hub_give_the_same_features(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save_file

    model = shallow(MODELS[name])
    monkeypatch.setitem(MODELS, name, model)
    torch.manual_seed(3)
    network = _create(model.network)
    tensors = dict(network.state_dict())
    for one in tensors.values():
        one.add_(0.02 * torch.randn_like(one))
    keys = model.network.keys
    named = hub_tensors(keys, tensors) if keys else tensors
    ignored = {"embeddings.mask_token": torch.zeros(1)} if keys and "embeddings.mask_token" in keys.ignored else {}
    save_file({**named, **ignored}, tmp_path / f"{name}.safetensors")
    table = table_for(tmp_path / f"{name}.safetensors", name)
    features = build_backbone(resolve_backbone(table, 224, None)).predict_on_batch(some_tiles(2, 224))
    assert model.network.seen is not None
    with torch.no_grad():
        seen = model.network.seen.of(torch.from_numpy(some_tiles(2, 224)).permute(0, 3, 1, 2))
        tokens = network.forward_features(seen)
        expected = tokens[:, 0]
        if model.network.tokens == "class and mean":
            expected = torch.cat([expected, tokens[:, network.num_prefix_tokens :].mean(1)], dim=-1)
    np.testing.assert_array_equal(features, expected.numpy())


def by_pillow(tile: np.ndarray, side: int, interpolation: Interpolation) -> np.ndarray:
    resample = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[interpolation]
    return np.asarray(Image.fromarray(tile).resize((side, side), resample))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("side", "new"), [(256, 224), (299, 224), (512, 224), (224, 256), (100, 224), (7, 3)])
def test_weights_of_resizing_give_pillows_pixels(side: int, new: int, interpolation: Interpolation) -> None:
    tile = some_tiles(1, side)[0]
    by_weights = weights(side, new, interpolation)
    rows = np.clip((tile.transpose(2, 0, 1) @ by_weights.T + ONE / 2) // ONE, 0, 255)
    both = np.clip((by_weights @ rows + ONE / 2) // ONE, 0, 255)
    np.testing.assert_array_equal(both.transpose(1, 2, 0), by_pillow(tile, new, interpolation))


@on_pytorch
@pytest.mark.parametrize("name", ["uni", "gigapath", "h-optimus-0"])
@pytest.mark.parametrize("side", [224, 299])
def test_what_it_sees_is_what_torchvision_makes_of_a_pillow_image(name: str, side: int) -> None:
    import torch
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

    seen = MODELS[name].network.seen
    assert seen is not None
    steps = (
        Resize(seen.resize_px, InterpolationMode(seen.interpolation)),
        *(CenterCrop(seen.px), ToTensor(), Normalize(seen.mean, seen.sd)),
    )
    tile = some_tiles(1, side)
    found = seen.of(torch.from_numpy(tile).permute(0, 3, 1, 2))[0]
    np.testing.assert_allclose(found.numpy(), Compose(steps)(Image.fromarray(tile[0])).numpy(), atol=1e-5)


@on_pytorch
@pytest.mark.parametrize("spoilt", ["missing", "surplus", "shape"])
def test_a_wrong_file_is_refused_and_every_tensor_named(spoilt: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {
        one: torch.zeros(tensor.shape) for one, tensor in _outline(MODELS["kaiko-s16"].network).state_dict().items()
    }
    wrong = "blocks.3.attn.qkv.weight"
    if spoilt == "missing":
        del tensors[wrong]
    else:
        tensors["more" if spoilt == "surplus" else wrong] = torch.zeros(3)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="does not hold the weights of kaiko-s16") as caught:
        build_backbone(resolve_backbone(table_for(tmp_path / "model.safetensors", "kaiko-s16"), 224, None))
    assert len(caught.value.offending) == 1
    assert ("more" if spoilt == "surplus" else wrong) in caught.value.offending[0]
    assert "makers of kaiko-s16" in caught.value.remedy


@on_pytorch
def test_the_file_of_its_name_is_taken_by_the_hash_beside_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with pytest.raises(MachineError, match=r"no file kaiko-s16\.safetensors") as caught:
        resolve_backbone(ExtractTable(backbone="kaiko-s16"), 224, tmp_path)
    assert "hypoxia-hpc weights fetch kaiko-s16" in caught.value.remedy
    path = tmp_path / "kaiko-s16.safetensors"
    torch.manual_seed(5)
    save_file(dict(_create(MODELS["kaiko-s16"].network).state_dict()), path)
    with pytest.raises(NotReadyError, match="beside it says which SHA-256"):
        resolve_backbone(ExtractTable(backbone="kaiko-s16"), 224, tmp_path)
    named = table_for(path, "kaiko-s16")
    write_origin(path, Origin(str(named.weights_sha256), "a/b", "c", "", ""))
    found = resolve_backbone(ExtractTable(backbone="kaiko-s16"), 224, tmp_path)
    assert found.weights_digest == resolve_backbone(named, 224, None).weights_digest
    assert np.isfinite(build_backbone(found).predict_on_batch(some_tiles(1, 224))).all()
    path.write_bytes(path.read_bytes()[:-4] + b"else")
    with pytest.raises(NotReadyError, match="is not the file expected"):
        resolve_backbone(ExtractTable(backbone="kaiko-s16"), 224, tmp_path)


@on_pytorch
@pytest.mark.parametrize("name", ["uni", "midnight-12k", "hibou-b"])
def test_positions_of_another_grid_are_resized(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As timm does it with its files, and transformers with its own: without antialiasing there."""
    import torch
    from safetensors.torch import save_file
    from timm.layers import resample_abs_pos_embed

    model = shallow(MODELS[name])
    monkeypatch.setitem(MODELS, name, model)
    keys, places = model.network.keys, 0 if name == "hibou-b" else 1
    tensors = dict(_create(model.network).state_dict())
    larger = 0.1 * torch.randn(1, 37 * 37 + places, 48)
    tensors["pos_embed"] = larger
    save_file(hub_tensors(keys, tensors) if keys else tensors, tmp_path / "model.safetensors")
    built = build_backbone(resolve_backbone(table_for(tmp_path / "model.safetensors", name), 224, None))
    found = built.get_layer("timm_network").get_layer("timm").module.network.state_dict()["pos_embed"]
    side = 14 if name == "uni" else 16
    expected = resample_abs_pos_embed(larger, (side, side), num_prefix_tokens=places, antialias=keys is None)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


@on_pytorch
def test_positions_of_no_grid_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    shapes = {one: tensor.shape for one, tensor in _outline(MODELS["kaiko-s16"].network).state_dict().items()}
    tensors = {one: torch.zeros(shape) for one, shape in shapes.items()} | {"pos_embed": torch.zeros(1, 200, 384)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="does not hold the weights") as caught:
        build_backbone(resolve_backbone(table_for(tmp_path / "model.safetensors", "kaiko-s16"), 224, None))
    assert caught.value.offending == ("pos_embed has the shape (1, 200, 384), not (1, 197, 384)",)
