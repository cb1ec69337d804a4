"""predict: the models of one run on the patients of another, with and without labels."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import NAME, make_run, write_slide

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.config import render_config
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.monitoring.status import run_status
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, slide_tile_key, tile_spec
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.predict import Outside, begin_predictions, predict, refuse_other_run
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.tiles import new_tile_store

STOP = threading.Event()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Logistic regression, evaluated; 40 patients, 20 to train on and 10 to validate on."""
    table = {"heads": ["logistic"], "clusterings": []}
    run = make_run(tmp_path_factory.mktemp("trained") / "run", table, n_patients=40)
    train(run, progress=NoProgress(), stop=STOP)
    evaluate(run, progress=NoProgress(), stop=STOP)
    return run


def outside(folder: Path, *, shift: float = 0.0, labels: bool = True, n: int = 40) -> RunDir:
    """Another cohort: other ids and other numbers, features that are larger by ``shift``."""
    run = make_run(folder, {"heads": ["logistic"], "clusterings": []}, n_patients=2, n_unlabelled=0)
    for path in (run.root / "tiles", run.root / "features"):
        shutil.rmtree(path)
    rng = np.random.default_rng(5)
    slides, patients = ["slide_id,path,patient_id,cost"], ["patient_id,label"]
    for number in range(n):
        slide_id = f"X{number:02d}"
        slides.append(f"{slide_id},{slide_id}.svs,Q{number:02d},1")
        patients.append(f"Q{number:02d},{number % 2 if labels else ''}")
        values = rng.normal(1 + shift, 1, (20, 8))
        values[:7, 0] += 2 * (number % 2)
        write_slide(run, slide_id, f"Q{number:02d}", values)
    run.slides_file.write_text("\n".join(slides) + "\n")
    run.patients_file.write_text("\n".join(patients) + "\n")
    return run


def predicted(run: RunDir, by: RunDir) -> Outside:
    return predict(run, by, progress=NoProgress(), stop=STOP)


def kinds(metrics: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["kind"]: one["text"] for one in metrics["warnings"]}


def test_labelled_outside_patients_get_metrics_by_the_choices_of_training(trained: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "new")
    done = predicted(run, trained)
    metrics, theirs = json.loads(run.metrics_file.read_text()), json.loads(trained.metrics_file.read_text())
    assert metrics == done.metrics == run.metrics()
    assert (metrics["lead"], metrics["operating"]) == (theirs["lead"], theirs["operating"])
    whole = pd.read_csv(run.predictions / "patients.csv")
    patients = whole[whole["model"] == "logistic"]
    assert set(patients["set"]) == {"external"}
    [operating] = theirs["operating"]["logistic"]
    calibration = operating["calibration"]
    logits = np.log(patients["probability"] / (1 - patients["probability"]))
    expected = 1 / (1 + np.exp(-(calibration["intercept"] + calibration["slope"] * logits)))
    np.testing.assert_allclose(patients["calibrated"], expected, rtol=1e-6)
    above = patients["calibrated"] > operating["threshold"]
    assert (patients["call"] == np.where(above, "hypoxic", "normoxic")).all()
    measured = metrics["models"]["logistic"]["external"]
    assert set(measured) == {"tile", "slide", "patient"}
    assert measured["patient"]["roc_auc"]["n"] == 40
    assert measured["patient"]["roc_auc"]["value"] > 0.9
    right = (patients["call"] == np.where(patients["label"] == 1, "hypoxic", "normoxic")).mean()
    assert measured["patient"]["chosen_accuracy"]["value"] == pytest.approx(right)
    assert metrics["chance"]["logistic"]["verdict"] == "above"
    assert not [one for one in verify(run) if one.problems]


