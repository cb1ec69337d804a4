"""train and evaluate: folds, searches, what they must not look at, and going on after a kill."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import NAME, make_run
from sklearn.metrics import roc_auc_score

from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.networks.frozen import load_model, read_record
from hypoxia_hpc.scale.listening import Silence
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.status import run_status
from hypoxia_hpc.scale.verification import verify
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.train import Trained, require_splittable, train
from hypoxia_hpc.terminal import metrics_table

ALL = ("tanh", "funnel", "logistic", "attention")


def trained(run: RunDir, stop: threading.Event | None = None) -> Trained:
    return train(run, listener=Silence(), stop=stop or threading.Event())


def evaluated(run: RunDir) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    return evaluate(run, listener=Silence(), stop=threading.Event()).metrics


def copied(run: RunDir, to: Path) -> RunDir:
    shutil.copytree(run.root, to)
    return RunDir(to)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run with four folds and all top models, trained and evaluated."""
    run = make_run(tmp_path_factory.mktemp("crossed") / "run", {"heads": list(ALL), "clusterings": [], "folds": 4})
    trained(run)
    evaluated(run)
    return run


# --- folds -------------------------------------------------------------------------------------------------------


def test_every_fold_has_a_model_of_its_own(crossed: RunDir) -> None:
    names = [f"{head}.fold{fold}" for head in ALL for fold in range(4)]
    assert sorted(path.name for path in crossed.model("").iterdir()) == sorted(names)
    assert sorted(path.stem for path in crossed.receipts("train").iterdir()) == sorted(names)
    split = pd.read_csv(crossed.split_file)
    for name in names:
        record = read_record(crossed.model(name))
        head, fold = name.split(".fold")
        assert (record.head, record.fold) == (head, int(fold))
        mine = split[split["fold"] == int(fold)]["set"].value_counts()
        assert record.sets["train"]["patients"] == mine["train"]
        assert record.sets["valid"]["patients"] == mine["valid"]
    assert trained(crossed) == Trained((), tuple(names), ("P32",))


def test_each_patient_is_predicted_once_by_a_model_that_did_not_see_it(crossed: RunDir) -> None:
    split = pd.read_csv(crossed.split_file)
    patients = pd.read_csv(crossed.predictions / "patients.csv")
    for head in ALL:
        mine = patients[patients["model"] == head]
        tested = mine[mine["set"] == "test"]
        assert sorted(tested["id"]) == [f"P{number:02d}" for number in range(32)]
        places = split[split["set"] == "test"].set_index("patient_id")["fold"]
        assert (tested["fold"].to_numpy() == places[tested["id"]].to_numpy()).all()
        assert len(mine[mine["set"].isin(["train", "valid"])]) == 3 * 32
        (unlabelled,) = mine[mine["set"] == "unlabelled"].itertuples()
        assert unlabelled.id == "P32"
        assert np.isnan(unlabelled.fold)
    tiles = pd.read_parquet(crossed.predictions / "tiles.parquet")
    assert not tiles.duplicated(["model", "slide_id", "x_l0"]).any()
    assert set(tiles["set"]) == {"test", "unlabelled"}
    assert len(tiles) == 4 * sum(len(load_features(crossed, standing)) for standing in slide_ids(crossed))


def slide_ids(run: RunDir) -> list[str]:
    return [slide.slide_id for slide in run.slides()]


def load_features(run: RunDir, slide_id: str) -> np.ndarray:
    from hypoxia_hpc.stores.features import open_features

    return open_features(run.features(NAME, slide_id)).values


def test_metrics_of_the_test_set_are_of_all_folds_together(crossed: RunDir) -> None:
    metrics = json.loads(crossed.metrics_file.read_text())
    patients = pd.read_csv(crossed.predictions / "patients.csv")
    for head in ALL:
        tested = patients[(patients["model"] == head) & (patients["set"] == "test")]
        area = metrics["models"][head]["test"]["patient"]["roc_auc"]
        assert area["n"] == 32
        assert area["value"] == pytest.approx(roc_auc_score(tested["label"], tested["probability"]))
        for fold in range(4):
            mine = tested[tested["fold"] == fold]
            of_fold = metrics["folds"][head][str(fold)]["test"]["patient"]["roc_auc"]
            assert of_fold["n"] == 8
            assert of_fold["value"] == pytest.approx(roc_auc_score(mine["label"], mine["probability"]))
        assert set(metrics["models"][head]["train"]) == {"slide", "patient"}
        assert (
            metrics["models"][head]["train"]["patient"]["roc_auc"]["n"]
            + metrics["models"][head]["valid"]["patient"]["roc_auc"]["n"]
            == 3 * 32
        )
    assert set(metrics["models"]) == {*ALL, "tumour-type"}
    table = metrics_table(metrics)
    assert "32 test patients" in table
    assert "4 folds" in table


