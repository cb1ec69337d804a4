"""The demo of sarcomas: its cohort and settings, and once the whole of it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.stages.demo_sarcoma import sarcoma_config, write_sarcoma_cohort
from hypoxia_hpc.synthetic.sarcomas import IMAGE_PX, LEAST_PATIENTS


def write(folder: Path, n_patients: int) -> None:
    """As far as to the first image."""
    stop = threading.Event()
    stop.set()
    write_sarcoma_cohort(
        folder, n_patients=n_patients, seed=1, trained=True, workers=1, progress=NoProgress(), stop=stop
    )


def test_a_folder_keeps_to_one_cohort(tmp_path: Path) -> None:
    """What it is made from is looked at before any image is written."""
    for _ in range(2):
        with pytest.raises(Stopped):
            write(tmp_path, LEAST_PATIENTS)
    with pytest.raises(InputError, match='"study":"sarcoma"'):
        write(tmp_path, LEAST_PATIENTS + 1)


def test_too_few_patients_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of fewer than 15 patients no set has all five classes"):
        write(tmp_path / "demo", LEAST_PATIENTS - 1)
    assert not (tmp_path / "demo").exists()


def test_both_kinds_of_weights_are_of_one_network() -> None:
    trained, random = (sarcoma_config(3, trained=one) for one in (True, False))
    assert (trained.extract.backbone, trained.extract.weights) == ("efficientnet_lite0", "imagenet")
    assert (random.extract.backbone, random.extract.weights) == ("efficientnet_lite0", "random")
    assert (trained.source.kind, trained.tile.tile_px) == ("folders", IMAGE_PX)
    assert trained.train.on_pixels == (), "fine-tuning is for a GPU"


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_finds_the_classes(seed: int, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    command = [sys.executable, "-m", "hypoxia_hpc", "demo", demo, "--study", "sarcoma", "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "30 test patients" in done.stdout
    areas = dict(re.findall(r"(?m)^(tanh|logistic|attention|colour) +([\d.]+)", done.stdout))
    assert all(float(areas[head]) > 0.9 for head in ("tanh", "logistic")), areas
    assert float(areas["attention"]) > 0.8, "of 45 bags to train on"
    assert f"report: {demo / 'run' / 'report' / 'index.html'}" in done.stdout
