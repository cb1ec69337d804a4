"""The page as files: opened from the disk in a browser, it shows what the server shows."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import in_browser
from devtools import opened_browser

from hypoxia_hpc.errors import InputError, Stopped
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.viewer import static
from hypoxia_hpc.viewer.pyramid import DeepZoom
from hypoxia_hpc.viewer.shown import Shown
from hypoxia_hpc.viewer.static import Exported, export_static, finest_level
from viewer.serving import require_library
from viewer.viewed_runs import HOT, SIDE_L0, undecodable, viewed_run


@pytest.fixture
def shown(tmp_path: Path, real_slide: Path) -> Shown:
    require_library()
    return viewed_run(tmp_path / "source", real_slide)


def exported(shown: Shown, folder: Path, *slide_ids: str, stop: bool = False) -> Exported:
    event = threading.Event()
    if stop:
        event.set()
    return export_static(shown, folder, slide_ids, progress=NoProgress(), stop=event)


@in_browser
def test_it_opens_from_the_disk(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "MOST_PX", 1500)
    made = exported(shown, tmp_path / "page", "real")
    assert (made.n_slides, made.n_reduced, made.left_out) == (1, 1, ())
    page = (tmp_path / "page" / "index.html").as_uri()
    with opened_browser(tmp_path / "profile") as browser:
        browser.open(f"{page}#slide=real&x=600&y=900&zoom=0.5&overlay=phenotypes&strength=40")
        browser.until("typeof state !== 'undefined' && state.image && state.image.getFullyLoaded()")
        browser.until("state.viewer.world.getItemAt(0) && state.viewer.world.getItemAt(0).getFullyLoaded()")
        place = "slideImage().viewportToImageCoordinates(state.viewer.viewport.getCenter())"
        assert browser.value(f"[{place}.x, {place}.y].map(one => Math.round(one * state.described.factor / 10))") == [
            60,
            90,
        ]
        assert browser.value("state.described.factor") == 2
        browser.press("g")
        browser.until("document.querySelectorAll('#shown_tiles img').length === 3")
        browser.click("#shown_tiles li:nth-child(3) button")
        x, y = SIDE_L0 * HOT[0][0], SIDE_L0 * HOT[1][1]
        browser.until(f"location.hash.includes('tile={x}_{y}')")
        corner = f"slideImage().imageToWindowCoordinates(new OpenSeadragon.Point({x / 2}, {y / 2}))"
        mark = browser.value("(r => [r.left, r.top])(byId('mark').getBoundingClientRect())")
        assert mark == pytest.approx(browser.value(f"(one => [one.x, one.y])({corner})"), abs=1)
        pictures = (
            "[...document.querySelectorAll('#shown_tiles img')].every(one => one.complete && one.naturalWidth > 0)"
        )
        browser.until(pictures)
        assert browser.console == []
        assert {address.partition(":")[0] for address in browser.requested} == {"file"}


def test_a_slide_that_cannot_be_read_is_left_out_and_named(shown: Shown, tmp_path: Path) -> None:
    odd = shown.slides[1]
    odd.path.unlink()
    made = exported(shown, tmp_path / "page", "odd")
    assert (made.n_slides, [slide_id for slide_id, _ in made.left_out]) == (0, ["odd"])
    assert odd.path.name in made.left_out[0][1]
    undecodable(shown.slides[0].path, odd.path)
    made = exported(shown, tmp_path / "other", "odd")
    assert (made.n_slides, [slide_id for slide_id, _ in made.left_out]) == (0, ["odd"])
    assert not list((tmp_path / "other").rglob("*_files")), "nothing of it is written"


def test_what_is_refused(shown: Shown, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no slide of run") as error:
        exported(shown, tmp_path / "page", "real", "other")
    assert error.value.offending == ("other",)
    with pytest.raises(InputError, match="has something in it"):
        exported(shown, tmp_path / "source")
    with pytest.raises(Stopped):
        exported(shown, tmp_path / "page", stop=True)
    assert not (tmp_path / "page" / "index.html").exists()


def test_the_finest_level_is_bounded() -> None:
    assert finest_level(DeepZoom((8192, 100), 240)) == 13
    assert finest_level(DeepZoom((8193, 100), 240)) == 13
    assert finest_level(DeepZoom((100_000, 90_000), 240)) == 13


def test_the_command(
    real_slide: Path, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    require_library()
    folder = tmp_path / "page"
    done = hypoxia("view", real_slide, "--export", folder, "--slide", "CMU-1-Small-Region")
    assert done.returncode == 0 and "index.html: 1 slide; open it" in done.stdout, done.stderr
    undecodable(real_slide, tmp_path / "damaged.svs")
    done = hypoxia("view", tmp_path / "damaged.svs", "--export", tmp_path / "other")
    assert done.returncode == 3 and "left out: damaged: " in done.stdout, done.stderr
    assert hypoxia("view", real_slide, "--slide", "CMU-1-Small-Region").returncode == 2
