"""A page that needs no server: tiles, overlays and descriptions of slides as files of a folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hypoxia_hpc.errors import InputError, NotReadyError, SlideError, Stopped
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.viewer import library
from hypoxia_hpc.viewer.answers import Viewer, page_file
from hypoxia_hpc.viewer.open_slides import OpenSlides
from hypoxia_hpc.viewer.overlays import PICTURE_PX
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
        written = replace(shown, slides=tuple(slide for slide in slides if slide.key in descriptions))
        keys = list(descriptions) if shown.model else []
        galleries = _write_galleries(Viewer(written, opened), keys, folder, stop)
    _write_page(written, descriptions, galleries, folder)
    return Exported(folder, len(written.slides), n_reduced, tuple(left_out))


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
    for number in range(len(described["overlays"])):
        _write_overlay(viewer, key, number, range(described["overlay_first_level"], last + 1), folder)
    return {**described, "width": width, "height": height, "last_level": last, "factor": zoom.factor(last)}


def _write_level(viewer: Viewer, key: str, zoom: DeepZoom, level: int, folder: Path, stop: threading.Event) -> None:
    """What cannot be read of it stays blank."""
    folder.mkdir(parents=True)
    for place in zoom.places(level):
        _require_going(stop)
        with suppress(SlideError):
            (folder / f"{place.column}_{place.row}.jpg").write_bytes(viewer.tiles.tile(key, place) or b"")


def _require_going(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped("stopped on request", remedy="delete the folder, and run the same command again")


def _write_overlay(viewer: Viewer, key: str, number: int, levels: Iterable[int], folder: Path) -> None:
    zoom = replace(viewer.tiles.describe(key).zoom, tile_px=PICTURE_PX)
    for level in levels:
        target = folder / "overlays" / key / f"{number}_files" / str(level)
        target.mkdir(parents=True)
        for place in zoom.places(level):
            (target / f"{place.column}_{place.row}.png").write_bytes(viewer.overlay(key, number, place) or b"")


def _write_galleries(viewer: Viewer, keys: Sequence[str], folder: Path, stop: threading.Event) -> Json:
    """Their pictures, and what the page needs to know of them, by the path that a server would have."""
    found: Json = {}
    for below in (*(["galleries/"] if keys else []), *(f"galleries/{key}/" for key in keys)):
        _require_going(stop)
        try:
            galleries = viewer.galleries(below.split("/")[1])
        except NotReadyError as error:
            found[f"{below}index.json"] = {"note": str(error), "galleries": []}
            continue
        found[f"{below}index.json"] = galleries.described
        (folder / below).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(galleries.pictures):
            (folder / below / f"{number}.jpg").write_bytes(picture)
    return found


def _write_page(shown: Shown, descriptions: Json, galleries: Json, folder: Path) -> None:
    slides = {f"slides/{key}.json": one for key, one in descriptions.items()}
    answers = {"slides.json": shown.as_json(), **slides, **galleries}
    (folder / DATA).write_text(f"window.EXPORTED = {json.dumps(answers)};\n", encoding="utf-8")
    (folder / "LICENSE-openseadragon.txt").write_bytes((library.FOLDER / "LICENSE.txt").read_bytes())
    names = [name for name, _ in PAGE.values() if name != "index.html"]
    for name in names:
        (folder / name).write_bytes(page_file(name).read_bytes())
    page = page_file("index.html").read_text(encoding="utf-8")
    page = page.replace(BEFORE, f'<script src="{DATA}" defer></script>\n{BEFORE}')
    (folder / "index.html").write_text(page, encoding="utf-8")
