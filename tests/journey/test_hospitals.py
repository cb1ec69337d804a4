"""Hospitals that stain in their own ways: a run that is trained in one and tested in the other, with one stain for both
and without; the report has the two side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from dyed import OTHER, SLIDE, dyed
from PIL import Image

from hypoxia_hpc.config import parse_config, render_config

N_OF_HOSPITAL, N_VALID = 16, 4
PX = 64
Hypoxia = Callable[..., CompletedProcess[str]]


def write_run(run: Path, seed: int, method: str) -> Path:
    """Patients of an image each; those with the label 1 have more nuclei. Every patient of the other hospital is in the
    test set."""
    (run / "images").mkdir(parents=True)
    rows = []
    for number in range(2 * N_OF_HOSPITAL):
        label, is_other = number % 2, number >= N_OF_HOSPITAL
        pixels = dyed(OTHER if is_other else SLIDE, 2 * PX, 1000 * seed + number, 0.2, 0.45 if label else 0.2)
        Image.fromarray(pixels).save(run / "images" / f"P{number:02}.png")
        rows.append((f"P{number:02}", label, "test" if is_other else "valid" if number < N_VALID else "train"))
    for name, (header, row) in {
        "slides.csv": ("slide_id,path,patient_id,cost", "{0},images,{0},1"),
        "images.csv": ("slide_id,path", "{0},{0}.png"),
        "patients.csv": ("patient_id,label", "{0},{1}"),
        "split.csv": ("patient_id,set", "{0},{2}"),
    }.items():
        (run / name).write_text("\n".join([header, *(row.format(*one) for one in rows)]) + "\n")
    changes = {
        "source": {"kind": "folders"},
        "tile": {"tile_px": PX, "max_background": 0.5, "stain": {"method": method}},
        "extract": {"name": "small", "backbone": "vgg16", "weights": "random", "batch_size": 16},
        "train": {"heads": ["logistic"], "clusterings": [], "split_file": "split.csv"},
        "evaluate": {"bootstrap": 100},
        "site": {"workers": 1},
    }
    (run / "run.toml").write_text(render_config(parse_config(changes, source="run.toml")))
    return run


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_run_across_hospitals_is_better_in_one_stain_and_the_report_shows_it(
    seed: int, tmp_path: Path, hypoxia: Hypoxia
) -> None:
    right = {}
    for method in ("none", "macenko"):
        run = write_run(tmp_path / method, seed, method)
        done = hypoxia("run", run)
        assert done.returncode == 0, done.stderr
        right[method] = json.loads((run / "metrics.json").read_text())["models"]["logistic"]["test"]["patient"][
            "accuracy"
        ]
    assert right["none"]["value"] <= 0.65 and right["macenko"]["value"] >= 0.85, right
    done = hypoxia("report", tmp_path / "macenko", "--compare", tmp_path / "none")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "macenko" / "report" / "index.html").read_text()
    assert "tile.stain.method" in page and f"{right['none']['value']:.2f} (" in page
    assert f"{right['macenko']['value']:.2f} (" in page
