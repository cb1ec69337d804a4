"""doctor: is this machine fit, and is every slide of a run? Looks, changes nothing."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from hypoxia_hpc.cohorts.tables import read_md5
from hypoxia_hpc.config import RunConfig, SlurmTable, TileTable
from hypoxia_hpc.errors import HypoxiaError, SlideError
from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.monitoring import checks
from hypoxia_hpc.monitoring.checks import Check, Verdict
from hypoxia_hpc.records import Pyramid, Slide, TilePlan
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.state import run_spec
from hypoxia_hpc.slides.companions import companions
from hypoxia_hpc.slides.fingerprint import slide_errors
from hypoxia_hpc.slides.masks import MOST_LIGHT_PX, MOST_MASK_PX, coarse_level, scanned_px
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.tiling.plan import plan_tiles
from hypoxia_hpc.tiling.regions import read_regions, regions_path, require_on_slide
from hypoxia_hpc.tiling.remarks import resolution_doubt, size_doubt

# Nearly all of reading a header is waiting for a network drive.
HEADER_READERS = 16
WORST_LAST: tuple[Verdict, ...] = ("ok", "note", "bad")


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
    """run.toml, tables, weights, image, disk, scratch, and every slide's header planned by the tiling rule; with
    ``md5`` every slide whose MD5 slides.csv has is read whole."""
    config = run.config()
    yield Check("run.toml", "ok", f"study {config.study}")
    slides, patients = run.slides(), run.patients()
    labelled = sum(patient.label is not None for patient in patients)
    yield Check("tables", "ok", f"slides: {len(slides)}, patients: {len(patients)}, with a label: {labelled}")
    image = config.site.slurm.image
    yield _weights(config, may_be_inside=image is not None)
    if image is not None:
        yield checks.image(Path(image))
    yield checks.disk(run.root)
    with ThreadPoolExecutor(HEADER_READERS) as readers:
        sizes = list(readers.map(_size, slides)) if config.site.stage_slides else []
        yield checks.scratch(config.site, run.root, sizes)
        yield from readers.map(partial(_slide, config.tile), slides)
        if md5:
            yield from _sums(slides, read_md5(run.slides_file), readers)


def _sums(slides: Sequence[Slide], said: Mapping[str, str], readers: ThreadPoolExecutor) -> Iterator[Check]:
    """Only slides that are not what slides.csv says, and how many are."""
    known = [slide for slide in slides if slide.slide_id in said]
    found = list(readers.map(lambda slide: _md5_of(slide.path), known))
    for slide, (md5, problem) in zip(known, found, strict=True):
        if md5 != said[slide.slide_id]:
            told = problem or f"MD5 {md5}, slides.csv has {said[slide.slide_id]}: download it again"
            yield Check(f"md5 {slide.slide_id}", "bad", told)
    n_same = sum(md5 == said[slide.slide_id] for slide, (md5, _) in zip(known, found, strict=True))
    verdict: Verdict = "ok" if len(known) == len(slides) else "note"
    yield Check(
        "md5", verdict, f"as in slides.csv: {n_same} of {len(known)}; without one there: {len(slides) - len(known)}"
    )


def _md5_of(path: Path) -> tuple[str, str]:
    """In hexadecimal digits, or why it cannot be told."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest(), ""
    except OSError as error:
        return "", f"{path} cannot be read: {error.strerror}"


def _weights(config: RunConfig, *, may_be_inside: bool) -> Check:
    try:
        digest = str(run_spec(config)["weights_digest"])
    except HypoxiaError as error:
        if may_be_inside:
            return Check("weights", "note", f"{error.problem}; the image may have them")
        return Check("weights", "bad", str(error))
    random = config.extract.weights == "random"
    return Check("weights", "ok", f"random weights, seed {config.extract.seed}" if random else digest)


