"""train and evaluate: folds, searches, what they must not look at, and going on after a kill."""

from __future__ import annotations

import html
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fault_runs import change_setting, finish, start, start_fresh
from feature_runs import NAME, TRAIN, D, make_run, write_slide
from sklearn.metrics import roc_auc_score

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.cli.text.metrics import metrics_table, predictions_text
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.models.outputs import outputs_of
from hypoxia_hpc.models.predictions import over_repeats
from hypoxia_hpc.models.search import Score, best_of
from hypoxia_hpc.models.training_job import training_data
from hypoxia_hpc.monitoring.status import run_status
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.networks.heads.saved import load_model, read_record
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import ModelsUsed, Receipt
from hypoxia_hpc.runs.cohort import load_cohort
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.receipts import COHORT, read_receipt, write_receipt
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.predict import predict
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.train import Trained, endings_said, how_it_ended, require_splittable, train
from hypoxia_hpc.stores.features import open_features

ALL = ("tanh", "logistic")


def trained(run: RunDir, stop: threading.Event | None = None) -> Trained:
    return train(run, progress=NoProgress(), stop=stop or threading.Event())


def evaluated(run: RunDir) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    return evaluate(run, progress=NoProgress(), stop=threading.Event()).metrics


def copied(run: RunDir, to: Path) -> RunDir:
    shutil.copytree(run.root, to)
    return RunDir(to)


def models_and_split(folder: Path) -> dict[str, bytes]:
    """Models and the split below a folder, whole: they are small."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if path.name in ("weights.safetensors", "model.json", "split.csv")
    }


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run with four folds and a model of each kind, trained and evaluated."""
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
    assert len(tiles) == len(ALL) * sum(len(load_features(crossed, state)) for state in slide_ids(crossed))


def slide_ids(run: RunDir) -> list[str]:
    return [slide.slide_id for slide in run.slides()]


def load_features(run: RunDir, slide_id: str) -> np.ndarray:
    return open_features(run.features(NAME, slide_id)).values


def test_metrics_of_the_test_set_are_of_all_folds_together(crossed: RunDir) -> None:
    metrics = json.loads(crossed.metrics_file.read_text())
    patients = pd.read_csv(crossed.predictions / "patients.csv")
    for head in ALL:
        tested = patients[(patients["model"] == head) & (patients["set"] == "test")]
        area = metrics["models"][head]["test"]["patient"]["roc_auc"]
        assert area["n"] == 32
        assert area["value"] == pytest.approx(roc_auc_score(tested["label"], tested["calibrated"]))
        for fold in range(4):
            mine = tested[tested["fold"] == fold]
            of_fold = metrics["folds"][head][str(fold)]["test"]["patient"]["roc_auc"]
            assert of_fold["n"] == 8
            assert of_fold["value"] == pytest.approx(roc_auc_score(mine["label"], mine["calibrated"]))
        assert set(metrics["models"][head]["train"]) == {"slide", "patient"}
        assert (
            metrics["models"][head]["train"]["patient"]["roc_auc"]["n"]
            + metrics["models"][head]["valid"]["patient"]["roc_auc"]["n"]
            == 3 * 32
        )
    assert set(metrics["models"]) == {*ALL, "majority-class", "tumour-type", "n-tiles"}
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
    patients = pd.read_csv(crossed.predictions / "patients.csv")
    (slide,) = [slide for slide in crossed.slides() if slide.patient_id == "P32"]
    values = load_features(crossed, slide.slide_id)
    for head in ALL:
        found = []
        for fold in range(4):
            said = outputs_of(load_model(crossed.model(f"{head}.fold{fold}")))(slide, values.astype(np.float32))
            frame = pd.DataFrame(said).assign(patient_id="P32")
            found.append(pool_tiles(frame, "patient")["probability"][0])
        (row,) = patients[(patients["model"] == head) & (patients["id"] == "P32")].itertuples()
        assert row.probability == pytest.approx(np.mean(found), abs=1e-6)


