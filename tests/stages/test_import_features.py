"""import-features: a run goes on from the features of another tool as from its own."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from feature_runs import NAME, make_run
from feature_sets import PX, importing_run, places, write_clam, write_export
from stopping import StopAt

from hypoxia_hpc.cli.text.importing import imported_text
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.imports.feature_files import described
from hypoxia_hpc.imports.matching import sources_of
from hypoxia_hpc.monitoring.doctor import examine_run
from hypoxia_hpc.monitoring.estimate import estimate_run
from hypoxia_hpc.monitoring.remaining import remaining
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.survey import survey_run
from hypoxia_hpc.stages import import_features as stage_module
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.export import export
from hypoxia_hpc.stages.extract import extract
from hypoxia_hpc.stages.import_features import Imported, import_features
from hypoxia_hpc.stages.maps import maps
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.stores.features import open_features, write_features

VALUES = np.random.default_rng(5).normal(size=(9, 4)).astype(np.float16)
ROWS = ["S0,/slides/S0.svs,P0", "S1,/slides/S1.svs,P1", "S2,/slides/S2.svs,P2"]
DO: dict[str, Any] = {"progress": NoProgress(), "stop": threading.Event()}


def imported(run: RunDir, *given: Path, stop: threading.Event | None = None, retry: bool = False) -> Imported:
    return import_features(run, given, retry=retry, progress=NoProgress(), stop=stop or threading.Event())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, RunDir, Imported]:
    """A run, and one of the same patients whose features came in as CLAM's files of the first."""
    folder = tmp_path_factory.mktemp("both")
    ours = make_run(folder / "ours", {"heads": ["logistic"], "clusterings": []}, n_patients=16)
    for slide in ours.slides():
        write_export("clam", folder / "files", slide, ours.features(NAME, slide.slide_id))
    rows = [",".join(line.split(",")[:3]) for line in ours.slides_file.read_text().splitlines()[1:]]
    theirs = importing_run(folder / "theirs", rows, ours.patients_file.read_text())
    made = imported(theirs, folder / "files")
    for stage in (train, evaluate):
        for run in (ours, theirs):
            stage(run, **DO)
    return ours, theirs, made


def test_imported_features_train_to_the_same_metrics(both: tuple[RunDir, RunDir, Imported]) -> None:
    ours, theirs, made = both
    assert len(made.outcome.made) == len(ours.slides()) and not made.outcome.quarantined and not made.strange
    for slide in ours.slides():
        first, second = (open_features(run.features(NAME, slide.slide_id)).values for run in (ours, theirs))
        assert first.dtype == second.dtype and (first == second).all()
    measured, again = ours.metrics(), theirs.metrics()
    assert measured is not None and again is not None and measured["models"] == again["models"]


def test_all_that_follows_works_from_there(both: tuple[RunDir, RunDir, Imported], tmp_path: Path) -> None:
    _, run, _ = both
    survey = survey_run(run)
    assert {one.status for one in survey.features} == {"done"}
    assert not any(remaining(run, retry=False).slides.values())
    assert not any(one.slides for one in estimate_run(run).stages)
    report(run, **DO)
    page = run.report_file.read_text()
    assert f"features of {NAME}, which another tool had made" in page and "Another tool had cut tiles" in page
    assert "imported-tiles" in page and "slide-changed" not in page
    made = export(run, "trident", tmp_path / "trident", **DO)
    assert made.n_slides == len(run.slides()) and not made.left_out
    for stage in (tile, extract):
        with pytest.raises(InputError, match="these features come from another tool"):
            stage(run, run.slides(), workers=1, retry=False, **DO)


def test_what_has_no_slide_or_no_features_is_named_and_comes_later(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ROWS)
    write_clam(tmp_path / "first" / "S0.h5", VALUES)
    write_clam(tmp_path / "first" / "other <b>.h5", VALUES)
    (tmp_path / "first" / "S2.h5").write_bytes(b"no HDF5")
    made = imported(run, tmp_path / "first")
    said = "\n".join(imported_text(made, run.root))
    assert [one.name for one in made.outcome.made] == ["S0"]
    assert "of no slide: 1 file" in said and "other <b>.h5" in said
    assert "quarantined in import-features, no-imported-features: 1 slide (S1)" in said
    assert "quarantined in import-features, unfit-features-file: 1 slide\n" in said and "S2.h5: neither HDF5" in said
    assert f"next: hypoxia-hpc run {run.root}" in said
    assert [one.status for one in survey_run(run).features] == ["done", "quarantined", "quarantined"]
    assert [one.status for one in survey_run(run, read_slides=True).features] == ["done", "quarantined", "quarantined"]
    write_clam(tmp_path / "second" / "S1.h5", VALUES)
    stores = [path for name in ("tiles", "features") for path in (run.root / name).rglob("*") if "S0" in str(path)]
    before = {path: path.read_bytes() for path in stores if path.is_file()}
    assert [one.name for one in imported(run, tmp_path / "second").outcome.made] == ["S1"]
    assert before == {path: path.read_bytes() for path in before}
    assert [one.status for one in survey_run(run).features] == ["done", "done", "quarantined"]
    shutil.rmtree(run.features(NAME, "S0"))  # as after a kill between the two stores
    with pytest.raises(NotReadyError, match="import-features"):
        remaining(run, retry=False)
    assert [one.name for one in imported(run, tmp_path / "first" / "S0.h5").outcome.made] == ["S0"]
    assert before == {path: path.read_bytes() for path in before}


