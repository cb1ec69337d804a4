"""A network is counted once for a run, and again where something else is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.runs import operations
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.operations import network_operations


def config(backbone: str = "mobilenet", tile_px: int = 64) -> RunConfig:
    return preset("hypoxia", {"tile": {"tile_px": tile_px}, "extract": {"backbone": backbone, "weights": "random"}})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was counted; nasnet_mobile has unknown layers here, and vgg19 cannot be built."""
    asked: list[tuple[str, int]] = []

    def count(name: str, tile_px: int) -> int | None:
        asked.append((name, tile_px))
        if name == "vgg19":
            raise MachineError("Keras has nothing to run on")
        return None if name == "nasnet_mobile" else 1000 * tile_px

    monkeypatch.setattr(operations, "count_operations", count)
    return asked


def test_it_is_counted_once(tmp_path: Path, counted: list[tuple[str, int]]) -> None:
    run = RunDir(tmp_path)
    assert [network_operations(run, config()) for _ in range(3)] == [64_000] * 3
    assert counted == [("mobilenet", 64)]
    assert network_operations(run, config(tile_px=96)) == 96_000
    assert [network_operations(run, config("nasnet_mobile")) for _ in range(2)] == [None, None]
    assert counted[1:] == [("mobilenet", 96), ("nasnet_mobile", 64)]


def test_what_cannot_be_counted_here_is_asked_again(tmp_path: Path, counted: list[tuple[str, int]]) -> None:
    assert [network_operations(RunDir(tmp_path), config("vgg19")) for _ in range(2)] == [None, None]
    assert len(counted) == 2
    with pytest.raises(InputError):
        network_operations(RunDir(tmp_path), config("no_such_network"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"multiply_adds": "many"}', '{"multiply_adds": 7}', "null"])
def test_a_damaged_file_is_counted_anew(tmp_path: Path, counted: list[tuple[str, int]], text: str) -> None:
    file = tmp_path / "receipts" / "estimate" / "operations.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert [network_operations(RunDir(tmp_path), config()) for _ in range(2)] == [64_000] * 2
    assert len(counted) == 1


def test_a_run_that_cannot_be_written_is_estimated_all_the_same(tmp_path: Path, counted: list[tuple[str, int]]) -> None:
    (tmp_path / "receipts").write_text("no folder")
    assert network_operations(RunDir(tmp_path), config()) == 64_000
    assert len(counted) == 1
