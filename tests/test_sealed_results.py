"""Results that were changed, lost or are of something else are never taken for those of a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.config import TileTable, preset, render_config
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.networks.heads.saved import ModelRecord, load_model, save_model
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Patient, Receipt, Slide
from hypoxia_hpc.runs.cohort import Cohort
from hypoxia_hpc.runs.directory import RunDir, metrics_content
from hypoxia_hpc.runs.receipts import read_receipt, write_receipt
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.runs.trainable import refuse_shared_slides
from hypoxia_hpc.slides.openslide_reader import SlideError, open_slide
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.tile import tile

Hypoxia = Callable[..., subprocess.CompletedProcess[str]]
INTERVAL = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 30}


def record(head: str, key: str) -> ModelRecord:
    settings = {"c": 0.01, "max_iter": 1000}
    empty: dict[str, object] = {}
    return ModelRecord(
        head=head, key=key, settings=settings, seed=0, feature_length=2, tile_spec=empty, extract_spec=empty, sets={},
        history={}, compute=empty, software={},
    )  # fmt: skip


def test_weights_of_another_model_or_flipped_bits_are_found(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_model(tmp_path / name, record("logistic", name), {"coefficients": np.full(2, value)})
    assert load_model(tmp_path / "a").arrays["coefficients"].tolist() == [1, 1]
    shutil.copy(tmp_path / "b" / "weights.safetensors", tmp_path / "a" / "weights.safetensors")
    with pytest.raises(NotReadyError, match="not the file that was written"):
        load_model(tmp_path / "a")


def test_metrics_changed_by_hand_count_as_none(tmp_path: Path) -> None:
    run, models = RunDir(tmp_path), {"tanh": {"test": {"patient": {"roc_auc": INTERVAL}}}}
    text = json.dumps({"schema": 1, "content": metrics_content({"schema": 1, "models": models}), "models": models})
    run.metrics_file.write_text(text)
    assert run.metrics() == json.loads(text)
    run.metrics_file.write_text(text.replace("0.6", "0.9"))
    assert run.metrics() is None


@pytest.mark.parametrize("damage", ['"seconds": "x"', '"extra": null', '"status": "fine"', '"rows": 1.5'])
def test_a_receipt_of_wrong_types_counts_as_none(tmp_path: Path, damage: str) -> None:
    write_receipt(tmp_path, Receipt("one", "done", "key", seconds=1.0, rows=3))
    assert read_receipt(tmp_path, "one") is not None
    raw = json.loads((tmp_path / "one.json").read_text()) | json.loads("{" + damage + "}")
    (tmp_path / "one.json").write_text(json.dumps(raw))
    assert read_receipt(tmp_path, "one") is None


def test_a_pipe_is_no_slide(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    with pytest.raises(SlideError, match="no plain file"), open_slide(tmp_path / "pipe.svs"):
        pass


def test_init_overwrites_nothing_and_may_be_given_again(tmp_path: Path, real_slide: Path) -> None:
    manifest = tmp_path / "slides.csv"
    manifest.write_text(f"path,stain\n{real_slide},HE\n")
    with pytest.raises(InputError, match="would overwrite"):
        init(RunDir(tmp_path), preset("hypoxia"), manifest)
    assert "stain" in manifest.read_text()
    for _ in range(2):
        init(RunDir(tmp_path / "run"), preset("hypoxia"), manifest)
    assert (tmp_path / "run" / "run.toml").read_text() == render_config(preset("hypoxia"))


def test_demo_leaves_a_folder_of_the_users_alone(tmp_path: Path, hypoxia: Hypoxia) -> None:
    (tmp_path / "patients.csv").write_text("patient_id,label\nmine,1\n")
    done = hypoxia("demo", tmp_path)
    assert done.returncode == 2
    assert "holds no demo cohort" in done.stderr
    assert (tmp_path / "patients.csv").read_text() == "patient_id,label\nmine,1\n"


def test_slides_are_found_through_links_that_go_in_circles(tmp_path: Path, real_slide: Path) -> None:
    (tmp_path / "slides" / "deep").mkdir(parents=True)
    (tmp_path / "slides" / "deep" / "back").symlink_to(tmp_path / "slides")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(real_slide, tmp_path / "elsewhere" / "one.svs")
    (tmp_path / "slides" / "link").symlink_to(tmp_path / "elsewhere")
    made = init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides")
    assert made.joined.slides.slides["slide_id"].tolist() == ["one"]


def test_a_damaged_tile_store_is_mended_by_what_the_remedy_says(
    tmp_path: Path, real_slide: Path, hypoxia: Hypoxia
) -> None:
    config = preset("hypoxia", {"tile": {"tile_px": 75}, "extract": {"backbone": "vgg16", "weights": "random"}})
    (tmp_path / "slides").mkdir()
    shutil.copy(real_slide, tmp_path / "slides" / "one.svs")
    init(RunDir(tmp_path / "run"), config, tmp_path / "slides")
    assert hypoxia("tile", tmp_path / "run").returncode == 0
    shard = tmp_path / "run" / "tiles" / "one.zarr" / "pixels" / "c.0.0.0.0"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    assert hypoxia("extract", tmp_path / "run").returncode == 3
    assert hypoxia("verify", tmp_path / "run").returncode == 5
    shutil.rmtree(tmp_path / "run" / "tiles" / "one.zarr")
    done = hypoxia("run", tmp_path / "run")
    assert done.returncode == 0, done.stderr


def test_a_slide_that_is_gone_after_it_was_tiled_stays_done(tmp_path: Path, real_slide: Path, hypoxia: Hypoxia) -> None:
    (tmp_path / "slides").mkdir()
    shutil.copy(real_slide, tmp_path / "slides" / "one.svs")
    init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides")
    assert hypoxia("tile", tmp_path / "run").returncode == 0
    (tmp_path / "slides" / "one.svs").unlink()
    again = hypoxia("tile", tmp_path / "run")
    assert (again.returncode, again.stdout) == (0, "tile: 0 done now, 1 done before\n")
    assert pd.read_csv(tmp_path / "run" / "slides.csv")["slide_id"].tolist() == ["one"]


def test_one_slide_under_two_patients_is_refused_before_training(tmp_path: Path, real_slide: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.write_text(render_config(preset("hypoxia")))
    slides = [Slide(f"slide-{n}", real_slide, f"patient-{n}", 1) for n in (1, 2)]
    tile(run, slides, workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    states = tuple(tile_state(run, TileTable(), slide) for slide in slides)
    labelled = {f"patient-{n}": Patient(f"patient-{n}", 0) for n in (1, 2)}
    cohort = Cohort(run, run.config(), {}, states, labelled)
    with pytest.raises(InputError) as caught:
        refuse_shared_slides(cohort)
    assert caught.value.offending == ("patient-1 (slide-1) and patient-2 (slide-2)",)
    refuse_shared_slides(Cohort(run, run.config(), {}, states[:1], labelled))
    unlabelled = labelled | {"patient-2": Patient("patient-2", None)}
    refuse_shared_slides(Cohort(run, run.config(), {}, states, unlabelled))  # in no set


def test_a_damaged_list_of_what_was_dropped_is_not_taken_for_an_empty_one(
    tmp_path: Path, real_slide: Path, hypoxia: Hypoxia
) -> None:
    (tmp_path / "slides").mkdir()
    shutil.copy(real_slide, tmp_path / "slides" / "one.svs")
    init(RunDir(tmp_path / "run"), preset("hypoxia"), tmp_path / "slides")
    assert hypoxia("report", tmp_path / "run").returncode == 0
    (tmp_path / "run" / "flow.json").write_text('{"slides": 3}')
    done = hypoxia("report", tmp_path / "run")
    assert done.returncode == 5
    assert "flow.json is damaged" in done.stderr
