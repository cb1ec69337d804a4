"""What `export` writes and other tools would read comes back as it was; what cannot lie so on a slide is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from anndata import AnnData
from feature_runs import NAME
from feature_sets import PX, SIDE_L0, importing_run, places, write_clam, write_export

from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.imports.feature_files import described
from hypoxia_hpc.imports.matching import ImportSource, sources_of
from hypoxia_hpc.models.importing import ImportStage
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import feature_states, run_spec
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.features import open_features, write_features

VALUES = np.random.default_rng(5).normal(size=(9, 4)).astype(np.float16)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return importing_run(tmp_path / "run", ["S0,/slides/S0.svs,P0"])


def stage_of(run: RunDir, **sources: ImportSource) -> ImportStage:
    config = run.config()
    return ImportStage(run, NAME, run_spec(config), config.extract.dtype, config.tile, sources)


def source_of(*files: Path) -> ImportSource:
    return sources_of({"S0": {path: described(path, NAME) for path in files}})["S0"]


def made(run: RunDir, source: ImportSource) -> Slide:
    """Import it, as a worker process does."""
    (slide,) = run.slides()
    stage = stage_of(run, S0=source)
    stage.make(slide, stage.key(slide), lambda n: None)
    return slide


@pytest.mark.parametrize("layout", ["clam", "trident", "stamp", "atlaspatch", "anndata"])
def test_features_and_places_come_back(layout: str, run: RunDir, tmp_path: Path) -> None:
    write_features(tmp_path / "S0.zarr", VALUES, places(len(VALUES)), {"key": "k"})
    write_export(layout, tmp_path / "files", run.slides()[0], tmp_path / "S0.zarr")
    slide = made(run, source_of(*sorted((tmp_path / "files").rglob("*.h5*"))))
    found = open_features(run.features(NAME, "S0"))
    assert found.values.dtype == np.float16 and (found.values == VALUES).all()
    assert (found.xy == places(len(VALUES))).all()
    tiles = read_tile_attributes(run.tiles("S0"))
    assert tiles is not None and tiles.slide.mpp == 0.25 and tiles.plan.reader == f"imported from {layout}"
    assert tiles.plan.side_l0 == pytest.approx(SIDE_L0)
    assert tiles.slide.size_l0 == ((100 * SIDE_L0, 200) if layout not in ("stamp", "atlaspatch") else None)
    (state,) = feature_states(run, run.config(), [slide], run_spec(run.config()))
    assert state.status == "done"


def test_rows_come_in_reading_order_and_keys_have_the_digest(run: RunDir, tmp_path: Path) -> None:
    mixed = np.random.default_rng(1).permutation(len(VALUES))
    path = write_clam(tmp_path / "S0.h5", VALUES.astype(np.float64)[mixed], places(len(VALUES))[mixed])
    made(run, source_of(path))
    assert (open_features(run.features(NAME, "S0")).values == VALUES).all()
    tiles = read_tile_attributes(run.tiles("S0"))
    assert tiles is not None and tiles.slide.fingerprint == f"imported:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("side_l0", [150.0, 151.0, 149.37, 449 / 3.0003])
def test_anndata_comes_back_exactly_whatever_the_side_of_a_tile(side_l0: float, run: RunDir, tmp_path: Path) -> None:
    xy = np.rint(np.column_stack([np.arange(9) * side_l0 + 10_007, np.full(9, 3.0)])).astype(np.int64)
    one = AnnData(
        VALUES.astype(np.float32), obsm={"spatial": xy + side_l0 / 2}, uns={"hypoxia_hpc": {"side_l0": side_l0}}
    )
    one.write_h5ad(tmp_path / "S0.h5ad")
    made(run, source_of(tmp_path / "S0.h5ad"))
    found, tiles = open_features(run.features(NAME, "S0")), read_tile_attributes(run.tiles("S0"))
    assert (found.xy == xy).all() and (found.values == VALUES).all()
    assert tiles is not None and tiles.plan.side_l0 == side_l0


@pytest.mark.parametrize("dtype", [">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("places_dtype", ["<i2", ">u4", "<i8", ">f4", "<f8"])
def test_sets_beside_features_and_other_number_types_change_nothing(
    dtype: str, places_dtype: str, run: RunDir, tmp_path: Path
) -> None:
    path = write_clam(tmp_path / "S0.h5", VALUES.astype(dtype), places(len(VALUES)).astype(places_dtype))
    with h5py.File(path, "a") as file:
        file["attention"], file["patient"] = np.zeros(3), b"P0"
        packed = file["features"][:]
        del file["features"]
        file.create_dataset("features", data=packed, chunks=(4, 3), compression="gzip", shuffle=True)
    made(run, source_of(path))
    found = open_features(run.features(NAME, "S0"))
    assert (found.values == VALUES).all() and (found.xy == places(len(VALUES))).all()


NAN, LARGE = VALUES.astype(np.float32), VALUES.astype(np.float32)
NAN[3, 1] = np.nan
LARGE[2, 2] = 1e6


@pytest.mark.parametrize(
    ("values", "coords", "attributes", "reason", "words"),
    [
        (NAN, None, {}, "non-finite-features", "1 tiles have NaN"),
        (LARGE, None, {}, "float16-overflow", "up to 1e\\+06"),
        (VALUES, places(9) - 1, {}, "unfit-features-file", "another slide, or not pixels of level 0"),
        (VALUES, places(9) // 200, {}, "unfit-features-file", "have the place of another"),
        (VALUES, places(9) + 0.5, {}, "unfit-features-file", "not whole pixels"),
        (VALUES, None, {"downsample": 4.0}, "unfit-features-file", "1 µm per pixel of the tile; \\[tile\\] mpp = 0.5"),
        (
            VALUES,
            places(9) // 2,
            {"patch_size_level0": SIDE_L0, "overlap": 0},
            "unfit-features-file",
            "75 px apart, and by its attributes 150",
        ),
        (
            VALUES,
            None,
            {"patch_size_level0": SIDE_L0, "level0_width": 900, "level0_height": 900},
            "unfit-features-file",
            "on a slide of 900 x 900 px",
        ),
    ],
)
def test_a_slide_whose_file_cannot_be_used_is_told_why(
    values: Any, coords: Any, attributes: dict[str, Any], reason: str, words: str, run: RunDir, tmp_path: Path
) -> None:
    path = write_clam(tmp_path / "S0.h5", values, coords, **attributes)
    with pytest.raises(SlideError, match=words) as raised:
        made(run, source_of(path))
    assert raised.value.reason == reason and str(path) in raised.value.problem
    assert not run.tiles("S0").exists() and not run.features(NAME, "S0").exists()


def test_places_that_do_not_fit_the_side_of_run_toml_are_refused(run: RunDir, tmp_path: Path) -> None:
    bare = {"tile_px": None, "side_l0": None, "side_level": 0, "downsample": 0.0}
    fine = described(write_clam(tmp_path / "fine.h5", VALUES), NAME)
    coarse = described(write_clam(tmp_path / "coarse.h5", VALUES, places(9) // 4), NAME)
    with pytest.raises(SlideError, match=r"37 px apart, and by \[tile\] they are 150 px of level 0 wide") as raised:
        made(run, ImportSource(replace(coarse, **bare)))
    assert "patches/ of CLAM" in raised.value.remedy and not run.tiles("S0").exists()
    made(run, ImportSource(replace(fine, **bare)))


def test_a_slide_without_a_file_and_one_of_unknown_resolution(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="S0: no file with features has this name"):
        made(run, ImportSource())
    write_features(tmp_path / "S0.zarr", VALUES, places(len(VALUES)), {"key": "k"})
    write_export("stamp", tmp_path / "files", run.slides()[0], tmp_path / "S0.zarr")
    run.slides_file.write_text(run.slides_file.read_text().replace(",0.25", ","))
    with pytest.raises(SlideError, match="its coordinates are µm") as raised:
        made(run, source_of(*(tmp_path / "files").rglob("*.h5")))
    assert raised.value.reason == "no-mpp"


def test_anndata_whose_places_are_corners_is_refused(run: RunDir, tmp_path: Path) -> None:
    one = AnnData(VALUES.astype(np.float32), obsm={"spatial": places(9)}, uns={"hypoxia_hpc": {"side_l0": 151.0}})
    one.write_h5ad(tmp_path / "S0.h5ad")
    with pytest.raises(SlideError, match="coordinates are not whole pixels"):
        made(run, source_of(tmp_path / "S0.h5ad"))


def test_features_without_coordinates_go_by_those_of_the_same_name(run: RunDir, tmp_path: Path) -> None:
    path = write_clam(tmp_path / "S0.h5", VALUES)
    whole = described(path, NAME)
    with pytest.raises(SlideError, match="features without coordinates"):
        made(run, ImportSource(replace(whole, coords="")))
    short = described(write_clam(tmp_path / "short.h5", VALUES[:3]), NAME)
    with pytest.raises(SlideError, match=r"3 tiles, and .*S0\.h5 has features of 9"):
        made(run, ImportSource(replace(whole, coords=""), replace(short, features="")))
    made(run, ImportSource(replace(whole, coords="", tile_px=None, side_l0=None), replace(whole, features="")))
    tiles = read_tile_attributes(run.tiles("S0"))
    assert tiles is not None and tiles.plan.side_level == PX
