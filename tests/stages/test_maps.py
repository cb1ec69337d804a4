"""maps of a run: one of each slide, drawn once for the same predictions."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import make_planted_run, make_run
from PIL import Image

from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.models import tile_predictions
from hypoxia_hpc.models.tile_predictions import each_slide
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.maps import Mapped, maps
from hypoxia_hpc.stages.train import train


def mapped(run: RunDir, model: str = "") -> Mapped:
    return maps(run, model=model, progress=NoProgress(), stop=threading.Event())


def evaluated(run: RunDir) -> RunDir:
    for stage in (train, evaluate):
        stage(run, progress=NoProgress(), stop=threading.Event())
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    heads = {"heads": ["logistic", "attention"], "clusterings": []}
    return evaluated(make_run(tmp_path_factory.mktemp("maps") / "run", heads, n_patients=16))


def test_a_picture_of_each_slide_and_none_twice(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    n = len(copy.slides())
    first = mapped(copy, "attention")
    assert (first.n_maps, first.n_there, first.left_out) == (2 * n, 0, ())
    files = sorted(first.folder.glob("*.png"))
    assert {file.name for file in files} == {
        f"{slide.slide_id}{end}.png" for slide in copy.slides() for end in ("", ".attention")
    }
    for file in files[:4]:
        with Image.open(file) as image:
            assert image.size[0] == 1024
    files[0].unlink()
    before = {file: file.stat().st_mtime_ns for file in files[1:]}
    again = mapped(copy, "attention")
    assert again.n_there == 2 * n - 1 and {file: file.stat().st_mtime_ns for file in files[1:]} == before
    copy.metrics_file.write_text(copy.metrics_file.read_text().rstrip() + " \n")
    assert mapped(copy, "attention").n_there == 0, "of other predictions they are drawn anew"


def test_every_tile_is_read_once_whatever_the_parts(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pd.read_parquet(run.predictions / "tiles.parquet")
    monkeypatch.setattr(tile_predictions, "ROWS_AT_ONCE", 37)
    found = dict(each_slide(run, "logistic", ["probability"]))
    own = whole[whole["model"] == "logistic"]
    assert set(found) == {slide.slide_id for slide in run.slides()} and sum(map(len, found.values())) == len(own)
    for slide_id, rows in found.items():
        expected = own[own["slide_id"] == slide_id]
        assert np.array_equal(rows["probability"], expected["probability"])
        assert np.array_equal(rows["x_l0"], expected["x_l0"])


def test_what_is_refused_or_left_out(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    with pytest.raises(InputError, match="--model tanh has no predictions"):
        mapped(copy, "tanh")
    gone = copy.slides()[3].slide_id
    shutil.rmtree(copy.tiles(gone))
    assert mapped(copy, "logistic").left_out == (gone,)
    table = pd.read_parquet(copy.predictions / "tiles.parquet")
    pd.concat([table, table.iloc[:1]]).to_parquet(copy.predictions / "tiles.parquet", index=False)
    with pytest.raises(NotReadyError, match="do not stand together"):
        list(each_slide(copy, str(table["model"].iloc[0]), ["probability"]))
    shutil.rmtree(copy.predictions)
    with pytest.raises(NotReadyError, match="has no predictions"):
        mapped(copy)


def test_scores_are_drawn_on_the_scale_of_the_cohort(tmp_path: Path) -> None:
    run = evaluated(make_planted_run(tmp_path / "score", "score", 1.0, 1, n_patients=40))
    made = mapped(run)
    assert made.n_maps == len(run.slides())


def test_the_command(run: RunDir, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = hypoxia("maps", run.root, "--model", "logistic")
    assert done.returncode == 0, done.stderr
    assert f"{run.root / 'maps' / 'logistic'}: {len(run.slides())} maps of logistic" in done.stdout