def test_predict_with_a_cross_validated_run_takes_the_mean_and_says_so(crossed: RunDir, tmp_path: Path) -> None:
    new = copied(crossed, tmp_path / "new")
    for path in (new.model(""), new.predictions, new.receipts("train")):
        shutil.rmtree(path)
    new.metrics_file.unlink()
    trained = copied(crossed, tmp_path / "trained")
    for file in trained.model("").glob("*/model.json"):  # as if trained by regions, which are of their own slides
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {"tile_spec": record["tile_spec"] | {"regions": True}}))
    heard = Heard()
    done = predict(new, trained, progress=heard, stop=threading.Event())
    assert any("mean over its 4 folds" in note for note in heard.notes)
    kept = read_receipt(new.receipts("predict"), COHORT)
    assert kept is not None and isinstance(kept.details, ModelsUsed)
    note = kept.details.note
    assert note.startswith(f"the models {', '.join(ALL)} were trained on tiles by regions")
    assert note not in predictions_text(done)  # it was said before
    assert done.patients["fold"].isna().all()
    there = pd.read_csv(crossed.predictions / "patients.csv", float_precision="round_trip")
    expected = there[(there["id"] == "P32") & there["model"].isin(ALL)].set_index("model")["probability"]
    found = done.patients[done.patients["id"] == "P32"].set_index("model")["probability"]
    assert found.to_dict() == expected.to_dict()
    assert len(done.patients) == len(ALL) * 33
    receipt = json.loads((new.receipts("predict") / "cohort.json").read_text())
    assert len(receipt["extra"]["models"]) == 4 * len(ALL)
    page = report(new, progress=NoProgress(), stop=threading.Event()).read_text()
    assert f"<li>T{html.escape(note[1:])}.</li>" in page


class Heard(NoProgress):
    """Remembers what it is told; ``then`` is called with each title."""

    def __init__(self, then: Callable[[str], None] = lambda _: None) -> None:
        self.notes: list[str] = []
        self.titles: list[str] = []
        self._then = then

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        self.titles.append(title)
        self._then(title)


def test_status_verify_and_report_know_folds(crossed: RunDir, tmp_path: Path) -> None:
    run = copied(crossed, tmp_path / "run")
    stages = {stage.stage: stage for stage in run_status(run).stages}
    assert (stages["train"].done, stages["train"].todo) == (4 * len(ALL), 0)
    assert stages["evaluate"].done == 1
    assert not [one for one in verify(run) if one.problems]
    stale = run.report_file.parent / "figures" / "of-an-earlier-report.svg"
    stale.parent.mkdir(parents=True)
    stale.touch()
    page = report(run, others=[crossed], progress=NoProgress(), stop=threading.Event()).read_text()
    assert "logistic.fold3" in page
    assert not stale.exists() and (stale.parent / "roc.csv").exists()
    assert '<section id="compared">' in page and "Settings that differ" not in page
    assert "test of fold 2" in page
    assert "4 folds" in page
    shutil.rmtree(run.model("tanh.fold2"))
    stages = {stage.stage: stage for stage in run_status(run).stages}
    assert (stages["train"].done, stages["train"].todo) == (4 * len(ALL) - 1, 1)
    with pytest.raises(NotReadyError, match="1 of 8 models are not trained") as caught:
        evaluate(make_stale(run), progress=NoProgress(), stop=threading.Event())
    assert caught.value.offending == ("tanh.fold2",)


def make_stale(run: RunDir) -> RunDir:
    run.metrics_file.unlink()
    return run


def test_too_many_folds_are_told_before_slides_are_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"folds": 17})
    with pytest.raises(InputError, match=r"\[train\] folds = 17: 16 with label normoxic, 16 with label hypoxic"):
        require_splittable(run)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Two folds, twice."""
    run = make_run(
        tmp_path_factory.mktemp("repeated") / "run",
        {"heads": ["logistic"], "clusterings": [], "folds": 2, "repeats": 2},
    )
    trained(run)
    evaluated(run)
    return run


def test_with_repeats_everybody_is_tested_in_each(repeated: RunDir) -> None:
    patients = pd.read_csv(repeated.predictions / "patients.csv")
    tested = patients[(patients["model"] == "logistic") & (patients["set"] == "test")]
    for repeat in range(2):
        assert sorted(tested.loc[tested["fold"] // 2 == repeat, "id"]) == [f"P{number:02d}" for number in range(32)]
    assert sorted(path.name for path in repeated.model("").iterdir()) == [f"logistic.fold{fold}" for fold in range(4)]
    once = over_repeats(patients.astype({"fold": "Int64"}), ("probability",))
    mine = once[(once["model"] == "logistic") & (once["set"] == "test")]
    expected = tested.groupby("id")["probability"].mean()
    assert mine.set_index("id")["probability"].to_dict() == pytest.approx(expected.to_dict())
    assert mine["fold"].isna().all()
    others = patients["set"] != "test"
    assert once[once["set"] != "test"].equals(patients[others].astype({"fold": "Int64"}))


def test_with_repeats_a_tile_stands_once_with_the_mean_of_its_folds(repeated: RunDir) -> None:
    tiles = pd.read_parquet(repeated.predictions / "tiles.parquet")
    assert not tiles.duplicated(["model", "slide_id", "x_l0"]).any()
    slide = next(iter(repeated.slides()))
    split = pd.read_csv(repeated.split_file)
    tested = split[(split["patient_id"] == slide.patient_id) & (split["set"] == "test")]["fold"]
    values = load_features(repeated, slide.slide_id).astype(np.float32)
    said = [outputs_of(load_model(repeated.model(f"logistic.fold{fold}")))(slide, values) for fold in tested]
    mine = tiles[(tiles["model"] == "logistic") & (tiles["slide_id"] == slide.slide_id)]
    assert len(said) == 2
    assert mine["probability"].to_numpy() == pytest.approx(np.mean([one["probability"] for one in said], axis=0))
    assert mine["fold"].isna().all()


# --- searches ----------------------------------------------------------------------------------------------------

GRID = {"learning_rate": [1e-6, 0.01], "units": [4, 8]}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run with a grid of four points, trained."""
    run = make_run(
        tmp_path_factory.mktemp("searched") / "run",
        {"heads": ["attention"], "clusterings": [], "search": {"attention": GRID}},
    )
    trained(run)
    return run


