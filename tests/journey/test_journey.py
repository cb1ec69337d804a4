"""A newcomer's way: demo, status, verify, report in a browser, then another slide predicted with the trained models."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hypoxia_hpc.config import TrainTable

DemoOf = Callable[..., Path]
N = 30  # patients; the real slide is one more
Hypoxia = Callable[..., subprocess.CompletedProcess[str]]
REAL_SLIDE = Path(__file__).parents[2] / "hypoxia_hpc" / "slides" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def demo(demo_of: DemoOf) -> Path:
    return demo_of(1, patients=N)


def test_demo_says_metrics_and_where_the_report_is(demo: Path) -> None:
    said = (demo / "said.txt").read_text()
    assert "12 test patients" in said
    rows = {line.split()[0]: line.split()[1] for line in said.split("\n") if line.startswith(TrainTable().heads)}
    assert set(rows) == {*TrainTable().heads}
    assert all(0 <= float(area) <= 1 for area in rows.values()), "a patient AUC for each"
    assert f"report: {demo / 'run' / 'report' / 'index.html'}" in said


def test_demo_leaves_what_the_contract_promises(demo: Path) -> None:
    run = demo / "run"
    patients = pd.read_csv(run / "predictions" / "patients.csv")
    said = ["probability", "calibrated", "threshold", "call"]
    assert list(patients.columns) == ["model", "fold", "set", "id", "label", *said, "n_tiles"]
    models = [*TrainTable().heads, "majority-class", "n-tiles", "colour"]
    assert patients["model"].value_counts().to_dict() == dict.fromkeys(models, N + 1)
    real = patients[(patients["id"] == "CMU-1-Small-Region") & patients["model"].isin(TrainTable().heads)]
    assert real["set"].eq("unlabelled").all()
    assert real["label"].isna().all()
    assert real["n_tiles"].eq(15).all()
    tiles = pd.read_parquet(run / "predictions" / "tiles.parquet")
    kept = sum(json.loads(file.read_text())["rows"] for file in (run / "receipts" / "tile").glob("*.json"))
    assert len(tiles) == 4 * kept
    weights = tiles[tiles["model"] == "attention"].groupby("patient_id", observed=True)["attention"].sum()
    assert np.allclose(weights, 1)
    assert tiles[tiles["model"] != "attention"]["attention"].isna().all()
    split = pd.read_csv(run / "split.csv")
    assert split["patient_id"].is_unique
    assert split["set"].value_counts().to_dict() == {"train": 12, "test": 12, "valid": 6, "unlabelled": 1}


def test_demo_again_does_nothing_twice(demo: Path, hypoxia: Hypoxia) -> None:
    stores = {path: path.stat().st_mtime_ns for path in (demo / "run").glob("*/**/zarr.json")}
    models = {path: path.stat().st_mtime_ns for path in (demo / "run" / "models").glob("*/*")}
    done = hypoxia("demo", demo, "--patients", N)
    assert done.returncode == 0, done.stderr
    assert f"tile: 0 done now, {N + 1} done before" in done.stdout
    assert all(path.stat().st_mtime_ns == before for path, before in {**stores, **models}.items())


def test_demo_refuses_to_mix_cohorts(demo: Path, hypoxia: Hypoxia) -> None:
    done = hypoxia("demo", demo, "--seed", 99)
    assert done.returncode == 2
    assert '"seed":99' in done.stderr


def test_status_and_verify_find_everything_done(demo: Path, hypoxia: Hypoxia) -> None:
    status = hypoxia("status", demo / "run", "--json", fresh=True)
    stages = {stage["stage"]: stage for stage in json.loads(status.stdout)["stages"]}
    assert stages["tile"]["done"] == stages["extract efficientnet_lite0"]["done"] == N + 1
    assert all(stage["todo"] == 0 for stage in stages.values())
    looked_at = hypoxia("doctor", demo / "run")
    assert looked_at.returncode == 0, looked_at.stdout
    verified = hypoxia("verify", demo / "run", fresh=True)
    assert (verified.returncode, verified.stdout.strip()) == (
        0,
        f"verify: {2 * (N + 1) + 7} stores, models and results, all sound",
    )


def test_a_new_slide_is_predicted_in_one_command(demo: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    (tmp_path / "slides").mkdir()
    shutil.copy(REAL_SLIDE, tmp_path / "slides" / "someone.svs")
    done = hypoxia("predict", tmp_path / "new", "--slides", tmp_path / "slides", "--model", demo / "run", fresh=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("note: ") == done.stdout.count("note: slides that name no patient ") == 1
    here = pd.read_csv(tmp_path / "new" / "predictions" / "patients.csv").set_index("model")["probability"]
    there = pd.read_csv(demo / "run" / "predictions" / "patients.csv").set_index(["id", "model"])["probability"]
    assert here.to_dict() == there["CMU-1-Small-Region"][here.index].to_dict()
    assert "someone" in (tmp_path / "new" / "report" / "index.html").read_text()


def test_predict_refuses_other_features(demo: Path, tmp_path: Path, hypoxia: Hypoxia) -> None:
    (tmp_path / "slides").mkdir()
    shutil.copy(REAL_SLIDE, tmp_path / "slides" / "someone.svs")
    assert hypoxia("init", tmp_path / "new", "--slides", tmp_path / "slides", fresh=True).returncode == 0
    config = tmp_path / "new" / "run.toml"
    changed = (
        config.read_text().replace('weights = "imagenet"', 'weights = "random"').replace("white = 220", "white = 215")
    )
    config.write_text(changed)
    done = hypoxia("predict", tmp_path / "new", "--model", demo / "run")
    assert done.returncode == 2
    assert "[tile] white: 215 here, 220 where tanh, funnel, logistic, attention were trained" in done.stderr
    assert '[extract] backbone: "inception_v3" here, "efficientnet_lite0" where tanh, funnel,' in done.stderr
    assert '[extract] weights_digest: "random:1:0" here, "579344' in done.stderr
    word = shlex.quote(str(tmp_path / "new"))
    assert f'remedy: in {word}/run.toml set [tile] white = 220; [extract] backbone = "efficientnet' in done.stderr
    assert f"Then hypoxia-hpc predict {word} --model {shlex.quote(str(demo / 'run'))}" in done.stderr


def test_report_and_status_do_not_show_metrics_of_another_run_toml_as_current(
    demo: Path, tmp_path: Path, hypoxia: Hypoxia
) -> None:
    run = tmp_path / "run"
    shutil.copytree(demo / "run", run)
    config = run / "run.toml"
    config.write_text(config.read_text().replace("threshold = 0.5", "threshold = 0.9"))
    shown = hypoxia("report", run, fresh=True)
    assert shown.returncode == 5
    assert "another run.toml" in shown.stderr
    stages = {stage["stage"]: stage for stage in json.loads(hypoxia("status", run, "--json").stdout)["stages"]}
    assert (stages["train"]["done"], stages["evaluate"]["done"], stages["report"]["done"]) == (5, 0, 0)
    again = hypoxia("run", run)
    assert again.returncode == 0, again.stderr
    assert "train: 0" not in again.stderr
    stages = {stage["stage"]: stage for stage in json.loads(hypoxia("status", run, "--json").stdout)["stages"]}
    assert (stages["evaluate"]["done"], stages["report"]["done"]) == (1, 1)
    assert hypoxia("evaluate", run, fresh=True).returncode == 0