def test_baselines_of_training_stand_beside_the_metrics(trained: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "new")
    lines = run.patients_file.read_text().splitlines()
    types = ["tumour_type", *("AAB"[number % 3] for number in range(40))]
    run.patients_file.write_text("\n".join(f"{line},{name}" for line, name in zip(lines, types, strict=True)) + "\n")
    metrics = predicted(run, trained).metrics
    theirs = pd.read_csv(trained.predictions / "patients.csv")
    given = theirs[(theirs["model"] == "tumour-type")].drop_duplicates("id").set_index("id")["probability"]
    known = pd.read_csv(trained.patients_file).set_index("patient_id")["tumour_type"]
    of_type = {name: given[known[known == name].index[0]] for name in "AB"}
    said = pd.read_csv(run.predictions / "patients.csv").query("model == 'tumour-type'").set_index("id")["probability"]
    assert said.tolist() == pytest.approx([of_type["AAB"[int(name[1:]) % 3]] for name in said.index])
    assert of_type["A"] == of_type["B"], "in training half of the patients of either type have the label"
    assert set(metrics["compared"]) == {"majority-class"}, "what says the same of everyone is not compared"
    assert metrics["compared"]["majority-class"]["low"] > 0
    assert metrics["models"]["tumour-type"]["external"]["patient"]["roc_auc"]["n"] == 40
    assert {one["check"] for one in metrics["unchecked"]} == {
        f"comparison with {name}" for name in ("tumour-type", "site", "tumour-type-and-site", "n-tiles", "colour")
    }
    page = report(run, progress=NoProgress(), stop=STOP).read_text()
    assert "tumour type alone" in page


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_without_the_facts_of_training_there_are_metrics_and_no_baselines(
    trained: RunDir, tmp_path: Path, damage: str
) -> None:
    model = RunDir(tmp_path / "model")
    shutil.copytree(trained.root, model.root)
    facts = model.predictions / "training.csv"
    if damage == "missing":
        facts.unlink()
    else:
        facts.write_text(facts.read_text() + "X,1,A,,3,,,,,0\n")
    metrics = predicted(outside(tmp_path / "new", n=12), model).metrics
    assert set(metrics["models"]) == {"logistic"}
    [lacking] = [one["why"] for one in metrics["unchecked"] if one["check"] == "comparison with baselines"]
    assert lacking.endswith(f"hypoxia-hpc evaluate {model.word}")


def test_no_store_of_the_training_run_is_read(trained: RunDir, tmp_path: Path) -> None:
    bare = RunDir(tmp_path / "bare")
    shutil.copytree(trained.root, bare.root, ignore=shutil.ignore_patterns("*.zarr"))
    run = outside(tmp_path / "new")
    before = predicted(run, trained).patients
    pd.testing.assert_frame_equal(predicted(run, bare).patients, before)


def test_patients_unlike_those_of_training_are_flagged(trained: RunDir, tmp_path: Path) -> None:
    near, far = outside(tmp_path / "near"), outside(tmp_path / "far", shift=1.0, labels=False)
    found = predicted(near, trained)
    model = found.patients[found.patients["model"] == "logistic"]
    assert model["unlike_training"].sum() <= 4
    reference = json.loads(trained.metrics_file.read_text())["reference"]
    means = {slide.patient_id: open_features(near.features(NAME, slide.slide_id)).values for slide in near.slides()}
    mean, scale = np.load(trained.reference_file)
    by_id = model.set_index("id")
    for name, values in means.items():
        away = (values.astype(np.float64).mean(axis=0) - mean) / scale
        assert by_id["distance"][name] == pytest.approx(np.sqrt(np.mean(away**2)))
    assert (by_id["unlike_training"] == (by_id["distance"] > reference["limit"])).all()
    shifted = predicted(far, trained)
    assert shifted.patients["unlike_training"].all()
    assert kinds(shifted.metrics)["unlike-training"].startswith("40 of 40 patients look unlike the training patients")
    assert shifted.metrics["reference"]["unlike"] == [f"Q{number:02d}" for number in range(40)]
    assert shifted.metrics["models"] == {}


def test_training_patients_are_named_and_left_out_of_the_metrics(trained: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "new", n=12)
    split = pd.read_csv(trained.split_file)
    fitted = sorted(split["patient_id"][split["set"].isin(["train", "valid"])])
    by_id, by_slide = fitted[:2]
    run.slides_file.write_text(run.slides_file.read_text().replace("Q00", by_id.lower()))
    run.patients_file.write_text(run.patients_file.read_text().replace("Q00", by_id.lower()))
    [slide, *_] = [one for one in trained.slides() if one.patient_id == by_slide]
    for store in (run.tiles("X01"), run.features(NAME, "X01")):
        shutil.rmtree(store)
    write_slide(run, "X01", "Q01", np.array(open_features(trained.features(NAME, slide.slide_id)).values))
    done = predicted(run, trained)
    sets = done.patients.set_index("id")["set"]
    assert set(sets[sets == "trained-on"].index) == {by_id.lower(), "Q01"}
    assert done.metrics["models"]["logistic"]["external"]["patient"]["roc_auc"]["n"] == 10
    said = kinds(done.metrics)["trained-on"]
    assert f"Q01 ({by_slide} there), {by_id.lower()} ({by_id} there)" in said


