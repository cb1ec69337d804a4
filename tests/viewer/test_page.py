"""The page in a browser, as a user drives it: list, zoom, overlays, keys, links; nothing leaves the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import in_browser
from devtools import Page, opened_browser

from viewer.serving import Served, require_library, served
from viewer.viewed_runs import HOT, ODD_NAME, SIDE_L0, SIZE_L0, viewed_run

IS_OPEN = "typeof state !== 'undefined' && state.viewer && state.viewer.isOpen() && state.described !== null"
VIEW = "(v => [v.getCenter().x, v.getCenter().y, v.getZoom()])(state.viewer.viewport)"

LEFT, TOP = (SIDE_L0 * min(one) for one in HOT)
# Whether the corner of the hot tiles in the picture is where it is on the slide.
LIES_RIGHT = f"""(() => {{
    const seen = state.image.getBoundingClientRect(), box = byId("viewer").getBoundingClientRect();
    const place = new OpenSeadragon.Point({LEFT}, {TOP});
    const corner = state.viewer.viewport.imageToViewerElementCoordinates(place);
    const x = seen.left - box.left + seen.width * {LEFT / SIZE_L0[0]};
    const y = seen.top - box.top + seen.height * {TOP / SIZE_L0[1]};
    return Math.hypot(x - corner.x, y - corner.y) < 2;
}})()"""
# Of a hot tile and of another one.
COLOURS = f"""(() => {{
    const canvas = document.createElement("canvas"), image = state.image;
    const context = canvas.getContext("2d", {{ willReadFrequently: true }});
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
    return [at({(LEFT + 10) / SIZE_L0[0]}, {(TOP + 10) / SIZE_L0[1]}), at(0.02, 0.02)];
}})()"""


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
        # OpenSeadragon warns of tiles that come after another slide was chosen.
        assert [said for said in found.console if not said.startswith("warning: ['Ignoring tile")] == []
        hosts = {address.split("/")[2] for address in found.requested if not address.startswith("data:")}
        assert hosts == {f"127.0.0.1:{server.port}"}
        assert not any("token=" in address for address in found.requested[1:]), "the token is sent once"


@in_browser
def test_a_visit(page: Page) -> None:
    _list_and_filters(page)
    _overlays(page)
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
    page.until("state.image && state.image.complete && state.image.naturalWidth > 0")
    assert page.value("byId('legend').textContent").startswith("probability of hypoxic, tanh")
    page.press("]")
    assert page.value("Number(state.image.style.opacity).toFixed(2)") == "0.70"
    # The hot tiles of the picture lie where those of the slide do, whatever the zoom.
    page.value("state.viewer.viewport.zoomTo(3, null, true); state.viewer.forceRedraw(); 0")
    page.until(LIES_RIGHT)
    hot, cold = page.value(COLOURS)
    assert hot[0] > 200 and cold[2] > cold[0], "yellow is high, blue is low"
    page.press("h")
    assert page.value("state.image.style.opacity") == "0"


def _moves_and_links(page: Page) -> None:
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
