"""Networks that other packages add: really installed by pip, found by their entry points."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_package import EXAMPLE, install
from weight_files import random_table, some_tiles, table_for

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.networks.backbones.resolve import (
    build_backbone,
    build_inner,
    network_names,
    resolve_backbone,
    useless_networks,
)

# Keras 3.15's own conversion to NumPy, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

PX = 64
POINTS = "small = example_backbones:SMALL\nsmall_vit = example_backbones:SMALL_VIT"
Install = Callable[..., Path]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    def do(module: Path = EXAMPLE, points: str = POINTS, **settings: Any) -> Path:
        folder = tmp_path / settings.get("name", "example-backbones")
        folder.mkdir()
        monkeypatch.syspath_prepend(install(folder, module, points, **settings))
        monkeypatch.delitem(sys.modules, module.stem, raising=False)
        importlib.invalidate_caches()
        return folder

    return do


def test_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 30


def test_network_of_an_installed_package_is_one_of_ours(installed: Install, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'small' is no network"):
        resolve_backbone(random_table("small"), PX, None)
    installed()
    assert {"small", "small_vit"} <= set(network_names())
    backbone = resolve_backbone(random_table("small"), PX, None)
    assert (backbone.feature_length, backbone.weights_digest) == (64, "random:1:0")
    inner, _ = build_inner(backbone)
    inner.save_weights(tmp_path / "small.weights.h5")
    features = build_backbone(backbone).predict_on_batch(some_tiles(3, PX))
    assert features.shape == (3, 64)
    assert 0.05 < features.std() < 5
    loaded = build_backbone(resolve_backbone(table_for(tmp_path / "small.weights.h5", "small"), PX, None))
    np.testing.assert_array_equal(loaded.predict_on_batch(some_tiles(3, PX)), features)
    with pytest.raises(InputError, match="takes 16 px and more"):
        resolve_backbone(random_table("small"), 15, None)
    with pytest.raises(InputError, match="no file of small is known"):
        resolve_backbone(ExtractTable(backbone="small"), PX, None)


def example(old: str, new: str, tmp_path: Path) -> Path:
    path = tmp_path / "spoilt_backbones.py"
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_rule_of_a_network_enters_what_its_features_are_known_by(installed: Install, tmp_path: Path) -> None:
    installed(example("min_px=16", "min_px=16, rule=2", tmp_path), "small = spoilt_backbones:SMALL")
    assert resolve_backbone(random_table("small"), PX, None).weights_digest == "random:1:0:rule-2"


def test_wrong_feature_length_is_told(installed: Install, tmp_path: Path) -> None:
    installed(example("feature_length=64", "feature_length=65", tmp_path), "small = spoilt_backbones:SMALL")
    with pytest.raises(InputError, match=r"gives \(None, 64\), not \(None, 65\)"):
        build_backbone(resolve_backbone(random_table("small"), PX, None))


@pytest.mark.parametrize(
    ("points", "kind", "reason"),
    [
        ("small = example_backbones:GONE", MachineError, "cannot be loaded: .*GONE"),
        ("small = no_such_module:SMALL", MachineError, "cannot be loaded: .*no_such_module"),
        ("small = example_backbones:build_small", InputError, "of type function, not a Network"),
        ("vgg16 = example_backbones:SMALL", InputError, "more than one network goes by this name"),
    ],
)
def test_entry_points_that_are_of_no_use_are_told(
    points: str, kind: type[Exception], reason: str, installed: Install
) -> None:
    installed(points=points)
    with pytest.raises(kind, match=reason) as caught:
        resolve_backbone(random_table(points.partition(" ")[0]), PX, None)
    assert "example-backbones 1.0: " in str(caught.value)


def test_two_packages_of_one_name_are_told(installed: Install) -> None:
    installed(points="small = example_backbones:SMALL")
    installed(points="small = example_backbones:SMALL", name="other-backbones")
    with pytest.raises(InputError, match="more than one network") as caught:
        resolve_backbone(random_table("small"), PX, None)
    assert {"example-backbones 1.0", "other-backbones 1.0"} == {one.partition(":")[0] for one in caught.value.offending}


def test_a_module_that_fails_is_told_where_its_network_is_named(installed: Install, tmp_path: Path) -> None:
    module = tmp_path / "failing_backbones.py"
    module.write_text("raise RuntimeError('no licence')\n", encoding="utf-8")
    installed(module, "small = failing_backbones:SMALL\nvgg16 = failing_backbones:SMALL")
    with pytest.raises(InputError, match="cannot be loaded: RuntimeError: no licence") as caught:
        resolve_backbone(random_table("small"), PX, None)
    assert caught.value.offending == ("example-backbones 1.0: failing_backbones:SMALL",)
    assert "choose another [extract] backbone" in caught.value.remedy
    assert resolve_backbone(random_table("resnet50"), PX, None).feature_length == 2048
    useless = useless_networks()
    assert "example-backbones 1.0: failing_backbones:SMALL" in useless["small"]
    assert "more than one network" in useless["vgg16"]