def test_the_chosen_settings_and_all_scores_stand_in_the_model(searched: RunDir) -> None:
    record = read_record(searched.model("attention"))
    assert record.search is not None
    tried = record.search["points"]
    assert [point["settings"] for point in tried] == [
        {"units": units, "learning_rate": rate} for units in (4, 8) for rate in (1e-6, 0.01)
    ]
    best = min(tried, key=lambda point: (-point["roc_auc"], point["valid_loss"]))
    assert record.search["chosen"] == best["settings"]
    assert {name: record.settings[name] for name in best["settings"]} == best["settings"]
    assert len({point["valid_loss"] for point in tried}) == 4
    assert not list((searched.root / "checkpoints").iterdir())


def test_the_model_of_a_search_is_the_one_those_settings_give(searched: RunDir, tmp_path: Path) -> None:
    found = load_model(searched.model("attention"))
    assert found.record.search is not None
    settings = {**TRAIN["attention"], **found.record.search["chosen"]}
    alone = make_run(tmp_path / "run", {"heads": ["attention"], "clusterings": [], "attention": settings})
    trained(alone)
    other = load_model(alone.model("attention"))
    assert all(np.array_equal(found.arrays[name], other.arrays[name]) for name in other.arrays)
    assert found.record.history == other.record.history
    assert found.record.key != other.record.key


def test_the_best_point_has_the_largest_area_then_the_least_loss_then_is_the_first() -> None:
    scores = [Score(0.7, 0.1), Score(0.8, 0.6), Score(0.8, 0.5), Score(0.8, 0.5), Score(0.75, 0.2)]
    assert best_of(scores) == 2


def test_features_of_test_patients_change_no_model(searched: RunDir, tmp_path: Path) -> None:
    """They are no numbers any more, and all is trained again."""
    run = copied(searched, tmp_path / "run")
    split = pd.read_csv(run.split_file).set_index("patient_id")["set"]
    for slide in run.slides():
        if split[slide.patient_id] == "test":
            shutil.rmtree(run.features(NAME, slide.slide_id))
            write_slide(run, slide.slide_id, slide.patient_id, np.full((20, D), np.nan))
    expected = models_and_split(run.model(""))
    shutil.rmtree(run.model("attention"))
    trained(run)
    assert models_and_split(run.model("")) == expected


def test_labels_of_test_patients_change_nothing_that_a_training_is_given(searched: RunDir) -> None:
    cohort = load_cohort(searched)
    folds = cohort.fold_sets()
    others = {
        name: replace(patient, label=1 - patient.label) if folds[0][name] == "test" else patient
        for name, patient in cohort.patients.items()
        if patient.label is not None
    }
    changed = replace(cohort, patients={**cohort.patients, **others})
    assert changed.patients != cohort.patients
    assert changed.planned(folds) == cohort.planned(folds)
    assert training_data(changed, folds[0], 0) == training_data(cohort, folds[0], 0)


@pytest.mark.long
def test_a_search_that_was_stopped_trains_no_point_twice(searched: RunDir, tmp_path: Path) -> None:
    run = copied(searched, tmp_path / "run")
    expected = models_and_split(run.root)
    shutil.rmtree(run.model("attention"))
    stop = threading.Event()
    heard = Heard(lambda title: stop.set() if "point 3" in title else None)
    with pytest.raises(Stopped):
        train(run, progress=heard, stop=stop)
    assert heard.titles == [f"train attention, point {n} of 4" for n in (1, 2, 3)]
    again = Heard()
    train(run, progress=again, stop=threading.Event())
    assert again.titles == [f"train attention, point {n} of 4" for n in (3, 4)]
    assert models_and_split(run.root) == expected


# --- kills -------------------------------------------------------------------------------------------------------


