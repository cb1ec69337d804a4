"""Files of PyTorch's tensors to safetensors; a pickle that is more than that is refused, and nothing of it runs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from hypoxia_hpc.errors import InputError, MachineError, NotReadyError
from hypoxia_hpc.networks.backbones.converting import convert

HAS_TORCH = importlib.util.find_spec("torch") is not None
with_torch = pytest.mark.skipif(not HAS_TORCH, reason="needs PyTorch")


@with_torch
@pytest.mark.parametrize("part", ["", "teacher", "state_dict.model"])
def test_tensors_are_written_as_they_are(part: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16)}
    saved: dict[str, object] = dict(tensors)
    for name in reversed(part.split(".") if part else []):
        saved = {name: saved, "epoch": 3}
    torch.save(saved, tmp_path / "model.bin")
    done = convert(tmp_path / "model.bin", tmp_path / "model.safetensors")
    assert (done.n, done.part) == (2, part)
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], one) and found[name].dtype == one.dtype for name, one in tensors.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.safetensors"]


class Harm:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (Path("harm"),)


@with_torch
def test_what_is_more_than_tensors_is_refused_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(1), "b": Harm()}, tmp_path / "model.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:100])
    torch.save([torch.ones(1)], tmp_path / "list.bin")
    for name in ("model", "cut", "list"):
        with pytest.raises(InputError, match=f"{name}.bin cannot be converted"):
            convert(tmp_path / f"{name}.bin", tmp_path / "model.safetensors")
    assert not list(tmp_path.glob("*harm*")) and not list(tmp_path.glob("*safetensors*"))


def test_paths_are_checked_first(tmp_path: Path, hypoxia: Callable[..., CompletedProcess[str]]) -> None:
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"")
    with pytest.raises(InputError, match=r"does not end in \.safetensors"):
        convert(there, tmp_path / "model.bin")
    with pytest.raises(MachineError, match="is no file"):
        convert(tmp_path / "none.bin", tmp_path / "new.safetensors")
    with pytest.raises(NotReadyError, match="is there already"):
        convert(there, there)
    done = hypoxia("weights", "convert", tmp_path / "none.bin", tmp_path / "new.safetensors")
    assert done.returncode == 4 and "is no file" in done.stderr
