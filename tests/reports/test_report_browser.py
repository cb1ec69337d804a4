"""A real browser opens the page from disk, offline, and has nothing to complain of."""

from __future__ import annotations

import dataclasses
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hypoxia_hpc
from hypoxia_hpc.reports.page import ReportData, render_report
from hypoxia_hpc.reports.thumbnails import draw_kept_tiles

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
    "--proxy-server=127.0.0.1:9",
]  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def browse(folder: Path, html: str, *flags: str) -> tuple[str, list[str]]:
    """What the browser prints, and the messages on its console."""
    page = folder / "index.html"
    page.write_text(html, encoding="utf-8")
    profile = folder / f"profile-{len(list(folder.iterdir()))}"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_real_slide(data: ReportData) -> ReportData:
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs") as slide:
        thumbnail = np.asarray(slide.get_thumbnail((512, 512)).convert("RGB"))
        drawn = draw_kept_tiles(thumbnail, slide.dimensions, np.array([[598, 1495]], dtype=np.int64), 299.0)
    return dataclasses.replace(data, slides=(dataclasses.replace(data.slides[0], thumbnail=drawn), *data.slides[1:]))


def test_the_page_loads_without_a_word_on_the_console(tmp_path: Path, full_report: ReportData) -> None:
    html = render_report(with_real_slide(full_report))
    dom, console = browse(tmp_path, html, "--dump-dom")
    assert console == []
    assert dom.count("<section") == 10 and dom.count("<svg") == html.count("<svg") and dom.count("<img") == 40
    # The test can fail: the same page with three foreign things in it makes the browser refuse each of them.
    foreign = '<main><img src="http://127.0.0.1:9/x.png"><p style="color:red">x</p><script>1</script>'
    _, refused = browse(tmp_path, html.replace("<main>", foreign), "--dump-dom")
    assert len(refused) == 3 and all("Content Security Policy" in line for line in refused)


@pytest.mark.parametrize(("scheme", "expected"), [("1", (0xF5, 0xF7, 0xFA)), ("0", (0x10, 0x14, 0x1A))])
def test_the_style_is_applied_in_light_and_dark(
    tmp_path: Path, empty_report: ReportData, scheme: str, expected: tuple[int, int, int]
) -> None:
    shot = tmp_path / "shot.png"
    flags = (f"--screenshot={shot}", "--window-size=1200,900", f"--blink-settings=preferredColorScheme={scheme}")
    _, console = browse(tmp_path, render_report(empty_report), *flags)
    assert console == []
    image = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    assert image.getpixel((5, 5)) == expected
    assert len(set(np.asarray(image)[:300].reshape(-1, 3).mean(axis=1))) > 10, "and text is drawn on it"


def test_the_page_is_no_wider_than_a_phone(tmp_path: Path, full_report: ReportData) -> None:
    """Shown in a frame of 400 px: nothing but the page's own colour at its right edge, left of the frame's."""
    (tmp_path / "report.html").write_text(render_report(full_report), encoding="utf-8")
    shot = tmp_path / "shot.png"
    frame = (
        '<body style="margin:0;background:#fff"><iframe src="report.html" width="400" height="6000" style="border:0">'
    )
    browse(tmp_path, frame, f"--screenshot={shot}", "--window-size=600,6000", "--blink-settings=preferredColorScheme=1")
    edge = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("RGB"))[700:6000, 393:400]
    assert (np.abs(edge.astype(int) - (0xF5, 0xF7, 0xFA)).max(axis=2) > 3).mean() < 0.02
