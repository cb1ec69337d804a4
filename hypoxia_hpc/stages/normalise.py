"""normalise: an image file, or a slide -> the same in the colours of a reference."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, NamedTuple

from hypoxia_hpc.errors import InputError, SlideError
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.slides.image_files import read_image
from hypoxia_hpc.stores.commit import committed_file
from hypoxia_hpc.tiling.stain.methods import METHODS, PUBLISHED, Normalised, normalised, target_of

OF_SLIDES = (".tif", ".tiff")
SLIDE_MPP = 0.5


class Recoloured(NamedTuple):
    """What was found in a slide and what it was given: `Stains` or `LabMoments`; ``size`` (width, height) in pixels."""

    source: Any
    target: Any
    size: tuple[int, int]


def is_of_slide(output: Path) -> bool:
    """Whether an output of this name is that of a slide."""
    return output.suffix.lower() in OF_SLIDES


def normalise_file(image: Path, output: Path, method: str, reference: Path | None, glass: int) -> Normalised:
    """Read ``image``, normalise it by ``method``, write it to ``output`` as PNG. Raises InputError where the fit is not
    trusted, where a file is no image, and for an output that is there."""
    from PIL import Image

    if output.suffix.lower() != ".png":
        remedy = "name it so: an image is written as PNG, a slide as TIFF (.tif)"
        raise InputError(f"{output} does not end with .png", remedy=remedy)
    _require_new(output)
    try:
        pixels = read_image(image)
    except InputError as error:
        remedy = "; ".join(filter(None, [error.remedy, "a slide is written as TIFF: name the output OUT.tif"]))
        raise InputError(error.problem, remedy=remedy) from error
    made = normalised(pixels, method, None if reference is None else read_image(reference), glass)
    written = io.BytesIO()
    Image.fromarray(made.image).save(written, "PNG")
    committed_file(output, written.getvalue())
    return made


def normalise_slide(
    path: Path,
    output: Path,
    method: str,
    reference: Path | None,
    glass: int,
    mpp: float,
    *,
    progress: Progress,
    stop: threading.Event,
) -> Recoloured:
    """Fit the stain of a slide on its tissue as ``tile`` does, and write its whole tiles at ``mpp`` µm per pixel to
    ``output``, a pyramidal TIFF. Raises InputError where the fit is not trusted, the slide cannot be read, and for an
    output that is there; MachineError, Stopped."""
    from hypoxia_hpc.slides.opening import opened_slide
    from hypoxia_hpc.slides.recoloured_slide import write_recoloured

    _require_new(output)
    if method == PUBLISHED:
        raise InputError("the published normalisation is of whole images alone", remedy="name another --method")
    target = target_of(method, None if reference is None else read_image(reference), glass)
    slide = Slide(path.stem, path, "", 1)
    try:
        with opened_slide(path) as opened:
            source = _fitted(opened, slide, method, glass)
            paint = METHODS[method].paint(source, target, glass)
            return Recoloured(source, target, write_recoloured(output, opened, slide, mpp, paint, progress, stop))
    except SlideError as error:
        remedy = error.remedy if error.reason != "no-mpp" else "make a run of it, with its mpp, and set [tile.stain]"
        raise InputError(error.problem, remedy=remedy) from error


def _fitted(opened: Any, slide: Slide, method: str, glass: int) -> Any:
    """Raises InputError where it is not trusted, SlideError."""
    from hypoxia_hpc.config import TileTable
    from hypoxia_hpc.slides.planning import plan_slide
    from hypoxia_hpc.slides.slide_stain import sample_tissue
    from hypoxia_hpc.slides.stain_fit import fit_of

    table = TileTable(white=glass)
    planned = plan_slide(opened, slide, table)
    fit = fit_of(sample_tissue(opened, planned, planned.selected, table), method, glass)
    if fit.found is None:
        problem = f"{slide.path} has no stain that can be trusted, nothing is written: {fit.why_not}"
        raise InputError(problem, remedy="look at it: tissue stained by haematoxylin and eosin, without ink, is needed")
    return fit.found


def _require_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"{output} is there already", remedy="remove it, or name another file")