def test_metrics_with_folds_changed_by_hand_count_as_none(crossed: RunDir, tmp_path: Path) -> None:
    run = copied(crossed, tmp_path / "run")
    metrics = json.loads(run.metrics_file.read_text())
    metrics["folds"]["tanh"]["0"]["test"]["patient"]["roc_auc"]["value"] = 1.5
    run.metrics_file.write_text(json.dumps(metrics))
    assert run.metrics() is None


def test_an_unlabelled_patient_gets_the_mean_over_the_folds(crossed: RunDir) -> None:
    from hypoxia_hpc.analysis.pooling import pool_tiles
    from hypoxia_hpc.scale.outputs import outputs_of

    patients = pd.read_csv(crossed.predictions / "patients.csv")
    values = np.concatenate([load_features(crossed, name) for name in slide_ids(crossed) if name.startswith("S32")])
    for head in ALL:
        found = []
        for fold in range(4):
            said = outputs_of(load_model(crossed.model(f"{head}.fold{fold}")))(values.astype(np.float32))
            frame = pd.DataFrame(said).assign(patient_id="P32")
            found.append(pool_tiles(frame, "patient")["probability"][0])
        (row,) = patients[(patients["model"] == head) & (patients["id"] == "P32")].itertuples()
        assert row.probability == pytest.approx(np.mean(found), abs=1e-6)


def test_predict_with_a_cross_validated_run_takes_the_mean_and_says_so(crossed: RunDir, tmp_path: Path) -> None:
    new = copied(crossed, tmp_path / "new")
    for path in (new.model(""), new.predictions, new.receipts("train")):
        shutil.rmtree(path)
    new.metrics_file.unlink()
    heard = Heard()
    done = predict(new, crossed, listener=heard, stop=threading.Event())
    assert any("mean over its 4 folds" in note for note in heard.notes)
    assert done.patients["fold"].isna().all()
    there = pd.read_csv(crossed.predictions / "patients.csv")
    expected = there[there["id"] == "P32"].set_index("model")["probability"]
    found = done.patients[done.patients["id"] == "P32"].set_index("model")["probability"]
    assert found.to_dict() == expected.to_dict()
    assert len(done.patients) == 4 * 33
    receipt = json.loads((new.receipts("predict") / "cohort.json").read_text())
    assert len(receipt["extra"]["models"]) == 16


class Heard(Silence):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.titles: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        self.titles.append(title)


def test_status_verify_and_report_know_folds(crossed: RunDir, tmp_path: Path) -> None:
    run = copied(crossed, tmp_path / "run")
    stages = {stage.stage: stage for stage in run_status(run).stages}
    assert (stages["train"].done, stages["train"].todo) == (16, 0)
    assert stages["evaluate"].done == 1
    assert not [one for one in verify(run) if one.problems]
    page = report(run, listener=Silence()).read_text()
    assert "attention.fold3" in page
    assert "test of fold 2" in page
    assert "4 folds" in page
    shutil.rmtree(run.model("funnel.fold2"))
    stages = {stage.stage: stage for stage in run_status(run).stages}
    assert (stages["train"].done, stages["train"].todo) == (15, 1)
    with pytest.raises(NotReadyError, match="1 of 16 models are not trained") as caught:
        evaluate(make_stale(run), listener=Silence(), stop=threading.Event())
    assert caught.value.culprits == ("funnel.fold2",)


def make_stale(run: RunDir) -> RunDir:
    run.metrics_file.unlink()
    return run


def test_too_many_folds_are_told_before_slides_are_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"folds": 17})
    with pytest.raises(InputError, match=r"\[train\] folds = 17: 16 with label 0, 16 with label 1"):
        require_splittable(run)