def test_slides_that_are_no_h_and_e_are_named(trained: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "new", n=3, labels=False)
    run.config_file.write_text(run.config_file.read_text().replace('pixels = "none"', 'pixels = "store"'))
    for slide, colour in zip(run.slides(), [(190, 130, 170), (1, 1, 1), (20, 90, 40)], strict=True):
        paint(run, slide, colour)
    said = kinds(predicted(run, trained).metrics)["no-h-and-e"]
    assert said.startswith("2 of 3 slides do not look stained with haematoxylin and eosin")
    assert "X01: dark, as fluorescence is (mean red 1, green 1, blue 1;" in said
    assert "X02: green (mean red 20, green 90, blue 40;" in said


def paint(run: RunDir, slide: Slide, colour: tuple[int, int, int]) -> None:
    """Tiles of one colour, with pixels, in place of those without; and the features that are there, as theirs."""
    config, values = run.config(), np.array(open_features(run.features(NAME, slide.slide_id)).values)
    key = slide_tile_key(config.tile, slide, slide.slide_id)
    with new_tile_store(run.tiles(slide.slide_id), config.tile.tile_px) as store:
        for _ in values:
            store.new_tile()[:] = colour
        attributes = {"key": key, "spec": config.tile.model_dump(mode="json"), "slide": {"fingerprint": slide.slide_id}}
        xy = np.arange(2 * len(values), dtype=np.int64).reshape(-1, 2)
        store.commit(xy, np.zeros(len(values), np.float32), attributes)
    spec = run_spec(config)
    of_features = {"key": extract_key(spec, key), "spec": spec, "tile_spec": tile_spec(config.tile)}
    write_features(run.features(NAME, slide.slide_id), values, xy, of_features)


def test_predictions_of_other_slides_or_models_are_not_reported(trained: RunDir, tmp_path: Path) -> None:
    model = RunDir(tmp_path / "model")
    shutil.copytree(trained.root, model.root)
    run = outside(tmp_path / "new", n=6)
    predicted(run, model)
    assert report(run, progress=NoProgress(), stop=STOP).exists()
    assert stages_of(run) == {"tile": (6, 0), "extract": (6, 0), "predict": (1, 0), "report": (1, 0)}
    tables = run.slides_file.read_text(), run.patients_file.read_text()
    write_slide(run, "X99", "Q99", np.ones((15, 8)))
    run.slides_file.write_text(tables[0] + "X99,X99.svs,Q99,1\n")
    stale(run, "slides, features or labels have changed since")
    run.slides_file.write_text(tables[0])
    run.patients_file.write_text(tables[1].replace("Q00,0", "Q00,1"))
    stale(run, "slides, features or labels have changed since")
    run.patients_file.write_text(tables[1])
    report(run, progress=NoProgress(), stop=STOP)
    model.config_file.write_text(model.config_file.read_text().replace("threshold = 0.5 ", "threshold = 0.6 "))
    evaluate(model, progress=NoProgress(), stop=STOP)
    stale(run, "the models were trained or evaluated anew since")
    assert stages_of(run) == {"tile": (6, 0), "extract": (6, 0), "predict": (0, 1), "report": (0, 1)}
    predicted(run, model)
    report(run, progress=NoProgress(), stop=STOP)
    (run.predictions / "patients.csv").write_text("id\n")
    stale(run, "predictions/ is damaged")


def stale(run: RunDir, why: str) -> None:
    with pytest.raises(NotReadyError, match=why) as caught:
        report(run, progress=NoProgress(), stop=STOP)
    assert caught.value.remedy.startswith(f"hypoxia-hpc predict {run.word} --model ")
    [line] = [one for one in run_status(run).stages if one.stage == "predict"]
    assert why in line.note and line.note.endswith(caught.value.remedy)


def stages_of(run: RunDir) -> dict[str, tuple[int, int]]:
    """What ``status`` shows of each stage: done, and to do."""
    return {one.stage.partition(" ")[0]: (one.done, one.todo) for one in run_status(run).stages}


def test_a_training_run_has_to_be_evaluated_with_its_present_models(trained: RunDir, tmp_path: Path) -> None:
    model = RunDir(tmp_path / "model")
    shutil.copytree(trained.root, model.root)
    run = outside(tmp_path / "new", n=4)
    metrics = json.loads(model.metrics_file.read_text())
    model.reference_file.unlink()
    with pytest.raises(NotReadyError, match=r"reference\.npy is missing"):
        predicted(run, model)
    assert evaluate(model, progress=NoProgress(), stop=STOP).fresh
    assert json.loads(model.metrics_file.read_text()) == metrics
    assert not evaluate(model, progress=NoProgress(), stop=STOP).fresh
    text = model.config_file.read_text()
    model.config_file.write_text(text.replace("c = 0.01 ", "c = 0.02 "))
    predicted(run, model)
    train(model, progress=NoProgress(), stop=STOP)
    stale(run, "the models were trained or evaluated anew since")
    with pytest.raises(NotReadyError, match=r"1 model of .* changed since .* was made"):
        predicted(run, model)
    model.metrics_file.unlink()
    with pytest.raises(NotReadyError, match="does not say which model leads") as caught:
        predicted(run, model)
    assert caught.value.remedy == f"hypoxia-hpc evaluate {model.word}"


