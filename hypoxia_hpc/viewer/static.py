"""A page that needs no server: tiles, overlays and descriptions of slides as files of a folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hypoxia_hpc.errors import HypoxiaError, InputError, SlideError, Stopped
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.viewer import library
from hypoxia_hpc.viewer.answers import Viewer, page_file
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.pyramid import DeepZoom
from hypoxia_hpc.viewer.routes import PAGE
from hypoxia_hpc.viewer.shown import Shown, ShownSlide

# Longer side of the finest level that is written: some thousand files a slide at most.
MOST_PX = 8192
DATA = "exported.js"
BEFORE = '<script src="page.js"'


@dataclass(frozen=True, slots=True)
class Exported:
    """``left_out``: slides that cannot be read, each with the reason. ``n_reduced``: slides whose finest levels are too
    large to be written."""

    folder: Path
    n_slides: int
    n_reduced: int
    left_out: tuple[tuple[str, str], ...]


def finest_level(zoom: DeepZoom) -> int:
    """The finest level that is written."""
    return next(level for level in range(zoom.last, -1, -1) if max(zoom.size_of(level)) <= MOST_PX)


def export_static(
    shown: Shown, folder: Path, slide_ids: Sequence[str], *, progress: Progress, stop: threading.Event
) -> Exported:
    """Write the page with these slides (none named: all) into a folder that is new or empty; index.html comes last.

    Raises:
        InputError: a slide that is not among those shown, a folder with something in it.
        Stopped: on request.
        MachineError: OpenSeadragon is not installed, or the folder cannot be written.
    """
    page_file(library.SCRIPT)
    slides = _chosen(shown, slide_ids)
    _require_empty(folder)
    descriptions: Json = {}
    left_out, n_reduced = [], 0
    progress.begin("view --export", len(slides), len(slides), "slide")
    with closing(OpenSlides({slide.key: slide.path for slide in slides})) as opened:
        viewer = Viewer(replace(shown, slides=slides), opened)
        for slide in slides:
            try:
                descriptions[slide.key] = found = _write_slide(viewer, slide.key, folder, stop)
                n_reduced += found["factor"] > 1
            except (SlideError, OSError) as error:
                left_out.append((slide.slide_id, str(error)))
            progress.item(1)
    progress.end()
    kept = tuple(slide for slide in slides if slide.key in descriptions)
    _write_page(replace(shown, slides=kept), descriptions, folder)
    return Exported(folder, len(kept), n_reduced, tuple(left_out))


def _chosen(shown: Shown, slide_ids: Sequence[str]) -> tuple[ShownSlide, ...]:
    unknown = sorted(set(slide_ids) - {slide.slide_id for slide in shown.slides})
    if unknown:
        raise InputError(
            f"--slide names what is no slide of {shown.title}", offending=unknown, remedy="name slides by their ids"
        )
    return tuple(slide for slide in shown.slides if not slide_ids or slide.slide_id in slide_ids)


def _require_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder} has something in it", remedy="name a new or empty folder for --export")


def _write_slide(viewer: Viewer, key: str, folder: Path, stop: threading.Event) -> Json:
    """Its files, and what the page needs to know of it. Raises SlideError, OSError, Stopped."""
    zoom, described = viewer.tiles.describe(key).zoom, viewer.description(key)
    last = finest_level(zoom)
    width, height = zoom.size_of(last)
    for level in range(last + 1):
        _write_level(viewer, key, zoom, level, folder / "slides" / f"{key}_files" / str(level), stop)
    (folder / "slides" / f"{key}.jpg").write_bytes(viewer.tiles.thumbnail(key))
    overlays = folder / "overlays" / key
    overlays.mkdir(parents=True)
    for number in range(len(described["overlays"])):
        with suppress(HypoxiaError):
            (overlays / f"{number}.png").write_bytes(viewer.overlay(key, number) or b"")
    return {**described, "width": width, "height": height, "last_level": last, "factor": zoom.factor(last)}


def _write_level(viewer: Viewer, key: str, zoom: DeepZoom, level: int, folder: Path, stop: threading.Event) -> None:
    """What cannot be read of it stays blank."""
    folder.mkdir(parents=True)
    for place in zoom.places(level):
        if stop.is_set():
            raise Stopped("stopped on request", remedy="delete the folder, and run the same command again")
        with suppress(SlideError):
            (folder / f"{place.column}_{place.row}.jpg").write_bytes(viewer.tiles.tile(key, place) or b"")


def _write_page(shown: Shown, descriptions: Json, folder: Path) -> None:
    answers = {"slides.json": shown.as_json(), **{f"slides/{key}.json": one for key, one in descriptions.items()}}
    (folder / DATA).write_text(f"window.EXPORTED = {json.dumps(answers)};\n", encoding="utf-8")
    (folder / "LICENSE-openseadragon.txt").write_bytes((library.FOLDER / "LICENSE.txt").read_bytes())
    names = [name for name, _ in PAGE.values() if name != "index.html"]
    for name in names:
        (folder / name).write_bytes(page_file(name).read_bytes())
    page = page_file("index.html").read_text(encoding="utf-8")
    page = page.replace(BEFORE, f'<script src="{DATA}" defer></script>\n{BEFORE}')
    (folder / "index.html").write_text(page, encoding="utf-8")