def _size(slide: Slide) -> int:
    try:
        return sum(file.stat().st_size for file in {slide.path, *companions(slide.path)})
    except (OSError, SlideError):  # its header says why
        return 0


def _slide(table: TileTable, slide: Slide) -> Check:
    name = f"slide {slide.slide_id}"
    try:
        regions = regions_path(table, slide.slide_id)
        with slide_errors(slide.path):
            companions(slide.path)  # OpenSlide sees the loss of some of them only when it reads their tiles
        with opened_slide(slide.path) as opened:
            pyramid = opened.pyramid
            plan = plan_tiles(pyramid, table, slide.mpp)
            reader = opened.reading(plan, table.reduce).reader
            drawn = _drawn_text(regions, pyramid, table)
            cut = opened.beyond_end(plan.level)
    except SlideError as error:
        return Check(name, "bad", f"{error.reason}: {error.problem}")
    width, height = pyramid.size_l0
    where = f"{plan.mpp:g} µm/px from {plan.mpp_source}"
    found_wrong = [plan_verdict(pyramid, plan, table), cut_verdict(*cut, table)]
    verdict = max((one for one, _ in found_wrong), key=WORST_LAST.index)
    lacking = "".join(text for _, text in found_wrong)
    found = f"{pyramid.vendor} {width} x {height} px, {where}, {plan.n_tiles:,} tiles planned, {reader}"
    return Check(name, verdict, f"{found}{drawn}{lacking}")


def _drawn_text(path: Path | None, pyramid: Pyramid, table: TileTable) -> str:
    """The classes of a slide's regions. Raises SlideError as tile does."""
    if path is None:
        return ", all of it" if table.regions else ""
    regions = read_regions(path, table.regions_rule, table.region_classes)
    require_on_slide(path, regions, *scanned_px(pyramid))
    counted = ", ".join(f"{name or 'no class'} {n:,}" for name, n in sorted(regions.classes.items()))
    return f", annotations: {counted or 'none'}"


def plan_verdict(pyramid: Pyramid, plan: TilePlan, table: TileTable) -> tuple[Verdict, str]:
    """Will tile make something of the plan? Where it will, what is doubtful about the slide."""
    if not plan.n_tiles:
        return "bad", "; the slide is smaller than a tile: it will be quarantined, no-tissue"
    verdict, lacking = coarse_verdict(pyramid, plan, table)
    doubts = _doubts(pyramid, plan)
    return "note" if doubts and verdict == "ok" else verdict, "; ".join([lacking, *doubts])


def _doubts(pyramid: Pyramid, plan: TilePlan) -> list[str]:
    """What is odd about the slide, each in a sentence."""
    doubts = [resolution_doubt(pyramid) if plan.mpp_source == "slide" else "", size_doubt(pyramid)]
    return [doubt for doubt in doubts if doubt]


def cut_verdict(beyond: int, of: int, table: TileTable) -> tuple[Verdict, str]:
    """Is the file whole? ``beyond`` of the level's native tiles lie beyond its end. How many tiles need them is known
    when the slide is tiled."""
    if not beyond:
        return "ok", ""
    lacking = f"; the file ends before {beyond:,} of the {of:,} native tiles of the level that is read: fetch it again"
    return "bad" if beyond > table.max_unreadable * of else "note", lacking


def coarse_verdict(pyramid: Pyramid, plan: TilePlan, table: TileTable) -> tuple[Verdict, str]:
    """Has the slide the coarse levels that [tile] tissue and screen want?"""
    if table.tissue != "none" and coarse_level(pyramid, plan, MOST_MASK_PX, stored=False) is None:
        return "bad", f'; no level to make the mask of [tile] tissue = "{table.tissue}" from: it will be quarantined'
    if table.screen == "fast" and coarse_level(pyramid, plan, MOST_LIGHT_PX, stored=True) is None:
        return "note", '; no stored coarse level: [tile] screen = "fast" does as "exact" does'
    return "ok", ""