def test_how_large_a_slide_is_comes_from_the_slide_as_soon_as_it_is_there(tmp_path: Path, real_slide: Path) -> None:
    """STAMP does not say it, and TRIDENT's files have it."""
    path = tmp_path / "S0.svs"
    run = importing_run(tmp_path / "run", [f"S0,{path},P0"])
    write_features(tmp_path / "S0.zarr", VALUES, places(len(VALUES)), {"key": "k"})
    write_export("stamp", tmp_path / "files", run.slides()[0], tmp_path / "S0.zarr")
    imported(run, tmp_path / "files")
    made = export(run, "trident", None, **DO)
    assert made.left_out == (("S0", "slide-gone"),) and str(path) in made.why["slide-gone"]
    assert maps(run, of="tissue", **DO).left_out == ("S0",)
    shutil.copy(real_slide, path)
    assert export(run, "trident", None, **DO).n_slides == 1
    with h5py.File(run.root / "exports" / "trident" / "patches" / "S0_patches.h5") as file:
        said = file["coords"].attrs
        assert (said["level0_width"], said["level0_height"]) == (2220, 2967)
    assert maps(run, of="tissue", **DO).n_maps == 1


def test_doctor_says_who_has_features_and_opens_no_slide(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ROWS)
    imported(run, write_clam(tmp_path / "S0.h5", VALUES))
    found = {check.name: check for check in examine_run(run)}
    assert not [check for check in found.values() if check.verdict == "bad" or check.slide]
    assert "1 of 3 slides have imported features; no slide is read; without: S1, S2" in found["slides"].detail
    assert "import-features" in found["slides"].detail and found["slides"].verdict == "note"


