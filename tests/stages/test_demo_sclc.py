"""The demo of phenotypes and survival: its cohorts, what it says of tiles, and once the whole of it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.cli.text.planted import planted_text
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.evaluation.recovery import Effect, Recovered
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.demo_sclc import Found, planted_and_found, sclc_config, tiles_found, write_sclc_cohorts
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.synthetic.mixtures import NO_TISSUE, SQUARE_PX, TEXTURES, mosaic_cohort
from hypoxia_hpc.synthetic.slides import slide_file_name


def test_a_folder_keeps_to_one_cohort(tmp_path: Path) -> None:
    """What it is made from is looked at before any slide is written."""
    stop = threading.Event()
    stop.set()

    def write(n_patients: int) -> None:
        write_sclc_cohorts(
            tmp_path, n_patients=n_patients, seed=1, trained=True, workers=1, progress=NoProgress(), stop=stop
        )

    for _ in range(2):
        with pytest.raises(Stopped):
            write(12)
    with pytest.raises(InputError, match='"study":"sclc"'):
        write(14)


def test_both_kinds_of_weights_are_of_one_network() -> None:
    trained, random = (sclc_config(3, trained=one) for one in (True, False))
    assert (trained.extract.backbone, trained.extract.weights) == ("efficientnet_lite0", "imagenet")
    assert (random.extract.backbone, random.extract.weights) == ("efficientnet_lite0", "random")
    assert trained.train.contrastive.clusters == len(TEXTURES) and trained.tile.tile_px == SQUARE_PX


def test_tiles_are_held_against_the_texture_of_their_place(tmp_path: Path) -> None:
    run, (mosaic,) = RunDir(tmp_path), mosaic_cohort(1, 4)
    run.phenotypes.mkdir()
    rows = [
        (Path(slide_file_name(mosaic.patient_id)).stem, column * SQUARE_PX, row * SQUARE_PX, (3 - texture) % 4)
        for (row, column), texture in np.ndenumerate(mosaic.textures)
    ]
    table = pd.DataFrame(rows, columns=["slide_id", "x_l0", "y_l0", "cluster"])
    table.to_parquet(run.phenotypes / "tiles.parquet")
    found = tiles_found(run, [mosaic])
    assert (mosaic.textures == NO_TISSUE).any(), "squares without a truth are left out"
    assert (found.rand, found.points) == (1, 0)
    assert all(found.texture_of[3 - one] == one for one in set(mosaic.textures.ravel()) - {NO_TISSUE})


def test_what_is_said() -> None:
    tiles = {"first cohort": Recovered(0.99, (0, 1), 0.4), "outside cohort": Recovered(0.98, (0, 1), 0.5)}
    effects = [Effect("a", "c", 1.6, 1.5, 1.2, 1.9), Effect("b", "c", 0.6, None, None, None, "p = 0.3")]
    said = planted_text(Found(tiles, effects, {"discovery": 1e-4, "external": None}, ""))
    assert re.search(r"first cohort +0\.990 +0\.4", said) and re.search(r"outside cohort +none", said)
    assert re.search(r"a +c +1\.60 +1\.50 \(1\.20 to 1\.90\) +yes", said)
    assert "not in the signature: p = 0.3" in said and re.search(r"discovery, uncorrected +0\.0001", said)
    assert "no signature: no event" in planted_text(Found(tiles, [], {}, "no event"))


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_finds_what_was_planted(seed: int, tmp_path: Path) -> None:
    """Textures, shares and effects; and high and low risk differ in discovery and in the outside cohort."""
    command = [sys.executable, "-m", "hypoxia_hpc", "demo", tmp_path / "demo", "--study", "sclc", "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    said = done.stdout.rpartition("What was planted, and what was found")[2]
    assert "not on pixels: contrastive training of the whole network" in done.stdout
    cohorts = re.findall(r"(?m)^(?:first|outside) cohort +([\d.]+) +([\d.]+)$", said)
    assert [float(rand) >= 0.8 and float(points) <= 3 for rand, points in cohorts] == [True, True]
    assert len(re.findall(r"(?m)^(?:crowded nuclei|fibres) .* yes$", said)) == 2
    for which in ("discovery, uncorrected", "outside cohort"):
        assert float(re.findall(rf"(?m)^{which} +([\d.e-]+)$", said)[-1]) < 0.05


@pytest.mark.long
def test_each_of_50_clusters_is_of_one_texture(tmp_path: Path) -> None:
    """Purity of tiles, each cluster taken for the texture that most of its tiles have: 0.9 or more, on
    frozen features."""
    quiet: dict[str, Any] = {"progress": NoProgress(), "stop": threading.Event()}
    first, _ = write_sclc_cohorts(tmp_path, n_patients=24, seed=1, trained=True, workers=2, **quiet)
    config = sclc_config(1, trained=True)
    contrastive = config.train.contrastive.model_copy(update={"clusters": 50})
    changes = {
        "train": config.train.model_copy(update={"contrastive": contrastive}),
        "phenotypes": config.phenotypes.model_copy(update={"seeds": 0}),
    }
    run = RunDir(tmp_path / "run")
    init(run, config.model_copy(update=changes), first.slides, patients=first.patients)
    for verb in ("tile", "extract", "train", "phenotypes"):
        command = [sys.executable, "-m", "hypoxia_hpc", verb, run.root]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
    tiles = planted_and_found(run, first.mosaics)
    table = pd.crosstab(tiles["cluster"], tiles["texture"]).to_numpy()
    purity = table.max(axis=1).sum() / table.sum()
    assert len(table) > len(TEXTURES)
    assert purity >= 0.9, f"{len(table)} clusters have tiles, {table.sum():,} tiles"
