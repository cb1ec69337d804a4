"""Tensors of PyTorch: numbers alone are read, and no code in the file is run. PyTorch itself is played here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.tensors import read_tensor


class Tensor:
    """What is asked of a tensor."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.ndim, self.dtype = values, values.shape, values.ndim, values.dtype

    def is_floating_point(self) -> bool:
        return self.values.dtype.kind == "f"

    def numpy(self) -> np.ndarray:
        return self.values


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "S0.pt"
    path.write_bytes(b"PK")
    return path


def play(monkeypatch: pytest.MonkeyPatch, found: Any) -> list[dict[str, Any]]:
    """A torch whose `load` finds this; what it is called with."""
    torch, calls = ModuleType("torch"), []

    def load(path: Path, **asked: Any) -> Any:
        calls.append(asked)
        if isinstance(found, Exception):
            raise found
        return found

    for name, value in {"Tensor": Tensor, "load": load, "bfloat16": "bfloat16"}.items():
        setattr(torch, name, value)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return calls


def test_numbers_are_read_and_nothing_is_executed(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    calls = play(monkeypatch, Tensor(np.ones((3, 2), dtype=np.float32)))
    assert read_tensor(file).shape == (3, 2)
    assert calls == [{"map_location": "cpu", "weights_only": True}]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"features": 1}, "dict in place of a tensor"),
        (Tensor(np.ones((1, 3, 2), dtype=np.float32)), "Tensor in place of a tensor \\(tiles, values\\)"),
        (Tensor(np.ones((3, 2), dtype=np.int64)), "Tensor in place"),
        (Tensor(np.ones((0, 2), dtype=np.float32)), "\\(0, 2\\), which no slide has"),
        (RuntimeError("Weights only load failed"), "without executing what is in it \\(Weights only load failed\\)"),
    ],
)
def test_other_content_is_refused(found: Any, words: str, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    play(monkeypatch, found)
    with pytest.raises(SlideError, match=words):
        read_tensor(file)
