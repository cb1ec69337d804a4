"""quality of a run: each planted fault is named and nothing else, once a slide; one bad slide never ends it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from once import made_once
from PIL import Image
from planted_quality import FAULTS, write_faults

from hypoxia_hpc.cli.text.exporting import quality_text
from hypoxia_hpc.config import preset
from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.quality import RULES, QualityRecord, findings_of, read_quality, record_file
from hypoxia_hpc.stages import quality as quality_stage
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.quality import Measured, MeasureSlide, quality
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.workers import pool
from hypoxia_hpc.workers.pool import FailedItem, Finished

Event = Finished | FailedItem
FAULTY = {"blurred": "blurred", "pen": "pen", "border": "border", "folds": "folds"}  # the slide and the measure


def deal_here(
    items: Sequence[Slide], work: MeasureSlide, *, workers: int, stop: threading.Event
) -> Iterator[Finished | FailedItem]:
    """Without worker processes, which take seconds to start."""
    for item in items:
        if stop.is_set():
            raise Stopped("stopped on request")
        yield Finished(item, work(item, lambda tiles: None))


class DiesOnClean(MeasureSlide):
    """Its process is killed when it comes to one slide."""

    def __call__(self, slide: Slide, tick: Callable[[int], None]) -> tuple[QualityRecord, bool]:
        if slide.slide_id == "clean":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(slide, tick)


@pytest.fixture
def run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setattr(quality_stage, "deal", deal_here)
    slides = made_once(tmp_path_factory, "faulty-slides", write_faults)
    found = RunDir(tmp_path / "run")
    init(found, preset("hypoxia"), shutil.copytree(slides, tmp_path / "slides"))
    return found


def measured(run: RunDir, stop: threading.Event | None = None) -> Measured:
    return quality(run, progress=NoProgress(), stop=stop or threading.Event())


def rows(made: Measured) -> dict[str, dict[str, str]]:
    return {row["slide_id"]: row for row in csv.DictReader(io.StringIO(made.table.read_text(encoding="utf-8")))}


def test_each_fault_is_named_and_nothing_else(run: RunDir) -> None:
    made = measured(run)
    assert {slide_id: [one.measure for one in found] for slide_id, found in made.standing_out.items()} == {
        slide_id: [measure] for slide_id, measure in FAULTY.items()
    }
    found = rows(made)
    assert set(found) == set(FAULTS) and found["clean"]["stands_out"] == "" and found["pen"]["pen_colour"] == "green"
    assert 0.4 < float(found["blurred"]["blurred"]) < 0.6
    assert all(float(found[name]["blurred"]) == 0 for name in set(FAULTS) - {"blurred"}), "edges are no blur"
    assert (made.n_slides, made.n_there, made.left_out) == (5, 0, ())
    for slide_id in FAULTS:
        with Image.open(run.root / "quality" / f"{slide_id}.png") as picture:
            assert 180 < max(picture.size) <= 480


def test_a_slide_is_measured_once_until_it_changes(run: RunDir) -> None:
    measured(run)
    table = (run.root / "quality" / "quality.csv").read_bytes()
    again = measured(run)
    assert again.n_there == 5 and again.table.read_bytes() == table
    clean, pen = (next(one for one in run.slides() if one.slide_id == name) for name in ("clean", "pen"))
    shutil.copy(pen.path, clean.path)
    record_file(run, "border").write_text('{"quality": {"tissue": "much"}}')
    changed = measured(run)
    assert changed.n_there == 3 and "clean" in changed.standing_out


def test_a_bad_slide_is_named_and_tried_again(run: RunDir) -> None:
    [gone] = [one.path for one in run.slides() if one.slide_id == "pen"]
    whole = gone.read_bytes()
    gone.write_bytes(whole[:1000])
    made = measured(run)
    [record] = made.left_out
    assert record.slide_id == "pen" and record.reason and record.detail
    assert rows(made)["pen"]["reason"] == record.reason and rows(made)["pen"]["tissue"] == ""
    assert read_quality(run, "pen") == record and len(made.standing_out) == 3
    gone.write_bytes(whole)
    assert measured(run).left_out == ()


def test_what_was_measured_stays_where_the_slides_are_gone(run: RunDir) -> None:
    before = rows(measured(run))
    records = [read_quality(run, slide.slide_id) for slide in run.slides()]
    folder = run.slides()[0].path.parent
    moved = folder.rename(folder.with_name("elsewhere"))
    made = measured(run)
    assert (made.n_there, len(made.left_out), set(made.standing_out)) == (5, 5, set(FAULTY))
    assert rows(made) == {name: {**row, "reason": "missing-file"} for name, row in before.items()}
    said = list(quality_text(made, run.root))
    [line] = [one for one in said if "measured before stays" in one]
    assert line.startswith("not read again, so what was measured before stays: missing-file: 5 slides (")
    assert sum("does not exist" in one for one in said) == 1, "what is wrong is said of the first"
    moved.rename(folder)
    assert measured(run).left_out == () and rows(measured(run)) == before
    assert [read_quality(run, slide.slide_id) for slide in run.slides()] == records


def test_a_worker_that_dies_ends_nothing(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def deal(items: Sequence[Slide], work: MeasureSlide, **options: object) -> Iterator[Event]:
        yield FailedItem(items[0], "worker-died", "killed", 2)
        yield from deal_here(items[1:], work, workers=1, stop=threading.Event())

    monkeypatch.setattr(quality_stage, "deal", deal)
    [record] = measured(run).left_out
    assert (record.reason, record.quality) == ("worker-died", None)
    assert read_quality(run, record.slide_id) == record


def test_what_was_measured_stays_where_a_worker_dies(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, which dies by SIGKILL while it measures the slide again."""
    before = rows(measured(run))
    [clean] = [one for one in run.slides() if one.slide_id == "clean"]
    known = read_quality(run, "clean")
    whole = clean.path.read_bytes()
    clean.path.write_bytes(whole + b"\0")  # another content: it is to be measured again
    with monkeypatch.context() as patched:
        patched.setattr(quality_stage, "deal", pool.deal)
        patched.setattr(quality_stage, "usable_cores", lambda: 1)
        patched.setattr(quality_stage, "MeasureSlide", DiesOnClean)
        made = measured(run)
    [record] = made.left_out
    assert (record.slide_id, record.reason, made.n_there) == ("clean", "worker-died", 5)
    assert known is not None and record.quality == known.quality is not None
    assert rows(made) == {**before, "clean": {**before["clean"], "reason": "worker-died"}}
    [line] = [one for one in quality_text(made, run.root) if "measured before stays" in one]
    assert "worker-died: 1 slide (clean)" in line
    again = measured(run)
    assert (again.left_out, again.n_there, rows(again)) == ((), 4, before), "it is tried again"


