"""The page in a browser, as a user drives it: list, zoom, overlays, keys, links; nothing leaves the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import in_browser
from devtools import Page, opened_browser

from viewer.serving import Served, require_library, served
from viewer.viewed_runs import HOT, ODD_NAME, SIDE_L0, undecodable, viewed_run

IS_OPEN = "typeof state !== 'undefined' && state.viewer && state.viewer.isOpen() && state.described !== null"
VIEW = "(v => [v.getCenter().x, v.getCenter().y, v.getZoom()])(state.viewer.viewport)"

LEFT, TOP = (SIDE_L0 * min(one) for one in HOT)
WHOSE = ("Cohort", "This slide")
# OpenSeadragon's of tiles that come after another slide was chosen; the browser's of this test's looks at the canvas.
EXPECTED_WARNINGS = ("warning: ['Ignoring tile", "warning: Canvas2D: Multiple readback")
# Pixels of the screen from the corner of the hot tiles: inside; left of it, above it.
BESIDE = ((3, 3), (-3, 3), (3, -3))
# The slide and the overlay are there, sharp.
IS_SHARP = """(world => world.getItemCount() === 2 && [0, 1].every(at => world.getItemAt(at).getFullyLoaded()))(
    state.viewer.world)"""
# The colour on the screen of a place of the slide.
COLOUR_AT = """((x, y) => {
    const at = slideImage().imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const canvas = state.viewer.drawer.canvas;
    const ratio = canvas.width / canvas.clientWidth;
    return [...canvas.getContext("2d").getImageData(Math.floor(at.x * ratio), Math.floor(at.y * ratio), 1, 1).data];
})"""
# How the picture of the tile that is marked differs from what the screen shows within the mark, and shifted by a half.
DIFFERENCE = """(async shift => {
    const small = (source, ...from) => {
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d", { willReadFrequently: true });
        canvas.width = canvas.height = 16;
        context.imageSmoothingQuality = "high";
        context.drawImage(source, ...from, 0, 0, 16, 16);
        return context.getImageData(0, 0, 16, 16).data;
    };
    const picture = document.querySelector("#shown_tiles [aria-current=true] img");
    await picture.decode();
    const screen = state.viewer.drawer.canvas, ratio = screen.width / screen.clientWidth;
    const mark = byId("mark").getBoundingClientRect(), box = screen.getBoundingClientRect();
    const left = (mark.left - box.left + shift * mark.width) * ratio, top = (mark.top - box.top) * ratio;
    const seen = small(screen, left, top, mark.width * ratio, mark.height * ratio);
    const whole = small(picture, 0, 0, picture.naturalWidth, picture.naturalHeight);
    return whole.reduce((sum, one, at) => sum + Math.abs(one - seen[at]), 0) / whole.length;
})"""


@pytest.fixture(scope="module")
def server(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require_library()
    with served(viewed_run(tmp_path_factory.mktemp("view"), real_slide)) as found:
        yield found


@pytest.fixture
def page(server: Served, tmp_path: Path) -> Iterator[Page]:
    with opened_browser(tmp_path / "profile") as found:
        found.open(server.where)
        found.until(IS_OPEN)
        yield found
        assert [said for said in found.console if not said.startswith(EXPECTED_WARNINGS)] == []
        hosts = {address.split("/")[2] for address in found.requested if not address.startswith("data:")}
        assert hosts == {f"127.0.0.1:{server.port}"}
        assert not any("token=" in address for address in found.requested[1:]), "the token is sent once"


@in_browser
def test_a_slide_that_cannot_be_shown_leaves_nothing_of_the_one_before(real_slide: Path, tmp_path: Path) -> None:
    require_library()
    shown = viewed_run(tmp_path / "view", real_slide)
    shown.slides[1].path.unlink()
    undecodable(real_slide, shown.slides[1].path)
    with served(shown) as server, opened_browser(tmp_path / "profile") as page:
        page.open(server.where)
        page.until(IS_OPEN)
        page.until("!byId('scale').hidden")
        _sees_the_list(page)
        page.value("goTo({ x: 300, y: 300, zoom: 1 }); keepLink()")
        page.press("j")
        page.until("!byId('problem').hidden")
        assert "cannot be shown" in page.value("byId('problem').textContent")
        assert page.value("location.hash") == "#slide=odd" and page.value("byId('scale').hidden")
        assert page.value("getComputedStyle(state.viewer.navigator.element).visibility") == "hidden"
        for key in ("0", "+", "ArrowLeft"):
            page.press(key)
        page.press("k")
        page.until(f"{IS_OPEN} && !byId('scale').hidden")
        assert page.value("getComputedStyle(state.viewer.navigator.element).visibility") == "visible"
        _stays_on_the_slide(page)
        _says_why_there_are_no_galleries(page)


def _sees_the_list(page: Page) -> None:
    """The odd slide has no thumbnail."""
    names = "[...document.querySelectorAll('#slides button')].map(one => one.querySelector('.file')?.textContent ?? '')"
    page.until("document.querySelectorAll('#slides img')[1].hidden")
    assert page.value(names) == ["CMU-1-Small-Region.svs", ODD_NAME], "their ids do not tell the names of the files"
    widths = page.value("[...document.querySelectorAll('#slides button > span')].map(one => one.clientWidth)")
    assert widths[0] == widths[1] > 150, "a row without a thumbnail is as wide"
    assert page.value("byId('count').textContent") == "2 slides"
    page.value("byId('search').value = 'real'; state.shown.slides.pop(); refreshList()")
    assert page.value("byId('count').textContent") == "1 slide"
    page.value("location.reload()")
    page.until(f"{IS_OPEN} && state.list.length === 2")
    assert page.value("byId('facts').scrollWidth <= byId('facts').clientWidth"), "all of the facts are seen"


def _stays_on_the_slide(page: Page) -> None:
    """Numbers of a link that no slide has are brought to its edge."""
    page.value("location.hash = '#slide=real&x=1e99&y=-5&zoom=1e9'")
    page.until(f"{IS_OPEN} && location.hash.includes('x=2220&y=0&')")
    assert page.value("state.viewer.viewport.getZoom() <= state.viewer.viewport.getMaxZoom()")
    page.value("location.hash = '#slide=real&x=word&y=1e999&zoom=none'")
    page.until(f"{IS_OPEN} && location.hash.includes('x=1110&')")


def _says_why_there_are_no_galleries(page: Page) -> None:
    page.value("state.shown.model = ''; state.shown.note = 'no predictions yet'; fillFilters()")
    page.press("g")
    assert page.value("byId('problem').textContent") == "There are no galleries: no predictions yet."
    assert page.value("byId('strip').hidden")


@in_browser
def test_a_visit(page: Page) -> None:
    _list_and_filters(page)
    _overlays(page)
    _galleries(page)
    _moves_and_links(page)


def _list_and_filters(page: Page) -> None:
    names = "[...document.querySelectorAll('#slides strong')].map(one => one.textContent)"
    assert page.value(names) == ["real", "odd"]
    assert page.value("document.querySelectorAll('#slides b, #slides i').length") == 0
    assert page.value("document.querySelectorAll('#slides button')[1].title") == ODD_NAME
    for name, value, left in (
        ("set_name", "train", ["odd"]),
        ("is_wrong", "false", ["real"]),
        ("call", "*", ["real", "odd"]),
    ):
        page.value(f"byId('{name}').value = '{value}'; byId('{name}').dispatchEvent(new Event('change'))")
        assert page.value(names) == left
        page.value(f"byId('{name}').value = '*'; refreshList()")
    page.press("j")
    page.until(f"{IS_OPEN} && state.slide.slide_id === 'odd'")
    assert page.value("byId('facts').textContent").startswith("patient <i>P2</i> · train")
    page.press("k")
    page.until(f"{IS_OPEN} && state.slide.slide_id === 'real'")


def _overlays(page: Page) -> None:
    assert page.value("[...byId('overlay').options].map(one => one.value)") == [
        *("", "tanh: probability", "logistic: probability", "phenotypes", "kept tiles")
    ]
    page.press("o")
    page.until(IS_SHARP)
    assert page.value("byId('legend').textContent").startswith("probability of hypoxic, tanh")
    page.press("]")
    assert page.value("state.image.getOpacity().toFixed(2)") == "0.70"
    page.value("fadeTo(1)")
    for zoom in (0.3, 1, 3):  # the edge of the hot tiles is where it is on the slide, whatever the zoom
        page.value(f"goTo({{ x: {LEFT}, y: {TOP}, zoom: {zoom} }}); state.viewer.forceRedraw(); 0")
        hot, *cold = (f"{COLOUR_AT}({LEFT + x / zoom}, {TOP + y / zoom})" for x, y in BESIDE)
        is_cold = " && ".join(f"(one => one[2] > one[0])({one})" for one in cold)
        page.until(f"{IS_SHARP} && {hot}[0] > 200 && {is_cold}")  # yellow is high, blue is low
    page.press("h")
    assert page.value("state.image.getOpacity()") == 0
    page.value("fadeTo(0.7)")


def _galleries(page: Page) -> None:
    page.press("j")  # the other slide: the tiles of the cohort are not on it
    page.until(f"{IS_OPEN} && state.slide.slide_id === 'odd'")
    assert page.value("byId('strip').hidden")
    page.click("#tiles")
    page.until("document.querySelectorAll('#shown_tiles img').length === 3")
    assert page.value("[...byId('gallery').options].map(one => one.value)") == ["highest", "lowest"]
    assert page.value("byId('of').textContent") == "1 test patient"
    page.value("chooseOverlay('')")
    page.click("#shown_tiles li:nth-child(2) button")
    page.until(f"{IS_OPEN} && state.slide.slide_id === 'real' && byId('gallery').options.length === 4")
    x, y = SIDE_L0 * HOT[0][1], SIDE_L0 * HOT[1][0]
    page.until(f"location.hash.includes('tile={x}_{y}')")
    centre = f"x={round(x + SIDE_L0 / 2 + 0.1)}&y={round(y + SIDE_L0 / 2 + 0.1)}&"
    assert page.value("location.hash").startswith(f"#slide=real&{centre}"), "the middle of the tile"
    _is_at_the_tile(page, x, y)
    link, seen = page.value("location.href"), page.value(VIEW)
    assert "gallery=highest" in link and page.value("document.activeElement.closest('[aria-current=true]') !== null")
    page.press("p")
    page.until(f"{IS_OPEN} && location.hash.includes('tile={x - SIDE_L0}_{y}')")
    _is_at_the_tile(page, x - SIDE_L0, y)
    titles = page.value("[...byId('gallery').options].map(one => one.textContent)")
    assert titles == [f"{whose}: {how} probability of hypoxic" for whose in WHOSE for how in ("Highest", "Lowest")]
    page.value("chooseGallery('slide-lowest')")
    page.until("document.querySelectorAll('#shown_tiles img').length === 12")
    page.press("n")
    page.until(f"{IS_OPEN} && location.hash.includes('tile=0_0')")
    page.open("about:blank")
    page.open(link)
    page.until(f"{IS_OPEN} && document.querySelectorAll('#shown_tiles [aria-current=true]').length === 1")
    page.until(f"{VIEW}.every((one, at) => Math.abs(one - {seen}[at]) < 0.002)")
    _is_at_the_tile(page, x, y)
    page.press("g")
    assert page.value("byId('strip').hidden") and "gallery" not in page.value("location.hash")


def _is_at_the_tile(page: Page, x: int, y: int) -> None:
    """The mark lies on the tile to the pixel, and the pixels in it are those of the tile's picture."""
    page.until("state.viewer.world.getItemAt(0).getFullyLoaded()")
    found = page.value("(r => [r.left, r.top, r.right, r.bottom])(byId('mark').getBoundingClientRect())")
    corner = "slideImage().imageToWindowCoordinates(new OpenSeadragon.Point({}, {}))"
    corners = [corner.format(x, y), corner.format(x + SIDE_L0, y + SIDE_L0)]
    expected = page.value(f"[{', '.join(corners)}].flatMap(one => [one.x, one.y])")
    assert found == pytest.approx(expected, abs=1)
    page.until("state.viewer.viewport.getCenter(true).distanceTo(state.viewer.viewport.getCenter(false)) < 1e-9")
    assert page.value(f"{DIFFERENCE}(0)") < min(9, 0.5 * page.value(f"{DIFFERENCE}(0.5)"))


def _moves_and_links(page: Page) -> None:
    page.value("chooseOverlay('tanh: probability')")
    page.until("state.viewer.viewport.getContainerSize().y === byId('viewer').clientHeight")  # the strip is closed
    page.press("0")
    page.until("state.viewer.viewport.getZoom(true) === state.viewer.viewport.getHomeZoom()")
    page.turn_wheel(800, 500, -300)
    page.until("state.viewer.viewport.getZoom() > 1.05 * state.viewer.viewport.getHomeZoom()")
    before = page.value(VIEW)
    page.drag((800, 500), (700, 440))
    page.until(f"Math.abs({VIEW}[0] - {before[0]}) > 0.001")
    page.until("state.viewer.viewport.getZoom(true).toFixed(4) === state.viewer.viewport.getZoom().toFixed(4)")
    page.value("keepLink()")
    link, seen = page.value("location.href"), page.value(VIEW)
    assert "overlay=tanh" in link and "strength=70" in link and "token" not in link
    page.open("about:blank")
    page.open(link)
    page.until(IS_OPEN)
    page.until(f"{VIEW}.every((one, at) => Math.abs(one - {seen}[at]) < 0.002)")
    assert page.value("byId('overlay').value") == "tanh: probability"
