"""export of a run: what is done is exported, what is not is named, and nothing is written twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pydicom
import pytest
from feature_runs import NAME, make_run
from highdicom.seg import segread
from slides.dicom_places import corners_l0, placed
from slides.dicom_series import generate_uid, image_of, write_instance

from hypoxia_hpc.cli.text.exporting import exported_text
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.exports.registry import FORMATS
from hypoxia_hpc.models.said_of_tiles import called_classes, model_for_classes
from hypoxia_hpc.outcomes.registry import outcome_of
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.export import Exported, export
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.stores.tiles import open_tiles


class Notes(NoProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def exported(
    run: RunDir, name: str, folder: Path | None = None, model: str = "", notes: Notes | None = None
) -> Exported:
    return export(run, name, folder, model=model, progress=notes or Notes(), stop=threading.Event())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    found = make_run(tmp_path_factory.mktemp("export") / "run", {"heads": ["logistic"], "clusterings": []})
    for stage in (train, evaluate):
        stage(found, progress=NoProgress(), stop=threading.Event())
    return found


def test_every_number_is_that_of_the_stores_and_predictions(run: RunDir, tmp_path: Path) -> None:
    made = exported(run, "csv", tmp_path / "csv")
    assert (made.n_slides, made.n_there, made.left_out, made.todo) == (len(run.slides()), 0, (), ())
    assert made.model == "logistic" and {one.name for one in FORMATS.values() if not one.has_classes} == {
        *("clam", "trident", "atlaspatch", "stamp")
    }
    predicted = pd.read_parquet(run.predictions / "tiles.parquet").set_index(["slide_id", "x_l0", "y_l0"])
    for slide in run.slides():
        table = pd.read_csv(tmp_path / "csv" / f"{slide.slide_id}.csv")
        rows = predicted.loc[slide.slide_id].loc[list(zip(table["x_l0"], table["y_l0"], strict=True))]
        assert table["logistic: probability"].to_numpy() == pytest.approx(rows["probability"].to_numpy())
        assert ((table["class"] == "hypoxic") == (table["logistic: probability"] >= 0.5)).all()
        assert set(table["patient_id"]) == {slide.patient_id}


def test_features_and_what_is_there_stays(run: RunDir) -> None:
    first = exported(run, "clam")
    assert first.model == "", "its files have no classes, so that no model is named"
    folder = run.root / "exports" / "clam"
    assert first.folder == folder
    slide_id = run.slides()[0].slide_id
    with h5py.File(folder / f"h5_files/{slide_id}.h5") as file:
        assert (file["features"][:] == open_features(run.features(NAME, slide_id)).values).all()
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    (folder / f"h5_files/{slide_id}.h5").unlink()
    again = exported(run, "clam")
    assert again.n_there == len(run.slides()) - 1
    changed = {path for path in folder.glob("*/*") if path.stat().st_mtime_ns != times[path]}
    assert {path.stem for path in changed} == {slide_id}
    shutil.rmtree(run.root / "exports")


def test_predictions_of_models_that_are_gone_and_slides_that_were_moved(run: RunDir, tmp_path: Path) -> None:
    """Stores and predictions say it all: neither models nor slides are looked at."""
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    shutil.rmtree(copy.root / "models")
    copy.slides_file.write_text(copy.slides_file.read_text().replace(".svs", " (moved) 'x'.svs"))
    for folder, one in (("before", run), ("after", copy)):
        assert not exported(one, "csv", tmp_path / folder).left_out
    names = {path.name for path in (tmp_path / "before").glob("*.csv")}
    assert len(names) == len(run.slides())
    assert all((tmp_path / "before" / name).read_text() == (tmp_path / "after" / name).read_text() for name in names)


def test_half_done_runs_and_stale_predictions_are_said(run: RunDir, tmp_path: Path) -> None:
    copy = RunDir(shutil.copytree(run.root, tmp_path / "run"))
    gone = copy.slides()[0].slide_id
    shutil.rmtree(copy.features(NAME, gone))
    notes = Notes()
    made = exported(copy, "trident", notes=notes)
    assert made.todo == (gone,)
    assert {reason for _, reason in made.left_out} == {"no-mpp"} and len(made.left_out) == len(copy.slides()) - 1
    said = "\n".join(exported_text(made, copy.root))
    assert "left out, no-mpp" in said and f"not done yet, so not in it: 1 slide ({gone})" in said
    assert any("predictions is not known to be of the present slides" in note for note in notes.said)
    shutil.rmtree(copy.root / "features")
    with pytest.raises(NotReadyError, match=r"no slide of .* has features"):
        exported(copy, "clam")
    shutil.rmtree(copy.predictions)
    assert exported(copy, "qupath", notes=notes).n_slides == len(copy.slides()), "tiles are enough for it"
    assert notes.said[-1] == f"{copy.root} has no predictions: no number of a model is exported"


def test_a_stop_loses_nothing(run: RunDir, tmp_path: Path) -> None:
    stop = threading.Event()

    class Stopping(NoProgress):
        def item(self, cost: float) -> None:
            stop.set()

    with pytest.raises(Stopped):
        export(run, "csv", tmp_path / "out", progress=Stopping(), stop=stop)
    assert exported(run, "csv", tmp_path / "out").n_there == 1


def test_slides_in_dicom_become_dicom_and_others_are_named(
    tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]], real_slide: Path
) -> None:
    """From a series that OpenSlide reads, through `tile`; highdicom's geometry says where each pixel lies."""
    series = generate_uid()
    for name, side in (("a.dcm", 300), ("b.dcm", 600)):
        placed(write_instance(tmp_path / "slides" / name, image_of(1, side, side), series=series, mpp=300 / side))
    shutil.copy(real_slide, tmp_path / "slides" / "other.svs")
    run = RunDir(tmp_path / "run")
    init(run, preset("hypoxia", {"tile": {"tile_px": 75, "pixels": "none"}}), tmp_path / "slides")
    tile(run, run.slides(), workers=1, retry=False, progress=NoProgress(), stop=threading.Event())
    done = hypoxia("export", run.root, "--to", "dicom-seg")
    assert done.returncode == 3 and "left out, not-dicom: 1 slide (other)" in done.stdout
    assert "other.svs is no DICOM slide" in done.stdout and "take --to qupath" in done.stdout
    (file,) = (run.root / "exports" / "dicom-seg").glob("*.dcm")
    made, source = segread(file), pydicom.dcmread(tmp_path / "slides" / "b.dcm")
    rows, columns = np.nonzero(made.get_total_pixel_matrix(segment_numbers=[1])[..., 0])
    found = np.rint(corners_l0(made, source, columns, rows))
    assert len(found) and (found == open_tiles(run.tiles(file.stem)).xy).all()


