"""The demo of MGMT methylation: its cohort, and once the whole of it, with a difference and without one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hypoxia_hpc.errors import InputError
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.stages.demo_mgmt import mgmt_config, write_mgmt_cohort
from hypoxia_hpc.synthetic.mri import N_SLICES, SERIES


def test_a_folder_keeps_to_one_cohort_and_what_is_there_stays(tmp_path: Path) -> None:
    def write(n_patients: int, difference: float | None = None) -> tuple[Path, Path]:
        return write_mgmt_cohort(
            tmp_path,
            n_patients=n_patients,
            difference=difference,
            seed=1,
            trained=True,
            workers=1,
            progress=NoProgress(),
            stop=threading.Event(),
        )

    images, labels = write(2)
    assert labels.read_text().splitlines()[0] == "BraTS21ID,MGMT_value"
    files = list(images.rglob("*"))
    assert len([path for path in files if path.suffix == ".png"]) == 2 * len(SERIES) * N_SLICES
    times = {path: path.stat().st_mtime_ns for path in files}
    write(2)
    assert {path: path.stat().st_mtime_ns for path in images.rglob("*")} == times
    for other in ((3, None), (2, 0.0)):
        with pytest.raises(InputError, match='"study":"mgmt"'):
            write(*other)


def test_both_kinds_of_weights_are_of_one_network() -> None:
    trained, random = (mgmt_config(3, trained=one) for one in (True, False))
    assert (trained.extract.backbone, trained.extract.weights) == ("efficientnet_lite0", "imagenet")
    assert (random.extract.backbone, random.extract.weights) == ("efficientnet_lite0", "random")
    assert trained.evaluate.image_split and trained.evaluate.fusion == "late"


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_finds_what_was_planted_and_says_where_it_looks_like_a_leak(seed: int, tmp_path: Path) -> None:
    metrics, page = demo(tmp_path, seed)
    values = {one["series"]: one["value"] for one in metrics["series"] if one["model"] == "attention"}
    assert values["T1wCE"] > max(0.7, values["T1w"])
    lead = metrics["models"][metrics["lead"]["model"]]["test"]["patient"]["roc_auc"]["value"]
    assert ("probable-leak" in {one["kind"] for one in metrics["warnings"]}) == (lead > 0.7)
    assert 'id="series"' in page


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_a_difference_patients_give_chance_and_images_do_not(seed: int, tmp_path: Path) -> None:
    """And the report says why."""
    metrics, page = demo(tmp_path, seed, "--difference", "0")
    split = metrics["image_split"]
    assert split["by_image"] > max(0.65, split["by_patient"] + 0.1) and split["by_patient"] < 0.7
    assert all(one["verdict"] != "above" for one in metrics["chance"].values())
    assert "where the same patients are in training and test" in page
    assert "The first figure says nothing of a new patient." in page


def demo(folder: Path, seed: int, *options: str) -> tuple[dict, str]:
    """metrics.json and the page."""
    command = [sys.executable, "-m", "hypoxia_hpc", "demo", folder, "--study", "mgmt", "--seed", str(seed), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert str(folder / "run" / "report" / "index.html") in done.stdout
    metrics = json.loads((folder / "run" / "metrics.json").read_bytes())
    return metrics, (folder / "run" / "report" / "index.html").read_text()
