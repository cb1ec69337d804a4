"""What each path answers: the page, descriptions of slides, tiles, overlays, galleries."""

from __future__ import annotations

import json
import threading
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path

from hypoxia_hpc.errors import HypoxiaError, MachineError, NotReadyError
from hypoxia_hpc.records import Json
from hypoxia_hpc.viewer import library
from hypoxia_hpc.viewer.galleries import ViewedGalleries, galleries_shown
from hypoxia_hpc.viewer.http_messages import Answer, Request, plain_answer
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.overlays import PICTURE_PX, SlideOverlays, overlays_of
from hypoxia_hpc.viewer.pyramid import Place
from hypoxia_hpc.viewer.routes import PAGE, Route, route_of
from hypoxia_hpc.viewer.shown import Shown
from hypoxia_hpc.viewer.tiles import TileMaker

FOLDER = Path(__file__).parent / "page"
# Of slides whose overlays are kept: some thousand tiles each; and whose galleries are: 0.5 MB of pictures each.
MOST_OVERLAYS, MOST_GALLERIES = 4, 4
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
        self._lock, self._galleries_lock = threading.Lock(), threading.Lock()
        self._kept_overlays = lru_cache(MOST_OVERLAYS)(self._read_overlays)
        # That of the cohort takes a pass over all predictions, so that it is kept beside those of slides.
        self._galleries_of_cohort = lru_cache(1)(partial(galleries_shown, shown))
        self._galleries_of_slide = lru_cache(MOST_GALLERIES)(partial(galleries_shown, shown))

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
        if route.kind in ("slides", "slide", "galleries"):
            return Answer(HTTPStatus.OK, json.dumps(self._described(route)).encode(), JSON)
        if route.kind == "overlay":
            return _kept(self.overlay(route.key, route.number, route.place), PNG)
        if route.kind == "picture":
            pictures = self.galleries(route.key).pictures
            return _kept(pictures[route.number] if route.number < len(pictures) else None, JPEG)
        is_tile = route.kind == "tile"
        return _kept(self.tiles.tile(route.key, route.place) if is_tile else self.tiles.thumbnail(route.key), JPEG)

    def _described(self, route: Route) -> Json:
        if route.kind == "slides":
            return self.shown.as_json()
        return self.galleries(route.key).described if route.kind == "galleries" else self.description(route.key)

    def description(self, key: str) -> Json:
        """What the page needs to show a slide. ``note``: why it has no overlays. Raises SlideError, OSError."""
        slide, described = self._by_key[key], self.tiles.describe(key)
        width, height = described.zoom.size
        note = ""
        try:
            overlays = self._overlays_of(key)
            _require_same_size(overlays, described.zoom.size)
        except HypoxiaError as error:
            overlays, note = None, str(error)
        return {
            "width": width,
            "height": height,
            "tile_px": described.zoom.tile_px,
            "last_level": described.zoom.last,
            "mpp": slide.mpp or described.mpp,
            "side_l0": overlays.side_l0 if overlays else None,
            "overlays": [one.legend() for one in overlays.overlays] if overlays else [],
            "overlay_px": PICTURE_PX,
            "overlay_first_level": overlays.first_level if overlays else 0,
            "note": note,
        }

    def overlay(self, key: str, number: int, place: Place) -> bytes | None:
        """A picture of an overlay, as PNG; None where there is no such overlay or place. Raises NotReadyError."""
        found = self._overlays_of(key)
        return found.png(number, place) if found is not None else None

    def galleries(self, key: str = "") -> ViewedGalleries:
        """Those of a slide; without a key of all. Raises NotReadyError."""
        with self._galleries_lock:
            return self._galleries_of_slide(key) if key else self._galleries_of_cohort()

    def _overlays_of(self, key: str) -> SlideOverlays | None:
        with self._lock:
            return self._kept_overlays(key)

    def _read_overlays(self, key: str) -> SlideOverlays | None:
        if self.shown.run is None:
            return None
        slide = self._by_key[key]
        return overlays_of(self.shown.run, slide.slide_id, slide.path, self.shown.model)


def _kept(found: bytes | None, media_type: str) -> Answer | None:
    return None if found is None else Answer(HTTPStatus.OK, found, media_type, KEPT_BY_BROWSERS)


def _require_same_size(overlays: SlideOverlays | None, size: tuple[int, int]) -> None:
    if overlays is not None and overlays.zoom.size != size:
        (was_width, was_height), (width, height) = overlays.zoom.size, size
        raise NotReadyError(
            f"its tiles are of a slide of {was_width:,} x {was_height:,} pixels, and the file has {width:,} x "
            f"{height:,}: it is another one now",
            remedy="hypoxia-hpc tile RUN --slide ID, and the stages after it",
        )
