"""doctor: is this machine fit, and is every slide of a run? Looks, changes nothing."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from hypoxia_hpc.cohorts.tables import read_md5
from hypoxia_hpc.config import RunConfig, SlurmTable, TileTable
from hypoxia_hpc.errors import HypoxiaError, SlideError, some, some_names
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.monitoring import checks
from hypoxia_hpc.monitoring.checks import Check, Verdict
from hypoxia_hpc.monitoring.foreseen import foresee, foresee_images
from hypoxia_hpc.monitoring.sums import Compared, compared_md5
from hypoxia_hpc.records import Pyramid, Slide, TilePlan
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.region_files import UNUSED, unused_regions
from hypoxia_hpc.runs.state import feature_states, run_spec
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.image_files import quiet
from hypoxia_hpc.slides.masks import MOST_LIGHT_PX, coarse_level
from hypoxia_hpc.slides.planning import SlidePlan
from hypoxia_hpc.tiling.remarks import places_doubt, resolution_doubt, size_doubt

# Nearly all of reading a header is waiting for a network drive.
HEADER_READERS = 16


def examine_machine(table: SlurmTable | None = None) -> Iterator[Check]:
    """Python, libraries, plug-ins that cannot be used, OpenSlide, the backend and its devices, MPI, Apptainer, SLURM
    with the partitions of [site.slurm], cores, the temporary folder."""
    yield Check("python", "ok", platform.python_version())
    yield checks.libraries()
    yield from checks.plug_ins()
    yield checks.openslide()
    yield checks.turbojpeg()
    yield checks.backend()
    yield checks.mpi()
    yield checks.apptainer()
    yield checks.slurm(table)
    yield Check("cores", "ok", f"{usable_cores()} for this process")
    yield checks.disk(Path(tempfile.gettempdir()))


def examine_run(run: RunDir, *, md5: bool = False) -> Iterator[Check]:
    """run.toml, tables, weights, image, disk, scratch, and every slide's header planned by the tiling rule, or of
    imported features how many slides have them; with ``md5`` every slide whose MD5 slides.csv has is read whole."""
    config = run.config()
    yield Check("run.toml", "ok", f"study {config.study}")
    slides, patients = run.slides(), run.patients()
    labelled = sum(patient.label is not None for patient in patients)
    yield Check("tables", "ok", f"slides: {len(slides)}, patients: {len(patients)}, with a label: {labelled}")
    image = config.site.slurm.image
    yield _weights(config, may_be_inside=image is not None)
    if image is not None:
        yield checks.image(Path(image))
    if unused := unused_regions(config.tile, slides):
        # Where regions are left out, all of those slides is used; where they are taken, such slides are quarantined.
        verdict: Verdict = "bad" if config.tile.regions_rule == "exclude" else "note"
        yield Check("regions", verdict, f"{UNUSED}: {len(unused):,} ({some_names(unused)})")
    yield checks.disk(run.root)
    with ThreadPoolExecutor(HEADER_READERS) as readers:
        if config.extract.imported:
            yield _imported(run, config, slides)
        else:
            sizes = list(readers.map(_size, slides)) if config.site.stage_slides else []
            yield checks.scratch(config.site, run.root, sizes)
            with quiet():
                yield from readers.map(partial(_slide, config.tile), slides)
        if md5:
            yield from _sums(slides, read_md5(run.slides_file), readers)


def _sums(slides: Sequence[Slide], said: Mapping[str, frozenset[str]], readers: ThreadPoolExecutor) -> Iterator[Check]:
    """Only slides that are not what slides.csv says, and how many are."""
    known = [slide for slide in slides if slide.slide_id in said]
    found = list(readers.map(lambda slide: compared_md5(slide.path, said[slide.slide_id]), known))
    for slide, one in zip(known, found, strict=True):
        if one.problem:
            yield Check(f"md5 {slide.slide_id}", "bad", one.problem, slide.slide_id, "md5", one.remedy)
    yield _sums_together(found, len(slides) - len(known))


def _sums_together(found: Sequence[Compared], n_without: int) -> Check:
    """How many slides have the MD5 of slides.csv. Those that have not are bad by themselves."""
    n_same, n_unsaid = sum(not one.problem for one in found), sum(one.n_unsaid for one in found)
    differ = len(found) - n_same
    said = {
        "no slide has an MD5 in slides.csv, so nothing was compared": not found,
        f"{n_same:,} of {some(len(found), 'slide')} with the MD5 that slides.csv has": found,
        f"{differ:,} with another one, or not readable: they are bad": differ,
        f"not compared, since slides.csv has no MD5 of them: {some(n_without, 'slide')}": found and n_without,
        f"not compared: {some(n_unsaid, 'file')} of DICOM slides, of which slides.csv has no MD5": n_unsaid,
    }
    verdict: Verdict = "note" if differ or n_unsaid or n_without else "ok"
    return Check("md5", verdict, "; ".join(text for text, is_so in said.items() if is_so))


def _weights(config: RunConfig, *, may_be_inside: bool) -> Check:
    try:
        digest = str(run_spec(config)["weights_digest"])
    except HypoxiaError as error:
        if may_be_inside:
            return Check("weights", "note", f"{error.problem}; the image may have them")
        return Check("weights", "bad", str(error))
    if config.extract.imported:
        return Check("weights", "ok", f"none: features are imported, by {config.extract.imported}")
    random = config.extract.weights == "random"
    return Check("weights", "ok", f"random weights, seed {config.extract.seed}" if random else digest)


def _imported(run: RunDir, config: RunConfig, slides: Sequence[Slide]) -> Check:
    """No pixel is read where features are imported: whether slides are here is no matter."""
    states = feature_states(run, config, slides, run_spec(config))
    without = [state.slide.slide_id for state in states if state.status != "done"]
    done = f"{len(slides) - len(without):,} of {some(len(slides), 'slide')} have imported features; no slide is read"
    if not without:
        return Check("slides", "ok", done)
    remedy = f"hypoxia-hpc import-features {run.word} DIR"
    return Check("slides", "note", f"{done}; without: {some_names(without)} ({remedy})")


def _size(slide: Slide) -> int:
    if slide.images:  # they are read where they lie
        return 0
    try:
        return sum(file.stat().st_size for file in {slide.path, *companions(slide.path)})
    except (OSError, SlideError):  # its header says why
        return 0


def _slide(table: TileTable, slide: Slide) -> Check:
    name = f"slide {slide.slide_id}"
    try:
        if slide.images:
            return _images(table, slide)
        found = foresee(slide, table)
    except SlideError as error:
        return Check(name, "bad", error.problem, slide.slide_id, error.reason, error.remedy)
    pyramid, plan = found.pyramid, found.planned.plan
    width, height = pyramid.size_l0
    said = [
        f"{pyramid.vendor} {width} x {height} px, {plan.mpp:g} µm/px from {plan.mpp_source}, "
        f"{_tiles_text(found.planned)}, {_reader_text(found.planned)}{_drawn_text(found.planned, table)}"
    ]
    odd = [one for one in (found.damage, coarse_doubt(pyramid, plan, table), *_doubts(pyramid, plan)) if one]
    return Check(name, "note" if odd else "ok", "; ".join(said + odd), slide.slide_id)


def _images(table: TileTable, slide: Slide) -> Check:
    """Of a patient whose images lie in folders. Raises SlideError where the patient will be quarantined."""
    found = foresee_images(slide, table)
    said = f"{some(len(slide.images), 'image')}, {some(found.n_tiles, 'tile')} planned"
    if found.left_out:
        said += f"; {len(found.left_out):,} cannot be read and will be left out: {some_names(found.left_out)}"
    return Check(f"slide {slide.slide_id}", "note" if found.left_out else "ok", said, slide.slide_id)


def _tiles_text(planned: SlidePlan) -> str:
    """How many tiles ``tile`` will look at."""
    n, of = planned.n_selected, planned.plan.n_tiles
    return f"{some(of, 'tile')} planned" + ("" if planned.classes is None else f", {n:,} of them left by the regions")


def _reader_text(planned: SlidePlan) -> str:
    """What reads the slide, as its store will have it, but for a word that says nothing by itself."""
    reader = planned.reading.reader
    return "native, not compressed" if reader == "native-none" else reader


def _drawn_text(planned: SlidePlan, table: TileTable) -> str:
    """The classes of a slide's regions."""
    if planned.classes is None:
        return ", all of it" if table.regions else ""
    counted = ", ".join(f"{name or 'no class'} {n:,}" for name, n in sorted(planned.classes.items()))
    return f", annotations: {counted or 'none'}"


def _doubts(pyramid: Pyramid, plan: TilePlan) -> list[str]:
    """What is odd about the slide, each in a sentence."""
    of_mpp = [resolution_doubt(pyramid), places_doubt(pyramid)] if plan.mpp_source == "slide" else []
    return [doubt for doubt in (*of_mpp, size_doubt(pyramid)) if doubt]


def coarse_doubt(pyramid: Pyramid, plan: TilePlan, table: TileTable) -> str:
    """Has the slide the coarse level that [tile] screen wants?"""
    if table.screen == "fast" and coarse_level(pyramid, plan, MOST_LIGHT_PX, stored=True) is None:
        return 'no stored coarse level: [tile] screen = "fast" does as "exact" does'
    return ""
