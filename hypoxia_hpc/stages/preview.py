"""preview: which tiles other settings of [tile] would keep, as a page that decides in the browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypoxia_hpc.config import TileTable
from hypoxia_hpc.errors import InputError, NotReadyError, SlideError, Stopped, some
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Int64Array, Slide, TilePlan
from hypoxia_hpc.reports.preview import MOST_TILES, Preview, PreviewedSlide, picture_of, preview_page, whites_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import tile_state
from hypoxia_hpc.slides.coarse_views import CoarseView, coarse_view, mask_method
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.stores.tiles import open_tiles
from hypoxia_hpc.tiling.redeciding import ExactCounts, TileSettings, exact_counts

MOST_SLIDES = 6


@dataclass(frozen=True, slots=True)
class Previewed:
    """``page`` shows ``shown`` of ``n_slides``. ``left_out``: those that could not be shown, with the reason."""

    page: Path
    shown: tuple[str, ...]
    n_slides: int
    left_out: tuple[tuple[str, str], ...]


def preview_run(
    run: RunDir, wanted: Sequence[str], page: Path | None, *, progress: Progress, stop: threading.Event
) -> Previewed:
    """Write the page of these slides of a run (none: MOST_SLIDES, evenly out of slides.csv) to ``page``, by default
    RUN/preview.html.

    Raises:
        InputError: images in folders, more slides than a page has room for, an id that slides.csv lacks.
        NotReadyError: none of the slides can be shown.
        Stopped: on request, between slides.
    """
    table, slides = run.config().tile, run.slides()
    if any(slide.images for slide in slides):
        raise InputError(
            f"the tiles of {run.root} are of images in folders: a preview is of slides",
            remedy=f"look at the share of background in tiles of hypoxia-hpc export {run.word} --to csv",
        )
    title = "/".join(run.root.absolute().parts[-2:])
    shown = _previewed(_chosen(slides, wanted), table, run, progress, stop)
    _require_some(shown, run)
    return _written(title, table, shown, page or run.root / "preview.html", len(slides), of_run=True)


def preview_slide(path: Path, page: Path | None, *, progress: Progress, stop: threading.Event) -> Previewed:
    """The same of a slide without a run, with the default settings; ``page`` is by default NAME.preview.html here.

    Raises:
        NotReadyError: it cannot be shown.
    """
    slide = Slide(path.name, path.absolute(), "", cost=1)
    table = TileTable()
    shown = _previewed([slide], table, None, progress, stop)
    _require_some(shown, None)
    return _written(path.name, table, shown, page or Path(f"{path.stem}.preview.html"), 1, of_run=False)


def _chosen(slides: Sequence[Slide], wanted: Sequence[str]) -> list[Slide]:
    if not wanted:
        places = np.unique(np.linspace(0, len(slides) - 1, min(len(slides), MOST_SLIDES)).round().astype(int))
        return [slides[place] for place in places]
    if len(wanted) > MOST_SLIDES:
        problem = f"--slide is given {len(wanted)} times, and a page has room for {MOST_SLIDES} slides"
        raise InputError(problem, remedy="make several pages, with --out")
    by_id = {slide.slide_id: slide for slide in slides}
    if unknown := [one for one in wanted if one not in by_id]:
        raise InputError("slides.csv has no such slide", offending=unknown, remedy="give ids as slides.csv has them")
    return [by_id[one] for one in dict.fromkeys(wanted)]


_Shown = list[tuple[Slide, PreviewedSlide | SlideError]]


def _previewed(
    slides: Sequence[Slide], table: TileTable, run: RunDir | None, progress: Progress, stop: threading.Event
) -> _Shown:
    found: _Shown = []
    room = MOST_TILES
    progress.begin("preview", len(slides), len(slides), "slide")
    try:
        for slide in slides:
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again")
            try:
                view = _view(slide, table, room)
                room -= len(view.counts.numbers)
                exact = None if run is None else _exact(run, slide, table, view)
                picture = picture_of(view.image)
                found.append((slide, PreviewedSlide(slide.slide_id, picture, view.counts, view.um_per_px, exact)))
            except SlideError as error:
                found.append((slide, error))
            progress.item(1)
    finally:
        progress.end()
    return found


def _view(slide: Slide, table: TileTable, room: int) -> CoarseView:
    view = coarse_view(slide, table, whites_of(table.white))
    n = len(view.counts.numbers)
    if n > room:
        problem = f"{some(n, 'tile')}: more than a page of {MOST_TILES:,} has room for"
        raise SlideError("too-many-tiles", problem, remedy="name it alone, by --slide, or raise [tile] tile_px")
    return view


def _exact(run: RunDir, slide: Slide, table: TileTable, view: CoarseView) -> ExactCounts | None:
    """What the slide's tile store says; None where there is none of the present settings."""
    if tile_state(run, table, slide, read_slides=False).status != "done":
        return None
    tiles = open_tiles(run.tiles(slide.slide_id))
    kept = _numbers(view.plan, tiles.xy)
    if kept is None:
        raise SlideError("slide-changed", f"{slide.path} has no tile where its store says one is", remedy="tile again")
    return exact_counts(view.counts, settings_of(table), table.tile_px, kept, tiles.background)


