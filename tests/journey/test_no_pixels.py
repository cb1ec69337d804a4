"""A run that keeps no pixels has the same features as one that does, packed in whatever way loses none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]
OPTIONS = {
    "stored": "",
    "packed": 'codec = "zstd"\n',
    "none": 'pixels = "none"\n',
}


SMALL = ("tile_px = 75\nmpp = 1.0\n", "vgg16")


@pytest.fixture(
    scope="module", params=[SMALL, pytest.param(("", "resnet50"), marks=pytest.mark.long)], ids=lambda param: param[1]
)
def runs(
    request: pytest.FixtureRequest, hypoxia: Hypoxia, real_slide: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run for each option, tiled and extracted by the real command."""
    folder = tmp_path_factory.mktemp("runs")
    sizes, backbone = request.param
    for name, option in OPTIONS.items():
        run = folder / name
        assert hypoxia("init", run, "--study", "hypoxia", "--slides", real_slide.parent).returncode == 0
        (run / "run.toml").write_text(
            f'[tile]\n{sizes}{option}[extract]\nbackbone = "{backbone}"\nweights = "random"\n'
        )
        for stage in ("tile", "extract"):
            done = hypoxia(stage, run)
            assert done.returncode == 0, done.stderr
    return folder


def features(run: Path) -> np.ndarray:
    group = zarr.open_group(run / "features" / "inception_v3" / "CMU-1-Small-Region.zarr", mode="r")
    return np.asarray(group["features"][:])


def test_features_do_not_depend_on_how_pixels_are_kept(runs: Path) -> None:
    stored = features(runs / "stored")
    assert stored.shape[1] in (512, 2048)
    assert len(stored) >= 15
    np.testing.assert_array_equal(features(runs / "packed"), stored)
    np.testing.assert_array_equal(features(runs / "none"), stored)


def test_a_store_without_pixels_is_small_and_sound(runs: Path, hypoxia: Hypoxia) -> None:
    store = runs / "none" / "tiles" / "CMU-1-Small-Region.zarr"
    assert sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) < 10_000
    assert hypoxia("verify", runs / "none").returncode == 0


def test_status_says_what_read_the_slides(runs: Path, hypoxia: Hypoxia) -> None:
    assert "read by native-jpeg 1" in hypoxia("status", runs / "stored").stdout
    stages = json.loads(hypoxia("status", runs / "stored", "--json").stdout)["stages"]
    assert stages[0]["readers"] == {"native-jpeg": 1}


def test_a_slide_that_is_another_one_now_is_not_read_again(runs: Path, hypoxia: Hypoxia, real_slide: Path) -> None:
    run = runs / "none"
    changed = run / "other.svs"
    changed.write_bytes(real_slide.read_bytes() + b"more")
    table = run / "slides.csv"
    table.write_text(table.read_text().replace(str(real_slide), str(changed)))
    (run / "run.toml").write_text((run / "run.toml").read_text() + "batch_size = 8\n")
    done = hypoxia("extract", run)
    assert done.returncode == 3
    assert "slide-changed" in done.stdout + done.stderr
