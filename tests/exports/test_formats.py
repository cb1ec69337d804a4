"""Each format as its reader has it: keys, types and attributes of the other tool, coordinates those of the tiles."""

from __future__ import annotations

import csv
import json
import time
import uuid
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import shape

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.exports import clam
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.exports.slide import ROWS_AT_ONCE, SlideExport, magnification
from hypoxia_hpc.records import ImagePart, Json, Slide
from hypoxia_hpc.stores.attributes import PlanRecord, SlideHeader, TileAttributes
from hypoxia_hpc.stores.features import FeatureRows, write_features

SIDE, D = 598.0, 6
COLUMNS, ROWS = 70, 60  # more rows of features than are read at once
CLASSES = ("normoxic", "hypoxic")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SlideExport:
    """A slide of 40x with tiles of 299 px at 20x; those of its left half are hypoxic, the last has no prediction."""
    x, y = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    xy = (np.column_stack([x.ravel(), y.ravel()]) * int(SIDE)).astype(np.int64)
    assert len(xy) > ROWS_AT_ONCE
    rng = np.random.default_rng(3)
    values = rng.normal(size=(len(xy), D)).astype(np.float16)
    store = tmp_path_factory.mktemp("features") / "S1.zarr"
    write_features(store, values, xy, {"key": "0123456789abcdef"})
    header = SlideHeader("S1", (COLUMNS * 598 + 100, ROWS * 598 + 50), 0.25)
    plan = PlanRecord("native", level=1, downsample=2.0, side_level=299, side_l0=SIDE)
    attributes = TileAttributes("key", header, TileTable().model_dump(mode="json"), plan)
    probability = np.where(xy[:, 0] < COLUMNS * 598 / 2, 0.9, 0.2)
    probability[-1] = np.nan
    said = pd.DataFrame({"tanh: probability": probability, "cluster": 2.0})
    classes = np.where(np.isnan(probability), -1, probability >= 0.5).astype(np.int64)
    slide = Slide("S1", Path("/slides/S1.svs"), "P1", 1)
    return SlideExport(slide, attributes, xy, said, classes, CLASSES, "inception_v3", FeatureRows(store))


def written(name: str, made: SlideExport, folder: Path) -> list[str]:
    """Write all files of a format, and say their names."""
    files = list(FORMATS[name].files(made, folder))
    for file, write in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        write(folder / file)
    return [file for file, _ in files]


def values_of(made: SlideExport) -> np.ndarray:
    assert made.features is not None
    found = np.empty((made.features.n, D), dtype=np.float16)
    made.features.read_into(0, len(found), found)
    return found


def without_mpp(made: SlideExport) -> SlideExport:
    header = SlideHeader("S1", made.size_l0, None)
    attributes = TileAttributes("key", header, made.attributes.spec, made.attributes.plan)
    return SlideExport(made.slide, attributes, made.xy_l0, made.said, made.classes, CLASSES, "v", made.features)


def test_clam(made: SlideExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clam, "find_spec", lambda _: None)
    assert written("clam", made, tmp_path) == ["patches/S1.h5", "h5_files/S1.h5"]
    assert "pt_files/ is left out" in FORMATS["clam"].note()
    with h5py.File(tmp_path / "patches/S1.h5") as file:
        coords = file["coords"]
        assert coords.shape == made.xy_l0.shape and (coords[:] == made.xy_l0).all()
        found = dict(coords.attrs)
        assert {
            "patch_size",
            "patch_level",
            "downsample",
            "downsampled_level_dim",
            "level_dim",
            "name",
            "save_path",
        } == {*found}
        assert (found["patch_size"], found["patch_level"], found["name"]) == (299, 1, "S1")
        assert found["downsample"].tolist() == [2, 2]
        assert found["level_dim"].tolist() == [(COLUMNS * 598 + 100) / 2, (ROWS * 598 + 50) / 2]
    with h5py.File(tmp_path / "h5_files/S1.h5") as file:
        assert (file["features"].dtype, file["coords"].dtype) == (np.float32, np.int32)
        assert (file["features"][:] == values_of(made)).all() and (file["coords"][:] == made.xy_l0).all()