def _numbers(plan: TilePlan, xy_l0: Int64Array) -> Int64Array | None:
    number_at = {(x, y): number for number, (x, y) in enumerate(plan.xy_l0.tolist())}
    numbers = [number_at.get((x, y), -1) for x, y in xy_l0.tolist()]
    return None if min(numbers) < 0 else np.array(numbers, dtype=np.int64)


def settings_of(table: TileTable) -> TileSettings:
    """What of [tile] decides about a tile."""
    return TileSettings(table.white, table.max_background, table.tissue != "none", table.min_tissue)


def _require_some(shown: _Shown, run: RunDir | None) -> None:
    """Raises NotReadyError where there is nothing to show; stores keep no picture of a slide, nor the tiles that were
    left out."""
    errors = [error for _, error in shown if isinstance(error, SlideError)]
    if len(errors) < len(shown):
        return
    if any(error.reason != "missing-file" for error in errors):
        offending = [f"{name}: {why}" for name, why in _left_out(shown)]
        raise NotReadyError("no slide can be shown", offending=offending, remedy="see what is said of each")
    if run is None:
        raise NotReadyError(errors[0].problem, remedy="give the path that the slide has now")
    raise NotReadyError(
        f"a preview is made of the slides themselves, and {some(len(errors), 'file')} that it needs cannot be found",
        offending=[f"{slide.slide_id}: {error.problem}" for slide, error in shown if isinstance(error, SlideError)],
        remedy=f"bring them back; after a move: hypoxia-hpc init {run.word} --slides DIR --update",
    )


def _written(title: str, table: TileTable, shown: _Shown, page: Path, n_slides: int, *, of_run: bool) -> Previewed:
    slides = tuple(one for _, one in shown if isinstance(one, PreviewedSlide))
    left_out = tuple(_left_out(shown))
    without_folders = tuple(_left_out(shown, names_alone=True))  # the page may be sent to others
    whole = Preview(title, settings_of(table), mask_method(table), table.mpp, slides, without_folders, of_run)
    committed_file(page, preview_page(whole).encode(), durable=False)
    return Previewed(page, tuple(one.name for one in slides), n_slides, left_out)


def _left_out(shown: _Shown, *, names_alone: bool = False) -> Iterator[tuple[str, str]]:
    for slide, error in shown:
        if isinstance(error, SlideError):
            remedy = f" ({error.remedy})" if error.remedy else ""
            why = f"{error.reason}: {error.problem}{remedy}"
            yield slide.slide_id, why.replace(f"{slide.path.parent}/", "") if names_alone else why