def command(*words: object) -> int:
    return int(app([*map(str, words)], standalone_mode=False) or 0)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` where slides are done, without workers, and a report without its figures."""
    monkeypatch.setattr("hypoxia_hpc.cli.paths.by_slide", lambda *_: 0)
    monkeypatch.setattr("hypoxia_hpc.stages.report.report_files", lambda _: {"index.html": b"</html>"})


def test_a_predicted_run_goes_on_with_the_models_of_the_other_one(
    trained: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], brief: None
) -> None:
    """Its patients have labels, and nothing is trained."""
    run = outside(tmp_path / "new", n=6)
    begin_predictions(run, trained)  # and then it was killed
    assert stages_of(run) == {"tile": (6, 0), "extract": (6, 0), "predict": (0, 1), "report": (0, 1)}
    assert command("run", run.root) == 0
    assert "those of run: none is trained here" in capsys.readouterr().out
    before = run.metrics_file.read_bytes(), run.metrics_file.stat().st_ino
    assert command("run", run.root) == 0
    assert "predict: nothing to do" in capsys.readouterr().out
    assert (run.metrics_file.read_bytes(), run.metrics_file.stat().st_ino) == before
    assert stages_of(run) == {"tile": (6, 0), "extract": (6, 0), "predict": (1, 0), "report": (1, 0)}
    for verb in ("train", "evaluate", "phenotypes", "submit"):
        with pytest.raises(InputError, match=f"{verb} is for runs that have models of their own") as error:
            command(verb, run.root, *(["--dry-run"] if verb == "submit" else []))
        assert f"hypoxia-hpc run {run.word} goes on" in error.value.remedy
    assert not run.model("").exists() and not run.split_file.exists()


def test_without_the_other_run_what_is_predicted_stays(trained: RunDir, tmp_path: Path, brief: None) -> None:
    model = RunDir(shutil.copytree(trained.root, tmp_path / "model"))
    run = outside(tmp_path / "new", n=6)
    predicted(run, model)
    shutil.rmtree(model.root)
    assert command("run", run.root) == 0
    run.patients_file.write_text(run.patients_file.read_text().replace("Q00,0", "Q00,1"))
    with pytest.raises(NotReadyError, match=r"changed since.* the run of their models is not there") as error:
        command("run", run.root)
    assert error.value.remedy == f"hypoxia-hpc predict {run.word} --model MODEL_RUN"


def test_what_would_be_taken_for_something_else_is_refused(trained: RunDir, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has models or metrics of its own"):
        refuse_other_run(trained, trained)
    run = outside(tmp_path / "new", n=4)
    predicted(run, trained)
    refuse_other_run(run, trained)  # its metrics are those of predict
    text = run.config_file.read_text()
    weightless = {"backbone": "vgg16", "weights": "imagenet"}
    (tmp_path / "weights").mkdir()
    config = run.config()
    of_images = {"source": {"kind": "folders"}, "tile": {"pixels": "store"}}
    images = config.model_copy(
        update={name: getattr(config, name).model_copy(update=of_images[name]) for name in of_images}
    )
    run.config_file.write_text(render_config(images))
    for refuse in (refuse_other_run, predicted):
        with pytest.raises(InputError, match=r"is a run on images in folders, and the models of .* trained on slides"):
            refuse(run, trained)
    site = config.site.model_copy(update={"weights": str(tmp_path / "weights")})
    extract = config.extract.model_copy(update=weightless)
    run.config_file.write_text(render_config(config.model_copy(update={"site": site, "extract": extract})))
    with pytest.raises(InputError, match="made otherwise than those the models were trained on") as caught:
        refuse_other_run(run, trained)  # and not of weights that are of no use
    assert any("backbone" in one for one in caught.value.offending)
    run.config_file.write_text(text.replace('["normoxic", "hypoxic"]', '["wild type", "mutant"]'))
    with pytest.raises(InputError, match=r"are binary \['wild type', 'mutant'\], the models predict binary"):
        predicted(run, trained)