@pytest.mark.parametrize("name", ["clam", "trident", "atlaspatch", "stamp", "anndata"])
def test_equal_content_gives_equal_bytes_at_another_time(
    name: str, made: SlideExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clam, "find_spec", lambda _: None)
    files = written(name, made, tmp_path)
    first = {file: (tmp_path / file).read_bytes() for file in files}
    time.sleep(1.1)  # HDF5 counts seconds
    written(name, made, tmp_path)
    assert [file for file in files if (tmp_path / file).read_bytes() != first[file]] == []


def test_trident(made: SlideExport, tmp_path: Path) -> None:
    assert written("trident", made, tmp_path) == ["patches/S1_patches.h5", "features_inception_v3/S1.h5"]
    expected = {
        "patch_size": 299, "patch_size_level0": 598, "level0_magnification": 40, "target_magnification": 20,
        "overlap": 0, "name": "S1", "savetodir": str(tmp_path), "level0_width": COLUMNS * 598 + 100,
        "level0_height": ROWS * 598 + 50,
    }  # fmt: skip
    with h5py.File(tmp_path / "patches/S1_patches.h5") as file:
        assert file["coords"].dtype == np.int64 and (file["coords"][:] == made.xy_l0).all()
        assert dict(file["coords"].attrs) == expected
    with h5py.File(tmp_path / "features_inception_v3/S1.h5") as file:
        assert (file["features"][:] == values_of(made)).all() and file["features"].dtype == np.float32
        assert file["features"].attrs["encoder"] == "inception_v3" and dict(file["coords"].attrs) == expected


def test_atlaspatch(made: SlideExport, tmp_path: Path) -> None:
    (name,) = written("atlaspatch", made, tmp_path)
    with h5py.File(tmp_path / name) as file:
        coords = file["coords"]
        assert coords.dtype == np.int32 and coords.shape == (len(made.xy_l0), 5)
        assert (coords[:, :2] == made.xy_l0).all() and (coords[:, 2:] == [299, 299, 1]).all()
        assert (file["features/inception_v3"][:] == values_of(made)).all()


def test_stamp(made: SlideExport, tmp_path: Path) -> None:
    (name,) = written("stamp", made, tmp_path)
    assert name == "inception_v3/S1.h5"
    with h5py.File(tmp_path / name) as file:
        assert dict(file.attrs) == {
            "stamp_version": "2.1.0", "extractor": "inception_v3", "unit": "um", "tile_size_um": 149.5,
            "tile_size_px": 299, "code_hash": "01234567", "feat_type": "tile",
        }  # fmt: skip
        assert (file["feats"][:] == values_of(made)).all() and file["feats"].dtype == np.float16
        assert file["coords"][:] == pytest.approx(made.xy_l0 * 0.25)


@pytest.mark.parametrize("name", ["trident", "stamp"])
def test_a_slide_without_resolution_has_no_place_in_it(name: str, made: SlideExport, tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="µm per pixel of S1 are not known"):
        written(name, without_mpp(made), tmp_path)


def test_anndata(made: SlideExport, tmp_path: Path) -> None:
    (name,) = written("anndata", made, tmp_path)
    found = anndata.read_h5ad(tmp_path / name)
    assert (np.asarray(found.X) == values_of(made)).all()
    assert (found.obsm["spatial"] == made.xy_l0 + SIDE / 2).all()
    assert (found.obs[["x_l0", "y_l0"]].to_numpy() == made.xy_l0).all() and found.obs_names.is_unique
    assert found.uns["hypoxia_hpc"]["side_l0"] == SIDE and found.uns["hypoxia_hpc"]["mpp_l0"] == 0.25
    assert found.obs["class"].astype(str).iloc[[0, -2, -1]].tolist() == ["hypoxic", "normoxic", ""]


