"""What each path answers: the page, descriptions of slides, tiles, overlays."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from http import HTTPStatus
from pathlib import Path

from hypoxia_hpc.errors import HypoxiaError, MachineError
from hypoxia_hpc.records import Json
from hypoxia_hpc.viewer import library
from hypoxia_hpc.viewer.http_messages import Answer, Request, plain_answer
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.overlays import SlideOverlays, overlays_of
from hypoxia_hpc.viewer.routes import PAGE, Route, route_of
from hypoxia_hpc.viewer.shown import Shown
from hypoxia_hpc.viewer.tiles import TileMaker

FOLDER = Path(__file__).parent / "page"
# Of slides whose overlays are kept: some thousand tiles each.
MOST_OVERLAYS = 4
# Keys are new in every viewer, so that a browser may keep tiles while it is open.
KEPT_BY_BROWSERS = {"Cache-Control": "private, max-age=3600"}
JSON, JPEG, PNG = "application/json", "image/jpeg", "image/png"


def page_file(name: str) -> Path:
    """One of the files of the page. Raises MachineError for OpenSeadragon where it is not installed."""
    path = (library.FOLDER if name == library.SCRIPT else FOLDER) / name
    if name == library.SCRIPT and not path.is_file():
        raise MachineError(
            "this checkout lacks OpenSeadragon, which shows the slides in the browser",
            remedy="make viewer (it fetches 0.8 MB; without internet: make viewer OPENSEADRAGON=FILE, its npm package)",
        )
    return path


class Viewer:
    """Answers requests about what is shown. Several threads may ask at the same time."""

    def __init__(self, shown: Shown, slides: OpenSlides) -> None:
        self.shown = shown
        self.tiles = TileMaker(slides)
        self._by_key = {slide.key: slide for slide in shown.slides}
        self._lock = threading.Lock()
        self._overlays: OrderedDict[str, SlideOverlays | None] = OrderedDict()

    def respond(self, request: Request) -> Answer:
        """The answer; NOT_FOUND, with the reason, for what is not there or cannot be read."""
        route = route_of(request.path)
        if route is None or (route.key and route.key not in self._by_key):
            return plain_answer(HTTPStatus.NOT_FOUND)
        try:
            return self._found(route) or plain_answer(HTTPStatus.NOT_FOUND)
        except HypoxiaError as error:
            return plain_answer(HTTPStatus.NOT_FOUND, str(error))
        except OSError as error:
            return plain_answer(HTTPStatus.NOT_FOUND, f"{self._by_key[route.key].path}: {error.strerror}")

    def _found(self, route: Route) -> Answer | None:
        if route.kind == "page":
            media_type = next(kind for name, kind in PAGE.values() if name == route.name)
            return Answer(HTTPStatus.OK, page_file(route.name).read_bytes(), media_type)
        if route.kind in ("slides", "slide"):
            found = self.shown.as_json() if route.kind == "slides" else self.description(route.key)
            return Answer(HTTPStatus.OK, json.dumps(found).encode(), JSON)
        if route.kind == "overlay":
            png = self.overlay(route.key, route.number)
            return Answer(HTTPStatus.OK, png, PNG, KEPT_BY_BROWSERS) if png is not None else None
        is_tile = route.kind == "tile"
        jpeg = self.tiles.tile(route.key, route.place) if is_tile else self.tiles.thumbnail(route.key)
        return Answer(HTTPStatus.OK, jpeg, JPEG, KEPT_BY_BROWSERS) if jpeg is not None else None

    def description(self, key: str) -> Json:
        """What the page needs to show a slide. ``note``: why it has no overlays. Raises SlideError, OSError."""
        slide, described = self._by_key[key], self.tiles.describe(key)
        width, height = described.zoom.size
        note = ""
        try:
            overlays = self._overlays_of(key)
        except HypoxiaError as error:
            overlays, note = None, str(error)
        return {
            "width": width,
            "height": height,
            "tile_px": described.zoom.tile_px,
            "last_level": described.zoom.last,
            "mpp": slide.mpp or described.mpp,
            "overlays": [one.legend() for one in overlays.overlays] if overlays else [],
            "note": note,
        }

    def overlay(self, key: str, number: int) -> bytes | None:
        """A picture over the whole slide, as PNG; None where there is no such overlay. Raises NotReadyError."""
        found = self._overlays_of(key)
        return found.png(number) if found is not None and number < len(found.overlays) else None

    def _overlays_of(self, key: str) -> SlideOverlays | None:
        if self.shown.run is None:
            return None
        with self._lock:
            if key not in self._overlays:
                slide = self._by_key[key]
                self._overlays[key] = overlays_of(self.shown.run, slide.slide_id, slide.path, self.shown.model)
            self._overlays.move_to_end(key)
            while len(self._overlays) > MOST_OVERLAYS:
                self._overlays.popitem(last=False)
            return self._overlays[key]