def test_what_is_refused(run: RunDir, tmp_path: Path) -> None:
    for name, model, words in (
        ("word", "", "--to word is no format; these are: qupath"),
        ("csv", "funnel", "--model funnel has no predictions"),
    ):
        with pytest.raises(InputError, match=words):
            exported(run, name, tmp_path / "out", model)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="has files, and no record of an export"):
        exported(run, "csv", tmp_path)
    exported(run, "csv", tmp_path / "csv")
    with pytest.raises(InputError, match="has an export in the format csv"):
        exported(run, "qupath", tmp_path / "csv")
    record = json.loads((tmp_path / "csv" / "export.json").read_text())
    assert {*record["slides"]} == {slide.slide_id for slide in run.slides()}


def test_the_command(run: RunDir, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = hypoxia("export", run.root, "--to", "qupath-regions", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out'}: {len(run.slides())} slides" in done.stdout
    assert "tiles are classed by logistic" in done.stdout
    refused = hypoxia("export", run.root, "--to", "stamp", "--out", tmp_path / "stamp")
    assert refused.returncode == 3 and "left out, no-mpp" in refused.stdout


def test_classes_of_several_and_of_none() -> None:
    classes = outcome_of(preset("hypoxia", {"outcome": {"kind": "classes", "classes": ["A", "B", "C"]}}).outcome)
    said = pd.DataFrame({f"m: {name}": [0.2, 0.5] for name in classes.outputs})
    said["m: probability_B"] = [0.7, None]
    assert called_classes(said, "m", classes).tolist() == [1, -1]
    assert called_classes(said, "other", classes).tolist() == [-1, -1]
    score = outcome_of(preset("hypoxia", {"outcome": {"kind": "score"}}).outcome)
    with pytest.raises(InputError, match="an outcome of score has no classes"):
        model_for_classes(RunDir(Path("run")), score, "m")