def test_tables(made: SlideExport, tmp_path: Path) -> None:
    written("csv", made, tmp_path)
    written("parquet", made, tmp_path)
    with (tmp_path / "S1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pd.read_parquet(tmp_path / "S1.parquet")
    assert (table[["x_l0", "y_l0"]].to_numpy() == made.xy_l0).all()
    assert [int(row["x_l0"]) for row in rows] == made.xy_l0[:, 0].tolist()
    assert rows[0]["tanh: probability"] == "0.9" and rows[-1]["tanh: probability"] == ""
    assert list(table) == list(rows[0]) == [
        *("slide_id", "patient_id", "x_l0", "y_l0", "side_l0", "tanh: probability", "cluster", "class")
    ]  # fmt: skip


def test_tables_of_images_in_folders_say_which_image_a_tile_is_of(made: SlideExport, tmp_path: Path) -> None:
    names = ("T1/a, <b>.png", "T1/gone.png", 'FLAIR/"c".png')
    kept = (1000, 0, len(made.xy_l0) - 1000)
    parts = tuple(ImagePart(name.partition("/")[0]) for name in names)
    entries: tuple[Json, ...] = tuple({"path": name, "kept": n} for name, n in zip(names, kept, strict=True))
    of_images = replace(made, slide=replace(made.slide, images=names, parts=parts))
    with pytest.raises(SlideError, match="says of 0 of 4,200 tiles which image"):
        written("csv", of_images, tmp_path)
    written("csv", replace(of_images, attributes=replace(made.attributes, images=entries)), tmp_path)
    with (tmp_path / "S1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [names[0]] * 1000 + [names[2]] * kept[2]
    assert [row["series"] for row in rows[999:1001]] == ["T1", "FLAIR"]


def test_names_of_any_kind_come_back_as_they_are(made: SlideExport, tmp_path: Path) -> None:
    name = "<script>alert('1')</script>, \"P 1\"; 患者 \U0001f52c"
    named = replace(made, slide=replace(made.slide, patient_id=name), names=(name, "hypoxic"))
    for format_name in ("csv", "parquet", "anndata", "qupath", "qupath-regions"):
        written(format_name, named, tmp_path / format_name)
    table = pd.read_csv(tmp_path / "csv/S1.csv")
    obs = anndata.read_h5ad(tmp_path / "anndata/S1.h5ad").obs
    for rows in (table, pd.read_parquet(tmp_path / "parquet/S1.parquet"), obs):
        assert set(rows["patient_id"].astype(str)) == {name}
        assert set(rows["class"].dropna().astype(str)) - {""} == {name, "hypoxic"}
    for format_name in ("qupath", "qupath-regions"):
        classed = [
            one["properties"].get("classification", {}) for one in geojson(tmp_path / format_name / "S1.geojson")
        ]
        assert {one["name"] for one in classed if one} == {name, "hypoxic"}


def geojson(file: Path) -> list[Json]:
    document = json.loads(file.read_text())
    assert document["type"] == "FeatureCollection"
    features: list[Json] = document["features"]
    for one in features:
        uuid.UUID(one["id"])
        assert one["type"] == "Feature" and shape(one["geometry"]).is_valid
    assert len({one["id"] for one in features}) == len(features)
    return features


def test_qupath_tiles(made: SlideExport, tmp_path: Path) -> None:
    """As qupath.lib.io reads it; QuPath itself is not opened."""
    written("qupath", made, tmp_path)
    features = geojson(tmp_path / "S1.geojson")
    assert len(features) == len(made.xy_l0)
    for feature, (x, y) in zip(features, made.xy_l0.tolist(), strict=True):
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1] and shape(feature["geometry"]).bounds == (x, y, x + SIDE, y + SIDE)
        assert feature["properties"]["objectType"] == "tile"
    first, last = features[0]["properties"], features[-1]["properties"]
    assert first["classification"] == {"name": "hypoxic", "color": [213, 94, 0]} and first["color"] == [213, 94, 0]
    assert first["measurements"] == {"tanh: probability": 0.9, "cluster": 2.0}
    assert "classification" not in last and last["measurements"] == {"cluster": 2.0}


def test_qupath_regions(made: SlideExport, tmp_path: Path) -> None:
    written("qupath-regions", made, tmp_path)
    normoxic, hypoxic = geojson(tmp_path / "S1.geojson")
    assert [one["properties"]["classification"]["name"] for one in (normoxic, hypoxic)] == [*CLASSES]
    assert {one["properties"]["objectType"] for one in (normoxic, hypoxic)} == {"annotation"}
    half = shapely.box(0, 0, COLUMNS / 2 * SIDE, ROWS * SIDE)
    assert shape(hypoxic["geometry"]).equals(half), "the left half, as one region"
    assert normoxic["properties"]["measurements"]["tiles"] == (made.classes == 0).sum()


def test_magnifications() -> None:
    assert [magnification(mpp) for mpp in (0.2528, 0.4952, 0.5, 1.0, 0.243, 0.172)] == [40, 20, 20, 10, 40, 60]
