"""The viewer in a cell: a page of a notebook frames it, in a real browser; pages of other origins cannot."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import in_browser
from devtools import opened_browser
from viewer.serving import require_library

import hypoxia_hpc as hx
from hypoxia_hpc.errors import InputError, MachineError

SHOWN = "typeof state !== 'undefined' && state.viewer && state.viewer.isOpen() && state.described !== null"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def notebook(folder: Path, host: str, markup: str) -> Iterator[str]:
    """The address of a page on this host, into which markup is put as a notebook puts that of a cell."""
    (folder / "cell.html").write_text(markup)
    script = "fetch('cell.html').then(one => one.text()).then(text => { document.body.innerHTML = text; })"
    (folder / "page.html").write_text(f"<!DOCTYPE html><title>notebook</title><body><script>{script}</script>")
    with ThreadingHTTPServer((host, 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{'localhost' if host == '127.0.0.1' else host}:{server.server_port}/page.html"
        finally:
            server.shutdown()
            thread.join()


@in_browser
def test_a_cell_shows_the_viewer_and_another_origin_cannot(real_slide: Path, tmp_path: Path) -> None:
    require_library()
    with hx.open_slide(real_slide) as slide:
        view = slide.view(height=500)
    markup = view._repr_html_()
    (tmp_path / "page").mkdir()
    with notebook(tmp_path / "page", "127.0.0.1", markup) as address, opened_browser(tmp_path / "first") as page:
        page.open(address)
        with page.in_frame():
            page.until(SHOWN)
            page.until("state.viewer.world.getItemAt(0).getFullyLoaded()")
            assert page.value("innerHeight") == 500 and page.value("location.pathname.length") > 32
            assert page.value("byId('name').textContent") == "CMU-1-Small-Region"
        assert page.value("document.querySelector('iframe').getBoundingClientRect().width") > 1000
        assert [said for said in page.console if "favicon" not in said] == []
    with notebook(tmp_path / "page", "127.0.0.2", markup) as address, opened_browser(tmp_path / "second") as page:
        page.open(address)
        page.until("document.querySelector('iframe') !== null")
        with page.in_frame():
            page.until("document.readyState === 'complete' && location.protocol === 'chrome-error:'")
        assert any("frame-ancestors" in said for said in page.console), page.console
    view.close()
    view.close()
    assert "has ended" in view._repr_html_()


def test_the_link_alone_opens_it(real_slide: Path) -> None:
    require_library()
    view = hx.view(real_slide.parent, slide_id="CMU-1-Small-Region", origins=["https://hub.example"])
    assert view.link.endswith("/#slide=CMU-1-Small-Region")
    address = view.link.partition("#")[0]
    with urllib.request.urlopen(f"{address}slides.json") as answer:  # noqa: S310 - the loopback
        policy = answer.headers["Content-Security-Policy"]
        assert b"CMU-1-Small-Region" in answer.read()
    assert policy.endswith("frame-ancestors http://localhost:* http://127.0.0.1:* https://hub.example")
    for other in (address[:-2] + "/slides.json", f"http://127.0.0.1:{address.split(':')[2].split('/')[0]}/slides.json"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(other)  # noqa: S310
    view.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)  # noqa: S310


def test_what_is_refused(real_slide: Path, tmp_path: Path) -> None:
    require_library()
    with pytest.raises(InputError, match="is no origin of a page"):
        hx.view(real_slide, origins=["https://hub.example; script-src *"])
    with pytest.raises(InputError, match="does not exist"):
        hx.view(tmp_path / "gone")
    for port in (-3, 65536, "8080", 1.5):
        with pytest.raises(InputError, match="is no port: they are whole numbers from 1 to 65,535") as raised:
            hx.view(real_slide, port=port)  # what a user may write
        assert repr(port) in raised.value.problem and "port=0" in raised.value.remedy
    view = hx.view(real_slide)
    port = int(view.link.split(":")[2].split("/")[0])
    with pytest.raises(MachineError, match="is taken"):
        hx.view(real_slide, port=port)
    view.close()
