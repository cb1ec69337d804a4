"""import-features: features of CLAM, TRIDENT, STAMP or AtlasPatch -> feature stores of a run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypoxia_hpc.cohorts.textfiles import refuse
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.config.extract import IMPORTED
from hypoxia_hpc.errors import InputError, SlideError, Stopped
from hypoxia_hpc.imports.agreement import refuse_disagreeing
from hypoxia_hpc.imports.feature_files import FeatureFile, described
from hypoxia_hpc.imports.matching import ImportSource, files_below, files_by_slide, sources_of
from hypoxia_hpc.imports.tensors import can_read_tensors
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.models.importing import ImportStage
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.stores.attributes import read_tile_attributes
from hypoxia_hpc.stores.commit import remove_directory
from hypoxia_hpc.stores.integrity import store_key
from hypoxia_hpc.workers.slide_stage import StageOutcome, work_through

STAGE = "import-features"
# Each holds the features of a slide in memory; more would wait for the disk.
MOST_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the slides, and the files that are of none of them."""

    outcome: StageOutcome
    strange: tuple[Path, ...]


def import_features(
    run: RunDir, given: Sequence[Path], *, retry: bool, progress: Progress, stop: threading.Event
) -> Imported:
    """Make the features in the ``given`` files and folders those of a run's slides. A slide without a file is in
    quarantine, unless its features are there already.

    Raises:
        InputError: nothing to import, files of no slide alone, several files for one slide, files that differ in patch
            size, µm per pixel, length or encoder, or run.toml that says otherwise; a run with tiles of its own.
        Stopped: on request; given again, it goes on.
    """
    slides = run.slides()
    _refuse_own_tiles(run, slides)
    sources, strange = _sources(run, slides, given, progress, stop)
    config = run.config()
    stage = ImportStage(run, config.extract.name, run_spec(config), config.extract.dtype, config.tile, sources)
    _drop_halves(stage, slides)
    chosen = [one for one in slides if one.slide_id in sources or store_key(stage.target(one)) is None]
    n_workers = min(MOST_WORKERS, usable_cores())
    done = work_through(
        *(STAGE, chosen, stage),
        workers=n_workers,
        retry=retry,
        progress=progress,
        stop=stop,
        tell_each=False,  # often most slides of a run: said at the end, each reason once
    )
    return Imported(done, tuple(strange))


def _sources(
    run: RunDir, slides: Sequence[Slide], given: Sequence[Path], progress: Progress, stop: threading.Event
) -> tuple[dict[str, ImportSource], list[Path]]:
    """The files of each slide, by its id, and those of no slide. Raises InputError, Stopped."""
    config = run.config()
    by_slide, strange = files_by_slide(files_below(given), slides)
    if not by_slide:
        raise InputError(
            f"no file has the name of a slide of {run.root}",
            offending=[f"file {path}" for path in strange[:5]] + [f"slide {one.slide_id}" for one in slides[:5]],
            remedy="call each file as slides.csv calls the slide: SLIDE_ID.h5",
        )
    sources = sources_of(_described(by_slide, config, progress, stop))
    _refuse_unfit(sources)
    refuse_disagreeing(sources, config)
    return sources, strange


def _refuse_own_tiles(run: RunDir, slides: Sequence[Slide]) -> None:
    """Raises InputError where tiles that were cut here would be lost."""
    for slide in slides:
        made = read_tile_attributes(run.tiles(slide.slide_id))
        if made is not None and not made.slide.fingerprint.startswith(IMPORTED):
            raise InputError(
                f"{run.root} has tiles of its own ({slide.slide_id}), and imported features have theirs",
                remedy="import into another run: hypoxia-hpc init OTHER_RUN --slides ...",
            )


def _described(
    by_slide: dict[str, list[Path]], config: RunConfig, progress: Progress, stop: threading.Event
) -> dict[str, dict[Path, FeatureFile | SlideError]]:
    """What each file is, or why it is none. Raises Stopped."""
    found: dict[str, dict[Path, FeatureFile | SlideError]] = {}
    progress.begin(f"{STAGE}: headers", len(by_slide), len(by_slide), "slide")
    try:
        for slide_id, files in sorted(by_slide.items()):
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            found[slide_id] = {path: _what_it_is(path, config) for path in files}
            progress.item(1)
    finally:
        progress.end()
    return found


def _what_it_is(path: Path, config: RunConfig) -> FeatureFile | SlideError:
    try:
        return described(path, config.extract.imported or config.extract.name)
    except SlideError as error:
        return error


def _refuse_unfit(sources: dict[str, ImportSource]) -> None:
    """Raises InputError where no file can be used, or those that could need PyTorch."""
    files = [one.features for one in sources.values() if one.features is not None]
    if not files:
        why = [
            f"{slide_id}: {'coordinates alone' if one.problem is None else one.problem.problem}"
            for slide_id, one in sources.items()
        ]
        remedy = "give features of CLAM, TRIDENT, STAMP or AtlasPatch, as HDF5"
        raise InputError("no file has features that can be imported", offending=why, remedy=remedy)
    tensors = [str(one.path) for one in files if one.layout == "tensor"]
    if not can_read_tensors():
        refuse(
            "features as tensors of PyTorch, which is not installed here",
            tensors,
            "pip install torch, or give h5_files/ of CLAM in place of pt_files/",
        )


def _drop_halves(stage: ImportStage, slides: Sequence[Slide]) -> None:
    """A tile store says that features are there, too; where they are not, or of other settings, it goes."""
    for slide in slides:
        key = store_key(stage.target(slide))
        features = stage.run.features(stage.name, slide.slide_id)
        if key is not None and store_key(features) != extract_key(stage.spec, key):
            remove_directory(stage.target(slide))