def test_it_stops_and_goes_on(run: RunDir) -> None:
    stop = threading.Event()
    MeasureSlide(run, None)(run.slides()[0], lambda tiles: None)
    stop.set()
    with pytest.raises(Stopped):
        measured(run, stop)
    assert measured(run).n_there == 1


def test_images_in_folders_are_refused(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunDir, "slides", lambda self: (Slide("a", Path("a"), "a", 1, images=("b.png",)),))
    with pytest.raises(InputError, match="images in folders"):
        measured(run)


def test_every_record_that_stands_out_has_a_rule(run: RunDir) -> None:
    measured(run)
    found = [read_quality(run, slide.slide_id) for slide in run.slides()]
    assert findings_of([one for one in found if one is not None])["clean"] == ()
    assert all(hasattr(one.quality, name) for one in found if one is not None for name in RULES)


def test_the_command_and_the_report(run: RunDir, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    [gone] = [one.path for one in run.slides() if one.slide_id == "clean"]
    gone.unlink()
    done = hypoxia("quality", run.root)
    assert done.returncode == 3, done.stderr
    assert "quality.csv: 5 slides" in done.stdout and "stands out by blurred: 1 slide (blurred)" in done.stdout
    assert "not measured: missing-file: 1 slide (clean)" in done.stdout
    report(run, progress=NoProgress(), stop=threading.Event())
    page = (run.root / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('src="quality/') == 4 and "green pen" in page and "not measured: missing-file" in page
    assert (run.root / "report" / "quality" / "0001.png").read_bytes().startswith(b"\x89PNG")
    assert (run.root / "report" / "figures" / "quality.csv").read_text().count("\n") == 6