def test_many_slides_without_a_file_are_one_line_and_nothing_imported_leads_nowhere(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", [f"S{n},/slides/S{n}.svs,P{n}" for n in range(30)])
    notes: list[str] = []

    class Notes(NoProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    path = write_clam(tmp_path / "S0.h5", VALUES, places(9) - 1)
    made = import_features(run, [path], retry=False, progress=Notes(), stop=threading.Event())
    said = "\n".join(imported_text(made, run.root))
    assert "no-imported-features: 29 slides (S1, " in said and "coordinates of another slide" in said
    assert len((said + "\n".join(notes)).splitlines()) < 12 and "next:" not in said


def test_tiles_that_overlap_by_the_size_that_their_files_give_are_said(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ROWS)
    for name, coords in (("S0", places(9)), ("S1", places(9) // 4)):
        write_clam(tmp_path / "files" / f"{name}.h5", VALUES, coords)
    said = "\n".join(imported_text(imported(run, tmp_path / "files"), run.root))
    assert "note: slides whose imported tiles overlap" in said and "import again: 1 (S1)" in said


def clam(name: str, **attributes: Any) -> Callable[[Path], object]:
    return lambda folder: write_clam(folder / name, VALUES, **attributes)


def other_length(folder: Path) -> None:
    write_clam(folder / "S1.h5", VALUES[:, :2])


def of_encoder(folder: Path) -> None:
    path = write_clam(folder / "S1.h5", VALUES, patch_size_level0=150)
    with h5py.File(path, "a") as file:
        file["features"].attrs["encoder"] = "uni/v2"


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (clam("more/S0.h5"), "several files of features or of coordinates"),
        (clam("S1.h5", patch_size=256), "patch size in px: 75 in 1 file .*; 256 in 1 file"),
        (other_length, "values in a vector: 2 in 1 file .*; 4 in 1 file"),
        (of_encoder, 'backbone = "imported:small", and the files are by uni-v2'),
        (clam("S1.h5", patch_size_level0=300, target_magnification=10), "and patches have 1 µm per pixel"),
    ],
)
def test_files_that_disagree_are_refused_before_anything_is_written(
    add: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    run = importing_run(tmp_path / "run", ROWS)
    write_clam(tmp_path / "files" / "S0.h5", VALUES)
    add(tmp_path / "files")
    with pytest.raises(InputError, match=words) as raised:
        imported(run, tmp_path / "files")
    assert raised.value.remedy and sorted(path.name for path in run.root.iterdir()) == ["run.toml", "slides.csv"]


def test_run_toml_is_told_the_lines_that_it_needs(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ROWS, backbone="resnet50")
    path = write_clam(tmp_path / "S0.h5", VALUES, patch_size=256, patch_size_level0=256, target_magnification=40)
    with pytest.raises(InputError, match="of which `extract` makes the features") as raised:
        imported(run, path)
    lines = 'tile_px = 256\nmpp = 0.25\n[extract]\nname = "features"\nbackbone = "imported:features"'
    assert lines in str(raised.value) and f"tile_px = {PX}, and patches have 256 px" in str(raised.value)


def test_the_lines_are_of_most_files_and_the_others_are_named(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ROWS, backbone="resnet50")
    for name, side_l0 in (("S0", 149.7), ("S1", 150), ("S2", 150)):
        magnification = {"target_magnification": 20 * 150 / side_l0}
        write_clam(tmp_path / "files" / f"{name}.h5", VALUES, patch_size_level0=side_l0, **magnification)
    with pytest.raises(InputError) as raised:
        imported(run, tmp_path / "files")
    assert "mpp = 0.5\n" in raised.value.remedy
    assert f"0.5 in most files; 0.499 in 1 file ({tmp_path / 'files' / 'S0.h5'})" in raised.value.remedy


def test_files_of_no_slide_of_several_and_of_none(tmp_path: Path) -> None:
    run = importing_run(tmp_path / "run", ["S0,/a/HE.svs,P0", "S1,/b/HE.svs,P1"])
    with pytest.raises(InputError, match="does not exist"):
        imported(run, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file with features below"):
        imported(run, tmp_path / "empty")
    with pytest.raises(InputError, match="has the name of a slide"):
        imported(run, write_clam(tmp_path / "other.h5", VALUES))
    with pytest.raises(InputError, match="may be of several slides") as raised:
        imported(run, write_clam(tmp_path / "HE.h5", VALUES))
    assert raised.value.offending == (f"{tmp_path / 'HE.h5'}: S0, S1",)
    with pytest.raises(InputError, match="no file has features that can be imported"):
        (tmp_path / "S0.h5").write_bytes(b"text")
        imported(run, tmp_path / "S0.h5")
    with pytest.raises(Stopped):
        imported(run, write_clam(tmp_path / "S1.h5", VALUES), stop=StopAt(1))


def test_tiles_of_its_own_are_not_lost(both: tuple[RunDir, RunDir, Imported], tmp_path: Path) -> None:
    ours, _, _ = both
    with pytest.raises(InputError, match="has tiles of its own"):
        imported(ours, write_clam(tmp_path / "S00-0.h5", VALUES))


def test_tensors_need_pytorch_and_are_read_without_executing_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = importing_run(tmp_path / "run", ROWS[:1])
    folder = tmp_path / "files"
    write_clam(folder / "h5_files" / "S0.h5", VALUES)
    (folder / "pt_files").mkdir()
    (folder / "pt_files" / "S0.pt").write_bytes(b"PK\x03\x04 a tensor")
    monkeypatch.setattr(stage_module, "can_read_tensors", lambda: False)
    with pytest.raises(InputError, match="tensors of PyTorch, which is not installed") as raised:
        imported(run, folder / "pt_files")
    assert raised.value.offending == (str(folder / "pt_files" / "S0.pt"),)
    both = [described(path, NAME) for path in sorted(folder.rglob("S0.*"))]
    source = sources_of({"S0": {one.path: one for one in both}})["S0"]
    assert source.features is not None and source.features.layout == "clam"  # the same features as HDF5


def test_the_command(tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    run = importing_run(tmp_path / "run", ROWS[:2])
    write_clam(tmp_path / "files" / "S0.h5", VALUES)
    done = hypoxia("import-features", run.root, tmp_path / "files")
    assert done.returncode == 3, done.stderr
    assert "import-features: 1 done now, 0 done before, 1 quarantined" in done.stdout
    refused = hypoxia("import-features", run.root, tmp_path / "none")
    assert refused.returncode == 2 and "does not exist" in refused.stderr
    assert hypoxia("tile", run.root).returncode == 2
    assert (
        f"To try them again: hypoxia-hpc import-features {run.root} DIR --retry" in hypoxia("status", run.root).stdout
    )
