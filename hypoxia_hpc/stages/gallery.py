"""gallery: tiles of a cohort, or of some slides, that stand out by what a model says; one page, RUN/gallery.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.models.map_layers import model_with_tiles
from hypoxia_hpc.models.reported import predictions_of
from hypoxia_hpc.models.tile_galleries import galleries_of, galleries_of_slides
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Share
from hypoxia_hpc.reports.galleries import gallery_page
from hypoxia_hpc.runs.cohort import patients_with_slides
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.workers.shares import choose_slides

MOST_SLIDES = 8  # of a page, which has all pictures in it


@dataclass(frozen=True, slots=True)
class GalleryMade:
    """``page``, of ``model``. ``left_out``: slides that were named, of whose tiles the model says nothing."""

    page: Path
    model: str
    left_out: tuple[str, ...]


def gallery(
    run: RunDir, wanted: Sequence[str] = (), *, model: str = "", page: Path | None = None, progress: Progress
) -> GalleryMade:
    """Write a page of tiles with the highest and lowest predictions, of wrong calls, and with the most attention, by
    ``model`` (default: the leading one); of the patients that no model was trained on, or of the slides ``wanted``.

    Raises:
        InputError: a model without predictions, slides that slides.csv lacks, or too many.
        NotReadyError: no predictions, none of these slides, or damaged ones.
    """
    if len(wanted) > MOST_SLIDES:
        problem = f"--slide is given {len(wanted)} times, and a page has room for {MOST_SLIDES} slides"
        raise InputError(problem, remedy="make several pages, with --out")
    slides = choose_slides(run.slides(), Share(), wanted) if wanted else []
    chosen, config, outcome = model_with_tiles(run, model), run.config(), run.outcome()
    patients = patients_with_slides(run.slides(), run.patients())
    rows = predictions_of(run, config, outcome, patients)
    if wanted:
        pages = galleries_of_slides(run, config, outcome, chosen, rows, slides, progress)
    else:
        of_cohort = galleries_of(run, config, outcome, chosen, rows, run.slides(), progress)
        pages = {} if of_cohort is None else {"": of_cohort}
    left_out = tuple(slide.slide_id for slide in slides if slide.slide_id not in pages)
    if not pages:
        raise NotReadyError(
            f"{chosen} says nothing of the tiles that are asked for in {run.root}",
            offending=left_out,
            remedy=f"hypoxia-hpc status {run.word} says how far they are; in a cross-validation predictions of tiles "
            "are kept of test patients",
        )
    made = page or run.root / "gallery.html"
    title = "/".join(run.root.absolute().parts[-2:])
    committed_file(made, gallery_page(title, list(pages.values())).encode(), durable=False)
    return GalleryMade(made, chosen, left_out)
