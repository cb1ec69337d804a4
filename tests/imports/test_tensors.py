"""CLAM's tensors by PyTorch itself: what `export` writes comes back, and nothing in a file is executed."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feature_runs import NAME
from feature_sets import importing_run, places, write_export

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.feature_files import described
from hypoxia_hpc.imports.tensors import read_tensor
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.import_features import import_features
from hypoxia_hpc.stores.features import open_features, write_features

torch = pytest.importorskip("torch", reason="PyTorch is not installed here")

VALUES = np.random.default_rng(5).normal(size=(9, 4)).astype(np.float16)


def imported(folder: Path, *given: Path) -> RunDir:
    run = importing_run(folder, ["S0,/slides/S0.svs,P0"])
    import_features(run, given, retry=False, progress=NoProgress(), stop=threading.Event())
    return run


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """CLAM's three files of a slide."""
    run = importing_run(tmp_path / "source", ["S0,/slides/S0.svs,P0"])
    write_features(tmp_path / "S0.zarr", VALUES, places(len(VALUES)), {"key": "k"})
    write_export("clam", tmp_path / "files", run.slides()[0], tmp_path / "S0.zarr")
    return tmp_path / "files"


def test_a_tensor_that_export_wrote_comes_back(exported: Path, tmp_path: Path) -> None:
    file = exported / "pt_files" / "S0.pt"
    bag = torch.load(file, weights_only=True)
    assert bag.dtype == torch.float32 and (bag.numpy() == VALUES).all()
    run = imported(tmp_path / "run", exported / "pt_files", exported / "patches")
    found = open_features(run.features(NAME, "S0"))
    assert found.values.dtype == np.float16 and (found.values == VALUES).all()
    assert (found.xy == places(len(VALUES))).all()


def test_where_all_three_files_are_given_hdf5_is_taken(exported: Path, tmp_path: Path) -> None:
    (exported / "pt_files" / "S0.pt").write_bytes(b"PK\x03\x04 no tensor")
    run = imported(tmp_path / "run", exported / "pt_files", exported / "h5_files")
    assert (open_features(run.features(NAME, "S0")).values == VALUES).all()


def test_equal_features_are_equal_bytes_and_no_name_of_this_machine(exported: Path, tmp_path: Path) -> None:
    run = importing_run(tmp_path / "again", ["S0,/slides/S0.svs,P0"])
    write_export("clam", tmp_path / "second", run.slides()[0], tmp_path / "S0.zarr")
    first, second = ((folder / "pt_files" / "S0.pt").read_bytes() for folder in (exported, tmp_path / "second"))
    assert first == second and b"S0" not in first


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("is_of_old_pytorch", [False, True])
def test_types_and_files_of_older_versions(dtype: str, is_of_old_pytorch: bool, tmp_path: Path) -> None:
    tensor = torch.from_numpy(VALUES.astype(np.float32)).to(getattr(torch, dtype))
    file = tmp_path / "S0.pt"
    torch.save(tensor, file, _use_new_zipfile_serialization=not is_of_old_pytorch)
    assert described(file, NAME).layout == "tensor"
    assert (read_tensor(file) == tensor.double().numpy()).all()


class Marking:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("is_of_old_pytorch", [False, True])
def test_nothing_in_a_file_is_executed(is_of_old_pytorch: bool, tmp_path: Path) -> None:
    file, mark = tmp_path / "S0.pt", tmp_path / "executed"
    torch.save([Marking(mark)], file, _use_new_zipfile_serialization=not is_of_old_pytorch)
    with pytest.raises(SlideError, match="without executing what is in it") as raised:
        read_tensor(file)
    assert raised.value.reason == "unfit-features-file" and not mark.exists()
    file.write_bytes(pickle.dumps(Marking(mark), protocol=2))
    assert described(file, NAME).layout == "tensor"
    with pytest.raises(SlideError, match="without executing what is in it"):
        read_tensor(file)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: {"features": torch.ones(3, 2)}, "dict in place of a tensor"),
        (lambda: torch.ones(1, 3, 2), "in place of a tensor \\(tiles, values\\)"),
        (lambda: torch.ones(3, 2, dtype=torch.int64), "in place of a tensor"),
        (lambda: torch.ones(0, 2), "\\(0, 2\\), which no slide has"),
        (lambda: torch.ones(1, 1).expand(2**23, 1), "which no slide has"),
    ],
)
def test_other_content_is_refused(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "S0.pt")
    with pytest.raises(SlideError, match=words):
        read_tensor(tmp_path / "S0.pt")


def test_a_tensor_of_another_number_of_tiles_than_its_coordinates(exported: Path, tmp_path: Path) -> None:
    torch.save(torch.ones(3, 4), exported / "pt_files" / "S0.pt")
    run = importing_run(tmp_path / "run", ["S0,/slides/S0.svs,P0"])
    given = [exported / "pt_files", exported / "patches"]
    done = import_features(run, given, retry=False, progress=NoProgress(), stop=threading.Event())
    (receipt,) = done.outcome.quarantined
    assert "features of 3 tiles, and the file of coordinates has 9" in receipt.detail
