"""OpenVINO in place of Keras' backend: the same features, on the same feeding."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.networks.backbones.resolve import build_backbone, resolve_backbone
from hypoxia_hpc.networks.inference import openvino_engine
from hypoxia_hpc.networks.inference.device import Device, DevicePlan, device_of
from hypoxia_hpc.networks.inference.feeding import features_of
from hypoxia_hpc.networks.inference.openvino_engine import require_openvino
from hypoxia_hpc.networks.runtime import backend_name

PX, BATCH = 75, 4
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
CAN_CONVERT = backend_name() != "jax" or importlib.util.find_spec("tensorflow") is not None
runs_openvino = pytest.mark.skipif(not (HAS_OPENVINO and CAN_CONVERT), reason="openvino is not installed")


class Tiles:
    """Noise in several shades; with ``broken`` the last ones cannot be read."""

    in_order = False
    n = 11

    def __init__(self, *, broken: bool = False) -> None:
        self.pixels = np.random.default_rng(3).integers(0, 256, (self.n, PX, PX, 3), dtype=np.uint8)
        self.pixels //= 1 + np.arange(self.n, dtype=np.uint8)[:, None, None, None] // 2
        self.broken = broken

    def __enter__(self) -> Tiles:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def read_into(self, start: int, stop: int, out: np.ndarray) -> int:
        if self.broken and stop == self.n:
            raise SlideError("damaged-store", "a chunk is gone")
        out[: stop - start] = self.pixels[start:stop]
        return stop - start


def device_for(name: str, engine: Any, *, precision: Any = "float32", threads: int = 2) -> Device:
    backbone = resolve_backbone(ExtractTable(backbone=name, weights="random"), PX, None)
    return device_of(DevicePlan(partial(build_backbone, backbone), PX, BATCH, precision, False, engine, threads))


def features(device: Device) -> np.ndarray:
    return features_of(device, Tiles, lambda n: None).values


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / norms).min())


@runs_openvino
@pytest.mark.parametrize("name", ["inception_v3", "resnet50"])
def test_features_are_those_of_the_backend(name: str) -> None:
    by_keras, by_openvino = (features(device_for(name, engine)) for engine in ("keras", "openvino"))
    assert by_openvino.dtype == np.float32
    assert least_cosine(by_keras, by_openvino) >= 0.99999
    np.testing.assert_allclose(by_openvino, by_keras, rtol=1e-2, atol=1e-3)


@runs_openvino
def test_features_do_not_depend_on_threads() -> None:
    one, four = (features(device_for("resnet50", "openvino", threads=threads)) for threads in (1, 4))
    np.testing.assert_array_equal(one, four)


@runs_openvino
def test_bfloat16_is_near() -> None:
    exact = features(device_for("resnet50", "openvino"))
    assert 0.999 <= least_cosine(exact, features(device_for("resnet50", "openvino", precision="bfloat16"))) < 1


@runs_openvino
def test_slides_that_fail_leave_it_as_it_was() -> None:
    device = device_for("resnet50", "openvino")
    before = features(device)
    for _ in range(6):
        with pytest.raises(SlideError, match="a chunk is gone"):
            features_of(device, lambda: Tiles(broken=True), lambda n: None)
    np.testing.assert_array_equal(features(device), before)
    assert device.engine.record["engine"] == "openvino"
    assert device.engine.record["openvino"]


def test_where_it_is_not_installed_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r'\[site\] engine = "openvino", which is not installed') as caught:
        require_openvino()
    assert "pip install 'hypoxia-hpc[openvino]'" in caught.value.remedy
    assert caught.value.exit_code == 4
