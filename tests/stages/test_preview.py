"""preview of a run and of a slide: exact where there are tile stores, and one bad slide never ends it."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fault_runs import change_setting, copy_run

from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages import preview as preview_stage
from hypoxia_hpc.stages.preview import MOST_SLIDES, Previewed, preview_run
from hypoxia_hpc.stages.tile import TileStage
from hypoxia_hpc.stores.tiles import open_tiles
from hypoxia_hpc.tiling.redeciding import redecided


def previewed(run: RunDir, wanted: tuple[str, ...] = (), stop: threading.Event | None = None) -> Previewed:
    return preview_run(run, wanted, None, progress=NoProgress(), stop=stop or threading.Event())


@pytest.fixture
def run(untouched: Path, tmp_path: Path) -> RunDir:
    return RunDir(copy_run(untouched, tmp_path / "run"))


def test_a_store_gives_exact_counts_until_the_settings_change(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(preview_stage, "preview_page", lambda whole: seen.append(whole) or "")
    slide, table = run.slides()[0], run.config().tile
    stage = TileStage(run, table)
    stage.make(slide, stage.key(slide), lambda tiles: None)
    stored = open_tiles(run.tiles(slide.slide_id))
    made = previewed(run)
    assert made.page == run.root / "preview.html" and len(made.shown) == MOST_SLIDES and made.n_slides == 12
    [first, *others] = seen[0].slides
    assert first.name == slide.slide_id and all(other.exact is None for other in others)
    kept, is_exact = redecided(first.counts, seen[0].settings, first.exact)
    assert kept.sum() == len(stored.xy) and is_exact.all()
    known = first.exact.background_px[kept] / table.tile_px**2
    assert np.array_equal(known.astype(np.float32), stored.background)
    change_setting(run.root, "tile", "white", "210")
    previewed(run, (slide.slide_id,))
    assert seen[1].slides[0].exact is None and seen[1].settings.white == 210


def test_a_bad_slide_is_named_and_the_others_are_shown(run: RunDir, tmp_path: Path) -> None:
    first, second, *_ = run.slides()
    (tmp_path / "cut.svs").write_bytes(second.path.read_bytes()[:2000])
    text = run.slides_file.read_text()  # the slides are those of other tests, too
    for slide, name in ((first, "gone.svs"), (second, "cut.svs")):
        text = text.replace(str(slide.path), str(tmp_path / name))
    run.slides_file.write_text(text)
    made = previewed(run, tuple(slide.slide_id for slide in run.slides()[:3]))
    assert made.shown == (run.slides()[2].slide_id,)
    assert next((name, why.split(":")[0]) for name, why in made.left_out) == (first.slide_id, "missing-file")
    assert [name for name, _ in made.left_out] == [first.slide_id, second.slide_id]
    page = made.page.read_text(encoding="utf-8")
    assert "gone.svs" in page and str(tmp_path) not in page, "no folders on a page that may be sent"
    assert "missing-file" in made.page.read_text(encoding="utf-8")
    with pytest.raises(NotReadyError, match="no slide can be shown"):
        previewed(run, (second.slide_id,))


def test_slides_that_were_moved_are_named_with_the_command_that_finds_them(
    run: RunDir, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    slides = run.slides()
    moved = tmp_path / "moved"
    moved.mkdir()
    text = run.slides_file.read_text()  # the slides are those of other tests, too
    for slide in slides:
        (moved / slide.path.name).symlink_to(slide.path)
        text = text.replace(str(slide.path), str(tmp_path / "gone" / slide.path.name))
    run.slides_file.write_text(text)
    done = hypoxia("preview", run.root)
    assert done.returncode == 5 and "6 files that it needs cannot be found" in done.stderr
    assert f"{tmp_path / 'gone' / slides[0].path.name} does not exist" in done.stderr
    assert not (run.root / "preview.html").exists(), "no page of nothing"
    [said] = [line for line in done.stderr.splitlines() if "after a move" in line]
    command = said.partition("hypoxia-hpc ")[2].replace("DIR", str(moved))
    again = hypoxia(*shlex.split(command))
    assert again.returncode == 0, again.stderr
    assert len(previewed(run).shown) == MOST_SLIDES


def test_what_is_refused(run: RunDir) -> None:
    with pytest.raises(InputError, match=r"slides\.csv has no such slide") as refused:
        previewed(run, ("../x",))
    assert refused.value.offending == ("../x",)
    with pytest.raises(InputError, match="7 times, and a page has room for 6"):
        previewed(run, tuple(slide.slide_id for slide in run.slides()[:7]))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        previewed(run, stop=stop)
    assert not (run.root / "preview.html").exists()


def test_more_tiles_than_a_page_has_room_for(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_stage, "MOST_TILES", 150)
    made = previewed(run)
    assert 0 < len(made.shown) < MOST_SLIDES
    assert {why.split(":")[0] for _, why in made.left_out} == {"too-many-tiles"}


def test_the_command(
    real_slide: Path, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    page = tmp_path / "a page.html"
    done = hypoxia("preview", real_slide, "--out", page)
    assert done.returncode == 0 and f"{page}: 1 slide (CMU-1-Small-Region.svs)" in done.stdout
    assert 'id="data"' in page.read_text(encoding="utf-8")
    refused = hypoxia("preview", real_slide, "--slide", "a")
    assert refused.returncode == 2 and "leave out --slide" in refused.stderr
    assert hypoxia("preview", tmp_path).returncode == 2
    refused = hypoxia("preview", tmp_path / "none.svs", "--out", page)
    assert (
        refused.returncode == 5
        and "give the path that the slide has now" in refused.stderr
        and "slides.csv" not in refused.stderr
    )
