"""A run as an object: what is missing or wrong is an exception, what is quarantined is no error."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_runs import make_run

import hypoxia_hpc as hx
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.workers.slide_stage import StageOutcome


class Heard(NoProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.notes: list[str] = []

    def begin(self, title: str, items: int, cost: float, unit: str) -> None:
        self.begun.append((title, items))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> hx.Run:
    """Features of 33 patients, nothing trained; the stores of tiles keep no pixels."""
    folder = tmp_path_factory.mktemp("made") / "run"
    make_run(folder, {"heads": ["logistic"], "clusterings": []})
    return hx.Run(folder)


@pytest.fixture(scope="module")
def two_slides(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[hx.Run, Heard]:
    """A slide, and a file that is none, tiled."""
    folder, heard = tmp_path_factory.mktemp("two"), Heard()
    (folder / "slides").mkdir()
    (folder / "slides" / "good.svs").symlink_to(real_slide)
    (folder / "slides" / "bad.svs").write_text("no slide")
    settings = {"tile": {"tile_px": 75, "mpp": 2.0}, "extract": {"weights": "random", "backbone": "mobilenet_v2"}}
    run = hx.Run.init(folder / "RUN", folder / "slides", settings=settings, progress=heard)
    run.tile(workers=1)
    return run, heard


def test_a_slide_that_cannot_be_used_is_quarantined(two_slides: tuple[hx.Run, Heard]) -> None:
    run, heard = two_slides
    outcome = run.tile(workers=1)
    assert [receipt.name for receipt in outcome.found] == ["good"]
    assert [(receipt.name, receipt.reason) for receipt in outcome.quarantined] == [("bad", "not-a-slide")]
    assert ("tile", 2) in heard.begun
    of_patients, of_headers, of_tile = heard.notes
    assert of_patients.startswith("slides that name no patient ")
    assert of_patients.endswith(": 2 (bad, good)")
    assert of_headers.startswith("slides that tile puts in quarantine as they are, not-a-slide;")
    assert of_headers.endswith(": 1 (bad)")
    assert of_tile.startswith("quarantined bad:")
    slides = run.slides
    assert slides.loc["bad", ["status", "stage", "reason"]].tolist() == ["quarantined", "tile", "not-a-slide"]
    assert slides.loc["good", ["status", "stage", "reason"]].tolist() == ["todo", "extract", ""]
    assert len(run["good"].tiles) == 16
    with pytest.raises(hx.NotReadyError, match=r"bad.zarr does not exist[^$]*run.tile\(\)"):
        run["bad"].tiles  # noqa: B018
    with pytest.raises(hx.NotReadyError, match=r"good.zarr does not exist[^$]*run.extract\(\)"):
        run["good"].features  # noqa: B018


def test_retrying_tries_quarantined_slides_again(two_slides: tuple[hx.Run, Heard]) -> None:
    [receipt] = two_slides[0].tile(["bad"], workers=1, retry=True).quarantined
    assert receipt.attempts == 2


def test_making_it_again_finds_it_made(two_slides: tuple[hx.Run, Heard], tmp_path: Path) -> None:
    run = two_slides[0]
    settings = run.config.model_dump(
        mode="json", include={"tile": {"tile_px", "mpp"}, "extract": {"weights", "backbone"}}
    )
    assert len(hx.Run.init(run.root, run.root.parent / "slides", settings=settings)) == 2
    with pytest.raises(hx.InputError, match="has files already that this would overwrite"):
        hx.Run.init(run.root, run.root.parent / "slides")
    with pytest.raises(hx.InputError, match="rule = 'median' is not known"):
        hx.Run.init(tmp_path, run.root.parent / "slides", rule="median")  # type: ignore[arg-type]


MISSING_FILE = (
    "slides whose file is not there, which will be quarantined (slides.csv has where they are looked for; relative "
    "paths begin at the manifest's folder): 1 (a)"
)


def test_notes_of_init_are_warnings_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "m.csv").write_text("path,patient_id,ward\na.svs,P,1\n")
    for _ in range(2):
        hx.Run.init(tmp_path / "RUN", tmp_path / "m.csv")
        assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
            ("hypoxia_hpc", "WARNING", "columns of the manifest that are not used: ward"),
            ("hypoxia_hpc", "WARNING", MISSING_FILE),
        ]
        caplog.clear()


def test_runs_are_shown_side_by_side(two_slides: tuple[hx.Run, Heard], tmp_path: Path) -> None:
    run = two_slides[0]
    (other := tmp_path / "OTHER").mkdir()
    for name in ("run.toml", "slides.csv"):
        shutil.copy(run.root / name, other / name)
    text = (other / "run.toml").read_text().replace("threshold = 0.5 ", "threshold = 0.25 ")
    (other / "run.toml").write_text(text)
    page = run.report(compare=[other]).read_text()
    assert f"{tmp_path.name}/OTHER" in page
    assert "0.25" in page
    with pytest.raises(hx.InputError, match=rf"{tmp_path.name}/run\.toml"):
        run.report(compare=str(tmp_path))


def test_home_is_filled_in(two_slides: tuple[hx.Run, Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = two_slides[0].root.parent
    monkeypatch.setenv("HOME", str(made))
    assert hx.Run("~/RUN").root == made / "RUN"
    (made / "labels.csv").write_text("patient_id,label\ngood,1\nbad,0\n")
    run = hx.Run.init("~/labelled", "~/slides", patients="~/labels.csv")
    assert run.root == made / "labelled"
    assert run.patients["label"].tolist() == [0, 1]
    (made / "scores.txt").write_text("nothing")
    with pytest.raises(hx.InputError, match=f"{made}/scores.txt"):
        hx.Run.init("~/scored", "~/slides", scores="~/scores.txt")
    for ask in (lambda: hx.Run("~no-user/RUN"), lambda: hx.Run.init(tmp_path / "RUN", "~no-user/slides")):
        with pytest.raises(hx.InputError, match=r"names '~no-user/.*', and ~no-user is no user's home"):
            ask()


def test_what_is_not_there_yet(made: hx.Run, tmp_path: Path) -> None:
    with pytest.raises(hx.InputError, match="no run directory"):
        hx.Run(tmp_path)
    with pytest.raises(hx.NotReadyError, match=r"metrics.json is not there, or damaged[^$]*run.evaluate\(\)"):
        made.metrics  # noqa: B018
    for level in ("tile", "slide", "patient"):
        with pytest.raises(hx.NotReadyError, match="does not exist"):
            made.predictions(level)
    with pytest.raises(hx.NotReadyError, match="1 of 1 models are not trained"):
        made.evaluate()


def test_what_is_not_there_at_all(made: hx.Run) -> None:
    with pytest.raises(hx.InputError, match="level = 'patients' is none of tile, slide, patient"):
        made.predictions("patients")  # type: ignore[arg-type]
    for ask in (lambda: made["S99"], lambda: made.tile(["S99"]), lambda: made.extract(["S99"])):
        with pytest.raises(hx.InputError, match="are not in slides") as caught:
            ask()
        assert caught.value.offending == ("S99",)


def test_patients_and_slides_are_frames(made: hx.Run) -> None:
    patients = made.patients
    assert patients["label"].dtype == pd.Int64Dtype()
    assert patients["label"].tolist()[:2] == [0, 1]
    assert patients["label"].isna().sum() == 1
    assert made.slides["status"].unique().tolist() == ["done"]
    assert made.slides["mpp"].isna().all()
    assert repr(made) == f"<Run {made.root}: {len(made)} slides>"
    one = made[next(iter(made))]
    assert (one.slide_id, one.patient_id, one.mpp) == ("S00-0", "P00", None)
    assert one.features.values.dtype == np.float16
    assert one.tiles.pixels is None
    assert "no pixels" in repr(one.tiles)


def test_a_bug_on_a_slide_is_an_exception(made: hx.Run) -> None:
    bug = Receipt("S1", "quarantined", "", reason="internal-error", detail="Traceback: ZeroDivisionError")
    with pytest.raises(hx.HypoxiaError, match=r"internal error on 1 slide[^$]*S1: Traceback: ZeroDivisionError"):
        made._checked(StageOutcome("tile", (), (), (bug,), bugs=(bug,)))


def test_slides_that_an_earlier_stage_has_not_done_are_an_exception(made: hx.Run) -> None:
    waiting = tuple(Receipt(name, "quarantined", "", reason="not-ready") for name in ("S1", "S2"))
    with pytest.raises(
        hx.NotReadyError, match=r"extract small: slides without tiles yet: 2[^$]*run.tile\(\)"
    ) as caught:
        made._checked(StageOutcome("extract small", (), (), (), not_ready=waiting))
    assert caught.value.offending == ("S1", "S2")


def test_notes_are_logged_where_no_progress_is_asked_for(made: hx.Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hypoxia_hpc"):
        hx.Run(made.root)._progress.note("RANDOM weights")
    assert caplog.messages == ["RANDOM weights"]


def test_a_plan_for_slurm_sends_and_writes_nothing(made: hx.Run) -> None:
    before = sorted(made.root.rglob("*"))
    planned = made.submit(dry_run=True)
    assert planned.jobs["stage"].tolist() == ["train", "evaluate", "report"]
    assert planned.jobs["ids"].tolist() == ["", "", ""]
    assert (planned.jobs[["memory_mb", "minutes", "cpus"]] > 0).all(axis=None)
    assert [command.partition("=")[0] for command in planned.commands] == ["train_0", "evaluate_0", "report_0"]
    assert "--dependency=afterany:${train_0}" in planned.commands[1]
    assert planned.script.startswith("#!/")
    assert sorted(made.root.rglob("*")) == before


def test_a_run_and_its_slides_show_themselves_in_a_notebook(two_slides: tuple[hx.Run, Heard]) -> None:
    run, _ = two_slides
    page = run._repr_html_()
    assert "<th>extract: todo</th><td>1 slide</td>" in page and "<th>tile: quarantined</th>" in page
    assert "No metrics yet" in page
    good, bad = (run[name]._repr_html_() for name in ("good", "bad"))
    assert "16 tiles kept" in good and good.count('src="data:image/jpeg;base64,') == 1 and len(good) < 300_000
    assert "No tiles yet" in bad and "<img" not in bad


def test_a_notebook_shows_metrics_and_what_a_model_says_of_a_slide(made: hx.Run, tmp_path: Path) -> None:
    """Names are text, and what cannot be read is said in its place."""
    run = hx.Run(shutil.copytree(made.root, tmp_path / "<b>run"))
    slide = next(iter(run))
    with pytest.raises(hx.NotReadyError, match="has no predictions"):
        run[slide].heatmap()
    run.train()
    run.evaluate()
    page = run._repr_html_()
    assert "<td>logistic</td><td>test</td><td>roc_auc</td>" in page and "&lt;b&gt;run" in page and "<b>" not in page
    shown = run[slide].heatmap()
    assert (shown.slide_id, shown.model) == (slide, "logistic")
    assert shown._repr_html_().count('src="data:image/png;base64,iVBOR') == 1 and len(shown._repr_html_()) < 300_000
    assert "does not exist" in run[slide]._repr_html_() and "<img" not in run[slide]._repr_html_()
    shutil.rmtree(run.root / "tiles" / f"{slide}.zarr")
    with pytest.raises(hx.NotReadyError, match="its tile store is gone"):
        run[slide].heatmap()
    run.root.joinpath("metrics.json").write_text("{}")
    assert "metrics.json is not there, or damaged" in run._repr_html_()
