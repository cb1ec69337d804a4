"""A real browser opens the report from disk, offline, and has nothing to complain of; nor has axe-core."""

from __future__ import annotations

import dataclasses
import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browse, in_browser, probed, write_report
from PIL import Image

import hypoxia_hpc
from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.thumbnails import draw_kept_tiles

pytestmark = in_browser
HOSTILE = "<img src=x onerror=alert(1)>"
# What a reader does with the table of test patients, by the buttons that the script of the page makes.
PROBE = """
async function probe() {
  const table = document.getElementById("test-patients"), rows = () => Array.from(table.tBodies[0].rows);
  const column = title => Array.from(table.tHead.rows[0].cells).findIndex(one => one.textContent === title);
  const head = table.tHead.rows[0].cells[column("probability")], button = head.querySelector("button");
  const values = () => rows().filter(row => !row.hidden).map(row => Number(row.cells[column("probability")].dataset.v));
  const found = { first: rows().map(row => row.cells[0].textContent) };
  button.click(); found.rising = values(); found.sort = [head.getAttribute("aria-sort")];
  button.click(); found.falling = values(); found.sort.push(head.getAttribute("aria-sort"));
  button.click(); found.again = rows().map(row => row.cells[0].textContent);
  found.sort.push(head.getAttribute("aria-sort"));
  const bar = document.getElementById("test-patients-filters"), wrong = bar.querySelector("[data-tag=wrong]");
  wrong.click(); found.wrong = rows().filter(row => !row.hidden).map(row => row.cells[0].textContent);
  found.said = bar.querySelector("output").textContent; found.pressed = wrong.getAttribute("aria-pressed");
  bar.querySelector("[data-tag='']").click();
  const words = bar.querySelector("input");
  words.value = "demo-04"; words.dispatchEvent(new Event("input")); found.searched = values().length;
  words.value = ""; words.dispatchEvent(new Event("input"));
  for (const one of document.querySelectorAll("details")) one.open = true;
  found.images = await Promise.all(Array.from(document.images).slice(0, 2).map(async one => {
    one.loading = "eager"; await one.decode(); return one.naturalWidth; }));
  found.text = document.body.innerText;
  if (typeof axe !== "undefined") {
    const result = await axe.run(document, { resultTypes: ["violations"] });
    const told = one => [one.id, one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))];
    found.violations = result.violations.map(told);
    found.passes = result.passes.length;
  }
  return found;
}
"""


CONTRAST = """
async function probe() {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const result = await axe.run(document, { runOnly: ["color-contrast"] });
  return { violations: result.violations.flatMap(one => one.nodes.map(node => node.html.slice(0, 200))) };
}
"""


def shown_report(data: ReportData) -> dict[str, bytes]:
    """The full report with a thumbnail of a real slide, a slide and a class named as HTML, and warnings."""
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(Path(hypoxia_hpc.__file__).parent / "slides" / "CMU-1-Small-Region.svs") as slide:
        thumbnail = np.asarray(slide.get_thumbnail((512, 512)).convert("RGB"))
        drawn = draw_kept_tiles(thumbnail, slide.dimensions, np.array([[598, 1495]], dtype=np.int64), 299.0)
    slides = (dataclasses.replace(data.slides[0], thumbnail=drawn, name=HOSTILE), *data.slides[1:])
    difference = {"difference": 0.35, "low": 0.1, "high": 0.6, "p": 0.01, "n": 24}
    chance = {"p": 0.001, "p_holm": 0.003, "method": "exact", "verdict": "above"}
    metrics = {
        **data.metrics,
        "chance": {"tanh": chance},
        "compared": {"tumour-type": difference},
        "warnings": [{"kind": "few-patients", "text": "Only 24 test patients: intervals are wide."}],
        "unchecked": [{"check": "site", "why": "no patient has one"}],
    }
    changed = dataclasses.replace(data, slides=slides, metrics=metrics, others=(dataclasses.replace(data, title="b"),))
    return report_files(changed)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, full_report: ReportData) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), shown_report(full_report))


@pytest.fixture(scope="module")
def found(shown: Path) -> Any:
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    return probed(shown, [axe, PROBE], "--blink-settings=preferredColorScheme=1")


def test_the_page_loads_without_a_word_on_the_console(shown: Path) -> None:
    dom, console = browse(shown, "--dump-dom")
    assert console == []
    html = shown.read_text(encoding="utf-8")
    assert dom.count("<section") == html.count("<section") == 14
    assert dom.count("<svg") == html.count("<svg") and dom.count("<img") == 41
    # The test can fail: the same page with three foreign things in it makes the browser refuse each of them.
    foreign = '<main><img src="http://127.0.0.1:9/x.png"><p style="color:red">x</p><script>1</script>'
    other = shown.with_name("foreign.html")
    other.write_text(html.replace("<main>", foreign), encoding="utf-8")
    _, refused = browse(other, "--dump-dom")
    assert len(refused) == 3 and all("Content Security Policy" in line for line in refused)


def test_tables_are_sorted_and_filtered_by_their_buttons(found: Any) -> None:
    assert found["rising"] == sorted(found["rising"]) and found["falling"] == sorted(found["rising"], reverse=True)
    assert found["sort"] == ["ascending", "descending", None]
    assert found["again"] == found["first"] and len(found["first"]) == 24
    assert 0 < len(found["wrong"]) < 24 and found["first"][: len(found["wrong"])] == found["wrong"]
    assert (found["said"], found["pressed"]) == (f"{len(found['wrong'])} of 24", "true")
    assert found["searched"] == 10, "DEMO-040 to DEMO-049"


def test_pictures_beside_the_page_load_and_hostile_names_are_text(found: Any) -> None:
    assert all(width > 100 for width in found["images"])
    assert HOSTILE in found["text"]
    assert found["console"] == []


def test_axe_finds_nothing_in_light_and_in_dark(shown: Path, found: Any) -> None:
    assert found["violations"] == [] and found["passes"] > 10
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    dark = probed(shown, [axe, CONTRAST], "--blink-settings=preferredColorScheme=0")
    assert dark["violations"] == []


def test_nothing_is_wider_than_a_phone(found: Any) -> None:
    assert found["narrow"] == {"width": 390, "wide": []}


def test_a_report_of_500_slides_is_sorted_and_fits_a_phone(tmp_path: Path, large_files: dict[str, bytes]) -> None:
    large = probed(write_report(tmp_path, large_files), [PROBE])
    assert len(large["rising"]) == 500 and large["rising"] == sorted(large["rising"])
    assert large["narrow"] == {"width": 390, "wide": []} and large["console"] == []


def test_the_style_is_applied_in_the_dark(tmp_path: Path, empty_report: ReportData) -> None:
    page, shot = write_report(tmp_path, report_files(empty_report)), tmp_path / "shot.png"
    flags = (f"--screenshot={shot}", "--window-size=1200,900", "--blink-settings=preferredColorScheme=0")
    _, console = browse(page, *flags)
    assert console == []
    image = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    assert image.getpixel((5, 5)) == (0x10, 0x14, 0x1A)
    assert len(set(np.asarray(image)[:300].reshape(-1, 3).mean(axis=1))) > 10, "and text is drawn on it"