def test_a_training_that_ends_early_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """The real command, killed and then stopped in the middle of an epoch; checkpoints are due at every step."""
    slow = {"units": 64, "epochs": 8, "patience": 8, "batch_size": 1}
    attention = {**TRAIN["attention"], **slow}
    run = make_run(tmp_path / "run", {"heads": ["attention"], "clusterings": [], "attention": attention})
    change_setting(run.root, "site", "checkpoint_minutes", "0.0001")
    other = copied(run, tmp_path / "other")
    trained(other)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)):
        process = start("train", run.root)
        wait_for_another(run.checkpoint("attention") / "checkpoint.safetensors", process)
        process.send_signal(number)
        finish(process, code)
        assert not run.model("attention").exists()
    trained(run)
    assert models_and_split(run.root) == models_and_split(other.root)
    assert not list((run.root / "checkpoints").iterdir())


def wait_for_another(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a file is there, or is another one."""
    before = file.stat().st_ino if file.exists() else None
    while not file.exists() or file.stat().st_ino == before:
        assert process.poll() is None
        time.sleep(0.01)


# --- bad input ---------------------------------------------------------------------------------------------------


def test_without_a_backend_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []})
    log = tmp_path / "log"
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    finish(start_fresh("train", run.root, log=log), 2)
    assert "KERAS_BACKEND" in log.read_text()
    assert "train logistic" not in log.read_text()


def test_an_early_end_is_told() -> None:
    assert how_it_ended({"loss": [3, 2, 1, 1], "valid_loss": [3.0, 1.0, 2.0, 2.0]}, 9, 2) == (
        "stopped early, after 4 of 9 epochs; the weights of epoch 2 are kept"
    )
    assert how_it_ended({"loss": [3, 2], "valid_loss": [3.0, 1.0]}, 2, 2) == ""
    assert how_it_ended({"loss": [3, 2]}, 2, None) == ""
    assert how_it_ended({"loss": [3, 2]}, 2, 7).startswith("no validation patients, so patience = 7 had no loss")


def test_what_is_true_of_several_trainings_is_said_once_also_after_an_error() -> None:
    heard = Heard()
    with pytest.raises(Stopped), endings_said(heard) as endings:
        for title, ending in (
            ("tanh", "watched nothing"),
            ("funnel", "stopped early"),
            ("attention", "watched nothing"),
        ):
            endings.setdefault(ending, []).append(title)
        raise Stopped("stopped")
    assert heard.notes == ["tanh, attention: watched nothing", "funnel: stopped early"]


def test_features_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["logistic"], "clusterings": []})
    split = load_cohort(run).fold_sets()[0]
    slides = [slide for slide in run.slides() if split[slide.patient_id] in ("train", "valid")][:3]
    for slide in slides:
        shutil.rmtree(run.features(NAME, slide.slide_id))
        write_slide(run, slide.slide_id, slide.patient_id, np.full((20, D), np.inf))
    with pytest.raises(InputError, match="3 feature stores hold NaN or infinite features") as caught:
        trained(run)
    assert sorted(caught.value.offending) == sorted(f"features/{NAME}/{slide.slide_id}.zarr" for slide in slides)


def test_damaged_stores_are_named_all_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"heads": ["attention"], "clusterings": []})
    split = load_cohort(run).fold_sets()[0]
    slides = [slide for slide in run.slides() if split[slide.patient_id] == "train"][:2]
    for slide in slides:
        shard = run.features(NAME, slide.slide_id) / "features" / "c.0.0"
        shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(NotReadyError, match="2 feature stores are damaged") as caught:
        trained(run)
    paths = [str(run.features(NAME, slide.slide_id)) for slide in slides]
    assert [item.partition(": ")[0] for item in caught.value.offending] == paths


@pytest.mark.parametrize("folds", [1, 3])
def test_a_set_that_lost_a_class_to_quarantine_is_told_with_its_numbers(tmp_path: Path, folds: int) -> None:
    run = make_run(tmp_path / "run", {"heads": ["attention"], "clusterings": [], "folds": folds})
    cohort = load_cohort(run)
    folds_of = cohort.fold_sets()
    lost = [
        one for one in cohort.done
        if folds_of[0][one.slide.patient_id] == "train" and cohort.label(one.slide) == 1
    ]  # fmt: skip
    for state in lost:
        slide_id = state.slide.slide_id
        shutil.rmtree(run.features(NAME, slide_id))
        write_receipt(run.receipts("extract", NAME), Receipt(slide_id, "quarantined", state.key, "nan-features"))
    n_0 = sum(place == "train" for place in folds_of[0].values()) - len({one.slide.patient_id for one in lost})
    where = " of fold 0" if folds > 1 else ""
    heard = Heard()
    with pytest.raises(
        InputError, match=f"the training patients{where} with features lack a class: {n_0} normoxic, 0 hypoxic"
    ) as e:
        train(run, progress=heard, stop=threading.Event())
    assert not any("figures" in note for note in heard.notes)
    assert len(e.value.offending) == len(lost)
