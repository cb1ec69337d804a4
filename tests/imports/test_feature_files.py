"""Files are told by what is in them; what is not in the file, or larger than features are, is not read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from feature_sets import PX, places, write_clam

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.feature_files import described

VALUES = np.ones((4, 3), dtype=np.float32)


def test_the_layout_is_told_by_keys_not_by_the_name(tmp_path: Path) -> None:
    plain = described(write_clam(tmp_path / "stamp_patches.h5", VALUES), "uni")
    assert (plain.layout, plain.n, plain.length, plain.tile_px, plain.side_l0) == ("clam", 4, 3, PX, 2 * PX)
    trident = described(write_clam(tmp_path / "clam.h5", VALUES, patch_size_level0=150, target_magnification=20), "uni")
    assert (trident.layout, trident.side_l0, trident.mpp) == ("trident", 150, 0.5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coords"] = np.array([[0, 0, 75, 75, 1]] * 4, dtype=np.int32)
        file["features/uni"], file["features/conch"] = VALUES, VALUES
    atlas = described(tmp_path / "a.h5", "conch")
    assert (atlas.layout, atlas.features, atlas.encoder, atlas.side_l0) == (
        "atlaspatch",
        "features/conch",
        "conch",
        None,
    )
    with pytest.raises(SlideError, match="has conch, uni, and virchow is asked for"):
        described(tmp_path / "a.h5", "virchow")


def external(file: h5py.File, folder: Path) -> None:
    write_clam(folder / "other.h5", VALUES)
    file["features"], file["coords"] = h5py.ExternalLink(str(folder / "other.h5"), "features"), places(4)


def soft(file: h5py.File, folder: Path) -> None:
    file["hidden"], file["coords"] = VALUES, places(4)
    file["features"] = h5py.SoftLink("/hidden")


def virtual(file: h5py.File, folder: Path) -> None:
    write_clam(folder / "other.h5", VALUES)
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "features", shape=(4, 3))
    file.create_virtual_dataset("features", layout)
    file["coords"] = places(4)


def external_storage(file: h5py.File, folder: Path) -> None:
    file.create_dataset("features", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])
    file["coords"] = places(4)


def huge(file: h5py.File, folder: Path) -> None:
    file.create_dataset("features", (2**40, 1024), "f4", chunks=(64, 1024))


def huge_values(file: h5py.File, folder: Path) -> None:
    file.create_dataset("features", (2**20, 2**15), "f4", chunks=(64, 1024))


def text(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = np.array([[b"__import__('os')"]] * 4), places(4)


def both(file: h5py.File, folder: Path) -> None:
    file["features"], file["feats"], file["coords"] = VALUES, VALUES, places(4)


def strange(file: h5py.File, folder: Path) -> None:
    file["X"] = VALUES


def uneven(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES, places(5)


def empty(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES[:0], places(0)


def of_patients(file: h5py.File, folder: Path) -> None:
    file["feats"], file["coords"], file.attrs["feat_type"] = VALUES, places(4), "patient"


def old_stamp(file: h5py.File, folder: Path) -> None:
    file["feats"], file["coords"] = VALUES, places(4)


def one_vector(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES[0], places(4)


def whole_numbers(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES.astype(np.int32), places(4)


def complex_numbers(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES.astype(np.complex64), places(4)


def records(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = np.zeros((4, 3), dtype=[("a", "f4"), ("b", "f4")]), places(4)


def stacked(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES[np.newaxis], places(4)


def coords_as_text(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES, np.array([[b"0", b"0"]] * 4)


def coords_in_a_group(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords/x"] = VALUES, places(4)[:, 0]


def no_square(file: h5py.File, folder: Path) -> None:
    file["features/uni"], file["coords"] = VALUES, np.array([[0, 0, 75, 60, 0]] * 4, dtype=np.int32)


def no_features_in_the_group(file: h5py.File, folder: Path) -> None:
    file.create_group("features")
    file["coords"] = np.array([[0, 0, 75, 75, 0]] * 4, dtype=np.int32)


def strange_coords(file: h5py.File, folder: Path) -> None:
    file["features"], file["coords"] = VALUES, np.zeros((4, 7))


def anndata_with(file: h5py.File, **sets: object) -> None:
    """Data sets by path, with dots for slashes; None for none."""
    file.attrs["encoding-type"] = "anndata"
    whole = {"X": VALUES, "obsm.spatial": places(4) + 75.0, "uns.hypoxia_hpc.side_l0": 150.0}
    for name, values in {**whole, **sets}.items():
        if values is not None:
            file[name.replace(".", "/")] = values


def sparse_anndata(file: h5py.File, folder: Path) -> None:
    anndata_with(file, X=None)
    file["X/data"] = VALUES[0]


def unplaced_anndata(file: h5py.File, folder: Path) -> None:
    anndata_with(file, **{"obsm.spatial": None})


def foreign_anndata(file: h5py.File, folder: Path) -> None:
    anndata_with(file, **{"uns.hypoxia_hpc.side_l0": None})


def sideless_anndata(file: h5py.File, folder: Path) -> None:
    anndata_with(file, **{"uns.hypoxia_hpc.side_l0": "wide"})


def linking_anndata(file: h5py.File, folder: Path) -> None:
    anndata_with(file, **{"uns.hypoxia_hpc.side_l0": h5py.ExternalLink("/etc/passwd", "x")})


def anndata_in_space(file: h5py.File, folder: Path) -> None:
    anndata_with(file, **{"obsm.spatial": np.zeros((4, 3))})


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (external, "'features' is a link, which is not followed"),
        (soft, "'features' is a link, which is not followed"),
        (virtual, "'features' lie in other files"),
        (external_storage, "'features' lie in other files"),
        (huge, "claims 1,099,511,627,776 tiles"),
        (huge_values, "claims 1,048,576 vectors of 32,768 values"),
        (text, "and not \\(tiles, values\\) of 16 to 64 bits"),
        (both, "features and feats both"),
        (strange, "it has X; CLAM has features and coords"),
        (uneven, "5 rows in coords and 4 rows in features"),
        (empty, "it has no tile"),
        (of_patients, "of a patient, not of tiles"),
        (old_stamp, "of before STAMP 2"),
        (one_vector, "float32 \\(3,\\), and not"),
        (sparse_anndata, "X is sparse or missing"),
        (unplaced_anndata, 'without obsm\\["spatial"\\]'),
        (foreign_anndata, 'without uns\\["hypoxia_hpc"\\], which says how large tiles are'),
        (sideless_anndata, "has no side_l0"),
        (linking_anndata, "'side_l0' is a link"),
        (anndata_in_space, "float64 \\(4, 3\\), and not numbers in 2 columns"),
        (whole_numbers, "int32 \\(4, 3\\), and not \\(tiles, values\\) of 16 to 64 bits"),
        (complex_numbers, "complex64 \\(4, 3\\), and not"),
        (records, "and not \\(tiles, values\\) of 16 to 64 bits"),
        (stacked, "float32 \\(1, 4, 3\\), and not"),
        (coords_as_text, "\\(4, 2\\), and not numbers in 2 columns"),
        (coords_in_a_group, "its coords are a group, and not numbers in 2 columns"),
        (no_square, "75 x 60 px of level 0, which is no square"),
        (no_features_in_the_group, "its group features has nothing, and uni is asked for"),
        (strange_coords, "float64 \\(4, 7\\), and not numbers in 2 columns"),
    ],
)
def test_what_is_no_file_of_features_is_told_why(
    fill: Callable[[h5py.File, Path], None], words: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "S0.h5", "w") as file:
        fill(file, tmp_path)
    with pytest.raises(SlideError, match=words) as raised:
        described(tmp_path / "S0.h5", "uni")
    assert raised.value.reason == "unfit-features-file" and raised.value.remedy


def test_damaged_files_and_others(tmp_path: Path) -> None:
    path = write_clam(tmp_path / "S0.h5", VALUES)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SlideError, match="HDF5 that cannot be read"):
        described(path, "uni")
    path.write_bytes(pickle.dumps(VALUES))
    with pytest.raises(SlideError, match="neither HDF5 nor a tensor"):
        described(path, "uni")
    with pytest.raises(SlideError, match="cannot be read"):
        described(tmp_path / "none.h5", "uni")
    with pytest.raises(SlideError, match="no plain file"):
        described(tmp_path, "uni")
